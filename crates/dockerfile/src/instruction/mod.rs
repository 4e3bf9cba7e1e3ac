//! The instructions, each with its typed body.
//!
//! Flags that the language knows are fields; flags it does not know are errors of the parser, so nothing is ever
//! carried along and ignored.

mod copy;
mod healthcheck;
mod heredoc;
mod mount;
mod run;

use serde::Serialize;

pub use copy::{Add, Copy, SourcesAndDestination};
pub use healthcheck::{Healthcheck, HealthcheckOptions};
pub use heredoc::Heredoc;
pub use mount::{Mount, MountKey, MountOption, MountSpec, MountType, Owner, Sharing};
pub use run::{Device, Network, Run, RunCommand, Security};

use crate::dockerfile::Comment;
use crate::source::{Span, Spanned, Word};

/// One instruction other than FROM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Instruction {
    /// The whole instruction, heredocs included.
    pub span: Span,
    /// The first word as written.
    pub keyword: Spanned<String>,
    /// The instruction on one line as it goes into history: continuations joined, inner blanks kept, comment lines
    /// dropped, heredoc bodies not included.
    pub original: String,
    /// Comment lines directly above.
    pub comments: Vec<Comment>,
    /// What it says.
    pub kind: InstructionKind,
}

/// The bodies that are asked for most often; none if the instruction is another one.
impl Instruction {
    /// ADD
    #[must_use]
    pub fn add(&self) -> Option<&Add> {
        if let InstructionKind::Add(add) = &self.kind {
            Some(add)
        } else {
            None
        }
    }

    /// ARG
    #[must_use]
    pub fn arg(&self) -> Option<&Arg> {
        if let InstructionKind::Arg(arg) = &self.kind {
            Some(arg)
        } else {
            None
        }
    }

    /// COPY
    #[must_use]
    pub fn copy(&self) -> Option<&Copy> {
        if let InstructionKind::Copy(copy) = &self.kind {
            Some(copy)
        } else {
            None
        }
    }

    /// ENV
    #[must_use]
    pub fn env(&self) -> Option<&KeyValues> {
        if let InstructionKind::Env(env) = &self.kind {
            Some(env)
        } else {
            None
        }
    }

    /// EXPOSE
    #[must_use]
    pub fn expose(&self) -> Option<&Expose> {
        if let InstructionKind::Expose(expose) = &self.kind {
            Some(expose)
        } else {
            None
        }
    }

    /// ONBUILD
    #[must_use]
    pub fn onbuild(&self) -> Option<&Onbuild> {
        if let InstructionKind::Onbuild(onbuild) = &self.kind {
            Some(onbuild)
        } else {
            None
        }
    }

    /// RUN
    #[must_use]
    pub fn run(&self) -> Option<&Run> {
        if let InstructionKind::Run(run) = &self.kind {
            Some(run)
        } else {
            None
        }
    }

    /// USER: the rest of the line.
    #[must_use]
    pub fn user(&self) -> Option<&Word> {
        if let InstructionKind::User(user) = &self.kind {
            Some(user)
        } else {
            None
        }
    }

    /// COPY and ADD: what goes where.
    #[must_use]
    pub fn paths(&self) -> Option<&SourcesAndDestination> {
        let copied = self.copy().map(|copy| &copy.paths);
        copied.or_else(|| self.add().map(|add| &add.paths))
    }
}

/// The body of an instruction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum InstructionKind {
    /// ADD
    Add(Add),
    /// ARG
    Arg(Arg),
    /// CMD
    Cmd(CommandForm),
    /// COPY
    Copy(Copy),
    /// ENTRYPOINT
    Entrypoint(CommandForm),
    /// ENV
    Env(KeyValues),
    /// EXPOSE
    Expose(Expose),
    /// HEALTHCHECK
    Healthcheck(Healthcheck),
    /// LABEL
    Label(KeyValues),
    /// MAINTAINER: the rest of the line, not expanded.
    Maintainer(Spanned<String>),
    /// ONBUILD
    Onbuild(Onbuild),
    /// RUN
    Run(Run),
    /// SHELL: the words, never empty.
    Shell(Vec<String>),
    /// STOPSIGNAL: the rest of the line.
    Stopsignal(Word),
    /// USER: the rest of the line.
    User(Word),
    /// VOLUME
    Volume(Volume),
    /// WORKDIR: the rest of the line, blanks included.
    Workdir(Word),
}

impl InstructionKind {
    /// The name in upper case.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Add(_) => "ADD",
            Self::Arg(_) => "ARG",
            Self::Cmd(_) => "CMD",
            Self::Copy(_) => "COPY",
            Self::Entrypoint(_) => "ENTRYPOINT",
            Self::Env(_) => "ENV",
            Self::Expose(_) => "EXPOSE",
            Self::Healthcheck(_) => "HEALTHCHECK",
            Self::Label(_) => "LABEL",
            Self::Maintainer(_) => "MAINTAINER",
            Self::Onbuild(_) => "ONBUILD",
            Self::Run(_) => "RUN",
            Self::Shell(_) => "SHELL",
            Self::Stopsignal(_) => "STOPSIGNAL",
            Self::User(_) => "USER",
            Self::Volume(_) => "VOLUME",
            Self::Workdir(_) => "WORKDIR",
        }
    }
}

/// A command for a shell, or its exact words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum CommandForm {
    /// Text for the SHELL in force; may be empty.
    Shell(String),
    /// The words of a JSON array, verbatim; may be empty (`CMD []`).
    Exec(Vec<String>),
}

impl CommandForm {
    /// Whether there is nothing to run: no words, or no text.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Shell(text) => text.is_empty(),
            Self::Exec(words) => words.is_empty(),
        }
    }
}

/// `ARG name[=default] …`, at least one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Arg {
    /// The declarations, in order; each sees those before it.
    pub declarations: Vec<ArgDeclaration>,
}

/// One build argument.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ArgDeclaration {
    /// The name; expanded like a value.
    pub name: Word,
    /// The default; `ARG a=` has an empty one, `ARG a` none.
    pub default: Option<Word>,
}

/// The pairs of ENV or LABEL, at least one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyValues {
    /// How they were written.
    pub form: KeyValueForm,
    /// The pairs, in order.
    pub pairs: Vec<KeyValue>,
}

/// How the pairs of ENV and LABEL were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum KeyValueForm {
    /// `key=value …`
    Equals,
    /// `key rest of the line`: exactly one pair.
    Blank,
}

/// One pair; both sides are expanded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyValue {
    /// Left of the separator, never empty.
    pub key: Word,
    /// Right of the separator.
    pub value: Word,
}

/// `EXPOSE port …`, at least one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Expose {
    /// The words in the order of the text. `BuildKit` sorts them *before* it expands and splits them: see
    /// [`Expose::sorted`].
    pub ports: Vec<Word>,
}

impl Expose {
    /// The words in the order in which they are expanded and shown in history.
    #[must_use]
    pub fn sorted(&self) -> Vec<&Word> {
        let mut ports: Vec<_> = self.ports.iter().collect();
        ports.sort_by(|a, b| a.raw.cmp(&b.raw));
        ports
    }
}

/// `VOLUME path …`, at least one, none blank.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Volume {
    /// The paths, in order; expanded with splitting.
    pub paths: Vec<Word>,
}

/// `ONBUILD instruction`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Onbuild {
    /// The instruction as it is stored in the image config: one line, heredoc bodies appended. Parse it with
    /// [`crate::parse_onbuild_trigger`].
    pub trigger: Spanned<String>,
}
