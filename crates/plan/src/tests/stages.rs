//! T-STAGE: which stages are needed, what names mean, ONBUILD.

use kigumi_oci::{ContainerConfig, ImageConfig};

use super::Build;
use crate::{Base, CopySource, ImageId, Op, StageId};

fn on_build(triggers: &[&str]) -> ContainerConfig {
    ContainerConfig {
        on_build: Some(triggers.iter().map(|text| (*text).to_owned()).collect()),
        ..ContainerConfig::default()
    }
}

fn ids(plan: &crate::BuildPlan) -> Vec<usize> {
    plan.stages.iter().map(|stage| stage.id.0).collect()
}

/// T-STAGE-01, T-STAGE-10: what is wrong whatever is built is wrong in a stage that nothing needs, too.
#[test]
fn references_that_can_never_be_right_are_refused_in_unneeded_stages() {
    for (reference, named) in [
        ("COPY --from=7 x /", "`7`"),
        ("COPY --from=-1 x /", "`-1`"),
        ("COPY --from=0 x /", "`0`"),
        ("COPY --from=a x /", "`a`"),
        ("RUN --mount=from=a,target=/m x", "`a`"),
    ] {
        let file = format!("FROM scratch AS a\n{reference}\nFROM scratch AS b\nFROM scratch");
        let problems = Build::of(&file).problems();
        assert!(
            problems.starts_with("Dockerfile:2:") && problems.contains(named),
            "{problems}"
        );
    }
    for reference in [
        "COPY --from=b x /",
        "COPY --from=1 x /",
        "COPY --from=nowhere x /",
    ] {
        Build::of(&format!(
            "FROM scratch AS a\n{reference}\nFROM scratch AS b\nFROM scratch"
        ))
        .plan();
    }
}

/// T-STAGE-01
#[test]
fn an_index_counts_unneeded_stages() {
    let plan = Build::of("FROM scratch\nFROM scratch\nFROM scratch\nCOPY --from=1 /a /b").plan();
    assert_eq!(ids(&plan), [1, 2]);
    let Op::Copy(copy) = &plan.stages[1].steps[0].op else {
        panic!("{plan}")
    };
    assert_eq!(copy.from, CopySource::Stage(StageId(1)));
}

/// T-STAGE-01, T-STAGE-10
#[test]
fn references_that_are_not_to_an_earlier_stage_fail() {
    for (file, expected) in [
        ("FROM scratch\nCOPY --from=7 /x /y", "stage index `7`"),
        ("FROM scratch\nCOPY --from=-1 /x /y", "stage index `-1`"),
        (
            "FROM scratch\nCOPY --from=1 /x /y\nFROM scratch\nCOPY --from=0 / /",
            "stage index `1`",
        ),
        ("FROM scratch\nCOPY --from=0 /x /y", "circular dependency"),
        (
            "FROM scratch AS a\nCOPY --from=A /x /y",
            "circular dependency",
        ),
        (
            "FROM scratch AS a\nCOPY --from=b /x /y\nFROM scratch AS b\nFROM a",
            "cannot copy from stage `b`: it needs to be defined before stage `a`",
        ),
        (
            "FROM scratch\nCOPY --from=Bad:ref:x /x /y",
            "`Bad:ref:x` is not an image reference",
        ),
    ] {
        let problems = Build::of(file).problems();
        assert!(problems.contains(expected), "{problems}");
        assert!(problems.starts_with("Dockerfile:2:"), "{problems}");
    }
}

/// T-STAGE-02, T-STAGE-11, T-STAGE-12
#[test]
fn stage_names_ignore_case_and_the_later_of_two_wins() {
    let file = "FROM scratch AS X\nLABEL a=1\nFROM scratch AS x\nLABEL a=2\nFROM X AS End";
    assert_eq!(Build::of(file).label("a"), "2");
    assert_eq!(Build::of(file).target("eND").label("a"), "2");
    assert_eq!(ids(&Build::of(file).plan()), [1, 2]);
    // A reference between the two means the first.
    let file = "FROM scratch AS x\nLABEL a=1\nFROM x\nFROM scratch AS x\nLABEL a=2";
    assert_eq!(
        ids(&Build::of(&format!("{file}\nFROM scratch")).plan()),
        [3]
    );
}

/// T-STAGE-03
#[test]
fn an_unneeded_stage_is_never_resolved() {
    let file = "FROM nowhere.invalid/x/y:z AS bad\nFROM Not:a:reference AS worse\nFROM scratch";
    let (plan, asked) = Build::of(file).plan_and_queries().unwrap();
    assert!(asked.is_empty() && plan.images.is_empty());
    assert_eq!(ids(&plan), [2]);
}

/// T-STAGE-04
#[test]
fn a_trigger_of_a_base_image_keeps_the_stage_it_copies_from() {
    let build = Build::of("FROM scratch AS other\nFROM base AS unneeded\nFROM img")
        .image(
            "img",
            on_build(&["COPY --from=other /f /t", "COPY --from=more /f /t"]),
        )
        .image("more", ContainerConfig::default());
    let (plan, asked) = build.plan_and_queries().unwrap();
    assert_eq!(ids(&plan), [0, 2]);
    let asked: Vec<_> = asked.iter().map(|query| query.reference.as_str()).collect();
    assert_eq!(
        asked,
        [
            "docker.io/library/img:latest",
            "docker.io/library/more:latest"
        ]
    );
    assert_eq!(
        plan.stages[1].steps[0].span.line, 3,
        "triggers stand at FROM"
    );
}

/// T-STAGE-05
#[test]
fn triggers_run_in_the_child_only() {
    let file = "FROM base AS p\nONBUILD ENV t=1\nLABEL p=1\nFROM p AS c\nFROM c\nLABEL x=1";
    assert_eq!(
        Build::of(file).history(),
        ["+base layer", "LABEL p=1", "ENV t=1", "LABEL x=1"]
    );
    assert_eq!(Build::of(file).config().on_build, None);
    assert_eq!(
        Build::of(file).target("p").config().on_build,
        Some(vec!["ENV t=1".to_owned()])
    );
}

/// T-STAGE-05
#[test]
fn a_trigger_that_cannot_run_is_reported_at_the_from_line() {
    for trigger in [
        "FOO bar",
        "ONBUILD RUN x",
        "ENV a=${",
        "RUN --network=host x",
    ] {
        let problems = Build::of("FROM scratch\nFROM img")
            .image("img", on_build(&[trigger]))
            .problems();
        assert!(problems.starts_with("Dockerfile:2:"), "{problems}");
    }
}

/// T-STAGE-07
#[test]
fn siblings_share_no_config() {
    let file = "FROM scratch AS p\nLABEL p=1\nFROM p AS l\nLABEL l=1\nENV E=1\nEXPOSE 1\nVOLUME /l\n\
        FROM p\nCOPY --from=l / /\nEXPOSE 2";
    let config = Build::of(file).config();
    assert_eq!(
        config.labels.unwrap().into_keys().collect::<Vec<_>>(),
        ["p"]
    );
    assert_eq!(config.exposed_ports.unwrap(), ["2/tcp"]);
    assert_eq!((config.volumes, config.env.unwrap().len()), (None, 1));
}

/// T-STAGE-08
#[test]
fn an_image_is_asked_for_once_per_platform() {
    let file = "FROM --platform=$BUILDPLATFORM base AS b\nCOPY --from=base /x /x\nFROM base\n\
        COPY --from=b /x /y\nCOPY --from=docker.io/library/base:latest /x /z";
    let (plan, asked) = Build::of(file)
        .platform("linux/arm64")
        .plan_and_queries()
        .unwrap();
    let asked: Vec<_> = asked
        .iter()
        .map(|query| query.platform.to_string())
        .collect();
    assert_eq!(asked, ["linux/amd64", "linux/arm64"]);
    assert_eq!(plan.stages[0].base, Base::Image(ImageId(0)));
    assert_eq!(plan.stages[1].base, Base::Image(ImageId(1)));
    let readers = plan.readers(&CopySource::Image(ImageId(1)));
    assert_eq!(
        readers.map(|(stage, _)| stage.0).collect::<Vec<_>>(),
        [0, 1]
    );
}

/// T-STAGE-12
#[test]
fn a_target_is_a_name_and_an_unknown_one_suggests() {
    let file = "FROM scratch AS builder\nFROM scratch";
    let problems = Build::of(file).target("biulder").problems();
    assert!(problems.contains("`biulder`") && problems.contains("did you mean `builder`"));
    assert!(
        Build::of(file)
            .target("0")
            .problems()
            .contains("stages with a name: `builder`")
    );
    assert_eq!(ids(&Build::of(file).target("").plan()), [1]);
}

/// T-STAGE-13
#[test]
fn path_and_working_directory_have_defaults() {
    let scratch = Build::of("FROM scratch").config();
    assert_eq!(scratch.working_dir.as_deref(), Some("/"));
    assert!(
        scratch
            .env_lookup("PATH")
            .unwrap()
            .starts_with("/usr/local/sbin:")
    );
    let no_path = ContainerConfig {
        env: Some(vec!["A=1".into(), "JUNK".into()]),
        ..ContainerConfig::default()
    };
    let config = Build::of("FROM img").image("img", no_path).config();
    assert_eq!(config.env.unwrap()[..2], ["A=1", "JUNK"]);
    assert_eq!(Build::of("FROM base").config().env.unwrap(), ["PATH=/bin"]);
}

/// T-STAGE-13, T-STAGE-14
#[test]
fn a_base_without_layers_still_has_its_config() {
    let config = ImageConfig {
        config: ContainerConfig {
            env: Some(vec!["A=1".into()]),
            ..ContainerConfig::default()
        },
        ..ImageConfig::default()
    };
    let stage = Build::of("FROM img\nCOPY a /a")
        .image_config("img", config, 0)
        .result();
    assert_eq!(stage.config.config.env_lookup("A"), Some("1"));
    assert_eq!(stage.config.architecture, "amd64");
}

/// T-STAGE-16
#[test]
fn from_does_not_accept_an_index() {
    let (_, asked) = Build::of("FROM scratch\nFROM 0")
        .image("0", ContainerConfig::default())
        .plan_and_queries()
        .unwrap();
    assert_eq!(asked[0].reference, "docker.io/library/0:latest");
}

/// T-HIST-06, and D 4: `--platform` of an empty base describes nothing.
#[test]
fn the_platform_of_the_config_is_that_of_the_base_or_of_the_build() {
    let config = Build::of("FROM scratch")
        .platform("linux/arm/v7")
        .result()
        .config;
    assert_eq!(config.platform().to_string(), "linux/arm/v7");
    let stage = Build::of("FROM --platform=linux/s390x scratch").result();
    assert_eq!(stage.config.architecture, "amd64");
    assert_eq!(stage.platform.to_string(), "linux/s390x");
}

/// Lint `InvalidBaseImagePlatform`.
#[test]
fn a_base_for_another_platform_is_warned_about() {
    let plan = Build::of("FROM base").platform("linux/arm64").plan();
    assert_eq!(plan.warnings[0].name, "InvalidBaseImagePlatform");
    assert!(
        plan.warnings[0]
            .message
            .contains("`linux/amd64`, not `linux/arm64`")
    );
}

#[test]
fn another_operating_system_is_refused() {
    let problems = Build::of("FROM scratch")
        .platform("windows/amd64")
        .problems();
    assert!(
        problems.contains("`windows/amd64` is not supported yet"),
        "{problems}"
    );
}

#[test]
fn a_platform_written_the_wrong_way_round_is_told_so() {
    let problems = Build::of("FROM scratch").platform("arm64/linux").problems();
    assert!(
        problems.contains(
            "`arm64/linux` is no platform: the operating system comes first, as in `linux/arm64`"
        ),
        "{problems}"
    );
}

#[test]
fn an_unanswered_question_is_an_error_and_no_plan() {
    let file = kigumi_dockerfile::parse("FROM base", "Dockerfile").unwrap();
    let inputs = Build::of("").inputs;
    let problems = crate::Planner::new(&file, inputs)
        .unwrap()
        .finish()
        .unwrap_err();
    assert!(
        problems
            .to_string()
            .contains("`docker.io/library/base:latest` was not resolved")
    );
}

#[test]
fn children_and_readers_of_a_stage_are_known() {
    let plan = Build::of("FROM scratch AS a\nFROM a AS b\nFROM a\nCOPY --from=b / /").plan();
    let children: Vec<_> = plan
        .children(&Base::Stage(StageId(0)))
        .map(|id| id.0)
        .collect();
    assert_eq!(children, [1, 2]);
    assert_eq!(plan.readers(&CopySource::Stage(StageId(1))).count(), 1);
    assert_eq!(plan.readers(&CopySource::Stage(StageId(0))).count(), 0);
}

/// A name that means nothing else is an image, but perhaps a stage was meant.
#[test]
fn a_question_says_which_stage_may_have_been_meant() {
    for (file, expected) in [
        (
            "FROM scratch AS builder\nFROM scratch\nCOPY --from=biulder / /",
            Some("`builder`"),
        ),
        (
            "FROM biulder\nFROM scratch AS builder\nCOPY --from=0 / /",
            None,
        ),
        (
            "FROM later AS x\nFROM scratch AS later\nCOPY --from=x / /",
            Some("line 2"),
        ),
        ("FROM scratch AS builder\nFROM alpine", None),
    ] {
        let file = kigumi_dockerfile::parse(file, "Dockerfile").unwrap();
        let planner = crate::Planner::new(&file, Build::of("").inputs).unwrap();
        let help = planner.wanted().remove(0).help;
        match expected {
            Some(expected) => assert!(help.as_ref().unwrap().contains(expected), "{help:?}"),
            None => assert_eq!(help, None),
        }
    }
}

/// Contract § 3, `--target`
#[test]
fn other_targets_are_built_and_are_not_the_image() {
    let file =
        "FROM scratch AS a\nFROM scratch AS b\nLABEL b=1\nFROM scratch AS c\nFROM scratch AS d\n";
    let mut build = Build::of(file).target("b");
    build.inputs.other_targets = vec!["D".to_owned(), "a".to_owned()];
    let plan = build.plan();
    assert_eq!((ids(&plan), plan.target), (vec![0, 1, 3], StageId(1)));
}

#[test]
fn another_target_that_does_not_exist_is_named() {
    let mut build = Build::of("FROM scratch AS a\n").target("a");
    build.inputs.other_targets = vec!["tests".to_owned()];
    let problems = build.problems();
    assert!(
        problems.contains("target stage `tests` is not defined"),
        "{problems}"
    );
}
