//! The unresolved state of a plan: asks for images until it has all, then decides.

mod from;
mod globals;
mod graph;
mod time;
mod triggers;
mod unused;

use kigumi_dockerfile::{Diagnostic, Diagnostics, Dockerfile, Instruction, Span, nearest};
use kigumi_oci::{Digest, ImageConfig, Platform};

pub(crate) use from::StageFrom;
pub(crate) use globals::PLATFORM_ARGS;
pub(crate) use graph::{FromName, Origin};
use time::Epoch;
pub use time::TimeQuery;

use crate::inputs::BuildInputs;
use crate::lower;
use crate::plan::BuildPlan;
use crate::variables::Variables;

/// A question: what is this image, for this platform?
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ImageQuery {
    /// Normalised: with registry, repository and tag or digest.
    pub reference: String,
    /// For which platform.
    pub platform: Platform,
    /// The first place that needs it.
    pub span: Span,
    /// What may have been meant if there is no such image: a stage with a similar name, or one defined too late.
    pub help: Option<String>,
}

impl ImageQuery {
    /// Whether both ask for the same image, wherever they stand.
    #[must_use]
    pub fn is_same_image(&self, other: &Self) -> bool {
        self.reference == other.reference && self.platform == other.platform
    }
}

/// The answer to an [`ImageQuery`].
#[derive(Debug, Clone, PartialEq)]
pub struct BaseImage {
    /// The reference it was found under.
    pub reference: String,
    /// Digest of the manifest of the wanted platform.
    pub digest: Digest,
    /// Its config.
    pub config: ImageConfig,
    /// Size of each layer as stored, in bytes, base layer first.
    pub sizes: Vec<u64>,
}

/// A plan that still has questions.
///
/// ```
/// use kigumi_dockerfile::parse;
/// use kigumi_oci::{Digest, ImageConfig, Platform};
/// use kigumi_plan::{BaseImage, BuildInputs, Planner};
///
/// let file = parse("FROM alpine\nRUN make", "Dockerfile")?;
/// let platform: Platform = "linux/amd64".parse().unwrap();
/// let inputs = BuildInputs::new(platform, "2026-01-01T00:00:00Z");
/// let mut planner = Planner::new(&file, inputs)?;
/// loop {
///     let wanted = planner.wanted();
///     if wanted.is_empty() {
///         break;
///     }
///     for query in wanted {
///         // Here a registry is asked.
///         let image = BaseImage {
///             reference: query.reference.clone(),
///             digest: Digest::of(b"its manifest"),
///             config: ImageConfig::default(),
///             sizes: Vec::new(),
///         };
///         planner.supply(&query, image);
///     }
/// }
/// let plan = planner.finish()?;
/// assert_eq!(plan.images[0].reference, "docker.io/library/alpine:latest");
/// assert_eq!(plan.stages[0].steps.len(), 1);
/// # Ok::<(), kigumi_dockerfile::Diagnostics>(())
/// ```
#[derive(Debug, Clone)]
pub struct Planner {
    dockerfile: Dockerfile,
    inputs: BuildInputs,
    /// Predefined arguments and global ARGs.
    globals: Variables,
    /// One per stage.
    froms: Vec<StageFrom>,
    /// Position of the target stage.
    target: usize,
    /// Positions of other stages to build.
    others: Vec<usize>,
    /// `SOURCE_DATE_EPOCH`, if the build has one.
    epoch: Epoch,
    /// What came up before any lowering.
    warnings: Vec<Diagnostic>,
    answers: Vec<(ImageQuery, BaseImage)>,
}

impl Planner {
    /// Evaluates everything that needs no image: global arguments, all FROM lines, the target, references between
    /// stages.
    ///
    /// # Errors
    /// What is wrong with the file or the target, all of it.
    pub fn new(dockerfile: &Dockerfile, inputs: BuildInputs) -> Result<Self, Diagnostics> {
        let mut problems = Vec::new();
        let target = target(dockerfile, inputs.target.as_deref()).unwrap_or_else(|problem| {
            problems.push(problem);
            0
        });
        let mut others = Vec::new();
        for name in &inputs.other_targets {
            match self::target(dockerfile, Some(name)) {
                Ok(stage) => others.push(stage),
                Err(problem) => problems.push(problem),
            }
        }
        let target_name = dockerfile
            .stages
            .get(target)
            .and_then(|stage| stage.from.stage_name());
        let globals = globals::globals(dockerfile, &inputs, target_name, &mut problems);
        let froms = from::evaluate(dockerfile, &inputs, &globals, &mut problems);
        let mut warnings = Vec::new();
        let epoch = time::epoch(dockerfile, &inputs, &globals, &mut warnings);
        let epoch = epoch.unwrap_or_else(|problem| {
            problems.push(problem);
            Epoch::Known(None)
        });
        let planner = Self {
            dockerfile: dockerfile.clone(),
            inputs,
            globals,
            froms,
            target,
            others,
            epoch,
            warnings,
            answers: Vec::new(),
        };
        if problems.is_empty() {
            let needs = graph::Needs::of(&planner);
            problems = needs.problems;
            problems.extend(graph::impossible(&planner, &needs.stages));
        }
        if problems.is_empty() {
            Ok(planner)
        } else {
            Err(planner.diagnostics(problems))
        }
    }

    /// The images that needed stages ask for and that were not supplied yet. Empty means [`Planner::finish`] may be
    /// called. Supplying an image may lead to new questions, because of its ONBUILD triggers.
    #[must_use]
    pub fn wanted(&self) -> Vec<ImageQuery> {
        let mut images = graph::Needs::of(self).images;
        images.retain(|query| self.image(query).is_none());
        images
    }

    /// Answers a question.
    pub fn supply(&mut self, query: &ImageQuery, image: BaseImage) {
        self.answers
            .retain(|(known, _)| !known.is_same_image(query));
        self.answers.push((query.clone(), image));
    }

    /// The predefined arguments (`TARGETPLATFORM` …) with the values they have without `--build-arg`.
    #[must_use]
    pub fn predefined(&self) -> Vec<(String, String)> {
        let target = self.dockerfile.stages.get(self.target);
        let name = target.and_then(|stage| stage.from.stage_name());
        let values = globals::predefined(&self.inputs, name).into_iter();
        values
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }

    /// The image that each stage stands on, needed or not, with what was supplied for it; none for a stage on another
    /// stage, on nothing, or on something that is no image reference.
    #[must_use]
    pub fn stage_images(&self) -> Vec<Option<(ImageQuery, Option<&BaseImage>)>> {
        let stages = 0..self.dockerfile.stages.len();
        stages
            .map(|stage| match graph::base_origin(self, stage) {
                Ok(Origin::Image(query)) => {
                    let image = self.image(&query);
                    Some((query, image))
                }
                Ok(Origin::Scratch | Origin::Stage(_) | Origin::Files(_)) | Err(_) => None,
            })
            .collect()
    }

    /// What is wrong with what stages stand on, needed or not.
    #[must_use]
    pub fn stage_errors(&self) -> Vec<Diagnostic> {
        let stages = 0..self.dockerfile.stages.len();
        stages
            .filter_map(|stage| graph::base_origin(self, stage).err())
            .collect()
    }

    /// The file whose time is that of the build, if that was asked for and not answered yet.
    #[must_use]
    pub fn wanted_time(&self) -> Option<&TimeQuery> {
        match &self.epoch {
            Epoch::Known(_) => None,
            Epoch::Wanted(query) => Some(query),
        }
    }

    /// Answers [`Planner::wanted_time`], in seconds since 1970. From now on `SOURCE_DATE_EPOCH` is that number wherever it is seen.
    pub fn supply_time(&mut self, seconds: i64) {
        time::settle(&mut self.inputs, &mut self.globals, seconds);
        self.epoch = Epoch::Known(Some(seconds));
    }

    /// Lowers the needed stages.
    ///
    /// # Errors
    /// What is wrong with the file, all of it. A question that was not answered is an error too.
    pub fn finish(self) -> Result<BuildPlan, Diagnostics> {
        let needs = graph::Needs::of(&self);
        let mut problems = needs.problems;
        for query in &needs.images {
            if self.image(query).is_none() {
                let message = format!("image `{}` was not resolved", query.reference);
                problems.push(Diagnostic::error("UnresolvedImage", query.span, message));
            }
        }
        if let Epoch::Wanted(query) = &self.epoch {
            let message = format!("the time of `{}` was not resolved", query.shown);
            problems.push(Diagnostic::error("UnresolvedTime", query.span, message));
        }
        if !problems.is_empty() {
            return Err(self.diagnostics(problems));
        }
        let stages: Vec<usize> = needs.stages.into_iter().collect();
        lower::build_plan(&self, &stages, &needs.images)
            .map_err(|problems| self.diagnostics(problems))
    }

    fn diagnostics(&self, mut items: Vec<Diagnostic>) -> Diagnostics {
        items.sort_by_key(|item| item.span.start);
        items.dedup();
        Diagnostics {
            file: self.dockerfile.source.clone(),
            items,
        }
    }

    fn image(&self, query: &ImageQuery) -> Option<&BaseImage> {
        let mut answers = self.answers.iter();
        answers
            .find(|(known, _)| known.is_same_image(query))
            .map(|(_, image)| image)
    }
}

/// What lowering asks a planner whose questions are answered.
impl Planner {
    pub(crate) fn dockerfile(&self) -> &Dockerfile {
        &self.dockerfile
    }

    pub(crate) fn inputs(&self) -> &BuildInputs {
        &self.inputs
    }

    pub(crate) fn globals(&self) -> &Variables {
        &self.globals
    }

    pub(crate) fn target(&self) -> usize {
        self.target
    }

    pub(crate) fn others(&self) -> &[usize] {
        &self.others
    }

    pub(crate) fn epoch(&self) -> Option<i64> {
        match &self.epoch {
            Epoch::Known(epoch) => *epoch,
            Epoch::Wanted(_) => None,
        }
    }

    pub(crate) fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }

    pub(crate) fn stage_from(&self, stage: usize) -> Option<&StageFrom> {
        self.froms.get(stage)
    }

    pub(crate) fn answer(&self, query: &ImageQuery) -> Option<&BaseImage> {
        self.image(query)
    }

    pub(crate) fn base_origin(&self, stage: usize) -> Result<Origin, Diagnostic> {
        graph::base_origin(self, stage)
    }

    pub(crate) fn is_overridden(&self, stage: usize) -> bool {
        graph::is_overridden(self, stage)
    }

    pub(crate) fn resolve(&self, stage: usize, name: &FromName) -> Result<Origin, Diagnostic> {
        graph::resolve(self, stage, name)
    }

    pub(crate) fn triggers(&self, stage: usize) -> Vec<Result<Instruction, Diagnostic>> {
        triggers::of_stage(self, stage)
    }

    pub(crate) fn unused_build_args(&self, needed: &[usize]) -> Vec<Diagnostic> {
        unused::warnings(self, needed)
    }
}

/// The position of the stage to build: by name only, case does not matter, the last one without a name (T-STAGE-12).
fn target(dockerfile: &Dockerfile, wanted: Option<&str>) -> Result<usize, Diagnostic> {
    let last = dockerfile.stages.len().saturating_sub(1);
    let Some(name) = wanted.filter(|name| !name.is_empty()) else {
        return Ok(last);
    };
    dockerfile.stage_named(name).ok_or_else(|| {
        let names = || {
            dockerfile
                .stages
                .iter()
                .filter_map(|stage| stage.from.stage_name())
        };
        let known: Vec<String> = names().map(|name| format!("`{name}`")).collect();
        let help = match (nearest(name, names()), known.as_slice()) {
            (Some(meant), _) => format!("did you mean `{meant}`?"),
            (None, []) => "no stage has a name: add `AS name` to a FROM".to_owned(),
            (None, known) => format!("stages with a name: {}", known.join(", ")),
        };
        let span = dockerfile.stages.last().map(|stage| stage.from.span);
        let message = format!("target stage `{name}` is not defined");
        Diagnostic::error("UnknownTarget", span.unwrap_or_default(), message).with_help(help)
    })
}
