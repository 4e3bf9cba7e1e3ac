//! Private keys: read from the files people have, able to sign, and nothing else.

mod modulo;
mod openssh;
mod pem;

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA512, RsaEncoding, RsaKeyPair,
};
use zeroize::Zeroizing;

use super::wire::{put_number, put_string};

/// Longest key file that is read, in bytes. One with 16384 bits of RSA has 13 KB.
const LONGEST_FILE: u64 = 64 * 1024;

/// Flags of a sign request. draft-ietf-sshm-ssh-agent § 3.6.1.
const RSA_SHA2_256: u32 = 2;
const RSA_SHA2_512: u32 = 4;

const P256: &str = "ecdsa-sha2-nistp256";
const P384: &str = "ecdsa-sha2-nistp384";
const ED25519: &str = "ssh-ed25519";
const RSA: &str = "ssh-rsa";

/// Why a file is no key for us. Nothing of the file is in it, save the name of a type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Something else.
    #[error("it is not a private key in OpenSSH, PKCS#8 or PKCS#1 (RSA) form")]
    NotAKey,
    /// It needs a passphrase.
    #[error(
        "the key is encrypted, and there is nobody to ask for its passphrase; remove it from a copy with `ssh-keygen -p`, or forward an agent that holds the key"
    )]
    Encrypted,
    /// A type that we cannot sign with.
    #[error(
        "keys of the type `{name}` are not supported: use ed25519, RSA of 2048 to 4096 bits, or ECDSA on P-256 or P-384, or forward an agent that holds the key"
    )]
    Type {
        /// As the file names it.
        name: String,
    },
    /// A key of a known type that is wrong in itself.
    #[error("the `{name}` key is damaged, or its size is not supported")]
    Damaged {
        /// Its type.
        name: &'static str,
    },
}

enum Signer {
    Ed25519(Ed25519KeyPair),
    Ecdsa(&'static str, EcdsaKeyPair),
    Rsa(Box<RsaKeyPair>),
}

/// A private key that can sign.
pub struct PrivateKey {
    /// The public key as agents and servers exchange it.
    public: Vec<u8>,
    comment: Vec<u8>,
    signer: Signer,
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({})", self.signer.name())
    }
}

/// The bytes of a key file.
pub(super) fn read(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let length = usize::try_from(LONGEST_FILE).unwrap_or(usize::MAX);
    let mut text = Zeroizing::new(Vec::with_capacity(length));
    File::open(path)?
        .take(LONGEST_FILE)
        .read_to_end(&mut text)?;
    Ok(text)
}

impl PrivateKey {
    /// Reads a key file.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn parse(text: &[u8]) -> Result<Self, KeyError> {
        let block = pem::Block::parse(text)?;
        match block.label {
            "OPENSSH PRIVATE KEY" => openssh::parse(&block.bytes),
            "RSA PRIVATE KEY" => {
                let pair = RsaKeyPair::from_der(&block.bytes);
                let pair = pair.map_err(|_| KeyError::Damaged { name: RSA })?;
                Ok(Signer::Rsa(Box::new(pair)).into_key(b""))
            }
            "PRIVATE KEY" => pkcs8(&block.bytes),
            "ENCRYPTED PRIVATE KEY" => Err(KeyError::Encrypted),
            "EC PRIVATE KEY" | "DSA PRIVATE KEY" => Err(KeyError::Type {
                name: block.label.to_owned(),
            }),
            _ => Err(KeyError::NotAKey),
        }
    }

    /// The public key as agents and servers exchange it.
    pub fn public(&self) -> &[u8] {
        &self.public
    }

    /// What people call it.
    pub fn comment(&self) -> &[u8] {
        &self.comment
    }

    /// The signature in the form of RFC 4253 § 6.6; `None` for what cannot be signed, such as RSA with SHA-1.
    pub fn sign(&self, data: &[u8], flags: u32) -> Option<Vec<u8>> {
        let (name, raw) = match &self.signer {
            Signer::Ed25519(pair) => (ED25519, pair.sign(data).as_ref().to_vec()),
            Signer::Ecdsa(name, pair) => {
                let signature = pair.sign(&SystemRandom::new(), data).ok()?;
                let (r, s) = halves(signature.as_ref())?;
                let mut raw = Vec::new();
                put_number(&mut raw, r);
                put_number(&mut raw, s);
                (*name, raw)
            }
            Signer::Rsa(pair) => {
                let (name, encoding): (_, &dyn RsaEncoding) = if flags & RSA_SHA2_512 != 0 {
                    ("rsa-sha2-512", &RSA_PKCS1_SHA512)
                } else if flags & RSA_SHA2_256 != 0 {
                    ("rsa-sha2-256", &RSA_PKCS1_SHA256)
                } else {
                    return None;
                };
                let mut raw = vec![0; pair.public().modulus_len()];
                pair.sign(encoding, &SystemRandom::new(), data, &mut raw)
                    .ok()?;
                (name, raw)
            }
        };
        let mut signature = Vec::new();
        put_string(&mut signature, name.as_bytes());
        put_string(&mut signature, &raw);
        Some(signature)
    }
}

fn halves(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    bytes.split_at_checked(bytes.len() / 2)
}

/// PKCS#8 does not say in its frame which type it is: each is tried.
fn pkcs8(der: &[u8]) -> Result<PrivateKey, KeyError> {
    let random = SystemRandom::new();
    let ecdsa = |name, algorithm| {
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, der, &random).ok();
        pair.map(|pair| Signer::Ecdsa(name, pair))
    };
    let ed25519 = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).ok();
    let signer = ed25519
        .map(Signer::Ed25519)
        .or_else(|| ecdsa(P256, &ECDSA_P256_SHA256_FIXED_SIGNING))
        .or_else(|| ecdsa(P384, &ECDSA_P384_SHA384_FIXED_SIGNING))
        .or_else(|| {
            let pair = RsaKeyPair::from_pkcs8(der).ok();
            pair.map(|pair| Signer::Rsa(Box::new(pair)))
        });
    let other = || KeyError::Type {
        name: "PRIVATE KEY (PKCS#8)".to_owned(),
    };
    Ok(signer.ok_or_else(other)?.into_key(b""))
}

impl Signer {
    fn name(&self) -> &'static str {
        match self {
            Self::Ed25519(_) => ED25519,
            Self::Ecdsa(name, _) => name,
            Self::Rsa(_) => RSA,
        }
    }

    fn into_key(self, comment: &[u8]) -> PrivateKey {
        PrivateKey {
            public: self.public(),
            comment: comment.to_vec(),
            signer: self,
        }
    }

    /// RFC 4253 § 6.6, RFC 5656 § 3.1, RFC 8709 § 4.
    fn public(&self) -> Vec<u8> {
        let mut public = Vec::new();
        put_string(&mut public, self.name().as_bytes());
        match self {
            Self::Ed25519(pair) => put_string(&mut public, pair.public_key().as_ref()),
            Self::Ecdsa(name, pair) => {
                let curve = name.trim_start_matches("ecdsa-sha2-");
                put_string(&mut public, curve.as_bytes());
                put_string(&mut public, pair.public_key().as_ref());
            }
            Self::Rsa(pair) => {
                let parts = ring::rsa::PublicKeyComponents::<Vec<u8>>::from(pair.public());
                put_number(&mut public, &parts.e);
                put_number(&mut public, &parts.n);
            }
        }
        public
    }
}

#[cfg(test)]
pub(super) mod tests;
