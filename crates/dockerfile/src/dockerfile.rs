//! The tree of a Dockerfile down to its stages.

use std::fmt;

use serde::Serialize;

use crate::diagnostic::Diagnostic;
use crate::instruction::Instruction;
use crate::source::{Source, Span, Spanned, Word};

/// A parsed Dockerfile. Words are unexpanded; nothing outside the text was consulted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Dockerfile {
    /// The text that every span points into.
    #[serde(skip)]
    pub source: Source,
    /// Parser directives, in order, each kind at most once.
    pub directives: Vec<Directive>,
    /// The escape character: `\`, or a backtick by directive. Word expansion needs it; heredoc bodies always use `\`.
    pub escape: char,
    /// The ARG instructions before the first FROM, in order.
    pub global_args: Vec<Instruction>,
    /// The stages, in order; never empty.
    pub stages: Vec<Stage>,
    /// What is worth telling although the file can be built.
    #[serde(skip)]
    pub warnings: Vec<Diagnostic>,
}

impl Dockerfile {
    /// The position of the stage that `name` means when it is used anywhere in the file: names are compared without
    /// case, and of several stages with one name the last wins.
    #[must_use]
    pub fn stage_named(&self, name: &str) -> Option<usize> {
        let name = name.to_lowercase();
        self.stages
            .iter()
            .rposition(|stage| stage.from.stage_name() == Some(name.as_str()))
    }
}

/// `# key=value` at the top of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Directive {
    /// Which one.
    pub kind: DirectiveKind,
    /// The value, blanks around it removed.
    pub value: Spanned<String>,
}

/// The known directives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum DirectiveKind {
    /// `# syntax=`: names a frontend image; never downloaded here.
    Syntax,
    /// `# escape=`: the escape character.
    Escape,
    /// `# check=`: configuration of the lint rules.
    Check,
}

impl fmt::Display for DirectiveKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Syntax => "syntax",
            Self::Escape => "escape",
            Self::Check => "check",
        })
    }
}

/// A comment line directly above an instruction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Comment {
    /// The text behind `#`, blanks around it removed.
    pub text: String,
    /// The whole line.
    pub span: Span,
}

/// FROM and the instructions up to the next FROM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stage {
    /// The FROM line.
    pub from: From,
    /// The instructions of the stage, in order; never FROM.
    pub instructions: Vec<Instruction>,
}

/// `FROM [--platform=P] base [AS name]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct From {
    /// The whole instruction.
    pub span: Span,
    /// The word FROM as written.
    pub keyword: Spanned<String>,
    /// The instruction on one line, continuations joined.
    pub original: String,
    /// Comment lines directly above.
    pub comments: Vec<Comment>,
    /// The value of `--platform`.
    pub platform: Option<Word>,
    /// An image reference or the name of an earlier stage.
    pub base: Word,
    /// The word AS as written, if a name is given.
    pub as_keyword: Option<Spanned<String>>,
    /// The name of the stage in lower case; the span covers it as written.
    pub name: Option<Spanned<String>>,
}

impl From {
    /// The name of the stage in lower case, if it has one.
    #[must_use]
    pub fn stage_name(&self) -> Option<&str> {
        self.name.as_ref().map(|name| name.value.as_str())
    }
}
