use kigumi_layer::Origin;

use super::fixture::*;
use crate::{RootDir, Verdict, listing};

fn list(fixture: &Fixture, mut filter: impl FnMut(&str, bool) -> Verdict) -> Vec<String> {
    let root = RootDir::open(&fixture.host()).unwrap();
    let tree = listing(&root, 7, &mut |entry| {
        filter(&entry.path.to_string(), entry.is_directory)
    })
    .unwrap();
    tree.walk()
        .skip(1)
        .map(|(path, id)| format!("{path} {:?}", tree.node(id).metadata.mode))
        .collect()
}

#[test]
fn every_kind_is_listed_without_being_opened_t_bug_11() {
    let fixture = Fixture::new();
    fixture.run("umask 022; mkdir -m 750 d; echo hi >d/f; ln -s /nowhere l; mkfifo pipe; ln d/f h");
    let _socket = std::os::unix::net::UnixListener::bind(fixture.at("/s")).unwrap();
    let root = RootDir::open(&fixture.host()).unwrap();
    let tree = listing(&root, 7, &mut |_| Verdict::Take).unwrap();
    let at = |name: &str| tree.get(&path(name)).unwrap();
    assert_eq!(tree.lookup(&path("/h")), tree.lookup(&path("/d/f")));
    let file = at("/d/f").file().unwrap();
    // The first name in order of the walk: `/h` is met before what is in `/d`.
    let expected = Origin::Stored {
        store: 7,
        path: b"h".as_slice().into(),
    };
    assert_eq!((file.size, &file.origin), (3, &expected));
    assert_eq!(at("/pipe").kind, kigumi_layer::Kind::Fifo);
    assert_eq!(at("/s").file().unwrap().size, 0);
    assert_eq!(at("/d").metadata.mode.to_string(), "0750");
}

#[test]
fn contents_of_two_listings_are_not_taken_for_equal() {
    let fixture = Fixture::new();
    fixture.run("echo hi >f");
    let root = RootDir::open(&fixture.host()).unwrap();
    let contents = [0, 1].map(|store| {
        let tree = listing(&root, store, &mut |_| Verdict::Take).unwrap();
        tree.get(&path("/f")).unwrap().file().unwrap().clone()
    });
    assert!(!contents[0].same_content(&contents[1]));
}

#[test]
fn what_is_skipped_is_not_walked() {
    let fixture = Fixture::new();
    fixture.run("mkdir -p a/b c; echo >a/b/f; echo >c/f");
    let mut asked = Vec::new();
    let found = list(&fixture, |name, _| {
        asked.push(name.to_owned());
        if name == "/a" {
            Verdict::Skip
        } else {
            Verdict::Take
        }
    });
    assert_eq!(asked, ["/a", "/c", "/c/f"]);
    assert_eq!(found.len(), 2);
}

#[test]
fn an_excluded_directory_appears_only_with_what_is_taken_below_it() {
    let fixture = Fixture::new();
    fixture.run("umask 022; mkdir -p dd; mkdir -m 750 dd/ee; mkdir -p dd/none ff; echo >dd/ee/keep; echo >dd/ee/drop; echo >dd/none/drop");
    let found = list(&fixture, |name, _| {
        if name.ends_with("/keep") {
            Verdict::Take
        } else {
            Verdict::SkipButDescend
        }
    });
    assert_eq!(found, ["/dd 0o0755", "/dd/ee 0o0750", "/dd/ee/keep 0o0644"]);
}

#[test]
fn mounted_volumes_of_a_context_are_listed_but_links_out_of_it_are_not_followed() {
    let fixture = Fixture::new();
    std::os::unix::fs::symlink(fixture.outside(), fixture.at("/way-out")).unwrap();
    let found = list(&fixture, |_, _| Verdict::Take);
    assert_eq!(found.len(), 1);
    let root = RootDir::open(&fixture.host()).unwrap();
    let error = root.open_content(&path("/way-out/canary")).unwrap_err();
    assert!(error.to_string().contains("/way-out/canary"));
}
