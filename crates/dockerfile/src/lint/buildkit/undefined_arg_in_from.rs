//! `UndefinedArgInFrom`: declared variables in FROM.

use crate::lint::report::Place;
use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;
use crate::suggest::nearest;

pub(super) static RULE: Rule = Rule {
    id: "UndefinedArgInFrom",
    level: Level::Error,
    mode: Mode::Always,
    phase: Phase::Building,
    summary: "FROM uses declared arguments only",
    why: "FROM sees the ARGs before the first FROM and the predefined platform arguments, nothing else.",
    example: Example {
        given: Given::Nothing,
        bad: "ARG VERSION=3.20\nFROM alpine:${VERSIN:-3.20}\n",
        good: "ARG VERSION=3.20\nFROM alpine:${VERSION}\n",
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    for (stage, base) in subject.file.stages.iter().zip(&subject.bases) {
        let platform = stage.from.platform.as_ref();
        let platform = platform.map(|word| subject.evaluate(word, &subject.globals));
        let unknown = platform.into_iter().flat_map(|word| word.unknown);
        for name in base.unknown.iter().cloned().chain(unknown) {
            if subject.globals.is_declared(&name) {
                continue;
            }
            let help = nearest(&name, subject.globals.names())
                .map(|near| format!("did you mean `{near}`?"));
            let message =
                format!("the argument `{name}` of FROM is not declared before the first FROM");
            out.report_with(Place::of_from(&stage.from), message, help);
        }
    }
}
