//! `ConsistentInstructionCasing`: one case for all instructions.

use crate::lint::report::Place;
use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;

pub(super) static RULE: Rule = Rule {
    id: "ConsistentInstructionCasing",
    level: Level::Info,
    mode: Mode::Always,
    phase: Phase::Parsing,
    summary: "All instructions are written in one case, upper or lower",
    why: "The case of the majority counts; a word in mixed case always fires.",
    example: Example {
        given: Given::Nothing,
        bad: r#"FROM alpine:3.20
run true
CMD ["sh"]
"#,
        good: r#"FROM alpine:3.20
RUN true
CMD ["sh"]
"#,
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    let mut words: Vec<(&str, Place<'_>)> = Vec::new();
    for stage in &subject.file.stages {
        words.push((&stage.from.keyword.value, Place::of_from(&stage.from)));
        let instructions = stage.instructions.iter();
        words.extend(instructions.map(|one| (one.keyword.value.as_str(), Place::of(one))));
    }
    let votes =
        |case: fn(&str) -> String| words.iter().filter(|(word, _)| case(word) == *word).count();
    let is_lower = votes(str::to_lowercase) > votes(str::to_uppercase);
    for (word, place) in &words {
        let (wanted, case) = if is_lower {
            (word.to_lowercase(), "lower")
        } else {
            (word.to_uppercase(), "upper")
        };
        if *word != wanted {
            let message =
                format!("`{word}` is not in {case} case as the majority of the instructions");
            out.report_with(*place, message, Some(format!("write `{wanted}`")));
        }
    }
}
