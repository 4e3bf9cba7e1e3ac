//! What is known before any stage: predefined arguments and global ARGs. Dockerfile reference § Automatic platform
//! ARGs in the global scope.

use kigumi_dockerfile::instruction::Arg;
use kigumi_dockerfile::{Diagnostic, Dockerfile, InstructionKind, Word};

use crate::inputs::BuildInputs;
use crate::variables::Variables;

/// Predefined for FROM, and for stages that declare them.
pub(crate) const PLATFORM_ARGS: [&str; 11] = [
    "BUILDPLATFORM",
    "BUILDOS",
    "BUILDOSVERSION",
    "BUILDARCH",
    "BUILDVARIANT",
    "TARGETPLATFORM",
    "TARGETOS",
    "TARGETOSVERSION",
    "TARGETARCH",
    "TARGETVARIANT",
    "TARGETSTAGE",
];

/// The variables that FROM lines see, and that `ARG name` in a stage takes its value from.
pub(super) fn globals(
    dockerfile: &Dockerfile,
    inputs: &BuildInputs,
    target_name: Option<&str>,
    problems: &mut Vec<Diagnostic>,
) -> Variables {
    let mut globals = Variables::default();
    for (name, value) in predefined(inputs, target_name) {
        globals.set(name, inputs.build_arg(name).unwrap_or(&value));
    }
    for instruction in &dockerfile.global_args {
        if let InstructionKind::Arg(arg) = &instruction.kind {
            declare(dockerfile, inputs, arg, &mut globals, problems);
        }
    }
    globals
}

fn declare(
    dockerfile: &Dockerfile,
    inputs: &BuildInputs,
    arg: &Arg,
    globals: &mut Variables,
    problems: &mut Vec<Diagnostic>,
) {
    for declaration in &arg.declarations {
        let lookup = |name: &str| globals.value(name).map(str::to_owned);
        let expanded = |word: &Word| {
            let expanded = word.expand(&lookup, dockerfile.escape);
            expanded
                .map(|expanded| expanded.text)
                .map_err(|error| error.diagnostic(word.span))
        };
        let value = expanded(&declaration.name).and_then(|name| {
            // The default is not even looked at when the command line gives a value (T-EXP-08).
            let value = match (inputs.build_arg(&name), &declaration.default) {
                (Some(given), _) => Some(given.to_owned()),
                (None, Some(default)) => Some(expanded(default)?),
                (None, None) => None,
            };
            Ok((name, value))
        });
        match value {
            Ok((name, Some(value))) => globals.set(&name, &value),
            Ok((_, None)) => {}
            Err(problem) => problems.push(problem),
        }
    }
}

/// The predefined arguments with the values they have by themselves.
pub(super) fn predefined(
    inputs: &BuildInputs,
    target_name: Option<&str>,
) -> [(&'static str, String); 11] {
    let text = |part: &Option<String>| part.clone().unwrap_or_default();
    let BuildInputs {
        platform: target,
        build_platform: build,
        ..
    } = inputs;
    let values = [
        build.to_string(),
        build.os.clone(),
        text(&build.os_version),
        build.architecture.clone(),
        text(&build.variant),
        target.to_string(),
        target.os.clone(),
        text(&target.os_version),
        target.architecture.clone(),
        text(&target.variant),
        target_name.unwrap_or("default").to_owned(),
    ];
    let mut names = PLATFORM_ARGS.into_iter();
    values.map(|value| (names.next().unwrap_or_default(), value))
}
