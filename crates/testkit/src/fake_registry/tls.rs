use std::io;
use std::net::TcpStream;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

/// A certificate and its key, PEM.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate, which is its own authority.
    pub certificate: String,
    /// The key.
    pub key: String,
}

impl Identity {
    /// A new one for a name.
    ///
    /// # Panics
    /// For a name that no certificate can have.
    pub fn new(name: &str) -> Self {
        let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]);
        let made = made.expect("a name of a test");
        Self {
            certificate: made.cert.pem(),
            key: made.signing_key.serialize_pem(),
        }
    }
}

/// What the registry speaks TLS with.
pub(crate) struct Server {
    /// PEM.
    pub(crate) certificate: String,
    pub(crate) config: Arc<ServerConfig>,
}

impl Server {
    pub(crate) fn new(names: Vec<String>, clients: Option<&str>) -> Self {
        let made = rcgen::generate_simple_self_signed(names).expect("names of a test");
        let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("ring knows the default versions");
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let authority = CertificateDer::from_pem_slice(authority.as_bytes());
                let mut roots = RootCertStore::empty();
                roots
                    .add(authority.expect("PEM of a test"))
                    .expect("an authority of a test");
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().expect("one authority"))
            }
        };
        let config = builder
            .with_single_cert(vec![made.cert.der().clone()], key)
            .expect("a key of its certificate");
        Self {
            certificate: made.cert.pem(),
            config: Arc::new(config),
        }
    }
}

pub(crate) fn stream(
    config: Arc<ServerConfig>,
    stream: TcpStream,
) -> io::Result<StreamOwned<ServerConnection, TcpStream>> {
    stream.set_nodelay(true)?;
    let connection = ServerConnection::new(config).map_err(io::Error::other)?;
    Ok(StreamOwned::new(connection, stream))
}
