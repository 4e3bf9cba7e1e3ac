//! Assertions that an RSA key signs (RFC 7515, RFC 7523).

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{PrivatePkcs1KeyDer, PrivatePkcs8KeyDer};
use serde_json::Value;

/// An RSA key that signs.
#[derive(Debug)]
pub(crate) struct Signer(RsaKeyPair);

impl Signer {
    /// The RSA key of a PEM text, in PKCS#8 or PKCS#1; `None` when there is none.
    pub(crate) fn from_pem(text: &str) -> Option<Self> {
        let pem = text.as_bytes();
        let key = if let Ok(key) = PrivatePkcs8KeyDer::from_pem_slice(pem) {
            RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).ok()?
        } else {
            let key = PrivatePkcs1KeyDer::from_pem_slice(pem).ok()?;
            RsaKeyPair::from_der(key.secret_pkcs1_der()).ok()?
        };
        Some(Self(key))
    }

    /// The public key as certificates hold it (RFC 8017, `RSAPublicKey`).
    pub(crate) fn public_key(&self) -> &[u8] {
        self.0.public().as_ref()
    }

    /// `header.claims.signature`, with RS256.
    pub(crate) fn sign(&self, header: &Value, claims: &Value) -> Option<String> {
        let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!("{}.{}", part(header), part(claims));
        let mut signature = vec![0; self.0.public().modulus_len()];
        let random = SystemRandom::new();
        self.0
            .sign(&RSA_PKCS1_SHA256, &random, text.as_bytes(), &mut signature)
            .ok()?;
        let signature = BASE64_URL_SAFE_NO_PAD.encode(signature);
        Some(format!("{text}.{signature}"))
    }
}
