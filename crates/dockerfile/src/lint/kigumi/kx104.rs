//! `KX104`: `--chown` names somebody the image knows.

use crate::instruction::Instruction;
use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;
use crate::lint::text::unquoted;
use crate::source::Word;

pub(super) static RULE: Rule = Rule {
    id: "KX104",
    level: Level::Warning,
    mode: Mode::Always,
    phase: Phase::Building,
    summary: "`--chown` names somebody the image knows",
    why: "A name that passwd lacks means 0:0, without an error. The rule judges stages on scratch, which have no passwd.",
    example: Example {
        given: Given::Nothing,
        bad: "FROM scratch\nCOPY --chown=app:app a /a\n",
        good: "FROM scratch\nCOPY --chown=1000:1000 a /a\n",
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    let mut has_passwd = vec![false; subject.file.stages.len()];
    subject.visit(|visit| {
        let is_bare = subject.root_of(visit.stage).is_none();
        let mut chain = subject.chain_of(visit.stage);
        let may_know = chain.any(|stage| has_passwd.get(stage) == Some(&true));
        if let Some(owner) = owner(visit.instruction)
            && is_bare
            && !may_know
        {
            let text = visit.scope.expand(owner, subject.file.escape).text;
            let is_number = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
            if let Some(name) = text.split(':').find(|part| !is_number(part)) {
                out.report(
                    visit.place,
                    format!("`--chown={text}`: nothing here knows `{name}`, which means 0"),
                );
            }
        }
        if let Some(known) = has_passwd.get_mut(visit.stage) {
            *known |= may_write_passwd(visit.instruction);
        }
    });
}

fn owner(instruction: &Instruction) -> Option<&Word> {
    let copied = instruction.copy().and_then(|copy| copy.chown.as_ref());
    copied.or_else(|| instruction.add().and_then(|add| add.chown.as_ref()))
}

fn may_write_passwd(instruction: &Instruction) -> bool {
    let destination = instruction
        .paths()
        .map(|paths| unquoted(&paths.destination.raw));
    let reaches = |path: &str| !path.starts_with('/') || path == "/" || path.starts_with("/etc");
    destination.is_some_and(reaches) || instruction.run().is_some()
}
