//! What a hostile or unlucky process does to be overlooked by a snapshot, and what it does that is no change.

use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

use kigumi_layer::diff;

use super::fixture::*;

const TIME: &str = "1000000000.123456789";

fn base() -> Vec<kigumi_layer::Change> {
    vec![
        dir("/"),
        dir("/d"),
        file("/d/a", "aaaa"),
        file("/d/b", "bbbb"),
        file("/one", "1111"),
        link("/two", "/one"),
    ]
}

/// What is done to the base, and what of it has to be found.
const FOUND: &[(&str, &str, &str)] = &[
    (
        "other bytes of the same length with the old time",
        "printf AAAA >d/a; touch -d @{time} d/a",
        "d 0755 /d\nf 0644 4 /d/a\n",
    ),
    (
        "written in place through a descriptor that was opened for both",
        "printf Z | dd of=d/a bs=1 seek=2 conv=notrunc 2>/dev/null; touch -d @{time} d/a",
        "d 0755 /d\nf 0644 4 /d/a\n",
    ),
    (
        "made shorter and long again",
        "truncate -s 0 d/a; truncate -s 4 d/a; touch -d @{time} d/a",
        "d 0755 /d\nf 0644 4 /d/a\n",
    ),
    (
        "another file of the same length and time moved over it",
        "printf QQQQ >x; touch -d @{time} x; mv x d/a",
        "d 0755 /d\nf 0644 4 /d/a\n",
    ),
    (
        "two files of the same length and time that change places",
        "mv d/a x; mv d/b d/a; mv x d/b",
        "d 0755 /d\nf 0644 4 /d/a\nf 0644 4 /d/b\n",
    ),
    (
        "directories that change places",
        "mkdir e; printf eeee >e/a; touch -d @{time} e/a; mv d x; mv e d; mv x e",
        "d 0755 /d\nf 0644 4 /d/a\n- /d/b\nd 0755 /e\nf 0644 4 /e/a\nf 0644 4 /e/b\n",
    ),
    (
        "a hard link edited under its other name",
        "printf 2222 >two; touch -d @{time} two",
        "f 0644 4 /one\nh /two = /one\n",
    ),
    (
        "a name of a group that becomes a copy of its own",
        "cp -p two x; mv x two",
        "f 0644 4 /two\n",
    ),
    (
        "a name of a group that becomes a name of another file",
        "ln -f d/a two",
        "d 0755 /d\nf 0644 4 /d/a\nh /two = /d/a\n",
    ),
    (
        "permissions of the file behind a hard link",
        "chmod 0600 two",
        "f 0600 4 /one\nh /two = /one\n",
    ),
    (
        "deleted, and made again with other bytes under the same number",
        "rm d/a; printf NNNN >d/a; touch -d @{time} d/a",
        "d 0755 /d\nf 0644 4 /d/a\n",
    ),
    (
        "an extended attribute",
        "python3 -c \"import os; os.setxattr('d/a', 'user.mark', b'x')\"; touch -d @{time} d/a",
        "d 0755 /d\nf 0644 4 /d/a\n",
    ),
    (
        "bytes through a shared mapping",
        "python3 -c \"import mmap; f = open('d/a', 'r+b'); m = mmap.mmap(f.fileno(), 4); m[0:1] = b'M'; m.flush()\"; touch -d @{time} d/a",
        "d 0755 /d\nf 0644 4 /d/a\n",
    ),
];

/// What looks like work and changes nothing.
const NOTHING: &[(&str, &str)] = &[
    ("read", "cat d/a d/b one two >/dev/null"),
    ("listed", "ls -lR . >/dev/null"),
    ("the mode that it has", "chmod 0644 d/a"),
    ("the time that it has", "touch -d @{time} d/a"),
    ("moved away and back", "mv d/a x; mv x d/a"),
    ("a directory moved away and back", "mv d x; mv x d"),
    ("linked and unlinked", "ln d/a x; rm x"),
    (
        "the same bytes again",
        "printf aaaa >d/a; touch -d @{time} d/a",
    ),
    ("copied over itself", "cp -p d/a x; mv x d/a"),
    ("made and removed", "mkdir x; echo >x/y; rm -r x"),
    (
        "an attribute set and removed",
        "python3 -c \"import os; os.setxattr('d/a', 'user.mark', b'x'); os.removexattr('d/a', 'user.mark')\"",
    ),
];

#[test]
fn every_change_is_found_whatever_was_done_to_hide_it_t_bug_18() {
    for (what, script, expected) in FOUND {
        let fixture = Fixture::new();
        let mut index = fixture.start(&[&base()]);
        let script = format!("umask 022; {}", script.replace("{time}", TIME));
        // Every directory is known by now to have the names that it has.
        fixture.layer(&mut index, "true");
        assert_eq!(fixture.layer(&mut index, &script), *expected, "{what}");
        assert_eq!(fixture.text(index.tree()), fixture.disk(), "{what}");
    }
}

#[test]
fn what_changes_nothing_is_in_no_layer() {
    for (what, script) in NOTHING {
        let fixture = Fixture::new();
        let mut index = fixture.start(&[&base()]);
        let script = script.replace("{time}", TIME);
        fixture.layer(&mut index, "true");
        assert_eq!(fixture.layer(&mut index, &script), "", "{what}");
    }
}

/// A process that outlives everything (on the host, say) writes while it is looked at: whatever a scan has missed, the next one finds.
#[test]
fn what_is_written_during_a_scan_is_found_by_it_or_by_the_next() {
    let fixture = Fixture::new();
    let mut layer = base();
    layer.extend((0..200).map(|number| file(&format!("/many{number}"), "m")));
    let mut index = fixture.start(&[&layer]);
    let stop = AtomicBool::new(false);
    let writer = |name: &str| {
        let mut file = File::options().write(true).open(fixture.at(name)).unwrap();
        let time = file.metadata().unwrap().modified().unwrap();
        let stop = &stop;
        move || {
            let mut round = 0_u32;
            while !stop.load(Ordering::Relaxed) {
                file.rewind().unwrap();
                file.write_all(&round.to_ne_bytes()).unwrap();
                file.set_modified(time).unwrap();
                round = round.wrapping_add(1);
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(writer("/d/a"));
        scope.spawn(writer("/one"));
        for _ in 0..8 {
            // A file that changes while it is read is an error or a change, never a wrong record.
            drop(index.scan(&fixture.root, &fixture.exclusions()));
        }
        stop.store(true, Ordering::Relaxed);
    });
    index.settle(&fixture.root).unwrap();
    index.scan(&fixture.root, &fixture.exclusions()).unwrap();
    assert_eq!(fixture.text(index.tree()), fixture.disk());
    let before = index.scan(&fixture.root, &fixture.exclusions()).unwrap();
    assert_eq!(diff(&before, index.tree()), []);
}
