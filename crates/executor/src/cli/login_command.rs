//! `executor login`

use clap::ArgGroup;

use super::LogFlags;

/// As typed.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(
    args_override_self = true,
    group = ArgGroup::new("secret").required(true).args(["password", "password_stdin"])
)]
pub struct LoginCommand {
    /// The registry, as `host[:port]`
    #[arg(value_name = "REGISTRY")]
    pub registry: String,
    /// The user
    #[arg(short = 'u', long, value_name = "USER")]
    pub username: String,
    /// The password; others on this machine may read it from the command line
    #[arg(short = 'p', long, value_name = "PASSWORD", allow_hyphen_values = true)]
    pub password: Option<String>,
    /// Read the password from standard input
    #[arg(long)]
    pub password_stdin: bool,
    /// What is logged, and how.
    #[command(flatten)]
    pub log: LogFlags,
}

#[cfg(test)]
mod tests {
    use crate::cli::{Command, parse};

    #[test]
    fn exactly_one_registry_and_one_password_are_taken() {
        for (words, right) in [
            (&["r.test", "-u", "me", "-p", "x"][..], true),
            (
                &[
                    "r.test",
                    "--username=me",
                    "--password-stdin",
                    "-v=debug",
                    "--log-format=json",
                ],
                true,
            ),
            (&["-u=me", "-p=-x", "r.test"], true),
            (&["r.test", "-u", "me"], false),
            (&["r.test", "-p", "x"], false),
            (
                &["r.test", "-u", "me", "-p", "x", "--password-stdin"],
                false,
            ),
            (&["-u", "me", "-p", "x"], false),
            (&["r.test", "s.test", "-u", "me", "-p", "x"], false),
        ] {
            let words = ["executor", "login"].iter().chain(words);
            let parsed = parse(words.clone());
            let is_login = parsed.is_ok_and(|args| matches!(args.command, Some(Command::Login(_))));
            assert_eq!(is_login, right, "{:?}", words.collect::<Vec<_>>());
        }
    }
}
