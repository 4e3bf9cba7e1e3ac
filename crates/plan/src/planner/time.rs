//! Which `SOURCE_DATE_EPOCH` a build has.

use kigumi_dockerfile::instruction::{Add, Arg};
use kigumi_dockerfile::{Diagnostic, Dockerfile, InstructionKind, Span, Stage, Word};

use super::from::SCRATCH;
use crate::context::find;
use crate::epoch;
use crate::inputs::BuildInputs;
use crate::lower::{Remote, remote_kind};
use crate::variables::Variables;

/// The argument's name.
const NAME: &str = "SOURCE_DATE_EPOCH";

/// A question: when was this file changed, or this commit made?
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeQuery {
    /// Where it is. It may hold a password.
    pub url: String,
    /// What is there.
    pub kind: Remote,
    /// `--checksum`, of a commit.
    pub checksum: Option<String>,
    /// The same as written, for people.
    pub shown: String,
    /// The place that asks.
    pub span: Span,
}

/// The epoch as far as it is known.
#[derive(Debug, Clone)]
pub(super) enum Epoch {
    /// It is, or there is none.
    Known(Option<i64>),
    /// It has to be asked for.
    Wanted(TimeQuery),
}

/// The epoch of a build: from the build argument, else from a global ARG. Empty resets it. A name is that of the build
/// context, of a named context, or of a stage that is nothing but one remote ADD.
pub(super) fn epoch(
    dockerfile: &Dockerfile,
    inputs: &BuildInputs,
    globals: &Variables,
    warnings: &mut Vec<Diagnostic>,
) -> Result<Epoch, Diagnostic> {
    let text = inputs.build_arg(NAME).or_else(|| globals.value(NAME));
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Ok(Epoch::Known(None));
    };
    if let Some(seconds) = epoch::parse(text) {
        return Ok(Epoch::Known(Some(seconds)));
    }
    let span = place(dockerfile);
    if text == "context" || find(&inputs.contexts, text, &inputs.platform).is_some() {
        // COMPAT(buildkit): what has no time of its own gives none.
        let message =
            format!("{NAME} is taken from `{text}`, which has no time: the build has none");
        warnings.push(Diagnostic::warning("NoEpoch", span, message));
        return Ok(Epoch::Known(None));
    }
    if let Some(stage) = dockerfile
        .stage_named(text)
        .and_then(|at| dockerfile.stages.get(at))
    {
        let source = Source {
            dockerfile,
            inputs,
            variables: globals.without(NAME),
        };
        return source.of_stage(stage).map(Epoch::Wanted);
    }
    let message = format!("{NAME} `{text}` is not a number of seconds since 1970");
    Err(Diagnostic::error("InvalidEpoch", span, message))
}

/// Puts the number where the name was.
pub(super) fn settle(inputs: &mut BuildInputs, globals: &mut Variables, seconds: i64) {
    let number = seconds.to_string();
    for (_, value) in inputs
        .build_args
        .iter_mut()
        .filter(|(name, _)| name == NAME)
    {
        value.clone_from(&number);
    }
    if globals.value(NAME).is_some() {
        globals.set(NAME, &number);
    }
}

/// A stage that is only there for its time.
struct Source<'a> {
    dockerfile: &'a Dockerfile,
    inputs: &'a BuildInputs,
    /// Global ARGs, and then those of the stage.
    variables: Variables,
}

impl Source<'_> {
    fn of_stage(mut self, stage: &Stage) -> Result<TimeQuery, Diagnostic> {
        let from = &stage.from;
        if self.expand(&from.base)? != SCRATCH {
            return Err(wrong(from.span, "does not start with `FROM scratch`"));
        }
        let mut found = None;
        for instruction in &stage.instructions {
            match &instruction.kind {
                InstructionKind::Arg(arg) => self.declare(arg)?,
                InstructionKind::Add(add) if found.is_none() => {
                    found = Some(self.of_add(add, instruction.span)?);
                }
                InstructionKind::Add(_)
                | InstructionKind::Cmd(_)
                | InstructionKind::Copy(_)
                | InstructionKind::Entrypoint(_)
                | InstructionKind::Env(_)
                | InstructionKind::Expose(_)
                | InstructionKind::Healthcheck(_)
                | InstructionKind::Label(_)
                | InstructionKind::Maintainer(_)
                | InstructionKind::Onbuild(_)
                | InstructionKind::Run(_)
                | InstructionKind::Shell(_)
                | InstructionKind::Stopsignal(_)
                | InstructionKind::User(_)
                | InstructionKind::Volume(_)
                | InstructionKind::Workdir(_) => {
                    return Err(wrong(
                        instruction.span,
                        "has more than one ADD and its ARGs",
                    ));
                }
            }
        }
        found.ok_or_else(|| wrong(from.span, "has no ADD"))
    }

    fn declare(&mut self, arg: &Arg) -> Result<(), Diagnostic> {
        for declaration in &arg.declarations {
            let name = self.expand(&declaration.name)?;
            let value = match (self.inputs.build_arg(&name), &declaration.default) {
                (Some(given), _) => given.to_owned(),
                (None, Some(default)) => self.expand(default)?,
                (None, None) => continue,
            };
            self.variables.set(&name, &value);
        }
        Ok(())
    }

    fn of_add(&self, add: &Add, span: Span) -> Result<TimeQuery, Diagnostic> {
        let [word] = add.paths.sources.as_slice() else {
            return Err(wrong(span, "adds more than one source"));
        };
        if !add.paths.heredocs.is_empty() {
            return Err(wrong(span, "adds more than one source"));
        }
        let url = self.expand(word)?;
        let checksum = add.checksum.as_ref().map(|word| self.expand(word));
        match remote_kind(&url) {
            Some(kind) => Ok(TimeQuery {
                url,
                kind,
                checksum: checksum.transpose()?,
                shown: word.raw.clone(),
                span,
            }),
            None => Err(wrong(span, "adds something of the build context")),
        }
    }

    fn expand(&self, word: &Word) -> Result<String, Diagnostic> {
        let lookup = |name: &str| self.variables.value(name).map(str::to_owned);
        word.expand(&lookup, self.dockerfile.escape)
            .map(|expanded| expanded.text)
            .map_err(|error| error.diagnostic(word.span))
    }
}

fn wrong(span: Span, what: &str) -> Diagnostic {
    let message = format!("the stage that {NAME} names {what}");
    Diagnostic::error("InvalidEpoch", span, message).with_help(
        "it has to be `FROM scratch` with one ADD of a URL or git repository, and nothing else but ARG",
    )
}

/// The global ARG, or the first FROM if the command line is to blame.
fn place(dockerfile: &Dockerfile) -> Span {
    let mut args = dockerfile.global_args.iter();
    let declares = |kind: &InstructionKind| {
        matches!(kind, InstructionKind::Arg(arg)
            if arg.declarations.iter().any(|one| one.name.raw == NAME))
    };
    let declared = args.find(|instruction| declares(&instruction.kind));
    let first = dockerfile.stages.first().map(|stage| stage.from.span);
    declared
        .map(|instruction| instruction.span)
        .or(first)
        .unwrap_or_default()
}
