use std::io;
use std::net::TcpStream;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// What the registry speaks TLS with.
pub(crate) struct Server {
    /// PEM.
    pub(crate) certificate: String,
    pub(crate) config: Arc<ServerConfig>,
}

impl Server {
    pub(crate) fn new(names: Vec<String>) -> Self {
        let made = rcgen::generate_simple_self_signed(names).expect("names of a test");
        let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring knows the default versions")
            .with_no_client_auth()
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
