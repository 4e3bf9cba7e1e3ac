use std::collections::BTreeMap;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;

use super::{Credential, Helpers, Keychain, Sourced};
use crate::{Error, Registry, Repository, Secret};

/// The name under which Docker keeps Docker Hub's credentials (K-AUTH-01).
const HUB_KEY: &str = "https://index.docker.io/v1/";

/// Padding is optional: people make these files by hand.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A Docker `config.json`: its credentials, and the helpers it names.
#[derive(Debug)]
pub struct DockerConfig {
    origin: String,
    auths: BTreeMap<String, Entry>,
    registry_helpers: BTreeMap<String, String>,
    store: Option<String>,
    helpers: Helpers,
}

#[derive(Debug)]
struct Entry {
    key: String,
    credential: Credential,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    #[serde(default)]
    auths: Option<BTreeMap<String, Option<RawEntry>>>,
    #[serde(default)]
    cred_helpers: Option<BTreeMap<String, String>>,
    #[serde(default)]
    creds_store: Option<String>,
}

#[derive(Deserialize, Default)]
struct RawEntry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

impl DockerConfig {
    /// Reads the bytes of a `config.json`. `origin` names it in messages: a path, or `DOCKER_AUTH_CONFIG`.
    ///
    /// # Errors
    /// [`Error::Credentials`] when it is not such JSON, [`Error::MalformedAuth`] when an `auth` cannot be decoded.
    pub fn parse(origin: &str, bytes: &[u8], helpers: Helpers) -> Result<Self, Error> {
        let file: File = serde_json::from_slice(bytes).map_err(|source| Error::Credentials {
            origin: origin.to_owned(),
            line: source.line(),
            column: source.column(),
        })?;
        let mut auths = BTreeMap::new();
        for (key, entry) in file.auths.unwrap_or_default() {
            let Some(credential) = entry.unwrap_or_default().credential(origin, &key)? else {
                continue;
            };
            // Of several spellings of one registry, a plain one wins over one with a scheme by its place in the order.
            auths
                .entry(normalise(&key))
                .or_insert(Entry { key, credential });
        }
        Ok(Self {
            origin: origin.to_owned(),
            auths,
            registry_helpers: file
                .cred_helpers
                .unwrap_or_default()
                .into_iter()
                .map(|(key, helper)| (normalise(&key), helper))
                .collect(),
            store: file.creds_store.filter(|store| !store.is_empty()),
            helpers,
        })
    }

    /// All credentials that stand in the file itself, for whoever keeps them out of a log.
    pub fn own_credentials(&self) -> impl Iterator<Item = &Credential> {
        self.auths.values().map(|entry| &entry.credential)
    }

    /// The entry for `repository`: the longest path prefix that ends at a `/`, else the registry's own.
    ///
    /// A sibling namespace is never a prefix (T-AUTH-02), and hosts are compared whole (T-AUTH-01).
    fn entry(&self, repository: &Repository) -> Option<&Entry> {
        let scope = format!("{}/{}", repository.registry(), repository.name());
        let mut scope = scope.as_str();
        loop {
            if let Some(entry) = self.auths.get(scope) {
                return Some(entry);
            }
            scope = scope.rsplit_once('/')?.0;
        }
    }
}

impl Keychain for DockerConfig {
    fn credentials(&self, repository: &Repository) -> Result<Vec<Sourced>, Error> {
        let registry = repository.registry();
        if let Some(helper) = self.registry_helpers.get(registry.authority()) {
            let found = self.ask(helper, registry)?;
            if !found.is_empty() {
                return Ok(found);
            }
        }
        if let Some(entry) = self.entry(repository) {
            return Ok(vec![Sourced {
                credential: entry.credential.clone(),
                source: format!("entry `{}` of {}", entry.key, self.origin),
                until: None,
            }]);
        }
        match &self.store {
            Some(helper) => self.ask(helper, registry),
            None => Ok(Vec::new()),
        }
    }

    fn place(&self) -> String {
        self.origin.clone()
    }
}

impl DockerConfig {
    fn ask(&self, helper: &str, registry: &Registry) -> Result<Vec<Sourced>, Error> {
        let found = self.helpers.get(&self.origin, helper, registry)?;
        Ok(found.into_iter().collect())
    }
}

impl RawEntry {
    /// The credential, if the entry has one: `{}` only says that a helper has it.
    fn credential(self, origin: &str, key: &str) -> Result<Option<Credential>, Error> {
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        if let Some(token) = given(self.registrytoken) {
            return Ok(Some(Credential::RegistryToken(Secret::new(token))));
        }
        if let Some(token) = given(self.identitytoken) {
            return Ok(Some(Credential::IdentityToken(Secret::new(token))));
        }
        if let Some(auth) = given(self.auth) {
            let decoded = decode_auth(&auth).ok_or_else(|| Error::MalformedAuth {
                origin: origin.to_owned(),
                key: key.to_owned(),
            })?;
            return Ok(Some(decoded));
        }
        Ok(match (given(self.username), given(self.password)) {
            (Some(username), Some(password)) => Some(basic(username, password)),
            _ => None,
        })
    }
}

/// The user and the password of an `auth`.
pub(super) fn decode_auth(auth: &str) -> Option<Credential> {
    let decoded = BASE64.decode(auth.trim()).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    let (username, password) = text.split_once(':')?;
    // COMPAT(kaniko): Docker strips the NULs that some tools pad with.
    Some(basic(
        username.to_owned(),
        password.trim_matches('\0').to_owned(),
    ))
}

/// A user called `<token>` means that the password is an identity token (Docker's credential helper protocol).
pub(super) fn basic(username: String, password: String) -> Credential {
    let password = Secret::new(password);
    if username == "<token>" {
        Credential::IdentityToken(password)
    } else {
        Credential::Basic { username, password }
    }
}

/// The name under which a `config.json` keeps a registry's credentials, and by which a helper knows it (K-AUTH-01).
pub fn config_key(registry: &Registry) -> &str {
    if registry.is_docker_hub() {
        HUB_KEY
    } else {
        registry.authority()
    }
}

/// A key as `host[:port][/path]`: without scheme, without the `/v1/` or `/v2/` of Docker's own keys.
pub(super) fn normalise(key: &str) -> String {
    let bare = key
        .strip_prefix("https://")
        .or_else(|| key.strip_prefix("http://"));
    let had_scheme = bare.is_some();
    let mut bare = bare.unwrap_or(key).trim_end_matches('/');
    if had_scheme {
        for version in ["/v1", "/v2"] {
            bare = bare.strip_suffix(version).unwrap_or(bare);
        }
    }
    match bare.split_once('/') {
        Some((host, path)) => format!("{}/{path}", Registry::new(host)),
        None => Registry::new(bare).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository(text: &str) -> Repository {
        Repository::of(&text.parse().unwrap())
    }

    fn config(text: &str) -> DockerConfig {
        DockerConfig::parse("test.json", text.as_bytes(), Helpers::none()).unwrap()
    }

    /// What is found for a repository, as text.
    fn found(config: &DockerConfig, reference: &str) -> Option<String> {
        let sourced = config.credentials(&repository(reference)).unwrap().pop()?;
        Some(match sourced.credential {
            Credential::Basic { username, password } => format!("{username}:{}", password.expose()),
            Credential::IdentityToken(token) => format!("identity {}", token.expose()),
            Credential::RegistryToken(token) => format!("registry {}", token.expose()),
        })
    }

    #[test]
    fn every_form_of_an_entry_is_read() {
        let config = config(
            r#"{"auths":{
                "a.test":{"auth":"dXNlcjpwYTpzcw=="},
                "b.test":{"auth":"dXNlcjpwYTpzcw"},
                "c.test":{"username":"u","password":"p"},
                "d.test":{"auth":"PHRva2VuPjp4","identitytoken":"refresh"},
                "e.test":{"registrytoken":"access"},
                "f.test":{"auth":"PHRva2VuPjp4"},
                "g.test":{}, "h.test":null
            },"HttpHeaders":{"X":"y"}}"#,
        );
        let cases = [
            ("a.test/x", Some("user:pa:ss")),
            ("b.test/x", Some("user:pa:ss")),
            ("c.test/x", Some("u:p")),
            ("d.test/x", Some("identity refresh")),
            ("e.test/x", Some("registry access")),
            ("f.test/x", Some("identity x")),
            ("g.test/x", None),
            ("h.test/x", None),
            ("i.test/x", None),
        ];
        for (reference, expected) in cases {
            assert_eq!(
                found(&config, reference).as_deref(),
                expected,
                "{reference}"
            );
        }
    }

    /// T-AUTH-01, T-AUTH-02, K-AUTH-01, K-AUTH-03.
    #[test]
    fn an_entry_is_found_by_whole_host_and_longest_path_only() {
        let config = config(
            r#"{"auths":{
                "host.test":{"username":"host","password":"p"},
                "host.test/org-a":{"username":"org","password":"p"},
                "host.test/org-a/app":{"username":"app","password":"p"},
                "only.test/org-a":{"username":"only","password":"p"},
                "https://port.test:5000/v2/":{"username":"port","password":"p"},
                "https://index.docker.io/v1/":{"username":"hub","password":"p"},
                "UPPER.test":{"username":"upper","password":"p"}
            }}"#,
        );
        let cases = [
            ("host.test/other", Some("host:p")),
            ("host.test/org-a/x", Some("org:p")),
            ("host.test/org-a/app", Some("app:p")),
            ("host.test/org-a/app/deep", Some("app:p")),
            ("host.test/org-ab/x", Some("host:p")),
            ("only.test/org-a/x", Some("only:p")),
            ("only.test/org-ab", None),
            ("only.test/org-b/x", None),
            ("xhost.test/org-a/x", None),
            ("host.test.evil.test/org-a/x", None),
            ("host.test:443/x", None),
            ("port.test:5000/x", Some("port:p")),
            ("port.test/x", None),
            ("debian", Some("hub:p")),
            ("docker.io/me/app", Some("hub:p")),
            ("upper.test/x", Some("upper:p")),
        ];
        for (reference, expected) in cases {
            assert_eq!(
                found(&config, reference).as_deref(),
                expected,
                "{reference}"
            );
        }
    }

    #[test]
    fn what_cannot_be_read_is_an_error_without_the_secret() {
        for text in ["", "7", "nonsense", r#"{"auths":[]}"#] {
            DockerConfig::parse("x", text.as_bytes(), Helpers::none()).unwrap_err();
        }
        let error = DockerConfig::parse(
            "x",
            br#"{"auths":{"a.test":{"auth":"bm9jb2xvbg=="}}}"#,
            Helpers::none(),
        )
        .unwrap_err();
        assert!(error.to_string().contains("a.test"), "{error}");
        assert!(!error.to_string().contains("nocolon"), "{error}");
    }

    #[test]
    fn a_helper_that_is_not_there_is_named() {
        let config = config(
            r#"{"auths":{"a.test":{"username":"u","password":"p"}},
                "credHelpers":{"b.test":"ecr-login"},"credsStore":"desktop"}"#,
        );
        assert_eq!(found(&config, "a.test/x").as_deref(), Some("u:p"));
        for (reference, helper) in [("b.test/x", "ecr-login"), ("c.test/x", "desktop")] {
            let error = config.credentials(&repository(reference)).unwrap_err();
            let text = error.to_string();
            assert!(
                text.contains(&format!("docker-credential-{helper}")),
                "{text}"
            );
        }
    }

    #[test]
    fn no_secret_is_in_the_debug_output() {
        let config = config(r#"{"auths":{"a.test":{"username":"u","password":"hunter2"}}}"#);
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
