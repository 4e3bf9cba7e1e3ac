//! `SecretsUsedInArgOrEnv`: no secrets in the config.

use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;

pub(super) static RULE: Rule = Rule {
    id: "SecretsUsedInArgOrEnv",
    level: Level::Error,
    mode: Mode::Always,
    phase: Phase::Building,
    summary: "ARG and ENV carry no secrets",
    why: "Both end up in the config or the history of the image, readable by everybody who can pull it. `RUN --mount=type=secret` leaves no trace. The rule looks at names: a part such as `password` or `token` between underscores, and none such as `file` or `public`.",
    example: Example {
        given: Given::Nothing,
        bad: "FROM alpine:3.20\nARG NPM_TOKEN\n",
        good: "FROM alpine:3.20\nRUN --mount=type=secret,id=npm,env=NPM_TOKEN true\n",
    },
    check,
};

const SECRET: [&str; 10] = [
    "apikey",
    "auth",
    "credential",
    "credentials",
    "key",
    "password",
    "pword",
    "passwd",
    "secret",
    "token",
];

const HARMLESS: [&str; 3] = ["public", "file", "version"];

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    subject.visit(|visit| {
        let kind = &visit.instruction.kind;
        let declared = visit.instruction.arg().map(|arg| &arg.declarations);
        let declared = declared.into_iter().flatten();
        let expand = |word| visit.scope.expand(word, subject.file.escape).text;
        let pairs = visit.instruction.env().map(|env| &env.pairs);
        let set = pairs.into_iter().flatten().map(|pair| expand(&pair.key));
        let names: Vec<String> = declared
            .map(|one| one.name.raw.clone())
            .chain(set)
            .collect();
        for name in names.iter().filter(|name| is_secret(name)) {
            let message = format!(
                "{} `{name}` looks like a secret, and everybody can read it in the image",
                kind.name()
            );
            let help = "use `RUN --mount=type=secret`".to_owned();
            out.report_with(visit.place, message, Some(help));
        }
    });
}

fn is_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    let has = |words: &[&str]| name.split('_').any(|part| words.contains(&part));
    has(&SECRET) && !has(&HARMLESS)
}
