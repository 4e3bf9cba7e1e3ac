//! FROM lines, evaluated. Also those of stages that nothing needs: their arguments must make sense, their images are
//! never asked for (T-ARG-10).

use kigumi_dockerfile::{Diagnostic, Dockerfile, From, Word};
use kigumi_oci::{Platform, parse_reference};

use super::graph::stage_named;
use crate::inputs::BuildInputs;
use crate::variables::Variables;

/// A FROM line with its variables expanded.
#[derive(Debug, Clone)]
pub(crate) struct StageFrom {
    /// What the base image is wanted for, and what RUN runs on.
    pub(crate) platform: Platform,
    /// What the stage starts from.
    pub(crate) base: FromBase,
}

/// What the word behind FROM means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FromBase {
    /// `scratch`
    Scratch,
    /// An earlier stage, by position.
    Stage(usize),
    /// Anything else, as written after expansion; whether it is a well-formed reference matters only if it is needed.
    Image(String),
}

/// The name that means no base at all.
pub(crate) const SCRATCH: &str = "scratch";

/// Evaluates all FROM lines. Of a line with a problem the values are placeholders.
pub(super) fn evaluate(
    dockerfile: &Dockerfile,
    inputs: &BuildInputs,
    globals: &Variables,
    problems: &mut Vec<Diagnostic>,
) -> Vec<StageFrom> {
    let mut stages: Vec<StageFrom> = Vec::new();
    for (index, stage) in dockerfile.stages.iter().enumerate() {
        let from = &stage.from;
        let mut take = |result: Result<_, Diagnostic>| match result {
            Ok(value) => Some(value),
            Err(problem) => {
                problems.push(problem);
                None
            }
        };
        let base = take(base(dockerfile, from, index, globals)).unwrap_or(FromBase::Scratch);
        let flag = platform(dockerfile, from, globals);
        let flag = match flag {
            Ok(flag) => flag,
            Err(problem) => {
                problems.push(problem);
                None
            }
        };
        let inherited = match base {
            // COMPAT(buildkit): a stage on a stage has the platform of that stage, whatever the flag says.
            FromBase::Stage(parent) => stages.get(parent).map(|parent| parent.platform.clone()),
            FromBase::Scratch | FromBase::Image(_) => flag,
        };
        stages.push(StageFrom {
            platform: inherited.unwrap_or_else(|| inputs.platform.clone()),
            base,
        });
    }
    stages
}

fn expand(word: &Word, dockerfile: &Dockerfile, globals: &Variables) -> Result<String, Diagnostic> {
    let lookup = |name: &str| globals.value(name).map(str::to_owned);
    word.expand(&lookup, dockerfile.escape)
        .map(|expanded| expanded.text)
        .map_err(|error| error.diagnostic(word.span))
}

fn base(
    dockerfile: &Dockerfile,
    from: &From,
    index: usize,
    globals: &Variables,
) -> Result<FromBase, Diagnostic> {
    let text = expand(&from.base, dockerfile, globals)?;
    if text.is_empty() {
        let message = format!("base name `{}` is blank", from.base.raw);
        return Err(
            Diagnostic::error("BlankBaseName", from.base.span, message).with_help(
                "give the ARG a default before the first FROM, or pass it with --build-arg",
            ),
        );
    }
    Ok(match stage_named(dockerfile, &text, index) {
        Some(stage) => FromBase::Stage(stage),
        None if text == SCRATCH => FromBase::Scratch,
        None => FromBase::Image(text),
    })
}

fn platform(
    dockerfile: &Dockerfile,
    from: &From,
    globals: &Variables,
) -> Result<Option<Platform>, Diagnostic> {
    let Some(word) = &from.platform else {
        return Ok(None);
    };
    let text = expand(word, dockerfile, globals)?;
    text.parse().map(Some).map_err(|_malformed| {
        let shown = if text == word.raw {
            format!("`{text}`")
        } else {
            format!("`{}` (here `{text}`)", word.raw)
        };
        Diagnostic::error(
            "InvalidPlatform",
            word.span,
            format!("platform {shown} is not of the form os/architecture[/variant]"),
        )
    })
}

/// A reference with registry, repository and tag or digest.
pub(crate) fn normalise(text: &str) -> Result<String, String> {
    parse_reference(text)
        .map(|reference| reference.whole())
        .map_err(|error| error.to_string())
}
