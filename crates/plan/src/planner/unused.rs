//! Build arguments that nothing declares (T-ARG-09).

use std::collections::BTreeSet;

use kigumi_dockerfile::{Diagnostic, Instruction, InstructionKind, nearest};

use super::{PLATFORM_ARGS, Planner};
use crate::lower::is_proxy;

/// Arguments of the builder itself that may be given without being declared.
const BUILDER_PREFIX: &str = "BUILDKIT_";

/// One warning per argument of the command line that no ARG of the file mentions. Names only: values may be secret.
pub(super) fn warnings(planner: &Planner, needed: &[usize]) -> Vec<Diagnostic> {
    let dockerfile = &planner.dockerfile;
    // The command line has no place in the file.
    let start = dockerfile.source.span(0, 0);
    let mut declared = BTreeSet::new();
    let written = dockerfile
        .stages
        .iter()
        .flat_map(|stage| &stage.instructions);
    for instruction in dockerfile.global_args.iter().chain(written) {
        declared.extend(names(instruction));
    }
    for stage in needed {
        for trigger in planner.triggers(*stage).into_iter().flatten() {
            declared.extend(names(&trigger));
        }
    }
    let given: BTreeSet<&str> = planner
        .inputs
        .build_args
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    given
        .into_iter()
        .filter(|name| !declared.contains(*name) && !is_predefined(name))
        .map(|name| {
            let message = format!("build argument `{name}` is not declared by any ARG");
            let warning = Diagnostic::warning("UnusedBuildArg", start, message);
            match nearest(name, declared.iter().map(String::as_str)) {
                Some(meant) => warning.with_help(format!("there is `ARG {meant}`")),
                None => warning,
            }
        })
        .collect()
}

fn is_predefined(name: &str) -> bool {
    PLATFORM_ARGS.contains(&name)
        || name == "SOURCE_DATE_EPOCH"
        || name.starts_with(BUILDER_PREFIX)
        || is_proxy(name)
}

fn names(instruction: &Instruction) -> Vec<String> {
    let InstructionKind::Arg(arg) = &instruction.kind else {
        return Vec::new();
    };
    let declarations = arg.declarations.iter();
    declarations
        .map(|declaration| declaration.name.raw.clone())
        .collect()
}
