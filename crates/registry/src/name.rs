use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use kigumi_oci::Reference;

/// What Docker Hub's registry is called in references.
const HUB: &str = "docker.io";
/// The host that answers for Docker Hub.
const HUB_HOST: &str = "index.docker.io";

/// A registry as `host[:port]`, lower case; Docker Hub's aliases are one registry.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Registry(String);

impl Registry {
    /// A registry by its authority: `ghcr.io`, `localhost:5000`, `docker.io`.
    pub fn new(authority: &str) -> Self {
        let authority = authority.to_ascii_lowercase();
        match authority.as_str() {
            HUB | HUB_HOST | "registry-1.docker.io" => Self(HUB_HOST.to_owned()),
            _ => Self(authority),
        }
    }

    /// `host[:port]`, as it stands in a URL.
    pub fn authority(&self) -> &str {
        &self.0
    }

    /// The host without its port.
    pub fn host(&self) -> &str {
        match self.0.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => {
                host
            }
            _ => &self.0,
        }
    }

    /// Whether this is Docker Hub.
    pub fn is_docker_hub(&self) -> bool {
        self.0 == HUB_HOST
    }

    /// Whether the host names this very machine, by its name or address alone.
    ///
    /// COMPAT(kaniko): plain HTTP needs no flag there.
    pub fn is_loopback(&self) -> bool {
        let host = self.host();
        let address: Option<IpAddr> = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse()
            .ok();
        match address {
            Some(IpAddr::V4(address)) => address.is_loopback(),
            Some(IpAddr::V6(address)) => address == Ipv6Addr::LOCALHOST,
            None => host == "localhost" || host.ends_with(".localhost"),
        }
    }
}

impl fmt::Display for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A repository of a registry: what blobs are pushed to and mounted from.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Repository {
    registry: Registry,
    name: String,
}

impl Repository {
    pub(crate) const fn new(registry: Registry, name: String) -> Self {
        Self { registry, name }
    }

    /// The repository of `reference`.
    pub fn of(reference: &Reference) -> Self {
        Self {
            registry: Registry::new(reference.registry()),
            name: reference.repository().to_owned(),
        }
    }

    /// The registry.
    pub const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The name within the registry: `library/debian`.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_docker_hub_are_one_registry() {
        let repositories = [
            "debian",
            "docker.io/debian",
            "index.docker.io/library/debian",
        ]
        .map(|text| Repository::of(&text.parse().unwrap()).to_string());
        assert_eq!(
            repositories,
            ["index.docker.io/library/debian"; 3].map(str::to_owned)
        );
    }

    #[test]
    fn only_this_machine_is_loopback() {
        let cases = [
            ("localhost:5000", true),
            ("127.0.0.1", true),
            ("127.9.9.9:1", true),
            ("[::1]:5000", true),
            ("a.localhost", true),
            ("localhost.evil.test", false),
            ("10.0.0.1:5000", false),
            ("127.0.0.1.evil.test", false),
            ("0.0.0.0:5000", false),
        ];
        for (authority, expected) in cases {
            assert_eq!(
                Registry::new(authority).is_loopback(),
                expected,
                "{authority}"
            );
        }
    }
}
