use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};

use super::*;
use crate::ssh::wire::{Reader, put_u32};

fn pair(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

/// The public key of [`ed25519`].
pub(in crate::ssh) fn ed25519_public(seed: u8) -> Vec<u8> {
    pair(seed).public_key().as_ref().to_vec()
}

fn armour(label: &str, bytes: &[u8]) -> Vec<u8> {
    let encoded = BASE64_STANDARD.encode(bytes);
    let lines: Vec<&str> = encoded
        .as_bytes()
        .chunks(70)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    let body = lines.join("\n");
    format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n").into_bytes()
}

/// A key as `ssh-keygen` writes it.
fn openssh(cipher: &str, name: &str, fields: &[&[u8]], comment: &str) -> Vec<u8> {
    let mut private = Vec::new();
    put_u32(&mut private, 42);
    put_u32(&mut private, 42);
    put_string(&mut private, name.as_bytes());
    for field in fields {
        put_string(&mut private, field);
    }
    put_string(&mut private, comment.as_bytes());
    private.extend([1, 2, 3]);
    let mut bytes = b"openssh-key-v1\0".to_vec();
    for part in [cipher, if cipher == "none" { "none" } else { "bcrypt" }, ""] {
        put_string(&mut bytes, part.as_bytes());
    }
    put_u32(&mut bytes, 1);
    put_string(&mut bytes, b"public");
    put_string(&mut bytes, &private);
    armour("OPENSSH PRIVATE KEY", &bytes)
}

/// An unencrypted key file.
pub(in crate::ssh) fn ed25519(seed: u8, comment: &str) -> Vec<u8> {
    let public = ed25519_public(seed);
    let private = [&[seed; 32], public.as_slice()].concat();
    openssh("none", "ssh-ed25519", &[&public, &private], comment)
}

fn raw_signature(key: &PrivateKey, data: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let signature = key.sign(data, 0).unwrap();
    let mut reader = Reader::new(&signature);
    let (name, raw) = (reader.string().unwrap(), reader.string().unwrap());
    assert!(reader.rest().is_empty());
    (name.to_vec(), raw.to_vec())
}

#[test]
fn a_key_of_ssh_keygen_has_its_public_key_and_its_comment() {
    let key = PrivateKey::parse(&ed25519(1, "me@here")).unwrap();
    let mut reader = Reader::new(key.public());
    assert_eq!(reader.string(), Some(&b"ssh-ed25519"[..]));
    assert_eq!(reader.string(), Some(ed25519_public(1).as_slice()));
    assert_eq!(key.comment(), b"me@here");
    assert_eq!(format!("{key:?}"), "PrivateKey(ssh-ed25519)");
}

#[test]
fn ecdsa_signs_with_two_numbers_from_either_form_of_a_file() {
    let random = SystemRandom::new();
    let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap();
    let public = pair.public_key().as_ref();
    // RFC 5958: the scalar stands behind a fixed frame.
    let scalar = &document.as_ref()[36..68];
    let mut number = Vec::new();
    put_number(&mut number, scalar);
    let fields = [&b"nistp256"[..], public, &number[4..]];
    let files = [
        armour("PRIVATE KEY", document.as_ref()),
        openssh("none", "ecdsa-sha2-nistp256", &fields, ""),
    ];
    for file in files {
        let key = PrivateKey::parse(&file).unwrap();
        let (name, raw) = raw_signature(&key, b"data");
        assert_eq!(name, b"ecdsa-sha2-nistp256");
        let mut reader = Reader::new(&raw);
        let (r, s) = (reader.string().unwrap(), reader.string().unwrap());
        // The same two numbers in ASN.1.
        let mut sequence = Vec::new();
        for part in [r, s] {
            sequence.extend([2, u8::try_from(part.len()).unwrap()]);
            sequence.extend(part);
        }
        sequence.splice(0..0, [0x30, u8::try_from(sequence.len()).unwrap()]);
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, public)
            .verify(b"data", &sequence)
            .unwrap();
    }
}

#[test]
fn what_cannot_be_used_is_told_apart_and_never_shown() {
    let public = ed25519_public(1);
    let type_error = |name: &str| KeyError::Type {
        name: name.to_owned(),
    };
    let good = ed25519(1, "");
    for (file, expected) in [
        (b"hunter2".to_vec(), KeyError::NotAKey),
        (b"ssh-ed25519 AAAA me".to_vec(), KeyError::NotAKey),
        (armour("CERTIFICATE", b"x"), KeyError::NotAKey),
        (armour("OPENSSH PRIVATE KEY", b"hunter2"), KeyError::NotAKey),
        (good[..good.len() - 40].to_vec(), KeyError::NotAKey),
        (openssh("aes256-ctr", "ssh-ed25519", &[], ""), KeyError::Encrypted),
        (armour("ENCRYPTED PRIVATE KEY", b"x"), KeyError::Encrypted),
        (
            b"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n"
                .to_vec(),
            KeyError::Encrypted,
        ),
        (armour("RSA PRIVATE KEY", b"hunter2"), KeyError::Damaged { name: RSA }),
        (
            openssh("none", "ssh-ed25519", &[&public, &[2; 64]], ""),
            KeyError::Damaged { name: ED25519 },
        ),
        (openssh("none", "ssh-rsa", &[&b"1"[..]; 6], ""), KeyError::Damaged { name: RSA }),
        (openssh("none", "ssh-dss", &[], ""), type_error("ssh-dss")),
        (
            openssh("none", "sk-ssh-ed25519@openssh.com", &[], ""),
            type_error("sk-ssh-ed25519@openssh.com"),
        ),
        (armour("EC PRIVATE KEY", b"x"), type_error("EC PRIVATE KEY")),
    ] {
        let error = PrivateKey::parse(&file).unwrap_err();
        assert_eq!(error, expected, "{}", file.escape_ascii());
        assert!(!error.to_string().contains("hunter2"));
    }
}
