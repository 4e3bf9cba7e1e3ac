//! A pod that `podman kube play` starts from the very document that a cluster gets.
//!
//! What podman 4.3 leaves undone of a kubelet's and a controller's work is done here; nothing else of the document is touched:
//!
//! | podman 4.3 | here |
//! |---|---|
//! | knows pods, no jobs | the pod of a Job's template is taken, as the Job controller does |
//! | one set of names for all pods of this machine | pods, claims, secrets and `emptyDir`s get names of their own |
//! | does not read `seccompProfile` | the annotation that it reads says `RuntimeDefault`'s profile, whatever the document says |
//! | has eleven capabilities by default | its configuration has containerd's fourteen |
//! | does not decode what a Secret holds | it gets the Secret decoded |
//! | does not read `items` of a secret, and falls over where `optional` is absent | the secret's keys are the paths already; `optional: false` |
//! | has no `projected` volumes | one that projects a single secret is that secret |
//! | mounts no termination log | it is mounted |
//!
//! An `emptyDir` of `medium: Memory` lies on the disk, requests of resources and `automountServiceAccountToken` say nothing to podman.
#![expect(
    clippy::indexing_slicing,
    reason = "documents: what a JSON value does not have is null, which no test of these takes for something"
)]

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::context::copy_tree;
use crate::pod::CAPABILITIES;
use crate::{Lab, RootState, tool};

/// Seconds after which a pod that has not ended is given up.
const DEADLINE: &str = "600";

/// A pod to be played.
#[derive(Debug)]
pub struct Play<'a> {
    lab: &'a Lab,
    pod: Value,
    claims: Vec<(String, PathBuf)>,
    secrets: Vec<(String, String, String)>,
    mounts: Vec<(PathBuf, String, bool)>,
}

/// A pod that podman has started. All that was made for it is gone when this is dropped.
#[derive(Debug)]
pub struct Playing<'a> {
    lab: &'a Lab,
    name: String,
    container: String,
    volumes: Vec<String>,
    secrets: Vec<String>,
    place: TempDir,
}

/// What a played pod left behind.
#[derive(Debug)]
pub struct Played {
    /// Exit code of its container.
    pub code: i32,
    /// What the container said, on both streams.
    pub log: String,
    /// What it wrote to `/dev/termination-log`.
    pub termination_log: String,
}

impl<'a> Play<'a> {
    /// A Pod, or the pod of a Job, with the one container that it has.
    pub fn new(lab: &'a Lab, document: &Value) -> Result<Self> {
        let pod = match document["kind"].as_str() {
            Some("Pod") => document.clone(),
            Some("Job") => json!({
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": { "name": document["metadata"]["name"] },
                "spec": document["spec"]["template"]["spec"],
            }),
            kind => bail!("{kind:?} is no pod"),
        };
        let containers = pod["spec"]["containers"].as_array().map(Vec::len);
        ensure!(containers == Some(1), "{containers:?} containers");
        Ok(Self {
            lab,
            pod,
            claims: Vec::new(),
            secrets: Vec::new(),
            mounts: Vec::new(),
        })
    }

    /// What is on the volume of a `PersistentVolumeClaim`; the pod works on a copy.
    #[must_use]
    pub fn claim(mut self, name: &str, content: &Path) -> Self {
        self.claims.push((name.to_owned(), content.to_owned()));
        self
    }

    /// A Secret with one key.
    #[must_use]
    pub fn secret(mut self, name: &str, key: &str, value: &str) -> Self {
        let secret = (name.to_owned(), key.to_owned(), value.to_owned());
        self.secrets.push(secret);
        self
    }

    /// A file or directory of this machine, read-only in the container, as kubelets and admission controllers add them.
    #[must_use]
    pub fn mount(mut self, source: &Path, target: &str) -> Self {
        let mount = (source.to_owned(), target.to_owned(), true);
        self.mounts.push(mount);
        self
    }

    /// A directory of this machine that the container may write to, as platforms add their workspace.
    #[must_use]
    pub fn volume(mut self, source: &Path, target: &str) -> Self {
        let mount = (source.to_owned(), target.to_owned(), false);
        self.mounts.push(mount);
        self
    }

    /// Starts the pod and waits for its end.
    pub fn run(self) -> Result<Played> {
        self.start()?.wait()
    }

    /// Starts the pod.
    pub fn start(mut self) -> Result<Playing<'a>> {
        let suffix = Lab::container_name();
        let container = self.pod["spec"]["containers"][0]["name"].as_str();
        let container = container.context("a name of the container")?.to_owned();
        let mut playing = Playing {
            lab: self.lab,
            container: format!("{suffix}-{container}"),
            name: suffix.clone(),
            volumes: Vec::new(),
            secrets: Vec::new(),
            place: self.lab.temp_dir()?,
        };
        self.pod["metadata"] = json!({
            "name": suffix,
            "annotations": { "seccomp.security.alpha.kubernetes.io/pod": "localhost/runtime-default.json" },
        });
        self.settle(&suffix, &mut playing)?;
        let manifest = playing.place.path().join("pod.yaml");
        // JSON is YAML.
        fs::write(&manifest, self.pod.to_string())?;
        let profiles = Lab::seccomp_profile();
        let profiles = profiles.parent().context("a directory of profiles")?;
        // The first pod of all makes the image of what holds its namespaces.
        let _lock = self.lab.state().lock("kube-play")?;
        let configuration = self.lab.state().play_configuration()?;
        tool::run(
            self.lab
                .podman()
                .env("CONTAINERS_CONF", configuration)
                .args(["kube", "play", "--network=host", "--tls-verify=false"])
                .args(["--log-driver=k8s-file", "--seccomp-profile-root"])
                .arg(profiles)
                .arg(&manifest),
        )
        .with_context(|| format!("play {}", self.pod))?;
        playing.is_confined()?;
        Ok(playing)
    }

    /// Makes what the volumes refer to.
    fn settle(&mut self, suffix: &str, playing: &mut Playing<'_>) -> Result<()> {
        let spec = &mut self.pod["spec"];
        let mut volumes = spec["volumes"].as_array().cloned().unwrap_or_default();
        for volume in &mut volumes {
            unprojected(volume);
            let name = volume["name"].as_str().unwrap_or_default().to_owned();
            if volume.get("emptyDir").is_some() {
                let own = format!("{name}-{suffix}");
                volume["name"] = json!(own);
                let of_it = mounts(spec)?.iter_mut();
                for mount in of_it.filter(|mount| mount["name"] == json!(name)) {
                    mount["name"] = json!(own);
                }
                playing.volumes.push(own);
            } else if let Some(claim) = volume.get_mut("persistentVolumeClaim") {
                let wanted = claim["claimName"].as_str().unwrap_or_default();
                let found = self.claims.iter().find(|(name, _)| name == wanted);
                let (_, content) = found.with_context(|| format!("a claim `{wanted}`"))?;
                let own = format!("{wanted}-{suffix}");
                claim["claimName"] = json!(own);
                playing.make_volume(&own, content)?;
            } else if let Some(secret) = volume.get_mut("secret") {
                let document = projected(secret, &self.secrets, suffix)?;
                let own = secret["secretName"].as_str().unwrap_or_default();
                playing.make_secret(own, &document)?;
            } else {
                bail!("a volume that nobody here has: {volume}");
            }
        }
        let log = playing.termination_log();
        fs::write(&log, "")?;
        let own = (log, "/dev/termination-log".to_owned(), false);
        for (index, (source, target, is_read_only)) in self.mounts.iter().chain([&own]).enumerate()
        {
            let name = format!("added-{index}");
            volumes.push(json!({ "name": name, "hostPath": { "path": source } }));
            mounts(spec)?
                .push(json!({ "name": name, "mountPath": target, "readOnly": is_read_only }));
        }
        spec["volumes"] = Value::Array(volumes);
        Ok(())
    }
}

/// The mounts of the container.
fn mounts(spec: &mut Value) -> Result<&mut Vec<Value>> {
    let container = spec["containers"][0].as_object_mut();
    let container = container.context("a container")?;
    let mounts = container.entry("volumeMounts").or_insert_with(|| json!([]));
    mounts.as_array_mut().context("a list of mounts")
}

/// A projected volume of one secret becomes a volume of that secret.
fn unprojected(volume: &mut Value) {
    let source = match volume["projected"]["sources"].as_array().map(Vec::as_slice) {
        Some([source]) => source["secret"].clone(),
        Some(_) | None => return,
    };
    let secret = json!({ "secretName": source["name"], "items": source["items"] });
    *volume = json!({ "name": volume["name"], "secret": secret });
}

/// The Secret of a volume, with keys as the volume's `items` want them; the volume refers to it afterwards.
fn projected(
    volume: &mut Value,
    secrets: &[(String, String, String)],
    suffix: &str,
) -> Result<Value> {
    let wanted = volume["secretName"].as_str().unwrap_or_default().to_owned();
    let found = secrets.iter().find(|(name, _, _)| *name == wanted);
    let (_, key, value) = found.with_context(|| format!("a secret `{wanted}`"))?;
    let items = volume["items"].as_array().into_iter().flatten();
    let mut of_key = items.filter(|item| item["key"] == json!(key));
    let path = match (of_key.next(), volume["items"].is_null()) {
        (Some(item), _) => item["path"].as_str().context("a path of an item")?,
        (None, true) => key.as_str(),
        (None, false) => bail!("`{wanted}` has the key `{key}`, and the volume wants others"),
    };
    let mut data = Map::new();
    data.insert(path.to_owned(), json!(value));
    let own = format!("{wanted}-{suffix}");
    volume["secretName"] = json!(own);
    volume["optional"] = json!(false);
    Ok(json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": { "name": own },
        "data": data,
    }))
}

impl Playing<'_> {
    /// Runs a command in the container, as `kubectl exec` does.
    pub fn exec(&self, arguments: &[&str]) -> Result<tool::Output> {
        let mut podman = self.lab.podman();
        tool::attempt(podman.arg("exec").arg(&self.container).args(arguments))
    }

    /// What can be told of the container's root filesystem, without what is mounted in it.
    pub fn root(&self) -> Result<RootState> {
        let mounted = tool::run(self.lab.podman().args(["mount", &self.container]))?;
        RootState::of(Path::new(mounted.stdout.trim()))
    }

    /// Waits for the end of the container.
    pub fn wait(self) -> Result<Played> {
        let mut wait = self.lab.tool("timeout");
        let ended = tool::attempt(wait.args([DEADLINE, "podman", "wait", &self.container]))?;
        let said = tool::run(self.lab.podman().args(["logs", &self.container]))?;
        let log = format!("{}{}", said.stdout, said.stderr);
        let code = ended.stdout.trim().parse();
        let code = code.with_context(|| format!("it does not end:\n{}", tool::tail(&log)))?;
        let termination_log = fs::read_to_string(self.termination_log())?;
        Ok(Played {
            code,
            log,
            termination_log,
        })
    }

    fn termination_log(&self) -> PathBuf {
        self.place.path().join("termination-log")
    }

    fn make_volume(&mut self, name: &str, content: &Path) -> Result<()> {
        self.volumes.push(name.to_owned());
        let podman = || self.lab.podman();
        tool::run(podman().args(["volume", "create", name]))?;
        let place = ["volume", "inspect", "--format={{.Mountpoint}}", name];
        let place = tool::run(podman().args(place))?;
        copy_tree(content, Path::new(place.stdout.trim()))
    }

    fn make_secret(&mut self, name: &str, document: &Value) -> Result<()> {
        self.secrets.push(name.to_owned());
        // podman keeps what it unpacks of a secret in a volume of that name.
        self.volumes.push(name.to_owned());
        let file = self.place.path().join(name);
        fs::write(&file, document.to_string())?;
        let mut podman = self.lab.podman();
        tool::run(podman.args(["secret", "create", name]).arg(&file))?;
        Ok(())
    }

    /// Whether the container has what a pod has by default: fourteen capabilities, and the seccomp profile of the runtime.
    fn is_confined(&self) -> Result<()> {
        let format = "--format={{.OCIConfigPath}}";
        let mut podman = self.lab.podman();
        let place = tool::run(podman.args(["inspect", format, &self.container]))?;
        let config: Value = serde_json::from_slice(&fs::read(place.stdout.trim())?)?;
        let names = config["process"]["capabilities"]["bounding"].as_array();
        let names = names.into_iter().flatten().filter_map(Value::as_str);
        let mut names: Vec<&str> = names.map(|name| name.trim_start_matches("CAP_")).collect();
        let mut expected: Vec<&str> = CAPABILITIES.split(',').collect();
        names.sort_unstable();
        expected.sort_unstable();
        ensure!(names == expected, "the container has {names:?}");
        let seccomp = &config["linux"]["seccomp"];
        ensure!(
            seccomp["defaultAction"] == "SCMP_ACT_ERRNO",
            "what is not named is not refused: {}",
            seccomp["defaultAction"]
        );
        // Needs CAP_SYS_ADMIN under RuntimeDefault; podman's own profile allows it.
        let rules = seccomp["syscalls"].as_array().into_iter().flatten();
        let mut names = rules.flat_map(|rule| rule["names"].as_array().into_iter().flatten());
        ensure!(names.all(|name| name != "unshare"), "unshare is allowed");
        Ok(())
    }
}

impl Drop for Playing<'_> {
    fn drop(&mut self) {
        // What is left of a test that failed, or never came to be, is no reason to fail for another one.
        let remove = |arguments: &[&str], names: &[String]| {
            if !names.is_empty() {
                drop(tool::attempt(self.lab.podman().args(arguments).args(names)));
            }
        };
        let pod = std::slice::from_ref(&self.name);
        remove(&["pod", "rm", "--force", "--time=0"], pod);
        for volume in &self.volumes {
            remove(&["volume", "rm", "--force"], std::slice::from_ref(volume));
        }
        remove(&["secret", "rm"], &self.secrets);
    }
}

impl Played {
    /// Fails with the container's last words unless it exited with 0.
    pub fn success(&self) -> Result<&Self> {
        let log = tool::tail(&self.log);
        ensure!(self.code == 0, "exit code {}\n{log}", self.code);
        Ok(self)
    }
}
