//! What the tests of the client share.

use std::io::{Read, Write};
use std::sync::Arc;

use kigumi_oci::{Descriptor, Digest, MediaType, Platform, Reference};
use kigumi_registry::keychain::{DockerConfig, Helpers};
use kigumi_registry::{Client, ClientConfig, Repository, RetryPolicy, Spool, SpoolWriter};
use kigumi_testkit::FakeRegistry;

pub(crate) fn config() -> ClientConfig {
    ClientConfig {
        retry: RetryPolicy::immediate(3),
        ..ClientConfig::default()
    }
}

pub(crate) async fn client() -> Client {
    Client::start(config()).await.unwrap()
}

/// A client with the credentials of a `config.json`.
pub(crate) async fn client_with(json: &str) -> Client {
    let keychain = DockerConfig::parse("test.json", json.as_bytes(), Helpers::none()).unwrap();
    Client::start(ClientConfig {
        keychain: Arc::new(keychain),
        ..config()
    })
    .await
    .unwrap()
}

/// A `config.json` with a user for a registry or a part of it.
pub(crate) fn user(key: &str, username: &str, password: &str) -> String {
    format!(r#"{{"auths":{{"{key}":{{"username":"{username}","password":"{password}"}}}}}}"#)
}

pub(crate) fn reference(registry: &FakeRegistry, rest: &str) -> Reference {
    registry.reference(rest).parse().unwrap()
}

pub(crate) fn repository(registry: &FakeRegistry, name: &str) -> Repository {
    Repository::of(&reference(registry, name))
}

pub(crate) fn amd64() -> Platform {
    Platform::new("linux", "amd64", None)
}

/// Bytes without a short period, so that a shift shows.
pub(crate) fn bytes(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(length).collect()
}

pub(crate) fn layer(bytes: &[u8]) -> Descriptor {
    Descriptor::of(MediaType::ImageLayerGzip, bytes)
}

pub(crate) fn spool() -> (tempfile::TempDir, SpoolWriter, Spool) {
    let directory = tempfile::tempdir().unwrap();
    let (writer, spool) = Spool::create(directory.path()).unwrap();
    (directory, writer, spool)
}

/// The layer of an image that has one.
pub(crate) fn only_layer(manifest: &kigumi_oci::Manifest) -> &Descriptor {
    manifest.layers.first().unwrap()
}

/// A spool that has come to its end.
pub(crate) fn full_spool(bytes: &[u8]) -> Spool {
    let (_directory, mut writer, spool) = spool();
    writer.write_all(bytes).unwrap();
    writer
        .finish(Digest::of(bytes), bytes.len() as u64)
        .unwrap();
    spool
}

pub(crate) fn read(spool: &Spool) -> std::io::Result<Vec<u8>> {
    let mut out = Vec::new();
    spool.reader().read_to_end(&mut out).map(|_| out)
}

/// The causes of an error, outermost first, as a person reads them.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// `METHOD path status` of all requests, digests and upload ids shortened.
pub(crate) fn transcript(registry: &FakeRegistry) -> Vec<String> {
    registry
        .log()
        .iter()
        .map(kigumi_testkit::LoggedRequest::line)
        .collect()
}
