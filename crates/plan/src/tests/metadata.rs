//! T-META: what instructions do to the config.

use kigumi_oci::ContainerConfig;

use super::Build;
use crate::{MakeDirOp, Op};

/// T-META-01
#[test]
fn workdir_is_absolute_and_belongs_to_the_user_of_its_place() {
    let file =
        "FROM base\nENV d=sub\nUSER daemon\nWORKDIR a\nWORKDIR $d\nUSER root:root\nWORKDIR ../x/";
    let directories: Vec<MakeDirOp> = Build::of(file)
        .result()
        .steps
        .into_iter()
        .filter_map(|step| match step.op {
            Op::MakeDir(directory) => Some(directory),
            Op::Run(_) | Op::Copy(_) | Op::Config => None,
        })
        .collect();
    let expected = [
        ("/a", "daemon"),
        ("/a/sub", "daemon"),
        ("/a/x", "root:root"),
    ];
    assert_eq!(
        directories,
        expected.map(|(path, user)| MakeDirOp {
            path: path.into(),
            user: Some(user.into())
        })
    );
    assert_eq!(
        Build::of(file).config().working_dir.as_deref(),
        Some("/a/x")
    );
}

/// T-META-02
#[test]
fn workdir_is_a_layer_unless_it_is_the_root() {
    let file = "FROM scratch\nWORKDIR /a/b/\nWORKDIR /";
    assert_eq!(Build::of(file).history(), ["+WORKDIR /a/b/", "WORKDIR /"]);
    assert_eq!(Build::of(file).result().steps[1].op, Op::Config);
}

/// T-META-03
#[test]
fn volume_touches_no_file_and_is_never_blank() {
    let stage =
        Build::of("FROM base\nARG v=\"/a /b\"\nVOLUME $v /c [/d\nVOLUME [\"/e f\"]").result();
    assert!(stage.steps.iter().all(|step| step.op == Op::Config));
    assert_eq!(
        stage.config.config.volumes.unwrap(),
        ["/a /b", "/c", "/e f", "[/d"]
    );
    for file in [
        "VOLUME $none",
        "VOLUME /a $none",
        "VOLUME [\"/a\", \"$none\"]",
    ] {
        let problems = Build::of(&format!("FROM base\n{file}")).problems();
        assert!(
            problems.contains("Dockerfile:2:") && problems.contains("`$none` of VOLUME"),
            "{problems}"
        );
    }
}

/// T-META-04
#[test]
fn entrypoint_clears_an_inherited_cmd_only() {
    let inherited = ContainerConfig {
        cmd: Some(vec!["base".into()]),
        ..ContainerConfig::default()
    };
    for (file, cmd) in [
        ("FROM img\nENTRYPOINT [\"e\"]", None),
        ("FROM img\nCMD [\"x\"]\nENTRYPOINT [\"e\"]", Some("x")),
        ("FROM img\nENTRYPOINT [\"e\"]\nCMD [\"x\"]", Some("x")),
        (
            "FROM img AS p\nCMD [\"x\"]\nFROM p\nENTRYPOINT [\"e\"]",
            None,
        ),
        ("FROM img\nLABEL a=1", Some("base")),
    ] {
        let config = Build::of(file).image("img", inherited.clone()).config();
        assert_eq!(
            config.cmd.map(|cmd| cmd.join(" ")).as_deref(),
            cmd,
            "{file}"
        );
    }
}

/// T-META-05
#[test]
fn shell_applies_to_later_shell_forms_and_to_children() {
    let file = "FROM base AS p\nCMD one\nSHELL [\"/s\", \"-x\"]\nENTRYPOINT two\nHEALTHCHECK CMD three\n\
        FROM p\nRUN four\nRUN <<E\nfive\nE";
    let config = Build::of(file).config();
    assert_eq!(config.cmd.unwrap(), ["/bin/sh", "-c", "one"]);
    assert_eq!(config.entrypoint.unwrap(), ["/s", "-x", "two"]);
    assert_eq!(config.healthcheck.unwrap().test, ["CMD-SHELL", "three"]);
    assert_eq!(config.shell.unwrap(), ["/s", "-x"]);
    let runs = Build::of(file).runs();
    assert_eq!(runs[0].argv, ["/s", "-x", "four"]);
    assert_eq!(runs[1].argv, ["/s", "-x", "five\n"]);
}

/// T-META-06
#[test]
fn an_empty_cmd_clears_and_sets_args_escaped() {
    let inherited = ContainerConfig {
        cmd: Some(vec!["base".into()]),
        ..ContainerConfig::default()
    };
    let config = Build::of("FROM img\nCMD []")
        .image("img", inherited)
        .config();
    assert_eq!(config.cmd, Some(Vec::new()));
    assert_eq!(config.args_escaped, Some(true));
    assert_eq!(
        Build::of("FROM base\nENTRYPOINT x").config().args_escaped,
        None
    );
}

/// T-META-07
#[test]
fn healthcheck_keeps_its_options_in_nanoseconds() {
    let file = "FROM scratch\nHEALTHCHECK --interval=1500ms --start-interval=2s --retries=3 CMD [\"a\", \"b\"]";
    let check = Build::of(file).config().healthcheck.unwrap();
    assert_eq!(check.test, ["CMD", "a", "b"]);
    assert_eq!(
        (
            check.interval,
            check.start_interval,
            check.timeout,
            check.retries
        ),
        (1_500_000_000, 2_000_000_000, 0, 3)
    );
    let none = Build::of("FROM scratch\nHEALTHCHECK NONE").config();
    assert_eq!(none.healthcheck.unwrap().test, ["NONE"]);
}

/// T-META-08, T-META-09
#[test]
fn values_that_make_no_sense_name_themselves_and_their_line() {
    for (instruction, named) in [
        ("STOPSIGNAL SIGFOO", "SIGFOO"),
        ("STOPSIGNAL $none", "$none"),
        ("EXPOSE 80/foo", "80/foo"),
        ("EXPOSE 70000", "70000"),
        ("COPY --chmod=10000 a /", "10000"),
        ("COPY --chmod=u=y a /", "u=y"),
    ] {
        let problems = Build::of(&format!("FROM scratch\n{instruction}")).problems();
        assert!(problems.contains(named), "{problems}");
        assert!(problems.starts_with("Dockerfile:2:"), "{problems}");
    }
}

/// T-META-09
#[test]
fn exposed_ports_are_a_set() {
    let file = "FROM scratch\nARG P=\"80 90/UDP\"\nEXPOSE $P 100-101 80/tcp\nEXPOSE $none";
    let ports = Build::of(file).config().exposed_ports.unwrap();
    assert_eq!(ports, ["100/tcp", "101/tcp", "80/tcp", "90/udp"]);
}

/// T-META-10
#[test]
fn triggers_are_stored_as_written() {
    let file = "FROM scratch\nonbuild copy a /a\nONBUILD ENV   x=$y";
    let triggers = Build::of(file).config().on_build.unwrap();
    assert_eq!(triggers, ["copy a /a", "ENV   x=$y"]);
}

/// T-META-11
#[test]
fn labels_of_the_command_line_come_last_and_leave_no_history() {
    let mut build = Build::of("FROM scratch AS p\nFROM p\nLABEL a=file");
    build.inputs.labels = vec![("a".into(), "first".into()), ("a".into(), "cli".into())];
    let plan = build.plan();
    assert_eq!(
        plan.stages[0].config.config.labels, None,
        "only the target has them"
    );
    let target = &plan.stages[1].config;
    assert_eq!(target.config.labels.as_ref().unwrap()["a"], "cli");
    assert_eq!(target.history.len(), 1);
}

/// T-META-11
#[test]
fn user_is_stored_as_expanded_and_maintainer_is_the_author() {
    let file = "FROM base\nARG u=daemon\nUSER ${u}:100\nMAINTAINER me <m@e>";
    let stage = Build::of(file).result();
    assert_eq!(stage.config.config.user.as_deref(), Some("daemon:100"));
    assert_eq!(stage.config.author.as_deref(), Some("me <m@e>"));
}

/// T-META-12
#[test]
fn the_legacy_form_of_env_is_stored_like_the_other() {
    let config = Build::of("FROM base\nENV x y  z").config();
    assert_eq!(config.env.unwrap(), ["PATH=/bin", "x=y  z"]);
}

/// D 9: what describes the base alone does not describe what is built on it.
#[test]
fn unknown_fields_of_the_base_are_dropped() {
    let text = r#"{"architecture":"amd64","os":"linux","os.version":"10","container":"c0ffee",
        "moby.buildkit.cache.v0":"e30=","config":{"Hostname":"h","Labels":{"a":"1"}}}"#;
    let config = serde_json::from_str(text).unwrap();
    let config = Build::of("FROM img")
        .image_config("img", config, 1)
        .result()
        .config;
    assert_eq!(config.extra.into_keys().collect::<Vec<_>>(), ["os.version"]);
    assert!(config.config.extra.is_empty());
    assert_eq!(config.config.labels.unwrap()["a"], "1");
}
