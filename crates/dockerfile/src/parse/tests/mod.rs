//! From text to tree, and what is refused.

mod dump;

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::instruction::MountSpec;
use dump::dump_kind;

fn parsed(text: &str) -> Dockerfile {
    parse(text, "Dockerfile").unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// The lines of a table.
fn rows(table: &str) -> impl Iterator<Item = &str> {
    table
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with("//"))
}

fn columns<const N: usize>(line: &str) -> [&str; N] {
    let columns: Vec<_> = line.split(" | ").collect();
    columns
        .try_into()
        .unwrap_or_else(|_| panic!("`{line}` has not {N} columns"))
}

fn plain(text: &str) -> String {
    text.replace('⏎', "\n").replace('⇥', "\t")
}

/// The instructions of `FROM scratch` and `body`, in the notation of [`dump`].
fn dump_body(body: &str) -> String {
    let dockerfile = parsed(&format!("FROM scratch\n{body}"));
    let instructions = dockerfile
        .stages
        .iter()
        .flat_map(|stage| &stage.instructions);
    instructions
        .map(|instruction| dump_kind(&instruction.kind))
        .collect::<Vec<_>>()
        .join("; ")
}

/// Checks pairs of body and notation.
fn check(cases: &[(&str, &str)]) {
    for (body, wanted) in cases {
        assert_eq!(dump_body(body), *wanted, "{body}");
    }
}

/// T-PARSE-10.
#[test]
fn only_leading_words_with_two_dashes_are_flags() {
    check(&[
        ("COPY a --from=x /", "COPY ‹a› ‹--from=x› -> ‹/›"),
        ("COPY --from=x a /", "COPY from=x ‹a› -> ‹/›"),
        ("COPY -- --from=x /", "COPY ‹--from=x› -> ‹/›"),
        ("COPY --link -- a /", "COPY link ‹a› -> ‹/›"),
        ("COPY -a b", "COPY ‹-a› -> ‹b›"),
        ("CMD -- --x", "CMD ‹--x›"),
        ("ENTRYPOINT a --x", "ENTRYPOINT ‹a --x›"),
        ("RUN -- --mount=x", "RUN ‹--mount=x›"),
    ]);
}

#[test]
fn quotes_and_escapes_are_carried_out_in_flags() {
    check(&[
        ("COPY --chown=\"3:4\" a /", "COPY chown=‹3:4› ‹a› -> ‹/›"),
        ("COPY --chown='3:4' a /", "COPY chown=‹3:4› ‹a› -> ‹/›"),
        ("COPY \"--chown=1\" a /", "COPY ‹\"--chown=1\"› ‹a› -> ‹/›"),
        ("COPY --chown=a\\ b a /", "COPY chown=‹a b› ‹a› -> ‹/›"),
        ("COPY --exclude=\"a b\" a /", "COPY exclude=a b ‹a› -> ‹/›"),
        ("COPY --exclude='\\\\x' a /", "COPY exclude=\\x ‹a› -> ‹/›"),
        ("COPY --chown=$u:ä a /", "COPY chown=‹$u:ä› ‹a› -> ‹/›"),
    ]);
}

#[test]
fn all_flags_of_copy_and_add_are_kept() {
    check(&[
        (
            "COPY --from=x --chown=1:2 --chmod=u+x --link --parents --exclude=a --exclude=b s /d",
            "COPY chown=‹1:2› chmod=‹u+x› from=x link parents exclude=a exclude=b ‹s› -> ‹/d›",
        ),
        (
            "COPY --link=true --parents=FALSE s /d",
            "COPY link ‹s› -> ‹/d›",
        ),
        ("COPY --link=false s /d", "COPY ‹s› -> ‹/d›"),
        ("COPY --from= --chown= s /d", "COPY ‹s› -> ‹/d›"),
        (
            "ADD --checksum=$c --keep-git-dir --unpack=false s /d",
            "ADD checksum=‹$c› keep-git-dir=true unpack=false ‹s› -> ‹/d›",
        ),
    ]);
}

/// T-PARSE-11, T-PARSE-14.
#[test]
fn exec_form_is_json_and_everything_else_is_text() {
    check(&[
        (r#"CMD ["a", "b c"]"#, r#"CMD ["a", "b c"]"#),
        ("CMD []", "CMD []"),
        ("CMD", "CMD ‹›"),
        ("ENTRYPOINT", "ENTRYPOINT ‹›"),
        ("ENTRYPOINT []random string", "ENTRYPOINT ‹[]random string›"),
        ("CMD ['a', 'b']", "CMD ‹['a', 'b']›"),
        (r#"CMD ["a",]"#, r#"CMD ‹["a",]›"#),
        (r#"CMD ["a"] b"#, r#"CMD ‹["a"] b›"#),
        (r#"CMD {"a": 1}"#, r#"CMD ‹{"a": 1}›"#),
        (
            r#"CMD ["ü", "\u00fc", "\ud83d\ude00", "\ud800", "\\ud800"]"#,
            "CMD [\"ü\", \"ü\", \"😀\", \"\u{fffd}\", \"\\\\ud800\"]",
        ),
        (r#"COPY ["sp ace", "de st/"]"#, "COPY ‹sp ace› -> ‹de st/›"),
        (r#"COPY ["<<E", "/"]"#, "COPY ‹<<E› -> ‹/›"),
        (r#"RUN ["a", "<<E"]"#, r#"RUN ["a", "<<E"]"#),
        (r#"SHELL ["/bin/sh", "-c"]"#, r#"SHELL ["/bin/sh", "-c"]"#),
        (r#"VOLUME ["/a b", " /c "]"#, "VOLUME ‹/a b›‹/c›"),
        ("VOLUME /a /b", "VOLUME ‹/a›‹/b›"),
        (r#"VOLUME ["/a" "/b"]"#, r#"VOLUME ‹["/a"›‹"/b"]›"#),
        (r#"COPY b "sp ace""#, r#"COPY ‹b› ‹"sp› -> ‹ace"›"#),
    ]);
}

/// T-PARSE-12, T-META-12.
#[test]
fn pairs_are_written_with_equals_signs_or_as_one_rest_of_the_line() {
    check(&[
        ("ENV x y  z \"q\"", "ENV ‹x›=‹y  z \"q\"›"),
        ("ENV e  lead", "ENV ‹e›=‹lead›"),
        ("ENV a x # y", "ENV ‹a›=‹x # y›"),
        (
            "ENV a=1 b=\"x  y\" c='p q' d=m\\ n",
            "ENV ‹a›=‹1› ‹b›=‹\"x  y\"› ‹c›=‹'p q'› ‹d›=‹m\\ n›",
        ),
        ("ENV a= b=\"\"", "ENV ‹a›=‹› ‹b›=‹\"\"›"),
        ("ENV a=b=c", "ENV ‹a›=‹b=c›"),
        ("ENV a=\"b\\\" c\"", "ENV ‹a›=‹\"b\\\" c\"›"),
        ("ENV a='b\\' c=d", "ENV ‹a›=‹'b\\'› ‹c›=‹d›"),
        ("ENV a=\"b", "ENV ‹a›=‹\"b›"),
        ("ENV a=b\\", "ENV ‹a›=‹b›"),
        ("ENV a=$b", "ENV ‹a›=‹$b›"),
        ("ENV $a=b", "ENV ‹$a›=‹b›"),
        ("ENV a b=c", "ENV ‹a›=‹b=c›"),
        (
            "LABEL \"o k\"=2 multi=\"a \\\nb\"",
            "LABEL ‹\"o k\"›=‹2› ‹multi›=‹\"a b\"›",
        ),
        ("LABEL key the  value", "LABEL ‹key›=‹the  value›"),
        (
            "ARG a b=1 c=\"x y\" d=",
            "ARG ‹a› ‹b›=‹1› ‹c›=‹\"x y\"› ‹d›=‹›",
        ),
    ]);
}

/// T-PARSE-13.
#[test]
fn some_instructions_take_the_rest_of_the_line() {
    check(&[
        ("WORKDIR a b  c", "WORKDIR ‹a b  c›"),
        ("USER  u:g ", "USER ‹u:g›"),
        ("STOPSIGNAL SIG TERM", "STOPSIGNAL ‹SIG TERM›"),
        (
            "MAINTAINER  Jane \"J\" Doe   <j@x>  ",
            "MAINTAINER ‹Jane \"J\" Doe   <j@x>›",
        ),
    ]);
}

/// T-PARSE-19.
#[test]
fn names_of_instructions_have_no_case() {
    check(&[
        ("copy a /", "COPY ‹a› -> ‹/›"),
        ("WorkDir /x", "WORKDIR ‹/x›"),
    ]);
    let dockerfile = parsed("from scratch as X\nonbuild run x\n");
    assert_eq!(
        dockerfile.stages[0].instructions[0].keyword.value,
        "onbuild"
    );
    assert_eq!(
        dockerfile.stages[0].from.as_keyword.as_ref().unwrap().value,
        "as"
    );
}

/// T-PARSE-04, T-PARSE-05, T-PARSE-06.
#[test]
fn lines_are_joined_and_blanks_inside_are_kept() {
    check(&[
        ("RUN echo a    b \\\n  # c\n   c", "RUN ‹echo a    b    c›"),
        ("RUN a # b", "RUN ‹a # b›"),
        ("RUN a \\  \t\nb", "RUN ‹a b›"),
        ("RUN a \\\\\nRUN b", "RUN ‹a \\\\›; RUN ‹b›"),
        ("RUN a \\\\\\\nRUN b", "RUN ‹a \\\\\\›; RUN ‹b›"),
        ("RUN a \\\n\n\n b", "RUN ‹a  b›"),
        ("RUN a \\\n# x\n#y\n b", "RUN ‹a  b›"),
        ("RUN a \\\n\\\n b", "RUN ‹a  b›"),
        ("RUN a\\\nb", "RUN ‹ab›"),
        ("RUN a \\\n", "RUN ‹a›"),
        ("RUN a \\", "RUN ‹a›"),
        ("  RUN a", "RUN ‹a›"),
        ("\tRUN\ta", "RUN ‹a›"),
        ("  # comment\nRUN a", "RUN ‹a›"),
        ("RUN \\\n  a", "RUN ‹a›"),
        ("\\\nRUN a", "RUN ‹a›"),
        ("RUN a\n\n\n\nRUN b\n", "RUN ‹a›; RUN ‹b›"),
        ("RUN", "RUN ‹›"),
    ]);
}

#[test]
fn history_text_is_the_joined_line() {
    let dockerfile = parsed("FROM scratch\n  RUN  a \\\n # x\n    b\nCOPY <<E /f\nx\nE\n");
    let originals: Vec<_> = dockerfile.stages[0]
        .instructions
        .iter()
        .map(|instruction| &instruction.original)
        .collect();
    assert_eq!(originals, ["RUN  a     b", "COPY <<E /f"]);
}

/// At the last line of the instruction, where docker reports it; the message names the empty one.
#[test]
fn an_empty_continuation_line_is_a_warning() {
    let dockerfile = parsed("FROM scratch\nRUN a \\\n\n\n b\nRUN c \\\n # fine\n d\n");
    let names: Vec<_> = dockerfile
        .warnings
        .iter()
        .map(|found| {
            (
                found.name,
                found.span.line,
                found.message.contains("line 3"),
            )
        })
        .collect();
    assert_eq!(names, [("NoEmptyContinuation", 5, true)]);
}

/// T-PARSE-02.
#[test]
fn line_ends_of_windows_are_dropped_outside_heredocs() {
    let text = "FROM scratch\r\nRUN a \\\r\n  b\r\nCOPY <<E /e\r\nx\r\n\ty\r\nE\r\nWORKDIR /w\r\n";
    let stage = &parsed(text).stages[0];
    let found: Vec<_> = stage
        .instructions
        .iter()
        .map(|found| dump_kind(&found.kind))
        .collect();
    assert_eq!(
        found,
        [
            "RUN ‹a   b›",
            "COPY E:expand:\"x\\r\\n\\ty\\r\\n\" -> ‹/e›",
            "WORKDIR ‹/w›"
        ]
    );
    assert_eq!(stage.from.base.raw, "scratch");
}

/// T-PARSE-01.
#[test]
fn a_byte_order_mark_is_dropped_at_the_beginning_only() {
    assert_eq!(parsed("\u{feff}FROM scratch\n").stages.len(), 1);
    let error = parse("FROM scratch\n\u{feff}RUN a\n", "Dockerfile").unwrap_err();
    assert_eq!(error.items[0].name, "UnknownInstruction");
}

/// T-PARSE-03.
#[test]
fn a_line_has_at_most_65535_bytes() {
    let line = |length: usize| format!("LABEL a={}", "x".repeat(length - 8));
    for end in ["", "\n"] {
        parsed(&format!("FROM scratch\n{}{end}", line(65_535)));
        let error = parse(
            &format!("FROM scratch\n{}{end}", line(65_536)),
            "Dockerfile",
        )
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "Dockerfile:2: error: the line after line 1 has 65536 bytes, and a Dockerfile line has at most 65535"
        );
    }
    let joined = format!("FROM scratch\nRUN {0}\\\n{0}\\\n{0}\n", "x".repeat(60_000));
    assert_eq!(
        parsed(&joined).stages[0].instructions[0].original.len(),
        180_004
    );
}

/// T-PARSE-07.
#[test]
fn the_escape_character_can_be_a_backtick() {
    let text = "# escape=`\nFROM scratch\nENV a=C:\\dir `\n  b=two`\nc d=`\"x\nRUN a \\\nRUN b\n";
    let dockerfile = parsed(text);
    assert_eq!(dockerfile.escape, '`');
    let found: Vec<_> = dockerfile.stages[0]
        .instructions
        .iter()
        .map(|found| dump_kind(&found.kind))
        .collect();
    assert_eq!(
        found,
        [
            "ENV ‹a›=‹C:\\dir› ‹b›=‹twoc› ‹d›=‹`\"x›",
            "RUN ‹a \\›",
            "RUN ‹b›"
        ]
    );
}

/// T-PARSE-08.
#[test]
fn directives_stand_at_the_top_and_nowhere_else() {
    for (text, wanted) in [
        ("# escape=`\nFROM a", "escape:`"),
        ("#escape=`\nFROM a", "escape:`"),
        ("  #   EsCaPe  =   `  \nFROM a", "escape:`"),
        (
            "# syntax=docker/dockerfile:1\n# check=skip=all;error=true\n# escape=\\\nFROM a",
            "syntax:docker/dockerfile:1 check:skip=all;error=true escape:\\",
        ),
        ("# hello\n# escape=`\nFROM a", ""),
        ("# foo=bar\n# escape=`\nFROM a", ""),
        ("\n# escape=`\nFROM a", ""),
        ("FROM a\n# escape=`\n", ""),
        ("# escape\nFROM a", ""),
        ("# escape=\n# escape=`\nFROM a", ""),
        ("# x y=1\n# escape=`\nFROM a", ""),
    ] {
        let dockerfile = parsed(text);
        let found = dockerfile.directives.iter();
        let found: Vec<_> = found
            .map(|one| format!("{}:{}", one.kind, one.value.value))
            .collect();
        assert_eq!(found.join(" "), wanted, "{text}");
    }
}

/// T-PARSE-09.
#[test]
fn foreign_frontends_give_a_warning() {
    for (value, warns) in [
        ("docker/dockerfile:1", false),
        ("docker/dockerfile", false),
        ("docker.io/docker/dockerfile:1.4 # x", false),
        ("docker/dockerfile-upstream:master-labs", false),
        ("docker/dockerfile@sha256:00", false),
        ("example.org/docker/dockerfile:1", true),
        ("someone/frontend", true),
    ] {
        let dockerfile = parsed(&format!("# syntax={value}\nFROM scratch\n"));
        let found = dockerfile
            .warnings
            .iter()
            .any(|warning| warning.name == "UnknownFrontend");
        assert_eq!(found, warns, "{value}");
    }
}

/// T-PARSE-16, T-PARSE-17.
#[test]
fn heredocs_are_inline_files_and_scripts() {
    check(&[
        (
            "COPY <<EOF /f\na\n # b\n\nRUN x\nEOF\n",
            r#"COPY EOF:expand:"a\n # b\n\nRUN x\n" -> ‹/f›"#,
        ),
        (
            "COPY <<-E /f\n\ta\n\t\t b\n\tE\n",
            r#"COPY E:expand:"a\n b\n" -> ‹/f›"#,
        ),
        ("COPY <<E /f\n\tE\nE\n", r#"COPY E:expand:"\tE\n" -> ‹/f›"#),
        ("COPY <<'E' /f\n$a\nE\n", r#"COPY E:literal:"$a\n" -> ‹/f›"#),
        ("COPY <<\"E\" /f\nE\n", r#"COPY E:literal:"" -> ‹/f›"#),
        (
            "COPY a <<A b <<B /d/\n1\nA\n2\nB\n",
            r#"COPY ‹a› ‹b› A:expand:"1\n" B:expand:"2\n" -> ‹/d/›"#,
        ),
        (
            "COPY --chown=1 <<A \\\n  <<B /d/\nA\nB\n",
            "COPY chown=‹1› A:expand:\"\" B:expand:\"\" -> ‹/d/›",
        ),
        ("ADD <<E /f\nx\nE", r#"ADD E:expand:"x\n" -> ‹/f›"#),
        ("COPY a<<E /f", "COPY ‹a<<E› -> ‹/f›"),
        ("RUN <<EOF\na\nb\nEOF\nRUN c", "RUN ‹a\nb\n›; RUN ‹c›"),
        ("RUN <<-EOF\n\ta\n\tEOF\n", "RUN ‹a\n›"),
        (
            "RUN <<EOF\n#!/bin/awk -f\nx\nEOF\n",
            "RUN script EOF ‹#!/bin/awk -f\nx\n›",
        ),
        ("RUN <<EOF\nEOF\n", "RUN ‹›"),
        (
            "RUN cat <<A >/r && cat <<B\n1\nA\n2\nB\n",
            "RUN ‹cat <<A >/r && cat <<B\n1\nA\n2\nB›",
        ),
        ("RUN cat <<-E >/s\n\tx\n\tE\n", "RUN ‹cat <<-E >/s\n\tx\nE›"),
        ("RUN cat 3<<E <&3\nx\nE\n", "RUN ‹cat 3<<E <&3\nx\nE›"),
        ("RUN cat <<'E'\n$x\nE\n", "RUN ‹cat <<'E'\n$x\nE›"),
        ("RUN cat <<<word", "RUN ‹cat <<<word›"),
        ("RUN echo '<<E'", "RUN ‹echo '<<E'›"),
        ("RUN echo $((1<<2))", "RUN ‹echo $((1<<2))›"),
        ("RUN --network=none <<E\nx\nE\n", "RUN ‹x\n›"),
        ("CMD cat <<E", "CMD ‹cat <<E›"),
        (
            "ONBUILD COPY <<E /t\nx $y\nE\n",
            "ONBUILD ‹COPY <<E /t\nx $y\nE›",
        ),
        (
            "ONBUILD RUN <<-A cat <<B\n\ta\n\tA\nb\nB\n",
            "ONBUILD ‹RUN <<-A cat <<B\n\ta\nA\nb\nB›",
        ),
        ("ONBUILD CMD <<E", "ONBUILD ‹CMD <<E›"),
    ]);
}

/// T-META-10.
#[test]
fn triggers_are_kept_as_they_are_written() {
    check(&[
        ("onbuild copy a /a", "ONBUILD ‹copy a /a›"),
        ("ONBUILD   EXPOSE   80", "ONBUILD ‹EXPOSE   80›"),
        (
            "ONBUILD ENV b=$a c=${d:-none}",
            "ONBUILD ‹ENV b=$a c=${d:-none}›",
        ),
        ("ONBUILD RUN a \\\n  b", "ONBUILD ‹RUN a   b›"),
        (
            "ONBUILD RUN --mount=type=bind,target=/m x",
            "ONBUILD ‹RUN --mount=type=bind,target=/m x›",
        ),
    ]);
}

/// A mistake in a trigger stops the child and not the parent.
#[test]
fn mistakes_in_triggers_are_warnings() {
    for body in [
        "ONBUILD FOO bar",
        "ONBUILD COPY a",
        "ONBUILD RUN --mount=type=foo x",
        "ONBUILD WORKDIR",
    ] {
        let dockerfile = parsed(&format!("FROM scratch\n{body}\n"));
        let names: Vec<_> = dockerfile.warnings.iter().map(|found| found.name).collect();
        assert_eq!(names, ["InvalidTrigger"], "{body}");
    }
}

#[test]
fn triggers_are_parsed_when_they_are_used() {
    let instruction = parse_onbuild_trigger("COPY --from=x <<E a /t\nv\nE").unwrap();
    assert_eq!(
        dump_kind(&instruction.kind),
        "COPY from=x ‹a› E:expand:\"v\\n\" -> ‹/t›"
    );
    for (trigger, name) in [
        ("FOO bar", "UnknownInstruction"),
        ("FROM x", "ForbiddenTrigger"),
        ("ONBUILD RUN x", "ForbiddenTrigger"),
        ("MAINTAINER x", "ForbiddenTrigger"),
        ("", "InvalidTrigger"),
        ("RUN a\nRUN b", "InvalidTrigger"),
        ("COPY a", "MissingArgument"),
        ("COPY <<E /x\nfoo", "UnterminatedHeredoc"),
    ] {
        let error = parse_onbuild_trigger(trigger).unwrap_err();
        assert!(
            error.errors().any(|found| found.name == name),
            "{trigger}: {error}"
        );
    }
}

/// T-META-07.
#[test]
fn healthchecks_have_durations_and_a_command() {
    check(&[
        ("HEALTHCHECK NONE", "HEALTHCHECK NONE"),
        ("HEALTHCHECK none", "HEALTHCHECK NONE"),
        (
            "HEALTHCHECK CMD a || b",
            "HEALTHCHECK 0ns 0ns 0ns 0ns 0 ‹a || b›",
        ),
        (
            "HEALTHCHECK cmd [\"a\"]",
            "HEALTHCHECK 0ns 0ns 0ns 0ns 0 [\"a\"]",
        ),
        (
            "HEALTHCHECK --interval=1500ms --timeout=1m30s --start-period=2h --start-interval=0 --retries=3 CMD x",
            "HEALTHCHECK 1.5s 90s 7200s 0ns 3 ‹x›",
        ),
    ]);
}

/// T-STAGE-02, T-STAGE-11, T-STAGE-16.
#[test]
fn stages_are_found_by_name_without_case_and_the_last_one_wins() {
    let dockerfile = parsed(
        "ARG g=1\nFROM --platform=$BUILDPLATFORM a$g AS One\nRUN x\nFROM b aS TWO.x-1_y\nFROM c AS one\nFROM d\n",
    );
    assert_eq!(dockerfile.global_args.len(), 1);
    assert_eq!(dockerfile.stage_named("ONE"), Some(2));
    assert_eq!(dockerfile.stage_named("two.x-1_y"), Some(1));
    assert_eq!(dockerfile.stage_named("0"), None);
    let from = &dockerfile.stages[0].from;
    assert_eq!(from.platform.as_ref().unwrap().raw, "$BUILDPLATFORM");
    assert_eq!(from.base.raw, "a$g");
    assert_eq!(
        dockerfile.source.slice(from.name.as_ref().unwrap().span),
        "One"
    );
}

#[test]
fn comments_directly_above_belong_to_the_instruction() {
    let text = "# x=1\n\n# far\n\n#near \n  # nearer\nFROM a\nRUN b \\\n # inside\n c\nRUN d\n";
    let dockerfile = parsed(text);
    let texts = |comments: &[crate::Comment]| {
        comments
            .iter()
            .map(|comment| comment.text.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        texts(&dockerfile.stages[0].from.comments),
        ["near", "nearer"]
    );
    assert!(dockerfile.stages[0].instructions[1].comments.is_empty());
}

#[test]
fn spans_point_at_the_text_even_behind_continuations() {
    let text =
        "FROM scratch\nCOPY --from=x \\\n  # c\n  --chown=\"1:2\" \\\n  süß [b] \\\n  /dest\n";
    let dockerfile = parsed(text);
    let InstructionKind::Copy(copy) = &dockerfile.stages[0].instructions[0].kind else {
        panic!()
    };
    let slice = |span| dockerfile.source.slice(span);
    assert_eq!(slice(copy.from.as_ref().unwrap().span), "x");
    assert_eq!(slice(copy.chown.as_ref().unwrap().span), "\"1:2\"");
    assert_eq!(
        copy.paths
            .sources
            .iter()
            .map(|word| slice(word.span))
            .collect::<Vec<_>>(),
        ["süß", "[b]"]
    );
    let destination = copy.paths.destination.span;
    assert_eq!((slice(destination), destination.line), ("/dest", 6));
    let position = dockerfile.source.position(copy.paths.sources[1].span.start);
    assert_eq!((position.line, position.column), (5, 7));
    let whole = dockerfile.stages[0].instructions[0].span;
    assert_eq!((whole.line, whole.end_line), (2, 6));
}

#[test]
fn spans_of_instructions_cover_their_heredocs() {
    let dockerfile = parsed("FROM scratch\nRUN <<A\nx\nA\nENV a=\"b\" c=d\nCMD [\"a\"]\n");
    let [run, env, _] = &dockerfile.stages[0].instructions[..] else {
        panic!()
    };
    assert_eq!((run.span.line, run.span.end_line), (2, 4));
    assert_eq!(dockerfile.source.slice(run.span), "RUN <<A\nx\nA");
    let InstructionKind::Env(values) = &env.kind else {
        panic!()
    };
    assert_eq!(dockerfile.source.slice(values.pairs[0].value.span), "\"b\"");
    assert_eq!(dockerfile.source.slice(values.pairs[1].key.span), "c");
}

#[test]
fn text_that_is_no_utf8_is_accepted_in_comments_only() {
    let commented = b"# caf\xe9\nFROM scratch\nRUN a \\\n # \xff\n b\n";
    assert_eq!(
        parse_bytes(commented, "Dockerfile").unwrap().stages.len(),
        1
    );
    for text in [
        &b"FROM scratch\nLABEL a=\xe9\n"[..],
        b"FROM scratch\nCOPY <<E /f\n\xe9\nE\n",
    ] {
        let error = parse_bytes(text, "Dockerfile").unwrap_err();
        assert_eq!(error.items[0].name, "InvalidEncoding");
    }
}

/// T-PARSE-18: one table of everything that is refused. Text, line, name, and what the message names.
#[test]
fn mistakes_are_named_at_their_line() {
    let mut count = 0;
    for line in rows(include_str!("mistakes.table")) {
        let [text, line_number, name, fragment] = columns(line);
        let text = plain(text);
        let error = parse(&text, "Dockerfile").expect_err(line);
        let found = error.errors().next().unwrap();
        assert_eq!(
            (found.span.line.to_string().as_str(), found.name),
            (line_number, name),
            "{line}\n{error}"
        );
        assert!(error.to_string().contains(fragment), "{line}\n{error}");
        assert_eq!(error.errors().count(), 1, "{line}\n{error}");
        count += 1;
    }
    assert!(count >= 160, "{count}");
}

/// Found by the fuzz target `parse`: the excerpt of such a message could not be shown.
#[test]
fn the_place_of_a_mistake_never_cuts_a_character() {
    for text in ["# ü", "ARG a=ü", "ü", "FROM a\nRUN <<ü", "FROM a\nENV ü"] {
        let error = parse(text, "Dockerfile").unwrap_err();
        for item in &error.items {
            let place = error.file.text().get(item.span.start..item.span.end);
            assert!(place.is_some(), "{text}: {item:?}");
        }
    }
}

#[test]
fn all_mistakes_are_collected_in_the_order_of_the_text() {
    let text = "FROM a\nFOO\nCOPY --x --y a /\nRUN ok\nENV\n";
    let error = parse(text, "sub/Dockerfile").unwrap_err();
    let found: Vec<_> = error
        .items
        .iter()
        .map(|item| (item.span.line, item.name))
        .collect();
    assert_eq!(
        found,
        [
            (2, "UnknownInstruction"),
            (3, "UnknownFlag"),
            (3, "UnknownFlag"),
            (5, "MissingArgument")
        ]
    );
    assert!(
        error
            .to_string()
            .starts_with("sub/Dockerfile:2: error: unknown instruction `FOO`\n")
    );
}

#[test]
fn a_wrong_from_does_not_make_its_instructions_wrong() {
    let error = parse("FROM a b c d\nRUN x\n", "Dockerfile").unwrap_err();
    assert_eq!(error.items.len(), 1);
}

/// The value of `--mount`, resolved with the variable `v=V`.
fn mount(value: &str) -> Result<MountSpec, String> {
    let text = format!("FROM a\nRUN --mount={value} x\n");
    let dockerfile = parse(&text, "Dockerfile").map_err(|error| error.to_string())?;
    let InstructionKind::Run(run) = &dockerfile.stages[0].instructions[0].kind else {
        panic!()
    };
    let lookup = |name: &str| (name == "v").then(|| "V".to_owned());
    let resolved = run.mounts[0].resolve(&mut |word| Ok(word.expand(&lookup, '\\')?.text));
    resolved.map_err(|diagnostic| diagnostic.message)
}

/// T-MNT-18, T-PARSE-19.
#[test]
fn mounts_are_typed_after_expansion() {
    for line in rows(include_str!("mounts.table")) {
        let [value, wanted] = columns(line);
        assert_eq!(format!("{:?}", mount(value).unwrap()), wanted, "{line}");
    }
}

/// T-MNT-18: what is named in the message.
#[test]
fn wrong_mounts_are_refused() {
    for (value, fragment) in [
        ("type=foo,target=/m", "`foo`"),
        ("type=chache,target=/m", "did you mean `cache`?"),
        ("target", "`target`"),
        ("type=cache,target", "`target`"),
        ("tagret=/m", "did you mean `target`?"),
        ("type=bind,target=/m,required=true", "`required`"),
        ("type=bind,target=/m,required", "`required`"),
        ("type=cache,target=/m,size=1m", "`size`"),
        ("type=bind,target=/m,mode=0755", "`mode`"),
        ("type=tmpfs,target=/m,uid=1", "`uid`"),
        ("type=bind,target=/m,id=x", "`id`"),
        ("type=tmpfs,target=/m,from=x", "`from`"),
        ("type=secret,id=x,from=busybox", "`from`"),
        ("type=secret,id=x,sharing=shared", "`sharing`"),
        ("type=bind,target=/m,env=X", "`env`"),
        ("type=ssh,source=x", "`source`"),
        ("type=ssh,rw", "`readwrite`"),
        ("type=secret", "`id`"),
        ("type=secret,id=a,source=b", "`source`"),
        ("target=/m,ro=maybe", "`readonly=maybe`"),
        ("target=/m,rw=", "`readwrite=`"),
        ("type=cache,target=/m,mode=9", "`mode=9`"),
        ("type=cache,target=/m,uid=root", "`uid=root`"),
        ("type=cache,target=/m,uid=-1", "`uid=-1`"),
        ("type=cache,target=/m,uid=4294967296", "`uid=4294967296`"),
        ("type=cache,target=/m,sharing=x", "`x`"),
        (
            "type=cache,target=/m,sharing=share",
            "did you mean `shared`?",
        ),
        ("type=tmpfs,target=/m,size=big", "`size=big`"),
        ("from=$s,target=/m", "from=$s"),
        ("", "empty"),
        ("target=/m,", "no key ``"),
        ("\\\"target=/m", "no end"),
        ("type=$v,target=/m", "`V`"),
        ("type=cache,target=/m,uid=$v", "`uid=V`"),
        ("type=cache,target=/m,id=${}", "`${}`"),
    ] {
        let message = mount(value).expect_err(value);
        assert!(message.contains(fragment), "{value}: {message}");
    }
}

#[test]
fn devices_have_a_name_and_may_be_required() {
    let dockerfile = parsed(
        "FROM a\nRUN --device=v/c=x,required --device=name=v/c,required=false --network=host --security=insecure x\n",
    );
    let InstructionKind::Run(run) = &dockerfile.stages[0].instructions[0].kind else {
        panic!()
    };
    let found: Vec<_> = run
        .devices
        .iter()
        .map(|device| (device.value.name.as_str(), device.value.required))
        .collect();
    assert_eq!(found, [("v/c=x", true), ("v/c", false)]);
    assert_eq!(
        run.network.unwrap().value,
        crate::instruction::Network::Host
    );
    assert_eq!(
        run.security.unwrap().value,
        crate::instruction::Security::Insecure
    );
}

#[test]
fn expose_is_sorted_before_expansion() {
    let dockerfile = parsed("FROM a\nEXPOSE 9000 80 $p 443/tcp\n");
    let InstructionKind::Expose(expose) = &dockerfile.stages[0].instructions[0].kind else {
        panic!()
    };
    let sorted: Vec<_> = expose
        .sorted()
        .iter()
        .map(|word| word.raw.as_str())
        .collect();
    assert_eq!(sorted, ["$p", "443/tcp", "80", "9000"]);
}

/// The tree as data, without the places.
fn shape(dockerfile: &Dockerfile) -> Value {
    fn strip(value: Value) -> Value {
        match value {
            Value::Object(map) => {
                let kept = map.into_iter().filter(|(key, _)| key != "span");
                Value::Object(kept.map(|(key, value)| (key, strip(value))).collect())
            }
            Value::Array(values) => Value::Array(values.into_iter().map(strip).collect()),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
        }
    }
    strip(serde_json::to_value(dockerfile).unwrap())
}

fn assert_prints(text: &str) {
    if let Ok(dockerfile) = parse(text, "Dockerfile") {
        let printed = dockerfile.to_string();
        let again =
            parse(&printed, "Dockerfile").unwrap_or_else(|error| panic!("{error}\n{printed}"));
        assert_eq!(shape(&again), shape(&dockerfile), "{text:?}\n{printed:?}");
        assert_eq!(again.to_string(), printed);
    }
}

#[test]
fn printing_survives_what_only_continuations_can_produce() {
    for text in [
        "FROM a\nRUN x\\ \\",
        "FROM a\nRUN x\\ \\\n\n",
        "FROM a\n\\\n  RUN x",
        "# hello\n# escape=`\nFROM a\nRUN x",
        "FROM a\n# escape=`\n# b\nRUN x \\\n # c\n y",
        "FROM a\nONBUILD RUN <<-E\n\tx\n\tE\nRUN y",
        "FROM a\nCOPY <<A <<A /\n1\nA\n2\nA\n",
        "# escape=`\nFROM a\nRUN x `\n y\\\n",
        "FROM a\nRUN x\\\\ \nUSER u",
        "FROM a\nRUN x\\\\\\ \nUSER u",
    ] {
        parsed(text);
        assert_prints(text);
    }
}

#[test]
fn printing_breaks_lines_that_are_too_long() {
    let long = format!(
        "FROM a\nRUN {}\n",
        "word \\\n  # x\n ".repeat(30_000) + "end"
    );
    parsed(&long);
    assert_prints(&long);
    assert_prints(&format!(
        "FROM a\nRUN <<E {}\n{}E\n",
        "x".repeat(40_000) + "\\\nx",
        "y\n".repeat(9)
    ));
}

/// Pieces that parsers stumble over, in any order.
fn fragments() -> impl Strategy<Value = String> {
    let fragment = prop::sample::select(vec![
        "FROM a",
        "FROM a AS b",
        "from $x as c",
        "RUN ",
        "RUN --mount=type=cache,target=/c ",
        "COPY ",
        "ADD ",
        "COPY --from=b --chown=1 ",
        "ENV ",
        "LABEL ",
        "ARG ",
        "ONBUILD ",
        "CMD ",
        "ENTRYPOINT ",
        "SHELL ",
        "EXPOSE 80",
        "VOLUME ",
        "WORKDIR /w",
        "USER u",
        "STOPSIGNAL 9",
        "HEALTHCHECK CMD ",
        "HEALTHCHECK NONE",
        "MAINTAINER m",
        "# escape=`",
        "# escape=\\",
        "# syntax=docker/dockerfile",
        "# check=skip=all",
        "# x",
        "#",
        "<<E",
        "<<-E",
        "<<'E'",
        "E",
        "\tE",
        "a",
        "b=c",
        " a=b",
        " ",
        "  ",
        "\t",
        "\\",
        "\\ ",
        "`",
        "` ",
        "\"",
        "'",
        "[\"a\", \"/b\"]",
        "[]",
        "$a",
        "${a:-b}",
        "${",
        "}",
        "=",
        "--",
        "--x",
        " /d",
        "\r",
        "ü",
        "\u{a0}",
        "\u{feff}",
        "\n",
        "\n",
        "\n",
        "\n",
        "\n",
        "\r\n",
        "\\\n",
        "`\n",
    ]);
    prop::collection::vec(fragment, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_printed_file_means_the_same(text in fragments()) {
        assert_prints(&format!("FROM a\n{text}"));
        assert_prints(&text);
    }

    #[test]
    fn spans_are_inside_the_text(text in fragments()) {
        let check = |span: Span, length: usize| {
            assert!(span.start <= span.end && span.end <= length && span.line >= 1 && span.line <= span.end_line);
        };
        match parse(&text, "Dockerfile") {
            Ok(dockerfile) => {
                let length = dockerfile.source.text().len();
                for instruction in dockerfile.stages.iter().flat_map(|stage| &stage.instructions) {
                    check(instruction.span, length);
                    check(instruction.keyword.span, length);
                    prop_assert_eq!(dockerfile.source.slice(instruction.keyword.span).to_uppercase(), instruction.kind.name());
                }
            }
            Err(error) => {
                for item in &error.items {
                    check(item.span, error.file.text().len());
                }
                prop_assert!(error.errors().count() > 0);
            }
        }
    }

    #[test]
    fn any_bytes_are_parsed_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse_bytes(&bytes, "Dockerfile");
        let _ = parse_onbuild_trigger(&String::from_utf8_lossy(&bytes));
    }
}
