//! A pod with one container, started as a kubelet and containerd would start it.

use std::fmt;
use std::fs;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::context::copy_tree;
use crate::{Context, Lab, RootState, Variant, tool};

/// The default capabilities of containerd, and so of a pod that asks for nothing.
pub(crate) const CAPABILITIES: &str = "CHOWN,DAC_OVERRIDE,FSETID,FOWNER,MKNOD,NET_RAW,SETGID,SETUID,SETFCAP,\
    SETPCAP,NET_BIND_SERVICE,SYS_CHROOT,KILL,AUDIT_WRITE";

/// How often memory is sampled and a finished container is noticed.
const TICK: Duration = Duration::from_millis(20);

/// A pod to be started.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "four answers that have nothing to do with each other"
)]
pub struct Pod<'a> {
    lab: &'a Lab,
    variant: Variant,
    image: Option<String>,
    context: Option<Context>,
    dockerfile: Option<String>,
    docker_config: String,
    arguments: Vec<String>,
    bare: bool,
    settled: bool,
    service_account: bool,
    entrypoint: Option<String>,
    environment: Vec<(String, String)>,
    host_aliases: Vec<(String, String)>,
    mounts: Vec<String>,
    options: Vec<String>,
    without: Vec<String>,
    unmounted: Vec<String>,
    memory: Option<String>,
    deadline: Duration,
    echo: bool,
}

/// A pod that runs.
#[derive(Debug)]
pub struct RunningPod<'a> {
    lab: &'a Lab,
    name: String,
    podman: Child,
    pid: Pid,
    places: Places,
    log: Arc<Log>,
    readers: Vec<JoinHandle<()>>,
    sampler: Sampler,
    started: Instant,
    deadline: Instant,
    finished: bool,
}

/// What a pod left behind.
#[derive(Debug)]
pub struct Outcome {
    /// Exit code of the container.
    pub code: i32,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
    /// What it wrote to `/dev/termination-log`.
    pub termination_log: String,
    /// Whether the kernel killed something in it for lack of memory.
    pub oom_killed: bool,
    /// Peak anonymous memory of the executor in bytes, sampled.
    pub peak_anonymous: u64,
    /// Peak anonymous memory of all its processes in bytes, sampled.
    pub peak_group: u64,
    /// Processor time of all its processes, sampled.
    pub cpu: Duration,
    /// From start to exit.
    pub elapsed: Duration,
    places: Places,
}

/// Directories and files of the pod on this machine, laid out as a kubelet lays them out.
#[derive(Debug)]
struct Places {
    root: TempDir,
}

impl<'a> Pod<'a> {
    /// A pod with the executor image, an empty workspace and no credentials.
    pub fn new(lab: &'a Lab) -> Self {
        Self {
            lab,
            variant: Variant::Executor,
            image: None,
            context: None,
            dockerfile: None,
            docker_config: "{}".to_owned(),
            arguments: Vec::new(),
            bare: false,
            settled: false,
            service_account: true,
            entrypoint: None,
            environment: Vec::new(),
            host_aliases: Vec::new(),
            mounts: Vec::new(),
            options: Vec::new(),
            without: Vec::new(),
            unmounted: Vec::new(),
            memory: None,
            deadline: Duration::from_mins(10),
            echo: false,
        }
    }

    /// Another image of ours.
    #[must_use]
    pub fn variant(mut self, variant: Variant) -> Self {
        self.variant = variant;
        self
    }

    /// Any image, by a full reference; it is pulled.
    #[must_use]
    pub fn image(mut self, reference: &str) -> Self {
        self.image = Some(reference.to_owned());
        self
    }

    /// What `/workspace` holds; the pod works on a copy.
    #[must_use]
    pub fn context(mut self, context: Context) -> Self {
        self.context = Some(context);
        self
    }

    /// A `Dockerfile` in the workspace.
    #[must_use]
    pub fn dockerfile(mut self, text: impl Into<String>) -> Self {
        self.dockerfile = Some(text.into());
        self
    }

    /// `/kaniko/.docker/config.json`.
    #[must_use]
    pub fn docker_config(mut self, json: impl Into<String>) -> Self {
        self.docker_config = json.into();
        self
    }

    /// Arguments of the executor, after `--context` and `--insecure-registry` of the lab.
    #[must_use]
    pub fn args<S: Into<String>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Leaves out the arguments that the lab adds.
    #[must_use]
    pub fn bare(mut self) -> Self {
        self.bare = true;
        self
    }

    /// Starts when the disk has nothing left to write, not even of the workspace: for what is measured. The end of a container, which syncs its overlay,
    /// waits for everything that is to be written to the same disk.
    #[must_use]
    pub fn settled(mut self) -> Self {
        self.settled = true;
        self
    }

    /// `automountServiceAccountToken: false`: nothing is mounted below `/var/run`.
    #[must_use]
    pub fn without_service_account(mut self) -> Self {
        self.service_account = false;
        self
    }

    /// A shell script (busybox) instead of the entrypoint, as GitLab runs the debug image: the
    /// executor is not the first process then.
    #[must_use]
    pub fn script(mut self, script: &str) -> Self {
        self.variant = Variant::Debug;
        self.entrypoint = Some("/busybox/sh".to_owned());
        self.bare = true;
        self.arguments = vec!["-c".to_owned(), script.to_owned()];
        self
    }

    /// The first process, and all its arguments: the lab adds none.
    #[must_use]
    pub fn first_process(mut self, program: &str, arguments: &[&str]) -> Self {
        self.entrypoint = Some(program.to_owned());
        self.bare = true;
        self.arguments = arguments.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// Without what the lab mounts at this place in every pod.
    #[must_use]
    pub fn unmounted(mut self, target: &str) -> Self {
        self.unmounted.push(target.to_owned());
        self
    }

    /// An environment variable of the container.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A name of an address, as a pod's `hostAliases` give it.
    #[must_use]
    pub fn host_alias(mut self, address: &str, name: &str) -> Self {
        self.host_aliases
            .push((address.to_owned(), name.to_owned()));
        self
    }

    /// A file or directory of this machine, read-only in the container.
    #[must_use]
    pub fn mount(mut self, source: &Path, target: &str) -> Self {
        self.mounts
            .push(format!("{}:{target}:ro", source.display()));
        self
    }

    /// A directory of this machine that the container may write to, as a persistent volume is.
    #[must_use]
    pub fn volume(mut self, source: &Path, target: &str) -> Self {
        self.mounts.push(format!("{}:{target}", source.display()));
        self
    }

    /// An option of `podman run`, for what no kubelet would do.
    #[must_use]
    pub fn podman_option(mut self, option: &str) -> Self {
        self.options.push(option.to_owned());
        self
    }

    /// Without these of the default capabilities, as `securityContext.capabilities.drop` has it.
    #[must_use]
    pub fn without_capabilities(mut self, names: &[&str]) -> Self {
        self.without
            .extend(names.iter().map(|name| (*name).to_owned()));
        self
    }

    /// Memory limit as podman writes it, for example `256m`; swap is not given either.
    #[must_use]
    pub fn memory(mut self, limit: &str) -> Self {
        self.memory = Some(limit.to_owned());
        self
    }

    /// After this time the container is killed and the test fails.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Shows the container's output as it comes.
    #[must_use]
    pub fn echo(mut self) -> Self {
        self.echo = true;
        self
    }

    /// Starts the pod and waits for its end.
    pub fn run(self) -> Result<Outcome> {
        self.start()?.wait()
    }

    /// Starts the pod.
    pub fn start(mut self) -> Result<RunningPod<'a>> {
        let image = match self.image.take() {
            Some(image) => image,
            None => self.lab.executor_image(self.variant)?,
        };
        let places = Places::make(self.lab, &self.docker_config, &self.host_aliases)?;
        if let Some(context) = self.context.take() {
            copy_tree(context.path(), &places.workspace())?;
        }
        if let Some(text) = self.dockerfile.take() {
            fs::write(places.workspace().join("Dockerfile"), text).context("write Dockerfile")?;
        }
        let name = Lab::container_name();
        let mut command = self.command(&name, &image, &places);
        if self.settled {
            tool::run(&mut Command::new("sync"))?;
        }
        let log = Arc::new(Log {
            echo: self.echo,
            ..Log::default()
        });
        let started = Instant::now();
        let mut podman = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("start podman")?;
        let readers = log.follow(&mut podman);
        let Some(pid) = wait_for_pid(&places.pid_file(), &mut podman) else {
            join(readers);
            let said = log.text(Stream::Stderr);
            bail!(
                "a container cannot be started here: {}\n{said}",
                tool::shown(&command)
            );
        };
        Ok(RunningPod {
            lab: self.lab,
            name,
            podman,
            pid,
            places,
            log,
            readers,
            sampler: Sampler::start(pid),
            started,
            deadline: started + self.deadline,
            finished: false,
        })
    }

    fn command(&self, name: &str, image: &str, places: &Places) -> Command {
        let mut command = self.lab.podman();
        command.args([
            "run",
            "--name",
            name,
            "--pull=missing",
            "--network=host",
            "--no-hosts",
        ]);
        command.args(["--log-driver=none", "--pids-limit=-1", "--http-proxy=false"]);
        let capabilities: Vec<&str> = CAPABILITIES
            .split(',')
            .filter(|name| !self.without.iter().any(|without| without == name))
            .collect();
        command.args(["--cap-drop=all", "--cap-add", &capabilities.join(",")]);
        command.arg("--security-opt");
        command.arg(format!("seccomp={}", Lab::seccomp_profile().display()));
        // podman adds these, containerd does not.
        command.args(["--unsetenv=container", "--unsetenv=TERM"]);
        command.arg("--pidfile").arg(places.pid_file());
        let of_account = self.service_account.then(|| places.account_mount());
        let mounts = places.mounts().into_iter().chain(of_account);
        let is_wanted = |mount: &String| {
            let target = mount.split(':').nth(1).unwrap_or_default();
            !self.unmounted.iter().any(|unmounted| unmounted == target)
        };
        for mount in mounts.filter(is_wanted).chain(self.mounts.iter().cloned()) {
            command.args(["--volume", &mount]);
        }
        command.args(["--env", "KUBERNETES_SERVICE_HOST=127.0.0.1"]);
        command.args(["--env", "KUBERNETES_SERVICE_PORT=443"]);
        for (name, value) in &self.environment {
            command.arg("--env").arg(format!("{name}={value}"));
        }
        if let Some(limit) = &self.memory {
            command.args(["--memory", limit, "--memory-swap", limit]);
        }
        if let Some(entrypoint) = &self.entrypoint {
            command.args(["--entrypoint", entrypoint]);
        }
        command.args(&self.options).arg(image);
        if !self.bare {
            command.arg("--context=dir:///workspace");
            command.arg(format!(
                "--insecure-registry={}",
                self.lab.plain().address()
            ));
        }
        command.args(&self.arguments);
        command
    }
}

impl RunningPod<'_> {
    /// Waits until a line of the container's output contains the text.
    pub fn wait_for_line(&self, text: &str) -> Result<()> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if self.log.wait_for(text, left) {
            return Ok(());
        }
        let said = tool::tail(&self.log.text(Stream::Stderr));
        bail!("the container never said `{text}`:\n{said}")
    }

    /// Sends a signal to the container's first process, as a runtime does.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(self.pid, signal).context("signal the container")
    }

    /// SIGKILL to the first process: everything in its PID namespace dies with it.
    pub fn kill(&self) -> Result<()> {
        self.signal(Signal::KILL)
    }

    /// Runs a command in the container, as `kubectl exec` does.
    pub fn exec(&self, arguments: &[&str]) -> Result<tool::Output> {
        tool::attempt(
            self.lab
                .podman()
                .arg("exec")
                .arg(&self.name)
                .args(arguments),
        )
    }

    /// What can be told of its root filesystem, without what is mounted in it.
    pub fn root(&self) -> Result<RootState> {
        let mounted = tool::run(self.lab.podman().args(["mount", &self.name]))?;
        RootState::of(Path::new(mounted.stdout.trim()))
    }

    /// A directory or file of its workspace, on this machine.
    pub fn workspace(&self) -> PathBuf {
        self.places.workspace()
    }

    /// How long ago it was started.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// The peak of the anonymous memory so far: of the executor, and of all processes.
    pub fn peaks(&self) -> (u64, u64) {
        self.sampler.peaks()
    }

    /// Whether its output has come to an end.
    pub fn has_ended(&self) -> bool {
        self.log.is_closed()
    }

    /// Process id of the first process, as this machine numbers it.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Waits for the container's end; fails when the deadline passes first.
    pub fn wait(mut self) -> Result<Outcome> {
        let elapsed = self.wait_for_end()?;
        self.conclude(elapsed)
    }

    /// The same, and shows the root filesystem as the container left it, without what was mounted in it.
    pub fn wait_and_look(mut self, look: impl FnOnce(&Path) -> Result<()>) -> Result<Outcome> {
        let elapsed = self.wait_for_end()?;
        let mounted = tool::run(self.lab.podman().args(["mount", &self.name]))?;
        look(Path::new(mounted.stdout.trim()))?;
        tool::run(self.lab.podman().args(["umount", &self.name]))?;
        self.conclude(elapsed)
    }

    fn wait_for_end(&mut self) -> Result<Duration> {
        while self.podman.try_wait().context("wait for podman")?.is_none() {
            if Instant::now() > self.deadline {
                let said = tool::tail(&self.log.text(Stream::Stderr));
                bail!("the container did not end within its deadline:\n{said}");
            }
            thread::sleep(TICK);
        }
        let elapsed = self.started.elapsed();
        join(std::mem::take(&mut self.readers));
        Ok(elapsed)
    }

    fn conclude(mut self, elapsed: Duration) -> Result<Outcome> {
        let (peak_anonymous, peak_group, cpu) = self.sampler.stop();
        let state = tool::run(self.lab.podman().args([
            "inspect",
            "--type=container",
            "--format={{.State.ExitCode}} {{.State.OOMKilled}}",
            &self.name,
        ]))?;
        let (code, oom) = state
            .stdout
            .trim()
            .split_once(' ')
            .context("podman inspect")?;
        self.remove()?;
        let places = std::mem::replace(&mut self.places, Places::elsewhere(self.lab)?);
        Ok(Outcome {
            code: code.parse().context("podman inspect: exit code")?,
            stdout: self.log.text(Stream::Stdout),
            stderr: self.log.text(Stream::Stderr),
            termination_log: fs::read_to_string(places.termination_log())
                .context("read the termination log")?,
            oom_killed: oom == "true",
            peak_anonymous,
            peak_group,
            cpu,
            elapsed,
            places,
        })
    }

    fn remove(&mut self) -> Result<()> {
        self.finished = true;
        let mut command = self.lab.podman();
        tool::run(command.args(["rm", "--force", "--volumes", "--time=0", &self.name]))?;
        Ok(())
    }
}

impl Drop for RunningPod<'_> {
    fn drop(&mut self) {
        if !self.finished {
            // A test failed on the way; its own error says why, this one would hide it.
            drop(self.remove());
            drop(self.podman.wait());
        }
    }
}

impl Outcome {
    /// Fails with the container's last words unless it exited with 0.
    pub fn success(&self) -> Result<&Self> {
        self.exits_with(0)
    }

    /// Fails with the container's last words unless it exited with this code.
    pub fn exits_with(&self, code: i32) -> Result<&Self> {
        ensure!(
            self.code == code,
            "exit code {} instead of {code}\n{self}",
            self.code
        );
        Ok(self)
    }

    /// Fails unless standard output or error contains the text.
    pub fn says(&self, text: &str) -> Result<&Self> {
        let found = self.stdout.contains(text) || self.stderr.contains(text);
        ensure!(found, "nothing says `{text}`\n{self}");
        Ok(self)
    }

    /// A file that the container wrote to its workspace.
    pub fn workspace_file(&self, name: &str) -> Result<String> {
        let path = self.places.workspace().join(name);
        fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
    }

    /// The workspace on this machine.
    pub fn workspace(&self) -> PathBuf {
        self.places.workspace()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "--- stdout\n{}", tool::tail(&self.stdout))?;
        writeln!(formatter, "--- stderr\n{}", tool::tail(&self.stderr))?;
        if self.oom_killed {
            writeln!(formatter, "--- killed for lack of memory")?;
        }
        Ok(())
    }
}

impl Places {
    fn make(lab: &Lab, docker_config: &str, host_aliases: &[(String, String)]) -> Result<Self> {
        let places = Self::elsewhere(lab)?;
        let token = places.volume("projected/kube-api-access");
        for directory in [
            &places.workspace(),
            &places.docker(),
            &token,
            &places.path("build"),
        ] {
            fs::create_dir_all(directory)
                .with_context(|| format!("mkdir {}", directory.display()))?;
        }
        fs::write(places.docker().join("config.json"), docker_config)?;
        fs::write(token.join("token"), "not-a-real-token")?;
        fs::write(token.join("namespace"), "default")?;
        let mut hosts = "127.0.0.1\tlocalhost\n::1\tlocalhost\n".to_owned();
        let aliases = host_aliases.iter();
        hosts.extend(aliases.map(|(address, name)| format!("{address}\t{name}\n")));
        fs::write(places.path("etc-hosts"), hosts)?;
        fs::write(places.path("hostname"), "build-pod\n")?;
        let resolver = fs::read("/etc/resolv.conf").context("read /etc/resolv.conf")?;
        fs::write(places.path("resolv.conf"), resolver)?;
        fs::write(places.termination_log(), "")?;
        Ok(places)
    }

    fn elsewhere(lab: &Lab) -> Result<Self> {
        let pods = lab.state().directory("kubelet/pods")?;
        let root = tempfile::Builder::new().prefix("pod-").tempdir_in(pods)?;
        Ok(Self { root })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn volume(&self, name: &str) -> PathBuf {
        self.path("volumes").join(format!("kubernetes.io~{name}"))
    }

    fn workspace(&self) -> PathBuf {
        self.volume("empty-dir/workspace")
    }

    fn docker(&self) -> PathBuf {
        self.volume("secret/docker")
    }

    fn termination_log(&self) -> PathBuf {
        self.path("build/termination-log")
    }

    fn pid_file(&self) -> PathBuf {
        self.path("pid")
    }

    fn mounts(&self) -> Vec<String> {
        let mount = |source: PathBuf, target: &str| format!("{}:{target}", source.display());
        vec![
            mount(self.workspace(), "/workspace"),
            mount(self.docker(), "/kaniko/.docker"),
            mount(self.path("etc-hosts"), "/etc/hosts"),
            mount(self.path("hostname"), "/etc/hostname"),
            mount(self.path("resolv.conf"), "/etc/resolv.conf"),
            mount(self.termination_log(), "/dev/termination-log"),
        ]
    }

    fn account_mount(&self) -> String {
        let source = self.volume("projected/kube-api-access");
        let target = "/var/run/secrets/kubernetes.io/serviceaccount";
        format!("{}:{target}:ro", source.display())
    }
}

fn wait_for_pid(file: &Path, podman: &mut Child) -> Option<Pid> {
    loop {
        let ended = !matches!(podman.try_wait(), Ok(None));
        let written = fs::read_to_string(file).unwrap_or_default();
        if let Some(pid) = written.trim().parse().ok().and_then(Pid::from_raw) {
            return Some(pid);
        }
        if ended {
            return None;
        }
        thread::sleep(Duration::from_millis(2));
    }
}

fn join(threads: Vec<JoinHandle<()>>) {
    for thread in threads {
        // A reader that panicked has already printed why.
        drop(thread.join());
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stream {
    Stdout,
    Stderr,
}

/// The container's output as it comes.
#[derive(Debug, Default)]
struct Log {
    lines: Mutex<Vec<(Stream, String)>>,
    changed: Condvar,
    closed: AtomicU64,
    echo: bool,
}

impl Log {
    fn follow(self: &Arc<Self>, child: &mut Child) -> Vec<JoinHandle<()>> {
        let stdout = child
            .stdout
            .take()
            .map(|pipe| self.read(Stream::Stdout, pipe));
        let stderr = child
            .stderr
            .take()
            .map(|pipe| self.read(Stream::Stderr, pipe));
        stdout.into_iter().chain(stderr).collect()
    }

    fn read(self: &Arc<Self>, stream: Stream, pipe: impl Read + Send + 'static) -> JoinHandle<()> {
        let log = Arc::clone(self);
        thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            let mut line = Vec::new();
            while pipe
                .read_until(b'\n', &mut line)
                .is_ok_and(|count| count > 0)
            {
                let text = String::from_utf8_lossy(&line).into_owned();
                if log.echo {
                    // Nobody can be told that the terminal is gone.
                    drop(write!(std::io::stderr(), "  {text}"));
                }
                log.lock().push((stream, text));
                log.changed.notify_all();
                line.clear();
            }
            log.closed.fetch_add(1, Ordering::SeqCst);
            log.changed.notify_all();
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(Stream, String)>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn text(&self, wanted: Stream) -> String {
        let lines = self.lock();
        lines
            .iter()
            .filter(|(stream, _)| *stream == wanted)
            .map(|(_, line)| &**line)
            .collect()
    }

    /// Both streams have ended.
    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst) >= 2
    }

    fn wait_for(&self, text: &str, timeout: Duration) -> bool {
        let says_it =
            |lines: &Vec<(Stream, String)>| lines.iter().any(|(_, line)| line.contains(text));
        let (lines, _) = self
            .changed
            .wait_timeout_while(self.lock(), timeout, |lines| {
                !says_it(lines) && !self.is_closed()
            })
            .unwrap_or_else(PoisonError::into_inner);
        says_it(&lines)
    }
}

/// Watches the memory of a container.
#[derive(Debug)]
struct Sampler {
    stop: Arc<AtomicBool>,
    peak: Arc<AtomicU64>,
    group_peak: Arc<AtomicU64>,
    /// In nanoseconds.
    cpu: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Sampler {
    fn start(pid: Pid) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let peak = Arc::new(AtomicU64::new(0));
        let group_peak = Arc::new(AtomicU64::new(0));
        let cpu = Arc::new(AtomicU64::new(0));
        let (own_stop, own_peak, own_group, own_cpu) = (
            Arc::clone(&stop),
            Arc::clone(&peak),
            Arc::clone(&group_peak),
            Arc::clone(&cpu),
        );
        let pid = pid.as_raw_nonzero();
        let group = memory_group(pid.get());
        let time = time_group(pid.get());
        let thread = thread::spawn(move || {
            while !own_stop.load(Ordering::SeqCst) {
                own_peak.fetch_max(executor_bytes(pid.get()), Ordering::SeqCst);
                if let Some(group) = &group {
                    own_group.fetch_max(group_bytes(group), Ordering::SeqCst);
                }
                if let Some(time) = &time {
                    own_cpu.fetch_max(group_nanoseconds(time), Ordering::SeqCst);
                }
                thread::sleep(TICK);
            }
        });
        Self {
            stop,
            peak,
            group_peak,
            cpu,
            thread: Some(thread),
        }
    }

    fn peaks(&self) -> (u64, u64) {
        (
            self.peak.load(Ordering::SeqCst),
            self.group_peak.load(Ordering::SeqCst),
        )
    }

    fn stop(&mut self) -> (u64, u64, Duration) {
        self.stop.store(true, Ordering::SeqCst);
        join(self.thread.take().into_iter().collect());
        let (peak, group_peak) = self.peaks();
        let cpu = Duration::from_nanos(self.cpu.load(Ordering::SeqCst));
        (peak, group_peak, cpu)
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}

/// Anonymous memory of the first process and of those of its children that run the same program:
/// the executor is an init and a builder. A RUN is not counted.
fn executor_bytes(pid: i32) -> u64 {
    let program = |pid: i32| fs::read_link(format!("/proc/{pid}/exe")).ok();
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let children = children.unwrap_or_default();
    let children = children
        .split_whitespace()
        .filter_map(|word| word.parse().ok());
    let same = children.filter(|child| program(*child) == program(pid));
    anonymous_bytes(pid) + same.map(anonymous_bytes).sum::<u64>()
}

/// `RssAnon` of a process; 0 when it is gone.
pub(crate) fn anonymous_bytes(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kibibytes: Option<u64> = line
        .and_then(|line| line.split_whitespace().next())
        .and_then(|word| word.parse().ok());
    kibibytes.unwrap_or(0) * 1024
}

/// The `memory.stat` of a process's memory cgroup, of either version.
fn memory_group(pid: i32) -> Option<PathBuf> {
    group_file(pid, "memory", ["memory.stat", "memory.stat"])
}

/// What says how much processor time a process's cgroup has used, in either version.
fn time_group(pid: i32) -> Option<PathBuf> {
    group_file(pid, "cpuacct", ["cpuacct.usage", "cpu.stat"])
}

/// A file of a process's cgroup: of the controller in version 1, of the one hierarchy in version 2.
fn group_file(pid: i32, controller: &str, names: [&str; 2]) -> Option<PathBuf> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let mut candidates = text.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        let path = path.trim_start_matches('/');
        let root = Path::new("/sys/fs/cgroup");
        let [first, second] = names;
        if controllers.is_empty() {
            return Some(root.join(path).join(second));
        }
        let is_wanted = controllers.split(',').any(|name| name == controller);
        is_wanted.then(|| root.join(controller).join(path).join(first))
    });
    candidates.find(|file| file.is_file())
}

fn group_nanoseconds(file: &Path) -> u64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    // Version 1 says nanoseconds and nothing else, version 2 names microseconds.
    let microseconds = text
        .lines()
        .find_map(|line| line.strip_prefix("usage_usec "));
    let number = |text: &str| text.trim().parse::<u64>().unwrap_or(0);
    microseconds.map_or_else(|| number(&text), |text| number(text) * 1000)
}

fn group_bytes(stat: &Path) -> u64 {
    let text = fs::read_to_string(stat).unwrap_or_default();
    let value = text.lines().find_map(|line| {
        // Version 1 says `total_rss`, version 2 `anon`.
        line.strip_prefix("total_rss ")
            .or_else(|| line.strip_prefix("anon "))
    });
    value.and_then(|word| word.trim().parse().ok()).unwrap_or(0)
}
