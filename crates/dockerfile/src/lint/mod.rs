//! Rules about Dockerfiles: what builds, and is probably not what was meant.
//!
//! Every rule is a file below this folder, and its value is its page: what it wants, why, and a pair of examples of
//! which the first makes it fire and the second does not (a test sees to that). Rules keep the names that users know:
//! those of `docker build --check` and of hadolint; our own begin with `KX`. Ids and meanings are taken over, nothing
//! else: texts and code are ours.
//!
//! *Enters*: a [`Dockerfile`] and [`Inputs`]. *Leaves*: [`Report`]. *Never happens here*: asking anybody. What a rule would
//! like to know and was not told (the base image, `.dockerignore`) keeps it silent.

mod buildkit;
mod hadolint;
mod inputs;
mod kigumi;
mod options;
mod packages;
mod platform;
mod ports;
mod reference;
mod report;
mod rule;
mod scope;
mod shell;
mod subject;
mod text;

#[cfg(test)]
mod tests;

pub use inputs::{Base, Inputs, Target};
pub use options::{Options, OptionsError};
pub use report::Finding;
pub use rule::{Example, Family, Given, Level, Mode, Phase, Rule};

use report::Reporter;
use subject::Subject;

use crate::dockerfile::{DirectiveKind, Dockerfile};

/// The build argument that replaces the `check` directive.
pub const CHECK_ARGUMENT: &str = "BUILDKIT_DOCKERFILE_CHECK";

/// What the rules say about a file.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// In the order of the text; of one line, rules about the text first.
    pub findings: Vec<Finding>,
    /// `error=true`: any finding fails a build.
    pub fails: bool,
}

/// Whether a rule tells what a warning of the parser or the planner tells, so that nobody needs to hear both.
#[must_use]
pub fn replaces(warning: &str) -> bool {
    let known = [
        "NoEmptyContinuation",
        "InvalidBaseImagePlatform",
        "UnusedBuildArg",
        "UnknownFrontend",
    ];
    known.contains(&warning)
}

/// All rules: BuildKit's, hadolint's, our own, each in the order of their documents.
pub fn rules() -> impl Iterator<Item = &'static Rule> {
    let families = [buildkit::RULES, hadolint::RULES, kigumi::RULES];
    families.into_iter().flatten().copied()
}

/// Runs all rules that the file and the inputs want.
///
/// # Errors
/// When the `check` directive, or the build argument that replaces it, makes no sense.
pub fn lint(file: &Dockerfile, inputs: &Inputs) -> Result<Report, OptionsError> {
    let options = options(file, inputs)?;
    let subject = Subject::new(file, inputs);
    let ignored = globally_ignored(file);
    let mut findings = Vec::new();
    for rule in rules().filter(|rule| !ignored.contains(&rule.id)) {
        let mut reporter = Reporter {
            rule,
            options: &options,
            requested: &inputs.requested,
            findings: &mut findings,
        };
        (rule.check)(&subject, &mut reporter);
    }
    findings.sort_by_key(|finding| (finding.span.line, finding.rule.phase));
    Ok(Report {
        findings,
        fails: options.error,
    })
}

fn options(file: &Dockerfile, inputs: &Inputs) -> Result<Options, OptionsError> {
    let mut given = inputs.build_args.iter().rev();
    let argument = given.find(|(name, _)| name == CHECK_ARGUMENT);
    let directive = file
        .directives
        .iter()
        .find(|directive| directive.kind == DirectiveKind::Check);
    match (argument, directive) {
        (Some((_, value)), _) => Options::parse(value),
        (None, Some(directive)) => Options::parse(&directive.value.value),
        (None, None) => Ok(Options::default()),
    }
}

/// The ids of `# hadolint global ignore=`, wherever such a comment stands.
fn globally_ignored(file: &Dockerfile) -> Vec<&str> {
    let source = &file.source;
    let stages = file.stages.iter();
    let instructions = file
        .global_args
        .iter()
        .chain(stages.clone().flat_map(|stage| &stage.instructions))
        .map(|instruction| instruction.span);
    let spans: Vec<_> = instructions
        .chain(stages.map(|stage| stage.from.span))
        .collect();
    let is_comment = |number: usize| {
        !spans
            .iter()
            .any(|span| (span.line..=span.end_line).contains(&number))
    };
    source
        .text()
        .lines()
        .zip(1..)
        .filter_map(|(line, number)| Some((line.trim_start().strip_prefix('#')?, number)))
        .filter_map(|(comment, number)| {
            let ids = options::hadolint(comment, &["global", "ignore"])?;
            is_comment(number).then_some(ids)
        })
        .flatten()
        .collect()
}
