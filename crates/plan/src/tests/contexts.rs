//! Named contexts: what they stand in for.

use kigumi_oci::ContainerConfig;

use super::Build;
use crate::{Base, ContextKind, CopySource, ImageId, NamedContext, Op, StageId};

fn sources(build: Build) -> Vec<CopySource> {
    let steps = build.result().steps.into_iter();
    let sources = steps.filter_map(|step| match step.op {
        Op::Copy(copy) => Some(copy.from),
        Op::Run(_) | Op::MakeDir(_) | Op::Config => None,
    });
    sources.collect()
}

/// T-STAGE-15
#[test]
fn a_context_is_what_its_name_means_in_from_and_copy() {
    let build =
        Build::of("FROM src\nCOPY --from=src:latest /a /\nCOPY --from=docker.io/library/src /b /")
            .context("src", ContextKind::Files);
    let stage = build.result();
    assert_eq!(stage.base, Base::Context("src".into()));
    for step in &stage.steps {
        assert!(
            step.reads_from(&CopySource::NamedContext("src".into())),
            "{}",
            step.text
        );
    }
    assert_eq!(stage.config.config.working_dir.as_deref(), Some("/"));
    // One entry for each layer (T-HIST-02).
    let layers = stage
        .config
        .history
        .iter()
        .filter(|entry| !entry.empty_layer);
    assert_eq!(layers.count(), 3);
}

/// T-STAGE-15
#[test]
fn a_context_stands_in_for_a_stage_of_its_name_however_it_is_referred_to() {
    let text = "FROM nowhere AS src\nRUN never\nONBUILD RUN never\nFROM src AS child\nFROM scratch\n\
                COPY --from=src /f /\nCOPY --from=0 /f /\nCOPY --from=child /f /";
    let build = || Build::of(text).context("src", ContextKind::Files);
    let stage = |n| CopySource::Stage(StageId(n));
    assert_eq!(sources(build()), [stage(0), stage(0), stage(1)]);
    let plan = build().plan();
    let src = plan.stage(StageId(0)).unwrap();
    assert_eq!(
        (&src.base, src.steps.len()),
        (&Base::Context("src".into()), 0)
    );
    let child = plan.stage(StageId(1)).unwrap();
    assert_eq!(
        (&child.base, child.steps.len()),
        (&Base::Stage(StageId(0)), 0)
    );
    assert_eq!(
        build().target("src").result().base,
        Base::Context("src".into())
    );
    assert!(plan.images.is_empty());
}

#[test]
fn an_image_context_is_asked_for_under_its_own_reference() {
    let config = ContainerConfig {
        env: Some(vec!["PATH=/p".into()]),
        on_build: Some(vec!["ENV by=trigger".into()]),
        ..ContainerConfig::default()
    };
    for text in [
        "FROM mybase\nLABEL l=$by",
        "FROM mybase:latest\nLABEL l=$by",
        "FROM base AS mybase\nRUN never\nFROM mybase\nLABEL l=$by",
    ] {
        let kind = ContextKind::Image("docker.io/library/real:latest".into());
        let build = Build::of(text)
            .image("real", config.clone())
            .context("mybase", kind);
        let plan = build.plan();
        let references: Vec<&str> = plan
            .images
            .iter()
            .map(|image| image.reference.as_str())
            .collect();
        assert_eq!(references, ["docker.io/library/real:latest"], "{text}");
        let stage = plan.stage(plan.target).unwrap();
        assert_eq!(
            stage.config.config.labels.as_ref().unwrap()["l"],
            "trigger",
            "{text}"
        );
    }
}

#[test]
fn an_image_context_is_one_image_with_others_of_its_reference() {
    let kind = ContextKind::Image("docker.io/library/base:latest".into());
    let build = Build::of("FROM base\nCOPY --from=tools /a /\nCOPY --from=base /b /");
    let build = build.context("tools", kind);
    let image = || CopySource::Image(ImageId(0));
    assert_eq!(sources(build), [image(), image()]);
}

/// T-STAGE-15
#[test]
fn the_context_of_a_platform_wins_over_the_one_of_all() {
    let contexts = [("src", 1), ("src::linux/arm64", 2), ("src", 3)];
    for (platform, name) in [("linux/arm64", "src::linux/arm64"), ("linux/amd64", "src")] {
        let mut build = Build::of("FROM scratch\nCOPY --from=src /f /").platform(platform);
        for (name, _) in contexts {
            build = build.context(name, ContextKind::Files);
        }
        assert_eq!(sources(build), [CopySource::NamedContext(name.into())]);
    }
}

#[test]
fn of_two_contexts_with_one_name_the_last_counts() {
    let build = Build::of("FROM src");
    let build = build
        .context("src", ContextKind::Files)
        .context("src:latest", ContextKind::Scratch);
    assert_eq!(build.result().base, Base::Scratch);
}

#[test]
fn contexts_of_other_names_change_nothing() {
    let build =
        Build::of("FROM base AS a\nRUN x\nFROM a\nCOPY --from=a /f /\nCOPY --from=scratch /g /");
    let build = build
        .context("b", ContextKind::Files)
        .context("base:2", ContextKind::Files)
        .context("a::linux/s390x", ContextKind::Files);
    assert_eq!(
        sources(build),
        [CopySource::Stage(StageId(0)), CopySource::Scratch]
    );
}

#[test]
fn names_that_mean_something_else_are_no_names_for_contexts() {
    for (name, expected) in [
        ("scratch", "reserved"),
        ("Context", "reserved"),
        ("Src", "form of an image name"),
        ("", "form of an image name"),
        ("src::linux/a/b/c", "linux/a/b/c"),
    ] {
        let problem = NamedContext::new(name, ContextKind::Files).unwrap_err();
        assert!(problem.contains(expected), "{name}: {problem}");
    }
}

#[test]
fn a_plan_shows_contexts_by_their_names() {
    let build = Build::of("FROM src\nCOPY --from=other /f /");
    let build = build
        .context("src", ContextKind::Files)
        .context("other", ContextKind::Files);
    let text = build.plan().to_string();
    for part in [
        "from context \"src\"",
        "copy     context \"other\" [/f] -> /",
    ] {
        assert!(text.contains(part), "{text}");
    }
}
