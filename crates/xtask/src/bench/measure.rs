//! One builder, one workload, one run; everything local is empty when it starts.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use kigumi_tests::measured::{Measured, run_measured};
use kigumi_tests::{Lab, Peer, Pod};

use super::workload::{Bases, Cache, Edition, Ground, Workload};
use super::{alone, limit};

/// Nothing that is measured takes as long.
const DEADLINE: Duration = Duration::from_mins(20);

/// Who does the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Builder {
    Kigumi,
    Buildah,
    /// Plain tools doing the unavoidable part: see [`limit`].
    Limit,
    /// Nobody: the RUN commands by themselves, in an ordinary container of what they find in the build.
    Alone,
}

impl Builder {
    pub(super) const ALL: [Self; 4] = [Self::Kigumi, Self::Buildah, Self::Limit, Self::Alone];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Kigumi => "kigumi",
            Self::Buildah => "buildah",
            Self::Limit => "limit",
            Self::Alone => "RUN alone",
        }
    }
}

/// What one run has shown.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sample {
    pub(super) elapsed: Duration,
    pub(super) cpu: Duration,
    pub(super) memory: u64,
    pub(super) pulled: u64,
    pub(super) pushed: u64,
    /// Bytes of layers that existed before, moved in any direction.
    pub(super) old_layers: u64,
    pub(super) requests: u64,
}

/// A workload that has been built once, so that it is known what plain tools have to do for it.
#[derive(Debug)]
pub(super) struct Bench<'a> {
    lab: &'a Lab,
    bases: &'a Bases,
    workload: &'a Workload,
    /// Cache repositories that were filled before, of kigumi and of buildah.
    filled: Option<[String; 2]>,
    /// Layers of the bases and of what was built before.
    old: BTreeSet<String>,
    /// The image that was built before.
    before: Option<String>,
    /// URLs of the layers that have to be unpacked for it.
    fetched: Vec<String>,
    /// Files of uncompressed tar: the layers that the workload makes.
    made: Vec<PathBuf>,
    /// Images that hold what RUN commands find, and the commands.
    prepared: Vec<(String, Vec<String>)>,
    directory: tempfile::TempDir,
}

fn repository(reference: &str) -> &str {
    let name = reference
        .split_once('/')
        .map_or(reference, |(_, name)| name);
    name.rsplit_once(':').map_or(name, |(name, _)| name)
}

fn unique_repository(prefix: &str) -> String {
    repository(&Lab::unique_name(prefix)).to_owned()
}

/// Blobs of the layers of a reference in the lab's registry, in order.
fn layers(lab: &Lab, reference: &str) -> Result<Vec<String>> {
    let (_, tag) = reference
        .rsplit_once(':')
        .context("a reference has a tag")?;
    let (_, manifest) = lab.plain().manifest(repository(reference), tag)?;
    let manifest: serde_json::Value =
        serde_json::from_slice(&manifest).with_context(|| format!("manifest of {reference}"))?;
    let layers = manifest.get("layers").and_then(|layers| layers.as_array());
    let layers = layers.with_context(|| format!("{reference} is no image"))?;
    let digests = layers
        .iter()
        .filter_map(|layer| layer.get("digest")?.as_str());
    Ok(digests.map(str::to_owned).collect())
}

impl<'a> Bench<'a> {
    /// Builds the workload once, unmeasured, and what the measured runs find in caches.
    pub(super) fn new(lab: &'a Lab, bases: &'a Bases, workload: &'a Workload) -> Result<Self> {
        let (small, big) = (layers(lab, &bases.small)?, layers(lab, &bases.big)?);
        let of_small = small.iter().map(|digest| (&bases.small, digest));
        let of_big = big.iter().map(|digest| (&bases.big, digest));
        let below: Vec<(&String, &String)> = match workload.ground {
            Ground::Small => of_small.collect(),
            Ground::Big => of_big.collect(),
            Ground::Both => of_big.chain(of_small).collect(),
            Ground::Nothing => Vec::new(),
        };
        let mut bench = Self {
            lab,
            bases,
            workload,
            filled: None,
            before: None,
            fetched: below
                .iter()
                .map(|(base, digest)| blob_url(lab, repository(base), digest))
                .collect(),
            old: small.iter().chain(&big).cloned().collect(),
            made: Vec::new(),
            prepared: Vec::new(),
            directory: lab.temp_dir()?,
        };
        bench.fill()?;
        let (name, _) = bench.kigumi(1)?;
        for digest in layers(lab, &name)? {
            if !bench.old.contains(&digest) {
                bench.keep(&name, &digest)?;
            }
        }
        bench.prepare()?;
        Ok(bench)
    }

    /// The builds whose caches the measured ones find.
    fn fill(&mut self) -> Result<()> {
        match self.workload.cache {
            Cache::None | Cache::Empty => return Ok(()),
            Cache::Same | Cache::Other { .. } => {}
        }
        self.filled = Some([
            unique_repository("bench-kigumi-cache"),
            unique_repository("bench-buildah-cache"),
        ]);
        let (name, _) = self.kigumi(0)?;
        self.buildah(0)?;
        for digest in layers(self.lab, &name)? {
            // What was built before lies on the base, and is unpacked with it.
            if self.old.insert(digest.clone()) && self.workload.ground != Ground::Nothing {
                let url = blob_url(self.lab, repository(&name), &digest);
                self.fetched.push(url);
            }
        }
        self.before = Some(name);
        Ok(())
    }

    /// Keeps a new layer as plain tools have to make it.
    fn keep(&mut self, name: &str, digest: &str) -> Result<()> {
        let directory = self.directory.path();
        let path = directory.join(format!("new-{}", self.made.len()));
        let mut blob = self.lab.plain().blob(repository(name), digest)?;
        let packed = path.with_extension("gz");
        let mut file = fs::File::create(&packed).context("keep a new layer")?;
        std::io::copy(&mut blob, &mut file).context("keep a new layer")?;
        let unpacked = fs::File::create(&path).context("keep a new layer")?;
        let mut unpack = Command::new("pigz");
        let unpack = unpack.arg("-dc").arg(&packed).stdout(unpacked);
        ensure!(unpack.status()?.success(), "pigz -dc of a new layer");
        fs::remove_file(&packed).context("keep a new layer")?;
        self.made.push(path);
        Ok(())
    }

    /// Makes the images in which RUN commands are run by themselves, and has podman know them.
    fn prepare(&mut self) -> Result<()> {
        if self.workload.cache == Cache::Same {
            // They are not run.
            return Ok(());
        }
        for stage in alone::stages(&self.workload.dockerfile(self.bases))? {
            let name = Lab::unique_name("bench-prepared");
            let pod = Pod::new(self.lab).deadline(DEADLINE);
            let context = self
                .workload
                .context(self.lab, &stage.dockerfile, self.edition(1))?;
            let pod = pod.context(context);
            let reference = self.lab.destination(&name);
            pod.args(["--destination", &reference]).run()?.success()?;
            let mut pull = self.lab.podman();
            pull.args(["pull", "--quiet", "--tls-verify=false", &reference]);
            kigumi_tests::run(&mut pull).context("have podman know a prepared image")?;
            self.prepared.push((reference, stage.commands));
        }
        Ok(())
    }

    /// Which edition of the context a run has: one that no run had before it, if the workload is about change.
    fn edition(&self, run: Edition) -> Edition {
        match self.workload.cache {
            Cache::None | Cache::Empty | Cache::Same => 0,
            Cache::Other { .. } => run,
        }
    }

    /// Who has anything to do for this workload.
    pub(super) fn has(&self, builder: Builder) -> bool {
        match builder {
            Builder::Kigumi | Builder::Buildah => true,
            Builder::Limit => !self.fetched.is_empty() || !self.made.is_empty(),
            Builder::Alone => !self.prepared.is_empty(),
        }
    }

    /// One measured run.
    pub(super) fn run(&self, builder: Builder, round: usize) -> Result<Sample> {
        let mark = self.lab.plain().mark();
        // 0 was built into caches, 1 to look at.
        let run = round + 2;
        let (names, measured) = match builder {
            Builder::Kigumi => self.kigumi_with_cache(run)?,
            Builder::Buildah => self.buildah(run)?,
            Builder::Limit => self.limit()?,
            Builder::Alone => (Vec::new(), self.alone()?),
        };
        let mut sample = Sample {
            elapsed: measured.elapsed,
            cpu: measured.cpu,
            memory: measured.memory,
            ..Sample::default()
        };
        self.count(mark, &names, &mut sample)?;
        Ok(sample)
    }

    fn count(&self, mark: u64, own: &[String], sample: &mut Sample) -> Result<()> {
        let bases = [repository(&self.bases.small), repository(&self.bases.big)];
        let own = own.iter().map(|name| repository(name));
        let names: Vec<&str> = own.chain(bases).collect();
        for request in self.lab.plain().requests_since(mark)? {
            let found = names.iter().find_map(|name| {
                let rest = request.target.strip_prefix(&format!("/v2/{name}/"))?;
                Some((name, rest.replace("%3A", ":")))
            });
            let Some((name, rest)) = found else { continue };
            sample.requests += 1;
            let read = rest.strip_prefix("blobs/");
            let read = read.filter(|_| request.method == "GET" && request.bytes > 0);
            let sent = rest.split_once("digest=").map(|(_, digest)| digest);
            let sent = sent.filter(|_| request.method == "PUT");
            let sent = sent.and_then(|digest| digest.split('&').next());
            let mut bytes = 0;
            if read.is_some() {
                bytes = request.bytes;
                sample.pulled += bytes;
            } else if let Some(digest) = sent {
                bytes = self.lab.plain().blob_size(name, digest)?.unwrap_or(0);
                sample.pushed += bytes;
            }
            if read
                .or(sent)
                .is_some_and(|digest| self.old.contains(digest))
            {
                sample.old_layers += bytes;
            }
        }
        Ok(())
    }

    /// The cache repository of one of the two builders, if the workload has a cache.
    fn cache(&self, builder: usize) -> Option<String> {
        let filled = self.filled.as_ref().and_then(|both| both.get(builder));
        let empty = || unique_repository("bench-empty-cache");
        let is_empty = self.workload.cache == Cache::Empty;
        filled.cloned().or_else(|| is_empty.then(empty))
    }

    fn kigumi(&self, run: Edition) -> Result<(String, Measured)> {
        let (names, measured) = self.kigumi_with_cache(run)?;
        let name = names.into_iter().next().context("a build has a name")?;
        Ok((name, measured))
    }

    /// In an ordinary container, as a pod would start it; with its cache, if any.
    fn kigumi_with_cache(&self, run: Edition) -> Result<(Vec<String>, Measured)> {
        let name = Lab::unique_name("bench-kigumi");
        let dockerfile = self.workload.dockerfile(self.bases);
        let context = self
            .workload
            .context(self.lab, &dockerfile, self.edition(run))?;
        let cache = self.cache(0);
        let mut pod = Pod::new(self.lab)
            .context(context)
            .settled()
            .deadline(DEADLINE)
            .args(["--destination", &self.lab.destination(&name)]);
        if let Some(cache) = &cache {
            let cache = format!("--cache-repo={}", self.lab.destination(cache));
            pod = pod.args(["--cache", "--cache-copy-layers", &cache]);
        }
        let outcome = pod.run()?;
        outcome.success()?;
        let measured = Measured {
            elapsed: outcome.elapsed,
            cpu: outcome.cpu,
            memory: outcome.peak_anonymous,
        };
        Ok((
            [Some(name), cache].into_iter().flatten().collect(),
            measured,
        ))
    }

    /// With a storage of its own, as in a pod that starts empty.
    fn buildah(&self, run: Edition) -> Result<(Vec<String>, Measured)> {
        let name = Lab::unique_name("bench-buildah");
        let dockerfile = self.workload.dockerfile(self.bases);
        let context = self
            .workload
            .context(self.lab, &dockerfile, self.edition(run))?;
        let storage = self.lab.temp_dir()?;
        let cache = self.cache(1);
        let commands = Peer::new(self.lab).buildah_cold(
            context.path(),
            &name,
            storage.path(),
            cache.as_deref(),
        );
        settle()?;
        let mut all = Measured::default();
        for mut command in commands {
            all = all.then(run_measured(&mut command)?);
        }
        Ok(([Some(name), cache].into_iter().flatten().collect(), all))
    }

    /// Plain tools need no container, but whoever builds in a pod waits for its start: it is part of the limit.
    fn limit(&self) -> Result<(Vec<String>, Measured)> {
        let start = Pod::new(self.lab).first_process("/kaniko/executor", &["--version"]);
        let start = start.settled().deadline(DEADLINE).run()?;
        start.success()?;
        let start = Measured {
            elapsed: start.elapsed,
            cpu: start.cpu,
            memory: start.peak_anonymous,
        };
        let name = Lab::unique_name("bench-limit");
        let place = self.lab.temp_dir()?;
        let uploads = format!(
            "http://{}/v2/{}/blobs/uploads/",
            self.lab.plain().address(),
            repository(&name)
        );
        let mut command = limit::command(place.path(), &self.fetched, &self.made, &uploads)?;
        let names = [Some(name), self.before.clone()];
        Ok((
            names.into_iter().flatten().collect(),
            start.then(run_measured(&mut command)?),
        ))
    }

    /// In a container like the builder's own, whose overlay is not volatile either: what a command syncs is synced in both.
    fn alone(&self) -> Result<Measured> {
        let mut all = Measured::default();
        for (reference, commands) in &self.prepared {
            let mut arguments = vec!["-c", alone::SCRIPT, "sh"];
            arguments.extend(commands.iter().map(String::as_str));
            let outcome = Pod::new(self.lab)
                .image(reference)
                .first_process("/bin/sh", &arguments)
                .settled()
                .deadline(DEADLINE)
                .run()?;
            outcome.success()?;
            let times = alone::nanoseconds(&outcome.stdout);
            ensure!(times.len() == commands.len(), "not all were run\n{outcome}");
            let kept = match self.workload.cache {
                Cache::Other { runs } => runs,
                Cache::None | Cache::Empty | Cache::Same => 0,
            };
            all = all.then(Measured {
                elapsed: Duration::from_nanos(times.iter().skip(kept).sum()),
                cpu: outcome.cpu,
                memory: outcome.peak_group,
            });
        }
        Ok(all)
    }
}

impl Drop for Bench<'_> {
    /// The prepared images are nobody else's. One that stays is in nobody's way.
    fn drop(&mut self) {
        for (reference, _) in &self.prepared {
            let mut remove = self.lab.podman();
            drop(kigumi_tests::attempt(
                remove.args(["rmi", "--force", reference]),
            ));
        }
    }
}

/// What others wrote, and what the context was made of, shall not be written while somebody is measured.
fn settle() -> Result<()> {
    kigumi_tests::run(&mut Command::new("sync")).map(drop)
}

fn blob_url(lab: &Lab, repository: &str, digest: &str) -> String {
    let address = lab.plain().address();
    format!("http://{address}/v2/{repository}/blobs/{digest}")
}
