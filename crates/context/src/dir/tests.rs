use super::*;

/// What a walk over these paths takes, and which directories it enters. A name that ends in `/` is a directory. All entries of a directory
/// are asked for before those of the directories in it, as `listing` does.
fn walk<'n>(patterns: &str, names: &[&'n str]) -> (Vec<&'n str>, Vec<&'n str>) {
    let patterns = Patterns::parse_file(patterns.as_bytes()).unwrap();
    let mut walk = IgnoreWalk::new(&patterns);
    let mut taken = Vec::new();
    let mut closed: Vec<ImagePath> = Vec::new();
    let mut entered = Vec::new();
    let mut names = names.to_vec();
    names.sort_by_key(|name| name.trim_end_matches('/').matches('/').count());
    for name in names {
        let path = ImagePath::parse(name.as_bytes()).unwrap();
        if closed.iter().any(|directory| path.starts_with(directory)) {
            continue;
        }
        let is_directory = name.ends_with('/');
        let listed = Listed {
            path: &path,
            is_directory,
        };
        let verdict = walk.verdict(listed);
        if verdict == Verdict::Take {
            taken.push(name);
        }
        if is_directory && verdict == Verdict::Skip {
            closed.push(path);
        } else if is_directory {
            entered.push(name);
        }
    }
    let in_order = |found: &mut Vec<&str>| {
        found.sort_by_key(|name| ImagePath::parse(name.as_bytes()).unwrap());
    };
    in_order(&mut taken);
    in_order(&mut entered);
    (taken, entered)
}

const NAMES: [&str; 12] = [
    ".dockerignore",
    "a.txt",
    "b.log",
    "d/",
    "d/a.txt",
    "d/e/",
    "d/e/c.log",
    "d/e/x.txt",
    "d-e/",
    "d-e/x.txt",
    "m/",
    "m/n.js",
];

#[test]
fn the_last_pattern_that_matches_wins_and_exceptions_reach_into_directories_t_ign_03() {
    let cases = [
        (
            "*.log\nd\n!d/e\nm",
            ".dockerignore a.txt d/e/ d/e/c.log d/e/x.txt d-e/ d-e/x.txt",
        ),
        (
            "**/*.log\nm/*",
            ".dockerignore a.txt d/ d/a.txt d/e/ d/e/x.txt d-e/ d-e/x.txt m/",
        ),
        ("*\n!d", "d/ d/a.txt d/e/ d/e/c.log d/e/x.txt"),
        ("*\n!d-e/x.txt", "d-e/x.txt"),
        ("d\n.dockerignore\n[ab].*", "d-e/ d-e/x.txt m/ m/n.js"),
    ];
    for (patterns, expected) in cases {
        let (taken, _) = walk(patterns, &NAMES);
        assert_eq!(taken.join(" "), expected, "{patterns:?}");
    }
}

#[test]
fn ignored_directories_are_not_entered_without_a_reason_t_ign_07() {
    let cases = [
        ("d\nm", "d-e/"),
        ("d\n!d/e/x.txt\nm", "d/ d/e/ d-e/"),
        ("*", ""),
        ("*\n!m", "m/"),
        ("", "d/ d/e/ d-e/ m/"),
    ];
    for (patterns, expected) in cases {
        let (_, entered) = walk(patterns, &NAMES);
        assert_eq!(entered.join(" "), expected, "{patterns:?}");
    }
}

#[test]
fn the_first_ignore_file_that_exists_counts_t_ign_01() {
    let directory = tempfile::tempdir().unwrap();
    let own = directory.path().join("Dockerfile.dockerignore");
    let general = directory.path().join(".dockerignore");
    let candidates = [own.clone(), general.clone()];
    assert!(read_ignore_file(&candidates).unwrap().is_empty());
    fs::write(&general, "general").unwrap();
    assert!(read_ignore_file(&candidates).unwrap().excludes(b"general"));
    // A byte order mark and CRLF are no part of a pattern.
    fs::write(&own, b"\xef\xbb\xbfown\r\nother\r\n").unwrap();
    let patterns = read_ignore_file(&candidates).unwrap();
    assert!(patterns.excludes(b"own") && patterns.excludes(b"other"));
    assert!(!patterns.excludes(b"general"));
}

#[test]
fn an_ignore_file_that_is_not_understood_is_an_error_and_not_an_empty_one() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join(".dockerignore");
    fs::write(&file, "a\n[\n").unwrap();
    let error = read_ignore_file(std::slice::from_ref(&file)).unwrap_err();
    assert!(matches!(error, Error::IgnoreFile { .. }), "{error}");
    let unreadable = [directory.path().to_owned()];
    let error = read_ignore_file(&unreadable).unwrap_err();
    assert!(matches!(error, Error::ReadIgnoreFile { .. }), "{error}");
}

#[test]
fn a_directory_becomes_a_tree_without_what_is_ignored_t_ign_03_t_ign_07() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    for name in ["d/e", "d-e", "m/n"] {
        fs::create_dir_all(at(name)).unwrap();
    }
    for name in ["a", "d/b", "d/e/c", "d/e/x", "d-e/x", "m/n/o"] {
        fs::write(at(name), name).unwrap();
    }
    std::os::unix::fs::symlink("d", at("link")).unwrap();
    let patterns = Patterns::parse_file(b"d\n!d/e/x\nm\nlin?").unwrap();
    let root = RootDir::open(directory.path()).unwrap();
    let tree = context_tree(&root, &patterns, 3).unwrap();
    let paths: Vec<String> = tree.walk().map(|(path, _)| path.to_string()).collect();
    assert_eq!(
        paths.join(" "),
        "/ /a /d /d/e /d/e/x /d-e /d-e/x",
        "in the order of the tree"
    );
    let file = tree.get(&ImagePath::parse(b"d/e/x").unwrap()).unwrap();
    let origin = &file.file().unwrap().origin;
    let stored = kigumi_layer::Origin::Stored {
        store: 3,
        path: b"d/e/x"[..].into(),
    };
    assert_eq!(*origin, stored);
}

// K-CTX-05, T-IGN-06
#[test]
fn what_is_left_of_a_tree_is_what_is_left_of_the_same_directory() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    for name in [
        "dd/ee",
        "dd/ff/deep",
        "secret",
        "keep/a",
        "keep/b.tmp",
        "x.tmp",
    ] {
        fs::create_dir_all(at(name).parent().unwrap()).unwrap();
        fs::write(at(name), name).unwrap();
    }
    fs::hard_link(at("keep/a"), at("keep/again")).unwrap();
    std::os::unix::fs::symlink("../outside", at("keep/link")).unwrap();
    let root = RootDir::open(directory.path()).unwrap();
    let nothing = Patterns::default();
    let all = context_tree(&root, &nothing, 3).unwrap();
    for text in [
        "",
        "secret\n*.tmp\n",
        "**/*.tmp",
        "dd\n!dd/ee",
        "*\n!keep\nkeep/b*",
        "dd/*\n!dd/ff/deep",
    ] {
        let ignored = Patterns::parse_file(text.as_bytes()).unwrap();
        let listed = context_tree(&root, &ignored, 3).unwrap();
        let left = without_ignored(&all, &ignored).unwrap();
        let shown = |tree: &Tree| -> Vec<String> {
            tree.walk()
                .map(|(path, id)| {
                    let node = tree.node(id);
                    format!("{path} {} {:?}", tree.links(id), node.metadata)
                })
                .collect()
        };
        assert_eq!(shown(&left), shown(&listed), "{text:?}");
    }
}
