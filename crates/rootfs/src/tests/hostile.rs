//! hostile-inputs.md § 2.7: nothing outside the root and nothing behind a mount changes.

use std::sync::atomic::{AtomicBool, Ordering};

use kigumi_layer::Tree;

use super::fixture::*;
use crate::{Index, Unpacker, Virtual, Virtuals, WhyVirtual, abandon, wipe};

#[test]
fn a_wipe_empties_the_root_and_nothing_else() {
    Fixture::each(|fixture| {
        let outside = fixture.outside();
        fixture.run(&format!(
            "mkdir -p a/b/c; echo >a/b/c/f; mkfifo p; mkdir full; echo >full/f
            ln -s {0} out; ln -s {0}/canary canary; ln {0}/canary hard",
            outside.display()
        ));
        let wiped = fixture.wipe();
        assert_eq!((wiped.removed, wiped.kept), (10, 0));
        assert_eq!(std::fs::read_dir(fixture.host()).unwrap().count(), 0);
        fixture.assert_canary();
    });
}

#[test]
fn a_wipe_needs_no_more_descriptors_the_deeper_it_goes() {
    Fixture::each(|fixture| {
        deep(&fixture, 100);
        fixture.run("mkdir many; cd many; touch $(seq 3000)");
        assert_eq!(fixture.wipe().kept, 0);
        assert_eq!(std::fs::read_dir(fixture.host()).unwrap().count(), 0);
    });
}

#[test]
fn a_wipe_leaves_what_is_protected_and_the_way_to_it() {
    Fixture::each(|mut fixture| {
        fixture.run("mkdir -p a/ours/deep a/other b; echo 1 >a/ours/deep/x; echo 2 >a/other/x; echo 3 >a/f; ln -s a/ours way; echo 4 >b/ignored; echo 5 >b/x");
        fixture.protection.ours = vec![fixture.at("/way")];
        fixture.protection.ignored = vec![path("/b/ignored")];
        fixture.wipe();
        let found = fixture.disk();
        let names: Vec<&str> = found
            .lines()
            .filter_map(|line| line.split(' ').next())
            .collect();
        // The name that was given stays as well as what it leads to.
        assert_eq!(
            names,
            [
                "/",
                "/a",
                "/a/ours",
                "/a/ours/deep",
                "/a/ours/deep/x",
                "/b",
                "/b/ignored",
                "/way"
            ]
        );
    });
}

#[test]
fn a_protected_directory_that_was_moved_survives_the_wipe() {
    Fixture::each(|mut fixture| {
        fixture.run("mkdir ours; echo 1 >ours/x");
        fixture.protection.ours = vec![fixture.at("/ours")];
        let mut exclusions = fixture.exclusions();
        fixture.run("mkdir -p deep/er; mv ours deep/er/elsewhere; mkdir ours; echo >ours/decoy");
        wipe(&fixture.root, &mut exclusions).unwrap();
        assert!(fixture.at("/deep/er/elsewhere/x").exists());
    });
}

#[test]
fn a_directory_that_became_a_link_behind_our_back_is_no_way_out() {
    Fixture::each(|fixture| {
        let (mut tree, virtuals) = fixture.unpack(&[&[dir("/d"), file("/d/f", "1")]]);
        fixture.run(&format!("rm -r d; ln -s {} d", fixture.outside().display()));
        for change in [
            file("/d/canary", "mute"),
            dir("/d/new"),
            delete("/d/canary"),
            link("/d/link", "/d/f"),
            fifo("/d/pipe"),
        ] {
            let Ok(effect) = tree.apply(change.clone()) else {
                continue;
            };
            let exclusions = fixture.exclusions();
            let mut unpacker = Unpacker::new(&fixture.root, &exclusions, virtuals.clone());
            // An error or nothing at all, but never a write.
            let result = unpacker.apply(&mut tree, &change, &effect, Some(&mut "mute".as_bytes()));
            assert!(effect.placed.is_none() || result.is_err(), "{change:?}");
            fixture.assert_canary();
        }
    });
}

#[test]
fn a_wipe_is_not_led_outside_by_renames_under_its_feet() {
    let fixture = Fixture::new();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (a, b) = (fixture.at("/a"), fixture.at("/b"));
            let outside = fixture.outside();
            while !stop.load(Ordering::Relaxed) {
                // Each may lose the race against the wipe; that is the point.
                let _ = std::fs::create_dir_all(a.join("x/y/z"));
                let _ = rustix::fs::rename(a.join("x/y"), fixture.at("/moved"));
                let _ = rustix::fs::rename(&a, &b);
                let _ = std::os::unix::fs::symlink(&outside, &a);
                let _ = rustix::fs::unlink(&a);
                let _ = rustix::fs::rename(&b, &a);
            }
        });
        for _ in 0..300 {
            // It may fail because of the commotion; it may not leave the root.
            let _ = wipe(&fixture.root, &mut fixture.exclusions());
        }
        stop.store(true, Ordering::Relaxed);
    });
    fixture.assert_canary();
    fixture.wipe();
    assert_eq!(std::fs::read_dir(fixture.host()).unwrap().count(), 0);
}

/// Mounts of every sort, each with a canary behind it.
struct Mounted {
    fixture: Fixture,
    points: Vec<String>,
}

impl Mounted {
    fn new(fixture: Fixture) -> Self {
        let points: Vec<String> = [
            "/tmpfs",
            "/same",
            "/deep/er/nested",
            "/with space",
            "/new\nline",
            "/back\\slash",
            "/read-only",
            "/st*r",
        ]
        .map(str::to_owned)
        .to_vec();
        for (number, point) in points.iter().enumerate() {
            let at = fixture.at(point);
            std::fs::create_dir_all(&at).unwrap();
            if point == "/tmpfs" {
                mount_tmpfs(&at);
            } else {
                // Binds of the very filesystem that the root is on: the device number does not tell them apart.
                let behind = fixture.outside().join(format!("behind{number}"));
                std::fs::create_dir(&behind).unwrap();
                bind(&behind, &at);
            }
            std::fs::create_dir_all(at.join("sub")).unwrap();
            std::fs::write(at.join("sub/canary"), CANARY).unwrap();
            if point == "/read-only" {
                make_read_only(&at);
            }
        }
        // A bind in a bind, a file, and the root in itself.
        let inner = fixture.at("/same/inner");
        std::fs::create_dir(&inner).unwrap();
        bind(&fixture.at("/tmpfs"), &inner);
        std::fs::create_dir(fixture.at("/etc")).unwrap();
        std::fs::write(fixture.at("/etc/hosts"), "").unwrap();
        bind(&fixture.outside().join("canary"), &fixture.at("/etc/hosts"));
        let itself = fixture.at("/itself");
        std::fs::create_dir(&itself).unwrap();
        bind(&fixture.host(), &itself);
        fixture.run("echo 1 >etc/other; mkdir -p etc/deep deep/er/other; echo 2 >deep/er/other/f; echo 3 >'with space2'");
        Self { fixture, points }
    }

    fn assert_canaries(&self) {
        for point in &self.points {
            let canary = self.fixture.at(point).join("sub/canary");
            assert_eq!(std::fs::read(&canary).unwrap(), CANARY, "BEHIND {point}");
        }
        let names = ["/etc/hosts", "/same/inner/sub/canary", "/itself/etc"];
        assert!(names.iter().all(|name| self.fixture.at(name).exists()));
        assert_eq!(
            std::fs::read(self.fixture.at("/etc/hosts")).unwrap(),
            CANARY
        );
    }
}

#[test]
fn privileged_a_wipe_never_goes_through_a_mount_t_clean_07() {
    let name = "tests::hostile::privileged_a_wipe_never_goes_through_a_mount_t_clean_07";
    in_mount_namespace(name, || {
        Fixture::each(|fixture| {
            let mounted = Mounted::new(fixture);
            mounted.fixture.wipe();
            mounted.assert_canaries();
            for name in ["/etc/other", "/etc/deep", "/deep/er/other", "/with space2"] {
                assert!(!mounted.fixture.at(name).exists(), "{name}");
            }
        });
    });
}

#[test]
fn privileged_files_behind_mounts_are_not_cut_with_those_of_the_root() {
    let name = "tests::hostile::privileged_files_behind_mounts_are_not_cut_with_those_of_the_root";
    in_mount_namespace(name, || {
        Fixture::each(|fixture| {
            let mounted = Mounted::new(fixture);
            let large = |point: &str| mounted.fixture.at(point).join("sub/large");
            let writable = || mounted.points.iter().filter(|point| *point != "/read-only");
            for point in writable() {
                std::fs::write(large(point), vec![7; 100_000]).unwrap();
            }
            std::fs::write(mounted.fixture.at("etc/large"), vec![7; 100_000]).unwrap();
            let bytes = abandon(&mounted.fixture.root, &mut mounted.fixture.exclusions());
            assert_eq!(bytes.unwrap(), 100_000, "that of the root");
            for point in writable() {
                let length = std::fs::metadata(large(point)).unwrap().len();
                assert_eq!(length, 100_000, "BEHIND {point}");
            }
        });
    });
}

#[test]
fn privileged_a_wipe_stops_at_mounts_that_mountinfo_did_not_tell_of() {
    let name = "tests::hostile::privileged_a_wipe_stops_at_mounts_that_mountinfo_did_not_tell_of";
    in_mount_namespace(name, || {
        Fixture::each(|fixture| {
            // The list is read, and then something is mounted.
            let exclusions = fixture.exclusions();
            let mounted = Mounted::new(fixture);
            let mut remover = crate::wipe::Remover::new(&mounted.fixture.root, &exclusions);
            for name in ["tmpfs", "same", "deep", "etc", "itself", "new\nline"] {
                let at = path(name);
                let is_gone = remover
                    .remove(&*mounted.fixture.root, name.as_bytes(), &at)
                    .unwrap();
                assert!(!is_gone, "{name}");
            }
            mounted.assert_canaries();
        });
    });
}

#[test]
fn privileged_unpacking_goes_around_mounts_t_unpack_07_08_11_12() {
    let name = "tests::hostile::privileged_unpacking_goes_around_mounts_t_unpack_07_08_11_12";
    in_mount_namespace(name, || {
        Fixture::each(|fixture| {
            let mounted = Mounted::new(fixture);
            let fixture = &mounted.fixture;
            fixture.wipe();
            let base = [
                dir("/"),
                dir("/etc"),
                file("/etc/hosts", "of the image"),
                file("/etc/passwd", "root"),
                dir("/same"),
                file("/same/below", "of the image"),
                dir("/same/sub"),
                file("/same/sub/canary", "mute"),
                symlink("/deep", "elsewhere"),
                file("/tmpfs", "a file"),
                link("/hosts", "/etc/hosts"),
            ];
            let (tree, virtuals) = fixture.unpack(&[&base, &[delete("/etc/passwd")]]);
            mounted.assert_canaries();
            let why = |name: &str| virtuals.get(&path(name)).cloned();
            for (name, expected) in [
                ("/etc/hosts", WhyVirtual::Excluded),
                ("/same/below", WhyVirtual::Excluded),
                ("/deep", WhyVirtual::Pinned),
                ("/tmpfs", WhyVirtual::Excluded),
                ("/hosts", WhyVirtual::Detached),
            ] {
                assert_eq!(why(name), Some(Virtual::Absent(expected)), "{name}");
            }
            // The image has what it had, whatever the RUN sees there.
            let mut index = fixture.record(tree, virtuals);
            let found = fixture.layer(
                &mut index,
                "echo more >>etc/hosts; echo >same/new; echo >etc/new; rm -f hosts",
            );
            assert_eq!(found, "d 0755 /etc\nf 0644 1 /etc/new\n");
            assert_eq!(
                std::fs::read(fixture.outside().join("canary")).unwrap(),
                [CANARY, b"more\n"].concat()
            );
            for name in ["/etc/hosts", "/same/below", "/hosts", "/deep"] {
                assert!(index.tree().get(&path(name)).is_some(), "{name}");
            }
            std::fs::write(fixture.outside().join("canary"), CANARY).unwrap();
        });
    });
}

#[test]
fn privileged_a_mount_that_a_run_made_is_not_looked_into() {
    let name = "tests::hostile::privileged_a_mount_that_a_run_made_is_not_looked_into";
    in_mount_namespace(name, || {
        Fixture::each(|fixture| {
            let mut index = fixture.start(&[&[dir("/"), dir("/mnt"), file("/mnt/lower", "1")]]);
            let exclusions = fixture.exclusions();
            fixture.run("mkdir new");
            bind(&fixture.outside(), &fixture.at("/mnt"));
            bind(&fixture.outside(), &fixture.at("/new"));
            for exclusions in [exclusions, fixture.exclusions()] {
                let before = index.scan(&fixture.root, &exclusions).unwrap();
                let found = changes_as_text(&kigumi_layer::diff(&before, index.tree()));
                assert_eq!(found, "");
            }
            fixture.wipe();
            fixture.assert_canary();
        });
    });
}

#[test]
fn privileged_a_directory_removed_by_the_image_stays_as_a_way_to_its_mount() {
    let name =
        "tests::hostile::privileged_a_directory_removed_by_the_image_stays_as_a_way_to_its_mount";
    in_mount_namespace(name, || {
        let fixture = Fixture::new();
        fixture.run("mkdir -p var/run/secrets");
        mount_tmpfs(&fixture.at("/var/run/secrets"));
        let layers: [&[_]; 2] = [
            &[
                dir("/"),
                dir("/var"),
                dir("/var/run"),
                file("/var/run/f", "1"),
                file("/var/g", "2"),
            ],
            &[delete("/var")],
        ];
        let mut index = fixture.start(&layers);
        assert!(index.tree().get(&path("/var")).is_none());
        assert!(!fixture.at("/var/run/f").exists() && !fixture.at("/var/g").exists());
        // What only leads to a mount is not new, until something new is in it.
        assert_eq!(fixture.layer(&mut index, "true"), "");
        assert_eq!(
            fixture.layer(&mut index, "umask 022; echo >var/new"),
            "d 0755 /var\nf 0644 1 /var/new\n"
        );
    });
}

#[test]
fn a_record_of_nothing_finds_everything_foreign() {
    let fixture = Fixture::new();
    fixture.run("mkdir d; echo >d/f");
    let exclusions = fixture.exclusions();
    let mut index =
        Index::record(&fixture.root, &exclusions, Tree::new(), Virtuals::default()).unwrap();
    index.settle(&fixture.root).unwrap();
    assert_eq!(fixture.changes(&mut index), "");
}
