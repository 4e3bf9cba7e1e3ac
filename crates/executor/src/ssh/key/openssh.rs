//! The format of `ssh-keygen`: `PROTOCOL.key` of OpenSSH.

use ring::rand::SystemRandom;
use ring::rsa::{KeyPairComponents, PublicKeyComponents};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, RsaKeyPair,
};
use zeroize::Zeroizing;

use super::modulo::modulo_predecessor;
use super::{ED25519, KeyError, P256, P384, PrivateKey, RSA, Signer};
use crate::ssh::wire::{Reader, without_zeros};

const MAGIC: &[u8] = b"openssh-key-v1\0";

pub(super) fn parse(bytes: &[u8]) -> Result<PrivateKey, KeyError> {
    let private = private_part(bytes)?;
    let mut reader = Reader::new(private);
    let key = |reader: &mut Reader<'_>| {
        let name = reader.string().ok_or(KeyError::NotAKey)?;
        let signer = signer(name, reader)?;
        let comment = reader.string().unwrap_or_default();
        Ok(signer.into_key(comment))
    };
    match (reader.u32(), reader.u32()) {
        (Some(one), Some(other)) if one == other => key(&mut reader),
        _ => Err(KeyError::NotAKey),
    }
}

/// What is encrypted in a file with a passphrase, and stands there openly without one.
fn private_part(bytes: &[u8]) -> Result<&[u8], KeyError> {
    let mut reader = Reader::new(bytes);
    let mut outer = || {
        let magic = reader.take(MAGIC.len())?;
        let (cipher, derivation) = (reader.string()?, reader.string()?);
        let _options = reader.string()?;
        let count = reader.u32()?;
        let _public = reader.string()?;
        let private = reader.string()?;
        (magic == MAGIC && count == 1).then_some((cipher, derivation, private))
    };
    match outer().ok_or(KeyError::NotAKey)? {
        (b"none", b"none", private) => Ok(private),
        _ => Err(KeyError::Encrypted),
    }
}

fn signer(name: &[u8], reader: &mut Reader<'_>) -> Result<Signer, KeyError> {
    let (name, signer) = match name {
        b"ssh-ed25519" => (ED25519, ed25519(reader)),
        b"ssh-rsa" => (RSA, rsa(reader)),
        b"ecdsa-sha2-nistp256" => (
            P256,
            ecdsa(reader, P256, &ECDSA_P256_SHA256_FIXED_SIGNING, 32),
        ),
        b"ecdsa-sha2-nistp384" => (
            P384,
            ecdsa(reader, P384, &ECDSA_P384_SHA384_FIXED_SIGNING, 48),
        ),
        other => {
            return Err(KeyError::Type {
                name: other.escape_ascii().to_string(),
            });
        }
    };
    signer.ok_or(KeyError::Damaged { name })
}

fn ed25519(reader: &mut Reader<'_>) -> Option<Signer> {
    let public = reader.string()?;
    // The seed, then the public key again.
    let seed = reader.string()?.get(..32)?;
    let pair = Ed25519KeyPair::from_seed_and_public_key(seed, public).ok()?;
    Some(Signer::Ed25519(pair))
}

fn ecdsa(
    reader: &mut Reader<'_>,
    name: &'static str,
    algorithm: &'static EcdsaSigningAlgorithm,
    length: usize,
) -> Option<Signer> {
    let _curve = reader.string()?;
    let public = reader.string()?;
    let number = reader.number()?;
    let mut scalar = Zeroizing::new(vec![0; length.checked_sub(number.len())?]);
    scalar.extend_from_slice(number);
    let random = SystemRandom::new();
    let pair =
        EcdsaKeyPair::from_private_key_and_public_key(algorithm, &scalar, public, &random).ok()?;
    Some(Signer::Ecdsa(name, pair))
}

fn rsa(reader: &mut Reader<'_>) -> Option<Signer> {
    let mut next = || reader.number();
    let (modulus, public_exponent) = (next()?, next()?);
    let (private_exponent, inverse) = (next()?, next()?);
    let (one, other) = (next()?, next()?);
    let of_one = modulo_predecessor(private_exponent, one)?;
    let of_other = modulo_predecessor(private_exponent, other)?;
    let pair = RsaKeyPair::from_components(&KeyPairComponents {
        public_key: PublicKeyComponents {
            n: modulus,
            e: public_exponent,
        },
        d: private_exponent,
        p: one,
        q: other,
        dP: without_zeros(&of_one),
        dQ: without_zeros(&of_other),
        qInv: inverse,
    });
    Some(Signer::Rsa(Box::new(pair.ok()?)))
}
