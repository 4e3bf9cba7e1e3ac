//! Flags about which registries are asked, in the place of which others, and as whom.

use std::path::{Path, PathBuf};

use clap::ArgAction;
use kigumi_registry::{Registry, RegistryPath, Route, Routes};

use super::args::go_bool;
use super::{ConfigError, Environment};

/// As typed.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct MirrorFlags {
    /// Mirror of Docker Hub, repeatable: asked in order, then Docker Hub itself; `KANIKO_REGISTRY_MIRROR` adds one
    #[arg(long, value_name = "HOST[:PORT][/PATH]", action = ArgAction::Append, allow_hyphen_values = true, help_heading = "Registry")]
    pub registry_mirror: Vec<String>,
    /// Registry that is asked in the place of another, repeatable: in order, then the other itself; `KANIKO_REGISTRY_MAP` adds some
    #[arg(long, value_name = "FROM=TO[;FROM=TO...]", action = ArgAction::Append, allow_hyphen_values = true, help_heading = "Registry")]
    pub registry_map: Vec<String>,
    /// Ask only the mirrors of a registry that has some
    #[arg(long, value_parser = go_bool, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_default_value = true, help_heading = "Registry")]
    pub skip_default_registry_fallback: bool,
    /// Client certificate and key for one registry, repeatable
    #[arg(long, value_name = "HOST=CERTIFICATE,KEY", action = ArgAction::Append, allow_hyphen_values = true, help_heading = "Registry")]
    pub registry_client_cert: Vec<String>,
    /// Take a tag that the registry does not let be moved for pushed
    #[arg(long, value_parser = go_bool, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_default_value = true, help_heading = "Registry")]
    pub push_ignore_immutable_tag_errors: bool,
}

/// What they mean.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MirrorSettings {
    /// Where images are looked for.
    pub routes: Routes,
    /// `--registry-client-cert`, in order.
    pub client_certificates: Vec<ClientCertificateFiles>,
    /// `--push-ignore-immutable-tag-errors`
    pub ignore_immutable_tags: bool,
}

/// One `--registry-client-cert`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificateFiles {
    /// The registry that gets to see it.
    pub registry: Registry,
    /// The certificate and its chain, PEM.
    pub certificate: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
}

impl MirrorSettings {
    /// What the flags and the environment mean. Maps come before mirrors, flags before variables.
    ///
    /// # Errors
    /// [`ConfigError::RegistryFlag`] for the first value that means nothing.
    pub fn new(flags: &MirrorFlags, environment: &Environment) -> Result<Self, ConfigError> {
        let variable = |name: &str| environment.variables.get(name).cloned();
        let maps = flags.registry_map.iter().cloned();
        let maps = maps.map(|text| ("--registry-map", text));
        let map = variable("KANIKO_REGISTRY_MAP").map(|text| ("KANIKO_REGISTRY_MAP", text));
        let mirrors = flags.registry_mirror.iter().cloned();
        let mirrors = mirrors.map(|text| ("--registry-mirror", text));
        let mirror =
            variable("KANIKO_REGISTRY_MIRROR").map(|text| ("KANIKO_REGISTRY_MIRROR", text));
        let mut routes = Vec::new();
        for (flag, text) in maps.chain(map) {
            routes.extend(map_routes(&text).map_err(wrong(flag, &text))?);
        }
        for (flag, text) in mirrors.chain(mirror) {
            routes.extend(mirror_route(&text).map_err(wrong(flag, &text))?);
        }
        let client_certificates = flags
            .registry_client_cert
            .iter()
            .map(|text| {
                client_certificate(text, &environment.working_directory)
                    .map_err(wrong("--registry-client-cert", text))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            routes: Routes::new(routes, flags.skip_default_registry_fallback),
            client_certificates,
            ignore_immutable_tags: flags.push_ignore_immutable_tag_errors,
        })
    }

    /// The files that are read for them.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let files = self.client_certificates.iter();
        files.flat_map(|files| [files.certificate.as_path(), files.key.as_path()])
    }
}

fn wrong(flag: &'static str, text: &str) -> impl FnOnce(String) -> ConfigError {
    let text = text.to_owned();
    move |reason| ConfigError::RegistryFlag { flag, text, reason }
}

/// `FROM=TO[;FROM=TO…]`; K-CLI-04.
fn map_routes(text: &str) -> Result<Vec<Route>, String> {
    let pairs = text.split(';').map(str::trim);
    pairs
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (from, to) = pair.split_once('=').ok_or("expected FROM=TO")?;
            Ok(Route {
                from: from.trim().parse()?,
                to: to.trim().parse()?,
            })
        })
        .collect()
}

/// An empty value is none (K-CLI-05).
fn mirror_route(text: &str) -> Result<Option<Route>, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    Ok(Some(Route {
        from: RegistryPath::docker_hub(),
        to: text.parse()?,
    }))
}

fn client_certificate(
    text: &str,
    working_directory: &Path,
) -> Result<ClientCertificateFiles, String> {
    let expected = "expected HOST=CERTIFICATE,KEY";
    let (registry, files) = text.split_once('=').ok_or(expected)?;
    let (certificate, key) = files.split_once(',').ok_or(expected)?;
    if registry.is_empty() || certificate.is_empty() || key.is_empty() || key.contains(',') {
        return Err(expected.to_owned());
    }
    Ok(ClientCertificateFiles {
        registry: Registry::new(registry),
        certificate: working_directory.join(certificate),
        key: working_directory.join(key),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Environment {
            variables: variables.iter().map(pair).collect(),
            working_directory: "/workspace".into(),
            ..Environment::default()
        }
    }

    fn texts(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    fn routes(pairs: &[(&str, &str)], strict: bool) -> Routes {
        let route = |(from, to): &(&str, &str)| Route {
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
        };
        Routes::new(pairs.iter().map(route).collect(), strict)
    }

    #[test]
    fn maps_come_before_mirrors_and_flags_before_variables_k_cli_04() {
        let flags = MirrorFlags {
            registry_mirror: texts(&["one.test/hub", ""]),
            registry_map: texts(&[
                "quay.io=q.test/a; docker.io=map.test",
                "ghcr.io/x=g.test:5000;",
            ]),
            skip_default_registry_fallback: true,
            ..MirrorFlags::default()
        };
        let environment = environment(&[
            ("KANIKO_REGISTRY_MIRROR", "env.test"),
            ("KANIKO_REGISTRY_MAP", "gcr.io=e.test;gcr.io=f.test"),
        ]);
        let settings = MirrorSettings::new(&flags, &environment).unwrap();
        let expected = [
            ("quay.io", "q.test/a"),
            ("docker.io", "map.test"),
            ("ghcr.io/x", "g.test:5000"),
            ("gcr.io", "e.test"),
            ("gcr.io", "f.test"),
            ("docker.io", "one.test/hub"),
            ("docker.io", "env.test"),
        ];
        assert_eq!(settings.routes, routes(&expected, true));
    }

    #[test]
    fn variables_that_are_empty_say_nothing() {
        let environment =
            environment(&[("KANIKO_REGISTRY_MIRROR", ""), ("KANIKO_REGISTRY_MAP", "")]);
        let settings = MirrorSettings::new(&MirrorFlags::default(), &environment).unwrap();
        assert_eq!(settings, MirrorSettings::default());
    }

    #[test]
    fn a_client_certificate_is_two_files_for_one_registry_k_cli_08_k_cli_10() {
        let flags = MirrorFlags {
            registry_client_cert: texts(&["R.test:5000=tls/a.crt,/tls/a.key"]),
            ..MirrorFlags::default()
        };
        let settings = MirrorSettings::new(&flags, &environment(&[])).unwrap();
        let expected = ClientCertificateFiles {
            registry: Registry::new("r.test:5000"),
            certificate: "/workspace/tls/a.crt".into(),
            key: "/tls/a.key".into(),
        };
        assert_eq!(settings.client_certificates, [expected]);
    }

    #[test]
    fn values_that_mean_nothing_are_refused_with_flag_and_reason() {
        let map = |text: &str| MirrorFlags {
            registry_map: texts(&[text]),
            ..MirrorFlags::default()
        };
        let mirror = |text: &str| MirrorFlags {
            registry_mirror: texts(&[text]),
            ..MirrorFlags::default()
        };
        let certificate = |text: &str| MirrorFlags {
            registry_client_cert: texts(&[text]),
            ..MirrorFlags::default()
        };
        for (flags, parts) in [
            (
                map("quay.io"),
                ["--registry-map `quay.io`", "expected FROM=TO"],
            ),
            (map("a.test="), ["--registry-map", "is no host"]),
            (
                map("a.test=b.test=c.test"),
                ["--registry-map", "is no host"],
            ),
            (
                mirror("https://m.test"),
                ["--registry-mirror", "without `https://`"],
            ),
            (mirror("a.test,b.test"), ["--registry-mirror", "is no host"]),
            (
                certificate("r.test"),
                ["--registry-client-cert", "HOST=CERTIFICATE,KEY"],
            ),
            (
                certificate("r.test=a"),
                ["--registry-client-cert", "HOST=CERTIFICATE,KEY"],
            ),
            (
                certificate("r.test=a,b,c"),
                ["--registry-client-cert", "HOST=CERTIFICATE,KEY"],
            ),
        ] {
            let error = MirrorSettings::new(&flags, &environment(&[])).unwrap_err();
            let text = error.to_string();
            assert!(parts.iter().all(|part| text.contains(part)), "{text}");
        }
        let environment = environment(&[("KANIKO_REGISTRY_MAP", "x")]);
        let error = MirrorSettings::new(&MirrorFlags::default(), &environment).unwrap_err();
        assert!(
            error.to_string().starts_with("KANIKO_REGISTRY_MAP `x`"),
            "{error}"
        );
    }
}
