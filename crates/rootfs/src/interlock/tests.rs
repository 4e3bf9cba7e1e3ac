use super::*;
use crate::Mounts;

const POD: &str = "\
1 0 0:1 / / rw - overlay overlay rw\n\
2 1 8:1 /var/lib/kubelet/pods/01234567-89ab-cdef-0123-456789abcdef/etc-hosts /etc/hosts rw - ext4 /dev/sda1 rw\n\
3 1 8:1 /var/lib/containerd/sandboxes/x/resolv.conf /etc/resolv.conf rw - ext4 /dev/sda1 rw\n\
4 1 0:9 / /proc rw - proc proc rw\n";

/// A pod with the executor's own image.
fn pod() -> Facts {
    Facts {
        mounts: Some(Mounts::parse(POD.as_bytes()).unwrap()),
        pid_namespace: Some("pid:[4026532508]".to_owned()),
        evidence: vec![Evidence::ExecutorImage, Evidence::OverlayRoot],
        host_signs: Vec::new(),
        stdin_is_terminal: false,
        boot_marker: BootMarker::Absent,
        declared: Vec::new(),
    }
}

fn with_mount(line: &str) -> Facts {
    Facts {
        mounts: Some(Mounts::parse(format!("{POD}{line}\n").as_bytes()).unwrap()),
        ..pod()
    }
}

fn ids(result: Result<DisposableRoot, Refusal>) -> Vec<&'static str> {
    match result {
        Ok(_) => Vec::new(),
        Err(refusal) => refusal.reasons().iter().map(Reason::id).collect(),
    }
}

const PLAIN: Policy = Policy {
    force: false,
    strict: false,
};
const FORCE: Policy = Policy {
    force: true,
    strict: true,
};

#[test]
fn a_pod_is_disposable() {
    let root = assess(&pod(), PLAIN).unwrap();
    assert_eq!(root.path(), Path::new("/"));
    assert_eq!(root.warnings(), [""; 0]);
}

#[test]
fn each_piece_of_evidence_is_enough() {
    for evidence in [
        Evidence::ExecutorImage,
        Evidence::OverlayRoot,
        Evidence::RuntimeFile,
        Evidence::Environment,
        Evidence::Cgroup,
        Evidence::ServiceAccount,
    ] {
        let facts = Facts {
            evidence: vec![evidence],
            ..pod()
        };
        assert_eq!(ids(assess(&facts, PLAIN)), [""; 0], "{evidence:?}");
    }
}

#[test]
fn each_refusal_is_named_and_only_soft_ones_yield_to_force() {
    let cases = [
        (
            "H1",
            Facts {
                mounts: None,
                ..pod()
            },
        ),
        (
            "H1",
            Facts {
                pid_namespace: None,
                ..pod()
            },
        ),
        (
            "H2",
            Facts {
                pid_namespace: Some(INITIAL_PID_NAMESPACE.to_owned()),
                ..pod()
            },
        ),
        (
            "H3",
            Facts {
                host_signs: vec!["`/run/systemd/system` exists".to_owned()],
                ..pod()
            },
        ),
        (
            "S1",
            Facts {
                evidence: Vec::new(),
                ..pod()
            },
        ),
        (
            "S2",
            Facts {
                evidence: vec![Evidence::OverlayRoot],
                stdin_is_terminal: true,
                ..pod()
            },
        ),
    ];
    for (id, facts) in cases {
        let refusal = assess(&facts, PLAIN).unwrap_err();
        assert_eq!(ids(Err(refusal.clone())), [id]);
        assert!(refusal.to_string().contains(id), "{refusal}");
        assert!(
            refusal
                .to_string()
                .contains("overwrites the whole root filesystem")
        );
        let forced = ids(assess(&facts, FORCE));
        if id.starts_with('H') {
            assert_eq!(forced, [id], "--force must not lift {id}");
        } else {
            assert_eq!(forced, [""; 0], "--force lifts {id}");
        }
    }
}

#[test]
fn a_terminal_is_no_reason_in_the_executors_own_image() {
    let facts = Facts {
        stdin_is_terminal: true,
        ..pod()
    };
    assert_eq!(ids(assess(&facts, PLAIN)), [""; 0]);
}

#[test]
fn all_reasons_are_named_at_once() {
    let facts = Facts {
        pid_namespace: Some(INITIAL_PID_NAMESPACE.to_owned()),
        host_signs: vec!["`/boot/vmlinuz-6` is a kernel".to_owned()],
        evidence: Vec::new(),
        stdin_is_terminal: true,
        ..pod()
    };
    assert_eq!(ids(assess(&facts, PLAIN)), ["H2", "H3", "S1", "S2"]);
    assert_eq!(ids(assess(&facts, FORCE)), ["H2", "H3"]);
}

#[test]
fn the_per_boot_marker_lifts_what_it_may_and_only_when_it_is_right() {
    let host = |boot_marker| Facts {
        pid_namespace: Some(INITIAL_PID_NAMESPACE.to_owned()),
        host_signs: vec!["`/run/systemd/system` exists".to_owned()],
        evidence: Vec::new(),
        stdin_is_terminal: true,
        boot_marker,
        ..pod()
    };
    assert_eq!(ids(assess(&host(BootMarker::Valid), PLAIN)), [""; 0]);
    let rejected = host(BootMarker::Rejected("it is of another boot"));
    let refusal = assess(&rejected, FORCE).unwrap_err();
    assert!(refusal.to_string().contains("another boot"), "{refusal}");
    let blind = Facts {
        mounts: None,
        ..host(BootMarker::Valid)
    };
    assert_eq!(ids(assess(&blind, FORCE)), ["H1"]);
}

#[test]
fn a_host_bind_is_a_warning_and_refused_only_when_strict() {
    let strict = Policy {
        force: false,
        strict: true,
    };
    let cases = [
        ("5 1 8:1 /home/me /mnt rw - ext4 /dev/sda1 rw", true),
        ("5 1 8:1 /home/me /mnt ro - ext4 /dev/sda1 rw", false),
        ("5 1 0:7 / /mnt rw - tmpfs tmpfs rw", false),
        (
            "5 1 8:1 /x/pods/01234567-89ab-cdef-0123-456789abcdef/volumes/v /mnt rw - xfs /dev/sda1 rw",
            false,
        ),
        (
            "5 1 8:1 /x/pods/0123456789abcdef0123456789abcdef/volumes/v /mnt rw - xfs /dev/sda1 rw",
            false,
        ),
        (
            "5 1 8:1 /home/pods/me/volumes /mnt rw - xfs /dev/sda1 rw",
            true,
        ),
        ("5 1 8:1 /ci /workspace rw - btrfs /dev/sda1 rw", false),
    ];
    for (line, is_suspect) in cases {
        let facts = Facts {
            declared: vec![PathBuf::from("/workspace/source")],
            ..with_mount(line)
        };
        let warned = assess(&facts, PLAIN).unwrap().warnings().len() == 1;
        assert_eq!(warned, is_suspect, "{line}");
        let refused = ids(assess(&facts, strict)) == ["S3"];
        assert_eq!(refused, is_suspect, "{line}");
        assert_eq!(ids(assess(&facts, FORCE)), [""; 0]);
    }
}

#[test]
fn the_volume_of_the_executors_own_image_is_no_host_bind() {
    let mut facts = with_mount("5 1 8:1 /x/volumes/1/_data /busybox rw - ext4 /dev/sda1 rw");
    let warnings = |facts: &Facts| assess(facts, PLAIN).unwrap().warnings().len();
    assert_eq!(warnings(&facts), 0);
    facts.evidence = vec![Evidence::OverlayRoot];
    assert_eq!(warnings(&facts), 1);
}

fn boot_marker_in(make: impl Fn(&Path)) -> BootMarker {
    let directory = tempfile::tempdir().unwrap();
    make(
        &directory
            .path()
            .join(PER_BOOT_MARKER.trim_start_matches('/')),
    );
    let root = RootDir::open(directory.path()).unwrap();
    facts::boot_marker(&root, Some(b"this-boot\n"))
}

/// Makes something at the path of a marker, with a function that writes a file.
type Make = fn(&Path, &dyn Fn(&Path, &str));

#[test]
fn only_a_regular_file_with_the_id_of_this_boot_is_a_marker() {
    let write = |path: &Path, text: &str| std::fs::write(path, text).unwrap();
    let cases: [(Make, BootMarker); 6] = [
        (|_, _| {}, BootMarker::Absent),
        (|path, write| write(path, "this-boot\n"), BootMarker::Valid),
        (|path, write| write(path, "this-boot"), BootMarker::Valid),
        (
            |path, write| write(path, "other-boot\n"),
            BootMarker::Rejected("it is of another boot"),
        ),
        (
            |path, write| {
                write(&path.with_extension("x"), "this-boot\n");
                std::os::unix::fs::symlink(path.with_extension("x"), path).unwrap();
            },
            BootMarker::Rejected("it is not a regular file"),
        ),
        (
            |path, _| std::fs::create_dir(path).unwrap(),
            BootMarker::Rejected("it is not a regular file"),
        ),
    ];
    for (make, expected) in cases {
        assert_eq!(boot_marker_in(|path| make(path, &write)), expected);
    }
}

#[test]
fn privileged_a_marker_of_another_user_does_not_count() {
    crate::tests::require_root();
    let found = boot_marker_in(|path| {
        std::fs::write(path, "this-boot\n").unwrap();
        std::os::unix::fs::chown(path, Some(1), None).unwrap();
    });
    assert_eq!(found, BootMarker::Rejected("it belongs to another user"));
}

#[test]
fn the_marker_of_the_image_must_be_of_this_build() {
    let directory = tempfile::tempdir().unwrap();
    let marker = directory.path().join(EXECUTOR_MARKER);
    let root = RootDir::open(directory.path()).unwrap();
    let is_marker = |build: &str| facts::is_marker_of(&marker, root.stat(), build);
    assert!(!is_marker("abc"));
    std::fs::write(&marker, "abc\n").unwrap();
    assert!(is_marker("abc"));
    assert!(!is_marker("abd"));
    std::fs::write(&marker, "\n").unwrap();
    assert!(!is_marker(""));
}

#[test]
fn gathering_never_fails() {
    let facts = Facts::gather("no-such-build", &[]);
    assert!(!facts.evidence().contains(&Evidence::ExecutorImage));
}

#[test]
fn only_an_empty_directory_of_ours_becomes_a_root() {
    let directory = tempfile::tempdir().unwrap();
    DisposableRoot::of_directory(directory.path()).unwrap();
    std::fs::write(directory.path().join("x"), "").unwrap();
    for path in [
        directory.path(),
        Path::new("/"),
        Path::new("/proc/self/root"),
    ] {
        let refused = DisposableRoot::of_directory(path);
        assert!(
            matches!(refused, Err(Error::UnfitRoot { .. })),
            "{}",
            path.display()
        );
    }
}
