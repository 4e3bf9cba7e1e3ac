//! `KX112`: build arguments are declared.

use crate::instruction::Instruction;
use crate::lint::report::Place;
use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;
use crate::suggest::nearest;
use std::collections::BTreeSet;

pub(super) static RULE: Rule = Rule {
    id: "KX112",
    level: Level::Warning,
    mode: Mode::Always,
    phase: Phase::Building,
    summary: "Build arguments are declared",
    why: "A `--build-arg` that no ARG mentions has no effect; often it is misspelt.",
    example: Example {
        given: Given::BuildArgument("VERSON", "1"),
        bad: "FROM alpine:3.20\nARG VERSION\n",
        good: "FROM alpine:3.20\nARG VERSON\n",
    },
    check,
};

/// Arguments of the builder itself.
const BUILDER: &str = "BUILDKIT_";

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    let mut declared: BTreeSet<String> = BTreeSet::new();
    let globals = subject
        .file
        .global_args
        .iter()
        .chain(subject.all().map(|(_, one)| one));
    let mut declare = |instruction: &Instruction| {
        let names = instruction
            .arg()
            .into_iter()
            .flat_map(|arg| &arg.declarations);
        declared.extend(names.map(|one| one.name.raw.clone()));
    };
    globals.for_each(&mut declare);
    // Triggers of base images declare arguments too.
    subject.visit(|visit| declare(visit.instruction));
    // The command line has no place in the file; the first line stands for it.
    let place = Place {
        span: subject.file.source.span(0, 0),
        comments: &[],
    };
    let given: BTreeSet<&str> = subject
        .inputs
        .build_args
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    for name in given {
        if declared.contains(name) || is_predefined(subject, name) {
            continue;
        }
        let near = nearest(name, declared.iter().map(String::as_str));
        let help = near.map(|near| format!("there is `ARG {near}`"));
        out.report_with(
            place,
            format!("the build argument `{name}` is not declared by any ARG"),
            help,
        );
    }
}

fn is_predefined(subject: &Subject<'_>, name: &str) -> bool {
    let proxies = [
        "http_proxy",
        "https_proxy",
        "ftp_proxy",
        "no_proxy",
        "all_proxy",
    ];
    subject
        .inputs
        .predefined
        .iter()
        .any(|(known, _)| known == name)
        || name.starts_with(BUILDER)
        || name == "SOURCE_DATE_EPOCH"
        || proxies.contains(&name.to_lowercase().as_str())
}
