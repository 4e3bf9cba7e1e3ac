//! Names to addresses without NSS: a static binary must not load libraries of the image it has unpacked, and must not
//! read that image's `/etc/hosts` either. So both files are read once, at the start.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::system_conf::parse_resolv_conf;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::address::{AddressClass, classify};

/// The contents of `/etc/hosts` and `/etc/resolv.conf`.
#[derive(Clone, Debug, Default)]
pub struct NameFiles {
    /// hosts(5).
    pub hosts: Vec<u8>,
    /// resolv.conf(5).
    pub resolv_conf: Vec<u8>,
}

impl NameFiles {
    /// The system's files, read now. A missing file is an empty one.
    pub fn read_system() -> Self {
        let read = |path: &str| {
            std::fs::read(Path::new(path)).unwrap_or_else(|error| {
                tracing::debug!(path, %error, "name resolution goes without this file");
                Vec::new()
            })
        };
        Self {
            hosts: read("/etc/hosts"),
            resolv_conf: read("/etc/resolv.conf"),
        }
    }
}

/// Resolves names from what was read at the start.
pub(crate) struct Names {
    hosts: HashMap<String, Vec<IpAddr>>,
    config: (ResolverConfig, ResolverOpts),
    resolver: OnceLock<TokioResolver>,
}

impl std::fmt::Debug for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Names")
            .field("hosts", &self.hosts)
            .finish_non_exhaustive()
    }
}

impl Names {
    pub(crate) fn new(files: &NameFiles) -> Self {
        Self {
            hosts: parse_hosts(&files.hosts),
            config: resolver_config(&files.resolv_conf),
            resolver: OnceLock::new(),
        }
    }

    pub(crate) async fn lookup(&self, name: &str) -> Result<Vec<IpAddr>, NetError> {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        if let Some(addresses) = self.hosts.get(&name) {
            return Ok(addresses.clone());
        }
        // RFC 6761 § 6.3: never asked of a name server.
        if name == "localhost" || name.ends_with(".localhost") {
            return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        }
        Ok(self.resolver()?.lookup_ip(name).await?.iter().collect())
    }

    /// Built at first use, since it belongs to the runtime it is used in; it reads no file.
    fn resolver(&self) -> Result<&TokioResolver, NetError> {
        if let Some(resolver) = self.resolver.get() {
            return Ok(resolver);
        }
        let (config, options) = self.config.clone();
        let provider = TokioRuntimeProvider::default();
        let resolver = TokioResolver::builder_with_config(config, provider)
            .with_options(options)
            .build()?;
        Ok(self.resolver.get_or_init(|| resolver))
    }
}

fn resolver_config(resolv_conf: &[u8]) -> (ResolverConfig, ResolverOpts) {
    let (config, mut options) = parse_resolv_conf(resolv_conf).unwrap_or_else(|error| {
        tracing::debug!(%error, "no usable resolv.conf");
        // resolv.conf(5): without a name server, the one on this machine.
        let local = NameServerConfig::udp_and_tcp(Ipv4Addr::LOCALHOST.into());
        let config = ResolverConfig::from_parts(None, Vec::new(), vec![local]);
        (config, ResolverOpts::default())
    });
    options.use_hosts_file = ResolveHosts::Never;
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    (config, options)
}

fn parse_hosts(bytes: &[u8]) -> HashMap<String, Vec<IpAddr>> {
    let mut hosts: HashMap<String, Vec<IpAddr>> = HashMap::new();
    for line in String::from_utf8_lossy(bytes).lines() {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_ascii_whitespace();
        let Some(Ok(address)) = words.next().map(str::parse) else {
            continue;
        };
        for name in words {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            hosts.entry(name).or_default().push(address);
        }
    }
    hosts
}

/// For the registry's own host: any address will do, since the user named it.
#[derive(Debug, Clone)]
pub(crate) struct OpenResolver(pub(crate) Arc<Names>);

impl Resolve for OpenResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let names = Arc::clone(&self.0);
        Box::pin(async move {
            let addresses = names.lookup(name.as_str()).await?;
            Ok(addrs(addresses))
        })
    }
}

/// For hosts that a registry points to: the address is checked at every connection, so that a name cannot be used to
/// reach what its literal address may not.
#[derive(Debug, Clone)]
pub(crate) struct GuardedResolver {
    pub(crate) names: Arc<Names>,
    pub(crate) allowed: AddressClass,
    /// Proxies of the user's own choosing.
    pub(crate) exempt: Arc<HashSet<String>>,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let addresses = guard.names.lookup(name.as_str()).await?;
            let exempt = guard.exempt.contains(name.as_str());
            let forbidden = addresses
                .iter()
                .find(|address| !exempt && !is_allowed(**address, guard.allowed));
            match forbidden {
                Some(address) => Err(Box::from(io::Error::new(
                    io::ErrorKind::PermissionDenied,
                    format!(
                        "`{}` is at {address}, where this registry may not send us",
                        name.as_str()
                    ),
                ))),
                None => Ok(addrs(addresses)),
            }
        })
    }
}

/// Whether a registry of class `allowed` may point to `address`.
pub(crate) fn is_allowed(address: IpAddr, allowed: AddressClass) -> bool {
    classify(address).is_some_and(|class| class <= allowed)
}

fn addrs(addresses: Vec<IpAddr>) -> Addrs {
    Box::new(
        addresses
            .into_iter()
            .map(|address| SocketAddr::new(address, 0)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn hosts_and_localhost_need_no_name_server() {
        let names = Names::new(&NameFiles {
            hosts: b"# comment\n10.0.0.7  registry.test Alias.test # x\n::1 registry.test\nnonsense a.test\n"
                .to_vec(),
            resolv_conf: Vec::new(),
        });
        let cases = [
            ("registry.test", vec!["10.0.0.7", "::1"]),
            ("ALIAS.test.", vec!["10.0.0.7"]),
            ("localhost", vec!["127.0.0.1", "::1"]),
            ("a.localhost", vec!["127.0.0.1", "::1"]),
        ];
        for (name, expected) in cases {
            let expected: Vec<IpAddr> = expected.iter().map(|a| a.parse().unwrap()).collect();
            assert_eq!(names.lookup(name).await.unwrap(), expected, "{name}");
        }
    }

    #[tokio::test]
    async fn a_name_at_a_forbidden_address_is_refused_when_it_is_resolved() {
        use AddressClass::{Loopback, Private, Public};
        let names = Arc::new(Names::new(&NameFiles {
            hosts: b"169.254.169.254 metadata.test\n127.0.0.1 loop.test\n10.0.0.1 private.test\n8.8.8.8 public.test\n10.0.0.2 proxy.test\n"
                .to_vec(),
            resolv_conf: Vec::new(),
        }));
        let resolves = async |name: &str, allowed| {
            let guard = GuardedResolver {
                names: Arc::clone(&names),
                allowed,
                exempt: Arc::new(HashSet::from(["proxy.test".to_owned()])),
            };
            guard.resolve(name.parse().unwrap()).await.is_ok()
        };
        let cases = [
            ("public.test", Public, true),
            ("private.test", Public, false),
            ("private.test", Private, true),
            ("loop.test", Private, false),
            ("loop.test", Loopback, true),
            ("metadata.test", Loopback, false),
            ("proxy.test", Public, true),
        ];
        for (name, allowed, expected) in cases {
            assert_eq!(
                resolves(name, allowed).await,
                expected,
                "{name} {allowed:?}"
            );
        }
    }
}
