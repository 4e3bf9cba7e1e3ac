//! In which order stages run that do not need each other (ADR 28).

use proptest::prelude::*;

use super::Build;
use crate::{Base, BuildPlan, CopySource, Moved, StageId};

/// With bases of three sizes, one of which begins with another.
fn plan(text: &str) -> BuildPlan {
    Build::of(text)
        .layered("large", &[("system", 100), ("compilers", 500)])
        .layered("system", &[("system", 100)])
        .layered("small", &[("small", 80)])
        .layered("other", &[("other", 79)])
        .plan()
}

fn order(text: &str) -> Vec<usize> {
    plan(text).stages.iter().map(|stage| stage.id.0).collect()
}

const END: &str = "FROM scratch\nCOPY --from=0 /a /\nCOPY --from=1 /b /\n";

#[test]
fn the_largest_base_is_unpacked_last_so_that_only_smaller_ones_are_emptied() {
    let plan = plan(&format!("FROM large\nRUN a\nFROM small\nRUN b\n{END}"));
    let ids: Vec<usize> = plan.stages.iter().map(|stage| stage.id.0).collect();
    assert_eq!(ids, [1, 0, 2]);
    let moved = |emptied| Moved {
        unpacked: 680,
        emptied,
        rolled_back: 0,
    };
    let reordered = plan.reordered.unwrap();
    assert_eq!(
        (reordered.as_written, reordered.now),
        (moved(600), moved(80))
    );
    assert_eq!(plan.target, StageId(2), "the image is the same");
}

#[test]
fn a_plan_says_why_its_order_is_not_that_of_the_file() {
    let text = format!("FROM large AS program\nRUN a\nFROM small AS data\nRUN b\n{END}");
    let text = plan(&text).to_string();
    assert_eq!(
        text.lines().next(),
        Some(
            "order  stage 1 \"data\", stage 0 \"program\", stage 2  \
             680 bytes unpacked, 80 bytes emptied; as written: 680 bytes unpacked, 600 bytes emptied"
        )
    );
}

#[test]
fn where_little_or_nothing_is_saved_the_order_is_that_of_the_file() {
    for text in [
        // The small one is emptied anyway.
        format!("FROM small\nRUN a\nFROM large\nRUN b\n{END}"),
        // About the same size.
        format!("FROM small\nRUN a\nFROM other\nRUN b\n{END}"),
        // Nothing lies on the root filesystem but the small one.
        format!("FROM large\nCOPY a /\nFROM small\nRUN b\n{END}"),
        // The last one is small whatever comes before.
        "FROM large\nRUN a\nFROM system\nRUN b\nFROM small\nRUN c\nCOPY --from=0 /a /\nCOPY --from=1 /a /\n"
            .to_owned(),
    ] {
        let plan = plan(&text);
        assert!(plan.stages.is_sorted_by_key(|stage| stage.id), "{plan}");
        assert_eq!(plan.reordered, None);
        assert!(!plan.to_string().contains("order"), "{plan}");
    }
}

#[test]
fn who_needs_a_stage_runs_after_it() {
    let needing = [
        "FROM small\nRUN b\nCOPY --from=0 /a /\n",
        "FROM small\nRUN --mount=from=first,target=/m b\n",
        "FROM small\nRUN --mount=type=cache,from=first,target=/m b\n",
    ];
    for second in needing {
        let text = format!("FROM large AS first\nRUN a\n{second}{END}");
        assert_eq!(order(&text), [0, 1, 2], "{text}");
    }
    // Through a stage that does not lie on the root filesystem.
    assert_eq!(
        order(
            "FROM large AS first\nRUN a\nFROM scratch AS between\nCOPY --from=first / /\n\
             FROM small\nRUN b\nCOPY --from=between / /\n"
        ),
        [0, 1, 2]
    );
}

#[test]
fn a_trigger_of_a_base_is_a_need_like_any_other() {
    let on_build = kigumi_oci::ContainerConfig {
        on_build: Some(vec!["COPY --from=first /a /".to_owned()]),
        ..kigumi_oci::ContainerConfig::default()
    };
    let text = format!("FROM large AS first\nRUN a\nFROM triggering\nRUN b\n{END}");
    let plan = Build::of(&text)
        .layered("large", &[("system", 100), ("compilers", 500)])
        .image("triggering", on_build)
        .plan();
    assert!(plan.stages.is_sorted_by_key(|stage| stage.id), "{plan}");
}

/// T-MNT-03: what a cache holds does not depend on the sizes of images.
#[test]
fn stages_that_mount_the_same_cache_run_as_they_are_written() {
    let text = |first: &str, second: &str| {
        format!(
            "FROM large\nRUN --mount=type=cache,{first} a\nFROM small\nRUN --mount=type=cache,{second} b\n{END}"
        )
    };
    assert_eq!(order(&text("target=/c", "target=/c/")), [0, 1, 2]);
    assert_eq!(
        order(&text("target=/c,id=x", "target=/d,id=x,sharing=private")),
        [0, 1, 2]
    );
    assert_eq!(order(&text("target=/c", "target=/c,id=x")), [1, 0, 2]);
}

/// ADR 25: going back is cheaper than emptying and unpacking.
#[test]
fn stages_on_one_base_run_one_after_the_other() {
    let end = format!("{END}COPY --from=2 /c /\n");
    let text = format!("FROM large\nRUN a\nFROM small\nRUN b\nFROM system\nRUN c\n{end}");
    assert_eq!(order(&text), [1, 0, 2, 3]);
    let reordered = plan(&text).reordered.unwrap();
    assert_eq!(
        (
            reordered.now.unpacked,
            reordered.now.emptied,
            reordered.now.rolled_back
        ),
        (680, 80, 100)
    );
}

#[test]
fn who_is_built_on_a_stage_comes_right_after_it() {
    let text = "FROM large AS a\nRUN a\nFROM small AS b\nRUN b\nFROM a AS c\nRUN c\n\
        FROM large AS d\nRUN d\nFROM scratch\nCOPY --from=a / /\nCOPY --from=b / /\nCOPY --from=c / /\nCOPY --from=d / /\n";
    assert_eq!(order(text), [1, 0, 2, 3, 4]);
}

#[test]
fn a_stage_that_nobody_waits_for_on_the_disk_keeps_nobody_back() {
    let text = format!(
        "FROM large\nRUN a\nFROM small\nRUN b\nFROM small AS aside\nCOPY c /\n{END}COPY --from=aside /c /\n"
    );
    let order = order(&text);
    let place = |stage| order.iter().position(|id| *id == stage);
    assert!(place(1) < place(0), "{order:?}");
}

/// A Dockerfile of stages that may need earlier ones, on bases of all sizes.
fn dockerfiles() -> impl Strategy<Value = String> {
    let stage = (
        0..6_usize,
        prop::bool::ANY,
        prop::collection::vec(0..8_usize, 0..3),
        prop::bool::ANY,
    );
    prop::collection::vec(stage, 2..9).prop_map(|stages| {
        let mut lines = Vec::new();
        let count = stages.len();
        for (number, (base, runs, sources, caches)) in stages.into_iter().enumerate() {
            let base = match base {
                0 => "large".to_owned(),
                1 => "system".to_owned(),
                2 => "small".to_owned(),
                3 => "scratch".to_owned(),
                _ if number == 0 => "other".to_owned(),
                other => format!("s{}", (other * 7) % number),
            };
            lines.push(format!("FROM {base} AS s{number}"));
            let earlier = sources.iter().filter(|source| **source < number);
            lines.extend(earlier.map(|source| format!("COPY --from=s{source} / /")));
            if runs && caches {
                lines.push("RUN --mount=type=cache,target=/c x".to_owned());
            } else if runs {
                lines.push("RUN x".to_owned());
            }
        }
        lines.push("FROM scratch".to_owned());
        lines.extend((0..count).map(|number| format!("COPY --from=s{number} / /")));
        lines.join("\n")
    })
}

/// The stages that must have run before.
fn needed(plan: &BuildPlan, index: usize) -> Vec<StageId> {
    let stage = &plan.stages[index];
    let mut needed = Vec::new();
    if let Base::Stage(id) = &stage.base {
        needed.push(*id);
    }
    for source in stage.steps.iter().flat_map(|step| step.op.sources()) {
        if let CopySource::Stage(id) = source {
            needed.push(*id);
        }
    }
    needed
}

proptest! {
    #[test]
    fn no_stage_ever_runs_before_one_that_it_needs(text in dockerfiles()) {
        let plan = plan(&text);
        let mut caches = Vec::new();
        for (index, stage) in plan.stages.iter().enumerate() {
            for id in needed(&plan, index) {
                prop_assert!(plan.stages[..index].iter().any(|before| before.id == id), "{plan}");
            }
            if stage.steps.iter().any(|step| step.text.contains("cache")) {
                caches.push(stage.id);
            }
        }
        prop_assert!(caches.is_sorted(), "{plan}");
        let mut all: Vec<usize> = plan.stages.iter().map(|stage| stage.id.0).collect();
        all.sort_unstable();
        let count = all.len();
        prop_assert_eq!(all, (0..count).collect::<Vec<_>>());
        prop_assert_eq!(plan.stages.last().map(|stage| stage.id), Some(plan.target));
    }
}
