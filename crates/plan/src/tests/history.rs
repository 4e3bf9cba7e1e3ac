//! T-HIST: what the image says about its own making.

use kigumi_oci::{HistoryEntry, ImageConfig};
use proptest::prelude::*;

use super::{Build, CREATED};

/// T-HIST-01
#[test]
fn the_texts_are_those_of_buildkit() {
    for (instruction, expected) in [
        ("ENV a=b c=\"d e\"", "ENV a=b c=d e"),
        ("ENV a b  c", "ENV a=b  c"),
        ("LABEL a=1 \"b c\"=2", "LABEL a=1 b c=2"),
        ("ARG A=arg", "ARG A=arg"),
        ("ARG A", "ARG A"),
        ("ARG A=1 B", "ARG A=1 B"),
        ("CMD true", "CMD [\"/bin/sh\" \"-c\" \"true\"]"),
        ("CMD [\"x\\\"y\", \"ü\"]", "CMD [\"x\\\"y\" \"ü\"]"),
        ("CMD []", "CMD []"),
        ("ENTRYPOINT [\"a\", \"b\"]", "ENTRYPOINT [\"a\" \"b\"]"),
        ("EXPOSE 9000 80 443/TCP", "EXPOSE [443/tcp 80/tcp 9000/tcp]"),
        ("VOLUME [\"/a b\", \"/c\"]", "VOLUME [/a b /c]"),
        ("SHELL [\"/bin/sh\", \"-c\"]", "SHELL [/bin/sh -c]"),
        ("USER a:b", "USER a:b"),
        ("STOPSIGNAL SIGINT", "STOPSIGNAL SIGINT"),
        ("MAINTAINER me", "MAINTAINER me"),
        ("WORKDIR x/../y", "+WORKDIR /y"),
        ("RUN cmd", "+RUN /bin/sh -c cmd # buildkit"),
        ("RUN [\"echo\", \"hi\"]", "+RUN echo hi # buildkit"),
        (
            "RUN <<E\necho one\nE",
            "+RUN /bin/sh -c echo one\n # buildkit",
        ),
        ("COPY a b /c/", "+COPY a b /c/ # buildkit"),
        ("COPY $none /", "+COPY  / # buildkit"),
        (
            "COPY --chmod=go-rwx --chown=1:2 --link --parents --exclude=x a /l/",
            "+COPY --parents --chown=1:2 --chmod=go-rwx a /l/ # buildkit",
        ),
        (
            "ADD --unpack=false <<A <<\"B\" .\nA\nB",
            "+ADD <<A <<B . # buildkit",
        ),
        (
            "HEALTHCHECK --start-interval=2s CMD x",
            "HEALTHCHECK {Test:[CMD-SHELL x] Interval:0s Timeout:0s StartPeriod:0s StartInterval:2s Retries:0}",
        ),
        (
            "HEALTHCHECK NONE",
            "HEALTHCHECK {Test:[NONE] Interval:0s Timeout:0s StartPeriod:0s StartInterval:0s Retries:0}",
        ),
    ] {
        let history = Build::of(&format!("FROM scratch\n{instruction}\n")).history();
        assert_eq!(history, [expected], "{instruction}");
    }
}

/// T-HIST-01
#[test]
fn onbuild_leaves_no_entry() {
    let build = Build::of("FROM scratch\nONBUILD RUN x");
    assert_eq!(build.history(), Vec::<String>::new());
}

/// T-HIST-02: layers and entries with a layer are equal in number, whatever the base says.
#[test]
fn an_inconsistent_history_of_the_base_is_made_to_agree_with_its_layers() {
    for (entries, layers) in [(0, 2), (1, 2), (3, 2), (2, 2), (1, 0)] {
        let config = ImageConfig {
            history: vec![HistoryEntry::default(); entries],
            ..ImageConfig::default()
        };
        let build = Build::of("FROM img\nLABEL a=1").image_config("img", config, layers);
        let history = build.result().config.history;
        let with_layer = history.iter().filter(|entry| !entry.empty_layer).count();
        assert_eq!(with_layer, usize::from(layers), "{entries} entries");
        assert_eq!(
            history.last().unwrap().created_by.as_deref(),
            Some("LABEL a=1")
        );
    }
}

/// T-HIST-03
#[test]
fn entries_carry_the_comment_and_the_base_is_unchanged() {
    let base = HistoryEntry {
        created: Some("2001-02-03T04:05:06Z".into()),
        created_by: Some("one".into()),
        author: Some("au".into()),
        comment: Some("c".into()),
        empty_layer: false,
    };
    let config = ImageConfig {
        history: vec![base.clone()],
        ..ImageConfig::default()
    };
    let build = Build::of("FROM img\nRUN x\nENV a=b").image_config("img", config, 1);
    let history = build.result().config.history;
    assert_eq!(history[0], base);
    for entry in &history[1..] {
        assert_eq!(entry.comment.as_deref(), Some("buildkit.dockerfile.v0"));
        assert_eq!(entry.created.as_deref(), Some(CREATED));
    }
}

/// T-HIST-04
#[test]
fn every_run_is_a_layer() {
    let build = Build::of("FROM base\nRUN true\nRUN true");
    let layers = build.history();
    assert!(
        layers.iter().all(|text| text.starts_with('+')),
        "{layers:?}"
    );
}

/// D 14.6
#[test]
fn source_date_epoch_sets_all_new_times_and_empty_resets_it() {
    for (global, given, expected) in [
        ("", Some("1700000000"), Some("2023-11-14T22:13:20Z")),
        (
            "ARG SOURCE_DATE_EPOCH=1000\n",
            None,
            Some("1970-01-01T00:16:40Z"),
        ),
        ("ARG SOURCE_DATE_EPOCH=1000\n", Some(""), None),
        ("", Some("0"), Some("1970-01-01T00:00:00Z")),
    ] {
        let mut build = Build::of(&format!("{global}FROM base\nLABEL a=1"));
        if let Some(given) = given {
            build = build.arg("SOURCE_DATE_EPOCH", given);
        }
        let plan = build.plan();
        let config = &plan.stages[0].config;
        let expected_time = expected.unwrap_or(CREATED);
        assert_eq!(config.created.as_deref(), Some(expected_time));
        assert_eq!(config.history[1].created.as_deref(), Some(expected_time));
        assert_eq!(config.history[0].created, None, "that of the base");
        assert_eq!(plan.source_date_epoch.is_some(), expected.is_some());
    }
}

/// D 3
#[test]
fn an_epoch_that_is_neither_a_number_nor_a_name_is_an_error() {
    let build = Build::of("FROM scratch AS src\nFROM scratch");
    let problems = build.arg("SOURCE_DATE_EPOCH", "yesterday").problems();
    assert!(
        problems.contains("SOURCE_DATE_EPOCH `yesterday` is not a number"),
        "{problems}"
    );
}

/// T-FMT-05
#[test]
fn an_epoch_may_be_the_time_of_a_stage_that_adds_one_file() {
    let file = "ARG SOURCE_DATE_EPOCH=src\nARG host=h.invalid\nFROM scratch AS src\nARG host\nARG dir=d\n\
                ADD https://$host/$dir /f\nFROM base\nARG SOURCE_DATE_EPOCH\nLABEL epoch=$SOURCE_DATE_EPOCH";
    let file = kigumi_dockerfile::parse(file, "Dockerfile").unwrap();
    let inputs = Build::of("").arg("dir", "given").inputs;
    let mut planner = crate::Planner::new(&file, inputs).unwrap();
    let query = planner.wanted_time().unwrap().clone();
    assert_eq!(
        (query.url.as_str(), query.shown.as_str(), query.span.line),
        ("https://h.invalid/given", "https://$host/$dir", 6)
    );
    planner.supply_time(1_445_412_480);
    assert_eq!(planner.wanted_time(), None);
    for query in planner.wanted() {
        planner.supply(
            &query,
            crate::BaseImage {
                reference: query.reference.clone(),
                digest: kigumi_oci::Digest::of(b""),
                config: ImageConfig::default(),
                sizes: Vec::new(),
            },
        );
    }
    let plan = planner.finish().unwrap();
    assert_eq!(plan.source_date_epoch, Some(1_445_412_480));
    let config = &plan.stages[0].config;
    assert_eq!(config.created.as_deref(), Some("2015-10-21T07:28:00Z"));
    assert_eq!(
        config.config.labels.as_ref().unwrap()["epoch"],
        "1445412480"
    );
}

/// T-FMT-05
#[test]
fn an_epoch_may_be_the_time_of_a_commit() {
    let file = "ARG SOURCE_DATE_EPOCH=src\nFROM scratch AS src\nARG sum=abc\n\
                ADD --checksum=$sum https://h.invalid/r.git#v1 /\nFROM scratch\n";
    let file = kigumi_dockerfile::parse(file, "Dockerfile").unwrap();
    let planner = crate::Planner::new(&file, Build::of("").inputs).unwrap();
    let query = planner.wanted_time().unwrap();
    assert_eq!(query.kind, crate::Remote::Git);
    assert_eq!(query.url, "https://h.invalid/r.git#v1");
    assert_eq!(query.checksum.as_deref(), Some("abc"));
}

/// T-FMT-05
#[test]
fn a_stage_that_is_more_than_one_file_has_no_time() {
    for (stage, expected) in [
        (
            "FROM base AS src\nADD https://h.invalid/a /",
            "does not start with `FROM scratch`",
        ),
        ("FROM scratch AS src", "has no ADD"),
        (
            "FROM scratch AS src\nADD a /",
            "something of the build context",
        ),
        (
            "FROM scratch AS src\nADD https://h.invalid/a https://h.invalid/b /",
            "more than one source",
        ),
        (
            "FROM scratch AS src\nADD https://h.invalid/a <<E /\nE",
            "more than one source",
        ),
        (
            "FROM scratch AS src\nADD https://h.invalid/a /\nADD https://h.invalid/b /",
            "more than one ADD",
        ),
        (
            "FROM scratch AS src\nADD https://h.invalid/a /\nENV a=b",
            "more than one ADD",
        ),
    ] {
        let build = Build::of(&format!("{stage}\nFROM base\n"));
        let problems = build.arg("SOURCE_DATE_EPOCH", "src").problems();
        assert!(problems.contains(expected), "{stage}: {problems}");
    }
}

/// T-FMT-05
#[test]
fn a_context_without_a_time_gives_the_build_none() {
    for name in ["context", "named"] {
        let build = Build::of("FROM base").context("named", crate::ContextKind::Files);
        let plan = build.arg("SOURCE_DATE_EPOCH", name).plan();
        assert_eq!(plan.source_date_epoch, None);
        let warning = plan
            .warnings
            .iter()
            .find(|warning| warning.name == "NoEpoch");
        assert!(warning.unwrap().message.contains(name));
    }
}

proptest! {
    /// T-HIST-02, for any order of instructions: what makes a layer says so in the history, nothing else does.
    #[test]
    fn layers_of_the_steps_and_of_the_history_agree(
        instructions in proptest::collection::vec(
            prop_oneof![
                Just("RUN x"), Just("COPY a /"), Just("WORKDIR w"), Just("WORKDIR /"), Just("ENV a=b"),
                Just("ARG a"), Just("ONBUILD RUN x"), Just("CMD x"), Just("FROM base"), Just("USER u"),
            ],
            0..12,
        ),
    ) {
        let plan = Build::of(&format!("FROM base\n{}", instructions.join("\n"))).plan();
        let stage = plan.stage(plan.target).unwrap();
        let layers = stage.steps.iter().filter(|step| step.op.touches_rootfs()).count();
        let entries = stage.config.history.iter().filter(|entry| !entry.empty_layer).count();
        prop_assert_eq!(entries, layers + 1);
    }
}
