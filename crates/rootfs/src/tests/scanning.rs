use kigumi_layer::{Entry, FileContent, Origin};
use kigumi_oci::Digest;

use super::fixture::*;
use crate::{Error, Index, Virtual};

/// The base of most tests.
fn base() -> Vec<kigumi_layer::Change> {
    let mut base = few_files();
    base.extend([
        dir("/bin"),
        file("/bin/one", "binary"),
        link("/bin/two", "/bin/one"),
    ]);
    base
}

#[test]
fn a_run_that_changes_nothing_makes_an_empty_layer() {
    Fixture::each(|fixture| {
        let mut index = fixture.start(&[&base()]);
        assert_eq!(fixture.layer(&mut index, "cat etc/motd >/dev/null"), "");
        assert_eq!(fixture.text(index.tree()), fixture.disk());
    });
}

/// What a RUN does, and the layer that it makes of the base.
const CHANGES: &[(&str, &str, &str)] = &[
    (
        "new file",
        "echo hi >etc/new; chmod 640 etc/new",
        "d 0755 /etc\nf 0640 3 /etc/new\n",
    ),
    (
        "rewritten",
        "echo longer >etc/motd",
        "d 0755 /etc\nf 0644 7 /etc/motd\n",
    ),
    (
        "chmod",
        "chmod 600 etc/motd",
        "d 0755 /etc\nf 0600 5 /etc/motd\n",
    ),
    // A directory is emitted when it changed or holds a change; its time alone is nothing (T-SNAP-25).
    ("chmod of a directory", "chmod 700 full", "d 0700 /full\n"),
    ("time of a directory", "touch -d @1 full", ""),
    (
        "time of a file",
        "touch -d @1 etc/motd",
        "d 0755 /etc\nf 0644 5 /etc/motd\n",
    ),
    ("deleted", "rm etc/motd", "d 0755 /etc\n- /etc/motd\n"),
    // T-SNAP-08: one mark for the topmost.
    ("deleted directory", "rm -r full", "- /full\n"),
    // T-SNAP-09, T-SNAP-11: no mark below what was replaced.
    (
        "directory to file",
        "rm -r full; echo x >full",
        "f 0644 2 /full\n",
    ),
    (
        "directory to link",
        "rm -r full; ln -s etc full",
        "l /full -> etc\n",
    ),
    (
        "file to directory",
        "rm etc/motd; mkdir etc/motd; echo x >etc/motd/x",
        "d 0755 /etc\nd 0755 /etc/motd\nf 0644 2 /etc/motd/x\n",
    ),
    ("link to directory", "rm link; mkdir link", "d 0755 /link\n"),
    ("link elsewhere", "ln -sfn full link", "l /link -> full\n"),
    // T-SNAP-24.
    (
        "directory emptied",
        "rm -r full; mkdir full",
        "d 0755 /full\n- /full/g\n- /full/sub\n",
    ),
    (
        "moved",
        "mv full moved",
        "- /full\nd 0755 /moved\nf 0644 1 /moved/g\nd 0755 /moved/sub\nf 0644 1 /moved/sub/f\n",
    ),
    ("fifo", "mkfifo -m 600 pipe", "p 0600 /pipe\n"),
    (
        "same bytes again",
        "cat etc/motd >x; cat x >etc/motd; touch -d @1000000000.123456789 etc/motd; rm x",
        "",
    ),
    // T-BUG-18: only the change time tells.
    (
        "same size and time",
        "printf HELLO >etc/motd; touch -d @1000000000.123456789 etc/motd",
        "d 0755 /etc\nf 0644 5 /etc/motd\n",
    ),
    (
        "names of all sorts",
        "echo >'a b'; echo >'ä\n'",
        "f 0644 1 /a b\nf 0644 1 /ä\\n\n",
    ),
    (
        "sticky and set-id bits",
        "mkdir -m 1777 t; echo >s; chmod 6755 s",
        "f 6755 1 /s\nd 1777 /t\n",
    ),
];

#[test]
fn each_kind_of_change_is_found() {
    // As the first step, and where a scan has found before that every directory has the names that it should.
    let cases = CHANGES
        .iter()
        .flat_map(|case| [(case, false), (case, true)]);
    for ((what, script, expected), is_known) in cases {
        let fixture = Fixture::new();
        let mut index = fixture.start(&[&base()]);
        if is_known {
            fixture.layer(&mut index, "true");
        }
        let script = format!("umask 022; {script}");
        let found = fixture.layer(&mut index, &script);
        assert_eq!(found, *expected, "{what}");
        assert_eq!(fixture.changes(&mut index), "", "{what}: a second look");
        assert_eq!(fixture.text(index.tree()), fixture.disk(), "{what}");
    }
}

#[test]
fn one_more_hard_link_lists_the_whole_group_t_snap_23() {
    let fixture = Fixture::new();
    let mut index = fixture.start(&[&base()]);
    let found = fixture.layer(&mut index, "ln bin/one bin/zzz");
    assert_eq!(
        found,
        "d 0755 /bin\nf 0644 6 /bin/one\nh /bin/two = /bin/one\nh /bin/zzz = /bin/one\n"
    );
    // The content was compared, and is still known by its digest.
    let content = index.tree().get(&path("/bin/zzz")).unwrap().file().unwrap();
    assert!(content.same_content(&FileContent::inline(b"binary")));
    assert_eq!(
        fixture.layer(&mut index, "rm bin/zzz"),
        "d 0755 /bin\n- /bin/zzz\n"
    );
}

#[test]
fn links_that_are_parted_are_files_of_their_own() {
    let fixture = Fixture::new();
    let mut index = fixture.start(&[&base()]);
    let found = fixture.layer(&mut index, "cp -p bin/two x; mv x bin/two");
    assert_eq!(found, "d 0755 /bin\nf 0644 6 /bin/two\n");
}

#[test]
fn sockets_are_not_there_t_snap_14() {
    let fixture = Fixture::new();
    let mut index = fixture.start(&[&base()]);
    let socket = fixture.at("/etc/socket");
    let _held = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    assert_eq!(fixture.changes(&mut index), "");
    // A file that a socket took the place of is gone.
    fixture.run("rm etc/motd");
    let _held = std::os::unix::net::UnixListener::bind(fixture.at("/etc/motd")).unwrap();
    assert_eq!(fixture.changes(&mut index), "d 0755 /etc\n- /etc/motd\n");
}

#[test]
fn access_times_do_not_change_t_snap_15() {
    let fixture = Fixture::new();
    let mut index = fixture.start(&[&base()]);
    fixture.run("touch -a -d @5 etc/motd etc full; cp -p etc/motd x; cat x >etc/motd; touch -a -d @5 etc/motd; touch -m -d @1000000000.123456789 etc/motd; rm x");
    assert_eq!(fixture.changes(&mut index), "");
    for name in ["/etc/motd", "/etc", "/full"] {
        use std::os::unix::fs::MetadataExt as _;
        let found = std::fs::symlink_metadata(fixture.at(name)).unwrap();
        assert_eq!(found.atime(), 5, "{name}");
    }
}

#[test]
fn excluded_paths_are_neither_listed_nor_whited_out_t_snap_13() {
    Fixture::each(|mut fixture| {
        fixture.run("mkdir -p full/ours var/run; echo ours >full/ours/x");
        fixture.protection.ours = vec![fixture.at("/full/ours")];
        fixture.protection.ignored = vec![path("/etc/passwd"), path("/new/ignored")];
        let mut index = fixture.start(&[&base()]);
        let found = fixture.layer(
            &mut index,
            "echo more >>full/ours/x; echo x >etc/passwd; mkdir -p new/ignored; echo >new/ignored/x; echo >full/seen",
        );
        assert_eq!(found, "d 0755 /full\nf 0644 1 /full/seen\nd 0755 /new\n");
        let inherited = index.tree().get(&path("/etc/passwd")).unwrap();
        assert_eq!(inherited.file().unwrap().size, 4);
        // Above what is ignored nothing is whited out either, but everything beside it is.
        let found = fixture.layer(&mut index, "rm -r etc");
        assert_eq!(found, "d 0755 /etc\n- /etc/motd\n");
    });
}

#[test]
fn links_to_directories_are_not_entered_and_what_stands_beside_an_ignored_one_is_seen_t_snap_12() {
    Fixture::each(|mut fixture| {
        fixture.protection.ignored = vec![path("/ignored")];
        let mut index = fixture.start(&[&base()]);
        let found = fixture.layer(
            &mut index,
            "ln -s full ignored; ln -s full/sub way; ln -s . self; echo >full/sub/new; echo >i; echo >z",
        );
        assert_eq!(
            found,
            "d 0755 /full\nd 0755 /full/sub\nf 0644 1 /full/sub/new\nf 0644 1 /i\n\
             l /self -> .\nl /way -> full/sub\nf 0644 1 /z\n"
        );
    });
}

#[test]
fn a_protected_directory_under_another_name_is_still_left_out_t_snap_13() {
    let mut fixture = Fixture::new();
    fixture.run("mkdir -p ours/deep; echo secret >ours/deep/x");
    fixture.protection.ours = vec![fixture.at("/ours")];
    let exclusions = fixture.exclusions();
    let (tree, virtuals) = fixture.unpack(&[&base()]);
    let mut index = Index::record(&fixture.root, &exclusions, tree, virtuals).unwrap();
    index.settle(&fixture.root).unwrap();
    fixture.run("ln -s ours way; mv ours elsewhere");
    let before = index.scan(&fixture.root, &exclusions).unwrap();
    let found = changes_as_text(&kigumi_layer::diff(&before, index.tree()));
    assert_eq!(found, "l /way -> ours\n");
}

#[test]
fn what_was_there_before_is_left_out_until_it_is_touched_t_snap_16() {
    let fixture = Fixture::new();
    fixture.run("mkdir -p extra/deep; echo 1 >extra/deep/a; echo 2 >extra/deep/b; echo 3 >lone");
    let mut index = fixture.start(&[&base()]);
    assert_eq!(fixture.layer(&mut index, "true"), "");
    assert_eq!(
        fixture.layer(&mut index, "echo 4 >>extra/deep/a"),
        "d 0755 /extra\nd 0755 /extra/deep\nf 0644 4 /extra/deep/a\n"
    );
    assert_eq!(fixture.layer(&mut index, "rm lone"), "");
}

#[test]
fn owners_that_the_kernel_refused_stay_as_the_image_has_them_t_unpack_13() {
    let fixture = Fixture::new();
    let mut foreign = metadata(0o644);
    foreign.uid = u32::MAX;
    let change = put("/f", Entry::File(FileContent::inline(b"x")), foreign);
    let mut index = fixture.start(&[&[dir("/"), change]]);
    assert_eq!(fixture.layer(&mut index, "true"), "");
    // Changed in place: the owner is still the image's.
    assert_eq!(fixture.layer(&mut index, "chmod 600 f"), "f 0600 1 /f\n");
    let node = index.tree().get(&path("/f")).unwrap();
    assert_eq!(node.metadata.uid, u32::MAX);
    assert!(matches!(
        index.virtuals().get(&path("/f")),
        Some(Virtual::Partial(_))
    ));
    // Replaced: it is somebody else's now.
    fixture.layer(&mut index, "rm f; echo y >f");
    let node = index.tree().get(&path("/f")).unwrap();
    assert_eq!(node.metadata.uid, metadata(0).uid);
    assert!(index.virtuals().is_empty());
}

#[test]
fn virtual_entries_stay_in_the_image_until_their_directory_goes() {
    let fixture = Fixture::new();
    let base = [
        dir("/"),
        dir("/dev"),
        device("/dev/whiteout", 0, 0),
        file("/dev/f", "1"),
    ];
    let mut index = fixture.start(&[&base]);
    assert_eq!(
        fixture.layer(&mut index, "rm dev/f"),
        "d 0755 /dev\n- /dev/f\n"
    );
    assert!(index.tree().get(&path("/dev/whiteout")).is_some());
    assert_eq!(
        fixture.layer(&mut index, "echo >dev/whiteout"),
        "d 0755 /dev\nf 0644 1 /dev/whiteout\n"
    );
    assert!(index.virtuals().is_empty());
    assert_eq!(fixture.layer(&mut index, "rm -r dev"), "- /dev\n");
}

#[test]
fn contents_of_runs_are_known_once_somebody_has_read_them() {
    let fixture = Fixture::new();
    let mut index = fixture.start(&[&base()]);
    fixture.layer(&mut index, "echo hi >f; touch -d @7 f");
    let rewrite = "echo hi >f; touch -d @7 f";
    // Nobody knows what was in it, so it counts as changed.
    assert_eq!(fixture.layer(&mut index, rewrite), "f 0644 3 /f\n");
    index.learn(&path("/f"), Digest::of(b"hi\n"));
    assert_eq!(fixture.layer(&mut index, rewrite), "");
}

#[test]
fn digests_of_all_files_of_a_run_are_told_in_the_order_of_its_layer() {
    let fixture = Fixture::new();
    let mut index = fixture.start(&[&base()]);
    let before = index.tree().clone();
    let write = "mkdir -p d; echo b >d/b; echo a >d/a; [ -e d/p ] || mkfifo d/p; echo g >g; touch -d @7 d/a d/b g";
    fixture.layer(&mut index, write);
    let of = |text: &str| Some(Digest::of(text.as_bytes()));
    // Of the last nothing is known: it shrank while it was read.
    index.learn_all(&before, vec![of("a\n"), of("b\n"), None]);
    assert_eq!(fixture.layer(&mut index, write), "f 0644 2 /g\n");
}

#[test]
fn a_file_written_through_a_mapping_is_found() {
    let fixture = Fixture::new();
    let mut index = fixture.start(&[&base()]);
    let script = "import mmap,os,sys\nf=os.open('etc/motd',os.O_RDWR)\nm=mmap.mmap(f,5)\nm[0:1]=b'J'\nm.close()\nos.close(f)\nos.utime('etc/motd',ns=(0,1000000000123456789))";
    let status = std::process::Command::new("python3")
        .args(["-c", script])
        .current_dir(fixture.host())
        .status()
        .expect("python3 maps files for this test");
    assert!(status.success());
    assert_eq!(
        fixture.changes(&mut index),
        "d 0755 /etc\nf 0644 5 /etc/motd\n"
    );
}

#[test]
fn two_files_that_change_places_are_both_found() {
    let fixture = Fixture::new();
    let base = [dir("/"), file("/a", "1"), file("/b", "2")];
    let mut index = fixture.start(&[&base]);
    assert_eq!(
        fixture.layer(&mut index, "mv a x; mv b a; mv x b"),
        "f 0644 1 /a\nf 0644 1 /b\n"
    );
}

#[test]
fn names_that_mean_deletion_are_an_error() {
    let fixture = Fixture::new();
    let mut index = fixture.start(&[&base()]);
    fixture.run("echo >etc/.wh.motd");
    let error = index
        .scan(&fixture.root, &fixture.exclusions())
        .unwrap_err();
    assert!(matches!(error, Error::WhiteoutName { .. }), "{error}");
}

#[test]
fn a_tree_deeper_than_any_path_is_an_error_and_not_a_crash() {
    let fixture = Fixture::new();
    let mut index = fixture.start(&[&base()]);
    deep(&fixture, 30);
    let error = index
        .scan(&fixture.root, &fixture.exclusions())
        .unwrap_err();
    assert!(matches!(error, Error::PathTooLong { .. }), "{error}");
    fixture.wipe();
}

#[test]
fn what_was_unpacked_and_is_not_there_is_an_error() {
    let fixture = Fixture::new();
    let (tree, virtuals) = fixture.unpack(&[&base()]);
    fixture.run("rm etc/motd");
    let error = Index::record(&fixture.root, &fixture.exclusions(), tree, virtuals).unwrap_err();
    assert!(error.to_string().contains("/etc/motd"), "{error}");
}

#[test]
fn files_of_a_run_are_live() {
    let fixture = Fixture::new();
    let mut index = fixture.start(&[&base()]);
    fixture.layer(&mut index, "echo hi >f");
    let file = index
        .tree()
        .get(&path("/f"))
        .unwrap()
        .file()
        .unwrap()
        .clone();
    assert_eq!(file.origin, Origin::Live);
}

#[test]
fn changes_applied_between_two_runs_are_not_found_again() {
    let fixture = Fixture::new();
    let mut index = fixture.start(&[&base()]);
    fixture.layer(&mut index, "echo hi >f");
    let (tree, virtuals) = index.into_parts();
    let copied = [file("/etc/copied", "by COPY"), file("/f", "over")];
    let (tree, virtuals) = fixture.unpack_onto(tree, virtuals, &copied);
    let mut index = fixture.record(tree, virtuals);
    assert_eq!(fixture.layer(&mut index, "true"), "");
    assert_eq!(fixture.text(index.tree()), fixture.disk());
}

#[test]
fn many_files_are_walked_by_several_threads_with_the_same_result() {
    let fixture = Fixture::new();
    let mut layer = vec![dir("/")];
    for directory in 0..40 {
        layer.push(dir(&format!("/d{directory}")));
        for name in 0..20 {
            layer.push(file(&format!("/d{directory}/f{name}"), "x"));
        }
    }
    let mut index = fixture.start(&[&layer]);
    let found = fixture.layer(&mut index, "for d in d*; do echo >$d/f7; rm $d/f3; done");
    assert_eq!(found.lines().count(), 40 * 3);
    assert_eq!(fixture.text(index.tree()), fixture.disk());
}
