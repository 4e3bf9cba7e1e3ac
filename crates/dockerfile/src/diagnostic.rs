//! What is wrong with the user's file, as values. Rendering with excerpts is the shell's business.

use std::fmt;

use serde::Serialize;

use crate::source::{Source, Span};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; the build goes on.
    Warning,
    /// The file cannot be built.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// One finding at one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Stable name in Pascal case, for suppression, tests and searches: `UnknownFlag`.
    pub name: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, naming the offending value; one line, no full stop.
    pub message: String,
    /// The offending place.
    pub span: Span,
    /// What would be right, if something is near.
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error.
    pub fn error(name: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self {
            name,
            severity: Severity::Error,
            message: message.into(),
            span,
            help: None,
        }
    }

    /// A warning.
    pub fn warning(name: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self {
            name,
            severity: Severity::Warning,
            message: message.into(),
            span,
            help: None,
        }
    }

    /// Adds advice.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Whether the build must stop.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// Everything found in one file, in the order of the text; at least one is an error when it is returned as `Err`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Diagnostics {
    /// The text the spans point into.
    pub file: Source,
    /// The findings.
    pub items: Vec<Diagnostic>,
}

impl Diagnostics {
    /// The errors among the findings.
    pub fn errors(&self) -> impl Iterator<Item = &Diagnostic> {
        self.items.iter().filter(|item| item.is_error())
    }
}

/// One line per finding: `Dockerfile:3: error: message (help: …)`.
impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, item) in self.items.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            let Diagnostic {
                severity,
                message,
                span,
                help,
                ..
            } = item;
            write!(
                f,
                "{}:{}: {severity}: {message}",
                self.file.name(),
                span.line
            )?;
            if let Some(help) = help {
                write!(f, " (help: {help})")?;
            }
        }
        Ok(())
    }
}
