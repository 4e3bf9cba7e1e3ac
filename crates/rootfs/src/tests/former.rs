use std::path::{Path, PathBuf};

use super::fixture::*;
use crate::{Error, Exclusions, Former, wipe};

/// A small root of its own, with everything that can be told from something else.
const ROOT: &str = "
mkdir -p etc/ssl/certs bin root var/lib/x ours; chmod 0700 root; chmod 1777 var
echo hosts >etc/hosts; echo ca >etc/ssl/certs/ca; ln -s ../etc/hosts bin/link; mkfifo var/fifo
echo tool >bin/tool; chmod 4755 bin/tool; ln bin/tool var/lib/tool; ln bin/tool etc/tool
echo mine >ours/mine
find . -depth -exec touch -h -d '2001-02-03 04:05:06.789' {} +
";

/// What a build does.
const BUILD: &str = "mkdir -p etc usr/bin var; echo other >etc/hosts; echo new >etc/passwd; chmod 0750 etc; echo x >usr/bin/x; chmod 0700 .; touch .";

fn place(fixture: &Fixture) -> PathBuf {
    fixture.at("/ours/former")
}

fn fixture_with(root: &str) -> Fixture {
    let mut fixture = Fixture::new();
    fixture.run(root);
    fixture.protection.ours = vec![fixture.at("/ours")];
    fixture
}

/// The disk without the directory that is ours, whose times are the caller's business.
fn seen(fixture: &Fixture) -> String {
    let text = fixture.disk();
    let lines = text.lines().filter(|line| !line.starts_with("/ours"));
    lines.collect::<Vec<_>>().join("\n")
}

fn begin(fixture: &Fixture) -> (Former, Exclusions) {
    let work = Path::new("/nowhere/work-x");
    let former = Former::begin(&place(fixture), &fixture.root, work).unwrap();
    (former, fixture.exclusions())
}

fn left_over(fixture: &Fixture) -> Former {
    Former::left_over(&place(fixture), &fixture.root)
        .unwrap()
        .unwrap()
}

/// T-CLEAN-01, T-CLEAN-05
#[test]
fn what_a_build_did_to_a_root_is_undone_exactly_and_again_and_again() {
    Fixture::each(|mut fixture| {
        fixture.run(ROOT);
        fixture.protection.ours = vec![fixture.at("/ours"), fixture.at("/etc/ssl/certs/ca")];
        let before = seen(&fixture);
        for _ in 0..3 {
            let (mut former, mut exclusions) = begin(&fixture);
            assert!(!former.is_away());
            former.move_aside(&fixture.root, &mut exclusions).unwrap();
            assert!(former.is_away());
            assert!(!fixture.at("/bin").exists() && !fixture.at("/etc/hosts").exists());
            assert!(fixture.at("/ours/mine").exists() && fixture.at("/etc/ssl/certs/ca").exists());
            wipe(&fixture.root, &mut exclusions).unwrap();
            fixture.run(BUILD);
            former.give_back(&fixture.root, &mut exclusions).unwrap();
            assert_eq!(seen(&fixture), before);
            assert!(!place(&fixture).exists());
        }
    });
}

/// K-JEN-02: a shell that stands in a directory of the root still stands there.
#[test]
fn a_directory_that_somebody_stands_in_stays_the_same_directory() {
    let mut fixture = fixture_with(ROOT);
    fixture.run("mkdir -p src/deep; echo kept >src/deep/f; touch -d @9 src/deep src");
    fixture.protection.anchors = vec![fixture.at("/src/deep"), fixture.at("/nowhere")];
    let inode = |fixture: &Fixture| rustix::fs::stat(fixture.at("/src/deep")).unwrap().st_ino;
    let (before, same) = (seen(&fixture), inode(&fixture));
    let (mut former, mut exclusions) = begin(&fixture);
    former.move_aside(&fixture.root, &mut exclusions).unwrap();
    wipe(&fixture.root, &mut exclusions).unwrap();
    assert_eq!(inode(&fixture), same);
    assert!(
        !fixture.at("/src/deep/f").exists(),
        "its content is moved aside"
    );
    fixture.run("echo new >src/deep/g");
    former.give_back(&fixture.root, &mut exclusions).unwrap();
    assert_eq!((seen(&fixture), inode(&fixture)), (before, same));
}

#[test]
fn what_was_never_moved_needs_no_giving_back() {
    let fixture = fixture_with(ROOT);
    let before = seen(&fixture);
    let (former, mut exclusions) = begin(&fixture);
    former.give_back(&fixture.root, &mut exclusions).unwrap();
    assert_eq!(seen(&fixture), before);
    assert!(!place(&fixture).exists());
}

/// Hostile-input rule D10: a process that is killed is dropped here without a word.
#[test]
fn the_next_start_gives_back_what_a_killed_build_had_moved() {
    let fixture = fixture_with(ROOT);
    let before = seen(&fixture);
    let (mut former, mut exclusions) = begin(&fixture);
    former.move_aside(&fixture.root, &mut exclusions).unwrap();
    wipe(&fixture.root, &mut exclusions).unwrap();
    fixture.run(BUILD);
    drop(former);
    let mut exclusions = fixture.exclusions();
    left_over(&fixture)
        .give_back(&fixture.root, &mut exclusions)
        .unwrap();
    assert_eq!(seen(&fixture), before);
    assert!(
        Former::left_over(&place(&fixture), &fixture.root)
            .unwrap()
            .is_none()
    );
}

/// The journal as a kill would leave it in the middle of one of the moves.
fn set_state(fixture: &Fixture, state: &str) {
    let journal = place(fixture).join("journal");
    let text = std::fs::read_to_string(&journal).unwrap();
    std::fs::write(&journal, format!("{text}{state}\n")).unwrap();
}

#[test]
fn nothing_is_emptied_when_a_kill_hit_one_of_the_moves() {
    for state in ["leaving", "returning"] {
        let fixture = fixture_with(ROOT);
        let before = seen(&fixture);
        let (mut former, mut exclusions) = begin(&fixture);
        former.move_aside(&fixture.root, &mut exclusions).unwrap();
        drop(former);
        // Half of it never went, or is back already.
        let aside = place(&fixture).join("root");
        for name in ["etc", "bin"] {
            rustix::fs::rename(aside.join(name), fixture.at(name)).unwrap();
        }
        let stamp = "touch -d '2001-02-03 04:05:06.789'";
        run_in(&aside, &format!("{stamp} ."));
        set_state(&fixture, state);
        let mut exclusions = fixture.exclusions();
        left_over(&fixture)
            .give_back(&fixture.root, &mut exclusions)
            .unwrap();
        assert_eq!(seen(&fixture), before, "{state}");
    }
}

#[test]
fn a_journal_of_another_boot_or_mount_or_none_at_all_is_not_believed() {
    for (line, with) in [
        ("boot ", "boot 0000"),
        ("mount ", "mount 0"),
        ("kigumi ", "rubbish"),
    ] {
        let fixture = fixture_with(ROOT);
        let (mut former, mut exclusions) = begin(&fixture);
        former.move_aside(&fixture.root, &mut exclusions).unwrap();
        drop(former);
        let journal = place(&fixture).join("journal");
        let text = std::fs::read_to_string(&journal).unwrap();
        let lines = text
            .lines()
            .map(|had| if had.starts_with(line) { with } else { had });
        std::fs::write(&journal, lines.collect::<Vec<_>>().join("\n") + "\n").unwrap();
        let error = Former::left_over(&place(&fixture), &fixture.root).unwrap_err();
        assert!(
            matches!(error, Error::FormerForeign { .. }),
            "{with}: {error}"
        );
        assert!(
            place(&fixture).join("root/bin/tool").exists(),
            "nothing was touched"
        );
    }
}

#[test]
fn two_builds_do_not_share_a_root() {
    let fixture = fixture_with(ROOT);
    let (_former, _) = begin(&fixture);
    let error = Former::left_over(&place(&fixture), &fixture.root).unwrap_err();
    assert!(matches!(error, Error::FormerInUse { .. }), "{error}");
}

#[test]
fn the_work_files_of_a_killed_build_go_with_it() {
    let fixture = fixture_with(ROOT);
    let work = fixture.at("/ours/work-x");
    run_in(
        &fixture.at("/ours"),
        "mkdir -p work-x/deep; echo blob >work-x/deep/blob",
    );
    drop(Former::begin(&place(&fixture), &fixture.root, &work).unwrap());
    left_over(&fixture).remove_work().unwrap();
    assert!(!work.exists() && fixture.at("/ours/mine").exists());
}

/// T-CLEAN-07
///
/// Directories of a lower layer cannot be renamed there, and files with several names would become several files.
#[test]
fn privileged_a_root_on_overlayfs_is_given_back_as_it_was() {
    let name = "tests::former::privileged_a_root_on_overlayfs_is_given_back_as_it_was";
    in_mount_namespace(name, || {
        let mut fixture = Fixture::new();
        let layers = fixture.outside().join("layers");
        std::fs::create_dir(&layers).unwrap();
        mount_tmpfs(&layers);
        run_in(&layers, "mkdir lower upper work");
        run_in(&layers.join("lower"), ROOT);
        run_in(&layers.join("lower"), "chown 7:8 var/lib");
        for file in ["lower/bin", "lower/etc/hosts"] {
            let file = layers.join(file);
            let flags = rustix::fs::XattrFlags::empty();
            rustix::fs::setxattr(file, "trusted.kigumi", b"kept", flags).unwrap();
        }
        let at = |name: &str| layers.join(name).display().to_string();
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            at("lower"),
            at("upper"),
            at("work")
        );
        let options = std::ffi::CString::new(options).unwrap();
        let flags = rustix::mount::MountFlags::empty();
        rustix::mount::mount("overlay", fixture.host(), "overlay", flags, &*options).unwrap();
        fixture.reopen();
        run_in(&fixture.at("/var"), "mkdir mounted; touch -d @9 mounted .");
        mount_tmpfs(&fixture.at("/var/mounted"));
        run_in(&fixture.at("/var/mounted"), "echo canary >canary");
        fixture.protection.ours = vec![fixture.at("/ours")];
        let before = seen(&fixture);
        assert!(before.contains("trusted.kigumi=kept"), "{before}");
        for _ in 0..2 {
            let (mut former, mut exclusions) = begin(&fixture);
            former.move_aside(&fixture.root, &mut exclusions).unwrap();
            wipe(&fixture.root, &mut exclusions).unwrap();
            fixture.run(BUILD);
            former.give_back(&fixture.root, &mut exclusions).unwrap();
            assert_eq!(seen(&fixture), before);
        }
        assert!(fixture.at("/var/mounted/canary").exists());
    });
}
