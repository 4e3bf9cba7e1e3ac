//! Repositories that no git would make. hostile-inputs.md § 4

use kigumi_testkit::{GitServer, TestRepository};

use crate::support::{failure, fetch};

fn raw(id: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(id.get(at..at + 2).unwrap(), 16).unwrap();
    (0..20).map(|byte| digit(byte * 2)).collect()
}

fn tree(repository: &TestRepository, entries: &[(&str, &str, &str)]) -> String {
    let mut content = Vec::new();
    for (mode, name, id) in entries {
        content.extend_from_slice(format!("{mode} {name}\0").as_bytes());
        content.extend_from_slice(&raw(id));
    }
    repository.object("tree", &content)
}

fn publish(repository: &TestRepository, tree: &str) {
    let commit = repository.git(&["commit-tree", "-m", "hostile", tree]);
    repository.git(&["update-ref", "refs/heads/main", &commit]);
}

#[test]
fn names_that_lead_out_or_into_a_repository_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let server = GitServer::start(directory.path());
    let long = "n".repeat(256);
    for (number, name) in ["..", ".", "a/b", "../x", ".git", ".GIT", ".gIt", &long]
        .iter()
        .enumerate()
    {
        let repository = server.repository(&format!("r{number}.git"));
        let blob = repository.object("blob", b"x");
        let inner = tree(&repository, &[("100644", name, &blob)]);
        let outer = tree(&repository, &[("40000", "d", &inner)]);
        publish(&repository, &outer);
        let said = failure(&server.url(&format!("r{number}.git")), &[]);
        assert!(
            said.contains(&format!("path `d/{name}` is not allowed")),
            "{name}: {said}"
        );
    }
}

#[test]
fn a_name_that_is_there_twice_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let server = GitServer::start(directory.path());
    let repository = server.repository("r.git");
    let blob = repository.object("blob", b"/etc");
    let inner = tree(&repository, &[("100644", "passwd", &blob)]);
    let outer = tree(
        &repository,
        &[("120000", "a", &blob), ("40000", "a", &inner)],
    );
    publish(&repository, &outer);
    let said = failure(&server.url("r.git"), &[]);
    assert!(said.contains("path `a` is not allowed"), "{said}");
}

#[test]
fn links_that_no_filesystem_holds_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let server = GitServer::start(directory.path());
    for (number, target) in [&b""[..], b"a\0b", &[b'x'; 4096]].iter().enumerate() {
        let repository = server.repository(&format!("r{number}.git"));
        let blob = repository.object("blob", target);
        let outer = tree(&repository, &[("120000", "l", &blob)]);
        publish(&repository, &outer);
        let said = failure(&server.url(&format!("r{number}.git")), &[]);
        assert!(said.contains("the symbolic link `l`"), "{said}");
    }
}

#[test]
fn the_longest_link_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let server = GitServer::start(directory.path());
    let repository = server.repository("r.git");
    let blob = repository.object("blob", &[b'x'; 4095]);
    let outer = tree(&repository, &[("120000", "l", &blob)]);
    publish(&repository, &outer);
    let checkout = fetch(&server.url("r.git"), &[]).unwrap();
    assert_eq!(checkout.listing().len(), "0777 l -> ".len() + 4095);
}

#[test]
fn objects_of_the_wrong_kind_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let server = GitServer::start(directory.path());
    let repository = server.repository("r.git");
    let blob = repository.object("blob", b"x");
    let tag = format!("object {blob}\ntype blob\ntag t\ntagger a <a@b> 1 +0000\n\nx\n");
    let tag = repository.object("tag", tag.as_bytes());
    repository.write("a", "1\n").commit("one");
    repository.git(&["update-ref", "refs/tags/t", &tag]);
    let said = failure(&server.url("r.git#t"), &[]);
    assert!(said.contains("is not a commit"), "{said}");
}
