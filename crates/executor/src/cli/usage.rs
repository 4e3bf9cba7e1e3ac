//! What a wrong command line is answered with: one line that says what is wrong and what was likely meant (K-CLI-03, K-EXIT-07).

use std::collections::BTreeSet;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use kigumi_dockerfile::nearest;

use super::args::go_bool;

/// What people write who come from `docker build` or `buildah`, and what it is called here.
const FOREIGN: [(&str, &str); 7] = [
    ("-t", "the name of the image is `--destination`"),
    ("--tag", "the name of the image is `--destination`"),
    ("--file", "the Dockerfile is `--dockerfile` (`-f`)"),
    (
        "--push",
        "a build with `--destination` pushes; `--no-push` does not",
    ),
    ("--no-cache", "there is no cache without `--cache`"),
    (
        "--cache-from",
        "the cache is one repository: `--cache --cache-repo=REPOSITORY`",
    ),
    (
        "--cache-to",
        "the cache is one repository: `--cache --cache-repo=REPOSITORY`",
    ),
];

/// The message for a command line that clap refuses, without an end of line.
#[must_use]
pub fn usage_error(error: &clap::Error, command: &clap::Command) -> String {
    let said = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let text = match (
        error.kind(),
        said(ContextKind::InvalidArg),
        said(ContextKind::InvalidSubcommand),
    ) {
        (ErrorKind::UnknownArgument, Some(word), _) if word.starts_with('-') => {
            unknown_flag(word, command)
        }
        (ErrorKind::UnknownArgument, Some(word), _)
        | (ErrorKind::InvalidSubcommand, _, Some(word)) => unknown_command(word, command),
        _ => first_paragraph(&error.render().to_string()),
    };
    let program = command.get_name();
    format!("error: {text}; see `{program} --help`")
}

fn unknown_flag(word: &str, command: &clap::Command) -> String {
    let name = word.split('=').next().unwrap_or(word);
    if let Some((_, ours)) = FOREIGN.iter().find(|(foreign, _)| *foreign == name) {
        return format!("unknown flag `{name}`; {ours}");
    }
    let all = flags(command);
    let meant = name
        .strip_prefix("--")
        .and_then(|name| nearest(name, all.iter().map(String::as_str)));
    let meant = meant.map_or_else(String::new, |meant| format!("; did you mean `--{meant}`?"));
    format!("unknown flag `{name}`{meant}")
}

/// COMPAT(kaniko): a word that belongs to no flag is taken for a command (K-CLI-02).
fn unknown_command(word: &str, command: &clap::Command) -> String {
    if go_bool(word).is_ok() {
        return format!(
            "unknown command `{word}`: the value of a switch stands behind an equals sign, as in `--flag={word}`"
        );
    }
    let names = command.get_subcommands().map(clap::Command::get_name);
    let meant =
        nearest(word, names).map_or_else(String::new, |meant| format!("; did you mean `{meant}`?"));
    format!("unknown command `{word}`{meant}")
}

/// The long names and aliases of all flags of all commands.
fn flags(command: &clap::Command) -> BTreeSet<String> {
    let commands = std::iter::once(command).chain(command.get_subcommands());
    let arguments = commands.flat_map(clap::Command::get_arguments);
    let names = arguments.flat_map(|argument| {
        let aliases = argument.get_all_aliases().unwrap_or_default();
        argument.get_long().into_iter().chain(aliases)
    });
    names.map(str::to_owned).collect()
}

/// What is wrong, without the usage that clap adds below.
fn first_paragraph(text: &str) -> String {
    let lines = text.lines().take_while(|line| !line.starts_with("Usage:"));
    let lines = lines.filter(|line| !line.starts_with("For more information"));
    let words: Vec<&str> = lines.flat_map(str::split_whitespace).collect();
    let text = words.join(" ");
    text.strip_prefix("error: ").unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{command, parse};

    fn said(words: &[&str]) -> String {
        let error = parse(std::iter::once(&"executor").chain(words)).unwrap_err();
        usage_error(&error, &command())
    }

    #[test]
    fn unknown_flags_and_commands_name_the_nearest_one_k_cli_03() {
        for (words, expected) in [
            (
                &["--destinatoin=x"][..],
                "unknown flag `--destinatoin`; did you mean `--destination`?",
            ),
            (
                &["--whitelist-var-rum"],
                "did you mean `--whitelist-var-run`?",
            ),
            (&["--frobnicate"], "unknown flag `--frobnicate`; see"),
            (&["-x"], "unknown flag `-x`"),
            (
                &["-t", "r/x"],
                "unknown flag `-t`; the name of the image is `--destination`",
            ),
            (&["--no-cache"], "there is no cache without `--cache`"),
            (
                &["pusch", "x"],
                "unknown command `pusch`; did you mean `push`?",
            ),
            (
                &["push", "x", "-d", "r/x", "--insecur"],
                "did you mean `--insecure`?",
            ),
        ] {
            let said = said(words);
            assert!(said.contains(expected), "{words:?}: {said}");
        }
    }

    #[test]
    fn a_value_apart_from_its_switch_is_no_value_k_cli_02() {
        let said = said(&["--no-push", "true"]);
        assert!(
            said.contains("unknown command `true`") && said.contains("--flag=true"),
            "{said}"
        );
    }

    #[test]
    fn the_message_is_one_line_k_exit_07() {
        for words in [
            &["--no-push=maybe"][..],
            &["--push-retry=x"],
            &["--dockerfile"],
            &["push"],
            &["push", "a", "b", "-d", "r/x"],
            &["push", "a"],
            &["completions", "tcl"],
        ] {
            let said = said(words);
            assert_eq!(said.lines().count(), 1, "{said}");
            assert!(
                said.starts_with("error: ") && said.ends_with("see `executor --help`"),
                "{said}"
            );
        }
    }
}
