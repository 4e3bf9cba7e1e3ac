//! The machinery: what must be installed, where state lives, the registries, the base images.

mod base;
mod bench_debs;
mod executor;
mod hadolint;
mod http;
mod manifests;
mod prerequisites;
mod registry;
mod state;
mod stores;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};

use anyhow::{Context as _, Result, anyhow, bail};
use tempfile::TempDir;

pub use executor::{Variant, build_executor, stage_image_context};
pub use hadolint::hadolint;
pub use manifests::{judge_manifest, read_yaml};
pub use prerequisites::{ensure_prerequisites, missing_prerequisites};
pub use registry::{Credentials, Registry, Request};
pub use state::target_directory;
pub(crate) use stores::StoreTools;

use state::State;

/// The lab of this process: two registries that answer, and the tools configured to use them.
#[derive(Debug)]
pub struct Lab {
    state: State,
    plain: Registry,
    secure: Registry,
    /// Ends private registries when the process ends; absent when a running lab was found.
    _keeper: Vec<registry::Keeper>,
    /// Executor images that this process has made.
    executors: Mutex<BTreeMap<Variant, String>>,
}

static LAB: OnceLock<Result<Lab, String>> = OnceLock::new();

impl Lab {
    /// The lab of this process: a running one (`cargo xtask lab up`), or registries of our own that
    /// end with the process.
    pub fn get() -> Result<&'static Self> {
        LAB.get_or_init(|| Self::start().map_err(|error| format!("{error:?}")))
            .as_ref()
            .map_err(|message| anyhow!("the lab does not start: {message}"))
    }

    fn start() -> Result<Self> {
        ensure_prerequisites()?;
        let state = State::locate()?;
        let lock = state.lock("lab")?;
        let tls = registry::prepare_tls(&state)?;
        let (plain, secure, keeper) = match registry::running(&state)? {
            Some((plain, secure)) => (plain, secure, Vec::new()),
            None => registry::start_private(&state, &tls)?,
        };
        state.configure_tools(&plain, &secure)?;
        drop(lock);
        Ok(Self {
            state,
            plain,
            secure,
            _keeper: keeper,
            executors: Mutex::default(),
        })
    }

    /// Starts registries that outlive this process and announces them to later ones.
    pub fn up() -> Result<String> {
        ensure_prerequisites()?;
        let state = State::locate()?;
        let _lock = state.lock("lab")?;
        let tls = registry::prepare_tls(&state)?;
        if registry::running(&state)?.is_none() {
            registry::start_announced(&state, &tls)?;
        }
        registry::describe(&state)
    }

    /// Stops what [`Lab::up`] started and removes containers that a broken run left behind.
    pub fn down() -> Result<String> {
        let state = State::locate()?;
        let _lock = state.lock("lab")?;
        let stopped = registry::stop_announced(&state)?;
        Ok(if stopped {
            "stopped".to_owned()
        } else {
            "was not running".to_owned()
        })
    }

    /// One line on what runs.
    pub fn status() -> Result<String> {
        registry::describe(&State::locate()?)
    }

    /// The registry without TLS and without credentials.
    pub fn plain(&self) -> &Registry {
        &self.plain
    }

    /// The registry with TLS (a CA of the lab) and basic auth. It serves the same storage as
    /// [`Lab::plain`], so what was pushed here can be judged there.
    pub fn secure(&self) -> &Registry {
        &self.secure
    }

    /// A reference into the plain registry.
    pub fn destination(&self, name: &str) -> String {
        format!("{}/{name}", self.plain.address())
    }

    /// A name that no other test uses: `<prefix>-<number>:latest`.
    pub fn unique_name(prefix: &str) -> String {
        format!("{prefix}-{}:latest", state::unique())
    }

    /// A minimal Debian, reference into the plain registry.
    pub fn debian(&self) -> Result<String> {
        base::debian(self)
    }

    /// The minimal Debian with a C compiler, make and git on top; made when first asked for.
    pub fn debian_build(&self) -> Result<String> {
        base::debian_build(self)
    }

    /// The minimal Debian in a repository of its own: the small base of the benchmarks.
    pub fn bench_small(&self) -> Result<String> {
        base::bench_small(self)
    }

    /// Debian with compilers, interpreters and a JDK in eight layers: the large base of the benchmarks. Takes minutes when first asked for.
    pub fn bench_big(&self) -> Result<String> {
        base::bench_big(self)
    }

    /// A directory of sixty Debian packages, Node.js among them, that fit upon [`Lab::bench_small`]; fetched when first asked for.
    pub fn bench_debs(&self) -> Result<PathBuf> {
        bench_debs::directory(self)
    }

    /// One static busybox with all its applets.
    pub fn busybox(&self) -> Result<String> {
        base::busybox(self)
    }

    /// A static busybox on this machine.
    pub fn busybox_program(&self) -> Result<PathBuf> {
        let proof = "/usr/share/doc/busybox-static";
        prerequisites::borrow(&self.state, "busybox-static", proof, "bin/busybox")
    }

    /// An executor image, as a name in the lab's container storage.
    pub fn executor_image(&self, variant: Variant) -> Result<String> {
        let mut made = self
            .executors
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(reference) = made.get(&variant) {
            return Ok(reference.clone());
        }
        let reference = executor::image(self, variant)?;
        made.insert(variant, reference.clone());
        Ok(reference)
    }

    /// `podman` with the lab's storage and configuration.
    pub fn podman(&self) -> Command {
        self.tool("podman")
    }

    /// Any of the container tools with the lab's storage and configuration.
    pub fn tool(&self, name: &str) -> Command {
        let mut command = Command::new(name);
        self.state.apply(&mut command);
        command
    }

    /// A fresh directory on the lab's disk, removed when dropped.
    pub fn temp_dir(&self) -> Result<TempDir> {
        self.state.temp_dir()
    }

    /// The seccomp profile equal to the `RuntimeDefault` of containerd.
    pub fn seccomp_profile() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("lab/seccomp/runtime-default.json")
    }

    /// The lab's certificate authority, PEM.
    pub fn ca_file(&self) -> PathBuf {
        self.state.path("tls/ca.crt")
    }

    /// A `config.json` with the credentials of the secure registry.
    pub fn docker_config(&self) -> Result<String> {
        fs::read_to_string(self.state.auth_file()).context("read the lab's credentials")
    }

    /// Fails with the reason when a container of the lab cannot be started here.
    pub fn probe(&self) -> Result<()> {
        let image = self.busybox()?;
        let output = crate::tool::attempt(self.podman().args([
            "run",
            "--rm",
            "--network=host",
            "--pull=always",
            &image,
            "true",
        ]))?;
        if output.code != 0 {
            bail!(
                "a container cannot be started here: {}",
                output.stderr.trim()
            );
        }
        Ok(())
    }

    /// A name for a container that no other has.
    pub(crate) fn container_name() -> String {
        format!("kigumi-{}", state::unique())
    }

    pub(crate) fn state(&self) -> &State {
        &self.state
    }
}
