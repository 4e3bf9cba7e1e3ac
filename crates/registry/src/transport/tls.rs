use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
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

/// What registries are verified against: the built-in roots and those of the user.
#[derive(Clone, Debug)]
pub(crate) struct Roots {
    store: Arc<RootCertStore>,
    extra: Vec<CertificateDer<'static>>,
}

impl Roots {
    /// A certificate that is no root is left out of the store: system bundles have some.
    pub(crate) fn new(extra: Vec<CertificateDer<'static>>) -> Self {
        let mut store = RootCertStore::empty();
        let builtin = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned();
        let (_, ignored) = store.add_parsable_certificates(builtin.chain(extra.iter().cloned()));
        if ignored > 0 {
            tracing::debug!(ignored, "certificates that are no roots are left out");
        }
        Self {
            store: Arc::new(store),
            extra,
        }
    }
}

pub(crate) fn client_config(
    roots: &Roots,
    verification: Verification,
    identity: Option<&ClientCertificate>,
) -> Result<ClientConfig, Error> {
    let setup = |source| Error::SetupTls { source };
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(setup)?;
    let verifier: Arc<dyn ServerCertVerifier> = match verification {
        Verification::Required => Arc::new(ChainOrItself::new(roots, provider)?),
        Verification::Skipped => Arc::new(NoVerification(provider)),
    };
    let builder = builder
        .dangerous()
        .with_custom_certificate_verifier(verifier);
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
        // A key of another certificate, above all.
        .map_err(|source| Error::Certificates {
            origin: identity.chain.origin.clone(),
            source: Arc::new(source),
        })
}

/// The usual verification; beside it, a certificate that the user named as a root may be the server's own. So are most
/// self-signed ones made, Go's programs accept them, and webpki alone refuses a CA as a server.
#[derive(Debug)]
struct ChainOrItself {
    chain: Arc<WebPkiServerVerifier>,
    named: Vec<CertificateDer<'static>>,
}

impl ChainOrItself {
    fn new(roots: &Roots, provider: Arc<CryptoProvider>) -> Result<Self, Error> {
        let store = Arc::clone(&roots.store);
        let chain = WebPkiServerVerifier::builder_with_provider(store, provider)
            .build()
            .map_err(|error| Error::SetupTls {
                source: rustls::Error::General(error.to_string()),
            })?;
        Ok(Self {
            chain,
            named: roots.extra.clone(),
        })
    }
}

impl ServerCertVerifier for ChainOrItself {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let chain = &self.chain;
        let verified =
            chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match verified {
            // webpki looks at the dates first, so these errors are of a certificate that is valid now.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::Other(_) | CertificateError::UnknownIssuer,
            )) if self.named.iter().any(|named| named == end_entity) => {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            // webpki's own words ("CaUsedAsEndEntity") tell a user nothing.
            Err(rustls::Error::InvalidCertificate(CertificateError::Other(_))) => Err(
                rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer),
            ),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chain
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chain
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
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
