use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use kigumi_layer::{ImagePath, Mode};

use super::fixture::*;
use crate::{Error, Exclusions, Item, Placer, Protection, Stand, WhyNot, in_order};

const STAND: Stand = Stand {
    mode: Mode::new(0o1777),
    uid: 0,
    gid: 0,
};

fn base() -> Vec<kigumi_layer::Change> {
    vec![
        dir("/"),
        dir("/etc"),
        file("/etc/motd", "hello"),
        dir("/full"),
        dir("/full/sub"),
        file("/full/sub/f", "1"),
        file("/full/g", "2"),
        symlink("/link", "etc"),
        symlink("/up", "../../../../full"),
        symlink("/dangling", "/new/there"),
        symlink("/self", "self"),
        dir("/bin"),
        file("/bin/one", "binary"),
        link("/bin/two", "/bin/one"),
    ]
}

/// Everything that can be seen of what lies below a directory, change times left out.
fn facts(directory: &Path) -> BTreeMap<PathBuf, String> {
    let mut facts = BTreeMap::new();
    let mut pending = vec![directory.to_owned()];
    while let Some(path) = pending.pop() {
        let meta = std::fs::symlink_metadata(&path).unwrap();
        let fact = format!(
            "{} {:o} {}:{} {} {} {}.{}",
            meta.ino(),
            meta.mode(),
            meta.uid(),
            meta.gid(),
            meta.nlink(),
            meta.size(),
            meta.mtime(),
            meta.mtime_nsec()
        );
        if meta.is_dir() {
            let entries = std::fs::read_dir(&path).unwrap();
            pending.extend(entries.map(|entry| entry.unwrap().path()));
        }
        facts.insert(path, fact);
    }
    facts
}

/// `d TARGET`: an empty directory; `f TARGET`: a file with "placed"; `t TARGET`: a tree with the file `in`.
fn place_all(placer: &mut Placer<'_>, mounts: &[&str]) -> Result<(), Error> {
    let wanted: Vec<(ImagePath, &str)> = mounts
        .iter()
        .map(|mount| mount.split_once(' ').unwrap())
        .map(|(what, target)| (path(target), what))
        .collect();
    for (number, (target, what)) in in_order(wanted, |(target, _)| target)
        .into_iter()
        .enumerate()
    {
        let site = placer.survey(&target)?;
        let item = match what {
            "d" => Item::Directory(STAND),
            "f" => Item::File {
                bytes: Box::from(*b"placed"),
                stand: Stand {
                    mode: Mode::new(0o640),
                    uid: 5,
                    gid: 6,
                },
            },
            _ => {
                let made = placer.area(&site)?.join(format!("tree-{number}"));
                std::fs::create_dir(&made).unwrap();
                std::fs::write(made.join("in"), "in the tree").unwrap();
                Item::Existing {
                    path: made,
                    returns: false,
                }
            }
        };
        placer.place(&site, &item)?;
    }
    Ok(())
}

/// Mounts, what a RUN does, what it sees, and the layer it makes.
const RUNS: &[(&[&str], &str, &str, &str)] = &[
    (
        &["d /new/deep/er"],
        "ls -ld new/deep/er | cut -c1-10",
        "drwxrwxrwt\n",
        "",
    ),
    (&["d /full"], "ls full; touch full/x", "", ""),
    (&["t /full"], "cat full/in; rm full/in", "in the tree", ""),
    (
        &["f /etc/motd"],
        "cat etc/motd; stat -c ' %a %u %g' etc/motd",
        "placed 640 5 6\n",
        "",
    ),
    (
        &["f /etc/new"],
        "ls etc; echo x >etc/new",
        "motd\nnew\n",
        "",
    ),
    (&["f /bin/one"], "cat bin/one bin/two", "placedbinary", ""),
    // Links are followed, inside the root.
    (
        &["f /link/motd"],
        "cat etc/motd; readlink link",
        "placedetc\n",
        "",
    ),
    (
        &["t /up"],
        "ls full; readlink up",
        "in\n../../../../full\n",
        "",
    ),
    (&["t /dangling"], "ls new/there", "in\n", ""),
    // Inside each other, whatever the order.
    (
        &["f /a/b/c", "t /a"],
        "cat a/in a/b/c; ls a",
        "in the treeplacedb\nin\n",
        "",
    ),
    (
        &["d /full/sub", "t /full/sub/x"],
        "ls full/sub full/sub/x",
        "full/sub:\nx\n\nfull/sub/x:\nin\n",
        "",
    ),
    (&["t /full", "d /full"], "ls full", "", ""),
    // What the process writes beside is its own.
    (
        &["f /p/q/a"],
        "echo own >p/own",
        "",
        "d 0755 /p\nf 0644 4 /p/own\n",
    ),
    (
        &["f /full/sub/new"],
        "echo x >full/sub/own; rm full/g",
        "",
        "d 0755 /full\n- /full/g\nd 0755 /full/sub\nf 0644 2 /full/sub/own\n",
    ),
    // What it does to the mount points themselves.
    (&["f /p/q/a"], "rm -r p", "", ""),
    (&["d /full"], "rm -r full; echo f >full", "", ""),
    (&["d /full/sub"], "rm -r full", "", "- /full\n"),
    (
        &["d /full/sub"],
        "mv full away",
        "",
        "d 0755 /away\nf 0644 1 /away/g\nd 0755 /away/sub\nf 0644 1 /away/sub/f\n- /full\n",
    ),
];

#[test]
fn a_run_sees_what_is_placed_and_its_layer_does_not() {
    for (mounts, script, sees, layer) in RUNS {
        Fixture::each(|fixture| {
            let mut index = fixture.start(&[&base()]);
            index.settle(&fixture.root).unwrap();
            let exclusions = fixture.exclusions();
            let backstage = tempfile::tempdir_in(fixture.outside()).unwrap();
            let mut placer = Placer::new(&fixture.root, &exclusions, backstage.path()).unwrap();
            place_all(&mut placer, mounts).unwrap();
            let output = std::process::Command::new("sh")
                .args(["-ec", script])
                .current_dir(fixture.host())
                .output()
                .unwrap();
            assert!(output.status.success(), "{mounts:?} {script}");
            placer.undo().unwrap();
            assert_eq!(String::from_utf8_lossy(&output.stdout), *sees, "{mounts:?}");
            let changes = fixture.changes(&mut index);
            assert_eq!(changes, *layer, "{mounts:?} {script}");
            assert_eq!(std::fs::read_dir(backstage.path()).unwrap().count(), 0);
        });
    }
}

#[test]
fn when_nothing_ran_every_inode_and_time_is_as_before() {
    for (mounts, ..) in RUNS {
        Fixture::each(|fixture| {
            fixture.unpack(&[&base()]);
            let before = facts(&fixture.host());
            let exclusions = fixture.exclusions();
            let backstage = tempfile::tempdir_in(fixture.outside()).unwrap();
            // Dropped, as when an error ends the step.
            let mut placer = Placer::new(&fixture.root, &exclusions, backstage.path()).unwrap();
            place_all(&mut placer, mounts).unwrap();
            drop(placer);
            assert_eq!(facts(&fixture.host()), before, "{mounts:?}");
        });
    }
}

#[test]
fn what_cannot_be_placed_is_refused_and_what_was_begun_is_undone() {
    let table: &[(&[&str], WhyNot)] = &[
        (&["d /x", "f /full"], WhyNot::IsDirectory),
        (&["d /etc/motd"], WhyNot::NotADirectory),
        (&["d /etc/motd/x"], WhyNot::NotADirectory),
        (&["d /self"], WhyNot::LinkLoop),
        (&["d /link/.."], WhyNot::Root),
        (&["d /etc/ours"], WhyNot::Ours),
        (&["d /etc/ours/below"], WhyNot::Ours),
    ];
    for (mounts, why) in table {
        let mut fixture = Fixture::new();
        let mut layer = base();
        layer.push(symlink("/root", "/"));
        fixture.unpack(&[&layer]);
        std::fs::create_dir(fixture.at("/etc/ours")).unwrap();
        fixture.protection.ours = vec![fixture.at("/etc/ours")];
        let before = facts(&fixture.host());
        let exclusions = fixture.exclusions();
        let backstage = tempfile::tempdir_in(fixture.outside()).unwrap();
        let mut placer = Placer::new(&fixture.root, &exclusions, backstage.path()).unwrap();
        // `/link/..` is cleaned by the path type, so that one goes through a link.
        let mounts: Vec<&str> = mounts
            .iter()
            .map(|mount| {
                if *mount == "d /link/.." {
                    "d /root"
                } else {
                    mount
                }
            })
            .collect();
        let refused = place_all(&mut placer, &mounts).unwrap_err();
        assert!(
            matches!(refused, Error::CannotPlace { why: found, .. } if found == *why),
            "{mounts:?}: {refused}"
        );
        drop(placer);
        assert_eq!(facts(&fixture.host()), before, "{mounts:?}");
    }
}

#[test]
fn what_is_kept_elsewhere_returns_there_with_what_was_written() {
    Fixture::each(|fixture| {
        fixture.unpack(&[&base()]);
        let before = facts(&fixture.host());
        let exclusions = fixture.exclusions();
        let backstage = tempfile::tempdir_in(fixture.outside()).unwrap();
        let home = tempfile::tempdir_in(fixture.outside()).unwrap();
        let cache = home.path().join("cache");
        std::fs::create_dir(&cache).unwrap();
        std::fs::write(cache.join("old"), "old").unwrap();
        let inode = std::fs::metadata(&cache).unwrap().ino();
        for (round, target) in ["/full", "/new/cache"].iter().enumerate() {
            let mut placer = Placer::new(&fixture.root, &exclusions, backstage.path()).unwrap();
            let site = placer.survey(&path(target)).unwrap();
            assert!(Placer::is_movable(&site, &cache));
            let item = Item::Existing {
                path: cache.clone(),
                returns: true,
            };
            placer.place(&site, &item).unwrap();
            fixture.run(&format!(
                "grep -q old .{target}/old; touch .{target}/round-{round}"
            ));
            placer.undo().unwrap();
            assert_eq!(facts(&fixture.host()), before);
        }
        let mut names: Vec<_> = std::fs::read_dir(&cache)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["old", "round-0", "round-1"]);
        assert_eq!(std::fs::metadata(&cache).unwrap().ino(), inode);
    });
}

/// T-UNPACK-12: what the pod mounts is never moved.
#[test]
fn a_directory_with_mounts_below_keeps_them_and_gets_other_content_for_a_while() {
    in_mount_namespace(
        "tests::placing::a_directory_with_mounts_below_keeps_them_and_gets_other_content_for_a_while",
        || {
            let fixture = Fixture::new();
            fixture.unpack(&[&base()]);
            std::fs::create_dir(fixture.at("/full/sub/volume")).unwrap();
            mount_tmpfs(&fixture.at("/full/sub/volume"));
            std::fs::write(fixture.at("/full/sub/volume/mine"), "pod").unwrap();
            std::fs::create_dir(fixture.at("/full/sub/volume/d")).unwrap();
            let before = facts(&fixture.host());
            let exclusions = Exclusions::new(&fixture.root, &Protection::default()).unwrap();
            let backstage = tempfile::tempdir_in(fixture.outside()).unwrap();
            for (mounts, script, expected) in [
                // Above the mount.
                (
                    vec!["t /full"],
                    "ls full; cat full/sub/volume/mine",
                    "in\nsub\npod",
                ),
                // The mount itself, and inside it.
                (vec!["t /full/sub/volume"], "ls full/sub/volume", "in\n"),
                (
                    vec!["t /full/sub/volume/d", "f /full/sub/volume/mine"],
                    "cat full/sub/volume/d/in full/sub/volume/mine; touch full/sub/volume/d/x",
                    "in the treeplaced",
                ),
            ] {
                let mut placer = Placer::new(&fixture.root, &exclusions, backstage.path()).unwrap();
                place_all(&mut placer, &mounts).unwrap();
                let output = std::process::Command::new("sh")
                    .args(["-ec", script])
                    .current_dir(fixture.host())
                    .output()
                    .unwrap();
                placer.undo().unwrap();
                assert_eq!(
                    String::from_utf8_lossy(&output.stdout),
                    expected,
                    "{mounts:?}"
                );
                assert_eq!(facts(&fixture.host()), before, "{mounts:?}");
            }
            let file = fixture.at("/etc/motd");
            bind(&file, &file);
            let mut placer = Placer::new(&fixture.root, &exclusions, backstage.path()).unwrap();
            let refused = place_all(&mut placer, &["f /etc/motd"]).unwrap_err();
            assert!(matches!(
                refused,
                Error::CannotPlace {
                    why: WhyNot::MountedFile,
                    ..
                }
            ));
            make_read_only(&fixture.at("/full/sub/volume"));
            let refused = place_all(&mut placer, &["f /full/sub/volume/new"]).unwrap_err();
            assert!(matches!(
                refused,
                Error::CannotPlace {
                    why: WhyNot::ReadOnlyMount,
                    ..
                }
            ));
        },
    );
}

/// T-MNT-13: what was written to a read-only mount is found, and named.
#[test]
fn a_witness_names_what_was_changed_in_what_was_placed() {
    let table = [
        ("cat m/in f >/dev/null; ls -R m >/dev/null", None),
        ("touch m/new", Some("/m/new")),
        ("echo x >>m/in", Some("/m/in")),
        ("touch -d @5 m/in", Some("/m/in")),
        ("chmod 600 m/in", Some("/m/in")),
        ("mkdir m/d", Some("/m/d")),
        ("rm m/in", Some("/m")),
        ("mv m/in m/other", Some("/m/other")),
        ("rm -r m", Some("/m")),
        ("touch m/cache/x; mkdir m/cache/y", None),
        ("rm f", Some("/f")),
        ("echo >f", Some("/f")),
    ];
    for (script, expected) in table {
        Fixture::each(|fixture| {
            fixture.unpack(&[&base()]);
            let exclusions = fixture.exclusions();
            let backstage = tempfile::tempdir_in(fixture.outside()).unwrap();
            let mut placer = Placer::new(&fixture.root, &exclusions, backstage.path()).unwrap();
            place_all(&mut placer, &["t /m", "d /m/cache", "f /f"]).unwrap();
            let others = [path("/m"), path("/m/cache"), path("/f")];
            let mut witnesses = Vec::new();
            for target in ["/m", "/f"] {
                let site = placer.survey(&path(target)).unwrap();
                witnesses.push(placer.witness(&site, &others).unwrap());
            }
            fixture.run(script);
            let changed = witnesses
                .iter()
                .find_map(|witness| witness.changed().unwrap());
            assert_eq!(changed, expected.map(path), "{script}");
        });
    }
}
