//! ONBUILD: instructions that a base leaves for its children.

use kigumi_dockerfile::{Diagnostic, Instruction, InstructionKind, parse_onbuild_trigger};

use super::Planner;
use super::from::FromBase;
use super::graph::{Origin, base_origin, is_overridden};

/// The triggers that run at the start of a stage, parsed, with errors at its FROM line. None as long as the base image
/// was not supplied.
pub(super) fn of_stage(planner: &Planner, stage: usize) -> Vec<Result<Instruction, Diagnostic>> {
    let Some(written) = planner.dockerfile.stages.get(stage) else {
        return Vec::new();
    };
    let span = written.from.span;
    let parsed = texts(planner, stage).into_iter().map(|text| {
        parse_onbuild_trigger(&text).map_err(|problems| {
            let reasons: Vec<&str> = problems
                .errors()
                .map(|error| error.message.as_str())
                .collect();
            let message = format!(
                "ONBUILD trigger `{text}` of the base: {}",
                reasons.join("; ")
            );
            Diagnostic::error("InvalidTrigger", span, message)
        })
    });
    parsed.collect()
}

/// The triggers as stored: of a base in the same file its own ONBUILD instructions (what its base left was cleared),
/// of an image what its config says.
fn texts(planner: &Planner, stage: usize) -> Vec<String> {
    let Some(from) = planner.froms.get(stage) else {
        return Vec::new();
    };
    match &from.base {
        // A context stands in for all that the stage would do.
        _ if is_overridden(planner, stage) => Vec::new(),
        FromBase::Scratch => Vec::new(),
        FromBase::Stage(parent) if is_overridden(planner, *parent) => of_image(planner, *parent),
        FromBase::Stage(parent) => stored(planner, *parent),
        FromBase::Image(_) => of_image(planner, stage),
    }
}

/// What the image leaves that a stage starts from.
fn of_image(planner: &Planner, stage: usize) -> Vec<String> {
    match base_origin(planner, stage) {
        Ok(Origin::Image(query)) => {
            let image = planner.image(&query);
            image
                .and_then(|image| image.config.config.on_build.clone())
                .unwrap_or_default()
        }
        Ok(Origin::Scratch | Origin::Stage(_) | Origin::Files(_)) | Err(_) => Vec::new(),
    }
}

fn stored(planner: &Planner, stage: usize) -> Vec<String> {
    let stage = planner.dockerfile.stages.get(stage);
    let instructions = stage.map(|stage| stage.instructions.iter());
    instructions
        .into_iter()
        .flatten()
        .filter_map(|instruction| {
            if let InstructionKind::Onbuild(onbuild) = &instruction.kind {
                Some(onbuild.trigger.value.clone())
            } else {
                None
            }
        })
        .collect()
}
