use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

use crate::Error;

/// PEM text and where it came from, for people.
#[derive(Clone, Debug)]
pub struct Pem {
    /// A path or variable.
    pub origin: String,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// A client certificate with its key.
#[derive(Clone)]
pub struct ClientCertificate {
    /// The certificate and its chain.
    pub chain: Pem,
    /// The private key, PEM.
    pub key: crate::Secret<Vec<u8>>,
}

impl std::fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientCertificate")
            .field("origin", &self.chain.origin)
            .finish_non_exhaustive()
    }
}

/// Whether the server's certificate is looked at.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Verification {
    Required,
    Skipped,
}

/// The certificates of a PEM bundle, in order.
pub(crate) fn certificates(pem: &Pem) -> Result<Vec<CertificateDer<'static>>, Error> {
    CertificateDer::pem_slice_iter(&pem.bytes)
        .collect::<Result<_, _>>()
        .map_err(|source| Error::Certificates {
            origin: pem.origin.clone(),
            source: Arc::new(source),
        })
}

/// The roots that every registry is verified against. A certificate that is not one is left out: system bundles have some.
pub(crate) fn root_store(extra: &[CertificateDer<'static>]) -> RootCertStore {
    let mut store = RootCertStore::empty();
    let builtin = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned();
    let (_, ignored) = store.add_parsable_certificates(builtin.chain(extra.iter().cloned()));
    if ignored > 0 {
        tracing::debug!(ignored, "certificates that are no roots are left out");
    }
    store
}

pub(crate) fn client_config(
    roots: RootCertStore,
    verification: Verification,
    identity: Option<&ClientCertificate>,
) -> Result<ClientConfig, Error> {
    let setup = |source| Error::SetupTls { source };
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(setup)?;
    let builder = match verification {
        Verification::Required => builder.with_root_certificates(roots),
        Verification::Skipped => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(NoVerification(provider))),
    };
    let Some(identity) = identity else {
        return Ok(builder.with_no_client_auth());
    };
    let key = PrivateKeyDer::from_pem_slice(identity.key.expose()).map_err(|source| {
        Error::Certificates {
            origin: identity.chain.origin.clone(),
            source: Arc::new(source),
        }
    })?;
    builder
        .with_client_auth_cert(certificates(&identity.chain)?, key)
        .map_err(setup)
}

/// `--skip-tls-verify`: the certificate is not looked at, the handshake's signature still is.
#[derive(Debug)]
struct NoVerification(Arc<CryptoProvider>);

impl ServerCertVerifier for NoVerification {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
