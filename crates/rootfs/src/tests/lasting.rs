//! Directories that are as they were are not listed again: nothing may be overlooked for that. Which ones are listed, `scan::tests` says.

use std::fmt::Write as _;
use std::os::unix::net::UnixListener;

use proptest::prelude::*;

use super::fixture::*;
use crate::{Error, Index};

fn base() -> Vec<kigumi_layer::Change> {
    vec![
        dir("/"),
        dir("/d"),
        file("/d/a", "aaaa"),
        file("/d/b", "bbbb"),
        dir("/d/sub"),
        file("/d/sub/f", "ffff"),
        dir("/e"),
        dir("/e/sub"),
        file("/e/sub/f", "ffff"),
    ]
}

/// An index of a root whose directories need not be listed any more.
fn known(fixture: &Fixture) -> Index {
    let mut index = fixture.start(&[&base()]);
    assert_eq!(fixture.layer(&mut index, "true"), "");
    index
}

/// Steps one after the other, each with what it has to be found to have done: after each of them another set of directories is to be listed.
const STEPS: &[(&str, &str)] = &[
    (
        "echo >d/new; rm d/a",
        "d 0755 /d\n- /d/a\nf 0644 1 /d/new\n",
    ),
    ("echo >d/a", "d 0755 /d\nf 0644 1 /d/a\n"),
    ("mv d/a d/new", "d 0755 /d\n- /d/a\nf 0644 1 /d/new\n"),
    ("true", ""),
    ("printf new >d/new", "d 0755 /d\nf 0644 3 /d/new\n"),
    (
        "chmod 600 d/sub/f",
        "d 0755 /d\nd 0755 /d/sub\nf 0600 4 /d/sub/f\n",
    ),
    // Two directories with the same names in them.
    (
        "mv d/sub x; mv e/sub d/sub; mv x e/sub",
        "d 0755 /d\nd 0755 /d/sub\nf 0644 4 /d/sub/f\nd 0755 /e\nd 0755 /e/sub\nf 0600 4 /e/sub/f\n",
    ),
    (
        "echo >d/sub/g",
        "d 0755 /d\nd 0755 /d/sub\nf 0644 1 /d/sub/g\n",
    ),
    (
        "mkdir e/new; echo >e/new/f",
        "d 0755 /e\nd 0755 /e/new\nf 0644 1 /e/new/f\n",
    ),
    (
        "echo >e/new/g",
        "d 0755 /e\nd 0755 /e/new\nf 0644 1 /e/new/g\n",
    ),
    ("rm e/new/f", "d 0755 /e\nd 0755 /e/new\n- /e/new/f\n"),
    (
        "rm -r e/new; mkdir e/new",
        "d 0755 /e\nd 0755 /e/new\n- /e/new/g\n",
    ),
    (
        "echo >e/new/g",
        "d 0755 /e\nd 0755 /e/new\nf 0644 1 /e/new/g\n",
    ),
];

/// Where a file of a lower layer gets another name, overlayfs shows two inodes.
const STEPS_WITH_LINKS: &[(&str, &str)] = &[
    (
        "ln d/b e/link",
        "d 0755 /d\nf 0644 4 /d/b\nd 0755 /e\nh /e/link = /d/b\n",
    ),
    ("true", ""),
    ("rm e/link", "d 0755 /e\n- /e/link\n"),
];

#[test]
fn each_step_of_many_is_found() {
    Fixture::each(|fixture| {
        let mut index = known(&fixture);
        take(STEPS, &fixture, &mut index);
        take(STEPS_WITH_LINKS, &fixture, &mut index);
    });
}

fn take(steps: &[(&str, &str)], fixture: &Fixture, index: &mut Index) {
    for (script, expected) in steps {
        let found = fixture.layer(index, &format!("umask 022; {script}"));
        assert_eq!(found, *expected, "{script}");
        assert_eq!(fixture.text(index.tree()), fixture.disk(), "{script}");
    }
}

/// In a pod the root is an overlay, and so may be what an image lies on: its directories are of the lower layer until something in them changes.
#[test]
fn privileged_each_step_is_found_on_an_overlay_of_which_all_is_in_the_lower_layer() {
    let name = "tests::lasting::privileged_each_step_is_found_on_an_overlay_of_which_all_is_in_the_lower_layer";
    in_mount_namespace(name, || {
        let mut fixture = Fixture::new();
        let (tree, virtuals) = fixture.unpack(&[&base()]);
        let layers = tempfile::tempdir().unwrap();
        mount_tmpfs(layers.path());
        // The root directory of an overlay is that of the upper layer.
        run_in(
            layers.path(),
            "umask 022; mkdir upper work; touch -d @1000000000.123456789 upper",
        );
        let host = fixture.host();
        let options = std::ffi::CString::new(format!(
            "lowerdir={},upperdir={at}/upper,workdir={at}/work",
            host.display(),
            at = layers.path().display()
        ))
        .unwrap();
        let flags = rustix::mount::MountFlags::empty();
        rustix::mount::mount("overlay", &host, "overlay", flags, &*options).unwrap();
        fixture.reopen();
        let mut index = fixture.record(tree, virtuals);
        assert_eq!(fixture.layer(&mut index, "true"), "");
        take(STEPS, &fixture, &mut index);
        drop(fixture);
        rustix::mount::unmount(layers.path(), rustix::mount::UnmountFlags::DETACH).unwrap();
    });
}

#[test]
fn privileged_another_owner_is_found() {
    require_root();
    let fixture = Fixture::new();
    let mut index = known(&fixture);
    let found = fixture.layer(&mut index, "chown 1234 d/sub/f");
    assert_eq!(found, "d 0755 /d\nd 0755 /d/sub\nf 0644 4 /d/sub/f\n");
    let node = index.tree().get(&path("/d/sub/f")).unwrap();
    assert_eq!(node.metadata.uid, 1234);
}

#[test]
fn a_name_that_means_deletion_is_refused() {
    let fixture = Fixture::new();
    let mut index = known(&fixture);
    fixture.run("echo >d/sub/.wh.f");
    let error = index
        .scan(&fixture.root, &fixture.exclusions())
        .unwrap_err();
    assert!(matches!(error, Error::WhiteoutName { .. }), "{error}");
}

#[test]
fn what_is_beside_the_image_is_found_when_it_is_touched() {
    let fixture = Fixture::new();
    fixture.run("mkdir d; echo 1 >d/foreign");
    let mut index = known(&fixture);
    assert_eq!(fixture.layer(&mut index, "cat d/foreign >/dev/null"), "");
    assert_eq!(
        fixture.layer(&mut index, "echo 22 >d/foreign"),
        "d 0755 /d\nf 0644 3 /d/foreign\n"
    );
}

#[test]
fn a_socket_hides_nothing_and_what_takes_its_place_is_found() {
    let fixture = Fixture::new();
    let mut index = known(&fixture);
    index.settle(&fixture.root).unwrap();
    let socket = UnixListener::bind(fixture.at("/d/socket")).unwrap();
    assert_eq!(fixture.changes(&mut index), "");
    assert_eq!(fixture.layer(&mut index, "true"), "");
    drop(socket);
    assert_eq!(
        fixture.layer(&mut index, "umask 022; rm d/socket; echo >d/socket"),
        "d 0755 /d\nf 0644 1 /d/socket\n"
    );
}

#[test]
fn privileged_what_is_mounted_upon_is_left_alone_and_what_is_under_it_is_still_known() {
    let name = "tests::lasting::privileged_what_is_mounted_upon_is_left_alone_and_what_is_under_it_is_still_known";
    in_mount_namespace(name, || {
        let fixture = Fixture::new();
        let mut index = known(&fixture);
        let exclusions = fixture.exclusions();
        index.settle(&fixture.root).unwrap();
        bind(&fixture.outside(), &fixture.at("/d/sub"));
        // By someone who does not know of the mount, and by someone who does.
        for exclusions in [exclusions, fixture.exclusions()] {
            let before = index.scan(&fixture.root, &exclusions).unwrap();
            assert_eq!(kigumi_layer::diff(&before, index.tree()), []);
        }
        rustix::mount::unmount(fixture.at("/d/sub"), rustix::mount::UnmountFlags::empty()).unwrap();
        assert_eq!(fixture.layer(&mut index, "true"), "");
        assert_eq!(
            fixture.layer(&mut index, "umask 022; rm d/sub/f; echo >d/sub/g"),
            "d 0755 /d\nd 0755 /d/sub\n- /d/sub/f\nf 0644 1 /d/sub/g\n"
        );
        fixture.assert_canary();
    });
}

/// Names are few, so that operations meet.
fn operation() -> impl Strategy<Value = String> {
    let name = || {
        prop::sample::select(vec![
            "a", "b", "a/c", "b/c", "a/c/d", "b/c/d", "a/e", "b/e", "a/c/f",
        ])
    };
    prop_oneof![
        // Who writes to a fifo waits for a reader.
        2 => (name(), "[a-c]{0,3}")
            .prop_map(|(name, text)| format!("[ -p {name} ] || printf '{text}' >{name}")),
        3 => name().prop_map(|name| format!("mkdir {name}")),
        1 => name().prop_map(|name| format!("mkfifo {name}")),
        1 => (name(), name()).prop_map(|(from, to)| format!("mv -T {from} {to}")),
        1 => (name(), name()).prop_map(|(from, to)| format!("ln {from} {to}")),
        1 => (name(), name()).prop_map(|(from, to)| format!("ln -sn {from} {to}")),
        1 => name().prop_map(|name| format!("rm -r {name}")),
        1 => name().prop_map(|name| format!("chmod 750 {name}")),
        1 => name().prop_map(|name| format!("touch -h -d @1000000000 {name}")),
        1 => (name(), name()).prop_map(|(one, other)| {
            format!("mv -T {one} x && mv -T {other} {one} && mv -T x {other}")
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// What the tree says after each of several scans is what a listing of everything says.
    #[test]
    fn after_any_operations_the_tree_is_what_is_on_the_disk(
        rounds in prop::collection::vec(prop::collection::vec(operation(), 0..6), 1..8)
    ) {
        let fixture = Fixture::new();
        let mut index = fixture.start(&[&[dir("/")]]);
        for operations in rounds {
            let mut script = "exec 2>/dev/null; umask 022".to_owned();
            for operation in operations {
                write!(script, "\n{{ {operation}; }} || true").unwrap();
            }
            fixture.layer(&mut index, &script);
            prop_assert_eq!(fixture.text(index.tree()), fixture.disk(), "{}", script);
        }
    }
}
