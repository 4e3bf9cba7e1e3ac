//! Running real processes of this machine, as any user.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panic")]

use kigumi_run::{
    Cancel, CapabilityLimit, Credentials, Error, Exit, InPlace, Limit, NetworkAccess, ProcessSpec,
    Runner, Stream,
};
use std::fs;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::Duration;

/// A shell script with nothing but PATH, as ourselves.
fn shell(script: &str) -> ProcessSpec {
    program(&["sh", "-c", script])
}

fn program(argv: &[&str]) -> ProcessSpec {
    let mut spec = ProcessSpec::new(argv.iter().copied());
    spec.env.push(("PATH".into(), "/usr/bin:/bin".into()));
    spec.user = ourselves();
    spec
}

fn ourselves() -> Credentials {
    Credentials {
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
        groups: rustix::process::getgroups()
            .unwrap()
            .iter()
            .map(|gid| gid.as_raw())
            .collect(),
    }
}

fn cancel_after(grace: Duration) -> Cancel {
    Cancel::new(grace).unwrap()
}

fn run(spec: &ProcessSpec) -> Result<(Exit, String, String), Error> {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let mut output = |stream: Stream, bytes: &[u8]| match stream {
        Stream::Stdout => stdout.extend_from_slice(bytes),
        Stream::Stderr => stderr.extend_from_slice(bytes),
    };
    let exit = InPlace.run(spec, &mut output, &cancel_after(Cancel::DEFAULT_GRACE))?;
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ok((exit, text(stdout), text(stderr)))
}

fn stdout_of(script: &str) -> String {
    let (exit, stdout, stderr) = run(&shell(script)).unwrap();
    assert_eq!((exit, stderr.as_str()), (Exit::Code(0), ""), "{script}");
    stdout
}

fn message(spec: &ProcessSpec) -> String {
    run(spec).unwrap_err().to_string()
}

fn alive(pid: &str) -> bool {
    Path::new("/proc").join(pid.trim()).exists()
}

/// T-PROC-03, K-EXIT-05.
#[test]
fn every_exit_code_and_every_signal_is_passed_on() {
    for code in [0, 1, 3, 42, 125, 127, 255] {
        let (exit, ..) = run(&shell(&format!("exit {code}"))).unwrap();
        assert_eq!(exit, Exit::Code(code));
    }
    for signal in [1, 2, 3, 6, 9, 13, 15] {
        let (exit, ..) = run(&shell(&format!("kill -{signal} $$"))).unwrap();
        assert_eq!((exit, exit.code()), (Exit::Signal(signal), 128 + signal));
    }
}

/// T-RUN-02.
#[test]
fn the_environment_is_the_given_one_and_nothing_else() {
    let mut spec = program(&["env"]);
    spec.env.push(("EMPTY".into(), "".into()));
    let (_, stdout, _) = run(&spec).unwrap();
    assert_eq!(stdout, "PATH=/usr/bin:/bin\nEMPTY=\n");
}

#[test]
fn both_streams_arrive_whole_and_apart() {
    let (_, stdout, stderr) = run(&shell(
        "printf out; printf err >&2; head -c 300000 /dev/zero | tr '\\0' x",
    ))
    .unwrap();
    assert_eq!((stdout.len(), stderr.as_str()), (300_003, "err"));
}

/// T-RUN-04.
#[test]
fn the_umask_is_022_whatever_ours_is() {
    assert_eq!(stdout_of("umask"), "0022\n");
}

#[test]
fn standard_input_is_empty() {
    assert_eq!(stdout_of("cat; echo end"), "end\n");
}

#[test]
fn the_process_leads_a_session_of_its_own() {
    let stdout = stdout_of(
        "read pid name state parent group session rest </proc/$$/stat; echo $pid $group $session",
    );
    let numbers: Vec<_> = stdout.split_whitespace().collect();
    assert_eq!(numbers, [numbers[0]; 3]);
}

/// T-RUN-08.
#[test]
fn without_network_only_sockets_that_end_in_this_kernel_can_be_opened() {
    let script = "use Socket; \
        for $family (1, 16, 2, 10, 17, 40) { \
            $ok = socket(S, $family, $family == 16 ? 3 : $family == 17 ? 3 : 1, 0); \
            print $family, ' ', $ok ? 'open' : $!+0, qq(\n); \
        }";
    let mut spec = program(&["perl", "-e", script]);
    spec.confinement.network = NetworkAccess::None;
    let (exit, stdout, stderr) = run(&spec).unwrap();
    assert_eq!((exit, stderr.as_str()), (Exit::Code(0), ""));
    // EAFNOSUPPORT
    assert_eq!(stdout, "1 open\n16 open\n2 97\n10 97\n17 97\n40 97\n");
}

/// T-RUN-08: what a shell of a RUN starts has no more than the shell.
#[test]
fn the_network_is_gone_for_every_descendant_and_comes_back_for_the_next_process() {
    let script = "(sh -c 'exec perl -MSocket -e \"socket(S, 2, 1, 0) or print 0+\\$!\"') & wait";
    let mut without = shell(script);
    without.confinement.network = NetworkAccess::None;
    assert_eq!(run(&without).unwrap().1, "97");
    assert_eq!(run(&shell(script)).unwrap().1, "");
}

#[test]
fn a_limit_applies_to_the_process_and_an_impossible_one_is_named() {
    let mut spec = shell("ulimit -Sn; ulimit -Hn; ulimit -c");
    spec.confinement.limits = [("nofile", Some(62), Some(63)), ("core", Some(0), Some(0))]
        .into_iter()
        .map(|(name, soft, hard)| Limit::new(name, soft, hard).unwrap())
        .collect();
    assert_eq!(run(&spec).unwrap().1, "62\n63\n0\n");
    // More than the kernel's fs.nr_open, for root too.
    spec.confinement.limits = Limit::new("nofile", None, None).into_iter().collect();
    let message = message(&spec);
    assert!(
        message.starts_with("set the limit nofile=-1:-1"),
        "{message}"
    );
}

/// T-RUN-04.
#[test]
fn a_process_has_no_capability_beyond_those_of_every_container() {
    let sets = |limit| {
        let mut spec = program(&["grep", "-E", "^Cap(Prm|Eff|Bnd)", "/proc/self/status"]);
        spec.confinement.capabilities = limit;
        let (_, stdout, _) = run(&spec).unwrap();
        let sets = stdout.lines().map(|line| {
            let (_, set) = line.split_once('\t').unwrap();
            u64::from_str_radix(set, 16).unwrap()
        });
        sets.collect::<Vec<_>>()
    };
    let ours = sets(CapabilityLimit::Executor);
    let reduced = sets(CapabilityLimit::Container);
    if rustix::process::geteuid().is_root() {
        let wanted: Vec<_> = ours.iter().map(|set| set & 0xa804_25fb).collect();
        assert_eq!(reduced, wanted);
    } else {
        assert_eq!(reduced, ours, "nothing to give up");
    }
}

/// A descriptor without close-on-exec, as the process that started us may have left one.
#[test]
fn no_descriptor_of_ours_is_inherited() {
    let file = tempfile::tempfile().unwrap();
    let inherited = rustix::io::fcntl_dupfd_cloexec(&file, 300).unwrap();
    rustix::io::fcntl_setfd(&inherited, rustix::io::FdFlags::empty()).unwrap();
    let number = inherited.as_raw_fd();
    let test = format!("test -e /proc/$$/fd/{number} && echo inherited; echo tested");
    assert_eq!(stdout_of(&test), "tested\n");
}

/// Rust ignores SIGPIPE, and an ignored signal stays ignored through exec.
#[test]
fn signals_have_their_default_meaning_and_none_is_blocked() {
    let (_, status, _) = run(&program(&["cat", "/proc/self/status"])).unwrap();
    let sets: Vec<_> = status
        .lines()
        .filter(|line| line.starts_with("Sig"))
        .collect();
    let none = "0000000000000000";
    for expected in ["SigBlk", "SigIgn", "SigCgt"].map(|name| format!("{name}:\t{none}")) {
        assert!(sets.contains(&expected.as_str()), "{sets:?}");
    }
}

#[test]
fn dev_stdout_can_be_opened_by_the_user_of_the_process() {
    assert_eq!(stdout_of("echo through >/dev/stdout"), "through\n");
}

/// T-PROC-02, T-BUG-17: each of these escapes a kill of the process group. Each writes its number
/// once it has escaped; the RUN waits for that.
#[test]
fn whatever_a_run_leaves_behind_is_dead_and_reaped_when_it_returns() {
    let escapes = [
        ("a background job", "sleep 1000 & echo $! >PID; "),
        ("setsid", "setsid sh -c 'echo $$ >PID; exec sleep 1000' & "),
        (
            "a double fork",
            "(setsid sh -c 'setsid sh -c \"echo \\$\\$ >PID; exec sleep 1000\" &') & ",
        ),
        (
            "one deaf to SIGTERM",
            "setsid sh -c 'trap \"\" TERM HUP INT; echo $$ >PID; while :; do sleep 1; done' & ",
        ),
        (
            "a stopped one",
            "setsid sh -c 'echo $$ >PID; kill -STOP $$' & ",
        ),
        (
            "one without our streams",
            "setsid sh -c 'exec </dev/null >/dev/null 2>&1; echo $$ >PID; exec sleep 1000' & ",
        ),
    ];
    for (what, escape) in escapes {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pid");
        let script = format!("{escape} until [ -s PID ]; do sleep 0.01; done; echo done")
            .replace("PID", file.to_str().unwrap());
        let (exit, stdout, stderr) = run(&shell(&script)).unwrap();
        assert_eq!(
            (exit, stdout.as_str(), stderr.as_str()),
            (Exit::Code(0), "done\n", ""),
            "{what}"
        );
        let pid = fs::read_to_string(&file).unwrap();
        assert!(!alive(&pid), "{what} survived");
    }
}

/// T-PROC-02: each process of the chain leaves its session, starts the next and exits.
#[test]
fn a_chain_of_processes_that_fork_and_exit_for_ever_is_caught() {
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("link.sh");
    let trace = dir.path().join("trace");
    let script = format!(
        "echo $$ >>{}\nsetsid sh {} &\n",
        trace.display(),
        link.display()
    );
    fs::write(&link, script).unwrap();
    let wait = "until [ $(wc -l <TRACE) -gt 5 ]; do sleep 0.01; done";
    let start = format!("touch TRACE; setsid sh LINK & {wait}")
        .replace("TRACE", trace.to_str().unwrap())
        .replace("LINK", link.to_str().unwrap());
    assert_eq!(run(&shell(&start)).unwrap().0, Exit::Code(0));
    let links = fs::read_to_string(&trace).unwrap();
    assert!(
        links.lines().all(|pid| !alive(pid)),
        "a link of the chain survived"
    );
    // Nothing that could write is left: the trace is what it was.
    assert_eq!(fs::read_to_string(&trace).unwrap(), links);
}

/// A tree that grows in every branch, each in a session of its own.
#[test]
fn a_tree_of_processes_that_grows_is_cut_down() {
    let dir = tempfile::tempdir().unwrap();
    let branch = dir.path().join("branch.sh");
    let trace = dir.path().join("trace");
    let text = "[ $1 -gt 4 ] && exec sleep 1000\necho $$ >>TRACE\nfor i in 1 2 3; do setsid sh BRANCH $(($1 + 1)) & done; exec sleep 1000\n"
        .replace("TRACE", trace.to_str().unwrap())
        .replace("BRANCH", branch.to_str().unwrap());
    fs::write(&branch, text).unwrap();
    let start =
        "touch TRACE; setsid sh BRANCH 0 & until [ $(wc -l <TRACE) -gt 20 ]; do sleep 0.01; done"
            .replace("TRACE", trace.to_str().unwrap())
            .replace("BRANCH", branch.to_str().unwrap());
    assert_eq!(run(&shell(&start)).unwrap().0, Exit::Code(0));
    let branches = fs::read_to_string(&trace).unwrap();
    assert!(branches.lines().all(|pid| !alive(pid)), "a branch survived");
}

/// A credential helper may be running while a RUN does.
#[test]
fn a_process_that_the_executor_started_itself_is_neither_killed_nor_reaped() {
    use std::io::Write;
    let mut helper = std::process::Command::new("cat")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    assert_eq!(
        run(&shell("setsid sleep 1000 & exit 0")).unwrap().0,
        Exit::Code(0)
    );
    helper
        .stdin
        .take()
        .unwrap()
        .write_all(b"still here")
        .unwrap();
    let output = helper.wait_with_output().unwrap();
    assert_eq!(
        (output.status.code(), output.stdout.as_slice()),
        (Some(0), b"still here".as_slice())
    );
}

#[test]
fn output_written_just_before_the_end_is_not_lost() {
    for _ in 0..50 {
        assert_eq!(stdout_of("(printf late) & wait"), "late");
    }
}

/// K-EXIT-06.
#[test]
fn cancelling_sends_sigterm_first_and_reports_the_signal() {
    let dir = tempfile::tempdir().unwrap();
    let said = dir.path().join("said");
    let script = "trap 'echo bye >SAID; exit 0' TERM; echo go; while :; do sleep 0.01; done"
        .replace("SAID", said.to_str().unwrap());
    let cancel = cancel_after(Duration::from_mins(1));
    let raised = cancel.clone();
    let mut output = move |_: Stream, _: &[u8]| raised.cancel(15);
    let error = InPlace
        .run(&shell(&script), &mut output, &cancel)
        .unwrap_err();
    assert!(matches!(error, Error::Cancelled { signal: 15 }), "{error}");
    assert_eq!(fs::read_to_string(said).unwrap(), "bye\n");
}

#[test]
fn a_process_deaf_to_sigterm_is_killed_after_the_grace_period() {
    let cancel = cancel_after(Duration::from_millis(50));
    let raised = cancel.clone();
    let mut text = Vec::new();
    let mut output = |_: Stream, bytes: &[u8]| {
        text.extend_from_slice(bytes);
        raised.cancel(2);
    };
    let spec = shell("trap '' TERM; echo $$; while :; do sleep 1; done");
    let error = InPlace.run(&spec, &mut output, &cancel).unwrap_err();
    assert!(matches!(error, Error::Cancelled { signal: 2 }), "{error}");
    assert!(!alive(std::str::from_utf8(&text).unwrap()));
}

#[test]
fn nothing_is_started_once_cancelled() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    let cancel = cancel_after(Duration::ZERO);
    cancel.cancel(15);
    let spec = shell(&format!("touch {}", file.display()));
    let error = InPlace
        .run(&spec, &mut |_: Stream, _: &[u8]| {}, &cancel)
        .unwrap_err();
    assert!(matches!(error, Error::Cancelled { signal: 15 }));
    assert!(!file.exists());
}

#[test]
fn what_cannot_be_executed_is_named_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    // A process of its own writes them: what another test starts at this moment would inherit a descriptor of ours for a while, and the
    // kernel runs nothing that anybody has open for writing.
    let file = |name: &str, text: &str, mode: &str| {
        let path = dir.path().join(name);
        let mut writer = std::process::Command::new("sh");
        writer.args(["-c", "printf \"$1\" >\"$0\" && chmod $2 \"$0\""]);
        let written = writer.arg(&path).args([text, mode]).status().unwrap();
        assert!(written.success(), "{name}");
        path.to_str().unwrap().to_owned()
    };
    let plain = file("plain", r"#!/bin/sh\n", "0644");
    let orphan = file("orphan", r"#!/no/such/shell -e\n", "0755");
    let windows = file("windows", r"#!/bin/sh\r\necho\r\n", "0755");
    let junk = file("junk", r"echo without an interpreter line\n", "0755");
    let table = [
        (
            program(&["/no/such/program"]),
            "executable `/no/such/program` does not exist".to_owned(),
        ),
        (
            program(&["no-such-program"]),
            "executable `no-such-program` not found in PATH `/usr/bin:/bin`".to_owned(),
        ),
        (
            program(&[&plain]),
            format!(
                "executable `{plain}`: permission denied (not executable for this user, a directory, or on a file system mounted noexec)"
            ),
        ),
        (
            program(&[&orphan]),
            format!("executable `{orphan}` exists, but its interpreter `/no/such/shell` does not"),
        ),
        (
            program(&[&windows]),
            format!(
                "executable `{windows}` exists, but its interpreter `/bin/sh` followed by a carriage return (Windows line ends) does not"
            ),
        ),
        // No fall-back to a shell: the kernel's word counts, as in a container runtime.
        (program(&[&junk]), format!("execute `{junk}`")),
    ];
    for (spec, expected) in table {
        assert_eq!(message(&spec), expected);
    }
}

/// T-BUG-19: an error names the directory, nothing runs in `/` instead.
#[test]
fn a_missing_working_directory_is_an_error_that_names_it() {
    let mut spec = shell("pwd");
    spec.cwd = "/no/such/dir".into();
    assert_eq!(message(&spec), "change to working directory `/no/such/dir`");
    spec.cwd = "/usr/bin".into();
    assert_eq!(run(&spec).unwrap().1, "/usr/bin\n");
}

/// T-USER-01, T-USER-02: as root the process becomes exactly that user; without privilege that is
/// an error, never a process with other rights than asked for.
#[test]
fn the_process_is_the_given_user_or_is_not_started() {
    let mut spec =
        shell("id -u; id -g; id -G; grep ^CapEff /proc/self/status; echo x >/dev/stderr");
    spec.user = Credentials {
        uid: 4242,
        gid: 33,
        groups: vec![33, 50, 4_000_000],
    };
    match run(&spec) {
        Ok((_, stdout, stderr)) => {
            assert!(rustix::process::geteuid().is_root());
            assert_eq!(
                stdout,
                "4242\n33\n33 50 4000000\nCapEff:\t0000000000000000\n"
            );
            assert_eq!(stderr, "x\n");
        }
        Err(error) => {
            assert!(!rustix::process::geteuid().is_root(), "{error}");
            assert_eq!(error.to_string(), "become user 4242:33");
        }
    }
}

/// In another root the program is looked up there, not here.
#[test]
fn another_root_is_entered_before_anything_is_looked_up() {
    let root = tempfile::tempdir().unwrap();
    let mut spec = shell("true");
    spec.root = Some(root.path().into());
    let expected = if rustix::process::geteuid().is_root() {
        "executable `sh` not found in PATH `/usr/bin:/bin`".to_owned()
    } else {
        format!("change root to `{}`", root.path().display())
    };
    assert_eq!(message(&spec), expected);
}
