//! `.gitattributes`

use kigumi_testkit::GitServer;

use crate::support::{failure, fetch};

/// Names of files and what is said of them.
const ATTRIBUTES: &[(&str, &str)] = &[
    ("none", ""),
    ("text", "text"),
    ("eol", "eol=crlf"),
    ("lf", "eol=lf"),
    ("text-eol", "text eol=crlf"),
    ("auto", "text=auto"),
    ("auto-eol", "text=auto eol=crlf"),
    ("input", "text=input eol=crlf"),
    ("not", "-text eol=crlf"),
    ("binary", "binary eol=crlf"),
    ("old", "crlf"),
    ("old-eol", "crlf eol=crlf"),
    ("ident", "ident"),
    ("both", "ident text eol=crlf"),
    ("utf-16", "text working-tree-encoding=UTF-16"),
    ("utf-16le", "text working-tree-encoding=utf-16le eol=crlf"),
    ("utf-16le-bom", "text working-tree-encoding=UTF-16LE-BOM"),
    ("utf-16be", "text working-tree-encoding=UTF-16BE"),
    ("utf-32be", "text working-tree-encoding=UTF-32BE"),
    ("utf-8", "text working-tree-encoding=UTF-8"),
    ("mine", "mine"),
    ("overruled", "eol=crlf"),
];

/// What is in them.
const CONTENTS: &[&[u8]] = &[
    b"one\ntwo\n",
    b"one\ntwo\r\nthree\n",
    b"",
    b"a\0b\nc\n",
    b"lone\rcr\n",
    "gr\u{fc}n \u{1f600}\n".as_bytes(),
    b"$Id$ $Id: x $ $Id: x y $ $Id:$ $Id: x$ $Idx$ $Id: \n$ $\n",
    b"\xff\xfe\n",
    b"dos\n\x1a",
];

/// git itself is the judge: what it checks out without any configuration is what BuildKit's git checks out.
#[test]
fn attributes_change_contents_as_they_do_for_git() {
    let directory = tempfile::tempdir().unwrap();
    let server = GitServer::start(directory.path());
    let repository = server.repository("r.git");
    let mut rules = "[attr]mine text eol=crlf ident\n".to_owned();
    for (name, attribute) in ATTRIBUTES {
        let rule = format!("{name}.* {attribute}\n");
        rules.push_str(&rule);
        for (number, content) in CONTENTS.iter().enumerate() {
            repository.write(&format!("d/{name}.{number}"), content);
        }
    }
    repository.write(
        "d/.gitattributes",
        "overruled.* -text\nsub/x eol=crlf\n/top eol=crlf\n",
    );
    repository
        .write("d/sub/x", "x\n")
        .write("d/top", "x\n")
        .write("d/sub/top", "x\n");
    // Added before there are rules, so that the blobs are what was written.
    repository.git(&["add", "--all"]);
    repository.write(".gitattributes", rules);
    repository.git(&["add", ".gitattributes"]);
    repository.git(&["commit", "-q", "-m", "one"]);
    let place = directory.path().join("clone");
    repository.git(&[
        "clone",
        "-q",
        &server.url("r.git"),
        &place.display().to_string(),
    ]);
    let checkout = fetch(&server.url("r.git"), &[]).unwrap();
    let mut compared = 0;
    for (path, id) in checkout.tree.walk() {
        let path = String::from_utf8_lossy(path.as_relative()).into_owned();
        if checkout.tree.node(id).file().is_some() {
            let expected = std::fs::read(place.join(&path)).unwrap();
            let (expected, found) = (expected.escape_ascii(), checkout.bytes(&path));
            assert_eq!(
                found.escape_ascii().to_string(),
                expected.to_string(),
                "{path}"
            );
            compared += 1;
        }
    }
    assert_eq!(compared, ATTRIBUTES.len() * CONTENTS.len() + 5);
}

#[test]
fn an_encoding_that_is_not_known_is_refused_by_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let server = GitServer::start(directory.path());
    let repository = server.repository("r.git");
    repository.write("a.txt", "a\n").git(&["add", "a.txt"]);
    repository.write(".gitattributes", "*.txt working-tree-encoding=SHIFT-JIS\n");
    repository.git(&["add", ".gitattributes"]);
    repository.git(&["commit", "-q", "-m", "one"]);
    let said = failure(&server.url("r.git"), &[]);
    assert!(
        said.contains("`a.txt`: working-tree-encoding `SHIFT-JIS`"),
        "{said}"
    );
}
