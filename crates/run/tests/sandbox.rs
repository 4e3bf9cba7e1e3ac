//! The sandbox, from the outside: the example `probe` runs commands in it.
//!
//! Where this machine lets the user of the tests make no sandbox (no `CAP_SYS_ADMIN`, no user
//! namespaces), each test checks instead that the refusal is an error that leaves nothing behind.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panic")]

use std::fs;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// What a dynamic program needs; the real executor is static.
const LIBRARIES: [&str; 4] = ["/usr", "/lib", "/lib64", "/bin"];

/// Messages of a machine that does not allow a sandbox at all.
const REFUSALS: [&str; 4] = [
    "sandbox: make a user namespace",
    "sandbox: make namespaces",
    "sandbox: make a process namespace",
    "sandbox: mount /proc",
];

struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// A directory for temporary roots and one of the host to bind.
struct Place {
    roots: TempDir,
    host: TempDir,
}

impl Place {
    fn new() -> Self {
        Self {
            roots: tempfile::tempdir().unwrap(),
            host: tempfile::tempdir().unwrap(),
        }
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.host.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn command(&self, binds: &[String], script: &str) -> Command {
        let mut command = Command::new(probe());
        command.arg("--sandbox").arg(self.roots.path());
        for library in LIBRARIES.iter().filter(|path| Path::new(path).exists()) {
            command.arg(format!("{library}:{library}"));
        }
        command.args(binds).args(["--", "sh", "-c", script]);
        command.env("SECRET", "canary-of-the-host");
        command
    }

    /// `None` when this machine allows no sandbox, after checking that it was refused cleanly.
    fn run(&self, binds: &[String], script: &str) -> Option<Ended> {
        let output = self.command(binds, script).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let (stdout, stderr) = (text(output.stdout), text(output.stderr));
        assert_eq!(
            fs::read_dir(self.roots.path()).unwrap().count(),
            0,
            "a root was left behind"
        );
        if refused(&stderr) {
            assert_eq!((output.status.code(), stdout.as_str()), (Some(1), ""));
            return None;
        }
        Some(Ended {
            code: output.status.code(),
            stdout,
            stderr,
        })
    }

    fn stdout_of(&self, binds: &[String], script: &str) -> Option<String> {
        let ended = self.run(binds, script)?;
        assert_eq!(
            (ended.code, ended.stderr.as_str()),
            (Some(0), ""),
            "{}",
            ended.stdout
        );
        Some(ended.stdout)
    }
}

fn refused(stderr: &str) -> bool {
    let message = stderr.strip_prefix("probe: ").unwrap_or_default();
    REFUSALS.iter().any(|refusal| message.starts_with(refusal))
}

/// Cargo builds examples with the tests, into a directory beside theirs.
fn probe() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let path = own
        .parent()
        .and_then(Path::parent)
        .unwrap()
        .join("examples/probe");
    assert!(
        path.exists(),
        "build it first: cargo build -p kigumi-run --example probe"
    );
    path
}

fn bind(host: &Path, inside: &str, rest: &str) -> String {
    format!("{}:{inside}{rest}", host.display())
}

#[test]
fn the_exit_code_of_the_inside_is_passed_on_and_the_root_is_removed() {
    let place = Place::new();
    let Some(ended) = place.run(&[], "echo out; echo err >&2; touch /left; exit 42") else {
        return;
    };
    let expected = (Some(42), "out\n", "err\n");
    assert_eq!(
        (ended.code, ended.stdout.as_str(), ended.stderr.as_str()),
        expected
    );
}

#[test]
fn only_the_binds_and_the_sandboxs_own_file_systems_are_mounted() {
    let place = Place::new();
    let binds = [bind(place.host.path(), "/workspace", "")];
    let Some(stdout) = place.stdout_of(&binds, "cut -d' ' -f5 /proc/self/mountinfo | sort") else {
        return;
    };
    let kernel = ["/proc/", "/sys", "/dev/"];
    let expected = [
        "/",
        "/dev",
        "/proc",
        "/workspace",
        "/etc/hosts",
        "/etc/hostname",
        "/etc/resolv.conf",
    ];
    for mount in stdout.lines() {
        let known = expected.contains(&mount)
            || kernel.iter().any(|prefix| mount.starts_with(prefix))
            || LIBRARIES
                .iter()
                .any(|library| Path::new(mount).starts_with(library));
        assert!(known, "{mount} is mounted in the sandbox");
    }
}

#[test]
fn no_other_file_of_the_host_can_be_found() {
    let place = Place::new();
    place.file("kigumi-canary", "x");
    let find = "find / -name 'kigumi-canary' -not -path '/proc/*' 2>/dev/null; ls -d /proc/1/root/* | head -c1";
    let Some(ended) = place.run(&[], find) else {
        return;
    };
    assert_eq!(ended.stdout, "", "reached through {}", ended.stdout);
    // The same search finds it where it is bound: the test could fail.
    let binds = [bind(place.host.path(), "/workspace", "")];
    let stdout = place.run(&binds, find).unwrap().stdout;
    assert_eq!(stdout, "/workspace/kigumi-canary\n");
}

#[test]
fn only_processes_of_the_sandbox_are_visible() {
    let place = Place::new();
    let script = "set -- /proc/[0-9]*; echo $#; head -c5 /proc/1/cmdline";
    let Some(stdout) = place.stdout_of(&[], script) else {
        return;
    };
    // The init, the executor and the shell.
    assert_eq!(stdout, "3\nprobe");
}

#[test]
fn a_bind_is_read_only_unless_it_is_asked_for() {
    let place = Place::new();
    let file = place.file("file", "before");
    let read_only = [bind(place.host.path(), "/workspace", "")];
    let script = "echo after >/workspace/file; echo new >/workspace/new; cat /workspace/file";
    let Some(ended) = place.run(&read_only, script) else {
        return;
    };
    assert_eq!(ended.stdout, "before");
    assert!(
        ended.stderr.contains("Read-only file system"),
        "{}",
        ended.stderr
    );
    let writable = [bind(place.host.path(), "/workspace", ":rw")];
    assert_eq!(place.run(&writable, script).unwrap().stdout, "after\n");
    assert_eq!(fs::read_to_string(file).unwrap(), "after\n");
}

#[test]
fn a_writable_bind_may_lie_in_a_read_only_one() {
    let place = Place::new();
    fs::create_dir(place.host.path().join("out")).unwrap();
    let out = tempfile::tempdir().unwrap();
    let binds = [
        bind(place.host.path(), "/workspace", ""),
        bind(out.path(), "/workspace/out", ":rw"),
    ];
    let script = "echo result >/workspace/out/digest";
    if place.stdout_of(&binds, script).is_some() {
        assert_eq!(
            fs::read_to_string(out.path().join("digest")).unwrap(),
            "result\n"
        );
        assert_eq!(
            fs::read_dir(place.host.path().join("out")).unwrap().count(),
            0
        );
    }
}

/// A context is not to be trusted: the link would lead the mount out of the new root.
#[test]
fn a_bind_below_another_does_not_follow_links_in_it() {
    let place = Place::new();
    std::os::unix::fs::symlink("/etc", place.host.path().join("out")).unwrap();
    let out = tempfile::tempdir().unwrap();
    let binds = [
        bind(place.host.path(), "/workspace", ""),
        bind(out.path(), "/workspace/out", ":rw"),
    ];
    let Some(ended) = place.run(&binds, "true") else {
        return;
    };
    assert_eq!(ended.code, Some(1));
    assert!(
        ended
            .stderr
            .contains("to `/workspace/out`: Too many levels"),
        "{}",
        ended.stderr
    );
}

/// T-RUN-04.
#[test]
fn root_inside_has_containerds_capabilities_and_no_more() {
    let place = Place::new();
    let script = "grep -E '^Cap(Inh|Prm|Eff|Bnd|Amb)' /proc/self/status; id -u";
    let Some(stdout) = place.stdout_of(&[], script) else {
        return;
    };
    let expected = "CapInh:\t0000000000000000\nCapPrm:\t00000000a80425fb\nCapEff:\t00000000a80425fb\n\
        CapBnd:\t00000000a80425fb\nCapAmb:\t0000000000000000\n0\n";
    assert_eq!(stdout, expected);
}

/// T-RUN-06: neither PID 1 nor the executor can be looked into by a RUN as root.
#[test]
fn the_executors_environment_memory_and_files_cannot_be_read() {
    let place = Place::new();
    let script = "for p in 1 $PPID; do for f in environ mem maps; do head -c1 /proc/$p/$f && echo read $f; done; \
        readlink /proc/$p/fd/0 && echo fd; readlink /proc/$p/root && echo root; done; head -c1 /proc/self/environ";
    let Some(ended) = place.run(&[], script) else {
        return;
    };
    assert_eq!(ended.stdout, "P", "{}", ended.stderr);
}

#[test]
fn settings_of_the_hosts_kernel_cannot_be_changed() {
    let place = Place::new();
    let script = "for f in /proc/sys/kernel/core_pattern /proc/sys/kernel/hostname /proc/sysrq-trigger; do \
        test -e $f && (: >>$f) 2>/dev/null && echo $f can be written; done; chmod 600 /dev/null 2>/dev/null && echo mode changed; \
        wc -c </proc/keys";
    let Some(ended) = place.run(&[], script) else {
        return;
    };
    assert_eq!(ended.stdout, "0\n");
}

#[test]
fn devices_of_the_host_can_be_neither_seen_nor_opened() {
    let place = Place::new();
    let script = "echo data >/dev/null && head -c3 /dev/zero | wc -c; \
        for d in /node /dev/node /dev/shm/node; do mknod $d c 1 5; head -c1 $d && echo opened $d; done 2>/dev/null; \
        for f in /dev/*; do test -b $f && echo block $f; done; true";
    let Some(stdout) = place.stdout_of(&[], script) else {
        return;
    };
    assert_eq!(stdout, "3\n");
}

/// The interlock's evidence (robustness catalogue §2.3).
#[test]
fn the_root_is_marked_as_disposable_for_this_boot() {
    let place = Place::new();
    let script = "test -f /.kigumi-disposable-root && cmp /.kigumi-disposable-root /proc/sys/kernel/random/boot_id \
        && stat -c '%u %F' /.kigumi-disposable-root";
    let Some(stdout) = place.stdout_of(&[], script) else {
        return;
    };
    assert_eq!(stdout, "0 regular file\n");
}

#[test]
fn a_refused_bind_leaves_nothing_behind() {
    let place = Place::new();
    let binds = [bind(place.host.path(), "/proc/x", "")];
    let output = place.command(&binds, "true").output().unwrap();
    let expected =
        "probe: sandbox: cannot bind `/proc/x`: it lies in a file system of the sandbox\n";
    assert_eq!(String::from_utf8(output.stderr).unwrap(), expected);
    assert_eq!(fs::read_dir(place.roots.path()).unwrap().count(), 0);
}

/// Starts a sandbox whose inside says a word once it runs; `None` when there can be none.
fn start(place: &Place, script: &str) -> Option<Child> {
    let mut command = place.command(&[], script);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut word = [0; 3];
    if child.stdout.as_mut().unwrap().read_exact(&mut word).is_ok() {
        return Some(child);
    }
    let mut stderr = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut stderr)
        .unwrap();
    assert!(refused(&stderr), "{stderr}");
    assert_eq!(child.wait().unwrap().code(), Some(1));
    None
}

fn signal(child: &Child, signal: rustix::process::Signal) {
    rustix::process::kill_process(rustix::process::Pid::from_child(child), signal).unwrap();
}

/// K-EXIT-06, through three processes: the outer one, the init, the executor.
#[test]
fn sigterm_reaches_the_run_and_ends_the_sandbox_with_143() {
    let place = Place::new();
    let script = "trap 'echo bye; exit 0' TERM; echo go; while :; do sleep 0.01; done";
    let Some(mut child) = start(&place, script) else {
        return;
    };
    signal(&child, rustix::process::Signal::TERM);
    let mut rest = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut rest)
        .unwrap();
    assert_eq!(
        (rest.as_str(), child.wait().unwrap().code()),
        ("bye\n", Some(143))
    );
    assert_eq!(fs::read_dir(place.roots.path()).unwrap().count(), 0);
}

/// The end of its output is the proof: every process inside held it open.
#[test]
fn everything_inside_dies_with_the_outer_process() {
    let place = Place::new();
    let Some(mut child) = start(&place, "echo go; setsid sleep 1000 & sleep 1000") else {
        return;
    };
    signal(&child, rustix::process::Signal::KILL);
    let mut rest = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut rest)
        .unwrap();
    assert_eq!(
        (rest.as_str(), child.wait().unwrap().signal()),
        ("", Some(9))
    );
}

/// Robustness catalogue §8: inside, the executor is the child of an init.
#[test]
fn a_run_that_kills_or_stops_the_executor_neither_hangs_nor_succeeds() {
    let place = Place::new();
    let Some(killed) = place.run(&[], "kill -KILL $PPID; exit 0") else {
        return;
    };
    assert_eq!(killed.code, Some(137));
    let stopped = place.run(&[], "kill -STOP $PPID; exit 3").unwrap();
    assert_eq!(stopped.code, Some(3));
}

/// T-PROC-01: a child that PID 1 has from before it became the executor.
#[test]
fn pid_1_reaps_processes_it_did_not_start() {
    let script = "sleep 0.01 & export ORPHAN=$!; exec \"$0\" sh -c \"while [ -e /proc/$ORPHAN ]; do sleep 0.01; done; echo reaped\"";
    if let Some(said) = in_a_process_namespace(script) {
        assert_eq!(said, ("reaped\n".into(), String::new()));
    }
}

/// As a step of GitLab or Tekton, below a shell whose session began outside the container: the
/// kernel gives such a session and group the number 0.
#[test]
fn a_session_led_from_outside_the_process_namespace_is_ours() {
    let script = "\"$0\" sh -c 'sleep 100 & echo ran'; echo $?";
    if let Some(said) = in_a_process_namespace(script) {
        assert_eq!(said, ("ran\n0\n".into(), String::new()));
    }
}

/// What `script` says below the first process of a new process namespace. `None` where the
/// machine allows none; the container tests have one.
fn in_a_process_namespace(script: &str) -> Option<(String, String)> {
    let user: &[&str] = if rustix::process::geteuid().is_root() {
        &[]
    } else {
        &["--user", "--map-root-user"]
    };
    let mut command = Command::new("unshare");
    command
        .args(user)
        .args(["--pid", "--fork", "--mount-proc", "sh", "-c", script])
        .arg(probe());
    let output = command.output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    if stderr.starts_with("unshare: ") {
        std::io::stderr().write_all(stderr.as_bytes()).unwrap();
        return None;
    }
    Some((String::from_utf8(output.stdout).unwrap(), stderr))
}
