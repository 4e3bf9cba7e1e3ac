//! Which stages and images are needed, and what a name after `--from=` means.

use std::collections::BTreeSet;

use kigumi_dockerfile::instruction::{Mount, MountKey};
use kigumi_dockerfile::{
    Diagnostic, Dockerfile, Instruction, InstructionKind, Span, Spanned, nearest,
};
use kigumi_oci::Platform;

use super::from::{FromBase, SCRATCH, normalise};
use super::{ImageQuery, Planner, triggers};
use crate::context::{ContextKind, NamedContext, find};

/// What a reference to content other than the build context means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// An empty root.
    Scratch,
    /// A stage, by position.
    Stage(usize),
    /// An image.
    Image(ImageQuery),
    /// The files of a named context.
    Files(String),
}

/// What the needed stages need.
#[derive(Debug, Default)]
pub(super) struct Needs {
    /// Positions of stages. Every stage needs only earlier ones, so ascending order is an order of execution.
    pub(super) stages: BTreeSet<usize>,
    /// Images, in the order of the text, each once.
    pub(super) images: Vec<ImageQuery>,
    /// References that mean nothing.
    pub(super) problems: Vec<Diagnostic>,
}

impl Needs {
    /// Follows everything the target needs, as far as it is known: triggers of images that were not supplied are not.
    pub(super) fn of(planner: &Planner) -> Self {
        let mut needs = Self::default();
        let mut open = vec![planner.target];
        open.extend(&planner.others);
        let mut images = Vec::new();
        while let Some(stage) = open.pop() {
            if !needs.stages.insert(stage) {
                continue;
            }
            for origin in origins(planner, stage, &mut needs.problems) {
                match origin {
                    Origin::Scratch | Origin::Files(_) => {}
                    Origin::Stage(other) => open.push(other),
                    Origin::Image(query) => images.push((stage, query)),
                }
            }
        }
        images.sort_by_key(|(stage, _)| *stage);
        for (_, query) in images {
            let known = needs.images.iter().any(|known| known.is_same_image(&query));
            if !known {
                needs.images.push(query);
            }
        }
        needs.problems.sort_by_key(|problem| problem.span.start);
        needs
    }
}

/// Everything one stage reads from: its base, then its instructions in order.
fn origins(planner: &Planner, stage: usize, problems: &mut Vec<Diagnostic>) -> Vec<Origin> {
    let mut found = Vec::new();
    let mut take = |result: Result<Origin, Diagnostic>| match result {
        Ok(origin) => found.push(origin),
        Err(problem) => problems.push(problem),
    };
    take(base_origin(planner, stage));
    let triggers = triggers::of_stage(planner, stage);
    if let Some(from) = planner.dockerfile.stages.get(stage)
        && !is_overridden(planner, stage)
    {
        let span = from.from.span;
        for trigger in triggers.iter().filter_map(|trigger| trigger.as_ref().ok()) {
            for name in references(trigger) {
                take(resolve(planner, stage, &name.at(span)));
            }
        }
        for name in from.instructions.iter().flat_map(references) {
            take(resolve(planner, stage, &name));
        }
    }
    found
}

/// What a stage starts from.
pub(crate) fn base_origin(planner: &Planner, stage: usize) -> Result<Origin, Diagnostic> {
    let from = planner.froms.get(stage);
    let written = planner.dockerfile.stages.get(stage);
    let (Some(from), Some(written)) = (from, written) else {
        return Ok(Origin::Scratch);
    };
    let span = written.from.base.span;
    if let Some(context) = override_of(planner, stage) {
        return Ok(named(context, &from.platform, span));
    }
    match &from.base {
        FromBase::Scratch => Ok(Origin::Scratch),
        FromBase::Stage(parent) => Ok(Origin::Stage(*parent)),
        FromBase::Image(text) => {
            if let Some(context) = find(&planner.inputs.contexts, text, &from.platform) {
                return Ok(named(context, &from.platform, span));
            }
            let platform = from.platform.clone();
            image(&planner.dockerfile, stage, text, platform, span)
        }
    }
}

/// The context that stands in for a whole stage, because it has its name: nothing of the stage is looked at (T-STAGE-15).
fn override_of(planner: &Planner, stage: usize) -> Option<&NamedContext> {
    let name = planner.dockerfile.stages.get(stage)?.from.stage_name()?;
    let platform = &planner.froms.get(stage)?.platform;
    find(&planner.inputs.contexts, name, platform)
}

/// Whether a context stands in for the stage.
pub(crate) fn is_overridden(planner: &Planner, stage: usize) -> bool {
    override_of(planner, stage).is_some()
}

/// What a named context is for whoever refers to it.
fn named(context: &NamedContext, platform: &Platform, span: Span) -> Origin {
    match context.kind() {
        ContextKind::Scratch => Origin::Scratch,
        ContextKind::Files => Origin::Files(context.name().to_owned()),
        ContextKind::Image(reference) => Origin::Image(ImageQuery {
            reference: reference.clone(),
            platform: platform.clone(),
            span,
            help: None,
        }),
    }
}

/// A name behind `from=`, and where it is allowed to point.
#[derive(Debug, Clone)]
pub(crate) struct FromName {
    name: Spanned<String>,
    /// COPY accepts the position of a stage; mounts do not.
    index_allowed: bool,
}

impl FromName {
    /// `COPY --from=`
    pub(crate) fn of_copy(name: Spanned<String>) -> Self {
        Self {
            name,
            index_allowed: true,
        }
    }

    /// `RUN --mount=from=`; none if the mount has no `from`.
    pub(crate) fn of_mount(mount: &Mount) -> Option<Self> {
        let mut options = mount.options.iter();
        let value = options
            .rfind(|option| option.key == MountKey::From)
            .and_then(|option| option.value.as_ref())?;
        Some(Self {
            name: Spanned::new(value.raw.clone(), value.span),
            index_allowed: false,
        })
    }

    /// The same name at another place: a trigger has none in this file but the FROM line.
    pub(crate) fn at(mut self, span: Span) -> Self {
        self.name.span = span;
        self
    }

    /// Where it stands.
    pub(crate) fn span(&self) -> Span {
        self.name.span
    }
}

/// The names one instruction refers to.
fn references(instruction: &Instruction) -> Vec<FromName> {
    match &instruction.kind {
        InstructionKind::Copy(copy) => copy
            .from
            .clone()
            .map(FromName::of_copy)
            .into_iter()
            .collect(),
        InstructionKind::Run(run) => run.mounts.iter().filter_map(FromName::of_mount).collect(),
        InstructionKind::Add(_)
        | InstructionKind::Arg(_)
        | InstructionKind::Cmd(_)
        | InstructionKind::Entrypoint(_)
        | InstructionKind::Env(_)
        | InstructionKind::Expose(_)
        | InstructionKind::Healthcheck(_)
        | InstructionKind::Label(_)
        | InstructionKind::Maintainer(_)
        | InstructionKind::Onbuild(_)
        | InstructionKind::Shell(_)
        | InstructionKind::Stopsignal(_)
        | InstructionKind::User(_)
        | InstructionKind::Volume(_)
        | InstructionKind::Workdir(_) => Vec::new(),
    }
}

/// What cannot be right in any build, said of the stages that this one does not need, too: indexes that no stage has, and
/// stages that copy from themselves (T-STAGE-01, T-STAGE-10).
pub(super) fn impossible(planner: &Planner, needed: &BTreeSet<usize>) -> Vec<Diagnostic> {
    let dockerfile = &planner.dockerfile;
    let others = dockerfile.stages.iter().enumerate();
    let others = others.filter(|(stage, _)| !needed.contains(stage));
    let mut problems = Vec::new();
    for (stage, written) in others {
        for reference in written.instructions.iter().flat_map(references) {
            let Spanned { value: name, span } = &reference.name;
            let index = name.parse::<i64>().ok();
            match index.filter(|_| reference.index_allowed) {
                Some(index) => {
                    let exists = usize::try_from(index)
                        .is_ok_and(|index| index != stage && index < dockerfile.stages.len());
                    problems.extend(by_index(index, stage, *span).err().filter(|_| !exists));
                }
                None if stage_named(dockerfile, name, stage).is_none()
                    && is_called(dockerfile, stage, name) =>
                {
                    problems.push(circular(name, *span));
                }
                None => {}
            }
        }
    }
    problems
}

/// The last of the stages before `limit` that has this name; case does not matter (T-STAGE-02, T-STAGE-11).
pub(super) fn stage_named(dockerfile: &Dockerfile, name: &str, limit: usize) -> Option<usize> {
    let name = name.to_lowercase();
    let before = dockerfile.stages.get(..limit).unwrap_or_default();
    before
        .iter()
        .rposition(|stage| stage.from.stage_name() == Some(name.as_str()))
}

/// What `name`, used in `stage`, means. Stages come before named contexts (which stand in for stages of their names), earlier ones only,
/// and images last.
pub(crate) fn resolve(
    planner: &Planner,
    stage: usize,
    reference: &FromName,
) -> Result<Origin, Diagnostic> {
    let Spanned { value: name, span } = &reference.name;
    if reference.index_allowed
        && let Ok(index) = name.parse::<i64>()
    {
        return by_index(index, stage, *span);
    }
    let dockerfile = &planner.dockerfile;
    if let Some(earlier) = stage_named(dockerfile, name, stage) {
        return Ok(Origin::Stage(earlier));
    }
    if name == SCRATCH {
        return Ok(Origin::Scratch);
    }
    let platform = &planner.inputs.platform;
    if let Some(context) = find(&planner.inputs.contexts, name, platform) {
        return Ok(named(context, platform, *span));
    }
    match stage_named(dockerfile, name, dockerfile.stages.len()) {
        Some(_) if is_called(dockerfile, stage, name) => Err(circular(name, *span)),
        Some(later) => Err(forward(dockerfile, name, stage, later, *span)),
        None => image(dockerfile, stage, name, platform.clone(), *span),
    }
}

fn by_index(index: i64, stage: usize, span: Span) -> Result<Origin, Diagnostic> {
    match usize::try_from(index) {
        Ok(index) if index < stage => Ok(Origin::Stage(index)),
        Ok(index) if index == stage => Err(circular(&index.to_string(), span)),
        _ => {
            let message = format!("stage index `{index}` is not that of an earlier stage");
            let help = match stage.checked_sub(1) {
                None => "this is the first stage".to_owned(),
                Some(last) => format!("indexes count from 0; here they end at {last}"),
            };
            Err(Diagnostic::error("InvalidStageIndex", span, message).with_help(help))
        }
    }
}

fn is_called(dockerfile: &Dockerfile, stage: usize, name: &str) -> bool {
    let stage = dockerfile.stages.get(stage);
    stage.and_then(|stage| stage.from.stage_name()) == Some(name.to_lowercase().as_str())
}

fn circular(name: &str, span: Span) -> Diagnostic {
    let message = format!("circular dependency: stage `{name}` copies from itself");
    Diagnostic::error("CircularDependency", span, message)
}

fn forward(
    dockerfile: &Dockerfile,
    name: &str,
    stage: usize,
    later: usize,
    span: Span,
) -> Diagnostic {
    let title = |index: usize| match dockerfile.stages.get(index) {
        Some(stage) => match stage.from.stage_name() {
            Some(name) => format!("stage `{name}` (line {})", stage.from.span.line),
            None => format!("the stage of line {}", stage.from.span.line),
        },
        None => "this stage".to_owned(),
    };
    let message = format!(
        "cannot copy from stage `{name}`: it needs to be defined before {}",
        title(stage)
    );
    Diagnostic::error("ForwardReference", span, message)
        .with_help(format!("move {} up", title(later)))
}

/// A name that is no stage, used in `stage`.
fn image(
    dockerfile: &Dockerfile,
    stage: usize,
    text: &str,
    platform: Platform,
    span: Span,
) -> Result<Origin, Diagnostic> {
    let help = stage_help(dockerfile, stage, text);
    match normalise(text) {
        Ok(reference) => Ok(Origin::Image(ImageQuery {
            reference,
            platform,
            span,
            help,
        })),
        Err(reason) => {
            let message = format!("`{text}` is not an image reference: {reason}");
            let problem = Diagnostic::error("InvalidReference", span, message);
            Err(Diagnostic { help, ..problem })
        }
    }
}

fn stage_help(dockerfile: &Dockerfile, stage: usize, text: &str) -> Option<String> {
    if let Some(later) = stage_named(dockerfile, text, dockerfile.stages.len()) {
        let line = dockerfile.stages.get(later)?.from.span.line;
        return Some(format!(
            "stage `{text}` is defined on line {line}, but only earlier stages can be used"
        ));
    }
    let earlier = dockerfile.stages.get(..stage).unwrap_or_default();
    let names = earlier.iter().filter_map(|stage| stage.from.stage_name());
    let meant = nearest(text, names)?;
    let line = dockerfile
        .stages
        .get(stage_named(dockerfile, meant, stage)?)?
        .from
        .span
        .line;
    Some(format!("a stage named `{meant}` is defined on line {line}"))
}
