use std::collections::HashSet;

use reqwest::{NoProxy, Proxy};

/// Proxies between us and the registries, as the environment names them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Proxies {
    /// For `http` URLs.
    pub http: Option<String>,
    /// For `https` URLs.
    pub https: Option<String>,
    /// Hosts, domains and networks that are reached directly, comma-separated.
    pub exceptions: Option<String>,
}

impl Proxies {
    /// Reads `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY` and their lower-case forms, which win.
    pub fn from_environment(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let either = |name: &str| {
            [name.to_ascii_lowercase(), name.to_owned()]
                .iter()
                .find_map(|name| lookup(name))
                .filter(|value| !value.trim().is_empty())
        };
        Self {
            http: either("HTTP_PROXY").or_else(|| either("ALL_PROXY")),
            https: either("HTTPS_PROXY").or_else(|| either("ALL_PROXY")),
            exceptions: either("NO_PROXY"),
        }
    }

    /// Whether there is none.
    pub(crate) const fn is_empty(&self) -> bool {
        self.http.is_none() && self.https.is_none()
    }

    pub(crate) fn apply(
        &self,
        mut builder: reqwest::ClientBuilder,
    ) -> reqwest::Result<reqwest::ClientBuilder> {
        // The configuration is the caller's: reqwest does not look at the environment by itself.
        builder = builder.no_proxy();
        let exceptions = || self.exceptions.as_deref().and_then(NoProxy::from_string);
        if let Some(url) = &self.http {
            builder = builder.proxy(Proxy::http(url)?.no_proxy(exceptions()));
        }
        if let Some(url) = &self.https {
            builder = builder.proxy(Proxy::https(url)?.no_proxy(exceptions()));
        }
        Ok(builder)
    }

    /// The hosts of the proxies, which may be at any address.
    pub(crate) fn hosts(&self) -> HashSet<String> {
        [&self.http, &self.https]
            .into_iter()
            .flatten()
            .filter_map(|text| {
                let with_scheme = if text.contains("://") {
                    text.clone()
                } else {
                    format!("http://{text}")
                };
                url::Url::parse(&with_scheme)
                    .ok()?
                    .host_str()
                    .map(str::to_owned)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_names_proxies_in_both_cases() {
        let environment = |pairs: &'static [(&str, &str)]| {
            Proxies::from_environment(move |name| {
                let found = pairs.iter().find(|(key, _)| *key == name)?;
                Some(found.1.to_owned())
            })
        };
        let proxies = environment(&[
            ("HTTP_PROXY", "upper:1"),
            ("http_proxy", "lower:1"),
            ("ALL_PROXY", "http://all:2"),
            ("NO_PROXY", ".svc"),
            ("no_proxy", ""),
        ]);
        assert_eq!(proxies.http.as_deref(), Some("lower:1"));
        assert_eq!(proxies.https.as_deref(), Some("http://all:2"));
        let hosts = HashSet::from(["lower".to_owned(), "all".to_owned()]);
        assert_eq!(proxies.hosts(), hosts);
        assert!(environment(&[("HTTP_PROXY", " ")]).is_empty());
    }
}
