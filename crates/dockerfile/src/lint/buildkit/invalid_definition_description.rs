//! `InvalidDefinitionDescription`: comments that describe stages and arguments.

use crate::lint::report::Place;
use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;

pub(super) static RULE: Rule = Rule {
    id: "InvalidDefinitionDescription",
    level: Level::Info,
    mode: Mode::Experimental,
    phase: Phase::Parsing,
    summary: "A comment directly above FROM … AS or ARG begins with the name that it describes",
    why: "Tools show such comments as descriptions of stages and arguments. A comment that is none is separated by an empty line or an empty comment.",
    example: Example {
        given: Given::Nothing,
        bad: "# check=experimental=all\n\n# the compiler\nFROM alpine:3.20 AS builder\n",
        good: "# check=experimental=all\n\n# builder is the compiler\nFROM alpine:3.20 AS builder\n",
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    for stage in &subject.file.stages {
        if let Some(name) = stage.from.stage_name() {
            describe(Place::of_from(&stage.from), "FROM", &[name], out);
        }
    }
    let inside = subject.all().map(|(_, instruction)| instruction);
    for instruction in subject.file.global_args.iter().chain(inside) {
        if let Some(arg) = instruction.arg() {
            let names = arg.declarations.iter();
            let names: Vec<&str> = names.map(|one| one.name.raw.as_str()).collect();
            describe(Place::of(instruction), "ARG", &names, out);
        }
    }
}

fn describe(place: Place<'_>, keyword: &str, names: &[&str], out: &mut Reporter<'_>) {
    let Some(comment) = place.comments.last() else {
        return;
    };
    let first = comment.text.split(' ').next().unwrap_or_default();
    if names.contains(&first) {
        return;
    }
    let name = match names {
        [name] => name,
        _ => "NAME",
    };
    let message = format!("the comment above {keyword} does not begin with the name it describes");
    let help = format!("write `# {name} …`, or put an empty line below the comment");
    out.report_with(place, message, Some(help));
}
