//! `UndefinedVar`: variables that exist.

use crate::instruction::{InstructionKind, KeyValues, SourcesAndDestination};
use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;
use crate::lint::subject::Visit;
use crate::source::Word;
use crate::suggest::nearest;
use crate::word::expand_heredoc;

pub(super) static RULE: Rule = Rule {
    id: "UndefinedVar",
    level: Level::Warning,
    mode: Mode::Always,
    phase: Phase::Building,
    summary: "Variables are defined before they are used",
    why: "An undefined variable is an empty text. ARG and ENV of the stage, of the stages it stands on, and of the base image count. A base image that nobody looked at silences the rule.",
    example: Example {
        given: Given::Nothing,
        bad: "FROM scratch\nARG version=1\nLABEL version=$versoin\n",
        good: "FROM scratch\nARG version=1\nLABEL version=$version\n",
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    subject.visit(|visit| {
        for name in undefined(visit, subject) {
            if !visit.scope.is_undefined(&name) {
                continue;
            }
            let near = nearest(&name, visit.scope.names());
            let help = near.map(|near| format!("did you mean `${near}`?"));
            out.report_with(
                visit.place,
                format!("the variable `${name}` is not defined"),
                help,
            );
        }
    });
}

/// The names that the words of an instruction ask for in vain.
fn undefined(visit: &Visit<'_>, subject: &Subject<'_>) -> Vec<String> {
    let escape = subject.file.escape;
    let words = words(&visit.instruction.kind, subject);
    let expanded = words
        .into_iter()
        .map(|word| visit.scope.expand(word, escape));
    let mut names: Vec<String> = expanded.flat_map(|word| word.undefined).collect();
    for heredoc in visit
        .instruction
        .paths()
        .into_iter()
        .flat_map(|paths| &paths.heredocs)
    {
        if heredoc.expand {
            let body = expand_heredoc(&heredoc.content, &|name| visit.scope.value(name));
            names.extend(body.unwrap_or_default().undefined);
        }
    }
    names
}

/// The words that are expanded.
fn words<'k>(kind: &'k InstructionKind, subject: &Subject<'_>) -> Vec<&'k Word> {
    match kind {
        InstructionKind::Add(add) => {
            let flags = [&add.chown, &add.chmod, &add.checksum];
            flags
                .into_iter()
                .flatten()
                .chain(paths(&add.paths))
                .collect()
        }
        InstructionKind::Copy(copy) => {
            let flags = [&copy.chown, &copy.chmod];
            flags
                .into_iter()
                .flatten()
                .chain(paths(&copy.paths))
                .collect()
        }
        // The default is not looked at when a build argument replaces it.
        InstructionKind::Arg(arg) => {
            let given = |name: &str| {
                subject
                    .inputs
                    .build_args
                    .iter()
                    .any(|(known, _)| known == name)
            };
            let declarations = arg.declarations.iter();
            let lazy = declarations.filter(|one| !given(&one.name.raw));
            lazy.filter_map(|one| one.default.as_ref()).collect()
        }
        InstructionKind::Env(pairs) | InstructionKind::Label(pairs) => both_sides(pairs),
        InstructionKind::Run(run) => {
            let options = run.mounts.iter().flat_map(|mount| &mount.options);
            options.filter_map(|option| option.value.as_ref()).collect()
        }
        InstructionKind::Stopsignal(word)
        | InstructionKind::User(word)
        | InstructionKind::Workdir(word) => vec![word],
        InstructionKind::Volume(volume) => volume.paths.iter().collect(),
        // COMPAT(buildkit): ports are expanded, and nobody looks at what they ask for.
        InstructionKind::Expose(_)
        | InstructionKind::Cmd(_)
        | InstructionKind::Entrypoint(_)
        | InstructionKind::Healthcheck(_)
        | InstructionKind::Maintainer(_)
        | InstructionKind::Onbuild(_)
        | InstructionKind::Shell(_) => Vec::new(),
    }
}

fn paths(paths: &SourcesAndDestination) -> impl Iterator<Item = &Word> {
    paths.sources.iter().chain([&paths.destination])
}

fn both_sides(pairs: &KeyValues) -> Vec<&Word> {
    let pairs = pairs.pairs.iter();
    pairs.flat_map(|pair| [&pair.key, &pair.value]).collect()
}
