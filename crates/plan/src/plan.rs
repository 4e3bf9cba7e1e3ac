//! The plan as a value.

use kigumi_dockerfile::{Diagnostic, Span};
use kigumi_oci::{Digest, HistoryEntry, ImageConfig, Platform};

use crate::op::{CopySource, Op};
use crate::order::Reordered;

/// Position of a stage in the Dockerfile, from 0, unneeded stages counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StageId(pub usize);

/// Position of an image in [`BuildPlan::images`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageId(pub usize);

/// Everything that can be known before anything is executed.
#[derive(Debug, Clone, PartialEq)]
pub struct BuildPlan {
    /// The needed stages in the order of execution: each after those it depends on, the target last unless there are others.
    pub stages: Vec<StagePlan>,
    /// Why that is not the order of the Dockerfile; none if it is.
    pub reordered: Option<Reordered>,
    /// The stage whose result is the image.
    pub target: StageId,
    /// Other stages that are asked for: they are built, and nothing of them is the image.
    pub other_targets: Vec<StageId>,
    /// The images that stages start from or copy from.
    pub images: Vec<PlannedImage>,
    /// `SOURCE_DATE_EPOCH` in seconds, if the build has one; `created` fields already follow it.
    pub source_date_epoch: Option<i64>,
    /// What is worth telling although the build goes on, the parser's warnings included.
    pub warnings: Vec<Diagnostic>,
}

impl BuildPlan {
    /// A stage of the plan; none if the stage is not needed.
    #[must_use]
    pub fn stage(&self, id: StageId) -> Option<&StagePlan> {
        self.stages.iter().find(|stage| stage.id == id)
    }

    /// An image of the plan.
    #[must_use]
    pub fn image(&self, id: ImageId) -> Option<&PlannedImage> {
        self.images.get(id.0)
    }

    /// The steps, in order of execution, that read from `source` by COPY or by a mount, each with its stage.
    pub fn readers<'a>(
        &'a self,
        source: &'a CopySource,
    ) -> impl Iterator<Item = (StageId, &'a Step)> {
        self.stages.iter().flat_map(move |stage| {
            let steps = stage.steps.iter();
            steps
                .filter(move |step| step.reads_from(source))
                .map(move |step| (stage.id, step))
        })
    }

    /// The stages that start from `base`.
    pub fn children<'a>(&'a self, base: &'a Base) -> impl Iterator<Item = StageId> + 'a {
        let stages = self.stages.iter();
        stages
            .filter(move |stage| stage.base == *base)
            .map(|stage| stage.id)
    }
}

/// An image that was resolved.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedImage {
    /// The normalised reference as it was asked for.
    pub reference: String,
    /// The platform it was asked for.
    pub platform: Platform,
    /// Digest of the manifest of that platform.
    pub digest: Digest,
    /// Its config, unchanged.
    pub config: ImageConfig,
    /// Size of each layer as stored, in bytes, base layer first.
    pub sizes: Vec<u64>,
}

/// One stage: what it starts from, what it does, what it ends with.
#[derive(Debug, Clone, PartialEq)]
pub struct StagePlan {
    /// Its position in the Dockerfile.
    pub id: StageId,
    /// Its name in lower case.
    pub name: Option<String>,
    /// The FROM line.
    pub span: Span,
    /// The platform it is built for.
    pub platform: Platform,
    /// What it starts from.
    pub base: Base,
    /// The steps in order; the ONBUILD triggers of the base come first.
    pub steps: Vec<Step>,
    /// The config at its end: `history` is complete, `rootfs.diff_ids` is empty (the executor knows the layers).
    pub config: ImageConfig,
}

/// What a stage starts from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Base {
    /// Nothing.
    Scratch,
    /// An image. It may have no layers at all.
    Image(ImageId),
    /// The end of an earlier stage.
    Stage(StageId),
    /// The files of a named context, which become its first layer.
    Context(String),
}

/// One instruction, lowered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The instruction, or the FROM line if the base image brought it by ONBUILD.
    pub span: Span,
    /// From 1, within the stage.
    pub number: usize,
    /// What a log shows: the instruction as written, on one line. Not expanded, so that values of build arguments stay
    /// out of logs.
    pub text: String,
    /// What it does.
    pub op: Op,
    /// What it adds to the history; none for ONBUILD. `empty_layer` is the contrary of [`Op::touches_rootfs`].
    pub history: Option<HistoryEntry>,
}

impl Step {
    /// Whether the step reads from `source` by COPY or by a mount.
    #[must_use]
    pub fn reads_from(&self, source: &CopySource) -> bool {
        self.op.sources().contains(&source)
    }
}
