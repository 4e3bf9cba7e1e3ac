//! One builder, one workload, one run; everything local is empty when it starts.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use kigumi_tests::measured::{Measured, run_measured};
use kigumi_tests::{Image, Lab, Peer, Pod};

use super::workload::{Bases, Ground, Workload};

/// Who does the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Builder {
    Kigumi,
    Buildah,
    /// Plain tools doing the unavoidable part: see [`Bench::limit`].
    Limit,
}

impl Builder {
    pub(super) const ALL: [Self; 3] = [Self::Kigumi, Self::Buildah, Self::Limit];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Kigumi => "kigumi",
            Self::Buildah => "buildah",
            Self::Limit => "limit",
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
    pub(super) requests: u64,
}

/// A workload that has been built once, so that it is known what plain tools have to do for it.
#[derive(Debug)]
pub(super) struct Bench<'a> {
    pub(super) lab: &'a Lab,
    pub(super) bases: &'a Bases,
    pub(super) workload: &'a Workload,
    /// Where the layers are that have to be unpacked for it.
    fetched: Vec<String>,
    /// Files of uncompressed tar: the layers that the workload makes.
    made: Vec<std::path::PathBuf>,
    directory: tempfile::TempDir,
}

fn repository(reference: &str) -> &str {
    let name = reference
        .split_once('/')
        .map_or(reference, |(_, name)| name);
    name.rsplit_once(':').map_or(name, |(name, _)| name)
}

/// The URLs of the layers of a base.
fn layers_to_unpack(lab: &Lab, bases: &Bases, ground: Ground) -> Result<Vec<String>> {
    let base = match ground {
        Ground::Small => &bases.small,
        Ground::Big => &bases.big,
        Ground::Nothing => return Ok(Vec::new()),
    };
    let name = base.split_once('/').map_or(base.as_str(), |(_, name)| name);
    let image = Image::pull(lab.plain(), name)?;
    let blobs = format!(
        "http://{}/v2/{}/blobs",
        lab.plain().address(),
        repository(base)
    );
    let digests = digests(&image).into_iter();
    Ok(digests.map(|digest| format!("{blobs}/{digest}")).collect())
}

impl<'a> Bench<'a> {
    /// Builds the workload once, unmeasured.
    pub(super) fn new(lab: &'a Lab, bases: &'a Bases, workload: &'a Workload) -> Result<Self> {
        let mut bench = Self {
            lab,
            bases,
            workload,
            fetched: layers_to_unpack(lab, bases, workload.ground)?,
            made: Vec::new(),
            directory: lab.temp_dir()?,
        };
        let (name, _) = bench.kigumi()?;
        let image = Image::pull(lab.plain(), &name)?;
        let below = [&bases.small, &bases.big].map(|base| {
            let name = base.split_once('/').map_or(base.as_str(), |(_, name)| name);
            Image::pull(lab.plain(), name).map(|image| digests(&image))
        });
        let below = below.into_iter().collect::<Result<Vec<_>>>()?.concat();
        let new = digests(&image);
        for digest in new.iter().filter(|digest| !below.contains(digest)) {
            let path = bench
                .directory
                .path()
                .join(format!("new-{}", bench.made.len()));
            let mut blob = lab.plain().blob(repository(&name), digest)?;
            let packed = path.with_extension("gz");
            let mut file = fs::File::create(&packed).context("keep a new layer")?;
            std::io::copy(&mut blob, &mut file).context("keep a new layer")?;
            let unpacked = fs::File::create(&path).context("keep a new layer")?;
            let mut unpack = Command::new("pigz");
            let unpack = unpack.arg("-dc").arg(&packed).stdout(unpacked);
            ensure!(unpack.status()?.success(), "pigz -dc of a new layer");
            bench.made.push(path);
        }
        Ok(bench)
    }

    /// One measured run.
    pub(super) fn run(&self, builder: Builder) -> Result<Sample> {
        let mark = self.lab.plain().mark();
        let (name, measured) = match builder {
            Builder::Kigumi => self.kigumi()?,
            Builder::Buildah => self.buildah()?,
            Builder::Limit => self.limit()?,
        };
        let mut sample = Sample {
            elapsed: measured.elapsed,
            cpu: measured.cpu,
            memory: measured.memory,
            ..Sample::default()
        };
        self.count(mark, &name, &mut sample)?;
        Ok(sample)
    }

    fn count(&self, mark: u64, name: &str, sample: &mut Sample) -> Result<()> {
        let own = repository(name).to_owned();
        let names = [
            &own,
            repository(&self.bases.small),
            repository(&self.bases.big),
        ];
        for request in self.lab.plain().requests_since(mark)? {
            let rest = names
                .iter()
                .find_map(|name| request.target.strip_prefix(&format!("/v2/{name}/")));
            let Some(rest) = rest else { continue };
            sample.requests += 1;
            if request.method == "GET" && rest.starts_with("blobs/") {
                sample.pulled += request.bytes;
            }
            let digest = rest.split("digest=").nth(1).unwrap_or_default();
            if request.method == "PUT" && !digest.is_empty() {
                let digest = digest.split('&').next().unwrap_or_default();
                let digest = digest.replace("%3A", ":");
                sample.pushed += self.lab.plain().blob_size(&own, &digest)?.unwrap_or(0);
            }
        }
        Ok(())
    }

    fn kigumi(&self) -> Result<(String, Measured)> {
        let name = Lab::unique_name("bench-kigumi");
        let outcome = Pod::new(self.lab)
            .context(self.workload.context(self.lab, self.bases)?)
            .deadline(Duration::from_mins(20))
            .args(["--destination", &self.lab.destination(&name)])
            .run()?;
        outcome.success()?;
        let measured = Measured {
            elapsed: outcome.elapsed,
            cpu: outcome.cpu,
            memory: outcome.peak_anonymous,
        };
        Ok((name, measured))
    }

    /// With a storage of its own, as in a pod that starts empty.
    fn buildah(&self) -> Result<(String, Measured)> {
        let name = Lab::unique_name("bench-buildah");
        let context = self.workload.context(self.lab, self.bases)?;
        let storage = self.lab.temp_dir()?;
        let commands = Peer::new(self.lab).buildah_cold(context.path(), &name, storage.path());
        let mut all = Measured::default();
        for mut command in commands {
            all = all.then(run_measured(&mut command)?);
        }
        Ok((name, all))
    }

    /// What nobody can do without, by plain tools: fetch, inflate and extract the layers of the base, two at once, each into a directory of its own;
    /// compress, hash and send what is new.
    fn limit(&self) -> Result<(String, Measured)> {
        let name = Lab::unique_name("bench-limit");
        let place = self.lab.temp_dir()?;
        let fetched = self.fetched.join("\n");
        fs::write(place.path().join("fetch"), fetched).context("write a list")?;
        let made = self.made.iter().map(|path| path.to_string_lossy());
        let made = made.collect::<Vec<_>>().join("\n");
        fs::write(place.path().join("send"), made).context("write a list")?;
        let uploads = format!(
            "http://{}/v2/{}/blobs/uploads/",
            self.lab.plain().address(),
            repository(&name)
        );
        let mut command = Command::new("bash");
        command.args(["-euo", "pipefail", "-c", LIMIT, "limit", &uploads]);
        command.current_dir(place.path());
        Ok((name, run_measured(&mut command)?))
    }
}

/// Blobs of the layers, in order.
fn digests(image: &Image) -> Vec<String> {
    let layers = image.layers.iter();
    layers
        .map(|layer| layer.descriptor.digest.clone())
        .collect()
}

const LIMIT: &str = r#"
export uploads=$1
unpack() { mkdir "unpacked-${1##*:}"; curl -sSf --noproxy '*' "$1" | pigz -dc | tar -x --numeric-owner -C "unpacked-${1##*:}"; }
send() {
  pigz -c "$1" | tee packed | sha256sum > digest
  sha256sum "$1" > diff_id
  location=$(curl -sSf --noproxy '*' -o /dev/null -D - -X POST -H 'Content-Length: 0' "$uploads" | sed -n 's/\r$//; s/^[Ll]ocation: //p')
  case $location in /*) location="${uploads%%/v2/*}$location";; esac
  joint='?'; case $location in *\?*) joint='&';; esac
  curl -sSf --noproxy '*' -T packed -H 'Content-Type: application/octet-stream' "$location${joint}digest=sha256:$(cut -d' ' -f1 digest)"
}
export -f unpack send
xargs -r -P2 -I{} bash -euo pipefail -c 'unpack {}' < fetch
xargs -r -I{} bash -euo pipefail -c 'send {}' < send
"#;

/// What this needs besides the lab's own tools.
pub(super) fn ensure_tools() -> Result<()> {
    for tool in ["pigz", "curl"] {
        let found = Command::new(tool)
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        ensure!(
            found.is_ok(),
            "the bench needs {tool}: apt-get install {tool}"
        );
    }
    Ok(())
}

/// The machine, for the head of a table.
pub(super) fn machine() -> String {
    let read = |path: &str| fs::read_to_string(Path::new(path)).unwrap_or_default();
    let cpus = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let model = read("/proc/cpuinfo");
    let model = model
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let memory = read("/proc/meminfo");
    let memory = memory.lines().next().unwrap_or_default().to_owned();
    format!(
        "{cpus} processors ({}), {}, Linux {}",
        model
            .unwrap_or_default()
            .trim_start_matches([' ', '\t', ':']),
        memory
            .split_whitespace()
            .skip(1)
            .collect::<Vec<_>>()
            .join(" "),
        read("/proc/sys/kernel/osrelease").trim()
    )
}
