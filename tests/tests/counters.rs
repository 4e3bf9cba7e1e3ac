//! What a build costs, in numbers that are the same every time: bytes, requests, blobs.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use kigumi_tests::lab::Request;
use kigumi_tests::{Built, Context, Image, ImageBuilder, Lab, LayerBuilder, Outcome, Pod};

/// A base under a name of its own, so that its requests are nobody else's: a shell, and a layer of a mebibyte.
fn base(lab: &Lab) -> Result<(String, Vec<String>)> {
    let name = Lab::unique_name("counted-base");
    let noise: Vec<u8> = noise(1 << 20);
    ImageBuilder::new(lab)?
        .layer(LayerBuilder::with_shell(lab)?)?
        .layer(
            LayerBuilder::new()
                .dir("big", 0o755)?
                .file("big/noise", 0o644, noise)?,
        )?
        .layer(LayerBuilder::new().file("big/small", 0o644, &name)?)?
        .push(lab.plain(), &name)?;
    let layers = Image::pull(lab.plain(), &name)?;
    let digests = layers.layers.iter();
    let digests = digests.map(|layer| layer.descriptor.digest.clone());
    Ok((name, digests.collect()))
}

/// Bytes that do not compress, from a generator that always gives the same.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// What the registry was asked for, of two repositories.
#[derive(Debug)]
struct Counted {
    /// How often each blob was read.
    reads: BTreeMap<String, usize>,
    /// How often each blob was finished by an upload.
    uploads: BTreeMap<String, usize>,
    /// How many requests carried the bytes of an upload.
    patches: usize,
    mounts: usize,
    manifests_written: usize,
    requests: usize,
}

fn repository(name: &str) -> &str {
    name.split_once(':')
        .map_or(name, |(repository, _)| repository)
}

impl Counted {
    fn of(requests: &[Request], names: &[&str]) -> Self {
        let mut counted = Self {
            reads: BTreeMap::new(),
            uploads: BTreeMap::new(),
            patches: 0,
            mounts: 0,
            manifests_written: 0,
            requests: 0,
        };
        for request in requests {
            let ours = names.iter().find_map(|name| {
                request
                    .target
                    .strip_prefix(&format!("/v2/{}/", repository(name)))
            });
            if let Some(rest) = ours {
                counted.requests += 1;
                counted.add(&request.method, rest);
            }
        }
        counted
    }

    fn add(&mut self, method: &str, rest: &str) {
        let digest = |text: &str| text.replace("%3A", ":").replace("%3a", ":");
        match (method, rest.split_once('/')) {
            ("GET", Some(("blobs", name))) => *self.reads.entry(digest(name)).or_default() += 1,
            ("PATCH", _) => self.patches += 1,
            ("POST", _) if rest.contains("mount=") => self.mounts += 1,
            ("PUT", Some(("manifests", _))) => self.manifests_written += 1,
            ("PUT", _) => {
                let name = rest.split("digest=").nth(1).unwrap_or_default();
                let name = name.split('&').next().unwrap_or_default();
                *self.uploads.entry(digest(name)).or_default() += 1;
            }
            _ => {}
        }
    }

    /// How often the layers of the base were read, one number for each.
    fn reads_of(&self, layers: &[String]) -> Vec<usize> {
        let count = |digest| self.reads.get(digest).copied().unwrap_or(0);
        layers.iter().map(count).collect()
    }

    fn ensure_nothing_twice(&self) -> Result<()> {
        let all = self.reads.iter().chain(&self.uploads);
        let twice: Vec<_> = all.filter(|(_, count)| **count > 1).collect();
        ensure!(twice.is_empty(), "transferred more than once: {twice:?}");
        Ok(())
    }
}

/// Anonymous memory stays below this in every build.
const MEMORY: u64 = 64 << 20;

/// A build of its own, and what it asked the registry for.
fn build(lab: &Lab, base: &str, name: &str, context: Context) -> Result<(Outcome, Counted)> {
    let pod = Pod::new(lab).context(context);
    build_in(pod, lab, name, &[base, name])
}

/// A build in this pod, and what it asked the registry for in these repositories.
fn build_in(
    pod: Pod<'_>,
    lab: &Lab,
    name: &str,
    repositories: &[&str],
) -> Result<(Outcome, Counted)> {
    let mark = lab.plain().mark();
    let outcome = pod
        .args(["--destination", &lab.destination(name), "--reproducible"])
        .run()?;
    outcome.success()?;
    let peak = outcome.peak_anonymous;
    ensure!(
        peak > 0 && peak < MEMORY,
        "{peak} bytes; 0 is not measured, {MEMORY} the limit"
    );
    let requests = lab.plain().requests_since(mark)?;
    Ok((outcome, Counted::of(&requests, repositories)))
}

fn context(lab: &Lab, dockerfile: String) -> Result<Context> {
    Context::new(lab)?
        .file("Dockerfile", dockerfile)?
        .file("one", "1")
}

// T-RES-08: what a COPY onto a large base moves
#[test]
fn a_copy_onto_a_base_of_the_same_registry_sends_its_own_layer_only() -> Result<()> {
    let lab = Lab::get()?;
    let (base, layers) = base(lab)?;
    let name = Lab::unique_name("counted");
    let dockerfile = format!("FROM {}\nCOPY one /one\n", lab.destination(&base));
    let (_, counted) = build(lab, &base, &name, context(lab, dockerfile)?)?;
    counted.ensure_nothing_twice()?;
    let reads = counted.reads_of(&layers);
    // Their headers are needed once, as long as nobody has kept the tree.
    ensure!(reads.iter().all(|count| *count <= 1), "{counted:?}");
    ensure!(counted.mounts == layers.len(), "{counted:?}");
    // The layer and the config; each with the request that carries its bytes.
    ensure!(
        counted.uploads.len() == 2 && counted.patches == 2,
        "{counted:?}"
    );
    ensure!(
        layers
            .iter()
            .all(|layer| !counted.uploads.contains_key(layer)),
        "{counted:?}"
    );
    ensure!(counted.manifests_written == 1, "{counted:?}");
    Image::pull(lab.plain(), &name)?.strict()
}

#[test]
fn a_build_that_changes_the_config_alone_moves_no_layer() -> Result<()> {
    let lab = Lab::get()?;
    let (base, layers) = base(lab)?;
    let name = Lab::unique_name("counted");
    let dockerfile = format!("FROM {}\nENV A=b\nCMD [\"x\"]\n", lab.destination(&base));
    let (_, counted) = build(lab, &base, &name, context(lab, dockerfile)?)?;
    counted.ensure_nothing_twice()?;
    ensure!(counted.reads_of(&layers) == [0, 0, 0], "{counted:?}");
    ensure!(counted.uploads.len() == 1, "{counted:?}");
    Ok(())
}

// T-RES-07
#[test]
fn stages_on_one_base_read_it_once_and_send_nothing_that_the_image_does_not_have() -> Result<()> {
    let lab = Lab::get()?;
    let (base, layers) = base(lab)?;
    let name = Lab::unique_name("counted");
    let from = lab.destination(&base);
    let dockerfile = format!(
        "FROM {from} AS a\nRUN echo a >/a\nFROM {from} AS b\nCOPY --from=a /a /b\nRUN echo b >>/b\n\
         FROM {from}\nCOPY --from=b /b /b\nRUN echo c >/c\n"
    );
    let (_, counted) = build(lab, &base, &name, context(lab, dockerfile)?)?;
    counted.ensure_nothing_twice()?;
    ensure!(counted.reads_of(&layers) == [1, 1, 1], "{counted:?}");
    // Two layers and the config.
    ensure!(counted.uploads.len() == 3, "{counted:?}");
    Image::pull(lab.plain(), &name)?.strict()
}

#[test]
fn what_the_registry_has_is_not_sent_again() -> Result<()> {
    let lab = Lab::get()?;
    let (base, _) = base(lab)?;
    let name = Lab::unique_name("counted");
    let dockerfile = format!(
        "FROM {}\nCOPY one /one\nRUN echo x >/x\n",
        lab.destination(&base)
    );
    let (_, first) = build(lab, &base, &name, context(lab, dockerfile.clone())?)?;
    ensure!(first.uploads.len() == 3, "{first:?}");
    let (_, second) = build(lab, &base, &name, context(lab, dockerfile)?)?;
    ensure!(
        second.uploads.is_empty() && second.patches == 0,
        "the second build sent what the first had sent: {second:?}"
    );
    second.ensure_nothing_twice()
}

#[test]
fn what_a_run_starts_has_the_huge_pages_that_the_pod_has() -> Result<()> {
    let lab = Lab::get()?;
    let said = |script: &str| -> Result<String> {
        let outcome = Pod::new(lab).script(script).run()?;
        Ok(outcome.success()?.stdout.clone())
    };
    let of_pod = said("/busybox/grep THP_enabled /proc/self/status")?;
    let outcome = Pod::new(lab)
        .dockerfile(format!(
            "FROM {}\nRUN grep THP_enabled /proc/self/status\n",
            lab.busybox()?
        ))
        .args(["--no-push"])
        .run()?;
    let line = of_pod.trim();
    outcome.success()?.says(line)?;
    ensure!(line.starts_with("THP_enabled"), "`{line}`");
    Ok(())
}

// The workload `run10`, small.
#[test]
fn ten_runs_read_the_base_once_and_send_ten_layers() -> Result<()> {
    let lab = Lab::get()?;
    let (base, layers) = base(lab)?;
    let name = Lab::unique_name("counted");
    let runs = (0..10).map(|number| format!("RUN echo {number} > /written-{number}\n"));
    let runs = runs.collect::<String>();
    let dockerfile = format!("FROM {}\n{runs}", lab.destination(&base));
    let (_, counted) = build(lab, &base, &name, context(lab, dockerfile)?)?;
    counted.ensure_nothing_twice()?;
    ensure!(counted.reads_of(&layers) == [1, 1, 1], "{counted:?}");
    ensure!(counted.mounts == layers.len(), "{counted:?}");
    // Ten layers and the config.
    ensure!(counted.uploads.len() == 11, "{counted:?}");
    Ok(())
}

/// A base whose first layer has files at these paths, and so many more bytes behind them that the beginning of the layer is gone when its end is read.
fn base_with_files(lab: &Lab, files: &[(&str, &[u8])]) -> Result<(String, Vec<String>)> {
    let name = Lab::unique_name("counted-base");
    let mut layer = LayerBuilder::with_shell(lab)?;
    for (path, content) in files {
        layer = layer.file(path, 0o644, content)?;
    }
    let layer = layer.file("noise", 0o644, noise(10 << 20))?;
    ImageBuilder::new(lab)?
        .layer(layer)?
        .push(lab.plain(), &name)?;
    let digests = Image::pull(lab.plain(), &name)?.layers;
    let digests = digests
        .iter()
        .map(|layer| layer.descriptor.digest.clone())
        .collect();
    Ok((name, digests))
}

// T-RES-07, T-UNPACK-12
#[test]
fn what_the_pod_mounts_over_is_copied_from_a_stage_without_another_look_at_its_layer() -> Result<()>
{
    let lab = Lab::get()?;
    let (base, layers) = base_with_files(lab, &[("etc/hosts", b"hosts of the base\n")])?;
    let dockerfile = format!(
        "FROM {} AS a\nRUN echo x >/x\nFROM scratch\nCOPY --from=a /etc/hosts /x /\n",
        lab.destination(&base)
    );
    let mark = lab.plain().mark();
    let built = Built::of(lab, context(lab, dockerfile)?, &[])?;
    built.holds("/hosts", "hosts of the base\n")?;
    let requests = lab.plain().requests_since(mark)?;
    let counted = Counted::of(&requests, &[&base]);
    ensure!(counted.reads_of(&layers) == [1], "{counted:?}");
    Ok(())
}

// T-UNPACK-12
#[test]
fn a_large_file_that_is_not_on_the_disk_is_fetched_again_for_who_copies_it() -> Result<()> {
    let lab = Lab::get()?;
    let large = noise(3 << 20);
    let (base, layers) = base_with_files(lab, &[("data/large", &large)])?;
    let dockerfile = format!(
        "FROM {} AS a\nRUN echo x >/x\nFROM scratch\nCOPY --from=a /data/large /x /\n",
        lab.destination(&base)
    );
    let mark = lab.plain().mark();
    let built = Built::of(lab, context(lab, dockerfile)?, &["--ignore-path=/data"])?;
    built.holds("/large", &large)?;
    let requests = lab.plain().requests_since(mark)?;
    let counted = Counted::of(&requests, &[&base]);
    ensure!(counted.reads_of(&layers) == [2], "{counted:?}");
    Ok(())
}

/// The workload `cachehit`, small: builds that share a cache repository.
struct Cached {
    lab: &'static Lab,
    base: String,
    /// Blobs of the base's layers.
    layers: Vec<String>,
    cache: String,
}

/// How many of the steps of [`Cached`] have keys.
const KEYS: usize = 5;

impl Cached {
    fn new() -> Result<Self> {
        let lab = Lab::get()?;
        let (base, layers) = base(lab)?;
        let cache = repository(&Lab::unique_name("counted-cache")).to_owned();
        Ok(Self {
            lab,
            base,
            layers,
            cache,
        })
    }

    /// A build in a pod that knows nothing, pushed to a new repository; the second COPY takes a file with this content.
    fn build(&self, second: &str) -> Result<(Image, Counted)> {
        self.build_to(&Lab::unique_name("counted"), second)
    }

    fn build_to(&self, name: &str, second: &str) -> Result<(Image, Counted)> {
        let dockerfile = format!(
            "FROM {}\nWORKDIR /work\nCOPY one first\nRUN echo made > made\nCOPY second second\n\
             RUN busybox cat first second made > all\nENV A=b\nCMD [\"cat\", \"all\"]\n",
            self.lab.destination(&self.base)
        );
        let context = context(self.lab, dockerfile)?.file("second", second)?;
        let cache = format!("--cache-repo={}", self.lab.destination(&self.cache));
        let pod = Pod::new(self.lab).context(context);
        let pod = pod.args(["--cache", "--cache-copy-layers", &cache]);
        let (_, counted) = build_in(pod, self.lab, name, &[&self.base, name, &self.cache])?;
        let image = Image::pull(self.lab.plain(), name)?;
        image.strict()?;
        Ok((image, counted))
    }
}

/// How many layers of an image were moved, in any direction.
fn moved(counted: &Counted, image: &Image) -> usize {
    let layers = image.layers.iter();
    let moved = layers.filter(|layer| {
        let digest = &layer.descriptor.digest;
        counted.reads.contains_key(digest) || counted.uploads.contains_key(digest)
    });
    moved.count()
}

// T-RES-02
#[test]
fn a_build_that_is_all_in_the_cache_moves_no_layer_and_needs_twelve_requests_beyond_one_a_key()
-> Result<()> {
    let case = Cached::new()?;
    let name = Lab::unique_name("counted");
    let (image, first) = case.build_to(&name, "x")?;
    first.ensure_nothing_twice()?;
    ensure!(first.reads_of(&case.layers) == [1, 1, 1], "{first:?}");
    let (again, second) = case.build_to(&name, "x")?;
    second.ensure_nothing_twice()?;
    ensure!(again.digest() == image.digest(), "another image");
    ensure!(moved(&second, &again) == 0, "{second:?}");
    ensure!(second.manifests_written == 1, "{second:?}");
    let bound = KEYS + 12;
    ensure!(second.requests <= bound, "{bound}: {second:?}");
    Ok(())
}

#[test]
fn a_cached_image_gets_into_another_repository_with_one_request_for_each_cached_layer() -> Result<()>
{
    let case = Cached::new()?;
    let (image, _) = case.build("x")?;
    let (again, second) = case.build("x")?;
    second.ensure_nothing_twice()?;
    ensure!(again.digest() == image.digest(), "another image");
    ensure!(moved(&second, &again) == 0, "{second:?}");
    // Layers of the base are looked for before they are mounted.
    let bound = KEYS + again.layers.len() + case.layers.len() + 12;
    ensure!(second.requests <= bound, "{bound}: {second:?}");
    Ok(())
}

// The workload `cachelast`, small.
#[test]
fn what_is_behind_a_change_is_made_again_and_everything_else_is_moved_once() -> Result<()> {
    let case = Cached::new()?;
    case.build("x")?;
    let (image, counted) = case.build("y")?;
    counted.ensure_nothing_twice()?;
    ensure!(counted.reads_of(&case.layers) == [1, 1, 1], "{counted:?}");
    let mut made = image
        .layers
        .iter()
        .rev()
        .map(|layer| &layer.descriptor.digest);
    let made: Vec<_> = made.by_ref().take(2).collect();
    for digest in made {
        ensure!(
            counted.uploads.get(digest) == Some(&1),
            "{digest}: {counted:?}"
        );
        ensure!(!counted.reads.contains_key(digest), "{digest}: {counted:?}");
    }
    let kept = image.layers.iter().rev().skip(2);
    for digest in kept.map(|layer| &layer.descriptor.digest) {
        ensure!(
            !counted.uploads.contains_key(digest),
            "{digest}: {counted:?}"
        );
    }
    Ok(())
}
