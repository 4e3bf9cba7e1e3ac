use kigumi_layer::{Entry, FileContent, Origin, Tree};
use proptest::prelude::*;

use super::fixture::*;
use crate::{
    DisposableRoot, Error, Exclusions, Placement, Protection, Unpacker, Virtual, Virtuals,
    WhyVirtual,
};

/// What the disk looks like is what the tree says, in every detail.
fn assert_disk_is(fixture: &Fixture, tree: &Tree) {
    assert_eq!(fixture.disk(), fixture.text(tree));
}

/// A directory entry for the root, so that its time and owner are the test's own, too.
fn root() -> kigumi_layer::Change {
    dir("/")
}

#[test]
fn a_layer_arrives_on_the_disk_as_the_tree_has_it() {
    Fixture::each(|fixture| {
        let (tree, virtuals) = fixture.unpack(&[&[
            root(),
            dir("/a"),
            file("/a/hello", "world"),
            file("/a/empty", ""),
            put(
                "/a/suid",
                Entry::File(FileContent::inline(b"#!")),
                metadata(0o6755),
            ),
            // A umask takes nothing away, and a file need not be writable to be written.
            put(
                "/a/shared",
                Entry::File(FileContent::inline(b"1")),
                metadata(0o777),
            ),
            put(
                "/a/frozen",
                Entry::File(FileContent::inline(b"2")),
                metadata(0o444),
            ),
            put("/tmp", Entry::Directory, metadata(0o1777)),
            put("/closed", Entry::Directory, metadata(0o500)),
            file("/closed/in", "side"),
            symlink("/l", "a/hello"),
            symlink("/dangling", "../../../../nowhere"),
            dir("/z"),
            link("/z/hard", "/a/hello"),
            fifo("/pipe"),
        ]]);
        assert!(virtuals.is_empty(), "{virtuals:?}");
        assert_disk_is(&fixture, &tree);
    });
}

#[test]
fn privileged_directories_on_the_way_are_made_as_the_tree_makes_them() {
    require_root();
    Fixture::each(|fixture| {
        let (tree, _) = fixture.unpack(&[&[root(), file("/on/the/way", "x")]]);
        assert_disk_is(&fixture, &tree);
        assert!(fixture.disk().contains("/on/the 0755 0:0 0.000000000 dir"));
    });
}

#[test]
fn a_later_layer_replaces_deletes_and_keeps_the_times_of_directories() {
    Fixture::each(|fixture| {
        let (tree, virtuals) = fixture.unpack(&[
            &[
                root(),
                dir("/dir"),
                file("/dir/old", "1"),
                file("/dir/other", "2"),
                dir("/becomes-file"),
                file("/becomes-file/below", "3"),
                file("/becomes-dir", "4"),
                dir("/opaque"),
                dir("/opaque/sub"),
                file("/opaque/sub/lower", "5"),
                file("/becomes-link", "6"),
                symlink("/link", "dir"),
                file("/hard1", "7"),
                link("/hard2", "/hard1"),
            ],
            &[
                delete("/dir/old"),
                file("/dir/new", "8"),
                file("/becomes-file", "9"),
                dir("/becomes-dir"),
                file("/becomes-dir/below", "10"),
                clear("/opaque"),
                file("/opaque/upper", "11"),
                symlink("/becomes-link", "dir"),
                // Through a link of the lower layer, inside the root (T-UNPACK-02).
                file("/link/through", "12"),
                delete("/hard1"),
            ],
        ]);
        assert!(virtuals.is_empty());
        assert_disk_is(&fixture, &tree);
        let names = ["/dir/old", "/opaque/sub", "/hard1"];
        assert!(names.iter().all(|name| !fixture.at(name).exists()));
        assert_eq!(std::fs::read(fixture.at("/dir/through")).unwrap(), b"12");
    });
}

#[test]
fn a_final_link_is_replaced_and_never_followed_t_unpack_05() {
    Fixture::each(|fixture| {
        let outside = fixture.outside();
        let canary = outside.join("canary");
        let (tree, _) = fixture.unpack(&[
            &[
                root(),
                symlink("/file", canary.to_str().unwrap()),
                symlink("/dir", outside.to_str().unwrap()),
            ],
            &[
                file("/file", "new"),
                dir("/dir"),
                file("/dir/canary", "mute"),
            ],
        ]);
        assert_disk_is(&fixture, &tree);
        fixture.assert_canary();
    });
}

#[test]
fn what_the_tree_does_not_know_of_is_replaced_too() {
    Fixture::each(|fixture| {
        fixture.run("mkdir -p file/deep; echo x >file/deep/x; echo x >dir; ln -s /nowhere link; echo x >hard");
        let (tree, _) = fixture.unpack(&[&[
            root(),
            file("/file", "1"),
            dir("/dir"),
            file("/link", "2"),
            link("/hard", "/file"),
        ]]);
        assert_disk_is(&fixture, &tree);
    });
}

#[test]
fn protected_paths_are_neither_written_nor_removed_t_unpack_06() {
    Fixture::each(|mut fixture| {
        fixture.run("mkdir -p kaniko; echo executor >kaniko/executor; mkdir -p var/run/secrets");
        fixture.protection.ours = vec![fixture.at("/kaniko"), fixture.at("/var/run/secrets")];
        let (tree, virtuals) = fixture.unpack(&[
            &[
                root(),
                dir("/kaniko"),
                file("/kaniko/executor", "evil"),
                symlink("/var", "elsewhere"),
                link("/innocent", "/kaniko/executor"),
                file("/source", "good"),
                link("/kaniko/hard", "/source"),
            ],
            &[delete("/kaniko"), file("/kaniko", "a file")],
        ]);
        let executor = std::fs::read(fixture.at("/kaniko/executor")).unwrap();
        assert_eq!(executor, b"executor\n");
        assert!(fixture.at("/var/run/secrets").is_dir());
        assert!(!fixture.at("/innocent").exists());
        let expected = [
            ("/innocent", WhyVirtual::Detached),
            ("/kaniko", WhyVirtual::Excluded),
            ("/var", WhyVirtual::Pinned),
        ];
        let found: Vec<_> = virtuals
            .iter()
            .map(|(path, why)| (path.to_string(), why.clone()))
            .collect();
        let expected = expected.map(|(name, why)| (name.to_owned(), Virtual::Absent(why)));
        assert_eq!(found, expected);
        // The image has it all the same.
        assert!(tree.get(&path("/kaniko")).unwrap().file().is_some());
    });
}

#[test]
fn the_digest_of_what_was_written_is_that_of_the_content_also_when_it_is_virtual() {
    let mut fixture = Fixture::new();
    fixture.run("mkdir ours");
    fixture.protection.ours = vec![fixture.at("/ours")];
    let (tree, virtuals) = fixture.unpack(&[&[file("/f", "x"), file("/ours/f", "y")]]);
    assert!(virtuals.is_absent(&path("/ours/f")));
    for (name, content) in [("/f", "x"), ("/ours/f", "y")] {
        let file = tree.get(&path(name)).unwrap().file().unwrap();
        assert!(file.same_content(&FileContent::inline(content.as_bytes())));
    }
}

#[test]
fn content_that_is_shorter_or_longer_than_announced_is_an_error() {
    let (right, short) = ("x".repeat(70_000), "x".repeat(69_999));
    for (announced, given) in [
        ("abc", "ab"),
        ("abc", "abcd"),
        (&right, &short),
        (&short, &right),
    ] {
        let fixture = Fixture::new();
        let exclusions = fixture.exclusions();
        let mut unpacker = Unpacker::new(&fixture.root, &exclusions, Virtuals::default());
        // The first file is written by the unpacker itself, further ones by its threads.
        for name in ["/f", "/g"] {
            let change = file(name, announced);
            let mut tree = Tree::new();
            let effect = tree.apply(change.clone()).unwrap();
            let error = unpacker
                .apply(&mut tree, &change, &effect, Some(&mut given.as_bytes()))
                .unwrap_err();
            assert!(matches!(error, Error::ContentSize { .. }), "{error}");
        }
    }
}

#[test]
fn content_that_breaks_off_is_an_error_and_not_a_shorter_file() {
    struct Broken;
    impl std::io::Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("the network broke"))
        }
    }
    let fixture = Fixture::new();
    let exclusions = fixture.exclusions();
    let mut unpacker = Unpacker::new(&fixture.root, &exclusions, Virtuals::default());
    for (name, length) in [("/f", 3), ("/small", 3), ("/large", 300_000)] {
        let bytes = "x".repeat(length);
        let change = file(name, &bytes);
        let mut tree = Tree::new();
        let effect = tree.apply(change.clone()).unwrap();
        let mut content = std::io::Read::chain(&bytes.as_bytes()[1..], Broken);
        let error = unpacker
            .apply(&mut tree, &change, &effect, Some(&mut content))
            .unwrap_err();
        assert!(matches!(error, Error::ReadContent { .. }), "{error}");
    }
}

#[test]
fn privileged_a_large_file_that_the_disk_has_no_room_for_is_an_error_that_says_so() {
    let name = "tests::unpacking::privileged_a_large_file_that_the_disk_has_no_room_for_is_an_error_that_says_so";
    in_mount_namespace(name, || {
        let directory = tempfile::tempdir().unwrap();
        let flags = rustix::mount::MountFlags::empty();
        rustix::mount::mount("tmpfs", directory.path(), "tmpfs", flags, c"size=256k").unwrap();
        let root = DisposableRoot::of_directory(directory.path()).unwrap();
        let root = root.open().unwrap();
        let exclusions = Exclusions::new(&root, &Protection::default()).unwrap();
        let mut unpacker = Unpacker::new(&root, &exclusions, Virtuals::default());
        let mut tree = Tree::new();
        let mut put = |name, length| {
            let change = file(name, &"x".repeat(length));
            let effect = tree.apply(change.clone()).unwrap();
            let content = content_of(&change).unwrap();
            unpacker.apply(&mut tree, &change, &effect, Some(&mut &*content))
        };
        put("/first", 1).unwrap();
        let error = put("/large", 10_000_000).unwrap_err();
        assert!(
            matches!(&error, Error::File { operation: "write", path, source }
                if path.to_string() == "/large" && source.kind() == std::io::ErrorKind::StorageFull),
            "{error:?}"
        );
    });
}

#[test]
fn privileged_what_a_directory_hands_down_is_not_what_a_file_of_a_layer_gets() {
    require_root();
    Fixture::each(|fixture| {
        let mut shared = metadata(0o2775);
        shared.gid = 4321;
        let (tree, virtuals) = fixture.unpack(&[
            &[root(), put("/shared", Entry::Directory, shared)],
            &[
                file("/shared/file", "1"),
                file("/shared/large", &"2".repeat(70_000)),
                symlink("/shared/link", "file"),
            ],
        ]);
        assert!(virtuals.is_empty(), "{virtuals:?}");
        assert_disk_is(&fixture, &tree);
        assert!(fixture.disk().contains("/shared/file 0644 0:0"));
    });
}

/// A layer with many files, some of which are linked to, replaced or removed while they may still be on their way to the disk.
#[test]
fn files_on_their_way_are_linked_replaced_and_removed_like_any_other() {
    Fixture::each(|fixture| {
        let mut first = vec![root()];
        let mut second = Vec::new();
        for number in 0..300 {
            let name = format!("/d{}/f{number}", number % 7);
            let times = if number % 4 == 0 { 20_000 } else { 1 };
            first.push(file(&name, &format!("content {number}").repeat(times)));
            match number % 5 {
                0 => first.push(link(&format!("{name}.link"), &name)),
                1 => first.push(file(&name, "again")),
                2 => second.push(delete(&name)),
                3 => second.push(file(&name, &"x".repeat(70_000))),
                _ => {}
            }
        }
        second.push(file("/d3", "a file where a directory was"));
        let (tree, virtuals) = fixture.unpack(&[&first, &second]);
        assert!(virtuals.is_empty());
        // Every digest has arrived, and is that of what is on the disk.
        for (path, id) in tree.walk() {
            if let Some(content) = tree.node(id).file() {
                let bytes = std::fs::read(fixture.at(&path.to_string())).unwrap();
                let known = kigumi_layer::ContentIdentity::Sha256(kigumi_oci::Digest::of(&bytes));
                assert_eq!(content.identity, known, "{path}");
            }
        }
        let index = fixture.record(tree, virtuals);
        assert_eq!(fixture.text(index.tree()), fixture.disk());
    });
}

#[test]
fn a_file_without_content_is_an_error_unless_it_is_empty() {
    let fixture = Fixture::new();
    let exclusions = fixture.exclusions();
    let mut unpacker = Unpacker::new(&fixture.root, &exclusions, Virtuals::default());
    for (content, is_error) in [("", false), ("a", true)] {
        let change = file("/f", content);
        let mut tree = Tree::new();
        let effect = tree.apply(change.clone()).unwrap();
        let applied = unpacker.apply(&mut tree, &change, &effect, None);
        assert_eq!(applied.is_err(), is_error);
    }
}

#[test]
fn user_attributes_arrive_on_files_and_directories_t_snap_19() {
    Fixture::each(|fixture| {
        let mut dressed = metadata(0o600);
        dressed.xattrs.insert(b"user.colour", b"blue\0green");
        let (tree, virtuals) = fixture.unpack(&[
            &[
                root(),
                put(
                    "/f",
                    Entry::File(FileContent::inline(b"x")),
                    dressed.clone(),
                ),
                put("/d", Entry::Directory, dressed.clone()),
            ],
            &[dir("/d")],
        ]);
        assert!(virtuals.is_empty(), "{virtuals:?}");
        assert_disk_is(&fixture, &tree);
        assert!(fixture.disk().contains("/f 0600"));
        assert!(fixture.disk().contains("user.colour=blue\\x00green"));
        assert!(tree.get(&path("/d")).unwrap().metadata.xattrs.is_empty());
    });
}

#[test]
fn attributes_of_the_storage_driver_are_data_and_not_set() {
    let fixture = Fixture::new();
    let mut overlay = metadata(0o755);
    overlay.xattrs.insert(b"trusted.overlay.opaque", b"y");
    overlay.xattrs.insert(b"user.overlay.opaque", b"y");
    let (tree, virtuals) = fixture.unpack(&[&[put("/d", Entry::Directory, overlay)]]);
    let Some(Virtual::Partial(refused)) = virtuals.get(&path("/d")) else {
        panic!("{virtuals:?}");
    };
    assert_eq!(refused.xattrs.len(), 2);
    assert!(!fixture.disk().contains("overlay"));
    assert_eq!(
        tree.get(&path("/d"))
            .unwrap()
            .metadata
            .xattrs
            .iter()
            .count(),
        2
    );
}

#[test]
fn an_owner_that_nobody_can_have_is_kept_in_the_tree_t_unpack_13() {
    let fixture = Fixture::new();
    let mut nobody = metadata(0o644);
    nobody.uid = u32::MAX;
    let (_, virtuals) = fixture.unpack(&[&[
        put("/f", Entry::File(FileContent::inline(b"x")), nobody.clone()),
        put("/l", Entry::Symlink(b"f".as_slice().into()), nobody),
    ]]);
    for name in ["/f", "/l"] {
        let Some(Virtual::Partial(refused)) = virtuals.get(&path(name)) else {
            panic!("{virtuals:?}");
        };
        assert!(refused.owner && !refused.mode);
    }
}

#[test]
fn a_deletion_mark_of_overlayfs_is_never_made() {
    let fixture = Fixture::new();
    let (_, virtuals) = fixture.unpack(&[&[device("/whiteout", 0, 0)]]);
    assert_eq!(
        virtuals.get(&path("/whiteout")),
        Some(&Virtual::Absent(WhyVirtual::Refused))
    );
    assert!(!fixture.at("/whiteout").exists());
}

#[test]
fn privileged_owners_devices_and_capabilities_arrive_t_snap_18_t_bug_14() {
    require_root();
    Fixture::each(|fixture| {
        let owned = |mode| {
            let mut owned = metadata(mode);
            (owned.uid, owned.gid) = (1234, 4321);
            owned
        };
        let mut capable = owned(0o755);
        // CAP_NET_RAW, permitted and effective, revision 2.
        capable.xattrs.insert(
            b"security.capability",
            b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        );
        let (tree, virtuals) = fixture.unpack(&[&[
            root(),
            put(
                "/suid",
                Entry::File(FileContent::inline(b"x")),
                owned(0o6711),
            ),
            put("/ping", Entry::File(FileContent::inline(b"y")), capable),
            put(
                "/l",
                Entry::Symlink(b"suid".as_slice().into()),
                owned(0o777),
            ),
            put("/d", Entry::Directory, owned(0o2750)),
            device("/null", 1, 3),
            put(
                "/loop",
                Entry::BlockDevice(kigumi_layer::Device {
                    major: 7,
                    minor: 300,
                }),
                owned(0o660),
            ),
            put("/pipe", Entry::Fifo, owned(0o622)),
            link("/null2", "/null"),
        ]]);
        assert!(virtuals.is_empty(), "{virtuals:?}");
        assert_disk_is(&fixture, &tree);
        assert!(fixture.disk().contains("security.capability="));
    });
}

/// Names are few, so that changes meet.
fn arbitrary_change() -> impl Strategy<Value = kigumi_layer::Change> {
    let name = || {
        prop::sample::select(vec![
            "/a", "/b", "/a/c", "/a/c/d", "/b/e", "/b/e/f", "/l/x", "/a/l",
        ])
    };
    let target = prop::sample::select(vec!["a", "/b", "../..", "/a/c", "nowhere", "/l"]);
    prop_oneof![
        (name(), "[a-c]{0,3}").prop_map(|(name, content)| file(name, &content)),
        name().prop_map(dir),
        (prop::sample::select(vec!["/l", "/a/l", "/b"]), target)
            .prop_map(|(name, target)| symlink(name, target)),
        (name(), name()).prop_map(|(name, target)| link(name, target)),
        name().prop_map(fifo),
        name().prop_map(delete),
        name().prop_map(clear),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// `scan(unpack(dir, c)) == apply(scan(dir), c)`: the disk against the model.
    #[test]
    fn the_disk_is_what_the_tree_says_after_any_layers(
        layers in prop::collection::vec(prop::collection::vec(arbitrary_change(), 0..12), 1..4)
    ) {
        let fixture = Fixture::new();
        let mut tree = Tree::new();
        let mut virtuals = Virtuals::default();
        (tree, virtuals) = fixture.unpack_onto(tree, virtuals, &[root()]);
        for layer in &layers {
            let exclusions = fixture.exclusions();
            let mut unpacker = Unpacker::new(&fixture.root, &exclusions, virtuals);
            tree.begin_layer();
            for change in layer {
                // What cannot be applied (a link to nothing, a loop) is not what is tested here, but what it made on the way is.
                let mut tried = tree.clone();
                let Ok(effect) = tried.apply(change.clone()) else {
                    continue;
                };
                tree = tried;
                let content = content_of(change).unwrap_or_default();
                let placement = unpacker.apply(&mut tree, change, &effect, Some(&mut &*content)).unwrap();
                prop_assert_eq!(placement, Placement::Exact);
                // Implied directories are root's; the test may not be.
                for made in &effect.made {
                    if let Some(id) = tree.lookup(made) {
                        let node = tree.node_mut(id);
                        (node.metadata.uid, node.metadata.gid) = (metadata(0).uid, metadata(0).gid);
                    }
                }
            }
            virtuals = unpacker.finish(&mut tree).unwrap();
        }
        prop_assert_eq!(fixture.disk(), fixture.text(&tree));
        let index = fixture.record(tree, virtuals);
        for (_, id) in index.tree().walk() {
let node = index.tree().node(id);
            prop_assert!(node.file().is_none_or(|file| file.origin == Origin::Live));
        }
    }
}
