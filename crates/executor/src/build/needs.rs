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
    /// Images of whose layers the headers are wanted, once, and nothing else.
    skimmed_images: BTreeSet<ImageId>,
    /// Stages that need the root filesystem.
    live: BTreeSet<StageId>,
    /// Stages whose base is looked at, by themselves or by others.
    looking: BTreeSet<StageId>,
    /// Whether the bytes of the target's base are sent somewhere.
    sends_base: bool,
    /// The stage whose files stay on the root filesystem.
    materialized: Option<StageId>,
}

/// How long the bytes of an image's layers are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lasting {
    /// Only while their headers are read.
    Headers,
    /// Until they are unpacked.
    Once,
    /// Until the end.
    Always,
}

/// What is done with the finished image.
#[expect(
    clippy::struct_excessive_bools,
    reason = "four answers that have nothing to do with each other"
)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ImageUse {
    /// It is pushed.
    pub(crate) push: bool,
    /// It is written to a file, so that all its blobs are wanted.
    pub(crate) export: bool,
    /// Its base comes from another registry than it goes to.
    pub(crate) foreign_base: bool,
    /// Its files stay on the root filesystem.
    pub(crate) materialize: bool,
}

impl Needs {
    pub(crate) fn new(plan: &BuildPlan, image_use: ImageUse) -> Self {
        let chain = chain(plan);
        let live = plan
            .stages
            .iter()
            .filter(|stage| is_live(stage) || (image_use.materialize && stage.id == plan.target))
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
            skimmed_images: BTreeSet::new(),
            live,
            materialized: image_use.materialize.then_some(plan.target),
        };
        let images = || (0..plan.images.len()).map(ImageId);
        needs.skimmed_images = images().filter(|id| needs.skims_image(plan, *id)).collect();
        needs.kept_images = images()
            .filter(|id| !needs.skims(*id) && needs.keeps_image(plan, *id))
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

    /// Who wants the layer of the context that the stage is built on: the image, and whoever has to unpack it.
    pub(crate) fn context_layer_of(&self, stage: StageId) -> Wanted {
        match (
            self.in_image(stage),
            self.is_parent(stage) || self.is_live(stage),
        ) {
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
        self.looks_at_files(stage) || (self.in_image(stage) && self.sends_base)
    }

    /// Whether anybody looks at the files of the stage.
    pub(crate) fn looks_at_files(&self, stage: StageId) -> bool {
        self.looking.contains(&stage)
            || self.is_live(stage)
            || self.is_parent(stage)
            || self.is_read(stage)
    }

    /// Whether the files of the stage stay on the root filesystem.
    pub(crate) fn materializes(&self, stage: StageId) -> bool {
        self.materialized == Some(stage)
    }

    /// Whether any stage has to.
    pub(crate) fn needs_root(&self) -> bool {
        !self.live.is_empty()
    }

    /// How long the bytes of the image's layers are wanted.
    pub(crate) fn lasting(&self, image: ImageId) -> Lasting {
        match (self.skims(image), self.keeps(image)) {
            (true, _) => Lasting::Headers,
            (false, false) => Lasting::Once,
            (false, true) => Lasting::Always,
        }
    }

    /// Whether the bytes of the image's layers are kept after their first use.
    fn keeps(&self, image: ImageId) -> bool {
        self.kept_images.contains(&image)
    }

    /// Whether nobody wants more of the image's layers than their headers: their bytes may go while they are read.
    fn skims(&self, image: ImageId) -> bool {
        self.skimmed_images.contains(&image)
    }

    /// That is so when all that is done to the image is to lay files on it, for owners that have numbers.
    fn skims_image(&self, plan: &BuildPlan, image: ImageId) -> bool {
        let users = users(plan, image);
        let [stage] = users.as_slice() else {
            return false;
        };
        let is_sent = self.in_image(stage.id) && self.sends_base;
        let is_wanted =
            self.is_live(stage.id) || self.is_parent(stage.id) || self.is_read(stage.id);
        !is_sent && !is_wanted && !is_source(plan, image) && !looks_up_names(stage)
    }

    /// An image is forgotten after its first use when that is the only one: unpacking it for a stage that nothing is built on
    /// and whose base need not be sent anywhere.
    fn keeps_image(&self, plan: &BuildPlan, image: ImageId) -> bool {
        match users(plan, image).as_slice() {
            [stage] if !is_source(plan, image) => {
                !self.is_live(stage.id)
                    || self.is_parent(stage.id)
                    || (self.in_image(stage.id) && self.sends_base)
            }
            _ => true,
        }
    }
}

/// The stages that are built on an image.
fn users(plan: &BuildPlan, image: ImageId) -> Vec<&StagePlan> {
    let stages = plan.stages.iter();
    stages
        .filter(|stage| stage.base == Base::Image(image))
        .collect()
}

/// Whether somebody copies from an image or mounts it.
fn is_source(plan: &BuildPlan, image: ImageId) -> bool {
    sources(plan).any(|source| *source == CopySource::Image(image))
}

/// Whether the stage's own files have to say which number a user has.
fn looks_up_names(stage: &StagePlan) -> bool {
    let mut owners = stage.steps.iter().filter_map(|step| match &step.op {
        Op::Copy(copy) => copy.chown.as_deref(),
        Op::MakeDir(make_dir) => make_dir.user.as_deref().filter(|user| !user.is_empty()),
        Op::Run(_) | Op::Config => None,
    });
    owners.any(|owner| !is_numeric(owner))
}

/// Whether an owner is written as one or two numbers: no file has to be read for it.
pub(crate) fn is_numeric(owner: &str) -> bool {
    let mut parts = owner.split(':');
    parts.all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
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
        Base::Scratch | Base::Image(_) | Base::Context(_) => None,
    }
}

fn is_live(stage: &StagePlan) -> bool {
    stage.steps.iter().any(|step| matches!(step.op, Op::Run(_)))
}

fn sources(plan: &BuildPlan) -> impl Iterator<Item = &CopySource> {
    let steps = plan.stages.iter().flat_map(|stage| &stage.steps);
    steps.flat_map(|step| step.op.sources())
}

#[cfg(test)]
mod tests {
    use kigumi_dockerfile::parse;
    use kigumi_oci::{Digest, ImageConfig, Platform};
    use kigumi_plan::{BaseImage, BuildInputs, Planner};

    use super::*;

    const PUSHED: ImageUse = ImageUse {
        push: true,
        export: false,
        foreign_base: false,
        materialize: false,
    };

    fn needs(dockerfile: &str, image_use: ImageUse) -> Needs {
        let inputs = BuildInputs::new(
            Platform::new("linux", "amd64", None),
            "2026-01-01T00:00:00Z",
        );
        let mut planner = Planner::new(&parse(dockerfile, "Dockerfile").unwrap(), inputs).unwrap();
        while let Some(query) = planner.wanted().first().cloned() {
            let image = BaseImage {
                reference: query.reference.clone(),
                digest: Digest::of(b""),
                config: ImageConfig::default(),
                sizes: Vec::new(),
            };
            planner.supply(&query, image);
        }
        Needs::new(&planner.finish().unwrap(), image_use)
    }

    #[test]
    fn only_a_run_needs_the_root_filesystem_t_res_08() {
        assert!(!needs("FROM base\nCOPY a /\nWORKDIR /x\n", PUSHED).needs_root());
        let needs = needs(
            "FROM base AS a\nCOPY a /\nFROM base\nRUN x\nCOPY --from=a /a /\n",
            PUSHED,
        );
        assert!(!needs.is_live(StageId(0)) && needs.is_live(StageId(1)));
    }

    #[test]
    fn an_image_that_stays_lies_on_the_root_filesystem_even_without_a_run() {
        let stays = ImageUse {
            materialize: true,
            ..PUSHED
        };
        let needs = needs("FROM base AS a\nFROM base\nLABEL a=b\n", stays);
        assert!(needs.is_live(StageId(1)) && !needs.is_live(StageId(0)));
        assert!(needs.needs_root() && needs.fetches_base(StageId(1)));
    }

    #[test]
    fn a_stage_that_is_only_copied_from_has_no_layers() {
        let text = "FROM base AS parent\nRUN a\nFROM parent AS tool\nRUN b\nFROM parent\nCOPY --from=tool /b /\n";
        let needs = needs(text, PUSHED);
        assert_eq!(needs.layers_of(StageId(0)), Wanted::ByBoth);
        assert_eq!(needs.layers_of(StageId(1)), Wanted::No);
        assert_eq!(needs.layers_of(StageId(2)), Wanted::ByImage);
    }

    #[test]
    fn a_stage_that_changes_only_the_config_fetches_nothing() {
        assert!(!needs("FROM base\nLABEL a=b\n", PUSHED).fetches_base(StageId(0)));
        assert!(needs("FROM base\nWORKDIR /x\n", PUSHED).fetches_base(StageId(0)));
        assert!(
            needs(
                "FROM base AS a\nLABEL a=b\nFROM scratch\nCOPY --from=a /x /\n",
                PUSHED
            )
            .fetches_base(StageId(0))
        );
    }

    #[test]
    fn a_base_that_goes_elsewhere_is_fetched_and_kept() {
        for image_use in [
            ImageUse {
                foreign_base: true,
                ..PUSHED
            },
            ImageUse {
                export: true,
                ..PUSHED
            },
        ] {
            let needs = needs("FROM base\nRUN x\n", image_use);
            assert!(needs.fetches_base(StageId(0)) && needs.keeps(ImageId(0)));
        }
    }

    #[test]
    fn a_base_that_is_unpacked_once_and_mounted_is_forgotten() {
        assert!(!needs("FROM base\nRUN x\n", PUSHED).keeps(ImageId(0)));
        assert!(
            needs(
                "FROM base\nRUN x\nFROM base\nRUN y\nCOPY --from=0 /a /\n",
                PUSHED
            )
            .keeps(ImageId(0))
        );
        assert!(needs("FROM base\nRUN x\nCOPY --from=base /a /\n", PUSHED).keeps(ImageId(0)));
    }

    #[test]
    fn a_base_that_files_are_laid_on_is_read_for_its_headers() {
        let skims = |text: &str, image_use: ImageUse| {
            let needs = needs(text, image_use);
            assert!(!(needs.skims(ImageId(0)) && needs.keeps(ImageId(0))));
            needs.skims(ImageId(0))
        };
        let laid = "FROM base\nWORKDIR /x\nCOPY --chown=1:2 a /\nUSER 7\nWORKDIR /y\n";
        assert!(skims(laid, PUSHED));
        for wanted in [
            "FROM base\nCOPY --chown=app a /\n",
            "FROM base\nCOPY --chown=1:app a /\n",
            "FROM base\nUSER app\nWORKDIR /x\n",
            "FROM base\nCOPY a /\nRUN x\n",
            "FROM base AS one\nCOPY a /\nFROM base\nCOPY --from=one /a /b\n",
            "FROM base AS one\nCOPY a /\nFROM one\nCOPY b /\n",
            "FROM base AS one\nCOPY a /\nFROM other\nCOPY --from=one /a /\n",
            "FROM base\nCOPY --from=base /a /b\n",
        ] {
            assert!(!skims(wanted, PUSHED), "{wanted}");
        }
        for (export, foreign_base, materialize) in [
            (true, false, false),
            (false, true, false),
            (false, false, true),
        ] {
            let elsewhere = ImageUse {
                export,
                foreign_base,
                materialize,
                ..PUSHED
            };
            assert!(!skims(laid, elsewhere), "{elsewhere:?}");
        }
    }
}
