//! T-LINT-01: the cases in which `docker build --check` fires and those in which it does not.

use super::{check, found, inputs, lines_of, with};
use crate::lint::{Base, Given, Inputs};

const NAMES_AND_KEYWORDS: &[(&str, &str, &str)] = &[
    ("StageNameCasing", "FROM scratch AS Base", "1"),
    ("StageNameCasing", "FROM scratch AS base", ""),
    ("FromAsCasing", "FROM scratch as base", "1"),
    ("FromAsCasing", "from scratch AS base", "1"),
    ("FromAsCasing", "from scratch As base", "1"),
    ("FromAsCasing", "from scratch as base", ""),
    ("FromAsCasing", "From scratch aS base", ""),
    ("FromAsCasing", "FROM scratch", ""),
    (
        "ConsistentInstructionCasing",
        "FROM scratch⏎copy a /a⏎COPY b /b",
        "2",
    ),
    (
        "ConsistentInstructionCasing",
        "from scratch⏎copy a /a⏎COPY b /b",
        "3",
    ),
    // A tie counts as upper case.
    ("ConsistentInstructionCasing", "FROM scratch⏎copy a /a", "2"),
    ("ConsistentInstructionCasing", "from scratch⏎Copy a /a", "2"),
    ("ConsistentInstructionCasing", "From scratch", "1"),
    // Global arguments neither vote nor fire.
    (
        "ConsistentInstructionCasing",
        "arg a⏎arg b⏎FROM scratch",
        "",
    ),
    (
        "DuplicateStageName",
        "FROM scratch AS b⏎FROM scratch AS B⏎FROM scratch AS b",
        "2 3",
    ),
    ("DuplicateStageName", "FROM scratch⏎FROM scratch", ""),
    (
        "ReservedStageName",
        "FROM scratch AS scratch⏎FROM scratch AS context⏎FROM scratch AS x",
        "1 2",
    ),
    ("MaintainerDeprecated", "FROM scratch⏎MAINTAINER me", "2"),
    ("NoEmptyContinuation", "FROM scratch⏎COPY a \\⏎⏎.", "4"),
    ("NoEmptyContinuation", "FROM scratch⏎COPY a \\⏎# c⏎.", ""),
    (
        "NoEmptyContinuation",
        "FROM scratch⏎COPY a \\⏎⏎b \\⏎⏎ /",
        "6",
    ),
];

#[test]
fn names_and_keywords() {
    check(NAMES_AND_KEYWORDS, &inputs());
}

const ARGUMENTS_OF_FROM: &[(&str, &str, &str)] = &[
    ("UndefinedArgInFrom", "FROM $a", "1"),
    ("UndefinedArgInFrom", "FROM a:${b:-1}", "1"),
    ("UndefinedArgInFrom", "ARG b⏎FROM a:${b:-1}", ""),
    (
        "UndefinedArgInFrom",
        "FROM --platform=$BULDPLATFORM/x a",
        "1",
    ),
    ("UndefinedArgInFrom", "FROM --platform=$BUILDPLATFORM a", ""),
    ("UndefinedArgInFrom", "FROM scratch⏎ARG b=1⏎FROM a:$b", "3"),
    (
        "RedundantTargetPlatform",
        "FROM --platform=$TARGETPLATFORM a",
        "1",
    ),
    (
        "RedundantTargetPlatform",
        "FROM --platform=${TARGETPLATFORM} a",
        "1",
    ),
    (
        "RedundantTargetPlatform",
        "FROM --platform=$BUILDPLATFORM a",
        "",
    ),
    (
        "RedundantTargetPlatform",
        "FROM --platform=linux/$TARGETARCH a",
        "",
    ),
    (
        "RedundantTargetPlatform",
        "ARG x⏎FROM --platform=$TARGETPLATFORM$x a",
        "",
    ),
    (
        "FromPlatformFlagConstDisallowed",
        "FROM --platform=linux/amd64 a",
        "1",
    ),
    (
        "FromPlatformFlagConstDisallowed",
        "FROM --platform=linux/amd64 a AS b",
        "1",
    ),
    (
        "FromPlatformFlagConstDisallowed",
        "FROM --platform=linux/amd64 a AS b-amd64",
        "",
    ),
    (
        "FromPlatformFlagConstDisallowed",
        "FROM --platform=linux/amd64 a AS linux",
        "",
    ),
    (
        "FromPlatformFlagConstDisallowed",
        "FROM --platform=x86_64 a AS b",
        "1",
    ),
    (
        "FromPlatformFlagConstDisallowed",
        "FROM --platform=x86_64 a AS amd64-b",
        "",
    ),
    (
        "FromPlatformFlagConstDisallowed",
        "FROM --platform=$BUILDPLATFORM a",
        "",
    ),
    ("InvalidDefaultArgInFrom", "ARG a⏎FROM $a", "2"),
    ("InvalidDefaultArgInFrom", "ARG a⏎FROM b:$a", "2"),
    ("InvalidDefaultArgInFrom", "ARG a⏎FROM b$a", ""),
    ("InvalidDefaultArgInFrom", "ARG a=1⏎FROM b:$a", ""),
    ("InvalidDefaultArgInFrom", "ARG a⏎FROM b:${a:-1}", ""),
    ("InvalidDefaultArgInFrom", "FROM Upper", "1"),
];

#[test]
fn arguments_of_from() {
    check(ARGUMENTS_OF_FROM, &inputs());
    let given = with(Given::BuildArgument("a", "x"));
    check(&[("InvalidDefaultArgInFrom", "ARG a⏎FROM $a", "2")], &given);
}

const INSTRUCTIONS_OF_STAGES: &[(&str, &str, &str)] = &[
    (
        "JSONArgsRecommended",
        "FROM scratch⏎CMD a⏎ENTRYPOINT b",
        "2 3",
    ),
    (
        "JSONArgsRecommended",
        "FROM scratch⏎CMD [\"a\"]⏎HEALTHCHECK CMD a",
        "",
    ),
    (
        "JSONArgsRecommended",
        "FROM scratch⏎SHELL [\"/x\"]⏎CMD a",
        "",
    ),
    (
        "JSONArgsRecommended",
        "FROM scratch AS b⏎SHELL [\"/x\"]⏎FROM b⏎CMD a",
        "",
    ),
    ("WorkdirRelativePath", "FROM scratch⏎WORKDIR a", "2"),
    (
        "WorkdirRelativePath",
        "FROM scratch⏎WORKDIR /a⏎WORKDIR b",
        "",
    ),
    (
        "WorkdirRelativePath",
        "FROM scratch⏎WORKDIR a⏎WORKDIR b",
        "2",
    ),
    (
        "WorkdirRelativePath",
        "FROM scratch AS b⏎WORKDIR /a⏎FROM b⏎WORKDIR c",
        "",
    ),
    (
        "WorkdirRelativePath",
        "FROM scratch⏎ENV d=/d⏎WORKDIR $d/e",
        "",
    ),
    (
        "MultipleInstructionsDisallowed",
        "FROM scratch⏎CMD [\"a\"]⏎CMD [\"b\"]⏎CMD [\"c\"]",
        "2 3",
    ),
    (
        "MultipleInstructionsDisallowed",
        "FROM scratch⏎CMD [\"a\"]⏎ENTRYPOINT [\"b\"]",
        "",
    ),
    (
        "MultipleInstructionsDisallowed",
        "FROM scratch⏎HEALTHCHECK NONE⏎HEALTHCHECK CMD [\"a\"]",
        "2",
    ),
    (
        "MultipleInstructionsDisallowed",
        "FROM scratch AS b⏎CMD [\"a\"]⏎FROM b⏎CMD [\"b\"]",
        "",
    ),
    // T-LINT-08: the comment stands above the later one.
    (
        "MultipleInstructionsDisallowed",
        "FROM scratch⏎CMD [\"a\"]⏎# check=skip=all⏎CMD [\"b\"]",
        "",
    ),
    (
        "LegacyKeyValueFormat",
        "FROM scratch⏎ENV a b⏎LABEL c d",
        "2 3",
    ),
    ("LegacyKeyValueFormat", "FROM scratch⏎ENV a=b c=d", ""),
    ("LegacyKeyValueFormat", "FROM scratch⏎ENV a \\⏎b", "2-3"),
    (
        "SecretsUsedInArgOrEnv",
        "FROM scratch⏎ARG api_key⏎ENV TOKEN=1⏎ENV my_secret_x=1",
        "2 3 4",
    ),
    (
        "SecretsUsedInArgOrEnv",
        "FROM scratch⏎ARG monkey⏎ENV KEYS=1 public_key=2 TOKEN_FILE=3 key_version=4",
        "",
    ),
    ("SecretsUsedInArgOrEnv", "ARG token⏎FROM scratch", ""),
    (
        "ExposeProtoCasing",
        "FROM scratch⏎EXPOSE 80/TCP⏎EXPOSE 80/tcp 81",
        "2",
    ),
    (
        "ExposeProtoCasing",
        "FROM scratch⏎ARG p=80/Udp⏎EXPOSE $p",
        "3",
    ),
    (
        "ExposeInvalidFormat",
        "FROM scratch⏎EXPOSE 80:80⏎EXPOSE 1.2.3.4:80:80⏎EXPOSE 80",
        "2 3",
    ),
    (
        "ExposeInvalidFormat",
        "FROM scratch⏎EXPOSE 1.2.3.4::80",
        "2",
    ),
];

#[test]
fn instructions_of_stages() {
    check(INSTRUCTIONS_OF_STAGES, &inputs());
}

const VARIABLES: &[(&str, &str, &str)] = &[
    ("UndefinedVar", "FROM scratch⏎ENV a=$b", "2"),
    ("UndefinedVar", "FROM scratch⏎ENV a=1⏎ENV b=$a", ""),
    ("UndefinedVar", "FROM scratch⏎ARG a⏎ENV b=$a", ""),
    ("UndefinedVar", "FROM scratch⏎ENV b=$PATH", ""),
    ("UndefinedVar", "FROM scratch⏎LABEL a=${b:-1}", "2"),
    ("UndefinedVar", "FROM scratch⏎ENV a='$b'", ""),
    ("UndefinedVar", "FROM scratch⏎ENV a=\\$b", ""),
    ("UndefinedVar", "FROM scratch⏎COPY $a $b", "2"),
    ("UndefinedVar", "FROM scratch⏎COPY --chown=$a b /c", "2"),
    (
        "UndefinedVar",
        "FROM scratch⏎USER $a⏎VOLUME $b⏎STOPSIGNAL ${c:-9}⏎WORKDIR /$d",
        "2 3 4 5",
    ),
    ("UndefinedVar", "FROM scratch⏎EXPOSE $a", ""),
    ("UndefinedVar", "FROM scratch⏎RUN echo $a⏎CMD echo $a", ""),
    (
        "UndefinedVar",
        "FROM scratch⏎RUN --mount=type=cache,target=/$a true",
        "2",
    ),
    ("UndefinedVar", "FROM scratch⏎ARG a=$b", "2"),
    ("UndefinedVar", "FROM scratch⏎COPY <<E /x⏎$a⏎E", "2-4"),
    ("UndefinedVar", "FROM scratch⏎COPY <<'E' /x⏎$a⏎E", ""),
    (
        "UndefinedVar",
        "FROM scratch AS b⏎ARG a⏎ENV c=1⏎FROM b⏎ENV d=$a$c",
        "",
    ),
    (
        "UndefinedVar",
        "FROM scratch AS b⏎ARG a⏎FROM scratch⏎ENV d=$a",
        "4",
    ),
    ("UndefinedVar", "ARG a=1⏎FROM scratch⏎ENV d=$a", "3"),
    // The trigger is told at FROM of whoever inherits it.
    (
        "UndefinedVar",
        "FROM scratch AS b⏎ONBUILD ENV c=$d⏎FROM b",
        "3",
    ),
];

#[test]
fn variables() {
    check(VARIABLES, &inputs());
}

#[test]
fn the_environment_of_a_base_image_counts_and_an_unknown_one_silences() {
    let text = "FROM golang\nENV a=$GOPATH b=$NOTHING\n";
    assert_eq!(lines_of("UndefinedVar", text, &inputs()), "");
    let base = Base {
        env: vec![("GOPATH".to_owned(), "/go".to_owned())],
        ..Base::default()
    };
    let known = Inputs {
        bases: vec![Some(base)],
        ..inputs()
    };
    let found = found(text, &known);
    assert!(found.contains(&"UndefinedVar:2".to_owned()), "{found:?}");
    assert_eq!(
        lines_of("UndefinedVar", "FROM golang\nENV a=$GOPATH\n", &known),
        ""
    );
}

#[test]
fn triggers_and_shell_of_a_base_image_count() {
    let base = |has_shell| Inputs {
        bases: vec![Some(Base {
            has_shell,
            triggers: vec!["ENV a b".to_owned(), "CMD x".to_owned()],
            ..Base::default()
        })],
        ..inputs()
    };
    let text = "FROM x\nCMD y\n";
    assert_eq!(lines_of("LegacyKeyValueFormat", text, &base(false)), "1");
    assert_eq!(lines_of("JSONArgsRecommended", text, &base(false)), "1 2");
    assert_eq!(lines_of("JSONArgsRecommended", text, &base(true)), "");
    assert_eq!(
        lines_of("MultipleInstructionsDisallowed", text, &base(false)),
        "1"
    );
}

#[test]
fn ignored_sources() {
    for (ignore, text, wanted) in [
        ("a\n", "COPY a /", "2"),
        ("a\n", "COPY a/b /", "2"),
        ("a\n", "COPY ./a /", "2"),
        ("a\n", "COPY b /", ""),
        ("a\n", "ADD a b /x/", "2"),
        ("a\n", "ADD https://example.com/a /", ""),
        ("a\n!a/b\n", "COPY a /", ""),
        ("*.txt\n", "COPY *.txt /", "2"),
        ("a\n", "COPY . /", ""),
        ("*\n", "COPY . /", "2"),
        ("**\n", "COPY . /", "2"),
        ("*\n", "COPY a/b /", "2"),
        ("**/c\n", "COPY a/b/c /", "2"),
        ("a\n", "COPY --from=x a /", ""),
        ("a\n", "COPY <<a /x\na\n", ""),
    ] {
        let inputs = with(Given::Ignore(ignore));
        let text = format!("FROM scratch\n{text}\n");
        assert_eq!(
            lines_of("CopyIgnoredFile", &text, &inputs),
            wanted,
            "{ignore} {text}"
        );
    }
}

#[test]
fn descriptions_are_looked_at_on_request() {
    let rule = "InvalidDefinitionDescription";
    let requested = Inputs {
        requested: vec![rule.to_owned()],
        ..inputs()
    };
    for (text, wanted) in [
        ("# foo bar⏎FROM scratch AS base", "2"),
        ("# base is it⏎FROM scratch AS base", ""),
        ("# anything⏎FROM scratch", ""),
        ("# foo⏎⏎FROM scratch AS base", ""),
        ("# foo⏎#⏎FROM scratch AS base", ""),
        ("# foo⏎# base b⏎FROM scratch AS base", ""),
        ("# base b⏎# foo⏎FROM scratch AS base", "3"),
        ("# x⏎ARG a⏎FROM scratch", "2"),
        ("# b is⏎ARG a b⏎FROM scratch", ""),
    ] {
        check(&[(rule, text, wanted)], &requested);
        check(&[(rule, text, "")], &inputs());
    }
}
