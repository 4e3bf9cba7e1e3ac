//! `docs/lint.md`: all rules with their reasons and examples, made from the rules themselves.

use std::fmt::Write as _;

use kigumi_dockerfile::lint::{Family, Given, Mode, Rule, rules};

const BEGINNING: &str = "\
# Lint

`executor lint` says what is questionable about a Dockerfile; the same rules run at the start of every build. They never change
what is built.

```
executor lint                                   # the Dockerfile that a build would take
executor lint Dockerfile web/Dockerfile         # these
executor lint --context=. --build-arg=TAG=3.20 --target=web --format=sarif
```

| flag | meaning |
|---|---|
| `--format` | `text` (excerpts), `json` (the schema of `docker build --check`), `sarif` (2.1.0), `gitlab` (code quality), `checkstyle` |
| `--lint-threshold` | least level that counts for the exit code: `error` (default), `warning`, `info` |
| `--lint-rule` | a rule that is off by itself and is to run; `all` for all |
| `--lint-trusted-registry` | a registry that base images may come from (DL3026), repeatable |
| `--offline` | ask no registry: variables that a base image may set are not judged |
| `--tier=restricted` | the pod has what the restricted Pod Security Standard allows (KX101) |
| `--rules` | print this page |

Exit code 0: nothing reaches the threshold. 1: something does, or the file says `error=true` and there is a finding. 2: wrong usage, or a file
that cannot be read or built.

A build tells each finding on one line. `--lint=off` switches the rules off; `--lint=error` ends the build with exit code 42, before it has
begun, when a finding reaches the threshold. `# check=error=true` does so for any finding.

## Switching rules off

| where | reach |
|---|---|
| `# check=skip=A,B;error=true;experimental=C` at the top, or `--build-arg=BUILDKIT_DOCKERFILE_CHECK=…`, which replaces it | the file; `skip=all` is every rule |
| `# check=skip=A` directly above an instruction | the instruction, any rule |
| `# hadolint ignore=DL3006` directly above an instruction | the instruction, any rule |
| `# hadolint global ignore=DL3006` anywhere | the file, any rule |

A rule marked *on request* runs when `--lint-rule` or `experimental=` names it. `.hadolint.yaml` is not read.

## Rules

Rules without a prefix are those of `docker build --check`: the same ids, on the same lines; the texts are ours. `DL` are ids of hadolint, with
the meaning they have there; what a RUN does is read by a small splitter of words, not by a shell. `KX` are our own.

";

/// The page.
pub(super) fn render() -> String {
    let mut page = BEGINNING.to_owned();
    page.push_str("| id | level | runs | |\n|---|---|---|---|\n");
    for rule in rules() {
        let _ = writeln!(
            page,
            "| [{}](#{}) | {} | {} | {} |",
            rule.id,
            rule.id.to_lowercase(),
            rule.level,
            runs(rule),
            rule.summary
        );
    }
    for rule in rules() {
        describe(rule, &mut page);
    }
    page
}

fn runs(rule: &Rule) -> &'static str {
    match rule.mode {
        Mode::Always => "always",
        Mode::Experimental => "experimental",
        Mode::OnRequest(_) => "on request",
    }
}

fn describe(rule: &Rule, page: &mut String) {
    let _ = writeln!(page, "\n### {}\n\n{}. {}", rule.id, rule.summary, rule.why);
    if let Mode::OnRequest(why) = rule.mode {
        let _ = writeln!(page, "\nOn request only: {why}.");
    }
    if let (Family::BuildKit | Family::Hadolint, Some(url)) = (rule.family(), rule.url()) {
        let _ = writeln!(page, "\n[Elsewhere]({url})");
    }
    if let Some(given) = given(rule.example.given) {
        let _ = writeln!(page, "\n{given}:");
    }
    let _ = writeln!(page, "\nBad:\n\n```dockerfile\n{}```", rule.example.bad);
    let _ = writeln!(page, "\nGood:\n\n```dockerfile\n{}```", rule.example.good);
}

fn given(given: Given) -> Option<String> {
    match given {
        Given::Nothing => None,
        Given::Ignore(text) => Some(format!("With `{}` in `.dockerignore`", text.trim())),
        Given::BasePlatform(platform) => Some(format!(
            "With a base image for `{platform}` and a build for `linux/amd64`"
        )),
        Given::BuildArgument(name, value) => Some(format!("With `--build-arg={name}={value}`")),
        Given::TrustedRegistry(name) => Some(format!("With `--lint-trusted-registry={name}`")),
        Given::Restricted => Some("With `--tier=restricted`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/lint.md");

    /// `executor lint --rules >docs/lint.md` makes it current.
    #[test]
    fn the_page_in_the_repository_is_this_one() {
        let found = std::fs::read_to_string(FILE).unwrap();
        assert!(
            found == render(),
            "docs/lint.md is not what `executor lint --rules` prints"
        );
    }
}
