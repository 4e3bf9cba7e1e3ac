use super::*;
use crate::{Change, Entry, Origin};

#[test]
fn a_tree_prints_as_it_was_read() {
    let text = r#"d 0755 0:0 /bin
f 4755 0:0 7 @1700000000.5 /bin/busybox "busybox" security.capability="\x01\x00" user.a="b c"
h /bin/cp = /bin/busybox
d 1777 0:0 @-3.25 /dev
c 0666 0:0 1,3 /dev/null
b 0660 0:6 8,0 /dev/sda
f 0644 1000:1000 3 /name\x20with\x20space "a\n\""
f 0600 0:0 70312 /other sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
f 0600 0:0 9 /unknown ?7
l 0:0 /link -> ../a\x20b
p 0600 0:0 /pipe
f 0644 0:0 0 /ünïcode\xff ""
"#;
    let mut lines: Vec<&str> = text.lines().collect();
    let tree = parse_tree(text).unwrap();
    // The tree has its own order.
    lines.sort_by_key(|line| {
        let path = line.split(' ').find(|word| word.starts_with('/')).unwrap();
        path.split('/').map(str::to_owned).collect::<Vec<_>>()
    });
    assert_eq!(tree.to_string(), lines.join("\n") + "\n");
}

#[test]
fn changes_print_as_they_were_read() {
    let text = "d 0755 0:0 /a\nh /b = /a/c\n- /etc/motd\n! /var/cache\n! /\nd 0700 1:2 /\n";
    assert_eq!(print_changes(&parse_changes(text).unwrap()), text);
}

#[test]
fn fixtures_may_leave_out_what_follows_from_the_rest() {
    let text = "\n  # a comment\n  f 644 0:0   /a   \"hi\"  \n";
    let changes = parse_changes(text).unwrap();
    assert_eq!(print_changes(&changes), "f 0644 0:0 2 /a \"hi\"\n");
    let Change::Put {
        entry: Entry::File(content),
        ..
    } = &changes[0]
    else {
        panic!("{changes:?}");
    };
    assert_eq!(content.origin, Origin::Inline(b"hi"[..].into()));
}

#[test]
fn the_root_has_a_line_only_when_it_is_not_plain() {
    assert_eq!(parse_tree("").unwrap().to_string(), "");
    let text = "d 0700 0:0 /\n";
    assert_eq!(parse_tree(text).unwrap().to_string(), text);
}

#[test]
fn what_is_no_notation_is_refused_with_its_line() {
    let cases = [
        "x 0644 0:0 /a",
        "f",
        "f 0944 0:0 /a \"\"",
        "f 17777 0:0 /a \"\"",
        "f 0644 0 /a \"\"",
        "f 0644 0:x /a \"\"",
        "f 0644 0:-1 /a \"\"",
        "f 0644 0:0 a \"\"",
        "f 0644 0:0 /a/../b \"\"",
        "f 0644 0:0 /a",
        "f 0644 0:0 3 /a \"hi\"",
        "f 0644 0:0 /a sha256:00",
        "f 0644 0:0 /a sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "f 0644 0:0 1 /a ?x",
        "f 0644 0:0 @x /a \"\"",
        "f 0644 0:0 @1.0000000001 /a \"\"",
        "f 0644 0:0 /a \"",
        "f 0644 0:0 /a \"\\q\"",
        "f 0644 0:0 /a \"\" user.a=b",
        "f 0644 0:0 /a \"\" =\"b\"",
        "d 0755 0:0 /a b",
        "l 0:0 /a usr",
        "l 0:0 /a ->",
        "l 0777 0:0 /a -> b",
        "h /a /b",
        "c 0644 0:0 /a",
        "c 0644 0:0 1 /a",
        "- a",
        "- /a /b",
    ];
    for case in cases {
        let error = parse_changes(&format!("\n{case}\n")).unwrap_err();
        assert_eq!(error.line, 2, "{case}: {error}");
    }
    for case in ["- /a", "! /a", "h /a = /b"] {
        let error = parse_tree(case).unwrap_err();
        assert_eq!(error.line, 1, "{case}: {error}");
    }
}
