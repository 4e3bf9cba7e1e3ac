//! What the user writes, as values with spans: Dockerfile, word syntax, `.dockerignore`.
//!
//! *Enters*: text. *Leaves*: a [`Dockerfile`] (or [`Diagnostics`]), expanded words, ignore decisions.
//! *Never happens here*: reading a file, the network, the clock, the environment; anything that needs an image,
//! a build context or a build argument. Words stay unexpanded in the tree ([`Word`]); the planner expands them
//! with the values that are valid at that instruction.
//!
//! Specification: the Dockerfile reference, with `BuildKit` as the arbiter wherever the two differ.

pub mod csv;
mod diagnostic;
mod dockerfile;
pub mod glob;
pub mod ignore;
pub mod instruction;
pub mod lint;
mod parse;
mod print;
mod source;
mod suggest;
pub mod word;

pub use diagnostic::{Diagnostic, Diagnostics, Severity};
pub use dockerfile::{Comment, Directive, DirectiveKind, Dockerfile, From, Stage};
pub use instruction::{Instruction, InstructionKind};
pub use parse::{parse, parse_bytes, parse_onbuild_trigger};
pub use source::{Position, Source, Span, Spanned, Word};
pub use suggest::nearest;
