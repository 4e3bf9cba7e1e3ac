//! `DL3022`: `COPY --from` names an earlier stage.

use crate::lint::report::Place;
use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;
use crate::lint::text::unquoted;
use crate::suggest::nearest;

pub(super) static RULE: Rule = Rule {
    id: "DL3022",
    level: Level::Warning,
    mode: Mode::Always,
    phase: Phase::Parsing,
    summary: "`COPY --from` names an earlier stage",
    why: "A name without a tag that is no stage is the image of that name, with the moving tag `latest`.",
    example: Example {
        given: Given::Nothing,
        bad: "FROM alpine:3.20 AS build\nFROM scratch\nCOPY --from=biuld /app /app\n",
        good: "FROM alpine:3.20 AS build\nFROM scratch\nCOPY --from=build /app /app\n",
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    let file = subject.file;
    for (stage, instruction) in subject.all() {
        let Some(from) = instruction.copy().and_then(|copy| copy.from.as_ref()) else {
            continue;
        };
        let name = unquoted(&from.value);
        let up_to_here = file.stages.get(..=stage).unwrap_or_default();
        let names = || {
            up_to_here
                .iter()
                .map(|one| file.source.slice(one.written_name()))
        };
        let is_index = name.parse().is_ok_and(|index: usize| index <= stage);
        if is_index || name.contains(':') || names().any(|known| known == name) {
            continue;
        }
        let help = nearest(name, names())
            .filter(|near| *near != name)
            .map(|near| format!("did you mean `{near}`?"));
        out.report_with(
            Place::of(instruction),
            format!("`--from={name}` is no earlier stage"),
            help,
        );
    }
}
