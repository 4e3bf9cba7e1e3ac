//! Tables: `input | result`. `·` stands for a blank, `⏎` for a line break, `!name` for a problem.

use proptest::prelude::*;

use super::*;

/// The variables of the tables. `unset` and everything else is not set.
fn lookup(name: &str) -> Option<String> {
    let value = match name {
        "a" => "A",
        "b" => "B",
        "_" => "under",
        "a1" => "A1",
        "ü" => "ue",
        "empty" => "",
        "v" => "abcabcd",
        "f" => "foobarbar",
        "p" => "/a/b/c.tar.gz",
        "s" => "x y",
        "sp" => "  x  y  ",
        "d" => "$a",
        "q" => "'\"",
        "bs" => r"x\y",
        "glob" => "*",
        "m" => "a*b?c/d}e",
        "one" => "$1",
        "zero" => "[$0]",
        "dollars" => "$$",
        "lines" => "ab\ncb",
        "u" => "äöü",
        _ => return None,
    };
    Some(value.to_owned())
}

fn problem_name(problem: &WordProblem) -> String {
    match problem {
        WordProblem::DoubleQuote => "double".to_owned(),
        WordProblem::SingleQuote => "single".to_owned(),
        WordProblem::MissingBrace => "brace".to_owned(),
        WordProblem::MissingSlash => "slash".to_owned(),
        WordProblem::BadSubstitution => "bad".to_owned(),
        WordProblem::UnsupportedModifier(modifier) => format!("modifier {modifier}"),
        WordProblem::Required { name, message } => format!("required {name}: {message}"),
        WordProblem::InvalidPattern { .. } => "pattern".to_owned(),
        WordProblem::TooDeep => "deep".to_owned(),
        WordProblem::TooLong => "long".to_owned(),
    }
}

/// Checks every line of a table and tells how many there are.
fn check(table: &str, result: impl Fn(&str) -> Result<String, WordError>) -> usize {
    let plain = |text: &str| {
        text.trim_matches(' ')
            .replace('·', " ")
            .replace('⏎', "\n")
            .replace('⇥', "\t")
    };
    let mut count = 0;
    let mut wrong = Vec::new();
    for line in table.lines().filter(|line| !line.trim().is_empty()) {
        let (input, wanted) = line
            .split_once(" |")
            .unwrap_or_else(|| panic!("no ` |` in {line}"));
        let found = match result(&plain(input)) {
            Ok(text) => text,
            Err(error) => format!("!{}", problem_name(&error.problem)),
        };
        if found != plain(wanted) {
            wrong.push(format!("{line}   not   {found}"));
        }
        count += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    count
}

/// T-EXP-01, T-EXP-02, T-EXP-03, T-EXP-04.
#[test]
fn words_expand_as_in_the_reference() {
    let count = check(include_str!("expand.table"), |input| {
        expand(input, &lookup, '\\').map(|expanded| expanded.text)
    });
    assert!(count >= 230, "{count}");
}

/// T-PARSE-07.
#[test]
fn a_backtick_can_be_the_escape_character() {
    let table = r#"
        `$a          | $a
        \$a          | \A
        `\           | \
        ``           | `
        "`$a"        | $a
        "`""         | "
        "\n"         | \n
        "\$a"        | \A
        "`n"         | `n
        '`$a'        | `$a
        C:\d\$a      | C:\d\A
        x`           | x
        x\           | x\
        ${unset:-`}} | }
        ${m#a`*}     | a*b?c/d}e
        ${m#a\*}     | b?c/d}e
    "#;
    check(table, |input| {
        expand(input, &lookup, '`').map(|expanded| expanded.text)
    });
}

/// T-EXP-09.
#[test]
fn heredoc_bodies_keep_quotes_and_lose_backslashes() {
    let table = r#"
        v=${unset:-d}·\$x·"q"  | v=d·$x·"q"
        "$a"                   | "A"
        '$a'                   | 'A'
        '                      | '
        "unbalanced·$a         | "unbalanced·A
        it's·$a                | it's·A
        \\                     | \
        \$a                    | $a
        \n                     | n
        \"                     | "
        \'                     | '
        \`                     | `
        `$a                    | `A
        joined·\⏎line          | joined·⏎line
        a\                     | a
        ${unset}               | 
        $unset.                | .
        $$                     | 
        ${a:+"x"}              | "x"
        ${unset:-'x'}          | 'x'
        ${unset:-"$a}          | "A
        ${p##*/}               | c.tar.gz
        ${m/\*/"}              | a"b?c/d}e
        $a⏎⏎$b⏎                | A⏎⏎B⏎
        ${                     | !brace
        ${}                    | !bad
        ${unset:?gone}         | !required unset: gone
    "#;
    let count = check(table, |input| {
        expand_heredoc(input, &lookup).map(|expanded| expanded.text)
    });
    assert!(count >= 24, "{count}");
}

#[test]
fn line_ends_of_heredoc_bodies_survive() {
    let expanded = expand_heredoc("x\r\n$a\r\n", &lookup).unwrap();
    assert_eq!(expanded.text, "x\r\nA\r\n");
}

/// EXPOSE, VOLUME and the like.
#[test]
fn unquoted_values_are_split_at_blanks() {
    let table = r#"
        a·b             | a;b
        ··a···b··       | a;b
        a⏎b             | a;b
        "a·b"           | a·b
        'a·b'           | a·b
        a\·b            | a·b
        $s              | x;y
        "$s"            | x·y
        $sp             | x;y
        a$s             | ax;y
        $s'·'b          | x;y·b
        a$sp.           | a;x;y;.
        $s$s            | x;yx;y
        "$s"$s          | x·yx;y
        $empty          | 
        ""              | 
        ''              | 
        $unset          | 
        a·""·b          | a;b
        a·$empty·b      | a;b
        "·"             | ·
        ${unset:-a·b}   | a;b
        "${unset:-a·b}" | a·b
        ${unset:-"a·b"} | a;b
        ${a:+$s}        | x;y
        '$s'            | $s
        \$s             | $s
        $d              | $a
        80·90/udp       | 80;90/udp
        x"a·b"y·z       | xa·by;z
        a⇥b             | a;b
        a\⏎b            | a⏎b
        ·               | 
        ·"a"·           | a
        "a"'b'          | ab
        "a"·'b'         | a;b
        "a·"'·b'        | a··b
        $a$b            | AB
        $a·$b           | A;B
        ${a}·x·${b}     | A;x;B
        "$s·$s"         | x·y·x·y
        $s"$s"          | x;yx·y
        '$s'$s          | $sx;y
        ${s}            | x;y
        "${s}"          | x·y
        ${s:-no}        | x;y
        ${s:+a·b}       | a;b
        ${s#x}          | y
        ${s//·/-}       | x-y
        ${s/x/a·b}      | a;b;y
        "${s/x/a·b}"    | a·b·y
        $sp$sp          | x;y;x;y
        "$sp"           | ··x··y··
        ${unset:-$s}    | x;y
        "${unset:-$s}"  | x·y
        ${unset:-'a·b'}·c | a;b;c
        $q              | '"
        \"$s\"          | "x;y"
        80·$unset·90    | 80;90
        $glob           | *
        "               | !double
        ${              | !brace
    "#;
    let count = check(table, |input| {
        expand(input, &lookup, '\\').map(|expanded| expanded.words.join(";"))
    });
    assert!(count >= 47, "{count}");
}

/// How markers of heredocs are found.
#[test]
fn raw_words_keep_quotes_escapes_and_substitutions() {
    let table = r#"
        a·b                 | a;b
        "a·b"·c             | "a·b";c
        'a·b'               | 'a·b'
        a\·b                | a\·b
        \"                  | \"
        "\""                | "\""
        "\n"                | "\\n"
        $a                  | $a
        ${a}                | ${a}
        ${a:-b}             | ${a:-b}
        ${a+b}              | ${a+b}
        ${a#b}              | ${a#b}
        ${a%%b}             | ${a%%b}
        ${a/b/c}            | ${a/b/c}
        ${a//b/c}           | ${a//b/c}
        <<"E"·x             | <<"E";x
        <<'A·B'             | <<'A·B'
        "                   | !double
        '                   | !single
    "#;
    check(table, |input| split_raw(input).map(|words| words.join(";")));
}

#[test]
fn undefined_variables_are_listed_once_in_order() {
    let expanded = expand("$x${y:-$z}$a$x${a:-$w}${y}", &lookup, '\\').unwrap();
    assert_eq!(expanded.undefined, ["x", "z", "y", "w"]);
}

#[test]
fn errors_show_the_substitution_and_not_the_whole_word() {
    for (input, wanted) in [
        (
            "x ${b:=c} y",
            "`${b:=c}`: modifier `:=` is not supported in a substitution",
        ),
        ("x ${} y", "`${}`: bad substitution"),
        ("x${b", "`${b`: `}` is missing"),
        ("${unset:?boom}", "`${unset:?boom}`: unset: boom"),
        ("\"${unset?no v}\"", "`${unset?no v}`: unset: no v"),
        (
            "${unset:-${x:=y}}",
            "`${x:=y}`: modifier `:=` is not supported in a substitution",
        ),
        ("${empty:?}", "`${empty:?}`: empty: must not be empty"),
        (
            "a\"b",
            "`a\"b`: unexpected end while looking for the matching double quote",
        ),
        (
            "${v#\\x}",
            "`${v#\\x}`: invalid pattern `\\x`: invalid escape `\\x`",
        ),
    ] {
        assert_eq!(
            expand(input, &lookup, '\\').unwrap_err().to_string(),
            wanted
        );
    }
}

#[test]
fn long_words_are_cut_in_errors() {
    let error = expand(&format!("\"{}", "ä".repeat(500)), &lookup, '\\').unwrap_err();
    assert_eq!(error.snippet.chars().count(), 81);
}

#[test]
fn stars_and_question_marks_stop_at_line_breaks() {
    for (input, wanted) in [
        ("${lines#a*b}", "\ncb"),
        ("${lines##*b}", "\ncb"),
        ("${lines%c*}", "ab\n"),
        ("${lines%%?b}", "ab\n"),
        ("${lines//?b/X}", "X\nX"),
        ("${lines#ab?}", "ab\ncb"),
    ] {
        assert_eq!(
            expand(input, &lookup, '\\').unwrap().text,
            wanted,
            "{input}"
        );
    }
}

#[test]
fn nesting_has_a_limit_instead_of_a_stack_overflow() {
    let deep = "${x:-".repeat(100_000);
    assert_eq!(
        expand(&deep, &lookup, '\\').unwrap_err().problem,
        WordProblem::TooDeep
    );
    let fine = format!("{}y{}", "${x:-".repeat(90), "}".repeat(90));
    assert_eq!(expand(&fine, &lookup, '\\').unwrap().text, "y");
}

#[test]
fn patterns_take_time_in_proportion_to_their_length() {
    let pattern = "*a".repeat(60);
    let value = "a".repeat(3_000) + "b";
    let found = expand(
        &format!("${{x##{pattern}c}}"),
        &|_| Some(value.clone()),
        '\\',
    )
    .unwrap();
    assert_eq!(found.text, value);
}

/// Words of a few bytes for which a builder would need any amount of memory or time.
#[test]
fn values_that_grow_without_bounds_are_refused() {
    let value = "ab".repeat(30_000);
    let doubled = format!("{}$a{}", "${a//a/".repeat(9), "}".repeat(9));
    let pattern = "*b?".repeat(1_000);
    for word in [
        "$a".repeat(20),
        "${a}$x${a:-$a}".repeat(10),
        doubled,
        format!("${{a//{pattern}c/x}}"),
        format!("${{a##{pattern}c}}"),
        format!("${{a%{pattern}c}}"),
        "${a//a/$a}".to_owned(),
    ] {
        let found = expand(&word, &|name| (name == "a").then(|| value.clone()), '\\');
        assert_eq!(
            found
                .map(|expanded| expanded.text.len())
                .map_err(|error| error.problem),
            Err(WordProblem::TooLong),
            "{}",
            word.chars().take(40).collect::<String>()
        );
    }
}

proptest! {
    #[test]
    fn a_word_without_special_characters_is_itself(word in "[^$\\\\'\"]*") {
        let expanded = expand(&word, &lookup, '\\').unwrap();
        prop_assert_eq!(&expanded.text, &word);
        let split: Vec<_> = word.split_whitespace().collect();
        prop_assert_eq!(expanded.words, split);
    }

    #[test]
    fn single_quotes_protect_everything(word in "[^']*") {
        prop_assert_eq!(expand(&format!("'{word}'"), &lookup, '\\').unwrap().text, word);
    }

    #[test]
    fn no_text_makes_the_lexer_panic(word in "[$\\\\{}:?+#%/*'\"`a-c \n-]{0,40}", backtick: bool) {
        let escape = if backtick { '`' } else { '\\' };
        let _ = expand(&word, &lookup, escape);
        let _ = expand_heredoc(&word, &lookup);
        let _ = split_raw(&word);
        let _ = split_unquoted(&word);
    }

    /// The pattern matcher against the definition: try every prefix.
    #[test]
    fn prefix_removal_takes_the_shortest_or_longest_matching_prefix(
        pattern in "[ab*?]{0,6}",
        value in "[ab]{0,8}",
    ) {
        let matching: Vec<usize> =
            (0..=value.len()).filter(|end| naive(pattern.as_bytes(), &value.as_bytes()[..*end])).collect();
        let rest = |end: Option<&usize>| value.split_at(end.copied().unwrap_or(0)).1.to_owned();
        let run = |text: String| expand(&text, &|_| Some(value.clone()), '\\').unwrap().text;
        prop_assert_eq!(run(format!("${{x#{pattern}}}")), rest(matching.first()));
        prop_assert_eq!(run(format!("${{x##{pattern}}}")), rest(matching.last()));
    }
}

fn naive(pattern: &[u8], text: &[u8]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some((b'*', rest)) => (0..=text.len()).any(|skip| naive(rest, &text[skip..])),
        Some((byte, rest)) => text
            .split_first()
            .is_some_and(|(first, after)| (*byte == b'?' || byte == first) && naive(rest, after)),
    }
}
