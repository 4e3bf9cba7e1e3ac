//! A Dockerfile as text again: directives, then every instruction on a line of its own with the comments above it.
//!
//! Parsing the result gives the same tree except for spans: `parse(print(x)) == x`.

use std::fmt;

use crate::dockerfile::{Comment, Directive, Dockerfile, From};
use crate::instruction::{Heredoc, Instruction, InstructionKind};
use crate::parse::continued;

/// Lines are broken before the limit of the language is reached.
const LINE_BYTES: usize = 32_768;

impl fmt::Display for Dockerfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Directive { kind, value } in &self.directives {
            writeln!(f, "# {kind}={}", value.value)?;
        }
        // Ends the directives: a comment that only looks like one must stay a comment.
        writeln!(f)?;
        for instruction in &self.global_args {
            write_instruction(f, instruction, self.escape)?;
        }
        for stage in &self.stages {
            let From {
                comments, original, ..
            } = &stage.from;
            write_line(f, comments, original, self.escape)?;
            for instruction in &stage.instructions {
                write_instruction(f, instruction, self.escape)?;
            }
        }
        Ok(())
    }
}

fn write_instruction(
    f: &mut fmt::Formatter<'_>,
    instruction: &Instruction,
    escape: char,
) -> fmt::Result {
    write_line(f, &instruction.comments, &instruction.original, escape)?;
    match &instruction.kind {
        InstructionKind::Run(run) => write_bodies(f, &run.heredocs),
        InstructionKind::Copy(copy) => write_bodies(f, &copy.paths.heredocs),
        InstructionKind::Add(add) => write_bodies(f, &add.paths.heredocs),
        // The trigger carries the bodies behind its first line.
        InstructionKind::Onbuild(onbuild) => match onbuild.trigger.value.split_once('\n') {
            Some((_, bodies)) => writeln!(f, "{bodies}"),
            None => Ok(()),
        },
        InstructionKind::Arg(_)
        | InstructionKind::Cmd(_)
        | InstructionKind::Entrypoint(_)
        | InstructionKind::Env(_)
        | InstructionKind::Expose(_)
        | InstructionKind::Healthcheck(_)
        | InstructionKind::Label(_)
        | InstructionKind::Maintainer(_)
        | InstructionKind::Shell(_)
        | InstructionKind::Stopsignal(_)
        | InstructionKind::User(_)
        | InstructionKind::Volume(_)
        | InstructionKind::Workdir(_) => Ok(()),
    }
}

fn write_bodies(f: &mut fmt::Formatter<'_>, heredocs: &[Heredoc]) -> fmt::Result {
    heredocs
        .iter()
        .try_for_each(|heredoc| writeln!(f, "{}{}", heredoc.content, heredoc.name))
}

fn write_line(
    f: &mut fmt::Formatter<'_>,
    comments: &[Comment],
    line: &str,
    escape: char,
) -> fmt::Result {
    for comment in comments {
        writeln!(f, "# {}", comment.text)?;
    }
    let mut rest = line;
    while let Some((piece, after)) = break_line(rest, escape) {
        writeln!(f, "{piece}{escape}")?;
        rest = after;
    }
    // Only the last line of a file can look like this: it was continued, and nothing followed.
    if continued(rest, escape).is_some() {
        writeln!(f, "{rest}{escape}")
    } else {
        writeln!(f, "{rest}")
    }
}

/// Breaks a long line where both halves survive the joining: between two characters that mean nothing there.
fn break_line(line: &str, escape: char) -> Option<(&str, &str)> {
    if line.len() <= LINE_BYTES {
        return None;
    }
    let is_safe = |c: char| !c.is_whitespace() && c != escape && c != '#';
    let mut before = None;
    for (at, character) in line.char_indices() {
        let fits = at >= LINE_BYTES / 2 && before.is_some_and(is_safe) && is_safe(character);
        if fits {
            return line.split_at_checked(at);
        }
        before = Some(character);
    }
    None
}
