use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use kigumi_oci::Digest;
use kigumi_plan::ImageId;
use kigumi_registry::ClientConfig;
use kigumi_testkit::{FakeRegistry, PublishedImage, TestImage};
use tokio::runtime::Handle;

use super::super::contents::Contents;
use super::super::found::{FoundImage, Home};
use super::super::images::Images;
use super::super::needs::Lasting;
use super::*;
use crate::cli::WarmCommand;

struct Lab {
    registry: FakeRegistry,
    directory: tempfile::TempDir,
}

impl Lab {
    fn new() -> Self {
        Self {
            registry: FakeRegistry::start(),
            directory: tempfile::tempdir().unwrap(),
        }
    }

    fn publish(&self, name: &str) -> PublishedImage {
        let image = TestImage::new().file("a", name.as_bytes());
        let image = image.file("b", b"the same in all");
        image.publish(&self.registry, name, "latest")
    }

    fn cache(&self) -> PathBuf {
        self.directory.path().join("cache")
    }

    fn entry(&self, image: &PublishedImage) -> PathBuf {
        self.cache().join(image.manifest.digest().to_string())
    }

    /// What the warmer exits with, and what it warns of.
    fn warm(&self, words: &[&str]) -> (Result<u8>, Vec<String>) {
        let command = ["warmer", "--customPlatform=linux/amd64"];
        let command = WarmCommand::read(command.iter().chain(words)).unwrap();
        let command = WarmCommand {
            cache_dir: self.cache().display().to_string(),
            ..command
        };
        let environment = Environment::of([], "/");
        let settings = command.settings(&environment).unwrap();
        let told = Arc::new(Mutex::new(Vec::new()));
        let teller = Arc::clone(&told);
        let events = Events::new(move |event| {
            if let BuildEvent::Warning { message } = event {
                teller.lock().unwrap().push(message);
            }
        });
        let cancel = Cancel::new(Cancel::DEFAULT_GRACE).unwrap();
        let code = warm(&settings, &environment, &events, &cancel);
        let told = told.lock().unwrap().clone();
        (code, told)
    }

    fn warm_well(&self, words: &[&str]) {
        let (code, told) = self.warm(words);
        assert_eq!((code.unwrap(), told), (0, vec![]), "{words:?}");
    }

    fn image(&self, name: &str) -> String {
        format!("--image={}", self.registry.reference(name))
    }

    /// The layers that were fetched.
    fn fetched(&self, image: &PublishedImage) -> usize {
        let log = self.registry.requests("GET");
        let is_of = |path: &str| {
            let mut layers = image.layers.iter();
            layers.any(|layer| path.ends_with(&layer.digest.to_string()))
        };
        log.iter().filter(|request| is_of(&request.path)).count()
    }
}

fn check(entry: &Path, digest: Digest) {
    base_cache::verify(&OciLayout::open(entry).unwrap(), digest).unwrap();
}

fn blob(entry: &Path, digest: Digest) -> PathBuf {
    entry.join("blobs/sha256").join(digest.hex())
}

/// Names in the directory of the cache.
fn names(directory: &Path) -> Vec<String> {
    let names = fs::read_dir(directory).unwrap();
    names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[test]
fn an_entry_is_a_layout_of_one_manifest_at_its_digest_k_warm_03() {
    let lab = Lab::new();
    let image = lab.publish("base");
    lab.warm_well(&[&lab.image("base")]);
    check(&lab.entry(&image), image.manifest.digest());
    assert_eq!(
        names(&lab.cache()),
        [image.manifest.digest().to_string()],
        "nothing else is left"
    );
}

#[test]
fn an_entry_that_is_there_is_kept_unless_it_is_forced() {
    let lab = Lab::new();
    let image = lab.publish("base");
    let name = lab.image("base");
    lab.warm_well(&[&name]);
    lab.registry.clear_log();
    lab.warm_well(&[&name]);
    assert_eq!(lab.fetched(&image), 0);
    lab.warm_well(&[&name, "--force"]);
    assert_eq!(lab.fetched(&image), 2);
    check(&lab.entry(&image), image.manifest.digest());
}

#[test]
fn an_entry_that_is_too_old_is_made_again() {
    let lab = Lab::new();
    let image = lab.publish("base");
    let name = lab.image("base");
    lab.warm_well(&[&name]);
    let index = fs::File::options()
        .write(true)
        .open(lab.entry(&image).join("index.json"))
        .unwrap();
    let long_ago = SystemTime::now() - Duration::from_hours(2);
    index.set_modified(long_ago).unwrap();
    lab.registry.clear_log();
    lab.warm_well(&[&name, "--cache-ttl=3h"]);
    assert_eq!(lab.fetched(&image), 0);
    lab.warm_well(&[&name, "--cache-ttl=1h"]);
    assert_eq!(lab.fetched(&image), 2);
}

#[test]
fn a_broken_entry_is_made_again_k_warm_04() {
    let lab = Lab::new();
    let image = lab.publish("base");
    let entry = lab.entry(&image);
    lab.warm_well(&[&lab.image("base")]);
    let layer = blob(&entry, image.layers.first().unwrap().digest);
    fs::write(&layer, "x").unwrap();
    let (code, told) = lab.warm(&[&lab.image("base")]);
    assert_eq!(code.unwrap(), 0);
    assert!(told.concat().contains("broken"), "{told:?}");
    check(&entry, image.manifest.digest());
}

#[test]
fn an_archive_as_older_warmers_made_it_is_replaced() {
    let lab = Lab::new();
    let image = lab.publish("base");
    let entry = lab.entry(&image);
    fs::create_dir_all(lab.cache()).unwrap();
    fs::write(&entry, "an archive").unwrap();
    assert_eq!(lab.warm(&[&lab.image("base")]).0.unwrap(), 0);
    check(&entry, image.manifest.digest());
}

#[test]
fn it_fails_only_if_all_images_fail_k_warm_02_k_exit_04() {
    let lab = Lab::new();
    lab.publish("base");
    let (code, told) = lab.warm(&[&lab.image("none"), &lab.image("base")]);
    assert_eq!((code.unwrap(), told.len()), (0, 1));
    assert!(told.concat().contains("/none`"), "{told:?}");
    let (code, told) = lab.warm(&[&lab.image("none"), "--image=UPPER/case"]);
    assert_eq!((code.unwrap(), told.len()), (1, 2), "{told:?}");
}

#[test]
fn all_bases_of_a_dockerfile_are_fetched_and_no_stage() {
    let lab = Lab::new();
    let (one, two) = (lab.publish("one"), lab.publish("two"));
    let file = lab.directory.path().join("Dockerfile");
    let text = format!(
        "ARG NAME=none\nFROM {} AS a\nFROM a AS b\nFROM scratch AS c\nFROM {}\n",
        lab.registry.reference("$NAME"),
        lab.registry.reference("two"),
    );
    fs::write(&file, text).unwrap();
    let dockerfile = format!("--dockerfile={}", file.display());
    lab.warm_well(&[&dockerfile, "--build-arg=NAME=one"]);
    check(&lab.entry(&one), one.manifest.digest());
    check(&lab.entry(&two), two.manifest.digest());
    assert_eq!(names(&lab.cache()).len(), 2);
}

#[test]
fn a_base_that_has_no_name_is_a_failed_image_and_a_missing_file_an_error() {
    let lab = Lab::new();
    let file = lab.directory.path().join("Dockerfile");
    let dockerfile = format!("--dockerfile={}", file.display());
    lab.warm(&[&dockerfile]).0.unwrap_err();
    fs::write(&file, "ARG X\nFROM scratch AS a\nFROM UPPER/$X\n").unwrap();
    let (code, told) = lab.warm(&[&dockerfile]);
    assert!(code.is_err() || told.len() == 1, "{code:?} {told:?}");
}

#[test]
fn two_warmers_at_once_leave_a_whole_entry_k_warm_04() {
    let lab = Lab::new();
    let image = lab.publish("base");
    let name = lab.image("base");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| lab.warm_well(&[&name, "--force"]));
        }
    });
    check(&lab.entry(&image), image.manifest.digest());
    assert_eq!(names(&lab.cache()).len(), 1);
}

/// The layers of an image as a build gets them that knows the cache.
async fn layers(lab: &Lab, name: &str) -> Vec<Vec<u8>> {
    let client = Client::start(ClientConfig::default()).await.unwrap();
    let reference = lab.registry.reference(name).parse().unwrap();
    let platform = Platform::new("linux", "amd64", None);
    let image = client.resolve(&reference, &platform).await.unwrap();
    let found = FoundImage {
        reference: name.to_owned(),
        home: Home::Registry(image.repository),
        manifest: image.manifest,
        config: image.config,
        descriptor: image.descriptor,
    };
    let work = lab.directory.path().to_owned();
    let mut contents = Contents::new(&work).unwrap();
    let (_sender, stopped) = tokio::sync::watch::channel(false);
    let cache = BaseCache::at(lab.cache(), Duration::from_hours(1));
    let entries = [(found, Lasting::Once)];
    let (handle, cache) = (Handle::current(), Some(cache));
    let mut images = Images::new(client, handle, stopped, work, cache, entries);
    let mut layers = Vec::new();
    for (_, number) in images.described(ImageId(0), &mut contents).unwrap() {
        let (spool, _) = images.bytes(number).unwrap().unwrap();
        let read = spawn_blocking(move || {
            let mut bytes = Vec::new();
            io::Read::read_to_end(&mut spool.reader(), &mut bytes).unwrap();
            bytes
        });
        layers.push(read.await.unwrap());
    }
    layers
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_fetches_only_what_the_cache_does_not_have_or_has_wrong_k_warm_04() {
    let lab = Lab::new();
    let image = lab.publish("base");
    assert_eq!(layers(&lab, "base").await, image.blobs);
    assert_eq!(lab.fetched(&image), 2, "nothing is there");
    std::thread::scope(|scope| scope.spawn(|| lab.warm_well(&[&lab.image("base")])).join())
        .unwrap();
    lab.registry.clear_log();
    assert_eq!(layers(&lab, "base").await, image.blobs);
    assert_eq!(lab.fetched(&image), 0, "all is there");
    let layer = image.layers.first().unwrap();
    fs::write(blob(&lab.entry(&image), layer.digest), "x").unwrap();
    assert_eq!(layers(&lab, "base").await, image.blobs);
    assert_eq!(lab.fetched(&image), 1, "one is wrong");
}
