//! Where the lab keeps things: below the target directory, never in the machine's own places.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::Registry;
use crate::pod::CAPABILITIES;

/// Paths of one lab.
#[derive(Debug)]
pub(crate) struct State {
    root: PathBuf,
    /// Sockets and run-time state of podman. Not below `root`: podman allows 50 bytes for it, and
    /// it must vanish at a reboot or podman believes that old containers still run.
    runtime: PathBuf,
}

/// A lock between processes; released when dropped.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "held for its lock, never read")] File);

static COUNTER: AtomicU64 = AtomicU64::new(0);

impl State {
    /// `$KIGUMI_LAB`, else `lab` in the target directory that this program was built in.
    pub(crate) fn locate() -> Result<Self> {
        let root = match env::var_os("KIGUMI_LAB") {
            Some(path) => PathBuf::from(path),
            None => target_directory()?.join("lab-state"),
        };
        fs::create_dir_all(root.join("tmp"))
            .with_context(|| format!("mkdir {}", root.display()))?;
        let root = root.canonicalize().context("resolve the lab's directory")?;
        let name = hex::encode(Sha256::digest(root.as_os_str().as_encoded_bytes()));
        let runtime = PathBuf::from(format!(
            "/run/kigumi-lab-{}",
            name.get(..8).unwrap_or(&name)
        ));
        Ok(Self { root, runtime })
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// A directory below the state, made when it is absent.
    pub(crate) fn directory(&self, relative: &str) -> Result<PathBuf> {
        let path = self.path(relative);
        fs::create_dir_all(&path).with_context(|| format!("mkdir {}", path.display()))?;
        Ok(path)
    }

    pub(crate) fn temp_dir(&self) -> Result<TempDir> {
        tempfile::Builder::new()
            .prefix("lab-")
            .tempdir_in(self.path("tmp"))
            .context("make a temporary directory in the lab")
    }

    /// Waits for the lock of this name, across processes and threads.
    pub(crate) fn lock(&self, name: &str) -> Result<Lock> {
        let path = self.path(&format!("{name}.lock"));
        let file = File::create(&path).with_context(|| format!("create {}", path.display()))?;
        file.lock()
            .with_context(|| format!("lock {}", path.display()))?;
        Ok(Lock(file))
    }

    pub(crate) fn auth_file(&self) -> PathBuf {
        self.tools().join("auth.json")
    }

    /// Writes the configuration of podman, buildah and skopeo for these two registries.
    pub(crate) fn configure_tools(&self, plain: &Registry, secure: &Registry) -> Result<()> {
        let tools = self.tools();
        fs::create_dir_all(&tools).with_context(|| format!("mkdir {}", tools.display()))?;
        let runtime = self.runtime.display();
        write(
            &tools.join("containers.conf"),
            &format!(
                "[containers]\ndefault_ulimits = []\n\
             [engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\nruntime = \"runc\"\n\
             hooks_dir = [\"{tools}/hooks\"]\n\
             tmp_dir = \"{runtime}/libpod\"\nimage_copy_tmp_dir = \"{tmp}\"\n\
             [network]\nnetwork_config_dir = \"{tools}/networks\"\n",
                tmp = self.path("tmp").display(),
                tools = tools.display(),
            ),
        )?;
        let hooks = tools.join("hooks");
        fs::create_dir_all(&hooks).with_context(|| format!("mkdir {}", hooks.display()))?;
        write(&hooks.join("no-containerenv.json"), NO_CONTAINERENV)?;
        // Otherwise a mount of the storage on itself outlives the lab, and `cargo clean` fails.
        write(
            &tools.join("storage.conf"),
            &format!(
                "[storage]\ndriver = \"overlay\"\ngraphroot = \"{}\"\nrunroot = \"{runtime}/storage\"\n\
                 [storage.options.overlay]\nskip_mount_home = \"true\"\n",
                self.path("podman").display(),
            ),
        )?;
        write(
            &tools.join("registries.conf"),
            &format!(
                "unqualified-search-registries = []\n[[registry]]\nlocation = \"{}\"\ninsecure = true\n",
                plain.address(),
            ),
        )?;
        write(
            &tools.join("policy.json"),
            "{\"default\":[{\"type\":\"insecureAcceptAnything\"}]}\n",
        )?;
        write(&self.auth_file(), &secure.docker_config())
    }

    /// The same configuration for `podman kube play`, which takes capabilities from there alone: those that containerd gives.
    pub(crate) fn play_configuration(&self) -> Result<PathBuf> {
        let names: Vec<String> = CAPABILITIES
            .split(',')
            .map(|name| format!("\"{name}\""))
            .collect();
        let capabilities = format!("default_capabilities = [{}]", names.join(", "));
        let general = self.tools().join("containers.conf");
        let general = fs::read_to_string(&general).context("read the lab's configuration")?;
        let place = self.tools().join("containers-play.conf");
        let section = "[containers]\n";
        let own = general.replace(section, &format!("{section}{capabilities}\n"));
        write(&place, &own)?;
        Ok(place)
    }

    /// Points a container tool at the lab instead of the machine's own configuration.
    pub(crate) fn apply(&self, command: &mut Command) {
        let tools = self.tools();
        // conmon leaves a file `oom` where it was started when a container ran out of memory.
        command
            .current_dir(self.path("tmp"))
            .env("CONTAINERS_CONF", tools.join("containers.conf"))
            .env("CONTAINERS_STORAGE_CONF", tools.join("storage.conf"))
            .env("CONTAINERS_REGISTRIES_CONF", tools.join("registries.conf"))
            .env("REGISTRY_AUTH_FILE", self.auth_file())
            .env("TMPDIR", self.path("tmp"))
            .env_remove("DOCKER_CONFIG")
            .env_remove("CONTAINER_HOST")
            .env_remove("NOTIFY_SOCKET");
    }

    pub(crate) fn policy_file(&self) -> PathBuf {
        self.tools().join("policy.json")
    }

    /// Per process, because a private lab has ports of its own.
    fn tools(&self) -> PathBuf {
        self.path(&format!("tmp/tools-{}", std::process::id()))
    }
}

/// podman mounts a file `/run/.containerenv` into every container and cannot be asked not to; a kubelet does not, so that a pod may have no `/run` at
/// all. This takes the mount out of the runtime's configuration. oci-hooks(5).
const NO_CONTAINERENV: &str = r#"{
    "version": "1.0.0",
    "hook": {
        "path": "/bin/sed",
        "args": ["sed", "s|{\"destination\":\"/run/[.]containerenv\"[^}]*},*||; s/,]/]/g"]
    },
    "when": {"always": true},
    "stages": ["precreate"]
}
"#;

/// A word that no other caller got, in this process or another.
pub(crate) fn unique() -> String {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    format!(
        "{:x}-{:x}-{:x}",
        since_epoch.as_micros(),
        std::process::id(),
        COUNTER.fetch_add(1, Ordering::Relaxed)
    )
}

fn write(path: &Path, content: &str) -> Result<()> {
    fs::write(path, content).with_context(|| format!("write {}", path.display()))
}

/// The cargo target directory that the running program was built in.
///
/// Cargo marks it with a `CACHEDIR.TAG`.
pub fn target_directory() -> Result<PathBuf> {
    let program = env::current_exe().context("find the running program")?;
    let marked = program
        .ancestors()
        .find(|ancestor| ancestor.join("CACHEDIR.TAG").is_file());
    Ok(marked.map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"),
        Path::to_path_buf,
    ))
}
