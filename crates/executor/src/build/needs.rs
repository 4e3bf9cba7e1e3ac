use std::collections::BTreeSet;

use kigumi_plan::{Base, BuildPlan, CopySource, ImageId, Op, StageId, StagePlan};

use super::layers::Wanted;

/// What later steps want of a stage or an image, known before anything runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Needs {
    /// The target and the stages it is built on.
    chain: BTreeSet<StageId>,
    /// Stages that others are built on.
    parents: BTreeSet<StageId>,
    /// Stages that others copy from.
    read_stages: BTreeSet<StageId>,
    /// Images whose layers are wanted more than once, or at unforeseeable places.
    kept_images: BTreeSet<ImageId>,
    /// Stages that need the root filesystem.
    live: BTreeSet<StageId>,
    /// Stages whose base is looked at, by themselves or by others.
    looking: BTreeSet<StageId>,
    /// Whether the bytes of the target's base are sent somewhere.
    sends_base: bool,
}

/// What is done with the finished image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ImageUse {
    /// It is pushed.
    pub(crate) push: bool,
    /// It is written to a file, so that all its blobs are wanted.
    pub(crate) export: bool,
    /// Its base comes from another registry than it goes to.
    pub(crate) foreign_base: bool,
}

impl Needs {
    pub(crate) fn new(plan: &BuildPlan, image_use: ImageUse) -> Self {
        let chain = chain(plan);
        let live = plan
            .stages
            .iter()
            .filter(|stage| is_live(stage))
            .map(|stage| stage.id)
            .collect();
        let parents = plan
            .stages
            .iter()
            .filter_map(|stage| parent(&stage.base))
            .collect();
        let read_stages = sources(plan)
            .filter_map(|source| {
                if let CopySource::Stage(id) = source {
                    Some(*id)
                } else {
                    None
                }
            })
            .collect();
        let looking = plan
            .stages
            .iter()
            .filter(|stage| stage.steps.iter().any(|step| step.op.touches_rootfs()))
            .map(|stage| stage.id)
            .collect();
        let mut needs = Self {
            looking,
            sends_base: image_use.export || (image_use.push && image_use.foreign_base),
            chain,
            parents,
            read_stages,
            kept_images: BTreeSet::new(),
            live,
        };
        needs.kept_images = (0..plan.images.len())
            .map(ImageId)
            .filter(|id| needs.keeps_image(plan, *id))
            .collect();
        needs
    }

    /// Whether the layers of the stage are part of the image.
    pub(crate) fn in_image(&self, stage: StageId) -> bool {
        self.chain.contains(&stage)
    }

    /// Who wants the layers of the stage: stages that are only copied from have none.
    pub(crate) fn layers_of(&self, stage: StageId) -> Wanted {
        match (self.in_image(stage), self.is_parent(stage)) {
            (false, false) => Wanted::No,
            (true, false) => Wanted::ByImage,
            (false, true) => Wanted::ByStages,
            (true, true) => Wanted::ByBoth,
        }
    }

    /// Whether another stage is built on it.
    pub(crate) fn is_parent(&self, stage: StageId) -> bool {
        self.parents.contains(&stage)
    }

    /// Whether another stage copies from it.
    pub(crate) fn is_read(&self, stage: StageId) -> bool {
        self.read_stages.contains(&stage)
    }

    /// Whether the stage has to lie on the root filesystem.
    pub(crate) fn is_live(&self, stage: StageId) -> bool {
        self.live.contains(&stage)
    }

    /// Whether the base of the stage must be fetched: a stage that only changes the config needs no byte of it.
    pub(crate) fn fetches_base(&self, stage: StageId) -> bool {
        self.looking.contains(&stage)
            || self.is_parent(stage)
            || self.is_read(stage)
            || (self.in_image(stage) && self.sends_base)
    }

    /// Whether anybody looks at the files of the stage.
    pub(crate) fn looks_at_files(&self, stage: StageId) -> bool {
        self.looking.contains(&stage) || self.is_parent(stage) || self.is_read(stage)
    }

    /// Whether any stage has to.
    pub(crate) fn needs_root(&self) -> bool {
        !self.live.is_empty()
    }

    /// Whether the bytes of the image's layers are kept after their first use.
    pub(crate) fn keeps(&self, image: ImageId) -> bool {
        self.kept_images.contains(&image)
    }

    /// An image is forgotten after its first use when that is the only one: unpacking it for a stage that nothing is built on
    /// and whose base need not be sent anywhere.
    fn keeps_image(&self, plan: &BuildPlan, image: ImageId) -> bool {
        let users: Vec<&StagePlan> = plan
            .stages
            .iter()
            .filter(|stage| stage.base == Base::Image(image))
            .collect();
        let read = sources(plan).any(|source| *source == CopySource::Image(image));
        match users.as_slice() {
            [stage] if !read => {
                !self.is_live(stage.id)
                    || self.is_parent(stage.id)
                    || (self.in_image(stage.id) && self.sends_base)
            }
            _ => true,
        }
    }
}

fn chain(plan: &BuildPlan) -> BTreeSet<StageId> {
    let mut chain = BTreeSet::new();
    let mut next = Some(plan.target);
    while let Some(id) = next {
        // The planner refuses circles; a repeated id would be one.
        next = chain
            .insert(id)
            .then(|| plan.stage(id))
            .flatten()
            .and_then(|stage| parent(&stage.base));
    }
    chain
}

fn parent(base: &Base) -> Option<StageId> {
    match base {
        Base::Stage(id) => Some(*id),
        Base::Scratch | Base::Image(_) => None,
    }
}

fn is_live(stage: &StagePlan) -> bool {
    stage.steps.iter().any(|step| matches!(step.op, Op::Run(_)))
}

fn sources(plan: &BuildPlan) -> impl Iterator<Item = &CopySource> {
    plan.stages
        .iter()
        .flat_map(|stage| &stage.steps)
        .filter_map(|step| match &step.op {
            Op::Copy(copy) => Some(&copy.from),
            Op::Run(_) | Op::MakeDir(_) | Op::Config => None,
        })
}
