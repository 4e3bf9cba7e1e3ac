//! T-ARG and the parts of T-EXP that depend on where a word stands.

use kigumi_oci::ImageConfig;

use super::{Build, variable};
use crate::Op;

/// T-ARG-01
#[test]
fn a_global_argument_is_visible_in_a_stage_only_after_redeclaration() {
    let file = "ARG v=1\nFROM scratch\nLABEL a=[$v]\nARG v\nLABEL b=[$v]";
    assert_eq!(Build::of(file).label("a"), "[]");
    assert_eq!(Build::of(file).label("b"), "[1]");
    assert_eq!(Build::of(file).arg("v", "2").label("b"), "[2]");
}

/// T-ARG-01
#[test]
fn a_default_in_the_stage_beats_the_global_value_and_the_command_line_beats_both() {
    let file = "ARG v=global\nFROM scratch\nARG v=stage\nLABEL a=$v";
    assert_eq!(Build::of(file).label("a"), "stage");
    assert_eq!(Build::of(file).arg("v", "given").label("a"), "given");
}

/// T-ARG-02
#[test]
fn an_argument_without_value_is_absent_and_an_empty_one_is_present() {
    let build = Build::of("FROM base\nARG A\nARG B=\nRUN x");
    let run = &build.runs()[0];
    assert_eq!(variable(run, "A"), None);
    assert_eq!(variable(run, "B"), Some(""));
    let history = Build::of("FROM base\nARG A\nARG B=\nRUN x").history();
    assert_eq!(
        history.last().unwrap(),
        "+RUN |2 A= B= /bin/sh -c x # buildkit"
    );
}

/// T-ARG-03
#[test]
fn the_later_of_arg_and_env_wins_in_run_and_the_config_keeps_the_env() {
    let with_env = |text: &str| {
        let base = kigumi_oci::ContainerConfig {
            env: Some(vec!["PATH=/bin".into(), "A=base".into()]),
            ..Default::default()
        };
        Build::of(text).image("img", base)
    };
    for (file, in_run, in_config) in [
        ("FROM base\nENV A=env\nARG A=arg\nRUN x", "arg", "env"),
        ("FROM base\nARG A=arg\nENV A=env\nRUN x", "env", "env"),
        ("FROM img\nARG A=arg\nRUN x", "arg", "base"),
        // At the start of a stage the config counts again.
        (
            "FROM base AS p\nENV A=env\nARG A=arg\nFROM p\nRUN x",
            "env",
            "env",
        ),
    ] {
        assert_eq!(
            variable(&with_env(file).runs()[0], "A"),
            Some(in_run),
            "{file}"
        );
        let config = with_env(file).config();
        assert_eq!(config.env_lookup("A"), Some(in_config), "{file}");
    }
}

/// T-ARG-03: what RUN shows in its history is what it sees.
#[test]
fn history_of_run_shows_the_value_that_an_env_gave_an_argument() {
    let history = Build::of("FROM base\nARG A=arg\nENV A=env\nRUN x").history();
    assert_eq!(
        history.last().unwrap(),
        "+RUN |1 A=env /bin/sh -c x # buildkit"
    );
}

/// T-ARG-04
#[test]
fn arguments_reach_child_stages_but_not_siblings() {
    let file = |last: &str| format!("FROM base AS a\nARG v=1\nFROM base AS b\nFROM {last}\nRUN x");
    assert_eq!(variable(&Build::of(&file("a")).runs()[0], "v"), Some("1"));
    assert_eq!(variable(&Build::of(&file("b")).runs()[0], "v"), None);
}

/// T-ARG-05
#[test]
fn platform_arguments_need_a_declaration_in_stages_and_none_in_from() {
    let file = "FROM scratch AS for-arm64\nLABEL l=1\nFROM for-$TARGETARCH\nLABEL a=[$TARGETARCH]\n\
        ARG TARGETARCH TARGETVARIANT BUILDPLATFORM\nLABEL b=$TARGETARCH,$TARGETVARIANT,$BUILDPLATFORM";
    let build = || Build::of(file).platform("linux/arm64");
    assert_eq!(build().label("a"), "[]");
    assert_eq!(build().label("b"), "arm64,,linux/amd64");
    assert_eq!(
        build().arg("TARGETVARIANT", "v9").label("b"),
        "arm64,v9,linux/amd64"
    );
}

/// T-ARG-05
#[test]
fn targetstage_is_the_name_of_the_target_or_default() {
    let file = "FROM scratch AS One\nARG TARGETSTAGE\nLABEL a=$TARGETSTAGE\nFROM one";
    assert_eq!(Build::of(file).label("a"), "default");
    assert_eq!(Build::of(file).target("ONE").label("a"), "one");
    let named = format!("{file} AS two");
    assert_eq!(Build::of(&named).label("a"), "two");
}

/// T-ARG-06, T-ARG-07
#[test]
fn values_of_build_arguments_are_taken_as_they_are() {
    for value in ["a=b", "", "$x ${y} \\"] {
        let label = Build::of("FROM scratch\nARG v=default\nLABEL a=$v").arg("v", value);
        assert_eq!(label.label("a"), value);
    }
}

/// T-ARG-08
#[test]
fn proxies_reach_run_in_both_letter_cases_and_leave_no_trace() {
    let mut build = Build::of("FROM base\nRUN x")
        .arg("HTTP_PROXY", "p")
        .arg("no_proxy", "n");
    build.inputs.proxies = vec![
        ("https_proxy".into(), "s".into()),
        ("http_proxy".into(), "other".into()),
    ];
    let stage = build.result();
    let Op::Run(run) = &stage.steps[0].op else {
        panic!("{:?}", stage.steps)
    };
    for (name, value) in [
        ("HTTP_PROXY", "p"),
        ("http_proxy", "p"),
        ("no_proxy", "n"),
        ("NO_PROXY", "n"),
        ("HTTPS_PROXY", "s"),
    ] {
        assert_eq!(variable(run, name), Some(value), "{name}");
    }
    let config = serde_json::to_string(&stage.config).unwrap();
    assert!(!config.to_lowercase().contains("proxy"), "{config}");
}

/// T-ARG-08
#[test]
fn a_declared_proxy_is_in_history_and_an_env_beats_the_builders_proxy() {
    let build =
        || Build::of("FROM base\nARG HTTP_PROXY\nENV no_proxy=mine\nRUN x").arg("HTTP_PROXY", "p");
    assert_eq!(
        build().history().last().unwrap(),
        "+RUN |1 HTTP_PROXY=p /bin/sh -c x # buildkit"
    );
    let run = &build().arg("NO_PROXY", "builder").runs()[0];
    assert_eq!(variable(run, "no_proxy"), Some("mine"));
}

/// T-ARG-09, T-ARG-11
#[test]
fn an_undeclared_build_argument_is_warned_about_by_name_only() {
    let plan = Build::of("ARG G\nFROM scratch AS unused\nARG IN_UNUSED\nFROM scratch\nARG version")
        .arg("verison", "topsecret")
        .arg("G", "1")
        .arg("IN_UNUSED", "1")
        .arg("TARGETARCH", "amd64")
        .arg("http_proxy", "p")
        .arg("SOURCE_DATE_EPOCH", "0")
        .arg("BUILDKIT_SYNTAX", "x")
        .plan();
    let warnings: Vec<String> = plan.warnings.iter().map(|w| format!("{w:?}")).collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("`verison`") && warnings[0].contains("ARG version"));
    assert!(!warnings[0].contains("topsecret"));
}

/// T-ARG-09: an argument that only a trigger of the base declares is declared.
#[test]
fn an_argument_declared_by_a_trigger_is_no_reason_to_warn() {
    let base = kigumi_oci::ContainerConfig {
        on_build: Some(vec!["ARG T".into()]),
        ..Default::default()
    };
    let plan = Build::of("FROM img")
        .image("img", base)
        .arg("T", "1")
        .plan();
    assert_eq!(plan.warnings, []);
}

/// T-ARG-10
#[test]
fn from_arguments_of_unneeded_stages_are_evaluated() {
    for (first, expected) in [
        ("FROM ${X} AS unused", "base name `${X}` is blank"),
        (
            "FROM --platform=linux/a/b/c base AS unused",
            "platform `linux/a/b/c` is not",
        ),
        ("FROM ${X:?missing} AS unused", "missing"),
    ] {
        let problems = Build::of(&format!("{first}\nFROM scratch")).problems();
        assert!(problems.starts_with("Dockerfile:1: error"), "{problems}");
        assert!(problems.contains(expected), "{problems}");
    }
}

/// T-ARG-11
#[test]
fn what_logs_show_of_a_step_has_no_values() {
    let build =
        Build::of("FROM base\nARG T\nRUN login $T\nCOPY $T /\nLABEL a=$T").arg("T", "s3cret");
    let plan = build.plan();
    for step in &plan.stages[0].steps {
        assert!(!step.text.contains("s3cret"), "{}", step.text);
    }
}

/// T-ARG-12
#[test]
fn arguments_for_the_scanner_are_never_exported() {
    let file = "FROM base\nARG BUILDKIT_SBOM_SCAN_STAGE=true\nRUN x";
    let build = Build::of(file).arg("BUILDKIT_SBOM_SCAN_STAGE", "a,b");
    assert_eq!(variable(&build.runs()[0], "BUILDKIT_SBOM_SCAN_STAGE"), None);
}

/// T-EXP-05
#[test]
fn commands_are_not_expanded() {
    let file = "FROM base\nARG v=1\nENV e=2\nRUN $v\nRUN [\"$v\"]\nCMD $v\nENTRYPOINT [\"$e\"]\n\
        HEALTHCHECK CMD $e\nSHELL [\"$v\"]\nMAINTAINER $v";
    let stage = Build::of(file).result();
    let config = &stage.config.config;
    assert_eq!(config.cmd.as_deref().unwrap().last().unwrap(), "$v");
    assert_eq!(config.entrypoint.as_deref().unwrap(), ["$e"]);
    assert_eq!(
        config.healthcheck.as_ref().unwrap().test,
        ["CMD-SHELL", "$e"]
    );
    assert_eq!(config.shell.as_deref().unwrap(), ["$v"]);
    assert_eq!(stage.config.author.as_deref(), Some("$v"));
    let runs = Build::of(file).runs();
    assert_eq!(runs[0].argv, ["/bin/sh", "-c", "$v"]);
    assert_eq!(runs[1].argv, ["$v"]);
}

/// T-EXP-05
#[test]
fn everything_else_is_expanded() {
    let file = "FROM base\nARG v=1\nENV k$v=v$v\nLABEL l$v=$v\nUSER u$v\nWORKDIR /w$v\nVOLUME /a$v\n\
        EXPOSE 8$v\nSTOPSIGNAL 1$v";
    let config = Build::of(file).config();
    assert_eq!(config.env_lookup("k1"), Some("v1"));
    assert_eq!(config.labels.unwrap()["l1"], "1");
    assert_eq!(config.user.as_deref(), Some("u1"));
    assert_eq!(config.working_dir.as_deref(), Some("/w1"));
    assert_eq!(config.volumes.unwrap(), ["/a1"]);
    assert_eq!(config.exposed_ports.unwrap(), ["81/tcp"]);
    assert_eq!(config.stop_signal.as_deref(), Some("11"));
}

/// Places with substitutions (dockerfile.md § 2.2, § 2.4).
const EXPANDED: &[&str] = &[
    "ENV a=${}",
    "ENV ${}=a",
    "ENV a ${}",
    "ENV a=1 b=\"${}\"",
    "LABEL a=${}",
    "LABEL ${}=a",
    "LABEL a ${}",
    "ARG a=${}",
    "ARG ${}=a",
    "ARG a b=${}",
    "COPY ${} /",
    "COPY a ${}",
    "COPY [\"a\", \"${}\", \"/\"]",
    "COPY [\"a\", \"${}\"]",
    "COPY --chown=${} a /",
    "COPY --chmod=${} a /",
    "COPY <<E /x\n${}\nE",
    "COPY <<-E /x\n\ta\n\t${}\nE",
    "ADD ${} /",
    "ADD a ${}",
    "ADD --chown=${} a /",
    "ADD --chmod=${} a /",
    "ADD --checksum=${} http://h/f /",
    "ADD <<E /x\n${}\nE",
    "EXPOSE ${}",
    "EXPOSE 80 ${}",
    "STOPSIGNAL ${}",
    "USER ${}",
    "USER a:${}",
    "VOLUME ${}",
    "VOLUME [\"/a\", \"${}\"]",
    "WORKDIR ${}",
    "WORKDIR a${}b c",
    "RUN --mount=target=${} x",
    "RUN --mount=target=/m,source=${} x",
    "RUN --mount=type=cache,target=/m,id=${} x",
    "RUN --mount=type=cache,target=/m,mode=${} x",
    "RUN --mount=type=secret,id=${} x",
    "RUN --mount=type=tmpfs,target=/m,size=${} x",
];

/// Places without.
const VERBATIM: &[&str] = &[
    "CMD ${}",
    "CMD [\"${}\"]",
    "ENTRYPOINT ${}",
    "ENTRYPOINT [\"${}\"]",
    "SHELL [\"${}\"]",
    "HEALTHCHECK CMD ${}",
    "HEALTHCHECK CMD [\"${}\"]",
    "RUN ${}",
    "RUN [\"${}\"]",
    "RUN <<E\n${}\nE",
    "RUN <<E cat\n${}\nE",
    "MAINTAINER ${}",
    "ONBUILD ENV a=${}",
    "ONBUILD COPY <<E /x\n${}\nE",
    "COPY --exclude=${} a /",
    "ADD --exclude=${} a /",
    "COPY <<'E' /x\n${}\nE",
    "COPY <<\"E\" /x\n${}\nE",
    "ADD <<\\E /x\n${}\nE",
    "LABEL a='${}'",
    "LABEL a=\\${}",
];

/// T-EXP-05: a substitution that cannot be right is noticed wherever there are substitutions, at its line, and nowhere else.
#[test]
fn every_place_is_expanded_or_is_not() {
    for expanded in EXPANDED {
        let problems = Build::of(&format!("FROM base\n{expanded}")).problems();
        let found = problems.contains("`${}`: bad substitution");
        // A body is a place of its own, behind the line of the instruction.
        let at_line = problems
            .lines()
            .any(|line| line.starts_with("Dockerfile:2:") || line.starts_with("Dockerfile:3:"));
        assert!(found && at_line, "{expanded}: {problems}");
    }
    for global in [
        "ARG a=${}\nFROM base",
        "FROM ${}",
        "FROM --platform=${} base",
    ] {
        let problems = Build::of(global).problems();
        let found = problems.starts_with("Dockerfile:1:") && problems.contains("`${}`");
        assert!(found, "{global}: {problems}");
    }
    for verbatim in VERBATIM {
        Build::of(&format!("FROM base\n{verbatim}")).plan();
    }
}

/// T-EXP-07
#[test]
fn env_uses_the_values_from_before_the_instruction_and_arg_those_of_the_same() {
    let file = "FROM scratch\nENV abc=hello\nENV abc=bye def=$abc\nLABEL a=$def";
    assert_eq!(Build::of(file).label("a"), "hello");
    let file = "FROM scratch\nARG a=1 b=$a\nLABEL a=$b";
    assert_eq!(Build::of(file).label("a"), "1");
}

/// T-EXP-08
#[test]
fn a_default_is_not_evaluated_when_it_is_overridden() {
    for file in [
        "ARG a=${missing:?boom}\nFROM scratch",
        "FROM scratch\nARG a=${missing:?boom}",
    ] {
        assert!(Build::of(file).problems().contains("boom"), "{file}");
        Build::of(file).arg("a", "1").plan();
    }
}

/// D 2.3: problems of several instructions are reported together, each with its line.
#[test]
fn problems_are_collected() {
    let problems =
        Build::of("FROM scratch\nENV a=${b:=c}\nLABEL x=${}\nCOPY --chmod=10000 a /").problems();
    let places: Vec<&str> = problems
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert_eq!(
        places,
        ["Dockerfile:2:", "Dockerfile:3:", "Dockerfile:4:"],
        "{problems}"
    );
}

/// dockerfile.md § 4: who asks for a platform gets an image that says so, whatever its base is for.
#[test]
fn the_image_is_for_the_platform_that_was_asked_for() {
    let platform = |build: Build| {
        let config = build.result().config;
        [
            config.os,
            config.architecture,
            config.variant.unwrap_or_default(),
        ]
        .join("/")
    };
    let other = "FROM --platform=linux/amd64 base";
    assert_eq!(
        platform(Build::of(other).platform("linux/arm64")),
        "linux/arm64/"
    );
    assert_eq!(
        platform(Build::of(other).platform("linux/arm/v6")),
        "linux/arm/v6"
    );
    assert_eq!(platform(Build::of(other)), "linux/amd64/");
    let arm = ImageConfig {
        architecture: "arm64".into(),
        os: "linux".into(),
        variant: Some("v8".into()),
        ..ImageConfig::default()
    };
    let build = || Build::of("FROM arm").image_config("arm", arm.clone(), 1);
    // Not asked for: what the base says, in the usual spelling.
    assert_eq!(platform(build()), "linux/arm64/");
    assert_eq!(platform(build().platform("linux/arm64")), "linux/arm64/");
}
