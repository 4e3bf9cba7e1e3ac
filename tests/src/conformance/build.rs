//! Building a case with the executor.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, lchown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::Value;
use tempfile::TempDir;

use super::case::{Case, Options};
use super::git::Repositories;
use super::images::{KnownImage, Shelf};
use super::server::{Server, Site};
use super::tree::materialise;
use crate::{Context, Image, Lab, Outcome, Pod, SshAgent, tool};

/// Where the files of a plain web server are.
const HTTP: &str = "{{http}}";
const GIT: &str = "{{git}}";

/// Where a name without a host is looked for.
const DOCKER_HUB: &str = "index.docker.io";

/// Where a pod has the files of the case.
const WORKSPACE: &str = "/workspace";

/// See [`Prepared::build_with`].
pub(crate) const LAYERS_HERE: &str = "{{layers}}";

/// Where a pod has the cache of layers: below a place that is there in any case, so that a RUN sees the same root with and without a cache.
const LAYERS: &str = "/workspace/layers";

/// Who builds when the tests run as root: nobody, so that nothing can need more.
const NOBODY: u32 = 65534;

/// A case whose files lie on disk and whose images are served.
#[derive(Debug)]
pub struct Prepared {
    directory: TempDir,
    server: Server,
    /// Ids of commits and what stands for them.
    ids: Vec<(String, String)>,
    /// By id.
    agents: BTreeMap<String, SshAgent>,
    /// The images that the registry has, by name.
    pub images: BTreeMap<String, Vec<KnownImage>>,
    /// Relative to the directory.
    dockerfile: PathBuf,
    /// A cache that builds of this case may share; empty at first.
    layers: TempDir,
}

/// The ways to build a case.
#[derive(Debug, Clone, Copy)]
pub enum Build<'a> {
    /// As an ordinary process without any privilege.
    Process {
        /// The executor.
        executor: &'a Path,
    },
    /// As the first process of an ordinary pod.
    Pod {
        /// Where pods are.
        lab: &'a Lab,
    },
}

/// A copy of the executor that every user of this machine may run, wherever the target directory is.
#[derive(Debug)]
pub struct PublicExecutor {
    directory: TempDir,
}

impl PublicExecutor {
    /// Copies the executor.
    pub fn new(executor: &Path) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("conformance-").tempdir()?;
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(directory.path(), mode.clone())?;
        let copy = Self { directory };
        fs::copy(executor, copy.path()).with_context(|| format!("copy {}", executor.display()))?;
        fs::set_permissions(copy.path(), mode)?;
        Ok(copy)
    }

    /// Where it is.
    pub fn path(&self) -> PathBuf {
        self.directory.path().join("executor")
    }
}

/// A build that has ended.
#[derive(Debug)]
pub struct Finished {
    /// Exit code.
    pub code: i32,
    /// What it said.
    pub output: String,
    layout: PathBuf,
    _places: Places,
    placeholders: Vec<(String, String)>,
}

/// Held for what a build left there.
#[derive(Debug)]
enum Places {
    Own(#[expect(dead_code, reason = "held, never read")] TempDir),
    OfPod(#[expect(dead_code, reason = "held, never read")] Outcome),
}

impl Prepared {
    /// Makes everything that the case needs to be built so.
    pub fn make(case: &Case, how: Build<'_>) -> Result<Self> {
        let mut shelf = Shelf::make(&case.images)?;
        shelf.add_files(&case.http)?;
        let repositories = Repositories::make(&case.git)?;
        let ids = repositories.placeholders();
        let site = Site {
            resources: shelf.resources,
            repositories,
            key: None,
        };
        let server = match how {
            Build::Process { .. } => Server::start(site)?,
            Build::Pod { .. } => Server::start_as_host(site)?,
        };
        let directory = tempfile::Builder::new().prefix("conformance-").tempdir()?;
        let root = directory.path();
        for name in ["context", "beside", "secrets"] {
            fs::create_dir(root.join(name)).with_context(|| format!("mkdir {name}"))?;
        }
        let options = &case.options;
        let in_context = options.dockerfile_in_context.unwrap_or(true);
        let home = if in_context { "context" } else { "beside" };
        let path = options.dockerfile_path.as_deref().unwrap_or("Dockerfile");
        let dockerfile = Path::new(home).join(path);
        let place = root.join(&dockerfile);
        if let Some(parent) = place.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&place, located(&case.dockerfile()?, &server, &ids))
            .context("write Dockerfile")?;
        fs::set_permissions(&place, fs::Permissions::from_mode(0o644))?;
        materialise(&root.join("beside"), &options.dockerfile_dir_files)?;
        materialise(&root.join("context"), &case.files)?;
        for (name, secret) in &options.secrets {
            fs::write(root.join("secrets").join(name), secret.content()?)?;
        }
        for (name, context) in &options.build_contexts {
            let place = root.join(format!("named-{name}"));
            fs::create_dir(&place)?;
            materialise(&place, context.files.as_deref().unwrap_or_default())?;
        }
        let agent = |id: &String| Ok((id.clone(), SshAgent::start()?));
        let agents = options.ssh.iter().map(agent).collect::<Result<_>>()?;
        Ok(Self {
            directory,
            server,
            ids,
            agents,
            images: shelf.images,
            dockerfile,
            layers: tempfile::Builder::new().prefix("layers-").tempdir()?,
        })
    }

    /// Builds the case. Nothing is there of earlier builds.
    pub fn build(&self, case: &Case, how: Build<'_>) -> Result<Finished> {
        self.build_with(case, how, &[])
    }

    /// The same with further arguments, in which [`LAYERS_HERE`] stands for a directory that all builds of this case share.
    pub(crate) fn build_with(
        &self,
        case: &Case,
        how: Build<'_>,
        more: &[&str],
    ) -> Result<Finished> {
        let words = |layers: &str| -> Vec<String> {
            let words = more.iter();
            words
                .map(|word| word.replace(LAYERS_HERE, layers))
                .collect()
        };
        match how {
            Build::Process { executor } => {
                let layers = self.layers.path().display().to_string();
                self.build_as_process(case, executor, &words(&layers))
            }
            Build::Pod { lab } => self.build_in_pod(case, lab, &words(LAYERS)),
        }
    }

    fn build_as_process(&self, case: &Case, executor: &Path, more: &[String]) -> Result<Finished> {
        let root = self.directory.path();
        let own = tempfile::Builder::new().prefix("build-").tempdir_in(root)?;
        let place = |name: &str| own.path().join(name);
        let (home, layout) = (place("home"), place("layout"));
        for name in ["kaniko", "home"] {
            fs::create_dir(place(name)).with_context(|| format!("mkdir {name}"))?;
        }
        let mut command = Command::new(executor);
        command
            .args(self.arguments(case, root, &layout))
            .args(more)
            .args(self.forwarded(|id, agent| format!("{id}={}", agent.socket().display())))
            .arg("--kaniko-dir")
            .arg(place("kaniko"));
        command.env_clear().env("HOME", &home).current_dir(&home);
        // The server is the proxy: it tunnels nothing, so plain HTTP is what is left.
        for scheme in ["http_proxy", "https_proxy"] {
            command.env(scheme, format!("http://{}", self.server.address()));
        }
        if rustix::process::geteuid().is_root() {
            give(root, NOBODY)?;
            give(self.layers.path(), NOBODY)?;
            command.uid(NOBODY).gid(NOBODY);
        }
        let said = tool::attempt(&mut command)?;
        let finished = Finished {
            code: said.code,
            output: said.stdout + &said.stderr,
            layout,
            _places: Places::Own(own),
            placeholders: self.placeholders(),
        };
        Ok(finished)
    }

    fn build_in_pod(&self, case: &Case, lab: &Lab, more: &[String]) -> Result<Finished> {
        // Its token would keep `/run/secrets` from being absent where it is in BuildKit.
        let mut pod = Pod::new(lab).without_service_account();
        for (id, agent) in &self.agents {
            pod = pod.mount(&agent.socket(), &agent_in_pod(id));
        }
        if !more.is_empty() {
            pod = pod.volume(self.layers.path(), LAYERS);
        }
        let workspace = Path::new(WORKSPACE);
        let arguments = self.arguments(case, workspace, &workspace.join("layout"));
        let outcome = pod
            .context(Context::copy_of(lab, self.directory.path())?)
            .host_alias(&self.server.address().ip().to_string(), DOCKER_HUB)
            .bare()
            .args(arguments)
            .args(more.iter().map(String::as_str))
            .args(self.forwarded(|id, _| format!("{id}={}", agent_in_pod(id))))
            .run()?;
        Ok(Finished {
            code: outcome.code,
            output: format!("{}{}", outcome.stdout, outcome.stderr),
            layout: outcome.workspace().join("layout"),
            _places: Places::OfPod(outcome),
            placeholders: self.placeholders(),
        })
    }

    /// What is another text in every run, and what stands for it.
    fn placeholders(&self) -> Vec<(String, String)> {
        let http = format!("http://{}/f", self.server.address());
        let git = format!("http://{}/git", self.server.address());
        [(http, HTTP.to_owned()), (git, GIT.to_owned())]
            .into_iter()
            .chain(self.ids.iter().cloned())
            .collect()
    }

    /// The flags for agents.
    fn forwarded(&self, value: impl Fn(&str, &SshAgent) -> String) -> Vec<String> {
        let agents = self.agents.iter();
        agents
            .flat_map(|(id, agent)| ["--ssh".to_owned(), value(id, agent)])
            .collect()
    }

    /// The command line, for a builder that sees the files of the case below `root`.
    fn arguments(&self, case: &Case, root: &Path, layout: &Path) -> Vec<String> {
        let place = |name: &Path| root.join(name).display().to_string();
        let mut words = options(&case.options, root);
        for (flag, name) in [
            ("--dockerfile", self.dockerfile.as_path()),
            ("--context", Path::new("context")),
            ("--oci-layout-path", layout),
        ] {
            words.extend([flag.to_owned(), place(name)]);
        }
        words.extend(["--no-push", "--insecure-pull", "--log-format=text"].map(str::to_owned));
        words
    }
}

impl Finished {
    /// The image that was built.
    pub fn image(&self) -> Result<Image> {
        Image::from_layout(&self.layout)
    }

    /// The layout that was written.
    pub(crate) fn layout(&self) -> &Path {
        &self.layout
    }

    /// The images that were built, by platform.
    pub fn images(&self) -> Result<BTreeMap<String, Image>> {
        Image::all_from_layout(&self.layout)
    }

    /// What it said about its failure: everything from the first error on.
    pub fn complaint(&self) -> String {
        let lines: Vec<&str> = self.output.lines().collect();
        let start = lines.iter().position(|line| is_error(line)).unwrap_or(0);
        lines.split_at(start).1.join("\n")
    }

    /// The first line of every error.
    pub(crate) fn errors(&self) -> impl Iterator<Item = &str> {
        self.output.lines().filter(|line| is_error(line))
    }

    /// The same value with the placeholders of the case instead of addresses.
    pub(crate) fn with_placeholders(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => {
                let replace = |text: String, (address, placeholder): &(String, String)| {
                    text.replace(address.as_str(), placeholder)
                };
                Value::String(self.placeholders.iter().fold(text.clone(), replace))
            }
            Value::Array(values) => values
                .iter()
                .map(|value| self.with_placeholders(value))
                .collect(),
            Value::Object(fields) => fields
                .iter()
                .map(|(name, value)| (name.clone(), self.with_placeholders(value)))
                .collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }
}

/// Whether a line of the log begins an error, behind the time that may be in front of it.
fn is_error(line: &str) -> bool {
    let time = line
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("] "));
    let message = time.map_or(line, |(_, message)| message);
    message.starts_with("error")
}

/// The Dockerfile with addresses instead of placeholders.
fn located(dockerfile: &[u8], server: &Server, ids: &[(String, String)]) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(dockerfile) else {
        return dockerfile.to_vec();
    };
    let text = text.replace(HTTP, &format!("http://{}/f", server.address()));
    let text = text.replace(GIT, &format!("http://{}/git", server.address()));
    let text = ids.iter().fold(text, |text, (id, placeholder)| {
        text.replace(placeholder, id)
    });
    text.into_bytes()
}

/// Where a pod has the socket of an agent.
fn agent_in_pod(id: &str) -> String {
    format!("/agents/{id}")
}

/// What the options of a case are on the command line.
fn options(options: &Options, root: &Path) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut flag = |name: &str, value: String| words.extend([name.to_owned(), value]);
    for (name, value) in &options.build_args {
        flag("--build-arg", format!("{name}={value}"));
    }
    for (name, value) in &options.labels {
        flag("--label", format!("{name}={value}"));
    }
    if let Some(target) = &options.target {
        flag("--target", target.clone());
    }
    if let Some(platform) = &options.platform {
        flag("--custom-platform", platform.clone());
    }
    for name in options.secrets.keys() {
        let place = root.join("secrets").join(name);
        flag("--secret", format!("id={name},src={}", place.display()));
    }
    for (name, context) in &options.build_contexts {
        let place = match &context.image {
            Some(image) => format!("docker-image://{image}"),
            None => root.join(format!("named-{name}")).display().to_string(),
        };
        flag("--build-context", format!("{name}={place}"));
    }
    for (name, address) in &options.add_hosts {
        flag("--add-host", format!("{name}:{address}"));
    }
    for (name, limits) in &options.ulimits {
        flag("--ulimit", format!("{name}={limits}"));
    }
    if options.rewrite_timestamp {
        words.push("--reproducible".to_owned());
    }
    words
}

/// Gives a tree to another user.
fn give(path: &Path, user: u32) -> Result<()> {
    let metadata = path.symlink_metadata()?;
    lchown(path, Some(user), Some(user)).with_context(|| format!("chown {}", path.display()))?;
    if !metadata.is_symlink() {
        // A change of owner takes set-id bits away.
        fs::set_permissions(path, metadata.permissions())?;
    }
    if metadata.is_dir() {
        for child in fs::read_dir(path)? {
            give(&child?.path(), user)?;
        }
    }
    Ok(())
}
