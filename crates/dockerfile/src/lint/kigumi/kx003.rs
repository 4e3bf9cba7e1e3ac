//! `KX003`: sources are copied after dependencies are installed.

use crate::instruction::Instruction;
use crate::lint::report::Place;
use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::shell::Command;
use crate::lint::subject::Subject;

pub(super) static RULE: Rule = Rule {
    id: "KX003",
    level: Level::Info,
    mode: Mode::Always,
    phase: Phase::Parsing,
    summary: "Sources are copied after dependencies are installed",
    why: "Any change of any file installs all dependencies again otherwise.",
    example: Example {
        given: Given::Nothing,
        bad: "FROM node:22\nWORKDIR /app\nCOPY . .\nRUN npm ci\n",
        good: "FROM node:22\nWORKDIR /app\nCOPY package.json package-lock.json ./\nRUN npm ci\nCOPY . .\n",
    },
    check,
};

/// Programs that install what a file of the sources lists, with the word that says so.
const INSTALLERS: [(&str, &[&str]); 10] = [
    ("npm", &["ci", "install", "i"]),
    ("yarn", &["install"]),
    ("pnpm", &["install", "i"]),
    ("pip", &["install"]),
    ("pip3", &["install"]),
    ("poetry", &["install"]),
    ("bundle", &["install"]),
    ("composer", &["install"]),
    ("go", &["mod"]),
    ("cargo", &["fetch"]),
];

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    for (index, stage) in subject.file.stages.iter().enumerate() {
        let all = stage.instructions.iter().find(|one| copies_all(one));
        let Some(copy) = all else {
            continue;
        };
        let later = subject.runs.iter().filter(|run| run.stage == index);
        let mut later = later.filter(|run| run.instruction.span.start > copy.span.start);
        if later.any(|run| run.script.commands.iter().any(installs)) {
            let message = "the whole context is copied before dependencies are installed";
            let help = "copy the files that list the dependencies first".to_owned();
            out.report_with(Place::of(copy), message, Some(help));
        }
    }
}

fn copies_all(instruction: &Instruction) -> bool {
    let is_local = instruction.copy().is_none_or(|copy| copy.from.is_none());
    let sources = instruction.paths().map(|paths| &paths.sources);
    is_local
        && sources
            .into_iter()
            .flatten()
            .any(|word| matches!(word.raw.as_str(), "." | "./" | "/"))
}

fn installs(command: &Command) -> bool {
    let known = INSTALLERS.iter().find(|(name, _)| *name == command.name);
    known.is_some_and(|(_, words)| {
        command
            .arguments
            .iter()
            .any(|word| words.contains(&word.as_str()))
    })
}
