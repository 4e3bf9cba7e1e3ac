//! An application that proves itself with a certificate (Microsoft identity platform, "application authentication certificate credentials").

use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use ring::digest;
use ring::rand::{SecureRandom as _, SystemRandom};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::json;
use url::Url;

use crate::cloud::jwt::Signer;
use crate::cloud::surroundings::read_named;
use crate::cloud::{Error, Provider, Surroundings};

const VARIABLE: &str = "AZURE_CLIENT_CERTIFICATE_PATH";
/// Of an assertion, in seconds, as Microsoft's libraries have it.
const LIFETIME: u64 = 600;
const ENCRYPTED: [&str; 2] = ["BEGIN ENCRYPTED PRIVATE KEY", "Proc-Type: 4,ENCRYPTED"];

/// A certificate and its key.
#[derive(Debug)]
pub(super) struct Certificate {
    signer: Signer,
    /// `x5t`
    thumbprint: String,
    /// `x5c`, when it is wanted: the certificate, then those above it.
    chain: Option<Vec<String>>,
}

impl Certificate {
    /// The file that `AZURE_CLIENT_CERTIFICATE_PATH` names; `AZURE_CLIENT_SEND_CERTIFICATE_CHAIN` sends its certificates along.
    pub(super) fn of_variables(surroundings: &Surroundings) -> Result<Option<Self>, Error> {
        let Some(path) = surroundings.variable(VARIABLE) else {
            return Ok(None);
        };
        let send = surroundings.says_yes("AZURE_CLIENT_SEND_CERTIFICATE_CHAIN");
        let wrong = |what: &str, fix: &str| {
            let what = format!("{VARIABLE}: `{path}` {what}");
            Error::configuration(Provider::Azure, what, fix)
        };
        let text = match read_named(Provider::Azure, Path::new(path), VARIABLE) {
            Ok(text) => text,
            Err(Error::Read { source, .. }) if source.kind() == io::ErrorKind::InvalidData => {
                return Err(wrong(
                    "is not PEM, and PKCS#12 is not supported",
                    "convert it with `openssl pkcs12 -in cert.pfx -nodes -out cert.pem`",
                ));
            }
            Err(other) => return Err(other),
        };
        surroundings.secret(text.as_str());
        if ENCRYPTED.iter().any(|mark| text.contains(mark)) {
            return Err(wrong(
                "has an encrypted private key, which is not supported",
                "decrypt it with `openssl pkey`, and keep it in a Secret",
            ));
        }
        Self::parse(&text, send).map(Some).map_err(|what| {
            wrong(
                what,
                "it must hold the certificate of the application and its RSA key, both PEM",
            )
        })
    }

    /// What is wrong with the text, if anything is.
    fn parse(text: &str, send: bool) -> Result<Self, &'static str> {
        let signer = Signer::from_pem(text).ok_or("has no RSA private key")?;
        let mut all: Vec<CertificateDer<'_>> = CertificateDer::pem_slice_iter(text.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(|_quotes_nothing| "has a certificate that is not PEM")?;
        // The key stands in the certificate as it is.
        let key = signer.public_key();
        let is_of_key = |der: &CertificateDer<'_>| der.windows(key.len()).any(|part| part == key);
        let own = all
            .iter()
            .position(is_of_key)
            .ok_or("has no certificate for its private key")?;
        let own = all.remove(own);
        let sha1 = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &own);
        let chain = std::iter::once(&own).chain(&all);
        Ok(Self {
            signer,
            thumbprint: BASE64_URL_SAFE_NO_PAD.encode(sha1),
            chain: send.then(|| chain.map(|der| BASE64_STANDARD.encode(der)).collect()),
        })
    }

    /// What convinces `audience` that we are `client`.
    pub(super) fn assertion(
        &self,
        client: &str,
        audience: &Url,
        now: SystemTime,
    ) -> Option<String> {
        let now = now.duration_since(UNIX_EPOCH).ok()?.as_secs();
        let mut header = json!({ "alg": "RS256", "typ": "JWT", "x5t": self.thumbprint });
        if let (Some(chain), Some(fields)) = (&self.chain, header.as_object_mut()) {
            fields.insert("x5c".to_owned(), json!(chain));
        }
        let claims = json!({
            "aud": audience.as_str(),
            "exp": now + LIFETIME,
            "iss": client,
            "jti": once()?,
            "nbf": now,
            "sub": client,
        });
        self.signer.sign(&header, &claims)
    }
}

/// A number that no other assertion has.
fn once() -> Option<String> {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).ok()?;
    let mut text = String::new();
    for byte in bytes {
        write!(text, "{byte:02x}").ok()?;
    }
    Some(text)
}
