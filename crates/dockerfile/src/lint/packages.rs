//! Installations by package managers.

use super::shell::{Command, Script};
use super::subject::RunView;
use crate::instruction::MountKey;

/// A command that installs, and what.
pub(super) struct Packages<'s> {
    pub(super) command: &'s Command,
    pub(super) operands: Vec<&'s str>,
}

fn installs<'s>(
    script: &'s Script,
    name: &'s str,
    subcommand: &'s [&'s str],
    with_value: &'s [&'s str],
) -> impl Iterator<Item = Packages<'s>> {
    script.named(name).filter_map(move |command| {
        let operands = command.operands_of(subcommand, with_value)?;
        Some(Packages { command, operands })
    })
}

/// `apt-get install`
pub(super) fn apt_get(script: &Script) -> impl Iterator<Item = Packages<'_>> {
    let with_value = &[
        "-t",
        "--target-release",
        "--default-release",
        "-o",
        "--option",
        "-c",
        "--config-file",
    ];
    installs(script, "apt-get", &["install"], with_value)
}

/// `apk add`
pub(super) fn apk(script: &Script) -> impl Iterator<Item = Packages<'_>> {
    let with_value = &[
        "-t",
        "--virtual",
        "-X",
        "--repository",
        "-p",
        "--root",
        "--keys-dir",
        "--repositories-file",
    ];
    installs(script, "apk", &["add"], with_value)
}

/// `pip install` in all its spellings.
pub(super) fn pip(script: &Script) -> impl Iterator<Item = Packages<'_>> {
    let with_value = [
        "-i",
        "--index-url",
        "--extra-index-url",
        "-t",
        "--target",
        "--trusted-host",
        "--root",
        "--prefix",
        "-f",
        "--find-links",
        "-e",
        "--editable",
        "-r",
        "--requirement",
        "-c",
        "--constraint",
        "--proxy",
        "--retries",
        "--timeout",
        "--platform",
        "--python-version",
        "--implementation",
        "--abi",
        "--no-binary",
        "--only-binary",
        "--progress-bar",
        "-m",
    ];
    script.commands.iter().filter_map(move |command| {
        let is_module = command.name.starts_with("python")
            && command
                .arguments
                .iter()
                .zip(command.arguments.iter().skip(1))
                .any(|(m, name)| m == "-m" && name == "pip");
        if !is_pip(&command.name) && !is_module {
            return None;
        }
        let operands = command.operands_of(&["install"], &with_value)?;
        Some(Packages { command, operands })
    })
}

/// `pip`, `pip3`, `pip3.12`, `pipx`; the last one keeps no cache.
fn is_pip(name: &str) -> bool {
    let rest = name.strip_prefix("pip");
    rest.is_some_and(|rest| rest == "x" || rest.chars().all(|c| c.is_ascii_digit() || c == '.'))
}

/// Whether a RUN has a cache or a temporary directory at one of the paths.
pub(super) fn has_mount(run: &RunView<'_>, paths: &[&str]) -> bool {
    run.run.mounts.iter().any(|mount| {
        let value = |key| {
            let found = mount.options.iter().rfind(|option| option.key == key);
            found
                .and_then(|option| option.value.as_ref())
                .map(|word| word.raw.as_str())
        };
        let is_kept_apart = matches!(value(MountKey::Type), Some("cache" | "tmpfs"));
        let target = value(MountKey::Target).unwrap_or_default();
        is_kept_apart && paths.contains(&target.trim_end_matches('/'))
    })
}
