use kigumi_layer::Origin;

use super::fixture::*;
use crate::{Keeper, Kept, RootDir, Verdict, listing};

/// What is in a directory, by its own eyes.
fn text_of(directory: &RootDir) -> String {
    let tree = listing(directory, 0, &mut |_| Verdict::Take).unwrap();
    tree_as_text(&tree, directory)
}

fn without_root(text: &str) -> Vec<&str> {
    text.lines().skip(1).collect()
}

#[test]
fn what_is_kept_is_moved_with_everything_it_had() {
    Fixture::each(|fixture| {
        let (mut tree, _) = fixture.unpack(&[&[
            dir("/"),
            dir("/out"),
            dir("/out/d"),
            file("/out/d/f", "1"),
            link("/out/h", "/out/d/f"),
            symlink("/out/l", "d"),
            fifo("/out/p"),
            file("/other", "2"),
            file("/lone", "3"),
        ]]);
        let all = fixture.disk();
        let expected: Vec<&str> = without_root(&all)
            .into_iter()
            .filter(|line| !line.starts_with("/other"))
            .collect();
        let kept = tempfile::tempdir_in(fixture.outside()).unwrap();
        let into = RootDir::open(kept.path()).unwrap();
        let exclusions = fixture.exclusions();
        let mut keeper = Keeper::new(&fixture.root, &exclusions, &into);
        for (name, how) in [
            ("/out", Kept::Moved),
            ("/lone", Kept::Moved),
            ("/out/d", Kept::Absent),
            ("/nowhere", Kept::Absent),
        ] {
            assert_eq!(keeper.move_out(&path(name)).unwrap(), how, "{name}");
        }
        assert_eq!(without_root(&text_of(&into)), expected);
        assert!(!fixture.at("/out").exists() && fixture.at("/other").exists());
        if let kigumi_layer::Kind::File(content) =
            &mut tree.node_mut(tree.lookup(&path("/lone")).unwrap()).kind
        {
            content.origin = Origin::Live;
        }
        Keeper::relocate(&mut tree, &path("/lone"), 3);
        let expected = Origin::Stored {
            store: 3,
            path: b"lone".as_slice().into(),
        };
        let content = tree.get(&path("/lone")).unwrap().file().unwrap();
        assert_eq!(content.origin, expected);
    });
}

#[test]
fn a_directory_that_holds_something_protected_gives_all_but_that() {
    let mut fixture = Fixture::new();
    fixture
        .run("mkdir -p out/d/ours; echo secret >out/d/ours/x; echo 1 >out/d/f; touch -d @9 out/d");
    fixture.protection.ours = vec![fixture.at("/out/d/ours")];
    let kept = tempfile::tempdir_in(fixture.outside()).unwrap();
    let into = RootDir::open(kept.path()).unwrap();
    let exclusions = fixture.exclusions();
    let mut keeper = Keeper::new(&fixture.root, &exclusions, &into);
    assert_eq!(keeper.move_out(&path("/out")).unwrap(), Kept::Moved);
    let found = text_of(&into);
    assert!(found.contains("/out/d/f "), "{found}");
    assert!(found.contains(" 9.000000000 dir"), "{found}");
    assert!(!found.contains("ours"), "{found}");
    assert!(fixture.at("/out/d/ours/x").exists());
}

#[test]
fn directories_that_meet_are_merged() {
    let fixture = Fixture::new();
    fixture.run("mkdir -p a/b; echo 1 >a/b/f; echo 2 >a/g");
    let kept = tempfile::tempdir_in(fixture.outside()).unwrap();
    let into = RootDir::open(kept.path()).unwrap();
    let exclusions = fixture.exclusions();
    let mut keeper = Keeper::new(&fixture.root, &exclusions, &into);
    for name in ["/a/b", "/a", "/"] {
        assert_eq!(keeper.move_out(&path(name)).unwrap(), Kept::Moved, "{name}");
    }
    let found = text_of(&into);
    assert!(
        found.contains("/a/b/f") && found.contains("/a/g"),
        "{found}"
    );
}

#[test]
fn privileged_what_lies_on_another_filesystem_is_copied_with_its_links() {
    in_mount_namespace(
        "tests::keeping::privileged_what_lies_on_another_filesystem_is_copied_with_its_links",
        || {
            let fixture = Fixture::new();
            let store = fixture.outside().join("store");
            std::fs::create_dir(&store).unwrap();
            mount_tmpfs(&store);
            fixture.unpack(&[&[
                dir("/"),
                dir("/out"),
                file("/out/f", "1"),
                link("/out/h", "/out/f"),
                symlink("/out/l", "f"),
            ]]);
            let all = fixture.disk();
            let into = RootDir::open(&store).unwrap();
            let exclusions = fixture.exclusions();
            let mut keeper = Keeper::new(&fixture.root, &exclusions, &into);
            assert_eq!(keeper.move_out(&path("/out")).unwrap(), Kept::Copied);
            assert_eq!(without_root(&text_of(&into)), without_root(&all));
        },
    );
}
