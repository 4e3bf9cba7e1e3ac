use std::sync::Arc;

use reqwest::header::HeaderValue;
use tokio::sync::OnceCell;
use url::{Host, Url};

use crate::Registry;
use crate::transport::Transport;
use crate::transport::address::{AddressClass, classify};
use crate::transport::dns::Names;

/// A registry as it is reached in one direction: scheme, TLS configuration, and how far it may point.
#[derive(Debug)]
pub(crate) struct Endpoint {
    registry: Registry,
    base: Url,
    transport: Arc<Transport>,
    names: Arc<Names>,
    class: OnceCell<AddressClass>,
}

impl Endpoint {
    pub(super) fn new(
        registry: Registry,
        base: Url,
        transport: Arc<Transport>,
        names: Arc<Names>,
    ) -> Self {
        Self {
            registry,
            base,
            transport,
            names,
            class: OnceCell::new(),
        }
    }

    /// `https://host:port/`.
    pub(crate) const fn base(&self) -> &Url {
        &self.base
    }

    pub(super) fn transport(&self) -> &Transport {
        &self.transport
    }

    /// A URL below `/v2/<repository>/`. The name comes from a parsed reference, so it needs no escaping.
    pub(super) fn url(&self, repository: &str, rest: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("/v2/{repository}/{rest}"));
        url
    }

    /// Whether `url` has our scheme, host and port: only then do credentials go there.
    pub(crate) fn is_ours(&self, url: &Url) -> bool {
        url.origin() == self.base.origin()
    }

    /// The client that may speak to `url`.
    ///
    /// # Errors
    /// The rule that `url` breaks.
    pub(crate) async fn client_for(&self, url: &Url) -> Result<&reqwest::Client, &'static str> {
        if self.is_ours(url) {
            return Ok(self.transport.direct());
        }
        let class = self.class.get_or_init(|| self.find_class()).await;
        self.transport.foreign(url, *class)
    }

    async fn find_class(&self) -> AddressClass {
        class_of(&self.base, &self.names).await
    }

    /// Where a `Location` leads from `current`, if a registry may lead there.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub(super) fn follow(
        &self,
        current: &Url,
        location: Option<&HeaderValue>,
    ) -> Result<Url, &'static str> {
        let location = location.ok_or("it gives no location")?;
        let text = location.to_str().map_err(|_| "its location is not text")?;
        let mut url = current.join(text).map_err(|_| "its location is no URL")?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err("its location has a user in it");
        }
        match url.scheme() {
            "https" => Ok(url),
            "http" if self.base.scheme() == "http" => Ok(url),
            // A registry behind a proxy that ends TLS often believes to be on plain HTTP.
            "http" if url.host() == self.base.host() && url.port().is_none() => {
                let ours = self.base.clone();
                url = with_path_of(ours, &url);
                Ok(url)
            }
            "http" => Err("its location leads from HTTPS to plain HTTP"),
            _ => Err("its location is not on HTTP"),
        }
    }

    pub(crate) const fn registry(&self) -> &Registry {
        &self.registry
    }
}

/// The class of the address that a URL names. A name that cannot be resolved (behind a proxy) may point to public hosts only.
pub(crate) async fn class_of(url: &Url, names: &Names) -> AddressClass {
    let addresses = match url.host() {
        Some(Host::Ipv4(address)) => vec![address.into()],
        Some(Host::Ipv6(address)) => vec![address.into()],
        Some(Host::Domain(name)) => names.lookup(name).await.unwrap_or_default(),
        None => Vec::new(),
    };
    addresses
        .into_iter()
        .filter_map(classify)
        .min()
        .unwrap_or(AddressClass::Public)
}

fn with_path_of(mut base: Url, other: &Url) -> Url {
    base.set_path(other.path());
    base.set_query(other.query());
    base
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::{ClientConfig, Direction, Transports};

    fn endpoint(base: &str) -> Endpoint {
        let config = ClientConfig::default();
        let transports = Transports::build(&config).unwrap();
        let base = Url::parse(base).unwrap();
        let registry = Registry::new(base.host_str().unwrap());
        let transport = transports.get(&config, &registry, Direction::Pull).unwrap();
        Endpoint::new(registry, base, transport, Arc::clone(&transports.names))
    }

    #[test]
    fn locations_are_followed_by_the_rules() {
        let cases = [
            (
                "https://r.test/",
                "/v2/x?a=1",
                Some("https://r.test/v2/x?a=1"),
            ),
            (
                "https://r.test/",
                "up",
                Some("https://r.test/v2/app/blobs/up"),
            ),
            (
                "https://r.test/",
                "https://s3.test/x",
                Some("https://s3.test/x"),
            ),
            ("https://r.test/", "http://s3.test/x", None),
            // Behind a proxy that ends TLS.
            (
                "https://r.test:8443/",
                "http://r.test/x?y",
                Some("https://r.test:8443/x?y"),
            ),
            ("https://r.test/", "http://r.test:5000/x", None),
            (
                "http://r.test/",
                "http://s3.test/x",
                Some("http://s3.test/x"),
            ),
            (
                "http://r.test/",
                "https://s3.test/x",
                Some("https://s3.test/x"),
            ),
            ("https://r.test/", "https://user:pw@r.test/x", None),
            ("https://r.test/", "ftp://r.test/x", None),
            ("https://r.test/", "file:///etc/passwd", None),
            ("https://r.test/", "https://[", None),
        ];
        for (base, location, expected) in cases {
            let endpoint = endpoint(base);
            let current = endpoint.url("app", "blobs/uploads/");
            let current = current.join("../y").unwrap();
            let header = HeaderValue::from_static(location);
            let followed = endpoint.follow(&current, Some(&header)).ok();
            let expected = expected.map(|text| Url::parse(text).unwrap());
            assert_eq!(followed, expected, "{base} -> {location}");
        }
    }

    #[tokio::test]
    async fn forbidden_literal_addresses_are_refused() {
        let public = endpoint("https://8.8.8.8/");
        let private = endpoint("https://10.0.0.1/");
        let local = endpoint("http://127.0.0.1:5000/");
        let cases = [
            (&public, "https://8.8.4.4/", true),
            (&public, "https://10.0.0.1/", false),
            (&public, "https://127.0.0.1/", false),
            (&public, "https://169.254.169.254/", false),
            (&public, "https://[::ffff:169.254.169.254]/", false),
            (&public, "https://0.0.0.0/", false),
            (&public, "https://[::]/", false),
            (&private, "https://10.0.0.2/", true),
            (&private, "https://127.0.0.1/", false),
            (&local, "http://127.0.0.1:5001/", true),
            (&local, "http://169.254.169.254/", false),
            // Its own origin, whatever the address.
            (&local, "http://127.0.0.1:5000/", true),
        ];
        for (endpoint, url, expected) in cases {
            let allowed = endpoint.client_for(&Url::parse(url).unwrap()).await.is_ok();
            assert_eq!(allowed, expected, "{} -> {url}", endpoint.base());
        }
    }
}
