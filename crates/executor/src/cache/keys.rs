//! Keys that sign and verify entries, in Nix's form: `NAME:BASE64` of 64 bytes (seed and public key) or of 32 (public key). supply-chain.md § 4.2.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use zeroize::Zeroizing;

use super::error::CacheError;
use crate::secrets::Redactor;

/// Longest name of a key, in bytes: it becomes part of the name of an annotation.
const LONGEST_NAME: usize = 64;
/// What no key file is larger than.
const LONGEST_FILE: usize = 4096;

/// A key that signs.
pub(super) struct SignKey {
    name: String,
    pair: Ed25519KeyPair,
}

/// A key that verifies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct VerifyKey {
    name: String,
    public: Vec<u8>,
}

impl std::fmt::Debug for SignKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignKey")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl SignKey {
    /// Reads a secret key and hides it from every log.
    pub(super) fn read(path: &Path, redactor: &Redactor) -> Result<Self, CacheError> {
        const FLAG: &str = "--cache-sign-key";
        let text = read(FLAG, path)?;
        if let Some((_, secret)) = text.trim().split_once(':') {
            redactor.hide(secret.as_bytes());
        }
        let (name, bytes) = parse(&text).map_err(not_a_key(FLAG, path))?;
        redactor.hide(&bytes);
        let (seed, public) = match bytes.len() {
            64 => bytes.split_at(32),
            32 => {
                return Err(not_a_key(FLAG, path)(
                    "it has 32 bytes, which is a public key; a secret key has 64",
                ));
            }
            _ => return Err(not_a_key(FLAG, path)("a secret key has 64 bytes")),
        };
        let pair = Ed25519KeyPair::from_seed_and_public_key(seed, public);
        let pair = pair
            .map_err(|_rejected| not_a_key(FLAG, path)("its two halves do not belong together"))?;
        Ok(Self { name, pair })
    }

    /// Its public half.
    pub(super) fn verify_key(&self) -> VerifyKey {
        VerifyKey {
            name: self.name.clone(),
            public: self.pair.public_key().as_ref().to_vec(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The signature of `body` as of this kind, base64.
    pub(super) fn sign(&self, kind: &str, body: &[u8]) -> String {
        let signature = self.pair.sign(&pre_authentication(kind, body));
        STANDARD.encode(signature)
    }
}

impl VerifyKey {
    pub(super) fn read(path: &Path) -> Result<Self, CacheError> {
        const FLAG: &str = "--cache-verify-key";
        let text = read(FLAG, path)?;
        let (name, bytes) = parse(&text).map_err(not_a_key(FLAG, path))?;
        match bytes.len() {
            32 => Ok(Self {
                name,
                public: bytes.to_vec(),
            }),
            64 => Err(not_a_key(FLAG, path)(
                "it has 64 bytes, which is a secret key; give the public one, and nobody the secret one",
            )),
            _ => Err(not_a_key(FLAG, path)("a public key has 32 bytes")),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether `signature`, base64, is this key's of `body` as of this kind.
    pub(super) fn verifies(&self, kind: &str, body: &[u8], signature: &str) -> bool {
        let Ok(signature) = STANDARD.decode(signature) else {
            return false;
        };
        let key = UnparsedPublicKey::new(&ED25519, &self.public);
        key.verify(&pre_authentication(kind, body), &signature)
            .is_ok()
    }
}

/// DSSE's pre-authentication encoding: a record of one kind is never one of another.
fn pre_authentication(kind: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("DSSEv1 {} {kind} {} ", kind.len(), body.len()).into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

fn read(flag: &'static str, path: &Path) -> Result<Zeroizing<String>, CacheError> {
    let bytes = std::fs::read(path).map_err(|source| CacheError::ReadKey {
        flag,
        path: path.to_owned(),
        source,
    })?;
    let text = String::from_utf8(bytes).ok();
    let text = text.filter(|text| text.len() <= LONGEST_FILE);
    text.map(Zeroizing::new)
        .ok_or_else(|| not_a_key(flag, path)("expected NAME:BASE64"))
}

fn not_a_key(flag: &'static str, path: &Path) -> impl Fn(&'static str) -> CacheError + use<> {
    let path: PathBuf = path.to_owned();
    move |reason| CacheError::NotAKey {
        flag,
        path: path.clone(),
        reason,
    }
}

fn parse(text: &str) -> Result<(String, Zeroizing<Vec<u8>>), &'static str> {
    let (name, encoded) = text.trim().split_once(':').ok_or("expected NAME:BASE64")?;
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(is_name) {
        return Err("its name may have letters, digits, `-`, `_` and `.`, and not more than 64");
    }
    let bytes = STANDARD.decode(encoded.trim());
    let bytes = bytes.map_err(|_malformed| "what follows its name is not base64")?;
    Ok((name.to_owned(), Zeroizing::new(bytes)))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A key pair of this seed as the texts of its two files.
    pub(in crate::cache) fn key_files(name: &str, seed: u8) -> (String, String) {
        let seed = [seed; 32];
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
        let public = pair.public_key().as_ref();
        let secret = [&seed, public].concat();
        (
            format!("{name}:{}\n", STANDARD.encode(secret)),
            format!("{name}:{}\n", STANDARD.encode(public)),
        )
    }

    pub(in crate::cache) fn key_pair(name: &str, seed: u8) -> (SignKey, VerifyKey) {
        let directory = tempfile::tempdir().unwrap();
        let (secret, public) = key_files(name, seed);
        let write = |name: &str, text: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let sign = SignKey::read(&write("s", &secret), &Redactor::default()).unwrap();
        let verify = VerifyKey::read(&write("p", &public)).unwrap();
        (sign, verify)
    }

    #[test]
    fn the_encoding_is_that_of_dsse() {
        assert_eq!(
            pre_authentication("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }

    #[test]
    fn a_signature_is_of_one_key_one_kind_and_one_body() {
        let (sign, verify) = key_pair("main-1", 1);
        assert_eq!(sign.verify_key(), verify);
        let signature = sign.sign("A", b"body");
        assert!(verify.verifies("A", b"body", &signature));
        assert!(!verify.verifies("B", b"body", &signature));
        assert!(!verify.verifies("A", b"bodx", &signature));
        assert!(!verify.verifies("A", b"body", ""));
        let (_, other) = key_pair("main-1", 2);
        assert!(!other.verifies("A", b"body", &signature));
    }

    #[test]
    fn a_file_that_holds_no_key_is_refused_and_its_content_is_not_told() {
        let directory = tempfile::tempdir().unwrap();
        let (secret, public) = key_files("k", 1);
        let (_, of_another) = key_files("k", 2);
        let decode = |text: &str| {
            STANDARD
                .decode(text.trim().split_once(':').unwrap().1)
                .unwrap()
        };
        let mixed = [&decode(&secret)[..32], &decode(&of_another)].concat();
        let mixed = format!("k:{}", STANDARD.encode(mixed));
        for (text, as_secret, as_public) in [
            ("", "NAME:BASE64", "NAME:BASE64"),
            ("k:%%%", "not base64", "not base64"),
            ("a b:AAAA", "its name", "its name"),
            ("k:AAAA", "64 bytes", "32 bytes"),
            (public.as_str(), "a public key", ""),
            (secret.as_str(), "", "a secret key"),
            (&mixed, "do not belong together", "a secret key"),
        ] {
            let path = directory.path().join("key");
            std::fs::write(&path, text).unwrap();
            let errors = [
                (SignKey::read(&path, &Redactor::default()).err(), as_secret),
                (VerifyKey::read(&path).err(), as_public),
            ];
            for (error, expected) in errors {
                let error = error.map(|error| error.to_string()).unwrap_or_default();
                assert_eq!(error.is_empty(), expected.is_empty(), "{text}: {error}");
                assert!(error.contains(expected), "{error}");
                let (_, body) = text.split_once(':').unwrap_or_default();
                assert!(body.len() < 5 || !error.contains(body.trim()), "{error}");
            }
        }
    }
}
