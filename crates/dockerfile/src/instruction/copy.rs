//! COPY and ADD.

use serde::Serialize;

use super::Heredoc;
use crate::source::{Spanned, Word};

/// What COPY and ADD have in common: `source … destination`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SourcesAndDestination {
    /// Source paths, in order, heredocs not among them.
    pub sources: Vec<Word>,
    /// Inline files, in order; they are copied after the paths.
    pub heredocs: Vec<Heredoc>,
    /// Where to. Relative to WORKDIR unless absolute.
    pub destination: Word,
}

/// `COPY [flags] source … destination`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Copy {
    /// `--from`: stage name, stage index, image or named context. Not expanded; a `$` here was refused.
    pub from: Option<Spanned<String>>,
    /// `--chown`
    pub chown: Option<Word>,
    /// `--chmod`
    pub chmod: Option<Word>,
    /// `--link`
    pub link: bool,
    /// `--parents`
    pub parents: bool,
    /// `--exclude`, repeatable, `.dockerignore` syntax, not expanded.
    pub exclude: Vec<Spanned<String>>,
    /// What goes where.
    pub paths: SourcesAndDestination,
}

/// `ADD [flags] source … destination`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Add {
    /// `--chown`
    pub chown: Option<Word>,
    /// `--chmod`
    pub chmod: Option<Word>,
    /// `--link`
    pub link: bool,
    /// `--exclude`, repeatable, `.dockerignore` syntax, not expanded.
    pub exclude: Vec<Spanned<String>>,
    /// `--checksum`
    pub checksum: Option<Word>,
    /// `--keep-git-dir`, if given: a contradiction with the URL is an error.
    pub keep_git_dir: Option<bool>,
    /// `--unpack`, if given: without it local archives are unpacked and remote ones are not.
    pub unpack: Option<bool>,
    /// What goes where.
    pub paths: SourcesAndDestination,
}
