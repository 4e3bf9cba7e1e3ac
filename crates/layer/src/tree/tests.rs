use std::fmt::Write as _;

use crate::notation::{parse_changes, parse_tree};
use crate::{Effect, Error, Follow, ImagePath, NodeId, Tree};

/// So many ids, to fill other tables with.
pub(crate) fn ids(count: u32) -> Vec<NodeId> {
    (0..count).map(Tree::id).collect()
}

fn path(text: &str) -> ImagePath {
    ImagePath::parse(text.as_bytes()).unwrap()
}

/// What a layer makes of a tree.
fn after(base: &str, layer: &str) -> Result<String, Error> {
    let mut tree = parse_tree(base).unwrap();
    tree.apply_layer(parse_changes(layer).unwrap())?;
    Ok(tree.to_string())
}

fn lines(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn check(name: &str, base: &str, layer: &str, expected: &str) {
    match after(base, layer) {
        Ok(tree) => assert_eq!(lines(&tree), lines(expected.trim()), "{name}"),
        Err(error) => panic!("{name}: {error}"),
    }
}

/// hostile-inputs § 5.3, group Whiteouts; T-BUG-09.
#[test]
fn whiteouts_hide_lower_entries_and_no_others_whatever_the_order() {
    let base = "d 0755 0:0 /d\nf 0644 0:0 /d/low \"low\"\nf 0644 0:0 /x \"x\"";
    let cases = [
        ("a file", "- /d/low", "d 0755 0:0 /d\nf 0644 0:0 1 /x \"x\""),
        ("a directory", "- /d", "f 0644 0:0 1 /x \"x\""),
        (
            "what is not there",
            "- /nothing\n- /nothing/below\n- /x/below\n! /nothing\n! /x\n! /x/below",
            "d 0755 0:0 /d\nf 0644 0:0 3 /d/low \"low\"\nf 0644 0:0 1 /x \"x\"",
        ),
        (
            "opaque, then a sibling",
            "! /d\nf 0644 0:0 /d/new \"new\"",
            "d 0755 0:0 /d\nf 0644 0:0 3 /d/new \"new\"\nf 0644 0:0 1 /x \"x\"",
        ),
        (
            "a sibling, then opaque, twice",
            "f 0644 0:0 /d/new \"new\"\n! /d\n! /d",
            "d 0755 0:0 /d\nf 0644 0:0 3 /d/new \"new\"\nf 0644 0:0 1 /x \"x\"",
        ),
        (
            "a sibling of the same name as a lower one",
            "f 0644 0:0 /d/low \"new\"\n! /d",
            "d 0755 0:0 /d\nf 0644 0:0 3 /d/low \"new\"\nf 0644 0:0 1 /x \"x\"",
        ),
        ("opaque root", "! /", ""),
        (
            "opaque root beside an entry deep below",
            "d 0755 0:0 /d\nf 0644 0:0 /d/new \"new\"\n! /",
            "d 0755 0:0 /d\nf 0644 0:0 3 /d/new \"new\"",
        ),
        (
            "a name of the same layer, whiteout first",
            "- /x\nf 0644 0:0 /x \"y\"",
            "d 0755 0:0 /d\nf 0644 0:0 3 /d/low \"low\"\nf 0644 0:0 1 /x \"y\"",
        ),
        (
            "a name of the same layer, whiteout last",
            "f 0644 0:0 /x \"y\"\n- /x",
            "d 0755 0:0 /d\nf 0644 0:0 3 /d/low \"low\"\nf 0644 0:0 1 /x \"y\"",
        ),
        (
            "a directory that the layer puts again",
            "d 0700 0:0 /d\n- /d",
            "d 0700 0:0 /d\nf 0644 0:0 1 /x \"x\"",
        ),
        (
            "a directory that only holds something of the layer",
            "f 0644 0:0 /d/new \"new\"\n- /d",
            "d 0755 0:0 /d\nf 0644 0:0 3 /d/new \"new\"\nf 0644 0:0 1 /x \"x\"",
        ),
    ];
    for (name, layer, expected) in cases {
        check(name, base, layer, expected);
    }
}

#[test]
fn a_new_name_of_a_lower_file_does_not_protect_its_old_name() {
    let base = "f 0644 0:0 /old \"x\"";
    for layer in ["h /new = /old\n- /old", "h /new = /old\n! /"] {
        check(layer, base, layer, "f 0644 0:0 1 /new \"x\"");
    }
    check(
        "a link over a name of the same file",
        "f 0644 0:0 /a \"x\"\nh /b = /a",
        "h /b = /a\n- /b\n- /a",
        "f 0644 0:0 1 /b \"x\"",
    );
}

#[test]
fn whiteouts_follow_links_on_the_way_but_not_the_last_t_unpack_02() {
    let base = "d 0755 0:0 /d\nf 0644 0:0 /d/a \"a\"\nl 0:0 /l -> d\nl 0:0 /up -> ../../d";
    let cases = [
        (
            "through a link",
            "- /l/a",
            "d 0755 0:0 /d\nl 0:0 /l -> d\nl 0:0 /up -> ../../d",
        ),
        (
            "through a link above the root",
            "- /up/a",
            "d 0755 0:0 /d\nl 0:0 /l -> d\nl 0:0 /up -> ../../d",
        ),
        (
            "the link itself",
            "- /l\n! /up",
            "d 0755 0:0 /d\nf 0644 0:0 1 /d/a \"a\"\nl 0:0 /up -> ../../d",
        ),
    ];
    for (name, layer, expected) in cases {
        check(name, base, layer, expected);
    }
}

/// T-UNPACK-02, T-UNPACK-03, T-UNPACK-05; hostile-inputs § 5.3, group Symlinks.
#[test]
fn entries_go_through_links_on_the_way_and_stay_inside_the_root() {
    let file = "f 0644 0:0 1 /t/f \"f\"";
    let cases = [
        ("relative", "d 0755 0:0 /t\nl 0:0 /l -> t", "/l/f"),
        ("absolute", "d 0755 0:0 /t\nl 0:0 /l -> /t", "/l/f"),
        (
            "above the root",
            "d 0755 0:0 /t\nl 0:0 /l -> ../../../t",
            "/l/f",
        ),
        ("to the root", "d 0755 0:0 /t\nl 0:0 /l -> /", "/l/t/f"),
        (
            "in a chain",
            "d 0755 0:0 /t\nl 0:0 /l -> m\nl 0:0 /m -> ./t/.",
            "/l/f",
        ),
    ];
    for (name, base, entry) in cases {
        let tree = after(base, &format!("f 0644 0:0 {entry} \"f\"")).unwrap();
        assert!(tree.contains(file), "{name}: {tree}");
    }
}

#[test]
fn forty_links_are_followed_and_one_more_is_a_loop_t_unpack_04() {
    let chain = |links: usize| {
        let mut text = String::from("d 0755 0:0 /l0\n");
        for index in 1..=links {
            writeln!(text, "l 0:0 /l{index} -> l{}", index - 1).unwrap();
        }
        after(&text, &format!("f 0644 0:0 /l{links}/f \"\""))
    };
    assert!(chain(40).unwrap().contains("/l0/f"));
    assert!(matches!(chain(41), Err(Error::SymlinkLoop { .. })));
    // The loop itself is data.
    let base = "l 0:0 /a -> b\nl 0:0 /b -> a";
    check("a loop", base, "", base);
    assert!(matches!(
        after(base, "f 0644 0:0 /a/f \"\""),
        Err(Error::SymlinkLoop { .. })
    ));
}

/// T-SNAP-11, T-UNPACK-05; hostile-inputs § 5.3, group Type changes.
#[test]
fn what_is_at_a_path_is_replaced_unless_both_are_directories() {
    let kinds = [
        "d 0755 0:0 /p",
        "f 0644 0:0 1 /p \"f\"",
        "l 0:0 /p -> t",
        "c 0644 0:0 1,3 /p",
        "b 0644 0:0 8,0 /p",
        "p 0644 0:0 /p",
    ];
    let target = "d 0755 0:0 /t\nf 0644 0:0 1 /t/keep \"k\"";
    for before in kinds {
        for now in kinds {
            check(
                &format!("{before} -> {now}"),
                &format!("{before}\n{target}"),
                now,
                &format!("{now}\n{target}"),
            );
        }
    }
    check(
        "a directory over a directory",
        "d 0755 0:0 /p\nf 0644 0:0 1 /p/keep \"k\"",
        "d 0700 1:2 @5 /p user.a=\"b\"",
        "d 0700 1:2 @5 /p user.a=\"b\"\nf 0644 0:0 1 /p/keep \"k\"",
    );
    check(
        "a link over a directory that is not empty",
        "d 0755 0:0 /p\nd 0755 0:0 /p/q\nf 0644 0:0 1 /p/q/gone \"g\"",
        "l 0:0 /p -> t",
        "l 0:0 /p -> t",
    );
    check(
        "the last of several holds",
        "",
        "f 0644 0:0 /p \"1\"\nf 0644 0:0 /p \"2\"",
        kinds[1].replace("\"f\"", "\"2\"").as_str(),
    );
}

#[test]
fn missing_directories_are_made_and_a_file_in_the_way_is_replaced() {
    check(
        "missing",
        "",
        "f 0644 0:0 /a/b/f \"f\"",
        "d 0755 0:0 /a\nd 0755 0:0 /a/b\nf 0644 0:0 1 /a/b/f \"f\"",
    );
    check(
        "behind a link to nothing",
        "l 0:0 /l -> t/u",
        "f 0644 0:0 /l/f \"f\"",
        "l 0:0 /l -> t/u\nd 0755 0:0 /t\nd 0755 0:0 /t/u\nf 0644 0:0 1 /t/u/f \"f\"",
    );
    check(
        "a file",
        "f 0644 0:0 /a \"a\"",
        "f 0644 0:0 /a/f \"f\"",
        "d 0755 0:0 /a\nf 0644 0:0 1 /a/f \"f\"",
    );
}

/// T-BUG-16; hostile-inputs § 5.3, group Hardlinks.
#[test]
fn a_hard_link_is_one_more_name_of_a_file_or_a_symbolic_link() {
    let cases = [
        (
            "to a file of this layer",
            "",
            "f 0644 0:0 /a \"x\"\nh /b = /a",
            "f 0644 0:0 1 /a \"x\"\nh /b = /a",
        ),
        (
            "to a file of a lower layer",
            "f 0644 0:0 /a \"x\"",
            "h /b = /a",
            "f 0644 0:0 1 /a \"x\"\nh /b = /a",
        ),
        (
            "to a link: the link itself",
            "l 0:0 /a -> t",
            "h /b = /a",
            "l 0:0 /a -> t\nh /b = /a",
        ),
        (
            "through a link on the way",
            "d 0755 0:0 /d\nf 0644 0:0 /d/a \"x\"\nl 0:0 /l -> ../../d",
            "h /b = /l/a",
            "f 0644 0:0 1 /b \"x\"\nd 0755 0:0 /d\nh /d/a = /b\nl 0:0 /l -> ../../d",
        ),
        (
            "over a file",
            "f 0644 0:0 /a \"x\"\nf 0644 0:0 /b \"y\"",
            "h /b = /a",
            "f 0644 0:0 1 /a \"x\"\nh /b = /a",
        ),
        (
            "over a directory",
            "f 0644 0:0 /a \"x\"\nd 0755 0:0 /b\nf 0644 0:0 /b/c \"y\"",
            "h /b = /a",
            "f 0644 0:0 1 /a \"x\"\nh /b = /a",
        ),
        (
            "a name that it has already",
            "f 0644 0:0 /a \"x\"\nh /b = /a",
            "h /b = /a",
            "f 0644 0:0 1 /a \"x\"\nh /b = /a",
        ),
        (
            "a name goes",
            "f 0644 0:0 /a \"x\"\nh /b = /a",
            "- /a",
            "f 0644 0:0 1 /b \"x\"",
        ),
        (
            "a name is replaced",
            "f 0644 0:0 /a \"x\"\nh /b = /a",
            "f 0644 0:0 /a \"y\"",
            "f 0644 0:0 1 /a \"y\"\nf 0644 0:0 1 /b \"x\"",
        ),
    ];
    for (name, base, layer, expected) in cases {
        check(name, base, layer, expected);
    }
}

#[test]
fn hard_links_to_what_is_not_there_are_refused() {
    let base = "f 0644 0:0 /a \"x\"\nd 0755 0:0 /d\nf 0644 0:0 /d/e \"y\"";
    let cases = [
        "h /b = /nothing",
        "h /b = /later\nf 0644 0:0 /later \"\"",
        "h /a = /a",
        // Making the parent, or room for the link, removes the target.
        "h /a/b = /a",
        "h /d = /d/e",
    ];
    for layer in cases {
        assert!(
            matches!(
                after(base, layer),
                Err(Error::LinkTargetMissing { .. }
                    | Error::NotADirectory { .. }
                    | Error::LinkTargetIsDirectory { .. })
            ),
            "{layer}"
        );
    }
    for layer in ["h /b = /d", "h /b = /"] {
        assert!(
            matches!(after(base, layer), Err(Error::LinkTargetIsDirectory { .. })),
            "{layer}"
        );
    }
}

#[test]
fn the_root_keeps_being_a_directory() {
    check("its metadata", "", "d 0700 1:2 /", "d 0700 1:2 /");
    for layer in ["f 0644 0:0 / \"\"", "l 0:0 / -> a", "- /", "h / = /a"] {
        let result = after("f 0644 0:0 /a \"\"", layer);
        assert!(matches!(result, Err(Error::ReplaceRoot)), "{layer}");
    }
}

/// What an unpacker is told to do to a disk.
#[test]
fn an_effect_says_what_a_disk_needs() {
    let base = "d 0755 0:0 /d\nf 0644 0:0 /d/a \"a\"\nd 0755 0:0 /d/sub\nf 0644 0:0 /d/sub/b \"b\"\nl 0:0 /l -> d";
    let paths = |texts: &[&str]| texts.iter().map(|text| path(text)).collect::<Vec<_>>();
    let effect =
        |removed: &[&str], made: &[&str], placed: Option<&str>, target: Option<&str>| Effect {
            removed: paths(removed),
            made: paths(made),
            placed: placed.map(path),
            target: target.map(path),
        };
    let cases = [
        (
            "f 0644 0:0 /l/x/y/f \"\"",
            effect(&[], &["d/x", "d/x/y"], Some("d/x/y/f"), None),
        ),
        ("f 0644 0:0 /l \"\"", effect(&["l"], &[], Some("l"), None)),
        ("d 0755 0:0 /d", effect(&[], &[], Some("d"), None)),
        ("f 0644 0:0 /d \"\"", effect(&["d"], &[], Some("d"), None)),
        (
            "f 0644 0:0 /d/a/f \"\"",
            effect(&["d/a"], &["d/a"], Some("d/a/f"), None),
        ),
        ("h /h = /l/a", effect(&[], &[], Some("h"), Some("d/a"))),
        ("- /l/a", effect(&["d/a"], &[], None, None)),
        ("! /d", effect(&["d/a", "d/sub"], &[], None, None)),
        ("- /nothing", effect(&[], &[], None, None)),
    ];
    for (layer, expected) in cases {
        let mut tree = parse_tree(base).unwrap();
        tree.begin_layer();
        let change = parse_changes(layer).unwrap().remove(0);
        assert_eq!(tree.apply(change).unwrap(), expected, "{layer}");
    }
}

#[test]
fn a_path_resolves_as_for_a_process_with_this_root() {
    let tree = parse_tree(
        "d 0755 0:0 /d\nf 0644 0:0 /d/f \"\"\nl 0:0 /l -> d\nl 0:0 /f -> l/f\nl 0:0 /gone -> d/no/where\nl 0:0 /top -> ..",
    )
    .unwrap();
    let cases = [
        ("l/f", Follow::All, "d/f", true),
        ("f", Follow::All, "d/f", true),
        ("f", Follow::Parents, "f", true),
        ("l", Follow::Parents, "l", true),
        ("gone/x", Follow::All, "d/no/where/x", false),
        ("top/top/d", Follow::All, "d", true),
        ("", Follow::All, "", true),
    ];
    for (asked, follow, found, exists) in cases {
        let resolved = tree.resolve(&path(asked), follow).unwrap();
        assert_eq!(resolved.path, path(found), "{asked}");
        assert_eq!(resolved.node.is_some(), exists, "{asked}");
    }
    let error = tree.resolve(&path("l/f/x"), Follow::All).unwrap_err();
    assert_eq!(
        error.to_string(),
        "resolve `/l/f/x`: `/d/f` is not a directory"
    );
}

#[test]
fn what_is_removed_makes_room_for_what_comes() {
    let mut tree = parse_tree("d 0755 0:0 /d\nf 0644 0:0 /d/a \"\"\nf 0644 0:0 /d/b \"\"").unwrap();
    assert_eq!(tree.len(), 4);
    tree.apply_layer(parse_changes("- /d").unwrap()).unwrap();
    assert!(tree.is_empty());
    tree.apply_layer(parse_changes("d 0755 0:0 /e\np 0644 0:0 /e/p").unwrap())
        .unwrap();
    assert_eq!(tree.to_string(), "d 0755 0:0 /e\np 0644 0:0 /e/p\n");
    assert_eq!(tree.len(), 3);
}

#[test]
fn a_walk_below_a_path_gives_it_and_what_it_holds() {
    let tree = parse_tree("d 0755 0:0 /a\np 0644 0:0 /a/b\np 0644 0:0 /a-b\n").unwrap();
    let walk = |from: &str| -> Vec<String> {
        tree.walk_below(&path(from))
            .map(|(path, _)| path.to_string())
            .collect()
    };
    assert_eq!(walk("a"), ["/a", "/a/b"]);
    assert_eq!(walk("a-b"), ["/a-b"]);
    assert!(walk("nothing").is_empty());
    assert_eq!(walk(""), ["/", "/a", "/a/b", "/a-b"]);
}

/// hostile-inputs § 5.3, group Names: as deep as a path can be. Recursion would overflow the stack of a thread.
#[test]
fn the_deepest_tree_there_can_be_is_no_problem() {
    let mut deep = String::new();
    let mut layer = String::new();
    for _ in 0..2047 {
        deep.push_str("/d");
        writeln!(layer, "d 0755 0:0 {deep}").unwrap();
    }
    let base = parse_tree(&layer).unwrap();
    let mut tree = base.clone();
    let changes = format!("f 0644 0:0 {deep}/f \"\"\n! /\n- /d\n");
    tree.apply_layer(parse_changes(&changes).unwrap()).unwrap();
    assert_eq!(tree.len(), 2049);
    assert_eq!(crate::diff(&base, &tree).len(), 2048);
    assert_eq!(crate::diff(&Tree::new(), &tree).len(), 2048);
}
