//! Tables: `pattern;pattern | path | yes or no`, yes meaning excluded.

use proptest::prelude::*;

use super::*;

fn check(table: &str) {
    let mut wrong = Vec::new();
    for line in table.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let fields: Vec<_> = line.split(" | ").collect();
        let [file, path, wanted] = fields[..] else {
            panic!("`{line}` has not 3 fields")
        };
        let patterns = Patterns::parse_file(file.replace(';', "\n").as_bytes()).expect(line);
        if patterns.excludes(path.as_bytes()) != (wanted == "yes") {
            wrong.push(line);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn patterns_match_paths_as_in_the_reference() {
    check(
        r"
        a | a | yes
        a | b | no
        a | ab | no
        a | b/a | no
        a | a/b | yes
        a | a/b/c | yes
        a/b | a/b | yes
        a/b | a | no
        a/b | a/b/c | yes
        a/b | x/a/b | no
        * | a | yes
        * | .hidden | yes
        * | a/b | yes
        *.log | b.log | yes
        *.log | d/b.log | no
        */b | a/b | yes
        */b | a/x/b | no
        a/* | a/b | yes
        a/* | a | no
        a/*/c | a/b/c | yes
        a/*/c | a/b/b/c | no
        ?.log | b.log | yes
        ?.log | bb.log | no
        ?.log | ü.log | yes
        a?b | a/b | no
        [ab].txt | a.txt | yes
        [ab].txt | c.txt | no
        [a-c] | b | yes
        [^ab] | a | no
        [^ab] | c | yes
        [!a] | ! | yes
        [!a] | b | no
        a\*b | a*b | yes
        a\*b | axb | no
        a\[b | a[b | yes
        a.b | axb | no
        a+b | a+b | yes
        a+* | a+b | yes
        (a)* | (a)b | yes
        {a,b} | a | no
        {a}* | {a}b | yes
        a$* | a$b | yes
        a^* | a^b | yes
        a|b | a | no
        ",
    );
}

#[test]
fn double_stars_match_any_number_of_directories() {
    check(
        r"
        ** | a | yes
        ** | a/b/c | yes
        **/a | a | yes
        **/a | b/a | yes
        **/a | c/b/a | yes
        **/a | ba | no
        **/a | b/a/c | yes
        **a | ba | yes
        **a | c/ba | yes
        **/*.log | b.log | yes
        **/*.log | d/e/b.log | yes
        **/*.log | b.txt | no
        **/?x | d/ax | yes
        **/a/b | a/b | yes
        **/a/b | x/a/b | yes
        a/** | a | no
        a/** | a/b | yes
        a/** | a/b/c | yes
        a** | a | yes
        a** | abc/d | yes
        a/**/b | a/b | yes
        a/**/b | a/x/y/b | yes
        a/**/b | a/xb | no
        a/**/b | x/a/b | no
        a**/b | ax/b | yes
        **/m/** | n/m/i.js | yes
        **/m/** | n/m | no
        **/m/** | m/i.js | yes
        **/** | a/b | yes
        */** | a | no
        */** | a/b | yes
        a*/** | ab/c | yes
        a*/** | ab | no
        **/.git | .git/config | yes
        *** | a/b | yes
        ",
    );
}

/// T-IGN-02.
#[test]
fn lines_are_trimmed_and_cleaned() {
    check(
        "
        # a | # a | no
        ;#b;; a  | a | yes
        x; #y | #y | yes
        /a | a | yes
        /a | b/a | no
        a/ | a | yes
        ./a | a | yes
        d/../a | a | yes
        d//e | d/e | yes
        ../a | a | no
        / | a | no
        . | a | no
        a;! a | a | no
        a;!/a | a | no
        a;!./a | a | no
        a\r;b\r | b | yes
        ",
    );
    assert!(
        Patterns::parse_file("\u{feff}a\n".as_bytes())
            .unwrap()
            .excludes(b"a")
    );
    assert!(Patterns::parse_file(b"").unwrap().is_empty());
}

/// T-IGN-03.
#[test]
fn the_last_pattern_that_applies_wins() {
    check(
        r"
        *;!a | a | no
        *;!a | b | yes
        !a;* | a | yes
        *.log;!b.log | b.log | no
        *.log;!b.log;b.* | b.log | yes
        dd;!dd/ee | dd | yes
        dd;!dd/ee | dd/x | yes
        dd;!dd/ee | dd/ee | no
        dd;!dd/ee | dd/ee/f | no
        dd;!dd/ee;dd/ee/f | dd/ee/f | yes
        dd/*;!dd/ee | dd | no
        dd/*;!dd/ee | dd/ee/f | no
        **;!**/*.md | a/b/c.md | no
        **;!**/*.md | a/b/c.txt | yes
        **;!d/** | d/x | no
        **;!d/** | d | yes
        *;!d;d/x | d/x | yes
        *;!d;d/x | d/y | no
        d/x;!d | d/x | yes
        d/x;!d/* | d/x | no
        a;!a;a | a | yes
        ",
    );
}

/// T-IGN-02, and the malformed patterns of D 7.
#[test]
fn malformed_lines_are_refused_with_their_number() {
    for (file, line, fragment) in [
        ("!", 1, "`!`"),
        ("a\n! \n", 2, "`!`"),
        ("# x\n\n[a", 3, "`[a`"),
        ("a\\", 1, "backslash"),
        ("[]", 1, "`[]`"),
        ("[z-a]", 1, "backwards"),
        ("![", 1, "`![`"),
    ] {
        let error = Patterns::parse_file(file.as_bytes()).expect_err(file);
        let IgnoreError::Pattern {
            line: found,
            source,
        } = error
        else {
            panic!("{error}")
        };
        assert_eq!(found, line, "{file}");
        assert!(source.to_string().contains(fragment), "{source}");
    }
    let error = Patterns::parse_file(b"# \xff\na\xff\n").unwrap_err();
    assert_eq!(error, IgnoreError::Encoding { line: 2 });
}

#[test]
fn patterns_of_flags_are_cleaned_but_keep_a_leading_slash() {
    let patterns = Patterns::new(["./a", " b ", "", "/c", "!b/x"]).unwrap();
    for (path, wanted) in [("a", true), ("b", true), ("c", false), ("b/x", false)] {
        assert_eq!(patterns.excludes(path.as_bytes()), wanted, "{path}");
    }
    assert!(patterns.has_exceptions());
    assert_eq!(Patterns::new(["["]).unwrap_err().pattern, "[");
}

#[test]
fn names_that_are_no_utf8_can_be_matched() {
    let patterns = Patterns::new(["a?", "*.log"]).unwrap();
    assert!(patterns.excludes(b"a\xff"));
    assert!(patterns.excludes(b"\xfe.log"));
    assert!(!patterns.excludes(b"a\xff\xff"));
}

/// T-IGN-07.
#[test]
fn excluded_directories_are_entered_only_for_exceptions() {
    for (file, directory, wanted) in [
        ("d", "d", false),
        ("d;!d/e", "d", true),
        ("d;!d/e", "d/x", false),
        ("d;!d/e/f", "d/e", true),
        ("d;!x", "d", false),
        ("d;!d/*.md", "d", true),
        ("d;!d/*.md", "d/e", false),
        ("d;!d/*/f", "d/e", true),
        ("d;!d/**/f", "d/e/g", true),
        ("d;!**/f", "d", true),
        ("d;!de", "d", false),
        ("!d/e;d", "d", false),
        // The last pattern changes nothing at `d`, so it is not inherited and does not overrule `!d/e`.
        ("d;!d/e;d", "d", true),
        ("node_modules;!*.md", "node_modules", false),
        ("*;!d/**", "d", true),
        ("*;!d/**", "e", false),
        ("x", "d", true),
    ] {
        let patterns = Patterns::parse_file(file.replace(';', "\n").as_bytes()).unwrap();
        let mut verdict = None;
        for (end, _) in format!("{directory}/").match_indices('/') {
            verdict = Some(patterns.judge(&directory.as_bytes()[..end], verdict.as_ref()));
        }
        let found = patterns.may_include_below(directory.as_bytes(), &verdict.unwrap());
        assert_eq!(found, wanted, "{file} at {directory}");
    }
}

#[test]
fn matching_takes_time_in_proportion_to_the_lengths() {
    let patterns = Patterns::new(["**/".repeat(200).as_str(), &("*a".repeat(200) + "b")]).unwrap();
    assert!(!patterns.judge("a".repeat(4_000).as_bytes(), None).applies[1]);
}

#[test]
fn paths_are_cleaned_as_in_go() {
    for (path, wanted) in [
        ("", "."),
        (".", "."),
        ("/", "/"),
        ("//a//b/", "/a/b"),
        ("a/./b", "a/b"),
        ("a/../b", "b"),
        ("a/..", "."),
        ("../a", "../a"),
        ("../../a", "../../a"),
        ("a/../../b", "../b"),
        ("/../a", "/a"),
        ("...", "..."),
    ] {
        assert_eq!(clean(path), wanted, "{path}");
    }
}

/// The definition of one pattern, by trying everything.
fn naive(pattern: &[u8], path: &[u8]) -> bool {
    let split = |from: usize| (from..=path.len()).map(|at| &path[at..]);
    match pattern {
        [] => path.is_empty(),
        [b'*', b'*', b'/', rest @ ..] if !rest.is_empty() => {
            let after_slash = (0..path.len())
                .filter(|at| path[*at] == b'/')
                .map(|at| &path[at + 1..]);
            naive(rest, path) || after_slash.into_iter().any(|path| naive(rest, path))
        }
        [b'*', b'*'] => true,
        [b'*', rest @ ..] => {
            let end = path
                .iter()
                .position(|byte| *byte == b'/')
                .unwrap_or(path.len());
            split(0).take(end + 1).any(|path| naive(rest, path))
        }
        [byte, rest @ ..] => path.split_first().is_some_and(|(first, after)| {
            (byte == first || (*byte == b'?' && *first != b'/')) && naive(rest, after)
        }),
    }
}

/// Patterns whose forms have no shortcuts with results of their own.
fn pattern() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec!["a", "b", "*", "?", "a*", "*b", "ab", "**"]);
    prop::collection::vec(piece, 1..4).prop_map(|pieces| pieces.join("/"))
}

fn path() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec!["a", "b", "ab", "ba", "aab"]);
    prop::collection::vec(name, 1..5).prop_map(|names| names.join("/"))
}

proptest! {
    #[test]
    fn one_pattern_agrees_with_its_definition(pattern in pattern(), path in path()) {
        let parsed = Pattern::parse(&pattern).unwrap();
        prop_assert_eq!(parsed.matches(path.as_bytes()), naive(pattern.as_bytes(), path.as_bytes()), "{} {}", pattern, path);
    }

    /// T-IGN-07: not entering a directory never loses a path.
    #[test]
    fn skipped_directories_hold_nothing_that_is_included(
        patterns in prop::collection::vec((any::<bool>(), pattern()), 0..5),
        path in path(),
    ) {
        let lines: Vec<_> = patterns.iter().map(|(except, text)| format!("{}{text}", if *except { "!" } else { "" })).collect();
        let patterns = Patterns::parse_file(lines.join("\n").as_bytes()).unwrap();
        let mut verdict = None;
        for (end, _) in path.match_indices('/') {
            let judged = patterns.judge(&path.as_bytes()[..end], verdict.as_ref());
            if !patterns.may_include_below(&path.as_bytes()[..end], &judged) {
                prop_assert!(patterns.excludes(path.as_bytes()), "{:?} {}", lines, path);
            }
            verdict = Some(judged);
        }
    }

    #[test]
    fn any_file_is_read_or_refused(file in "[ab*?!#/.\\[\\]^\\\\ \n-]{0,30}", path in "[ab/]{0,8}") {
        if let Ok(patterns) = Patterns::parse_file(file.as_bytes()) {
            let _ = patterns.excludes(path.as_bytes());
        }
    }
}
