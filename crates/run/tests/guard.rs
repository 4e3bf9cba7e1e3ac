//! Read-only mounts without mounts, against the real kernel. The commands run as root.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panic")]

use std::path::Path;

use kigumi_run::{Cancel, Exit, InPlace, ProcessSpec, ReadOnly, Runner, Stream};

/// Runs a script with `ro` protected and `ro/rw` not, in a new directory, and gives what it wrote.
fn guarded(script: &str) -> (Exit, String) {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    std::fs::create_dir_all(at("ro/d")).unwrap();
    std::fs::create_dir_all(at("ro/rw")).unwrap();
    std::fs::write(at("ro/f"), "content").unwrap();
    std::fs::write(at("free"), "free").unwrap();
    std::os::unix::fs::symlink("ro", at("link")).unwrap();
    let real = |path: &Path| std::fs::canonicalize(path).unwrap();
    let mut spec = ProcessSpec::new(["/bin/sh", "-c", script]);
    spec.env
        .push(("PATH".into(), "/usr/sbin:/usr/bin:/sbin:/bin".into()));
    spec.env.push(("LC_ALL".into(), "C".into()));
    directory.path().clone_into(&mut spec.cwd);
    spec.confinement.read_only = ReadOnly {
        paths: vec![real(&at("ro"))],
        except: vec![real(&at("ro/rw"))],
    };
    let mut text = Vec::new();
    let mut output = |_: Stream, bytes: &[u8]| text.extend_from_slice(bytes);
    let cancel = Cancel::new(Cancel::DEFAULT_GRACE).unwrap();
    let exit = InPlace.run(&spec, &mut output, &cancel).unwrap();
    (exit, String::from_utf8(text).unwrap())
}

/// T-MNT-13
#[test]
fn what_changes_a_read_only_tree_fails_as_on_a_read_only_file_system() {
    let scripts = [
        "echo x >ro/new",
        "echo x >ro/f",
        "echo x >>ro/f",
        "echo x >link/f",
        "cd ro/d && echo x >../f",
        "touch ro/f",
        "mkdir ro/e",
        "mkdir -p ro/e/f",
        "rmdir ro/d",
        "rm ro/f",
        "rm -rf ro/d",
        "mv ro/f ro/g",
        "ln ro/f ro/g",
        "ln -s x ro/g",
        "chmod 600 ro/f",
        "chown 1 ro/f",
        "cp free ro/",
        "truncate -s 0 ro/f",
        "mknod ro/pipe p",
        "su -s /bin/sh -c 'echo x >ro/new' root",
        "exec 3<ro/f; chmod 600 /proc/self/fd/3",
        "D=$PWD; cd /; echo x >$D/ro/new",
    ];
    for script in scripts {
        let (exit, text) = guarded(script);
        assert!(!exit.success(), "{script}: {text}");
        assert!(text.contains("Read-only file system"), "{script}: {text}");
    }
}

#[test]
fn what_does_not_change_it_works_as_ever() {
    let scripts = [
        "cat ro/f >/dev/null; ls -R ro; find ro -type f",
        "mkdir -p ro/d ro",
        "echo x >free; echo y >new; mkdir -p a/b; mv new a/b; rm -r a",
        "echo x >ro/rw/f && mv ro/rw/f ro/rw/g && rm ro/rw/g",
        "cp -a ro copy && echo x >copy/f && rm -r copy",
        // From one file system to another: copied, and the original cannot be removed.
        "mv ro/f elsewhere 2>/dev/null; test -f elsewhere -a -f ro/f",
        "test ! -w ro/f -a ! -w ro -a -w free -a -w ro/rw",
        "mkdir ro/d 2>&1 | grep -q 'File exists'",
        "rmdir ro/nothing 2>&1 | grep -q 'Read-only'",
        "chmod 600 ro/nothing 2>&1 | grep -q 'No such file'",
        "rm -rf ro 2>/dev/null; test -f ro/f",
        "mv ro moved 2>&1 | grep -q 'busy'",
        "for i in 1 2 3 4 5 6 7 8; do (for j in 1 2 3 4 5; do echo $i >p$i-$j; echo x 2>/dev/null >ro/x; done) & done; wait; test $(ls p* | wc -l) = 40 -a ! -e ro/x",
        "(sleep 0.1; echo late >ro/late) & exit 0",
    ];
    for script in scripts {
        let (exit, text) = guarded(script);
        assert_eq!(exit, Exit::Code(0), "{script}: {text}");
    }
}

#[test]
fn a_guarded_command_that_cannot_be_started_says_why() {
    let mut spec = ProcessSpec::new(["/nonexistent"]);
    spec.confinement.read_only.paths = vec!["/ro".into()];
    let cancel = Cancel::new(Cancel::DEFAULT_GRACE).unwrap();
    let error = InPlace
        .run(&spec, &mut |_: Stream, _: &[u8]| {}, &cancel)
        .unwrap_err();
    assert!(error.to_string().contains("/nonexistent"), "{error}");
}
