//! Which `SOURCE_DATE_EPOCH` a build has.

use kigumi_dockerfile::{Diagnostic, Dockerfile, InstructionKind, Span};

use crate::epoch;
use crate::inputs::BuildInputs;
use crate::unsupported;
use crate::variables::Variables;

/// The argument's name.
const NAME: &str = "SOURCE_DATE_EPOCH";

/// The epoch of a build: from the build argument, else from a global ARG. Empty resets it.
pub(super) fn epoch(
    dockerfile: &Dockerfile,
    inputs: &BuildInputs,
    globals: &Variables,
) -> Result<Option<i64>, Diagnostic> {
    let text = inputs.build_arg(NAME).or_else(|| globals.value(NAME));
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    if let Some(seconds) = epoch::parse(text) {
        return Ok(Some(seconds));
    }
    let span = place(dockerfile);
    if text == "context" || dockerfile.stage_named(text).is_some() {
        return Err(unsupported::epoch_from(text, span));
    }
    let message = format!("{NAME} `{text}` is not a number of seconds since 1970");
    Err(Diagnostic::error("InvalidEpoch", span, message))
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
