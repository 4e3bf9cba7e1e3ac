//! What is read from the root filesystem before anything is unpacked onto it: certificates, credentials, names.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kigumi_registry::{ClientConfig, NameFiles, Pem, Proxies, Registry, Relaxation, RetryPolicy};

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
        insecure_hosts.extend(caches.filter_map(|cache| cache.registry().map(str::to_owned)));
    }
    let defaults = ClientConfig::default();
    let attempts = defaults
        .retry
        .attempts
        .max(flags.push_retry.max(flags.download_retry).saturating_add(1));
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
        retry: RetryPolicy {
            attempts,
            ..defaults.retry
        },
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
}
