//! HTTP clients with everything they need, built once at the start: the root filesystem is replaced under us later.

pub(crate) mod address;
pub(crate) mod dns;
mod oci;
mod proxy;
pub(crate) mod tls;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::CertificateDer;
use url::{Host, Url};

pub use dns::NameFiles;
pub use proxy::Proxies;
pub use tls::{ClientCertificate, Pem};

pub(crate) use oci::OciClients;

use crate::keychain::{Anonymous, Keychain};
use crate::{Error, Registry, RetryPolicy, Routes};
use address::AddressClass;
use dns::{GuardedResolver, Names, OpenResolver, is_allowed};
use tls::Verification;

/// Whether something is fetched or published. Flags differ by direction, and so do token scopes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Direction {
    /// From the registry.
    Pull,
    /// To the registry.
    Push,
}

/// Where a rule about HTTP or TLS is relaxed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Relaxation {
    /// For everything that is pushed (`--insecure`).
    pub push: bool,
    /// For everything that is pulled (`--insecure-pull`).
    pub pull: bool,
    /// For these registries, in both directions (`--insecure-registry`).
    pub registries: BTreeSet<Registry>,
}

impl Relaxation {
    fn applies(&self, registry: &Registry, direction: Direction) -> bool {
        self.registries.contains(registry)
            || match direction {
                Direction::Pull => self.pull,
                Direction::Push => self.push,
            }
    }

    fn is_used(&self) -> bool {
        self.push || self.pull || !self.registries.is_empty()
    }
}

/// What we call ourselves to servers, unless told otherwise.
pub(crate) const USER_AGENT: &str = concat!("kigumi/", env!("CARGO_PKG_VERSION"));

/// How long is waited for what.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timeouts {
    /// For a connection.
    pub connect: Duration,
    /// For the next byte of a transfer, or for an answer.
    pub stall: Duration,
    /// For the answer to the end of an upload: a registry may move the blob before it answers.
    pub commit: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(20),
            stall: Duration::from_mins(1),
            commit: Duration::from_mins(10),
        }
    }
}

/// Everything a [`Client`](crate::Client) needs to know.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// `User-Agent`.
    pub user_agent: String,
    /// CA certificates beside the built-in ones (`SSL_CERT_FILE`, `SSL_CERT_DIR`).
    pub roots: Vec<Pem>,
    /// CA certificates for one registry (`--registry-certificate`).
    pub registry_roots: BTreeMap<Registry, Vec<Pem>>,
    /// Client certificates for one registry (`--registry-client-cert`).
    pub client_certificates: BTreeMap<Registry, ClientCertificate>,
    /// Where plain HTTP will do when there is no HTTPS.
    pub plain_http: Relaxation,
    /// Where the server's certificate is not looked at.
    pub skip_tls_verify: Relaxation,
    /// Proxies.
    pub proxies: Proxies,
    /// Name resolution.
    pub names: NameFiles,
    /// Which registries are asked in the place of others when something is pulled.
    pub routes: Routes,
    /// What is tried again.
    pub retry: RetryPolicy,
    /// How long is waited.
    pub timeouts: Timeouts,
    /// Credentials.
    pub keychain: Arc<dyn Keychain>,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            user_agent: USER_AGENT.to_owned(),
            roots: Vec::new(),
            registry_roots: BTreeMap::new(),
            client_certificates: BTreeMap::new(),
            plain_http: Relaxation::default(),
            skip_tls_verify: Relaxation::default(),
            proxies: Proxies::default(),
            names: NameFiles::default(),
            routes: Routes::default(),
            retry: RetryPolicy::default(),
            timeouts: Timeouts::default(),
            keychain: Arc::new(Anonymous),
        }
    }
}

impl ClientConfig {
    /// Whether plain HTTP will do: where it was asked for, and on this machine itself (COMPAT(kaniko)).
    pub(crate) fn allows_http(&self, registry: &Registry, direction: Direction) -> bool {
        registry.is_loopback() || self.plain_http.applies(registry, direction)
    }
}

/// HTTP clients of one TLS configuration.
#[derive(Debug)]
pub(crate) struct Transport {
    /// For the registry itself.
    direct: reqwest::Client,
    /// For hosts the registry points to, by how far it may point.
    foreign_public: reqwest::Client,
    foreign_private: reqwest::Client,
    foreign_loopback: reqwest::Client,
    /// The same configuration for `oci-client`, where that crate can express it.
    pub(crate) oci: Option<OciClients>,
}

impl Transport {
    pub(crate) const fn direct(&self) -> &reqwest::Client {
        &self.direct
    }

    /// The client for a URL that the registry supplied.
    ///
    /// # Errors
    /// The rule that its literal address breaks. Names are checked when they are resolved.
    pub(crate) fn foreign(
        &self,
        url: &Url,
        allowed: AddressClass,
    ) -> Result<&reqwest::Client, &'static str> {
        let literal: Option<IpAddr> = match url.host() {
            Some(Host::Ipv4(address)) => Some(address.into()),
            Some(Host::Ipv6(address)) => Some(address.into()),
            Some(Host::Domain(_)) => None,
            None => return Err("it has no host"),
        };
        if literal.is_some_and(|address| !is_allowed(address, allowed)) {
            return Err("a registry may not point to this address");
        }
        Ok(match allowed {
            AddressClass::Public => &self.foreign_public,
            AddressClass::Private => &self.foreign_private,
            AddressClass::Loopback => &self.foreign_loopback,
        })
    }
}

/// All transports of a client.
#[derive(Debug)]
pub(crate) struct Transports {
    by_registry: BTreeMap<(Registry, Verification), Arc<Transport>>,
    common: BTreeMap<Verification, Arc<Transport>>,
    pub(crate) names: Arc<Names>,
}

impl Transports {
    pub(crate) fn build(config: &ClientConfig) -> Result<Self, Error> {
        // reqwest and oci-client take the process's provider; one that is there already is as good.
        drop(rustls::crypto::ring::default_provider().install_default());
        let names = Arc::new(Names::new(&config.names));
        let builder = Builder {
            config,
            names: Arc::clone(&names),
            exempt: Arc::new(config.proxies.hosts()),
        };
        let mut verifications = vec![Verification::Required];
        if config.skip_tls_verify.is_used() {
            verifications.push(Verification::Skipped);
        }
        let special: BTreeSet<&Registry> = config
            .registry_roots
            .keys()
            .chain(config.client_certificates.keys())
            .collect();
        let mut by_registry = BTreeMap::new();
        let mut common = BTreeMap::new();
        for verification in verifications {
            common.insert(verification, Arc::new(builder.build(None, verification)?));
            for registry in &special {
                let transport = builder.build(Some(registry), verification)?;
                by_registry.insert(((*registry).clone(), verification), Arc::new(transport));
            }
        }
        Ok(Self {
            by_registry,
            common,
            names,
        })
    }

    /// The transport for a registry, by what the configuration says of it.
    pub(crate) fn get(
        &self,
        config: &ClientConfig,
        registry: &Registry,
        direction: Direction,
    ) -> Option<Arc<Transport>> {
        self.verifying(
            registry,
            config.skip_tls_verify.applies(registry, direction),
        )
    }

    /// The transport for any host of the web: what was said of this very host counts, what was said of all registries does not.
    pub(crate) fn of_host(&self, config: &ClientConfig, host: &Registry) -> Option<Arc<Transport>> {
        self.verifying(host, config.skip_tls_verify.registries.contains(host))
    }

    fn verifying(&self, registry: &Registry, skipped: bool) -> Option<Arc<Transport>> {
        let verification = if skipped {
            Verification::Skipped
        } else {
            Verification::Required
        };
        self.by_registry
            .get(&(registry.clone(), verification))
            .or_else(|| self.common.get(&verification))
            .cloned()
    }

    /// Makes `oci-client`'s own resolvers read their files now, while they are still the pod's.
    pub(crate) async fn warm_up(&self) {
        let all = self.by_registry.values().chain(self.common.values());
        let clients = all.filter_map(|transport| transport.oci.as_ref());
        futures_util::future::join_all(clients.map(OciClients::warm_up)).await;
    }
}

/// A client without redirects for what is no registry: the common CAs, always verified, and the names of the pod; `proxied` or not.
pub(crate) fn plain_client(config: &ClientConfig, proxied: bool) -> Result<reqwest::Client, Error> {
    drop(rustls::crypto::ring::default_provider().install_default());
    let mut extra = Vec::new();
    for pem in &config.roots {
        extra.extend(tls::certificates(pem)?);
    }
    let tls = tls::client_config(&tls::Roots::new(extra), Verification::Required, None)?;
    let proxies = if proxied {
        config.proxies.clone()
    } else {
        Proxies::default()
    };
    let config = ClientConfig {
        proxies,
        ..config.clone()
    };
    let names = Arc::new(Names::new(&config.names));
    let builder = Builder {
        config: &config,
        names: Arc::clone(&names),
        exempt: Arc::default(),
    };
    builder.client(tls, Arc::new(OpenResolver(names)))
}

struct Builder<'a> {
    config: &'a ClientConfig,
    names: Arc<Names>,
    exempt: Arc<std::collections::HashSet<String>>,
}

impl Builder<'_> {
    fn build(
        &self,
        registry: Option<&Registry>,
        verification: Verification,
    ) -> Result<Transport, Error> {
        let mut extra = Vec::new();
        let own = registry.and_then(|registry| self.config.registry_roots.get(registry));
        for pem in self.config.roots.iter().chain(own.into_iter().flatten()) {
            extra.extend(tls::certificates(pem)?);
        }
        let roots = tls::Roots::new(extra.clone());
        let identity = registry.and_then(|name| self.config.client_certificates.get(name));
        // Another host never sees the client certificate.
        let foreign = tls::client_config(&roots, verification, None)?;
        let direct = tls::client_config(&roots, verification, identity)?;
        let guarded = |allowed| {
            self.client(
                foreign.clone(),
                Arc::new(GuardedResolver {
                    names: Arc::clone(&self.names),
                    allowed,
                    exempt: Arc::clone(&self.exempt),
                }),
            )
        };
        Ok(Transport {
            direct: self.client(direct, Arc::new(OpenResolver(Arc::clone(&self.names))))?,
            foreign_public: guarded(AddressClass::Public)?,
            foreign_private: guarded(AddressClass::Private)?,
            foreign_loopback: guarded(AddressClass::Loopback)?,
            oci: self.oci_clients(&extra, verification, identity.is_some()),
        })
    }

    fn client<R: reqwest::dns::Resolve + 'static>(
        &self,
        tls: rustls::ClientConfig,
        resolver: Arc<R>,
    ) -> Result<reqwest::Client, Error> {
        let setup = |source| Error::Setup { source };
        let builder = reqwest::Client::builder()
            .user_agent(&self.config.user_agent)
            .tls_backend_preconfigured(tls)
            .dns_resolver(resolver)
            // HTTP/1.1 gives every layer its own connection, and none of HTTP/2's ways to starve the others.
            .http1_only()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .connect_timeout(self.config.timeouts.connect)
            // Registries and load balancers close idle connections after a minute or more.
            .pool_idle_timeout(Duration::from_secs(30));
        let builder = self.config.proxies.apply(builder).map_err(setup)?;
        builder.build().map_err(setup)
    }

    fn oci_clients(
        &self,
        extra: &[CertificateDer<'static>],
        verification: Verification,
        has_identity: bool,
    ) -> Option<OciClients> {
        // What it cannot express is done without it: client certificates, and a resolver that is ready before a proxy
        // is needed.
        let agent_is_own = self.config.user_agent != USER_AGENT;
        let proxied = !self.config.proxies.is_empty();
        if has_identity || agent_is_own || proxied || !oci::can_be_built() {
            return None;
        }
        OciClients::build(extra, verification, &self.config.timeouts)
            .inspect_err(|error| tracing::debug!(%error, "manifests are pushed without oci-client"))
            .ok()
    }
}
