use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, SystemTime};

use kigumi_oci::Reference;
use kigumi_registry::{Client, ClientConfig, RetryPolicy};
use kigumi_run::Cancel;
use kigumi_testkit::{Action, FakeRegistry, Fault, When};
use tokio::runtime::Runtime;

use super::*;
use crate::build::main_context::MainContext;
use crate::build::workshop::watch_cancel;
use crate::cli::{CachePlace, CacheSettings};
use crate::report::Events;

const NOW: i64 = 1_700_000_000;
const NAME: &str = "0123";

/// What several pods share.
struct Cluster {
    registry: FakeRegistry,
    runtime: Runtime,
    client: Client,
}

/// A pod with an empty disk, and a cache in it.
struct Pod {
    keeper: Keeper,
    workshop: Workshop,
    content: PathBuf,
    told: Arc<Mutex<Vec<String>>>,
    _disk: tempfile::TempDir,
}

impl Cluster {
    fn new() -> Self {
        let runtime = crate::build::runtime().unwrap();
        let config = ClientConfig {
            retry: RetryPolicy::immediate(2),
            ..ClientConfig::default()
        };
        let client = runtime.block_on(Client::start(config)).unwrap();
        Self {
            registry: FakeRegistry::start(),
            runtime,
            client,
        }
    }

    fn settings(&self) -> CacheSettings {
        let reference: Reference = self.registry.reference("cache").parse().unwrap();
        CacheSettings::of(CachePlace::Repository(Box::new(reference)))
    }

    fn pod_with(&self, settings: &CacheSettings, now: i64) -> Pod {
        let disk = tempfile::tempdir().unwrap();
        let told: Arc<Mutex<Vec<String>>> = Arc::default();
        let telling = Arc::clone(&told);
        let events = Events::new(move |event| {
            telling.lock().unwrap().push(format!("{event:?}"));
        });
        let cancel = Cancel::new(Cancel::DEFAULT_GRACE).unwrap();
        let stopped = watch_cancel(&cancel).unwrap();
        let workshop = Workshop::new(
            events.clone(),
            (cancel, stopped),
            self.runtime.handle().clone(),
            disk.path(),
            Arc::new(MainContext::nowhere()),
        );
        let cache = MountCache::open(settings, &self.client, &events, now).unwrap();
        let content = disk.path().join("content");
        fs::create_dir(&content).unwrap();
        fs::write(disk.path().join("lock"), "").unwrap();
        Pod {
            keeper: Keeper::new(cache),
            workshop: workshop.unwrap(),
            content,
            told,
            _disk: disk,
        }
    }

    /// A pod with what the last one left.
    fn pod(&self) -> Pod {
        let pod = self.pod_with(&self.settings(), NOW);
        pod.open();
        pod
    }

    /// How many layers the entry has.
    fn layers(&self) -> usize {
        let puts = self.registry.requests("PUT");
        let path = puts
            .iter()
            .rev()
            .find(|put| put.path.contains("/manifests/"));
        let (_, tag) = path.unwrap().path.rsplit_once('/').unwrap();
        let (_, manifest) = self.registry.manifest("cache", tag).unwrap();
        let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
        manifest["layers"].as_array().unwrap().len()
    }

    fn writes(&self) -> usize {
        self.registry.requests("PUT").len()
    }
}

impl Pod {
    /// Restores what is kept, and will save it.
    fn open(&self) -> bool {
        let restored = self
            .keeper
            .restore((NAME, "pip"), &self.content, &self.workshop)
            .unwrap();
        let used = Used {
            id: "pip".to_owned(),
            content: self.content.clone(),
            lock: self.content.with_file_name("lock"),
        };
        self.keeper.note(NAME, used);
        restored
    }

    fn at(&self, name: &str) -> PathBuf {
        self.content.join(name)
    }

    fn told(&self) -> String {
        self.told.lock().unwrap().join("\n")
    }

    fn save(&self) {
        self.keeper.save(&self.workshop);
    }

    /// Everything there is, with everything that counts of it.
    fn listed(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut pending = vec![self.content.clone()];
        while let Some(at) = pending.pop() {
            let meta = fs::symlink_metadata(&at).unwrap();
            let name = at.strip_prefix(&self.content).unwrap().display();
            let text = if meta.is_file() {
                format!("{} {}", meta.nlink(), fs::read_to_string(&at).unwrap())
            } else {
                fs::read_link(&at).map_or_else(|_| String::new(), |to| to.display().to_string())
            };
            let is_top = at == self.content;
            let time = if is_top { 0 } else { meta.mtime() };
            lines.push(format!("{name} {:o} {time} {text}", meta.mode()));
            if meta.is_dir() {
                let entries = fs::read_dir(&at).unwrap();
                pending.extend(entries.map(|entry| entry.unwrap().path()));
            }
        }
        lines.sort();
        lines
    }
}

/// Text that nothing makes shorter than half.
fn noise(lines: u32) -> String {
    let hex = |n: u32| kigumi_oci::Digest::of(&n.to_le_bytes()).hex();
    (0..lines).map(hex).collect()
}

fn write(path: &Path, text: &str, seconds: u64) {
    fs::write(path, text).unwrap();
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(time).unwrap();
}

#[test]
fn what_one_pod_leaves_the_next_one_has() {
    let cluster = Cluster::new();
    let first = cluster.pod();
    assert!(!first.pod_has_anything());
    fs::create_dir(first.at("wheels")).unwrap();
    write(&first.at("wheels/a"), "aaa", 5);
    fs::hard_link(first.at("wheels/a"), first.at("b")).unwrap();
    symlink("wheels/a", first.at("link")).unwrap();
    fs::set_permissions(first.at("wheels/a"), PermissionsExt::from_mode(0o640)).unwrap();
    fs::set_permissions(&first.content, PermissionsExt::from_mode(0o1777)).unwrap();
    first.save();
    let second = cluster.pod();
    assert_eq!(second.listed(), first.listed());
    assert!(
        second.listed()[0].starts_with(" 41777"),
        "{:?}",
        second.listed()
    );
}

impl Pod {
    fn pod_has_anything(&self) -> bool {
        self.listed().len() > 1
    }
}

#[test]
fn what_has_changed_is_one_more_layer_and_nothing_is_missed() {
    let cluster = Cluster::new();
    let first = cluster.pod();
    let large = noise(3000);
    write(&first.at("large"), &large, 5);
    write(&first.at("same-size"), "one", 5);
    write(&first.at("gone"), "gone", 5);
    first.save();
    assert_eq!(cluster.layers(), 1);
    let second = cluster.pod();
    cluster.registry.clear_log();
    // As unlucky as can be: the same size and time.
    write(&second.at("same-size"), "two", 5);
    fs::remove_file(second.at("gone")).unwrap();
    write(&second.at("new"), "new", 6);
    second.save();
    assert_eq!(cluster.layers(), 2);
    let sent: u64 = cluster
        .registry
        .log()
        .iter()
        .map(|one| one.body_bytes)
        .sum();
    assert!(sent < 20_000, "{sent} bytes were sent for a few changes");
    let third = cluster.pod();
    assert_eq!(third.listed(), second.listed());
    assert_eq!(fs::read_to_string(third.at("same-size")).unwrap(), "two");
}

#[test]
fn a_cache_in_which_nothing_has_changed_is_not_sent() {
    let cluster = Cluster::new();
    let first = cluster.pod();
    write(&first.at("a"), "a", 5);
    first.save();
    let second = cluster.pod();
    let before = cluster.writes();
    second.save();
    assert_eq!(cluster.writes(), before);
    // Half of its time is over: it is used, so it must not end.
    let later = cluster.pod_with(&cluster.settings(), NOW + 8 * 24 * 3600);
    assert!(later.open());
    later.save();
    assert!(cluster.writes() > before);
    let last = cluster.pod_with(&cluster.settings(), NOW + 15 * 24 * 3600);
    assert!(last.open());
    assert_eq!(last.listed(), first.listed());
}

#[test]
fn many_layers_become_one() {
    let cluster = Cluster::new();
    let mut most = 0;
    for round in 0..12 {
        let pod = cluster.pod();
        write(&pod.at(&format!("f{round}")), &noise(6 * (12 - round)), 5);
        pod.save();
        most = most.max(cluster.layers());
    }
    assert!((2..=MOST_LAYERS).contains(&most), "{most}");
    let last = cluster.pod();
    assert_eq!(last.listed().len(), 13);
}

#[test]
fn layers_are_rewritten_when_they_are_many_or_outweigh_the_first() {
    assert!(!is_worth_rewriting(&[100, 99]));
    assert!(is_worth_rewriting(&[100, 50, 51]));
    assert!(!is_worth_rewriting(&[100, 1, 1, 1, 1, 1, 1]));
    assert!(is_worth_rewriting(&[100, 1, 1, 1, 1, 1, 1, 1]));
}

#[test]
fn a_cache_that_cannot_be_restored_begins_empty() {
    let cluster = Cluster::new();
    let first = cluster.pod();
    write(&first.at("a"), "a", 5);
    first.save();
    let fault = kigumi_testkit::Fault::new(
        kigumi_testkit::When::next("GET", "/blobs/").always(),
        kigumi_testkit::Action::Flip(0),
    );
    cluster.registry.fail(fault);
    let second = cluster.pod();
    assert!(!second.pod_has_anything());
    assert!(second.told().contains("another digest"));
    cluster.registry.heal();
    write(&second.at("b"), "b", 5);
    second.save();
    assert_eq!(cluster.pod().listed(), second.listed());
}

#[test]
fn a_cache_that_cannot_be_saved_is_a_warning() {
    let cluster = Cluster::new();
    let denied = kigumi_testkit::Action::error(403, "DENIED", "read only");
    let when = kigumi_testkit::When::next("POST", "/v2/").always();
    cluster
        .registry
        .fail(kigumi_testkit::Fault::new(when, denied));
    let pod = cluster.pod();
    write(&pod.at("a"), "a", 5);
    pod.save();
    assert!(pod.told().contains("is not kept"));
}

#[test]
fn a_cache_that_is_only_read_is_not_written() {
    let cluster = Cluster::new();
    let first = cluster.pod();
    write(&first.at("a"), "a", 5);
    first.save();
    let reading = CacheSettings {
        writes: false,
        ..cluster.settings()
    };
    let second = cluster.pod_with(&reading, NOW);
    assert!(second.open());
    let before = cluster.writes();
    write(&second.at("b"), "b", 5);
    second.save();
    assert_eq!(cluster.writes(), before);
    assert_eq!(cluster.pod().listed(), first.listed());
}

/// A repository, and behind it a directory that all pods have.
fn both(cluster: &Cluster, volume: &Path) -> CacheSettings {
    CacheSettings {
        more: vec![CachePlace::Directory(volume.to_owned())],
        ..cluster.settings()
    }
}

#[test]
fn of_several_places_the_first_that_has_a_cache_gives_it_and_the_first_that_takes_it_gets_it() {
    let cluster = Cluster::new();
    let volume = tempfile::tempdir().unwrap();
    let only_volume = CacheSettings::of(CachePlace::Directory(volume.path().to_owned()));
    let both = both(&cluster, volume.path());
    let first = cluster.pod_with(&only_volume, NOW);
    assert!(!first.open());
    write(&first.at("wheel"), "in the volume", 1);
    first.save();
    // It comes from the volume, and goes to the repository as a whole.
    let second = cluster.pod_with(&both, NOW);
    assert!(second.open());
    assert_eq!(second.listed(), first.listed());
    second.save();
    assert_eq!(cluster.layers(), 1, "{}", second.told());
    // From there on the repository counts, and gets what is new.
    let third = cluster.pod();
    assert_eq!(third.listed(), first.listed());
    write(&third.at("another"), "in the repository", 2);
    third.save();
    assert_eq!(cluster.layers(), 2);
    let fourth = cluster.pod_with(&both, NOW);
    assert!(fourth.open());
    assert_eq!(fourth.listed(), third.listed());
}

#[test]
fn a_place_that_refuses_leaves_a_cache_to_the_next_one_without_being_sent_it() {
    let cluster = Cluster::new();
    let volume = tempfile::tempdir().unwrap();
    let both = both(&cluster, volume.path());
    for method in ["POST", "PUT", "PATCH"] {
        let denied = Action::error(403, "DENIED", "read only");
        let when = When::next(method, "/v2/").always();
        cluster.registry.fail(Fault::new(when, denied));
    }
    let first = cluster.pod_with(&both, NOW);
    first.open();
    write(&first.at("wheel"), "for the volume", 1);
    first.save();
    assert!(first.told().contains("is not kept"), "{}", first.told());
    let second = cluster.pod_with(&both, NOW);
    assert!(second.open());
    assert_eq!(second.listed(), first.listed());
}
