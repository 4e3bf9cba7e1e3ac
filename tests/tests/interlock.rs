//! Outside a container nothing is written; in `--sandbox` everything happens in a private root.
//!
//! A broken interlock would destroy the machine that runs this test. So the executor is started
//! behind a fence: a mount namespace of its own, a tmpfs as its root, a read-only `/proc`. What it
//! sees is a host: the initial PID namespace, a disk-like root, no sign of a container.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use kigumi_tests::lab::build_executor;
use kigumi_tests::{Context, Image, Lab, Output, attempt};
use tempfile::TempDir;

/// Calls that change a filesystem, or are on the way to doing so.
const WRITING: &str = "open,openat,openat2,creat,mkdir,mkdirat,mknod,mknodat,unlink,unlinkat,rmdir,\
    rename,renameat,renameat2,link,linkat,symlink,symlinkat,chmod,fchmod,fchmodat,chown,fchown,\
    lchown,fchownat,truncate,ftruncate,fallocate,utime,utimes,utimensat,futimesat,setxattr,\
    lsetxattr,fsetxattr,removexattr,lremovexattr,fremovexattr,mount,umount2,pivot_root,chroot,\
    move_mount,open_tree,fsopen,fsmount,unshare,setns,kill,tkill,tgkill,pidfd_send_signal";

/// Makes the fenced root, lists it, runs the executor in it under strace, lists it again.
/// Arguments: directory for results, executor, busybox, user id, environment assignment, arguments.
const FENCE: &str = r#"
set -eu
results=$1 executor=$2 busybox=$3 user=$4 variable=$5; shift 5
root=$results/root
mkdir "$root"
mount -t tmpfs -o mode=0755 fence "$root"
mkdir -p "$root/proc" "$root/etc" "$root/home/me" "$root/var/lib/precious" "$root/context" "$root/tmp"
chmod 1777 "$root/tmp" "$root/home/me"
cp "$executor" "$root/executor"
cp "$busybox" "$root/busybox"
echo root:x:0:0:root:/root:/bin/sh > "$root/etc/passwd"
echo precious > "$root/var/lib/precious/canary"
mkdir -p "$root/boot" && echo kernel > "$root/boot/vmlinuz-6.1.0"
cp "$busybox" "$root/context/busybox"
printf 'FROM scratch\nCOPY busybox /busybox\nRUN ["/busybox", "touch", "/made-by-run"]\n' \
    > "$root/context/Dockerfile"
mount -t proc -o ro,nosuid,nodev,noexec proc "$root/proc"
list() {
    find "$root" -xdev -printf '%p %y %m %U %G %s %T@ %C@ %l\n' | sort
    find "$root" -xdev -type f -exec sha256sum {} + | sort
}
list > "$results/before"
code=0
env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/home/me "$variable" strace -f -qq -o "$results/trace" -e trace=execve,"$WRITING" \
    -- chroot --userspec="$user:$user" "$root" /executor "$@" \
    > "$results/stdout" 2> "$results/stderr" || code=$?
list > "$results/after"
echo "$code" > "$results/code"
"#;

struct Fenced {
    results: TempDir,
}

impl Fenced {
    fn run(user: u32, variable: &str, arguments: &[&str]) -> Result<Self> {
        Self::run_program(&build_executor()?, user, variable, arguments)
    }

    /// Starts any program in the place of the executor.
    fn run_program(program: &Path, user: u32, variable: &str, arguments: &[&str]) -> Result<Self> {
        let host = fs::read_link("/proc/self/ns/pid")?;
        ensure!(
            host == Path::new("pid:[4026531836]"),
            "this test needs a host: it runs in a PID namespace of its own ({})",
            host.display()
        );
        let results = Lab::get()?.temp_dir()?;
        let mut fence = Command::new("unshare");
        fence.args([
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-c",
            FENCE,
            "fence",
        ]);
        fence
            .arg(results.path())
            .arg(program)
            .arg(Lab::get()?.busybox_program()?);
        fence
            .args([user.to_string().as_str(), variable])
            .args(arguments);
        kigumi_tests::run(fence.env("WRITING", WRITING)).context("make a fence")?;
        Ok(Self { results })
    }

    fn read(&self, name: &str) -> Result<String> {
        fs::read_to_string(self.results.path().join(name)).with_context(|| format!("read {name}"))
    }

    fn refused_without_a_trace(&self) -> Result<()> {
        let stderr = self.read("stderr")?;
        ensure!(
            self.read("code")?.trim() == "1",
            "exit code {}\n{stderr}",
            self.read("code")?
        );
        ensure!(
            self.read("before")? == self.read("after")?,
            "the tree has changed"
        );
        let trace = self.read("trace")?;
        let (_, own) = trace
            .split_once("execve(\"/executor\"")
            .with_context(|| format!("the executor was never started\n{trace}"))?;
        let writes: Vec<&str> = own.lines().skip(1).filter(|line| is_write(line)).collect();
        ensure!(
            writes.is_empty(),
            "calls that write:\n{}",
            writes.join("\n")
        );
        Ok(())
    }

    fn says(&self, words: &[&str]) -> Result<()> {
        let stderr = self.read("stderr")?;
        for word in words {
            ensure!(stderr.contains(word), "nothing says `{word}`\n{stderr}");
        }
        Ok(())
    }
}

/// An open for reading is no write; everything else that is traced is.
fn is_write(line: &str) -> bool {
    let Some((call, _)) = line.split_once('(') else {
        return false;
    };
    let call = call.rsplit(' ').next().unwrap_or(call);
    if call.starts_with("open") && call != "open_tree" {
        return ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC"]
            .iter()
            .any(|flag| line.contains(flag));
    }
    // A process may end itself, as an abort does; that is a bug of another kind.
    call != "execve"
        && !call.starts_with("tgkill")
        && WRITING.split(',').any(|name| name.trim() == call)
}

const BUILD: [&str; 3] = [
    "--context=dir:///context",
    "--no-push",
    "--digest-file=/home/me/digest",
];

#[test]
fn the_trace_is_read_as_it_is_written() {
    assert!(is_write(
        "12 openat(AT_FDCWD, \"/x\", O_WRONLY|O_CREAT|O_CLOEXEC, 0666) = 3"
    ));
    assert!(is_write("12 mkdir(\"/x\", 0777) = 0"));
    assert!(is_write("unlinkat(3, \"x\", AT_REMOVEDIR) = -1 EPERM"));
    assert!(!is_write(
        "12 openat(AT_FDCWD, \"/proc/self/mountinfo\", O_RDONLY|O_CLOEXEC) = 3"
    ));
    assert!(!is_write(
        "12 execve(\"/executor\", [\"/executor\"], 0x7f /* 3 vars */) = 0"
    ));
    assert!(!is_write("12 +++ exited with 1 +++"));
}

/// Runs a script of busybox in the place of the executor and says what the judge thinks of it.
fn judged(script: &str) -> Result<String> {
    let directory = Lab::get()?.temp_dir()?;
    let program = directory.path().join("script");
    fs::write(&program, format!("#!/busybox sh\n{script}\n"))?;
    kigumi_tests::run(Command::new("chmod").arg("0755").arg(&program))?;
    let fenced = Fenced::run_program(&program, 0, "A=b", &[])?;
    Ok(fenced
        .refused_without_a_trace()
        .map_or_else(|error| error.to_string(), |()| "fine".into()))
}

#[test]
fn the_fence_accepts_a_program_that_only_reads_and_fails() -> Result<()> {
    let verdict = judged("read line < /var/lib/precious/canary; exit 1")?;
    ensure!(verdict == "fine", "{verdict}");
    Ok(())
}

#[test]
fn the_fence_notices_changes_attempts_and_success() -> Result<()> {
    for (script, words) in [
        (
            "echo spoiled > /var/lib/precious/canary; exit 1",
            "the tree has changed",
        ),
        ("/busybox mkdir /proc/new; exit 1", "calls that write"),
        ("exit 0", "exit code 0"),
    ] {
        let verdict = judged(script)?;
        ensure!(verdict.contains(words), "{script}: {verdict}");
    }
    Ok(())
}

#[test]
fn on_a_host_nothing_is_written_and_every_reason_is_named() -> Result<()> {
    let fenced = Fenced::run(0, "A=b", &BUILD)?;
    fenced.refused_without_a_trace()?;
    fenced.says(&["H2", "H3", "/boot/vmlinuz-6.1.0", "S1"])
}

// H2: `--force` is common in templates and must never be enough on a host
#[test]
fn force_does_not_lift_the_refusal_of_a_host() -> Result<()> {
    let arguments: Vec<&str> = BUILD.iter().copied().chain(["--force"]).collect();
    Fenced::run(0, "A=b", &arguments)?.refused_without_a_trace()
}

#[test]
fn a_variable_that_claims_a_container_does_not_make_one() -> Result<()> {
    Fenced::run(0, "container=podman", &BUILD)?.refused_without_a_trace()
}

#[test]
fn an_ordinary_user_is_refused_as_well() -> Result<()> {
    Fenced::run(1000, "A=b", &BUILD)?.refused_without_a_trace()
}

#[test]
fn every_destructive_flag_is_refused_as_well() -> Result<()> {
    let arguments = [
        "--context=dir:///context",
        "--destination=127.0.0.1:1/x",
        "--force=true",
    ];
    Fenced::run(0, "A=b", &arguments)?.refused_without_a_trace()
}

/// Runs the executor with `--sandbox` in a privileged container whose root is read-only: what
/// leaves the private root fails.
fn sandbox(lab: &Lab, user: &str) -> Result<(Output, TempDir)> {
    let context = Context::new(lab)?
        .file(
            "Dockerfile",
            format!(
                "FROM {0} AS build\nRUN echo made by $(id -u) > /made && mkdir /d && chmod 700 /d\n\
                 FROM {0}\nCOPY --from=build /made /d /result/\nCOPY file /file\nRUN cat /file\n",
                lab.busybox()?
            ),
        )?
        .file("file", "content of the context\n")?;
    let output = lab.temp_dir()?;
    kigumi_tests::run(Command::new("chmod").arg("0777").arg(output.path()))?;
    kigumi_tests::run(Command::new("chmod").arg("0755").arg(context.path()))?;
    let mount = |source: &Path, target: &str| format!("{}:{target}", source.display());
    let mut podman = lab.podman();
    podman.args([
        "run",
        "--rm",
        "--privileged",
        "--read-only",
        "--network=host",
        "--user",
        user,
    ]);
    podman.args([
        "--tmpfs=/tmp:rw,exec,dev,suid,mode=1777",
        "--tls-verify=false",
    ]);
    podman.args(["--volume", &mount(&build_executor()?, "/opt/executor:ro")]);
    podman.args(["--volume", &mount(context.path(), "/context:ro")]);
    podman.args(["--volume", &mount(output.path(), "/output")]);
    podman.args([
        "--env",
        "HOME=/tmp",
        &lab.debian()?,
        "/opt/executor",
        "--sandbox",
    ]);
    podman.args([
        "--context=dir:///context",
        "--no-push",
        "--oci-layout-path=/output/layout",
    ]);
    podman.arg(format!("--insecure-registry={}", lab.plain().address()));
    Ok((attempt(&mut podman)?, output))
}

fn sandbox_builds(user: &str) -> Result<()> {
    let lab = Lab::get()?;
    let (said, output) = sandbox(lab, user)?;
    ensure!(
        said.code == 0,
        "exit code {}\n{}{}",
        said.code,
        said.stdout,
        said.stderr
    );
    let image = Image::from_layout(&output.path().join("layout"))?;
    image.strict()?;
    let tree = image.flatten();
    for path in ["/result/made", "/file", "/bin/busybox"] {
        ensure!(
            tree.get(path).is_some_and(|node| node.uid == 0),
            "{path} of root's"
        );
    }
    Ok(())
}

#[test]
fn the_sandbox_builds_as_root() -> Result<()> {
    sandbox_builds("0:0")
}

#[test]
fn the_sandbox_builds_as_an_ordinary_user() -> Result<()> {
    sandbox_builds("1000:1000")
}
