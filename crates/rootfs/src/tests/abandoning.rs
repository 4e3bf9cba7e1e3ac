//! Files that nobody will read again.

use std::fs;
use std::os::unix::fs::symlink;

use super::fixture::{Fixture, path};
use crate::abandon;

const LARGE: usize = 100_000;

/// How long the files of these names are.
fn lengths(fixture: &Fixture, names: &[&str]) -> Vec<u64> {
    let of = |name: &&str| fs::metadata(fixture.at(name)).unwrap().len();
    names.iter().map(of).collect()
}

#[test]
fn large_files_become_empty_wherever_they_are_and_nothing_else_does() {
    Fixture::each(|fixture| {
        fs::create_dir_all(fixture.at("a/b/c")).unwrap();
        for name in ["large", "a/b/c/large", "a/.large"] {
            fs::write(fixture.at(name), vec![7; LARGE]).unwrap();
        }
        fs::write(fixture.at("a/small"), "small").unwrap();
        let bytes = abandon(&fixture.root, &mut fixture.exclusions()).unwrap();
        assert_eq!(bytes, 3 * LARGE as u64);
        let names = ["large", "a/b/c/large", "a/.large", "a/small"];
        assert_eq!(lengths(&fixture, &names), [0, 0, 0, 5]);
    });
}

#[test]
fn what_is_outside_protected_or_ignored_keeps_its_bytes() {
    let mut fixture = Fixture::new();
    for name in ["ours", "ignored", "other"] {
        fs::create_dir(fixture.at(name)).unwrap();
        fs::write(fixture.at(name).join("large"), vec![7; LARGE]).unwrap();
    }
    fs::write(fixture.at("program"), vec![7; LARGE]).unwrap();
    // A RUN may have given it another name.
    fs::hard_link(fixture.at("program"), fixture.at("other/program")).unwrap();
    fs::write(fixture.outside().join("canary"), vec![7; LARGE]).unwrap();
    symlink(fixture.outside().join("canary"), fixture.at("link")).unwrap();
    symlink(fixture.outside(), fixture.at("way")).unwrap();
    fixture.protection.ours = vec![fixture.at("ours"), fixture.at("program")];
    fixture.protection.ignored = vec![path("/ignored")];
    abandon(&fixture.root, &mut fixture.exclusions()).unwrap();
    let kept = LARGE as u64;
    let names = [
        "ours/large",
        "ignored/large",
        "program",
        "other/program",
        "link",
    ];
    assert_eq!(lengths(&fixture, &names), [kept; 5]);
    assert_eq!(lengths(&fixture, &["other/large"]), [0]);
}
