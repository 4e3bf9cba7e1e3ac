use kigumi_dockerfile::{Diagnostics, parse_bytes};
use kigumi_oci::{ContainerConfig, DiffId, Digest, ImageConfig, Platform};
use kigumi_plan::{Base, BaseImage, BuildInputs, BuildPlan, Planner};

use super::parts;

/// More rounds than images that a small file can name.
const ROUNDS: usize = 1_000;

/// From a Dockerfile to a plan. Input: options, the Dockerfile, an ONBUILD trigger of every image, another one.
///
/// Planning ends after finitely many questions, says the same twice, and what it gives is consistent: every stage comes after those
/// that it reads from, and the history has as many layers as there are steps that make one.
pub fn plan(data: &[u8]) {
    let [options, dockerfile, first, second] = parts::<4>(data);
    let triggers = [first, second].into_iter().filter(|text| !text.is_empty());
    let triggers: Vec<String> = triggers
        .map(|text| String::from_utf8_lossy(text).into_owned())
        .collect();
    let Ok(plan) = planned(options, dockerfile, &triggers) else {
        return;
    };
    check(&plan);
    let printed = plan.to_string();
    let again = planned(options, dockerfile, &triggers).expect("it was planned before");
    assert_eq!(printed, again.to_string());
}

fn inputs(options: &[u8]) -> BuildInputs {
    let flag = |index: usize| options.get(index).copied().unwrap_or(b'0') % 2 == 1;
    let mut inputs = BuildInputs::new(
        Platform::new("linux", "amd64", None),
        "2026-01-02T03:04:05Z",
    );
    if flag(0) {
        inputs
            .build_args
            .push(("a".to_owned(), "given $a".to_owned()));
    }
    if flag(1) {
        inputs
            .build_args
            .push(("SOURCE_DATE_EPOCH".to_owned(), "1000".to_owned()));
    }
    if flag(2) {
        inputs.target = Some("b".to_owned());
    }
    if flag(3) {
        inputs.platform = Platform::new("linux", "arm", Some("v7"));
    }
    if flag(4) {
        inputs.labels.push(("l".to_owned(), "cli".to_owned()));
        inputs
            .proxies
            .push(("http_proxy".to_owned(), "http://p".to_owned()));
    }
    inputs
}

fn planned(
    options: &[u8],
    dockerfile: &[u8],
    triggers: &[String],
) -> Result<BuildPlan, Diagnostics> {
    let file = parse_bytes(dockerfile, "Dockerfile")?;
    let mut planner = Planner::new(&file, inputs(options))?;
    for _ in 0..ROUNDS {
        let wanted = planner.wanted();
        if wanted.is_empty() {
            return planner.finish();
        }
        for query in wanted {
            let image = BaseImage {
                reference: query.reference.clone(),
                digest: Digest::of(query.reference.as_bytes()),
                config: config(&query.reference, triggers),
                // Any will do, as long as they differ.
                sizes: vec![query.reference.len() as u64],
            };
            planner.supply(&query, image);
        }
    }
    panic!("more than {ROUNDS} rounds of questions");
}

fn config(reference: &str, triggers: &[String]) -> ImageConfig {
    let mut config = ImageConfig {
        architecture: "amd64".to_owned(),
        os: "linux".to_owned(),
        config: ContainerConfig {
            env: Some(vec![
                "PATH=/bin".to_owned(),
                "B=base".to_owned(),
                "junk".to_owned(),
            ]),
            on_build: (!triggers.is_empty()).then(|| triggers.to_vec()),
            working_dir: Some("/w".to_owned()),
            ..ContainerConfig::default()
        },
        ..ImageConfig::default()
    };
    let layer = DiffId(Digest::of(reference.as_bytes()));
    config.rootfs.diff_ids.push(layer);
    config
}

fn check(plan: &BuildPlan) {
    let mut done = Vec::new();
    for stage in &plan.stages {
        if let Base::Stage(parent) = stage.base {
            assert!(
                done.contains(&parent),
                "stage {:?} before its base",
                stage.id
            );
        }
        for (source, _) in plan.stages.iter().map(|other| (other.id, other)) {
            let reads = plan
                .readers(&kigumi_plan::CopySource::Stage(source))
                .any(|(reader, _)| reader == stage.id);
            assert!(
                !reads || done.contains(&source),
                "stage {:?} before {source:?}",
                stage.id
            );
        }
        for (index, step) in stage.steps.iter().enumerate() {
            assert_eq!(step.number, index + 1);
            if let Some(entry) = &step.history {
                assert_eq!(entry.empty_layer, !step.op.touches_rootfs());
            }
        }
        done.push(stage.id);
    }
    assert_eq!(
        done.last(),
        Some(&plan.target),
        "the target is the last stage"
    );
    assert!(plan.stage(plan.target).is_some());
}
