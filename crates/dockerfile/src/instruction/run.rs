//! RUN.

use std::borrow::Cow;

use serde::Serialize;

use super::{CommandForm, Heredoc, Mount};
use crate::parse::read_marker;
use crate::source::Spanned;

/// `RUN [flags] command`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Run {
    /// `--mount`, repeatable, in order.
    pub mounts: Vec<Mount>,
    /// `--network`
    pub network: Option<Spanned<Network>>,
    /// `--security`
    pub security: Option<Spanned<Security>>,
    /// `--device`, repeatable.
    pub devices: Vec<Spanned<Device>>,
    /// The command line, bodies of heredocs not included. See [`Run::command`].
    pub form: CommandForm,
    /// The bodies, in order; always empty in exec form.
    pub heredocs: Vec<Heredoc>,
}

impl Run {
    /// What is started. A heredoc that stands alone is itself the command; any other use of heredocs is left to the
    /// shell, which gets the bodies behind the command line exactly as they were written.
    #[must_use]
    pub fn command(&self) -> RunCommand<'_> {
        let line = match &self.form {
            CommandForm::Exec(words) => return RunCommand::Exec(words),
            CommandForm::Shell(line) => line,
        };
        match self.heredocs.first() {
            None => RunCommand::Shell(Cow::Borrowed(line)),
            Some(heredoc) if read_marker(line).is_some() => {
                // Tabs that `<<-` removes may stand in front of it.
                let body = heredoc.body();
                if body.starts_with("#!") {
                    RunCommand::Script {
                        name: &heredoc.name,
                        body,
                    }
                } else {
                    RunCommand::Shell(body)
                }
            }
            Some(_) => {
                let bodies = self.heredocs.iter();
                let bodies = bodies.map(|heredoc| format!("\n{}{}", heredoc.content, heredoc.name));
                RunCommand::Shell(Cow::Owned(line.clone() + &bodies.collect::<String>()))
            }
        }
    }
}

/// `--network=`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum Network {
    /// The network of the builder.
    Default,
    /// No network but loopback.
    None,
    /// The network of the host; needs a permission.
    Host,
}

/// `--security=`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum Security {
    /// Confined, as always.
    Sandbox,
    /// With all privileges; needs a permission.
    Insecure,
}

/// `--device=name[,required]`
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Device {
    /// CDI name: `vendor/class[=device]`.
    pub name: String,
    /// Whether the build fails when the device is missing.
    pub required: bool,
}

/// What a RUN starts, heredocs considered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunCommand<'a> {
    /// These words, verbatim.
    Exec(&'a [String]),
    /// This text, as the single argument of the SHELL in force.
    Shell(Cow<'a, str>),
    /// A lone heredoc that starts with `#!`: the body becomes an executable file whose path the shell runs.
    Script {
        /// Name of the file: the delimiter.
        name: &'a str,
        /// Its content.
        body: Cow<'a, str>,
    },
}
