//! A root that is brought back to what it was by undoing what was done (ADR 25).

use std::collections::BTreeMap;

use kigumi_layer::{Change, Entry, FileContent, undo};

use super::fixture::*;
use crate::{Index, Keeper, RootDir, remove_sockets};

fn base() -> Vec<Change> {
    let mut tool = metadata(0o4755);
    tool.mtime.nanoseconds = 123_456_789;
    tool.xattrs.insert(b"user.tool", b"yes");
    let mut base = few_files();
    base.extend([
        put("/bin", Entry::Directory, metadata(0o750)),
        put(
            "/bin/one",
            Entry::File(FileContent::inline(b"binary")),
            tool,
        ),
        link("/bin/two", "/bin/one"),
        link("/full/three", "/bin/one"),
        fifo("/pipe"),
    ]);
    base
}

/// What RUNs may have done.
const SCRIPTS: &[&str] = &[
    "true",
    "echo hi >etc/new; mkdir -p new/deep; echo x >new/deep/f; ln -s x new/l; mkfifo new/p",
    "rm etc/motd; rm -r full; rm link pipe",
    "echo other >etc/motd; chmod 600 etc/passwd; touch -d @7 full/g",
    "chmod 700 bin; touch -d @7 full full/sub; chmod 711 .; touch -d @7 .",
    "rm full/three; ln etc/motd etc/same; ln bin/one etc/four",
    "rm bin/two; cp -p bin/one bin/two",
    "mv etc full/etc; ln -s full/etc etc",
    "mv bin/one one; mv full bin/full",
    "rm -r etc; echo file >etc; rm bin/*; mkdir bin/one; echo x >bin/one/x",
    "rm link; mkdir -p link/a; echo x >link/a/b; rm pipe; ln -s / pipe",
];

/// Undoes what was done to the disk since `before`, with contents from the layers.
fn go_back(fixture: &Fixture, mut index: Index, before: &kigumi_layer::Tree) -> (Index, usize) {
    remove_sockets(&fixture.root, &fixture.exclusions()).unwrap();
    index.scan(&fixture.root, &fixture.exclusions()).unwrap();
    let mut changes = undo(index.tree(), before);
    let layers: BTreeMap<_, _> = base()
        .into_iter()
        .filter_map(|change| Some((change.path().clone(), change.file()?.origin.clone())))
        .collect();
    for change in &mut changes {
        let path = change.path().clone();
        if let Some(content) = change.file_mut() {
            content.origin = match path.to_string().as_str() {
                "/bin/two" | "/full/three" => layers[&super::fixture::path("/bin/one")].clone(),
                _ => layers[&path].clone(),
            };
        }
    }
    let (tree, virtuals) = index.into_parts();
    let (tree, virtuals) = fixture.unpack_onto(tree, virtuals, &changes);
    (fixture.record(tree, virtuals), changes.len())
}

#[test]
fn whatever_was_done_to_a_root_it_is_as_a_fresh_unpack_again() {
    Fixture::each(|fixture| {
        let mut index = fixture.start(&[&base()]);
        let (before, fresh) = (index.tree().clone(), fixture.disk());
        for script in SCRIPTS {
            index.settle(&fixture.root).unwrap();
            fixture.run(script);
            fixture.changes(&mut index);
            (index, _) = go_back(&fixture, index, &before);
            assert_eq!(fixture.disk(), fresh, "{script}");
            assert_eq!(undo(index.tree(), &before), [], "{script}");
            assert_eq!(fixture.changes(&mut index), "", "{script}");
        }
    });
}

#[test]
fn attributes_and_sockets_go_as_well() {
    let fixture = Fixture::new();
    let mut index = fixture.start(&[&base()]);
    let (before, fresh) = (index.tree().clone(), fixture.disk());
    let set = |name: &str, value: &[u8], at: &str| {
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::setxattr(fixture.at(at), name, value, flags).unwrap();
    };
    set("user.tool", b"no", "/bin/one");
    set("user.new", b"1", "/etc");
    drop(std::os::unix::net::UnixListener::bind(fixture.at("/full/sub/s")).unwrap());
    fixture.changes(&mut index);
    assert!(fixture.at("/full/sub/s").exists());
    go_back(&fixture, index, &before);
    assert_eq!(fixture.disk(), fresh);
}

#[test]
fn only_what_changed_is_undone() {
    let fixture = Fixture::new();
    let mut index = fixture.start(&[&base()]);
    let before = index.tree().clone();
    fixture.layer(&mut index, "echo new >full/sub/new");
    // The deletion with the two directories above it, as in a layer, and the time of the lower one.
    assert_eq!(go_back(&fixture, index, &before).1, 4);
}

#[test]
fn what_was_moved_out_for_a_later_stage_comes_back() {
    let fixture = Fixture::new();
    let mut index = fixture.start(&[&base()]);
    let (before, fresh) = (index.tree().clone(), fixture.disk());
    fixture.layer(&mut index, "echo new >full/new");
    let exclusions = fixture.exclusions();
    let outside = tempfile::tempdir().unwrap();
    let into = RootDir::open(outside.path()).unwrap();
    let mut keeper = Keeper::new(&fixture.root, &exclusions, &into);
    for moved in ["/full", "/bin/one"] {
        keeper.move_out(&path(moved)).unwrap();
    }
    assert!(!fixture.at("/full").exists());
    go_back(&fixture, index, &before);
    assert_eq!(fixture.disk(), fresh);
}
