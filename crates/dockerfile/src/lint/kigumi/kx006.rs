//! `KX006`: files that look like secrets are not copied.

use crate::lint::report::Place;
use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;
use crate::lint::text::{ends_in, unquoted};

pub(super) static RULE: Rule = Rule {
    id: "KX006",
    level: Level::Warning,
    mode: Mode::Always,
    phase: Phase::Parsing,
    summary: "Files that look like secrets are not copied",
    why: "They stay in the layer, whatever later instructions do.",
    example: Example {
        given: Given::Nothing,
        bad: "FROM scratch\nCOPY .env id_rsa /app/\n",
        good: "FROM scratch\nCOPY main /app/\n",
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    for (_, instruction) in subject.all() {
        let is_local = instruction.copy().is_none_or(|copy| copy.from.is_none());
        let sources = instruction
            .paths()
            .filter(|_| is_local)
            .map(|paths| &paths.sources);
        let mut sources = sources
            .into_iter()
            .flatten()
            .map(|word| unquoted(&word.raw));
        if let Some(source) = sources.find(|source| is_secret(source)) {
            let message = format!("`{source}` looks like a secret, and stays in the layer");
            let help = "use `RUN --mount=type=secret`".to_owned();
            out.report_with(Place::of(instruction), message, Some(help));
        }
    }
}

fn is_secret(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let names = [
        ".env",
        ".npmrc",
        ".netrc",
        ".pypirc",
        ".git-credentials",
        ".dockercfg",
        "id_rsa",
        "id_dsa",
        "id_ecdsa",
        "id_ed25519",
        "credentials.json",
    ];
    names.contains(&name)
        || ends_in(name, &[".pem", ".key"])
        || path.ends_with(".docker/config.json")
}
