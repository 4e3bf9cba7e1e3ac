//! From text to tree.
//!
//! Mistakes are collected: one mistake in one instruction does not hide those in others. Only a missing heredoc
//! terminator and a line that is too long end the reading, because nobody can say where the next instruction begins.

mod arguments;
mod body;
mod flags;
mod healthcheck;
mod heredoc;
mod keyword;
mod lines;
mod logical;
mod numbers;
mod onbuild;
mod parts;
mod paths;
mod reader;
mod run;
mod stage;
mod words;

#[cfg(test)]
mod tests;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::dockerfile::{Dockerfile, Stage};
use crate::instruction::{Instruction, InstructionKind};
use crate::source::{Source, Span};

use reader::{Parsed, Reader};

pub(crate) use heredoc::read_marker;
pub(crate) use lines::continued;
pub(crate) use numbers::{parse_bool, parse_octal, parse_size};

/// Parses a Dockerfile. `name` is what messages call it.
///
/// # Errors
///
/// All that is wrong, in the order of the text, warnings included.
///
/// ```
/// let dockerfile = kigumi_dockerfile::parse("FROM scratch AS Base\nCOPY a /\n", "Dockerfile").unwrap();
/// assert_eq!(dockerfile.stages[0].from.stage_name(), Some("base"));
///
/// let error = kigumi_dockerfile::parse("FROM scratch\nCOPPY a /\n", "Dockerfile").unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "Dockerfile:2: error: unknown instruction `COPPY` (help: did you mean `COPY`?)"
/// );
/// ```
pub fn parse(text: &str, name: &str) -> Result<Dockerfile, Diagnostics> {
    File::new(Source::new(name, text), Vec::new()).parse()
}

/// Parses the bytes of a Dockerfile. What is not UTF-8 is accepted in comments and refused anywhere else.
///
/// # Errors
///
/// As [`parse`].
pub fn parse_bytes(bytes: &[u8], name: &str) -> Result<Dockerfile, Diagnostics> {
    let text = String::from_utf8_lossy(bytes);
    let lines = (1..).zip(bytes.split(|byte| *byte == b'\n'));
    let mangled = lines.filter(|(_, line)| std::str::from_utf8(line).is_err());
    let mangled = mangled.map(|(number, _)| number).collect();
    File::new(Source::new(name, &text), mangled).parse()
}

/// Parses the text of an ONBUILD trigger as image configs carry it: one instruction other than FROM, MAINTAINER and
/// ONBUILD, perhaps with heredocs. Spans point into the trigger; the escape character is `\`.
///
/// # Errors
///
/// As [`parse`].
pub fn parse_onbuild_trigger(trigger: &str) -> Result<Instruction, Diagnostics> {
    let source = Source::new("ONBUILD trigger", trigger);
    let mut reader = Reader::new(&source, Vec::new());
    let mut found = Vec::new();
    while let Some(parsed) = reader.next() {
        found.push(parsed);
    }
    let end = source.span(0, source.text().len());
    let mut instructions = found.into_iter();
    let instruction = match (instructions.next(), instructions.next()) {
        (Some(Parsed::Instruction(instruction)), None) => Some(*instruction),
        (Some(Parsed::Invalid(_)), None) => None,
        (Some(Parsed::From(from)), None) => {
            reader.report(forbidden_trigger("FROM", from.span));
            None
        }
        (_, second) => {
            let what = if second.is_some() {
                "several instructions"
            } else {
                "no instruction"
            };
            let message = format!("a trigger is one instruction, and this one has {what}");
            reader.report(Diagnostic::error("InvalidTrigger", end, message));
            None
        }
    };
    if let Some(Instruction { span, kind, .. }) = &instruction
        && matches!(
            kind,
            InstructionKind::Onbuild(_) | InstructionKind::Maintainer(_)
        )
    {
        reader.report(forbidden_trigger(kind.name(), *span));
    }
    let items = reader.into_diagnostics();
    match instruction {
        Some(instruction) if !items.iter().any(Diagnostic::is_error) => Ok(instruction),
        _ => Err(Diagnostics {
            file: source,
            items,
        }),
    }
}

/// The error for instructions that must not be triggers.
fn forbidden_trigger(name: &str, span: Span) -> Diagnostic {
    Diagnostic::error(
        "ForbiddenTrigger",
        span,
        format!("{name} cannot be an ONBUILD trigger"),
    )
}

/// A file on its way to stages.
struct File {
    source: Source,
    reader: Reader,
    global_args: Vec<Instruction>,
    stages: Vec<Stage>,
}

impl File {
    fn new(source: Source, mangled: Vec<usize>) -> Self {
        let reader = Reader::new(&source, mangled);
        Self {
            source,
            reader,
            global_args: Vec::new(),
            stages: Vec::new(),
        }
    }

    fn parse(mut self) -> Result<Dockerfile, Diagnostics> {
        let mut is_empty = true;
        // After a FROM that is wrong, complaints about a missing one would mislead.
        let mut saw_from = false;
        while let Some(parsed) = self.reader.next() {
            is_empty = false;
            match parsed {
                Parsed::From(from) => {
                    saw_from = true;
                    self.stages.push(Stage {
                        from: *from,
                        instructions: Vec::new(),
                    });
                }
                Parsed::Instruction(instruction) => self.place(*instruction, saw_from),
                Parsed::Invalid(is_from) => saw_from |= is_from,
            }
        }
        self.check_stages(is_empty, saw_from);
        let Self {
            source,
            mut reader,
            global_args,
            stages,
        } = self;
        let (directives, escape) = reader.directives();
        let items = reader.into_diagnostics();
        if items.iter().any(Diagnostic::is_error) {
            return Err(Diagnostics {
                file: source,
                items,
            });
        }
        Ok(Dockerfile {
            source,
            directives,
            escape,
            global_args,
            stages,
            warnings: items,
        })
    }

    /// Puts an instruction into its stage.
    fn place(&mut self, instruction: Instruction, saw_from: bool) {
        if let Some(stage) = self.stages.last_mut() {
            stage.instructions.push(instruction);
        } else if matches!(instruction.kind, InstructionKind::Arg(_)) {
            self.global_args.push(instruction);
        } else if !saw_from {
            let message = format!("{} stands before the first FROM", instruction.kind.name());
            let help = "only ARG may stand there";
            let diagnostic = Diagnostic::error("BeforeFrom", instruction.span, message);
            self.reader.report(diagnostic.with_help(help));
        }
    }

    fn check_stages(&mut self, is_empty: bool, saw_from: bool) {
        if self.reader.has_errors() || saw_from {
            return;
        }
        let text = self.source.text();
        let last = text.char_indices().next_back().map_or(0, |(at, _)| at);
        let end = self.source.span(last, text.len());
        let diagnostic = if is_empty {
            Diagnostic::error("EmptyFile", end, "the file has no instructions")
        } else {
            Diagnostic::error("NoStage", end, "the file has no FROM")
        };
        self.reader.report(diagnostic);
    }
}
