//! Which registries are asked in the place of others when something is pulled (`--registry-mirror`, `--registry-map`). Pure.

use std::fmt;
use std::str::FromStr;

use url::Url;

use crate::{Registry, Repository};

/// A registry or a part of one: `host[:port][/path]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RegistryPath {
    registry: Registry,
    path: String,
}

impl RegistryPath {
    /// The whole of Docker Hub.
    pub fn docker_hub() -> Self {
        Self {
            registry: Registry::new("docker.io"),
            path: String::new(),
        }
    }

    /// What of `name` lies below the path.
    fn strip<'a>(&self, name: &'a str) -> Option<&'a str> {
        let rest = name.strip_prefix(self.path.as_str())?;
        if self.path.is_empty() || rest.is_empty() {
            return Some(rest);
        }
        rest.strip_prefix('/')
    }

    fn with(&self, rest: &str) -> Option<Repository> {
        let name = match (self.path.as_str(), rest) {
            ("", "") => return None,
            ("", name) | (name, "") => name.to_owned(),
            (path, rest) => format!("{path}/{rest}"),
        };
        Some(Repository::new(self.registry.clone(), name))
    }
}

impl fmt::Display for RegistryPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            write!(f, "{}", self.registry)
        } else {
            write!(f, "{}/{}", self.registry, self.path)
        }
    }
}

impl FromStr for RegistryPath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some((scheme, _)) = text.split_once("://") {
            return Err(format!(
                "it is `host[:port][/path]`, without `{scheme}://`; plain HTTP is allowed with --insecure-registry"
            ));
        }
        let (authority, path) = text.split_once('/').unwrap_or((text, ""));
        if !is_authority(authority) {
            return Err(format!("`{authority}` is no host with or without a port"));
        }
        let path = path.trim_end_matches('/');
        if !path.is_empty() && !path.split('/').all(is_component) {
            return Err(format!("`{path}` is no path of repositories"));
        }
        Ok(Self {
            registry: Registry::new(authority),
            path: path.to_owned(),
        })
    }
}

/// Only what comes back from a URL as it went in: no user, no query, nothing that is decoded.
fn is_authority(authority: &str) -> bool {
    let host = |url: Url| {
        let host = url.host_str()?.to_owned();
        Some(match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host,
        })
    };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    if !authority.bytes().all(is_plain) {
        return false;
    }
    let lower = authority.to_ascii_lowercase();
    // Another scheme's default port would be left out.
    let parsed = Url::parse(&format!("https://{lower}/")).ok().and_then(host);
    parsed.is_some_and(|parsed| parsed == lower || format!("{parsed}:443") == lower)
}

/// distribution-spec v1.1 § Pulling manifests: the components of a name, as far as a path needs them checked.
fn is_component(component: &str) -> bool {
    let is_allowed = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_' | b'-')
    };
    let starts_well = component
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_alphanumeric());
    starts_well && component.bytes().all(is_allowed)
}

/// One registry that is asked in the place of another.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Route {
    /// What is meant.
    pub from: RegistryPath,
    /// What is asked.
    pub to: RegistryPath,
}

impl Route {
    fn apply(&self, repository: &Repository) -> Option<Repository> {
        if *repository.registry() != self.from.registry {
            return None;
        }
        self.to.with(self.from.strip(repository.name())?)
    }
}

/// Where images are looked for: pulls go by it, pushes never do.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Routes {
    routes: Vec<Route>,
    strict: bool,
}

impl Routes {
    /// Routes in the order in which they are tried. `strict`: what has a route is not looked for where it says itself that it is
    /// (`--skip-default-registry-fallback`).
    pub const fn new(routes: Vec<Route>, strict: bool) -> Self {
        Self { routes, strict }
    }

    /// The places in which a repository is looked for, in order: the first, and those after it.
    pub(crate) fn places(&self, repository: &Repository) -> (Repository, Vec<Repository>) {
        let mut places: Vec<Repository> = Vec::new();
        let found = self
            .routes
            .iter()
            .filter_map(|route| route.apply(repository));
        let itself = std::iter::once(repository.clone());
        for place in found.chain(itself.filter(|_| !self.strict)) {
            if !places.contains(&place) {
                places.push(place);
            }
        }
        let mut places = places.into_iter();
        let first = places.next().unwrap_or_else(|| repository.clone());
        (first, places.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(pairs: &[(&str, &str)], strict: bool) -> Routes {
        let route = |(from, to): &(&str, &str)| Route {
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
        };
        Routes::new(pairs.iter().map(route).collect(), strict)
    }

    fn places(routes: &Routes, reference: &str) -> Vec<String> {
        let (first, rest) = routes.places(&Repository::of(&reference.parse().unwrap()));
        let all = std::iter::once(first).chain(rest);
        all.map(|place| place.to_string()).collect()
    }

    #[test]
    fn routes_are_tried_in_order_and_then_the_registry_itself_t_push_12() {
        let routes = routes(
            &[
                ("docker.io", "one.test"),
                ("quay.io", "quay.test:5000/cache"),
                ("index.docker.io", "two.test/hub"),
                ("docker.io", "one.test"),
            ],
            false,
        );
        assert_eq!(
            places(&routes, "debian"),
            [
                "one.test/library/debian",
                "two.test/hub/library/debian",
                "index.docker.io/library/debian"
            ]
        );
        assert_eq!(
            places(&routes, "quay.io/org/app"),
            ["quay.test:5000/cache/org/app", "quay.io/org/app"]
        );
        assert_eq!(places(&routes, "ghcr.io/org/app"), ["ghcr.io/org/app"]);
    }

    #[test]
    fn strict_routes_leave_out_only_what_has_a_route() {
        let routes = routes(&[("docker.io", "one.test")], true);
        assert_eq!(places(&routes, "debian"), ["one.test/library/debian"]);
        assert_eq!(places(&routes, "ghcr.io/x"), ["ghcr.io/x"]);
    }

    #[test]
    fn a_path_is_replaced_at_whole_components() {
        let routes = routes(
            &[("quay.io/org", "m.test/x"), ("r.test/a/b", "r2.test")],
            false,
        );
        for (reference, first) in [
            ("quay.io/org/app", "m.test/x/app"),
            ("quay.io/org", "m.test/x"),
            ("quay.io/organisation/app", "quay.io/organisation/app"),
            ("r.test/a/b/c/d", "r2.test/c/d"),
            // A registry alone is no repository.
            ("r.test/a/b", "r.test/a/b"),
        ] {
            assert_eq!(places(&routes, reference)[0], first, "{reference}");
        }
    }

    #[test]
    fn what_is_no_registry_is_refused_with_the_reason() {
        for (text, reason) in [
            ("", "is no host"),
            ("https://m.test", "without `https://`"),
            ("user:pw@m.test", "is no host"),
            ("m.test:port", "is no host"),
            ("m.test?x", "is no host"),
            ("m test", "is no host"),
            ("m.test=n.test", "is no host"),
            ("m.test/a//b", "is no path"),
            ("m.test/../b", "is no path"),
            ("m.test/A", "is no path"),
            ("m.test/a,n.test", "is no path"),
        ] {
            let error = text.parse::<RegistryPath>().unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
        for text in [
            "m.test",
            "M.test:5000",
            "10.0.0.1:80/a/b/",
            "[::1]:5000",
            "m.test:443",
        ] {
            text.parse::<RegistryPath>().unwrap();
        }
    }
}
