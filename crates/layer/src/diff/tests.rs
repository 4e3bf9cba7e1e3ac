use proptest::prelude::*;

use super::{diff, undo};
use crate::notation::{parse_changes, parse_tree, print_changes};
use crate::{Change, Entry, FileContent, ImagePath, Metadata, Mode, Timestamp, Tree, Xattrs};

/// The text of a tree without the times of directories, which no layer brings back (T-SNAP-25).
fn comparable(tree: &Tree) -> String {
    let mut tree = tree.clone();
    let directories: Vec<_> = tree
        .walk()
        .map(|(_, id)| id)
        .filter(|id| tree.node(*id).is_directory())
        .collect();
    for id in directories {
        tree.node_mut(id).metadata.mtime = Timestamp::default();
    }
    tree.to_string()
}

fn applied(before: &Tree, changes: Vec<Change>) -> Tree {
    let mut tree = before.clone();
    tree.apply_layer(changes).unwrap();
    tree
}

#[track_caller]
fn check(name: &str, before: &str, after: &str, expected: &str) {
    let before = parse_tree(before).unwrap();
    let after = parse_tree(after).unwrap();
    let changes = diff(&before, &after);
    assert_eq!(
        print_changes(&changes).trim_end(),
        expected
            .lines()
            .map(str::trim)
            .collect::<Vec<_>>()
            .join("\n"),
        "{name}"
    );
    assert_eq!(
        comparable(&applied(&before, changes)),
        comparable(&after),
        "{name}, applied"
    );
}

const D: &str = "d 0755 0:0 /d";
const D_AND_F: &str = "d 0755 0:0 /d\nf 0644 0:0 1 /d/f \"f\"";

#[test]
fn a_change_is_listed_once_below_its_directories_t_snap_07_t_snap_25() {
    let base = "d 0711 3:4 @9 /d\nd 0755 0:0 /d/e\nf 0644 0:0 1 /d/e/a \"a\"\nf 0644 0:0 1 /d/e/b \"b\"\nd 0755 0:0 /z";
    let cases = [
        ("nothing", base.to_owned(), ""),
        (
            "contents",
            base.replace("\"a\"", "\"A\"").replace("\"b\"", "\"B\""),
            "d 0711 3:4 @9 /d\nd 0755 0:0 /d/e\nf 0644 0:0 1 /d/e/a \"A\"\nf 0644 0:0 1 /d/e/b \"B\"",
        ),
        (
            "a mode alone",
            base.replace("0711", "0700"),
            "d 0700 3:4 @9 /d",
        ),
        (
            "an owner alone",
            base.replace("3:4", "3:5"),
            "d 0711 3:5 @9 /d",
        ),
        (
            "an attribute alone",
            base.replace("/d/e\n", "/d/e user.a=\"1\"\n"),
            "d 0711 3:4 @9 /d\nd 0755 0:0 /d/e user.a=\"1\"",
        ),
        ("the time of a directory", base.replace("@9", "@10.5"), ""),
        (
            "the time of a file",
            base.replace("1 /d/e/a", "1 @1 /d/e/a"),
            "d 0711 3:4 @9 /d\nd 0755 0:0 /d/e\nf 0644 0:0 1 @1 /d/e/a \"a\"",
        ),
        (
            "the mode of a file",
            base.replace("0644 0:0 1 /d/e/a", "4755 0:0 1 /d/e/a"),
            "d 0711 3:4 @9 /d\nd 0755 0:0 /d/e\nf 4755 0:0 1 /d/e/a \"a\"",
        ),
        (
            "something new",
            format!("{base}\nd 0755 0:0 /d/n\np 0644 0:0 /d/n/p\nd 0755 0:0 /n"),
            "d 0711 3:4 @9 /d\nd 0755 0:0 /d/n\np 0644 0:0 /d/n/p\nd 0755 0:0 /n",
        ),
    ];
    for (name, after, expected) in cases {
        check(name, base, &after, expected);
    }
}

#[test]
fn a_deletion_is_listed_for_the_topmost_path_t_snap_08() {
    let base = "d 0755 0:0 /d\nd 0755 0:0 /d/e\nf 0644 0:0 1 /d/e/a \"a\"\nf 0644 0:0 1 /d/f \"f\"\nl 0:0 /l -> d";
    let cases = [
        ("all", "", "- /d\n- /l"),
        (
            "a directory",
            "d 0755 0:0 /d\nf 0644 0:0 1 /d/f \"f\"\nl 0:0 /l -> d",
            "d 0755 0:0 /d\n- /d/e",
        ),
        (
            "a file",
            "d 0755 0:0 /d\nd 0755 0:0 /d/e\nf 0644 0:0 1 /d/f \"f\"\nl 0:0 /l -> d",
            "d 0755 0:0 /d\nd 0755 0:0 /d/e\n- /d/e/a",
        ),
    ];
    for (name, after, expected) in cases {
        check(name, base, after, expected);
    }
}

/// T-SNAP-09, T-SNAP-10, T-SNAP-11, T-SNAP-24.
#[test]
fn what_replaces_a_path_needs_no_whiteout() {
    let deep = "d 0755 0:0 /d\nd 0755 0:0 /d/e\nf 0644 0:0 1 /d/e/a \"a\"";
    let cases = [
        (
            "directory by file",
            D_AND_F,
            "f 0644 0:0 1 /d \"x\"",
            "f 0644 0:0 1 /d \"x\"",
        ),
        (
            "directory by link",
            D_AND_F,
            "l 0:0 /d -> t",
            "l 0:0 /d -> t",
        ),
        (
            "directory by a link to where its files went",
            deep,
            "l 0:0 /d -> t\nd 0755 0:0 /t\nd 0755 0:0 /t/e",
            "l 0:0 /d -> t\nd 0755 0:0 /t\nd 0755 0:0 /t/e",
        ),
        (
            "file by directory",
            "f 0644 0:0 1 /d \"x\"",
            D_AND_F,
            D_AND_F,
        ),
        (
            "link by directory",
            "l 0:0 /d -> t\nd 0755 0:0 /t",
            &format!("{D_AND_F}\nd 0755 0:0 /t"),
            D_AND_F,
        ),
        (
            "link by file",
            "l 0:0 /d -> t",
            "f 0644 0:0 1 /d \"x\"",
            "f 0644 0:0 1 /d \"x\"",
        ),
        (
            "link by link",
            "l 0:0 /d -> t",
            "l 0:0 /d -> u",
            "l 0:0 /d -> u",
        ),
        (
            "file by device",
            "f 0644 0:0 1 /d \"x\"",
            "c 0644 0:0 1,3 /d",
            "c 0644 0:0 1,3 /d",
        ),
        (
            "device by device",
            "c 0644 0:0 1,3 /d",
            "b 0644 0:0 1,3 /d",
            "b 0644 0:0 1,3 /d",
        ),
        ("empty directory by itself", D, D, ""),
        (
            "directory by an empty one",
            D_AND_F,
            D,
            "d 0755 0:0 /d\n- /d/f",
        ),
        (
            "directory by one with other files",
            D_AND_F,
            "d 0700 0:0 /d\nf 0644 0:0 1 /d/g \"g\"",
            "d 0700 0:0 /d\n- /d/f\nf 0644 0:0 1 /d/g \"g\"",
        ),
    ];
    for (name, before, after, expected) in cases {
        check(name, before, after, expected);
    }
}

/// T-SNAP-23; dockerfile.md § 10.
#[test]
fn a_group_of_hard_links_is_listed_whole_when_it_grows_or_changes() {
    let none = "";
    let one = "f 0644 0:0 1 /a \"x\"";
    let two = "f 0644 0:0 1 /a \"x\"\nh /b = /a";
    let three = "f 0644 0:0 1 /a \"x\"\nh /b = /a\nh /c = /a";
    let apart = "f 0644 0:0 1 /a \"x\"\nf 0644 0:0 1 /b \"x\"";
    let cases = [
        ("new", none, two, two),
        ("as it was", two, two, ""),
        ("one name more, of a single file", one, two, two),
        ("one name more", two, three, three),
        ("one name less", three, two, "- /c"),
        ("one name left", two, one, "- /b"),
        (
            "the first name gone",
            three,
            "f 0644 0:0 1 /b \"x\"\nh /c = /b",
            "- /a",
        ),
        ("split", two, apart, "f 0644 0:0 1 /b \"x\""),
        ("joined", apart, two, two),
        (
            "one split off",
            three,
            "f 0644 0:0 1 /a \"x\"\nh /b = /a\nf 0644 0:0 1 /c \"x\"",
            "f 0644 0:0 1 /c \"x\"",
        ),
        (
            "another content",
            two,
            "f 0644 0:0 1 /a \"y\"\nh /b = /a",
            "f 0644 0:0 1 /a \"y\"\nh /b = /a",
        ),
        (
            "another mode",
            two,
            "f 0600 0:0 1 /a \"x\"\nh /b = /a",
            "f 0600 0:0 1 /a \"x\"\nh /b = /a",
        ),
        (
            "partners exchanged",
            "f 0644 0:0 1 /a \"x\"\nh /b = /a\nf 0644 0:0 1 /c \"x\"\nh /d = /c",
            "f 0644 0:0 1 /a \"x\"\nh /c = /a\nf 0644 0:0 1 /b \"x\"\nh /d = /b",
            "f 0644 0:0 1 /a \"x\"\nf 0644 0:0 1 /b \"x\"\nh /c = /a\nh /d = /b",
        ),
        (
            "of symbolic links",
            "l 0:0 /a -> t",
            "l 0:0 /a -> t\nh /b = /a",
            "l 0:0 /a -> t\nh /b = /a",
        ),
        (
            "into a directory that comes later",
            "d 0755 0:0 /z",
            "f 0644 0:0 1 /a \"x\"\nd 0755 0:0 /z\nh /z/b = /a",
            "f 0644 0:0 1 /a \"x\"\nd 0755 0:0 /z\nh /z/b = /a",
        ),
    ];
    for (name, before, after, expected) in cases {
        check(name, before, after, expected);
    }
}

/// A content that nobody has hashed differs from every other: better listed twice than lost (T-BUG-18).
#[test]
fn a_group_that_grows_elsewhere_is_listed_with_the_name_in_a_directory_that_nobody_touched() {
    let mut before = Tree::new();
    let mut put = |name: &str, entry: Entry, mode: Mode| {
        let metadata = Metadata::root_owned(mode, Timestamp::default());
        let path = path_of(name);
        before
            .apply(Change::Put {
                path,
                entry,
                metadata,
            })
            .unwrap();
    };
    let file = || Entry::File(FileContent::inline(b"x"));
    put("/a", Entry::Directory, Mode::DIRECTORY);
    put("/a/f", file(), Mode::FILE);
    // So that what is linked is not kept together with what changes.
    for number in 0..9 {
        put(&format!("/{number}"), file(), Mode::FILE);
    }
    put("/b", Entry::Directory, Mode::DIRECTORY);
    let mut after = before.clone();
    after.begin_layer();
    let (path, target) = (path_of("/b/g"), path_of("/a/f"));
    after.apply(Change::Link { path, target }).unwrap();
    let changes = diff(&before, &after);
    let listed: Vec<_> = changes.iter().map(|c| c.path().to_string()).collect();
    assert_eq!(listed, ["/a", "/a/f", "/b", "/b/g"]);
    let a = before.lookup(&path_of("/a")).unwrap();
    assert!(after.shares(&before, a));
}

#[test]
fn contents_are_told_apart_by_what_is_known_of_them() {
    let cases = [
        ("f 0644 0:0 1 /a ?1", "f 0644 0:0 1 /a ?1", ""),
        (
            "f 0644 0:0 1 /a ?1",
            "f 0644 0:0 1 /a ?2",
            "f 0644 0:0 1 /a ?2",
        ),
        (
            "f 0644 0:0 1 /a ?1",
            "f 0644 0:0 1 /a \"x\"",
            "f 0644 0:0 1 /a \"x\"",
        ),
    ];
    for (before, after, expected) in cases {
        check(after, before, after, expected);
    }
}

const NAMES: [&str; 5] = ["a", "b", "a-b", "c d", "é"];

fn metadata() -> impl Strategy<Value = Metadata> {
    let mode = prop_oneof![Just(0o755), Just(0o644), Just(0o4711)];
    (mode, 0..2_u32, 0..2_i64, proptest::bool::weighted(0.2)).prop_map(
        |(mode, uid, seconds, marked)| {
            let mut xattrs = Xattrs::default();
            if marked {
                xattrs.insert(b"user.a", b"b");
            }
            Metadata {
                mode: Mode::new(mode),
                uid,
                gid: 0,
                mtime: Timestamp {
                    seconds,
                    nanoseconds: 500 * uid,
                },
                xattrs,
            }
        },
    )
}

fn path_of(text: &str) -> ImagePath {
    ImagePath::parse(text.as_bytes()).unwrap()
}

fn path() -> impl Strategy<Value = ImagePath> {
    proptest::collection::vec(0..NAMES.len(), 1..4).prop_map(|indices| {
        let name = |index: &usize| NAMES[*index].as_bytes();
        indices
            .iter()
            .fold(ImagePath::root(), |path, index| path.join(name(index)))
    })
}

fn change() -> impl Strategy<Value = Change> {
    let entry = prop_oneof![
        4 => Just(Entry::Directory),
        4 => (0..3_u8).prop_map(|content| Entry::File(FileContent::inline(&[content; 2]))),
        1 => (0..NAMES.len()).prop_map(|index| Entry::Symlink(NAMES[index].as_bytes().into())),
        1 => Just(Entry::Fifo),
    ];
    prop_oneof![
        6 => (path(), entry, metadata()).prop_map(|(path, entry, mut metadata)| {
            if matches!(entry, Entry::Symlink(_)) {
                metadata.mode = Mode::SYMLINK;
            }
            Change::Put { path, entry, metadata }
        }),
        3 => (path(), path()).prop_map(|(path, target)| Change::Link { path, target }),
        1 => path().prop_map(|path| Change::Delete { path }),
        1 => path().prop_map(|path| Change::ClearDir { path }),
    ]
}

/// A tree, and one that a few steps have made of it. Steps that are not possible are left out.
pub(crate) fn trees() -> impl Strategy<Value = (Tree, Tree)> {
    let steps = |most| proptest::collection::vec(change(), 0..most);
    (steps(40), steps(12)).prop_map(|(first, second)| {
        let mut before = Tree::new();
        for change in first {
            let _ = before.apply(change);
        }
        let mut after = before.clone();
        for change in second {
            after.begin_layer();
            let _ = after.apply(change);
        }
        (before, after)
    })
}

#[test]
fn what_no_layer_says_of_directories_is_undone_too() {
    let before =
        parse_tree("d 0755 0:0 @9 /d\nd 0755 0:0 @8 /d/e\nf 0644 0:0 1 /d/e/a \"a\"").unwrap();
    let mut after = parse_tree("d 0755 0:0 @10 /d\nd 0755 0:0 @8 /d/e").unwrap();
    let root = after.root();
    after.node_mut(root).metadata.mode = Mode::new(0o700);
    let changes = undo(&before, &after);
    // The deletion lists the directories above it; the root is in no layer.
    assert_eq!(
        print_changes(&changes).trim_end(),
        "d 0755 0:0 @10 /d\nd 0755 0:0 @8 /d/e\n- /d/e/a\nd 0700 0:0 /\nd 0755 0:0 @10 /d"
    );
    assert_eq!(applied(&before, changes).to_string(), after.to_string());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// architecture.md § 2.5.
    #[test]
    fn applying_a_difference_gives_the_other_tree((before, after) in trees()) {
        for (from, to) in [(&before, &after), (&after, &before)] {
            let changes = diff(from, to);
            prop_assert_eq!(comparable(&applied(from, changes)), comparable(to));
        }
    }

    /// ADR 25.
    #[test]
    fn undoing_gives_the_other_tree_with_the_times_of_its_directories((before, after) in trees()) {
        for (from, to) in [(&before, &after), (&after, &before)] {
            let changes = undo(from, to);
            prop_assert_eq!(applied(from, changes).to_string(), to.to_string());
            prop_assert_eq!(undo(to, to), []);
        }
    }

    /// architecture.md § 2.5.
    #[test]
    fn a_tree_does_not_differ_from_itself((before, after) in trees()) {
        prop_assert_eq!(diff(&before, &before), []);
        prop_assert_eq!(diff(&after, &after), []);
    }

    /// What two trees share is skipped; trees that were read share nothing.
    #[test]
    fn a_difference_is_the_same_whatever_the_trees_share((before, after) in trees()) {
        let apart = parse_tree(&before.to_string()).unwrap();
        prop_assert_eq!(diff(&before, &after), diff(&apart, &after));
        prop_assert_eq!(diff(&after, &before), diff(&after, &apart));
    }

    /// T-SNAP-07, T-SNAP-08, T-SNAP-21, T-SNAP-23.
    #[test]
    fn a_difference_is_in_order_and_names_no_path_twice((before, after) in trees()) {
        let changes = diff(&before, &after);
        let mut seen = std::collections::BTreeSet::new();
        for change in &changes {
            let path = change.path();
            prop_assert!(seen.last().is_none_or(|last| *last < path), "order at {}", path);
            seen.insert(path);
            let listed = path.parent().is_some_and(|parent| parent.is_root() || seen.contains(&parent));
            prop_assert!(listed, "parent of {}", path);
            if let Change::Link { target, .. } = change {
                prop_assert!(seen.contains(target), "target of {}", path);
            }
        }
    }

    #[test]
    fn a_tree_and_its_changes_read_as_they_print((before, after) in trees()) {
        let printed = after.to_string();
        prop_assert_eq!(parse_tree(&printed).unwrap().to_string(), printed);
        let changes = diff(&before, &after);
        prop_assert_eq!(parse_changes(&print_changes(&changes)).unwrap(), changes);
    }
}
