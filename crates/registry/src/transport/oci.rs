//! `oci-client`, confined to the verb it does right: pushing a manifest's bytes by tag.

use std::fmt;
use std::time::Duration;

use kigumi_oci::Reference;
use oci_client::client::{Certificate, CertificateEncoding, ClientConfig, ClientProtocol};
use oci_client::errors::OciDistributionError;
use oci_client::secrets::RegistryAuth;
use rustls_pki_types::CertificateDer;

use super::Timeouts;
use super::tls::Verification;

/// Never a host: RFC 6761 § 6.4. With the dot it is not looked for in search domains either.
const NOWHERE: &str = "warm-up.invalid.";

/// The two clients of one TLS configuration.
pub(crate) struct OciClients {
    https: oci_client::Client,
    http: oci_client::Client,
}

impl fmt::Debug for OciClients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OciClients(…)")
    }
}

/// Whether `oci-client` can be built at all: beside the client that we configure it makes a default one that it throws away,
/// and panics where the system has no CA certificates, as in an image made from scratch.
pub(super) fn can_be_built() -> bool {
    reqwest::Client::builder()
        .build()
        .inspect_err(|error| tracing::debug!(%error, "manifests are pushed without oci-client"))
        .is_ok()
}

impl OciClients {
    pub(super) fn build(
        extra: &[CertificateDer<'static>],
        verification: Verification,
        timeouts: &Timeouts,
    ) -> Result<Self, OciDistributionError> {
        let builtin = webpki_root_certs::TLS_SERVER_ROOT_CERTS;
        // For plain HTTP one root will do; with none, the platform's would be read.
        let http_roots = builtin.iter().take(1);
        let https_roots = builtin.iter().chain(extra);
        let client = |protocol, roots: Vec<&CertificateDer<'static>>| {
            oci_client::Client::try_from(ClientConfig {
                protocol,
                accept_invalid_certificates: verification == Verification::Skipped,
                tls_certs_only: roots.into_iter().map(certificate).collect(),
                read_timeout: Some(timeouts.stall),
                connect_timeout: Some(timeouts.connect),
                user_agent: super::USER_AGENT,
                ..ClientConfig::default()
            })
        };
        Ok(Self {
            https: client(ClientProtocol::Https, https_roots.collect())?,
            http: client(ClientProtocol::Http, http_roots.collect())?,
        })
    }

    pub(crate) fn by_scheme(&self, scheme: &str) -> &oci_client::Client {
        match scheme {
            "http" => &self.http,
            _ => &self.https,
        }
    }

    /// Asks for a host that does not exist: the resolver inside reads `/etc/resolv.conf` and `/etc/hosts` for that, and
    /// never again. No query leaves the machine.
    pub(super) async fn warm_up(&self) {
        let nowhere = Reference::with_tag(NOWHERE.to_owned(), "x".to_owned(), "x".to_owned());
        for client in [&self.https, &self.http] {
            let asked = client.pull_manifest_raw(&nowhere, &RegistryAuth::Anonymous, &[]);
            // The answer is always that there is no such host.
            drop(tokio::time::timeout(Duration::from_secs(2), asked).await);
        }
    }
}

fn certificate(der: &CertificateDer<'static>) -> Certificate {
    Certificate {
        encoding: CertificateEncoding::Der,
        data: der.to_vec(),
    }
}
