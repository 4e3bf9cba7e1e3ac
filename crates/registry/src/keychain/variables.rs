//! Credentials in variables: `KANIKO_<HOST>_USER` and GitLab's.

use std::collections::BTreeMap;

use super::{Credential, Keychain, Sourced, docker_config};
use crate::{Error, Registry, Repository, Secret};

fn given(variables: &BTreeMap<String, String>, name: &str) -> Option<String> {
    let value = variables.get(name)?;
    (!value.is_empty()).then(|| value.clone())
}

/// `KANIKO_<HOST>_USER` and `KANIKO_<HOST>_PASSWORD`.
pub struct KanikoVariables(BTreeMap<String, (String, Secret<String>)>);

impl std::fmt::Debug for KanikoVariables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KanikoVariables(…)")
    }
}

impl KanikoVariables {
    /// Keeps the pairs there are.
    pub fn new(variables: &BTreeMap<String, String>) -> Self {
        let pairs = variables.keys().filter_map(|name| {
            let stem = name.strip_prefix("KANIKO_")?.strip_suffix("_USER")?;
            let user = given(variables, name)?;
            let password = given(variables, &format!("KANIKO_{stem}_PASSWORD"))?;
            Some((stem.to_owned(), (user, Secret::new(password))))
        });
        Self(pairs.collect())
    }

    /// All passwords, for whoever keeps them out of a log.
    pub fn secrets(&self) -> impl Iterator<Item = &Secret<String>> {
        self.0.values().map(|(_, password)| password)
    }
}

impl Keychain for KanikoVariables {
    fn credentials(&self, repository: &Repository) -> Result<Vec<Sourced>, Error> {
        let found = stems(repository.registry())
            .into_iter()
            .find_map(|stem| Some((self.0.get(&stem)?, stem)));
        let sourced = found.map(|((username, password), stem)| Sourced {
            credential: Credential::Basic {
                username: username.clone(),
                password: password.clone(),
            },
            source: format!("KANIKO_{stem}_USER and KANIKO_{stem}_PASSWORD"),
            until: None,
        });
        Ok(sourced.into_iter().collect())
    }

    fn place(&self) -> String {
        "KANIKO_<HOST>_USER".to_owned()
    }
}

/// The middles of the variables for a registry: with its port, its host, and shorter suffixes of at least two labels. A top-level domain alone
/// would be everybody's.
fn stems(registry: &Registry) -> Vec<String> {
    let stem = |text: &str| {
        text.to_ascii_uppercase()
            .replace(['.', '-', ':', '[', ']'], "_")
    };
    let mut stems = Vec::new();
    if registry.host() != registry.authority() {
        stems.push(stem(registry.authority()));
    }
    let mut rest = registry.host();
    stems.push(stem(rest));
    let is_name = rest.bytes().any(|byte| byte.is_ascii_alphabetic()) && !rest.contains([':', '[']);
    while is_name && let Some((_, shorter)) = rest.split_once('.') {
        if !shorter.contains('.') {
            break;
        }
        stems.push(stem(shorter));
        rest = shorter;
    }
    stems
}

/// `CI_REGISTRY`, `CI_REGISTRY_USER` and `CI_REGISTRY_PASSWORD`.
#[derive(Debug)]
pub struct GitLabVariables(Option<(Registry, Credential)>);

impl GitLabVariables {
    /// Keeps them if all are there.
    pub fn new(variables: &BTreeMap<String, String>) -> Self {
        let read = || {
            let registry = given(variables, "CI_REGISTRY")?;
            let registry = docker_config::normalise(&registry);
            let authority = registry.split('/').next().unwrap_or_default();
            let username = given(variables, "CI_REGISTRY_USER")?;
            let password = Secret::new(given(variables, "CI_REGISTRY_PASSWORD")?);
            Some((
                Registry::new(authority),
                Credential::Basic { username, password },
            ))
        };
        Self(read())
    }

    /// The password, for whoever keeps it out of a log.
    pub fn secrets(&self) -> impl Iterator<Item = &Secret<String>> {
        self.0.iter().map(|(_, credential)| credential.secret())
    }
}

impl Keychain for GitLabVariables {
    fn credentials(&self, repository: &Repository) -> Result<Vec<Sourced>, Error> {
        let own = self
            .0
            .iter()
            .filter(|(registry, _)| registry == repository.registry());
        Ok(own
            .map(|(_, credential)| Sourced {
                credential: credential.clone(),
                source: "CI_REGISTRY_USER and CI_REGISTRY_PASSWORD".to_owned(),
                until: None,
            })
            .collect())
    }

    fn place(&self) -> String {
        "CI_REGISTRY".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository(text: &str) -> Repository {
        Repository::of(&text.parse().unwrap())
    }

    fn variables(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn user(keychain: &dyn Keychain, reference: &str) -> Option<String> {
        let found = keychain
            .credentials(&repository(reference))
            .unwrap()
            .pop()?;
        match found.credential {
            Credential::Basic { username, .. } => Some(username),
            Credential::IdentityToken(_) | Credential::RegistryToken(_) => None,
        }
    }

    #[test]
    fn variables_name_a_host_or_a_domain_it_is_in() {
        let mut all = Vec::new();
        for stem in [
            "EXAMPLE_COM",
            "REG_EXAMPLE_COM",
            "REG_EXAMPLE_COM_5000",
            "MY_HOST_TEST",
            "COM",
            "INDEX_DOCKER_IO",
            "10_0_0_1",
            "0_0_1",
        ] {
            all.push((format!("KANIKO_{stem}_USER"), stem.to_owned()));
            all.push((format!("KANIKO_{stem}_PASSWORD"), "p".to_owned()));
        }
        all.push(("KANIKO_HALF_TEST_USER".to_owned(), "half".to_owned()));
        let keychain = KanikoVariables::new(&all.into_iter().collect());
        for (reference, expected) in [
            ("reg.example.com/x", Some("REG_EXAMPLE_COM")),
            ("reg.example.com:5000/x", Some("REG_EXAMPLE_COM_5000")),
            ("reg.example.com:6000/x", Some("REG_EXAMPLE_COM")),
            ("a.b.example.com/x", Some("EXAMPLE_COM")),
            ("my-host.test/x", Some("MY_HOST_TEST")),
            ("debian", Some("INDEX_DOCKER_IO")),
            ("10.0.0.1:5000/x", Some("10_0_0_1")),
            ("11.0.0.1:5000/x", None),
            // Look-alikes, and domains of everybody.
            ("evilexample.com/x", None),
            ("evil-example.com/x", None),
            ("example.com.evil.test/x", None),
            ("other.com/x", None),
            ("half.test/x", None),
        ] {
            assert_eq!(
                user(&keychain, reference).as_deref(),
                expected,
                "{reference}"
            );
        }
    }

    #[test]
    fn gitlab_s_variables_are_for_its_own_registry() {
        let pairs = [
            ("CI_REGISTRY", "registry.gitlab.test:5050"),
            ("CI_REGISTRY_USER", "u"),
            ("CI_REGISTRY_PASSWORD", "p"),
        ];
        let keychain = GitLabVariables::new(&variables(&pairs));
        for (reference, expected) in [
            ("registry.gitlab.test:5050/group/app", Some("u")),
            ("registry.gitlab.test/group/app", None),
            ("registry.gitlab.test.evil:5050/x", None),
            ("gitlab.test:5050/x", None),
        ] {
            assert_eq!(
                user(&keychain, reference).as_deref(),
                expected,
                "{reference}"
            );
        }
        for (index, _) in pairs.iter().enumerate() {
            let mut some = pairs.to_vec();
            some.remove(index);
            let keychain = GitLabVariables::new(&variables(&some));
            assert_eq!(user(&keychain, "registry.gitlab.test:5050/x"), None);
        }
    }
}
