//! `docs/reference.md`: all commands, flags and variables, made from their definitions.

use clap::{Arg, ArgAction, Command};

use super::{WarmCommand, command, variables};

const HEAD: &str = "\
# Reference

Made by `cargo xtask reference` from the definitions in the code; do not edit.

Flags take their values as `--flag value` or `--flag=value`; switches stand alone or as `--flag=true` and `--flag=false`. Of a flag
that is given twice the last one counts, unless it is repeatable. Relative paths begin at the working directory.
";

/// The page.
#[must_use]
pub fn page() -> String {
    let mut page = HEAD.to_owned();
    let mut executor = command();
    // Derives what clap knows only then, such as how many values a flag takes.
    executor.build();
    describe(&mut page, "executor", &executor);
    for subcommand in executor
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
    {
        describe(
            &mut page,
            &format!("executor {}", subcommand.get_name()),
            subcommand,
        );
    }
    let mut warmer = WarmCommand::usage();
    warmer.build();
    describe(&mut page, "warmer", &warmer);
    environment(&mut page);
    page
}

fn describe(page: &mut String, name: &str, command: &Command) {
    let about = command
        .get_about()
        .map(ToString::to_string)
        .unwrap_or_default();
    write(page, &format!("\n## `{name}`\n\n{about}.\n"));
    let arguments: Vec<&Arg> = command
        .get_arguments()
        .filter(|argument| is_documented(argument))
        .collect();
    if let Some(from) = same_flags(command.get_name()) {
        write(page, &format!("\nIt has the flags of {from}."));
        let own: Vec<&Arg> = arguments
            .into_iter()
            .filter(|argument| !is_flag_of_build(argument))
            .collect();
        let end = if own.is_empty() {
            "\n"
        } else {
            " Beside them:\n"
        };
        write(page, end);
        table(page, None, &own);
        return;
    }
    let mut headings: Vec<Option<&str>> = Vec::new();
    for argument in &arguments {
        if !headings.contains(&argument.get_help_heading()) {
            headings.push(argument.get_help_heading());
        }
    }
    for heading in headings {
        let here = arguments.iter().copied();
        let here: Vec<&Arg> = here
            .filter(|argument| argument.get_help_heading() == heading)
            .collect();
        table(page, heading, &here);
    }
}

/// The commands that take every flag of a build.
fn same_flags(name: &str) -> Option<&'static str> {
    matches!(name, "plan" | "lint").then_some("a build")
}

fn is_flag_of_build(argument: &Arg) -> bool {
    let build = command();
    let mut flags = build.get_arguments();
    flags.any(|flag| flag.get_id() == argument.get_id())
}

fn is_documented(argument: &Arg) -> bool {
    !matches!(
        argument.get_action(),
        ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong | ArgAction::Version
    )
}

fn table(page: &mut String, heading: Option<&str>, arguments: &[&Arg]) {
    if arguments.is_empty() {
        return;
    }
    if let Some(heading) = heading {
        write(page, &format!("\n### {heading}\n"));
    }
    write(page, "\n| flag | default | meaning |\n|---|---|---|\n");
    for argument in arguments {
        let help = argument
            .get_help()
            .map(ToString::to_string)
            .unwrap_or_default();
        let help = if help.is_empty() {
            "refused".to_owned()
        } else {
            help
        };
        write(
            page,
            &format!(
                "| {} | {} | {} |\n",
                names(argument),
                default(argument),
                cell(&help)
            ),
        );
    }
}

fn names(argument: &Arg) -> String {
    let Some(long) = argument.get_long() else {
        return format!("`{}`", argument.get_id().as_str().to_uppercase());
    };
    let short = argument.get_short().map(|short| format!("`-{short}` "));
    let value = match argument.get_num_args() {
        Some(count) if count.min_values() == 1 => value_name(argument),
        _ => String::new(),
    };
    let aliases = argument.get_all_aliases().unwrap_or_default().into_iter();
    let aliases: Vec<String> = aliases.map(|alias| format!(", `--{alias}`")).collect();
    let aliases = aliases.concat();
    cell(&format!(
        "{}`--{long}{value}`{aliases}",
        short.unwrap_or_default()
    ))
}

fn value_name(argument: &Arg) -> String {
    let names = argument.get_value_names().unwrap_or_default();
    names
        .first()
        .map_or_else(String::new, |name| format!(" {name}"))
}

fn default(argument: &Arg) -> String {
    let values = argument.get_default_values().iter();
    let values: Vec<_> = values.map(|value| value.to_string_lossy()).collect();
    let value = values.join(" ");
    if argument.is_hide_default_value_set() || value.is_empty() {
        return String::new();
    }
    format!("`{value}`")
}

fn environment(page: &mut String) {
    write(
        page,
        "\n## Environment\n\nA switch that is neither true nor false (`1 0 t f T F true false TRUE FALSE True False`) counts as unset.\n",
    );
    for (heading, variables) in variables::VARIABLES {
        write(
            page,
            &format!("\n### {heading}\n\n| variable | meaning |\n|---|---|\n"),
        );
        for variable in *variables {
            write(
                page,
                &format!("| `{}` | {} |\n", variable.name, cell(variable.meaning)),
            );
        }
    }
    write(
        page,
        "\n### Switches of kaniko\n\nWhat they switch on in kaniko always holds here, unless the table says otherwise. A variable that asks for the opposite is told of in the log.\n",
    );
    write(page, "\n| variable | here | meaning |\n|---|---|---|\n");
    for (name, effect, meaning) in variables::features() {
        write(
            page,
            &format!("| `{name}` | {effect} | {} |\n", cell(meaning)),
        );
    }
}

/// Text that cannot end a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn write(page: &mut String, text: &str) {
    page.push_str(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference.md");

    /// `cargo xtask reference` makes it current.
    #[test]
    fn the_reference_is_current() {
        let file = std::fs::read_to_string(FILE).unwrap_or_default();
        assert!(
            file == page(),
            "docs/reference.md is not what the flags say; run `cargo xtask reference`"
        );
    }

    #[test]
    fn every_flag_is_explained() {
        let refused = page().lines().any(|line| line.ends_with("| refused |"));
        assert!(!refused);
    }
}
