//! From instructions to steps. Every instruction is expanded with the values valid before it, folded into the config,
//! and turned into one of four operations.

mod arg;
mod chmod;
mod command;
mod copy;
mod expose;
mod metadata;
mod path;
mod remote;
mod run;
mod scope;
mod signal;
mod stage;

use std::collections::BTreeMap;

use kigumi_dockerfile::Diagnostic;
use kigumi_oci::{ImageConfig, Platform};

pub(crate) use remote::without_password;
pub use remote::{Remote, remote_kind};
pub(crate) use run::is_proxy;

use crate::created_by;
use crate::epoch;
use crate::inputs::BuildInputs;
use crate::order;
use crate::plan::{Base, BuildPlan, ImageId, PlannedImage, StageId, StagePlan};
use crate::planner::{ImageQuery, Origin, Planner};
use crate::unsupported;
use scope::Scope;
use stage::Start;

/// Lowers the needed stages (ascending, so that each comes after those it needs) and puts the plan together.
pub(crate) fn build_plan(
    planner: &Planner,
    needed: &[usize],
    images: &[ImageQuery],
) -> Result<BuildPlan, Vec<Diagnostic>> {
    let mut problems = Vec::new();
    let mut warnings = planner.dockerfile().warnings.clone();
    warnings.extend_from_slice(planner.warnings());
    let created = match planner.epoch() {
        Some(seconds) => epoch::rfc3339(seconds),
        None => planner.inputs().created.clone(),
    };
    let ground = Ground {
        planner,
        images,
        created: &created,
    };
    let mut ends: BTreeMap<usize, Scope> = BTreeMap::new();
    let mut stages = Vec::new();
    for stage in needed {
        let Some(start) = start(&ground, *stage, &ends, &mut problems, &mut warnings) else {
            continue;
        };
        let mut lowered = stage::lower(&ground, *stage, start);
        problems.append(&mut lowered.problems);
        if *stage == planner.target() {
            label(&mut lowered.plan.config, &planner.inputs().labels);
            platform(&mut lowered.plan.config, planner.inputs());
        }
        stages.push(lowered.plan);
        ends.insert(*stage, lowered.end);
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    warnings.extend(planner.unused_build_args(needed));
    let images: Vec<PlannedImage> = images
        .iter()
        .filter_map(|query| planned(planner, query))
        .collect();
    let reordered = order::arrange(&mut stages, &images);
    Ok(BuildPlan {
        stages,
        reordered,
        target: StageId(planner.target()),
        other_targets: planner.others().iter().copied().map(StageId).collect(),
        images,
        source_date_epoch: planner.epoch(),
        warnings,
    })
}

/// What all stages of one plan stand on.
pub(crate) struct Ground<'a> {
    planner: &'a Planner,
    images: &'a [ImageQuery],
    /// RFC 3339.
    created: &'a str,
}

impl Ground<'_> {
    fn image_id(&self, query: &ImageQuery) -> Option<ImageId> {
        let mut images = self.images.iter();
        images
            .position(|known| known.is_same_image(query))
            .map(ImageId)
    }
}

fn planned(planner: &Planner, query: &ImageQuery) -> Option<PlannedImage> {
    let image = planner.answer(query)?;
    Some(PlannedImage {
        reference: query.reference.clone(),
        platform: query.platform.clone(),
        digest: image.digest,
        config: image.config.clone(),
        sizes: image.sizes.clone(),
    })
}

/// What a stage begins with; none if its base could not be lowered, which is a problem already reported.
fn start(
    ground: &Ground<'_>,
    stage: usize,
    ends: &BTreeMap<usize, Scope>,
    problems: &mut Vec<Diagnostic>,
    warnings: &mut Vec<Diagnostic>,
) -> Option<Start> {
    let planner = ground.planner;
    let from = planner.stage_from(stage)?;
    let span = planner.dockerfile().stages.get(stage)?.from.span;
    problems.extend(unsupported::platform(&from.platform, span));
    let origin = planner
        .base_origin(stage)
        .map_err(|problem| problems.push(problem))
        .ok()?;
    match origin {
        Origin::Scratch => Some(Start {
            base: Base::Scratch,
            scope: Scope::scratch(&planner.inputs().platform),
        }),
        Origin::Stage(parent) => Some(Start {
            base: Base::Stage(StageId(parent)),
            scope: ends.get(&parent)?.child(),
        }),
        Origin::Files(name) => Some(on_context(ground, name)),
        Origin::Image(query) => {
            let image = planner.answer(&query)?;
            warnings.extend(platform_warning(&image.config, &query));
            Some(Start {
                base: Base::Image(ground.image_id(&query)?),
                scope: Scope::on_image(&image.config, &query.platform),
            })
        }
    }
}

/// A stage on the files of a context: an empty image with one layer.
fn on_context(ground: &Ground<'_>, name: String) -> Start {
    let mut scope = Scope::scratch(&ground.planner.inputs().platform);
    let text = created_by::words("FROM", [name.as_str()]) + created_by::ON_STATE;
    // One entry for each layer (T-HIST-02).
    scope.remember(created_by::entry(ground.created, text, true));
    Start {
        base: Base::Context(name),
        scope,
    }
}

fn platform_warning(config: &ImageConfig, query: &ImageQuery) -> Option<Diagnostic> {
    if config.architecture.is_empty() || config.platform().satisfies(&query.platform) {
        return None;
    }
    let message = format!(
        "base image `{}` is for platform `{}`, not `{}`",
        query.reference,
        config.platform(),
        query.platform
    );
    Some(Diagnostic::warning(
        "InvalidBaseImagePlatform",
        query.span,
        message,
    ))
}

/// `--label`: after all instructions, and without a trace in the history, so that it can never change a cache key.
fn label(config: &mut ImageConfig, labels: &[(String, String)]) {
    if labels.is_empty() {
        return;
    }
    let all = config.config.labels.get_or_insert_default();
    all.extend(labels.iter().cloned());
}

/// The platform that the image says it is for: the one that was asked for, else that of its base; in the usual spelling.
// COMPAT(buildkit): a final stage on a base for another platform (`FROM --platform=$BUILDPLATFORM`) is taken for what was asked.
fn platform(config: &mut ImageConfig, inputs: &BuildInputs) {
    if config.os != "linux" {
        return;
    }
    if inputs.platform_is_given {
        let wanted = &inputs.platform;
        let is_same = config.os == wanted.os && config.architecture == wanted.architecture;
        if !is_same || wanted.variant.is_some() {
            config.variant.clone_from(&wanted.variant);
        }
        config.os.clone_from(&wanted.os);
        config.architecture.clone_from(&wanted.architecture);
    }
    let usual = Platform::new(&config.os, &config.architecture, config.variant.as_deref());
    config.architecture = usual.architecture;
    config.variant = usual.variant;
}

/// A stage with everything that came up on the way.
pub(crate) struct Lowered {
    pub(crate) plan: StagePlan,
    /// What a child stage starts with.
    pub(crate) end: Scope,
    pub(crate) problems: Vec<Diagnostic>,
}
