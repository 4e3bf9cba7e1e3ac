//! `KX110`: nothing is written below a VOLUME.

use crate::instruction::InstructionKind;
use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;

pub(super) static RULE: Rule = Rule {
    id: "KX110",
    level: Level::Warning,
    mode: Mode::Always,
    phase: Phase::Building,
    summary: "Nothing is written below a VOLUME",
    why: "Builders differ: classic docker throws such changes away, BuildKit and this one keep them.",
    example: Example {
        given: Given::Nothing,
        bad: "FROM alpine:3.20\nVOLUME /data\nCOPY a /data/a\n",
        good: "FROM alpine:3.20\nCOPY a /data/a\nVOLUME /data\n",
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    let mut volumes: Vec<(usize, String)> = Vec::new();
    subject.visit(|visit| {
        let escape = subject.file.escape;
        if let InstructionKind::Volume(volume) = &visit.instruction.kind {
            let paths = volume
                .paths
                .iter()
                .flat_map(|word| visit.scope.expand(word, escape).words);
            volumes.extend(paths.map(|path| (visit.stage, path)));
        }
        let Some(paths) = visit.instruction.paths() else {
            return;
        };
        let destination = visit.scope.expand(&paths.destination, escape).text;
        let chain: Vec<usize> = subject.chain_of(visit.stage).collect();
        let is_below = |path: &str| {
            let rest = destination.strip_prefix(path.trim_end_matches('/'));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if let Some((_, path)) = volumes
            .iter()
            .find(|(stage, path)| chain.contains(stage) && is_below(path))
        {
            out.report(
                visit.place,
                format!("`{destination}` is written after `VOLUME {path}`"),
            );
        }
    });
}
