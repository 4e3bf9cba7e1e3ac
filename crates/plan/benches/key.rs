//! Plans and the keys of their steps: all of them are computed before anything runs.

use criterion::{Criterion, criterion_group, criterion_main};
use kigumi_dockerfile::{Dockerfile, parse};
use kigumi_oci::{ContainerConfig, DiffId, Digest, ImageConfig, Platform};
use kigumi_plan::cache_key::{self, Identity, Surroundings};
use kigumi_plan::{BaseImage, BuildInputs, BuildPlan, CacheKey, CopySource, Planner, StagePlan};

const STAGES: usize = 10;

/// Of each kind, in each stage.
const STEPS: usize = 20;

/// Every stage has arguments, copies from the one before, and RUNs that see a long environment.
fn dockerfile() -> String {
    let stages = (0..STAGES).map(stage).collect::<String>();
    format!("ARG VERSION=1\n{stages}")
}

fn stage(number: usize) -> String {
    let head = format!("FROM base AS stage-{number}\nARG VERSION\nENV A=a B=b C=$VERSION\n");
    let before = number.checked_sub(1);
    let copy = before.map(|before| format!("COPY --from=stage-{before} /out /in\n"));
    let steps = (0..STEPS).map(|step| {
        format!(
            "COPY --chown=1:1 source-{step} other-{step} /app/${{VERSION}}/\n\
             RUN --mount=type=cache,target=/root/.cache make part-{step} VERSION=$VERSION\n"
        )
    });
    head + &copy.unwrap_or_default() + &steps.collect::<String>()
}

fn plan(file: &Dockerfile) -> Option<BuildPlan> {
    let platform = Platform::new("linux", "amd64", None);
    let inputs = BuildInputs::new(platform, "2026-01-02T03:04:05Z");
    let mut planner = Planner::new(file, inputs).ok()?;
    while let Some(query) = planner.wanted().first().cloned() {
        let mut config = ImageConfig {
            architecture: "amd64".into(),
            os: "linux".into(),
            config: ContainerConfig {
                env: Some((0..30).map(|number| format!("N{number}=value")).collect()),
                ..ContainerConfig::default()
            },
            ..ImageConfig::default()
        };
        config.rootfs.diff_ids = (0..8_u8)
            .map(|layer| DiffId(Digest::of(&[layer])))
            .collect();
        let image = BaseImage {
            reference: query.reference.clone(),
            digest: Digest::of(query.reference.as_bytes()),
            config,
            sizes: Vec::new(),
        };
        planner.supply(&query, image);
    }
    planner.finish().ok()
}

/// The keys of all steps of all stages; what a source holds is given.
fn keys(plan: &BuildPlan, content: Digest, surroundings: &Surroundings) -> Vec<CacheKey> {
    let base = plan.images.iter().map(|image| {
        let config = &image.config;
        cache_key::image(&config.platform(), &config.rootfs.diff_ids)
    });
    let Some(base) = base.into_iter().next() else {
        return Vec::new();
    };
    let mut keys = Vec::new();
    let mut ends = Vec::new();
    for stage in &plan.stages {
        let end = end_of(stage, base, (content, surroundings), &ends, &mut keys);
        ends.push((stage.id, end));
    }
    keys
}

fn end_of(
    stage: &StagePlan,
    base: CacheKey,
    (content, surroundings): (Digest, &Surroundings),
    ends: &[(kigumi_plan::StageId, CacheKey)],
    keys: &mut Vec<CacheKey>,
) -> CacheKey {
    let identity = |source: Option<&CopySource>| {
        let end = ends
            .iter()
            .find(|(id, _)| source == Some(&CopySource::Stage(*id)));
        end.map_or(Identity::Content(content), |(_, end)| Identity::State(*end))
    };
    let mut key = base;
    for step in &stage.steps {
        let inputs = cache_key::inputs(&step.op);
        let identities: Vec<Identity> = inputs
            .iter()
            .map(|input| identity(input.source()))
            .collect();
        if let Some(digest) = cache_key::instruction(&step.op, &identities, surroundings) {
            key = cache_key::step(&key, &digest);
            keys.push(key);
        }
    }
    key
}

fn planning(criterion: &mut Criterion) {
    let file = parse(&dockerfile(), "Dockerfile").expect("the file of this bench is one");
    let planned = plan(&file).expect("the file of this bench has a plan");
    let (content, surroundings) = (Digest::of(b"content"), Surroundings::default());
    let count = keys(&planned, content, &surroundings).len();
    criterion.bench_function(&format!("plan of {count} steps"), |bencher| {
        bencher.iter(|| plan(std::hint::black_box(&file)));
    });
    criterion.bench_function(&format!("keys of {count} steps"), |bencher| {
        bencher.iter(|| keys(std::hint::black_box(&planned), content, &surroundings));
    });
}

criterion_group!(benches, planning);
criterion_main!(benches);
