//! What is read from the root filesystem before anything is unpacked onto it: certificates, credentials, names.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kigumi_registry::{
    ClientCertificate, ClientConfig, NameFiles, Pem, Proxies, Registry, Relaxation, RetryPolicy,
    Secret,
};

use crate::cli::{Config, Environment};
use crate::credentials;
use crate::error::BuildError;
use crate::secrets::Redactor;

/// Everything a registry client will ever need.
pub(crate) fn client_config(
    config: &Config,
    environment: &Environment,
    redactor: &Redactor,
) -> Result<ClientConfig, BuildError> {
    let flags = &config.registry;
    let hosts = |hosts: &[String]| -> BTreeSet<Registry> {
        hosts.iter().map(|host| Registry::new(host)).collect()
    };
    let mut registry_roots: BTreeMap<Registry, Vec<Pem>> = BTreeMap::new();
    for (host, path) in &flags.certificates {
        registry_roots
            .entry(Registry::new(host))
            .or_default()
            .push(pem(path)?);
    }
    let mut insecure_hosts = flags.insecure_hosts.clone();
    if flags.insecure_push {
        // COMPAT(kaniko): the cache is read as it is written.
        let caches = config.cache.iter().chain(&config.mount_cache);
        insecure_hosts.extend(caches.flat_map(|cache| cache.registries().map(str::to_owned)));
    }
    let defaults = ClientConfig::default();
    let caller = environment.variables.get("UPSTREAM_CLIENT_TYPE");
    let mut unverified = hosts(&flags.skip_tls_verify_hosts);
    unverified.extend(config.context.unverified_host.as_deref().map(Registry::new));
    let client = ClientConfig {
        user_agent: user_agent(&defaults.user_agent, caller),
        roots: roots(environment)?,
        registry_roots,
        plain_http: Relaxation {
            push: flags.insecure_push,
            pull: flags.insecure_pull,
            registries: hosts(&insecure_hosts),
        },
        skip_tls_verify: Relaxation {
            push: flags.skip_tls_verify_push,
            pull: flags.skip_tls_verify_pull,
            registries: unverified,
        },
        proxies: Proxies::from_environment(|name| environment.variables.get(name).cloned()),
        names: NameFiles::read_system(),
        client_certificates: client_certificates(config, redactor)?,
        routes: config.mirrors.routes.clone(),
        retry: retry(defaults.retry, flags.push_retry.max(flags.download_retry)),
        ..defaults
    };
    let keychain = credentials::keychain(&config.credentials, environment, &client, redactor)?;
    Ok(ClientConfig {
        keychain: Arc::new(keychain),
        ..client
    })
}

/// COMPAT(kaniko): whoever calls us may add its name. What no header can hold is left out.
fn user_agent(own: &str, client: Option<&String>) -> String {
    let is_name =
        |text: &&String| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    client
        .filter(is_name)
        .map_or_else(|| own.to_owned(), |client| format!("{own},{client}"))
}

/// At least as many retries as were asked for (K-FLAG-01), however long they take.
fn retry(default: RetryPolicy, retries: u32) -> RetryPolicy {
    let attempts = retries.saturating_add(1);
    if attempts <= default.attempts {
        return default;
    }
    RetryPolicy {
        attempts,
        total: None,
        ..default
    }
}

fn client_certificates(
    config: &Config,
    redactor: &Redactor,
) -> Result<BTreeMap<Registry, ClientCertificate>, BuildError> {
    let mut certificates = BTreeMap::new();
    for files in &config.mirrors.client_certificates {
        let key = std::fs::read(&files.key).map_err(|source| BuildError::Read {
            what: "the key of a client certificate",
            path: files.key.clone(),
            source,
        })?;
        redactor.hide(&key);
        // A log has lines.
        for line in key.split(|byte| *byte == b'\n') {
            if !line.starts_with(b"-----") {
                redactor.hide(line);
            }
        }
        let certificate = ClientCertificate {
            chain: pem(&files.certificate)?,
            key: Secret::new(key),
        };
        certificates.insert(files.registry.clone(), certificate);
    }
    Ok(certificates)
}

/// `SSL_CERT_FILE`, and every file of `SSL_CERT_DIR` (K-AUTH-07).
fn roots(environment: &Environment) -> Result<Vec<Pem>, BuildError> {
    let variable = |name: &str| {
        environment
            .variables
            .get(name)
            .filter(|text| !text.is_empty())
    };
    let mut roots = Vec::new();
    if let Some(path) = variable("SSL_CERT_FILE") {
        roots.push(pem(Path::new(path))?);
    }
    for directory in variable("SSL_CERT_DIR")
        .into_iter()
        .flat_map(|text| text.split(':'))
    {
        for path in files_of(Path::new(directory))? {
            roots.push(pem(&path)?);
        }
    }
    Ok(roots)
}

fn files_of(directory: &Path) -> Result<Vec<PathBuf>, BuildError> {
    let failed = |source| BuildError::Read {
        what: "the certificate directory",
        path: directory.to_owned(),
        source,
    };
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        if path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn pem(path: &Path) -> Result<Pem, BuildError> {
    let bytes = std::fs::read(path).map_err(|source| BuildError::Read {
        what: "the certificates",
        path: path.to_owned(),
        source,
    })?;
    Ok(Pem {
        origin: path.display().to_string(),
        bytes,
    })
}

/// The proxies of the pod, which RUN sees in both letter cases (dockerfile.md § 3).
pub(crate) fn proxies(environment: &Environment) -> Vec<(String, String)> {
    const NAMES: [&str; 5] = [
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "FTP_PROXY",
        "NO_PROXY",
        "ALL_PROXY",
    ];
    environment
        .variables
        .iter()
        .filter(|(name, value)| {
            NAMES.contains(&name.to_ascii_uppercase().as_str()) && !value.is_empty()
        })
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caller_may_add_its_name_to_ours() {
        let agent = |name: &str| user_agent("kigumi/1", Some(&name.to_owned()));
        assert_eq!(
            agent("UpstreamClient(skaffold)"),
            "kigumi/1,UpstreamClient(skaffold)"
        );
        for name in ["", "a\nb", "a b", "\u{e4}"] {
            assert_eq!(agent(name), "kigumi/1", "{name:?}");
        }
        assert_eq!(user_agent("kigumi/1", None), "kigumi/1");
    }

    #[test]
    fn there_are_at_least_as_many_retries_as_asked_for_k_flag_01() {
        let default = RetryPolicy::default();
        for (retries, attempts) in [(0, 5), (4, 5), (5, 6), (20, 21)] {
            let policy = retry(default, retries);
            assert_eq!(policy.attempts, attempts);
            // Time does not cut short what was asked for.
            assert_eq!(policy.total.is_none(), retries > 4, "{retries}");
        }
    }
}
