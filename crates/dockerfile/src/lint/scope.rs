//! The variables at one place of a file. Dockerfile reference § ARG scope.

use std::collections::{BTreeMap, BTreeSet};

use super::subject::Subject;
use crate::instruction::{Arg, Instruction, InstructionKind};
use crate::source::Word;
use crate::word::Expanded;

/// Longest value that is kept, in bytes. Rules look at names and at the beginning of values; a hostile file must not
/// make values grow without end (`ENV a=$a$a`).
const MAX_VALUE: usize = 1024;

/// PATH of an image that sets none; BuildKit adds it.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Arguments that never become variables.
const NEVER_SET: [&str; 2] = ["BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"];

/// Variables with values, and arguments without.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope {
    values: BTreeMap<String, String>,
    /// Declared with ARG, with or without a value.
    declared: BTreeSet<String>,
    /// The base is an image that nobody looked at: any variable may exist.
    is_open: bool,
    /// SHELL is set.
    pub(super) has_shell: bool,
    /// The Dockerfile itself has set a WORKDIR; that of a base image does not count.
    pub(super) has_workdir: bool,
}

impl Scope {
    /// At the beginning of a stage whose base has this environment.
    pub(super) fn stage(env: &[(String, String)], has_shell: bool) -> Self {
        let mut scope = Self {
            has_shell,
            ..Self::default()
        };
        scope.set("PATH", DEFAULT_PATH);
        for (name, value) in env {
            scope.set(name, value);
        }
        scope
    }

    /// At the beginning of a stage on an image that nobody looked at.
    pub(super) fn of_unknown_base() -> Self {
        Self {
            is_open: true,
            ..Self::stage(&[], false)
        }
    }

    pub(super) fn set(&mut self, name: &str, value: &str) {
        let mut end = value.len().min(MAX_VALUE);
        while !value.is_char_boundary(end) {
            end -= 1;
        }
        let value = value.get(..end).unwrap_or_default();
        self.values.insert(name.to_owned(), value.to_owned());
    }

    pub(super) fn declare(&mut self, name: &str) {
        self.declared.insert(name.to_owned());
    }

    pub(super) fn value(&self, name: &str) -> Option<String> {
        self.values.get(name).cloned()
    }

    pub(super) fn is_declared(&self, name: &str) -> bool {
        self.declared.contains(name)
    }

    /// The names that have a value or are declared.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let names = self.values.keys().chain(&self.declared);
        names.map(String::as_str)
    }

    /// A word with its variables replaced; empty if that is not possible, which is an error of the build.
    pub(super) fn expand(&self, word: &Word, escape: char) -> Expanded {
        word.expand(&|name| self.value(name), escape)
            .unwrap_or_default()
    }

    /// Whether a name that an expansion did not find is really unknown here.
    pub(super) fn is_undefined(&self, name: &str) -> bool {
        !self.is_open && !self.is_declared(name) && !NEVER_SET.contains(&name)
    }

    /// Carries out what an instruction does to the variables.
    pub(super) fn apply(&mut self, instruction: &Instruction, subject: &Subject<'_>) {
        let escape = subject.file.escape;
        if let Some(env) = instruction.env() {
            let expand = |word| self.expand(word, escape).text;
            let pairs = env.pairs.iter();
            let pairs: Vec<(String, String)> = pairs
                .map(|pair| (expand(&pair.key), expand(&pair.value)))
                .collect();
            for (name, value) in pairs {
                self.set(&name, &value);
            }
        } else if let Some(arg) = instruction.arg() {
            self.apply_arg(arg, subject);
        }
        self.has_shell |= matches!(instruction.kind, InstructionKind::Shell(_));
        self.has_workdir |= matches!(instruction.kind, InstructionKind::Workdir(_));
    }

    fn apply_arg(&mut self, arg: &Arg, subject: &Subject<'_>) {
        let escape = subject.file.escape;
        for declaration in &arg.declarations {
            let name = self.expand(&declaration.name, escape).text;
            let mut given = subject.inputs.build_args.iter().rev();
            let given = given.find(|(known, _)| *known == name);
            let value = match (given, &declaration.default) {
                (Some((_, value)), _) => Some(value.clone()),
                (None, Some(default)) => Some(self.expand(default, escape).text),
                (None, None) => subject.globals.value(&name),
            };
            self.declare(&name);
            if let Some(value) = value.filter(|_| !NEVER_SET.contains(&name.as_str())) {
                self.set(&name, &value);
            }
        }
    }
}
