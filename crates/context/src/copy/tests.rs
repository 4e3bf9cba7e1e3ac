use std::fmt::Write as _;

use super::*;
use crate::Chmod;
use crate::testing::{NOW, changes, normal, path, shown, tree, tree as source};

/// What the instruction `COPY text` (or `ADD`, which unpacks) means. `--from` says that the sources keep their owners, `<<NAME` is a heredoc
/// with its name as body.
fn spec(instruction: &str) -> CopySpec {
    let mut words: Vec<&str> = instruction.split(' ').collect();
    let unpack = words.remove(0) == "ADD";
    let destination = words.pop().unwrap();
    let mut spec = CopySpec {
        items: Vec::new(),
        destination: Destination::new(b"/", destination).unwrap(),
        owner: Owner::ROOT,
        chmod: None,
        parents: false,
        exclude: Vec::new(),
        link: false,
        now: NOW,
    };
    for word in words {
        match word.split_once('=') {
            Some(("--chown", owner)) => {
                let (uid, gid) = owner.split_once(':').unwrap();
                let (uid, gid) = (uid.parse().unwrap(), gid.parse().unwrap());
                spec.owner = Owner::Given { uid, gid };
            }
            Some(("--chmod", mode)) => spec.chmod = Some(Chmod::parse(mode).unwrap()),
            Some(("--exclude", pattern)) => spec.exclude.push(pattern.to_owned()),
            Some(_) | None if word == "--from" => spec.owner = Owner::Kept,
            Some(_) | None if word == "--parents" => spec.parents = true,
            Some(_) | None if word == "--link" => spec.link = true,
            Some(_) | None => spec.items.push(item(word, unpack)),
        }
    }
    spec
}

fn item(word: &str, unpack: bool) -> CopyItem {
    match word.strip_prefix("<<") {
        Some(name) => CopyItem::Inline {
            name: name.into(),
            content: name.as_bytes().into(),
        },
        None => CopyItem::Path {
            source: 0,
            pattern: word.to_owned(),
            unpack,
        },
    }
}

fn copy(base: &str, from: &str, instruction: &str) -> Result<Vec<Change>, CopyError> {
    copy_changes(
        &tree(base),
        &spec(instruction),
        &[&source(from)],
        &Archives::none(),
    )
}

#[track_caller]
fn check(base: &str, from: &str, cases: &[(&str, &str)]) {
    for (instruction, expected) in cases {
        let changes = copy(base, from, instruction);
        let changes = changes.unwrap_or_else(|error| panic!("{instruction}: {error}"));
        assert_eq!(shown(&changes), normal(expected), "{instruction}");
    }
}

/// The error and its causes.
#[track_caller]
fn failure(base: &str, from: &str, instruction: &str) -> String {
    let error = copy(base, from, instruction).expect_err(instruction);
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        write!(text, ": {error}").unwrap();
        cause = error.source();
    }
    text
}

const CONTEXT: &str = r#"
    f 0604 70:71 /a "a"
    f 4640 70:71 /b "b"
    d 0750 70:71 /d
    f 0600 70:71 /d/f "df"
    d 0700 70:71 /d/s
    f 0644 70:71 /d/s/g "dsg"
    l 70:71 /d/l -> f
    l 70:71 /to-a -> a
    l 70:71 /to-d -> d
"#;

#[test]
fn files_from_outside_belong_to_root_and_keep_their_modes_t_copy_01() {
    check(
        "",
        CONTEXT,
        &[
            (
                "COPY a b /x/",
                r#"d 0755 0:0 @now /x
                   f 0604 0:0 /x/a "a"
                   f 4640 0:0 /x/b "b""#,
            ),
            (
                "COPY a <<E /x/",
                r#"d 0755 0:0 @now /x
                   f 0644 0:0 @now /x/E "E"
                   f 0604 0:0 /x/a "a""#,
            ),
        ],
    );
}

#[test]
fn files_of_a_stage_keep_everything_but_the_destination_is_new_t_copy_02() {
    check(
        "",
        CONTEXT,
        &[(
            "COPY --from d b /x/y/",
            r#"d 0755 0:0 @now /x
               d 0755 0:0 /x/y
               f 4640 70:71 /x/y/b "b"
               f 0600 70:71 /x/y/f "df"
               l 70:71 /x/y/l -> f
               d 0700 70:71 /x/y/s
               f 0644 70:71 /x/y/s/g "dsg""#,
        )],
    );
}

#[test]
fn of_attributes_the_capabilities_go_with_their_file_t_copy_02_t_bug_15() {
    let mut from = source(CONTEXT);
    let file = from.lookup(&path("/d/f")).unwrap();
    let attributes = &mut from.node_mut(file).metadata.xattrs;
    attributes.insert(b"security.capability", b"\x01");
    let capabilities = attributes.clone();
    attributes.insert(b"user.foo", b"bar");
    for instruction in ["COPY --from d /x", "COPY --chown=1:2 --chmod=755 d /x"] {
        let base = tree("");
        let changes = copy_changes(&base, &spec(instruction), &[&from], &Archives::none()).unwrap();
        let found = changes.iter().find_map(|change| match change {
            Change::Put { path, metadata, .. } if *path == self::path("/x/f") => {
                Some(&metadata.xattrs)
            }
            Change::Put { .. }
            | Change::Link { .. }
            | Change::Delete { .. }
            | Change::ClearDir { .. } => None,
        });
        assert_eq!(found, Some(&capabilities), "{instruction}");
    }
}

#[test]
fn implied_directories_take_the_owner_and_an_octal_mode_t_copy_03() {
    check(
        "",
        CONTEXT,
        &[
            (
                "COPY --chown=1:2 a /i/j/a",
                r#"d 0755 1:2 @now /i
                   d 0755 1:2 @now /i/j
                   f 0604 1:2 /i/j/a "a""#,
            ),
            (
                "COPY --chmod=640 a /i/a",
                r#"d 0640 0:0 @now /i
                   f 0640 0:0 /i/a "a""#,
            ),
            (
                "COPY --chmod=u=rwX,go= a /i/a",
                r#"d 0755 0:0 @now /i
                   f 0600 0:0 /i/a "a""#,
            ),
        ],
    );
}

#[test]
fn a_directory_copied_to_a_new_name_is_implied_without_the_octal_mode() {
    // The directory is made before the modes are applied, and nothing applies to the destination itself.
    check(
        "",
        CONTEXT,
        &[(
            "COPY --chmod=600 d/s /x",
            r#"d 0755 0:0 /x
               f 0600 0:0 /x/g "dsg""#,
        )],
    );
}

#[test]
fn an_existing_destination_keeps_its_mode_but_directories_inside_do_not_t_copy_04() {
    check(
        r#"d 1777 5:6 /x
           d 0711 5:6 /x/s
           f 0644 5:6 /x/s/old "old""#,
        CONTEXT,
        &[
            (
                "COPY --from d /x",
                r#"d 1777 5:6 /x
                   f 0600 70:71 /x/f "df"
                   l 70:71 /x/l -> f
                   d 0700 70:71 /x/s
                   f 0644 70:71 /x/s/g "dsg""#,
            ),
            (
                "COPY --chmod=750 d/s /x/s",
                r#"d 1777 5:6 /x
                   d 0711 5:6 /x/s
                   f 0750 0:0 /x/s/g "dsg""#,
            ),
        ],
    );
}

#[test]
fn the_time_of_a_source_directory_goes_to_the_destination_and_makes_no_layer_of_itself() {
    // dockerfile.md § 15 point 10; T-SNAP-25.
    let from = r#"
        d 0755 0:0 @7 /d
        f 0644 0:0 @8 /d/f "f"
        d 0755 0:0 @7 /e"#;
    check(
        "d 0755 0:0 @5 /x",
        from,
        &[
            (
                "COPY d /x/",
                r#"d 0755 0:0 @7 /x
                   f 0644 0:0 @8 /x/f "f""#,
            ),
            ("COPY e /x/", ""),
            ("COPY e /new", "d 0755 0:0 @7 /new"),
        ],
    );
}

#[test]
fn modes_and_owners_apply_to_all_that_is_copied_but_modes_not_to_links_t_copy_05_t_bug_12() {
    check(
        "",
        CONTEXT,
        &[(
            "COPY --chown=1:2 --chmod=4711 d /x/",
            r#"d 0711 1:2 /x
               f 4711 1:2 /x/f "df"
               l 1:2 /x/l -> f
               d 4711 1:2 /x/s
               f 4711 1:2 /x/s/g "dsg""#,
        )],
    );
}

#[test]
fn directories_that_nobody_may_enter_are_still_filled_t_copy_06() {
    check(
        "",
        CONTEXT,
        &[(
            "COPY --chmod=000 d/s /p/q/",
            r#"d 0000 0:0 @now /p
               d 0000 0:0 /p/q
               f 0000 0:0 /p/q/g "dsg""#,
        )],
    );
}

#[test]
fn of_several_sources_without_a_directory_the_last_one_wins_t_copy_09() {
    check(
        "",
        CONTEXT,
        &[
            ("COPY a b /nodir", r#"f 4640 0:0 /nodir "b""#),
            ("COPY [ab] /nodir", r#"f 4640 0:0 /nodir "b""#),
        ],
    );
}

#[test]
fn a_wildcard_without_match_copies_nothing_and_makes_nothing_t_copy_10() {
    check(
        "",
        CONTEXT,
        &[
            ("COPY zz* /x/", ""),
            ("COPY d/zz* /x/", ""),
            (
                "COPY a zz* /x/",
                r#"d 0755 0:0 @now /x
                   f 0604 0:0 /x/a "a""#,
            ),
        ],
    );
}

#[test]
fn a_source_that_is_not_there_is_named_t_copy_10() {
    let cases = [
        ("COPY zz /x/", "source `zz`: `/zz` not found"),
        ("COPY a ../zz /x/", "source `../zz`: `/zz` not found"),
        ("COPY a/b /x/", "source `a/b`: `/a/b` not found"),
        ("COPY nodir/* /x/", "source `nodir/*`: `/nodir` not found"),
        (
            "COPY --parents d/zz /x/",
            "source `d/zz`: `/d/zz` not found",
        ),
        (
            "COPY --parents d/./zz /x/",
            "source `d/./zz`: `/d/zz` not found",
        ),
        (
            "COPY --parents zz/./a /x/",
            "source `zz/./a`: `/zz` not found",
        ),
    ];
    for (instruction, expected) in cases {
        assert_eq!(failure("", CONTEXT, instruction), expected, "{instruction}");
    }
}

#[test]
fn malformed_patterns_are_named() {
    for instruction in ["COPY [a /x/", "COPY d/[a /x/", "COPY --parents **/[a /x/"] {
        let text = failure("", CONTEXT, instruction);
        let written = instruction.split(' ').rev().nth(1).unwrap();
        assert!(text.starts_with(&format!("source `{written}`: ")), "{text}");
    }
    assert!(failure("", CONTEXT, "COPY --exclude=[a d /x").starts_with("--exclude: "));
}

#[test]
fn wildcards_are_those_of_go_t_copy_11() {
    let from = r#"
        f 0644 0:0 /arr[0].txt "arr"
        f 0644 0:0 /a*b "star"
        f 0644 0:0 /axb "x"
        f 0644 0:0 /.dot "dot"
        f 0644 0:0 /d/f "df"
        f 0644 0:0 /d/e/f "def"
        f 0644 0:0 /d/e/g "deg"
        l 0:0 /link -> d"#;
    let cases = [
        ("COPY arr[[]0].txt /x/", "/x /x/arr[0].txt"),
        ("COPY a\\*b /x/", ""),
        ("COPY a?b /x/", "/x /x/a*b /x/axb"),
        ("COPY a[\\*]b /x/", "/x /x/a*b"),
        ("COPY *t /x/", "/x /x/.dot /x/arr[0].txt"),
        ("COPY */f /x/", "/x /x/f"),
        ("COPY **/f /x/", "/x /x/f"),
        ("COPY d/*/[fg] /x/", "/x /x/f /x/g"),
        ("COPY link/* /x/", "/x /x/f /x/g"),
        ("COPY lin? /x/", "/x /x/e /x/e/f /x/e/g /x/f"),
    ];
    for (instruction, expected) in cases {
        let changes = copy("", from, instruction);
        if instruction.contains("\\*b ") && instruction.contains("a\\") {
            // Nothing but an escape: the backslash is part of the name.
            assert!(matches!(changes, Err(CopyError::SourceNotFound { .. })));
            continue;
        }
        let paths: Vec<String> = changes
            .unwrap()
            .iter()
            .map(|change| change.path().to_string())
            .collect();
        assert_eq!(paths.join(" "), expected, "{instruction}");
    }
}

#[test]
fn parent_components_stop_at_the_root_t_copy_12() {
    check(
        "",
        CONTEXT,
        &[
            ("COPY ../../a /x", r#"f 0604 0:0 /x "a""#),
            ("COPY d/../a /../x", r#"f 0604 0:0 /x "a""#),
        ],
    );
}

#[test]
fn a_file_goes_into_a_directory_t_copy_13() {
    check(
        "d 0711 5:6 /x",
        CONTEXT,
        &[(
            "COPY a /x",
            r#"d 0711 5:6 /x
               f 0604 0:0 /x/a "a""#,
        )],
    );
}

#[test]
fn what_does_not_fit_is_refused_by_name_t_copy_13() {
    let base = r#"
        f 0644 0:0 /f "f"
        d 0755 0:0 /x/a
        f 0644 0:0 /y/s "s"
        l 0:0 /z/s -> /x
        l 0:0 /loop -> loop
        l 0:0 /to-f -> f"#;
    let cases = [
        ("COPY a /f/", "destination `/f/`: `/f` is not a directory"),
        (
            "COPY a /f/x/y",
            "destination `/f/x/y`: `/f` is not a directory",
        ),
        (
            "COPY a /to-f/x",
            "destination `/to-f/x`: `/f` is not a directory",
        ),
        (
            "COPY a /loop/x",
            "destination `/loop/x`: too many levels of symbolic links",
        ),
        (
            "COPY d /f",
            "source `d`: cannot copy a directory onto `/f`, which is none",
        ),
        (
            "COPY d /y",
            "source `d`: cannot copy a directory onto `/y/s`, which is none",
        ),
        (
            "COPY d /z",
            "source `d`: cannot copy a directory onto `/z/s`, which is none",
        ),
        (
            "COPY a /x/",
            "source `a`: cannot replace the directory `/x/a` with a file",
        ),
    ];
    for (instruction, expected) in cases {
        assert_eq!(
            failure(base, CONTEXT, instruction),
            expected,
            "{instruction}"
        );
    }
}

#[test]
fn links_in_the_destination_are_followed_inside_the_root_t_copy_14_t_copy_16() {
    check(
        r#"d 0755 0:0 /real/sub
           l 0:0 /abs -> /real
           l 0:0 /rel -> ../../real/sub
           l 0:0 /chain -> abs/sub
           l 0:0 /out -> ../../../etc
           l 0:0 /dangling -> made/here
           f 0644 0:0 /file "old"
           l 0:0 /to-file -> file"#,
        CONTEXT,
        &[
            (
                "COPY a /abs/",
                r#"d 0755 0:0 /real
                   f 0604 0:0 /real/a "a""#,
            ),
            (
                "COPY a /rel",
                r#"d 0755 0:0 /real
                   d 0755 0:0 /real/sub
                   f 0604 0:0 /real/sub/a "a""#,
            ),
            (
                "COPY a /chain/new/x",
                r#"d 0755 0:0 /real
                   d 0755 0:0 /real/sub
                   d 0755 0:0 @now /real/sub/new
                   f 0604 0:0 /real/sub/new/x "a""#,
            ),
            (
                "COPY a /out/",
                r#"d 0755 0:0 @now /etc
                   f 0604 0:0 /etc/a "a""#,
            ),
            (
                "COPY a /dangling",
                r#"d 0755 0:0 @now /made
                   f 0604 0:0 /made/here "a""#,
            ),
            (
                "COPY a /dangling/",
                r#"d 0755 0:0 @now /made
                   d 0755 0:0 @now /made/here
                   f 0604 0:0 /made/here/a "a""#,
            ),
            ("COPY a /to-file", r#"f 0604 0:0 /file "a""#),
            (
                "COPY d/s /dangling",
                r#"d 0755 0:0 @now /made
                   d 0755 0:0 /made/here
                   f 0644 0:0 /made/here/g "dsg""#,
            ),
        ],
    );
}

#[test]
fn a_link_at_the_name_of_a_copied_file_is_replaced_t_copy_15() {
    check(
        r"l 0:0 /x/f -> /etc/passwd
           l 0:0 /x/a -> /etc",
        CONTEXT,
        &[
            (
                "COPY a /x/",
                r#"d 0755 0:0 /x
                   f 0604 0:0 /x/a "a""#,
            ),
            (
                "COPY --exclude=s --exclude=l d /x",
                r#"d 0755 0:0 /x
                   f 0600 0:0 /x/f "df""#,
            ),
        ],
    );
}

#[test]
fn a_link_as_source_is_followed_and_names_the_copy_t_copy_17() {
    check(
        "",
        CONTEXT,
        &[
            (
                "COPY to-a /x/",
                r#"d 0755 0:0 @now /x
                   f 0604 0:0 /x/to-a "a""#,
            ),
            (
                "COPY --exclude=s to-d/ /x",
                r#"d 0755 0:0 /x
                   f 0600 0:0 /x/f "df"
                   l 0:0 /x/l -> f"#,
            ),
            ("COPY d/l /x", r#"f 0600 0:0 /x "df""#),
        ],
    );
    assert_eq!(
        failure("", "l 0:0 /l -> nowhere", "COPY l /x"),
        "source `l`: `/l` not found"
    );
    assert_eq!(
        failure("", "l 0:0 /l -> l", "COPY l /x"),
        "source `l`: resolve `/l`: too many levels of symbolic links"
    );
}

#[test]
fn the_root_is_never_recorded_t_copy_18() {
    check(
        "",
        CONTEXT,
        &[
            ("COPY --exclude=** --exclude=!a . /", r#"f 0604 0:0 /a "a""#),
            ("COPY --exclude=** . /", ""),
            // An undefined variable as source is the whole context.
            ("COPY --exclude=**  /x", "d 0755 0:0 /x"),
        ],
    );
}

#[test]
fn the_root_takes_over_the_time_of_what_is_copied_onto_it() {
    // Seen by a `COPY --from` of the root; layers leave the entry out.
    check(
        "d 0711 3:4 @5 /",
        "d 0700 1:2 @77 /d",
        &[
            ("COPY d /", "d 0711 3:4 @77 /"),
            ("COPY d/ /x/", "d 0755 0:0 @77 /x"),
        ],
    );
}

#[test]
fn parents_keep_path_and_modes_from_the_pivot_on_t_copy_20_t_bug_04() {
    check(
        "",
        CONTEXT,
        &[
            (
                "COPY --parents d/s/g a /x/",
                r#"d 0755 0:0 @now /x
                   f 0604 0:0 /x/a "a"
                   d 0750 0:0 /x/d
                   d 0700 0:0 /x/d/s
                   f 0644 0:0 /x/d/s/g "dsg""#,
            ),
            (
                "COPY --parents ./d/./s/g /x",
                r#"d 0755 0:0 @now /x
                   d 0700 0:0 /x/s
                   f 0644 0:0 /x/s/g "dsg""#,
            ),
            (
                "COPY --parents --chown=1:2 **/g /x/",
                r#"d 0755 1:2 @now /x
                   d 0750 1:2 /x/d
                   d 0700 1:2 /x/d/s
                   f 0644 1:2 /x/d/s/g "dsg""#,
            ),
            (
                "COPY --parents --from d/s/ /x/",
                r#"d 0755 0:0 @now /x
                   d 0750 70:71 /x/d
                   d 0700 70:71 /x/d/s
                   f 0644 70:71 /x/d/s/g "dsg""#,
            ),
            (
                "COPY --parents --exclude=d/s d /x/",
                r#"d 0755 0:0 @now /x
                   d 0750 0:0 /x/d
                   f 0600 0:0 /x/d/f "df"
                   l 0:0 /x/d/l -> f"#,
            ),
            ("COPY --parents zz* /x/", "d 0755 0:0 @now /x"),
        ],
    );
}

#[test]
fn parents_that_exist_keep_what_they_have() {
    check(
        "d 0711 5:6 /x/d",
        CONTEXT,
        &[(
            "COPY --parents d/f /x/",
            r#"d 0755 0:0 /x
               d 0711 5:6 /x/d
               f 0600 0:0 /x/d/f "df""#,
        )],
    );
}

#[test]
fn exclusions_are_relative_to_each_source_and_spare_the_source_itself_t_copy_21_t_bug_03() {
    let from = r#"
        f 0644 0:0 /f.log "f"
        f 0644 0:0 /d/b.log "b"
        f 0644 0:0 /d/k "k"
        d 0700 0:0 /d/s
        f 0644 0:0 /d/s/c.log "c"
        f 0644 0:0 /d/s/t/e "e""#;
    let cases = [
        (
            "COPY --exclude=*.log d f.log /x/",
            "/x /x/f.log /x/k /x/s /x/s/c.log /x/s/t /x/s/t/e",
        ),
        (
            "COPY --exclude=**/*.log --exclude=s/t d /x/",
            "/x /x/k /x/s",
        ),
        (
            "COPY --exclude=d/k d /x/",
            "/x /x/b.log /x/k /x/s /x/s/c.log /x/s/t /x/s/t/e",
        ),
        ("COPY --exclude=s d /x/", "/x /x/b.log /x/k"),
        (
            "COPY --exclude=** --exclude=!s/t/e d /x/",
            "/x /x/s /x/s/t /x/s/t/e",
        ),
        (
            "COPY --exclude=d d /x/",
            "/x /x/b.log /x/k /x/s /x/s/c.log /x/s/t /x/s/t/e",
        ),
    ];
    for (instruction, expected) in cases {
        let changes = copy("", from, instruction).unwrap();
        let paths: Vec<String> = changes
            .iter()
            .map(|change| change.path().to_string())
            .collect();
        assert_eq!(paths.join(" "), expected, "{instruction}");
        // A directory on the way to something re-included comes with its own mode.
        let way = changes.iter().find(|change| change.path() == &path("/x/s"));
        if let Some(Change::Put { metadata, .. }) = way {
            assert_eq!(metadata.mode.to_string(), "0700", "{instruction}");
        }
    }
}

#[test]
fn a_directory_whose_entries_are_all_excluded_is_not_made_for_its_neighbours() {
    let from = r#"
        f 0644 0:0 /d/s/t/u/x "x"
        f 0644 0:0 /d/s/v/y "y"
        f 0644 0:0 /d/w/z "z""#;
    check(
        "",
        from,
        &[(
            "COPY --exclude=** --exclude=!s/t/u/nothing --exclude=!s/v/y --exclude=!w/nothing d /x",
            r#"d 0755 0:0 /x
               d 0755 0:0 /x/s
               d 0755 0:0 /x/s/v
               f 0644 0:0 /x/s/v/y "y""#,
        )],
    );
}

#[test]
fn a_tree_may_be_as_deep_as_paths_allow() {
    let deep = "/d".repeat(1000);
    let from = format!("d 0755 0:0 {deep}");
    let changes = copy("", &from, "COPY d /x").unwrap();
    assert_eq!(changes.len(), 1000);
}

#[test]
fn a_linked_layer_does_not_look_at_the_base_t_copy_22() {
    check(
        r#"d 1777 5:6 /tmp
           l 0:0 /lnk -> /tmp
           f 0604 0:0 /same "a""#,
        CONTEXT,
        &[
            (
                "COPY --link a /tmp/",
                r#"d 0755 0:0 @now /tmp
                   f 0604 0:0 /tmp/a "a""#,
            ),
            (
                "COPY --link a /lnk/",
                r#"d 0755 0:0 @now /lnk
                   f 0604 0:0 /lnk/a "a""#,
            ),
            ("COPY --link a /same", r#"f 0604 0:0 /same "a""#),
            (
                "COPY --link --chmod=600 a /lnk/",
                r#"d 1777 5:6 /tmp
                   f 0600 0:0 /tmp/a "a""#,
            ),
        ],
    );
}

#[test]
fn a_linked_layer_replaces_a_link_when_it_is_applied_t_copy_22() {
    let mut base = tree("d 0755 0:0 /real\nl 0:0 /lnk -> real");
    let from = source(CONTEXT);
    let linked = spec("COPY --link a /lnk/");
    let changes = copy_changes(&base, &linked, &[&from], &Archives::none()).unwrap();
    base.apply_layer(changes).unwrap();
    assert!(base.get(&path("/lnk")).unwrap().is_directory());
    assert!(base.get(&path("/real/a")).is_none());
}

#[test]
fn hard_links_are_kept_within_a_source_and_not_beyond_t_copy_23_t_bug_16() {
    check(
        "",
        r#"f 0644 0:0 /d/a "shared"
           h /d/s/b = /d/a
           h /c = /d/a"#,
        &[
            (
                "COPY d c /x/",
                r#"d 0755 0:0 /x
                   f 0644 0:0 /x/a "shared"
                   f 0644 0:0 /x/c "shared"
                   d 0755 0:0 /x/s
                   h /x/s/b = /x/a"#,
            ),
            (
                "COPY --exclude=a d /x",
                r#"d 0755 0:0 /x
                   d 0755 0:0 /x/s
                   f 0644 0:0 /x/s/b "shared""#,
            ),
        ],
    );
}

#[test]
fn the_first_hard_link_in_the_layer_is_the_file() {
    // Copied in the order z, d, the group gets its first name last.
    let base = tree("");
    let from = source("f 0644 0:0 /s/z \"x\"\nh /s/a = /s/z\nh /s/d/m = /s/z");
    let changes = copy_changes(&base, &spec("COPY s /t"), &[&from], &Archives::none()).unwrap();
    assert_eq!(
        shown(&changes),
        normal(
            r#"d 0755 0:0 /t
               f 0644 0:0 /t/a "x"
               d 0755 0:0 /t/d
               h /t/d/m = /t/a
               h /t/z = /t/a"#
        )
    );
}

#[test]
fn devices_and_fifos_are_copied_as_what_they_are_t_copy_23_t_bug_11() {
    check(
        "",
        r"c 0666 0:6 1,3 /d/null
           p 0640 0:0 /d/p",
        &[
            (
                "COPY --from d /x",
                r"d 0755 0:0 /x
                   c 0666 0:6 1,3 /x/null
                   p 0640 0:0 /x/p",
            ),
            ("COPY d/p /p", "p 0640 0:0 /p"),
        ],
    );
}

#[test]
fn a_path_is_listed_once_however_often_it_is_copied_t_copy_28() {
    check(
        "",
        r#"f 0644 0:0 /d1/same "one"
           f 0600 0:0 /d2/same "two"
           f 0644 0:0 /same "three""#,
        &[
            (
                "COPY d1 d2 /x/",
                r#"d 0755 0:0 /x
                   f 0600 0:0 /x/same "two""#,
            ),
            (
                "COPY d2 same d1 /x/",
                r#"d 0755 0:0 /x
                   f 0644 0:0 /x/same "one""#,
            ),
        ],
    );
}

#[test]
fn what_is_there_already_makes_no_change() {
    let base = r#"
        f 0604 0:0 /x/a "a"
        d 0700 0:0 /x/s
        f 0644 0:0 /x/s/g "dsg""#;
    check(
        base,
        CONTEXT,
        &[
            ("COPY a /x/a", ""),
            ("COPY a d/s /x/", "d 0755 0:0 /x\nf 0644 0:0 /x/g \"dsg\""),
            ("COPY d/s /x/s", ""),
            (
                "COPY --chown=1:2 a /x/",
                r#"d 0755 0:0 /x
                   f 0604 1:2 /x/a "a""#,
            ),
        ],
    );
}

#[test]
fn a_group_of_links_that_was_separate_files_is_listed_anew() {
    check(
        r#"f 0644 0:0 /x/a "shared"
           f 0644 0:0 /x/b "shared""#,
        r#"f 0644 0:0 /d/a "shared"
           h /d/b = /d/a"#,
        &[(
            "COPY d /x",
            r#"d 0755 0:0 /x
               f 0644 0:0 /x/a "shared"
               h /x/b = /x/a"#,
        )],
    );
}

#[test]
fn a_destination_is_a_directory_by_how_it_ends() {
    let cases = [
        ("/w", "x", "/w/x", false),
        ("/w", "x/", "/w/x", true),
        ("/w", "x/.", "/w/x", true),
        ("/w", ".", "/w", true),
        ("/w", "", "/w", true),
        ("/w", "./", "/w", true),
        ("/w", "..", "/", false),
        ("/w", "../up/", "/up", true),
        ("/w", "/", "/", true),
        ("/w", "//p//q", "/p/q", false),
        ("w", "x", "/w/x", false),
    ];
    for (directory, written, expected, is_directory) in cases {
        let destination = Destination::new(directory.as_bytes(), written).unwrap();
        assert_eq!(destination.path, path(expected), "{written}");
        assert_eq!(destination.is_directory, is_directory, "{written}");
    }
}

#[test]
fn a_file_from_elsewhere_has_the_mode_and_time_it_is_given_t_add_07() {
    let mut add = spec("ADD --chown=5:6 --chmod=u+x /x/");
    add.items.push(CopyItem::File {
        name: b"file.txt".to_vec(),
        content: kigumi_layer::FileContent::inline(b"remote"),
        mode: kigumi_layer::Mode::new(0o600),
        mtime: kigumi_layer::Timestamp::from_seconds(7),
        unpack: false,
    });
    let changes = copy_changes(&tree(""), &add, &[], &Archives::none()).unwrap();
    assert_eq!(
        shown(&changes),
        normal("d 0755 5:6 @now /x\nf 0700 5:6 @7 /x/file.txt \"remote\"\n")
    );
}

#[test]
fn only_files_that_an_add_names_are_candidates_for_unpacking_t_add_01() {
    let from = source(
        r#"f 0644 0:0 /t.tar "t"
           f 0644 0:0 /d/inside.tar "i"
           l 0:0 /l -> t.tar
           p 0644 0:0 /p"#,
    );
    let paths = |instruction| -> Vec<(usize, String)> {
        let candidates = archive_candidates(&spec(instruction), &[&from]).unwrap();
        let keys = candidates.into_iter().map(|candidate| candidate.key);
        keys.map(|key| (key.item, key.path.to_string())).collect()
    };
    assert_eq!(paths("COPY t.tar /x/"), []);
    assert_eq!(paths("ADD d p /x/"), []);
    assert_eq!(
        paths("ADD p l *.tar /x/"),
        [(1, "/t.tar".into()), (2, "/t.tar".into())]
    );
}

/// What `ADD t.tar destination` makes of an archive with these entries.
fn add(base: &str, instruction: &str, entries: &str) -> Result<Vec<Change>, CopyError> {
    let spec = spec(instruction);
    let from = source("f 0644 0:0 /t.tar \"t\"\nf 0644 0:0 /plain \"plain\"");
    let mut archives = Archives::none();
    for candidate in archive_candidates(&spec, &[&from])? {
        if candidate.key.path == path("/t.tar") {
            let entries = changes(entries);
            archives.insert(candidate.key, Archive { entries });
        }
    }
    copy_changes(&tree(base), &spec, &[&from], &archives)
}

#[test]
fn the_root_entry_of_an_archive_says_nothing_about_the_destination_t_add_03() {
    let changes = add(
        "d 0711 5:6 /x",
        "ADD t.tar /x",
        "d 0700 1:1 /\nf 0644 7:8 @3 /f \"f\"",
    );
    assert_eq!(
        shown(&changes.unwrap()),
        normal("d 0711 5:6 /x\nf 0644 7:8 @3 /x/f \"f\"\n")
    );
}

#[test]
fn entries_keep_their_owners_modes_and_times_t_add_04_t_add_05() {
    let entries = r#"
        d 0750 11:12 @4 /top
        f 4711 13:14 @5 /top/f "f"
        l 15:16 /top/l -> f
        h /top/h = /top/f
        f 0644 1:1 /implied/g "g""#;
    let changes = add("", "ADD --chmod=0600 t.tar plain /x/", entries).unwrap();
    assert_eq!(
        shown(&changes),
        normal(
            r#"d 0755 0:0 @now /x
               d 0755 0:0 @now /x/implied
               f 0644 1:1 /x/implied/g "g"
               f 0600 0:0 /x/plain "plain"
               d 0750 11:12 @4 /x/top
               f 4711 13:14 @5 /x/top/f "f"
               h /x/top/h = /x/top/f
               l 15:16 /x/top/l -> f"#
        )
    );
    let changes = add("", "ADD --chown=1:2 t.tar /x", entries).unwrap();
    assert_eq!(
        shown(&changes),
        normal(
            r#"d 0755 1:2 @now /x
               d 0755 0:0 @now /x/implied
               f 0644 1:2 /x/implied/g "g"
               d 0750 1:2 @4 /x/top
               f 4711 1:2 @5 /x/top/f "f"
               h /x/top/h = /x/top/f
               l 1:2 /x/top/l -> f"#
        )
    );
}

#[test]
fn links_on_the_way_of_an_entry_are_followed_inside_the_root_t_add_06() {
    let base = "d 0755 0:0 /real\nl 0:0 /x/old -> /real\nl 0:0 /x/out -> ../../../../real";
    let cases = [
        ("f 0644 0:0 /old/f \"f\"", "/real /real/f"),
        ("f 0644 0:0 /out/f \"f\"", "/real /real/f"),
        (
            "l 0:0 /new -> /real\nf 0644 0:0 /new/s/f \"f\"",
            "/real /real/s /real/s/f /x /x/new",
        ),
        (
            "l 0:0 /up -> ../../..\nf 0644 0:0 /up/f \"f\"",
            "/f /x /x/up",
        ),
        // The last component is replaced, never written through.
        ("f 0644 0:0 /old \"f\"", "/x /x/old"),
        (
            "d 0755 0:0 /old\nf 0644 0:0 /old/f \"f\"",
            "/x /x/old /x/old/f",
        ),
    ];
    for (entries, expected) in cases {
        let changes = add(base, "ADD t.tar /x/", entries).unwrap();
        let paths: Vec<String> = changes
            .iter()
            .map(|change| change.path().to_string())
            .collect();
        assert_eq!(paths.join(" "), expected, "{entries}");
    }
}

#[test]
fn later_entries_replace_earlier_ones_and_what_was_there() {
    let base = r#"
        f 0644 0:0 /x/f "old"
        l 0:0 /x/l -> f
        f 0644 0:0 /x/was-file "old"
        f 0644 0:0 /x/was-dir/below "old""#;
    let entries = r#"
        f 0644 0:0 /f "one"
        f 0600 0:0 /f "two"
        f 0644 0:0 /l "file now"
        d 0755 0:0 /was-file
        f 0644 0:0 /was-dir "file now""#;
    let changes = add(base, "ADD t.tar /x/", entries).unwrap();
    assert_eq!(
        shown(&changes),
        normal(
            r#"d 0755 0:0 /x
               f 0600 0:0 /x/f "two"
               f 0644 0:0 /x/l "file now"
               f 0644 0:0 /x/was-dir "file now"
               d 0755 0:0 /x/was-file"#
        )
    );
}

#[test]
fn a_directory_that_was_a_file_in_between_is_empty() {
    let base = "f 0644 0:0 /x/d/old \"old\"";
    let entries = "f 0644 0:0 /d \"file\"\nd 0755 0:0 /d\nf 0644 0:0 /d/new \"new\"";
    let changes = add(base, "ADD t.tar /x/", entries).unwrap();
    assert_eq!(
        shown(&changes),
        normal("d 0755 0:0 /x\nd 0755 0:0 /x/d\n! /x/d\nf 0644 0:0 /x/d/new \"new\"\n")
    );
    let mut after = tree(base);
    after.apply_layer(changes).unwrap();
    assert!(after.get(&path("/x/d/old")).is_none());
    assert!(after.get(&path("/x/d/new")).is_some());
}

#[test]
fn what_an_archive_puts_into_a_directory_goes_with_the_directory() {
    let entries = r#"
        f 0644 0:0 /d/e/one "one"
        h /kept = /d/e/one
        f 0644 0:0 /d "file"
        f 0644 0:0 /gone "gone"
        d 0755 0:0 /gone
        d 0700 0:0 /d
        f 0644 0:0 /d/two "two"
        f 0644 0:0 /d/e "was a directory""#;
    let changes = add("", "ADD t.tar /x/", entries).unwrap();
    assert_eq!(
        shown(&changes),
        normal(
            r#"d 0755 0:0 @now /x
               d 0700 0:0 /x/d
               f 0644 0:0 /x/d/e "was a directory"
               f 0644 0:0 /x/d/two "two"
               d 0755 0:0 /x/gone
               f 0644 0:0 /x/kept "one""#
        )
    );
}

#[test]
fn a_hard_link_to_a_file_of_the_image_brings_that_file_into_the_layer_under_its_own_name() {
    let base = "f 0640 5:6 /x/old \"old\"";
    for (link, expected) in [
        (
            "h /new = /old",
            "d 0755 0:0 /x\nf 0640 5:6 /x/old \"old\"\nh /x/new = /x/old\n",
        ),
        (
            "h /zoo = /old",
            "d 0755 0:0 /x\nf 0640 5:6 /x/old \"old\"\nh /x/zoo = /x/old\n",
        ),
        ("h /old = /old", ""),
    ] {
        let changes = add(base, "ADD t.tar /x/", link).unwrap();
        assert_eq!(shown(&changes), normal(expected));
        tree(base).apply_layer(changes).unwrap();
    }
}

#[test]
fn hard_links_that_lead_nowhere_are_refused_by_name() {
    let error = |entries| add("d 0755 0:0 /x/d", "ADD t.tar /x/", entries).unwrap_err();
    assert_eq!(
        error("h /new = /old").to_string(),
        "archive `t.tar`: hard link `/x/new`: its target `/x/old` does not exist"
    );
    assert_eq!(
        error("h /new = /d").to_string(),
        "archive `t.tar`: hard link `/x/new`: its target `/x/d` is a directory"
    );
}

#[test]
fn an_archive_needs_a_directory() {
    let error = add("f 0644 0:0 /f \"f\"", "ADD t.tar /f", "f 0644 0:0 /x \"x\"").unwrap_err();
    assert_eq!(
        error.to_string(),
        "destination `/f`: `/f` is not a directory"
    );
}

#[test]
fn applying_the_changes_gives_what_was_asked_for() {
    // The law of layers: what the next instruction sees is what the layer says.
    let instructions = [
        "COPY d /x/",
        "COPY --chown=1:2 d a /x/",
        "COPY --from . /y",
        "COPY --parents d/s/g /x/",
        "COPY to-d b /x/s/",
    ];
    let from = source(CONTEXT);
    let mut base = tree("l 0:0 /x/s -> /z\nd 0755 0:0 /z");
    base.apply(changes("d 0755 0:0 /x/s").remove(0)).unwrap();
    for instruction in instructions {
        let changes = copy_changes(&base, &spec(instruction), &[&from], &Archives::none()).unwrap();
        let mut after = base.clone();
        after.apply_layer(changes.clone()).unwrap();
        assert_eq!(kigumi_layer::diff(&base, &after), changes, "{instruction}");
        let again = copy_changes(&after, &spec(instruction), &[&from], &Archives::none());
        assert_eq!(again.unwrap(), [], "{instruction} twice");
        base = after;
    }
}
