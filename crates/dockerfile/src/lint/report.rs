//! Findings, and how rules hand them in.

use super::options::{Options, is_requested, is_silenced};
use super::rule::{Level, Rule};
use crate::dockerfile::{self, Comment};
use crate::instruction::Instruction;
use crate::source::Span;

/// What a rule found in one place.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The rule.
    pub rule: &'static Rule,
    /// The instruction that it is about, with all its lines.
    pub span: Span,
    /// What is wrong, naming the offending value; one line, no full stop.
    pub message: String,
    /// What would be right, if something is near.
    pub help: Option<String>,
}

impl Finding {
    /// How much it matters.
    #[must_use]
    pub fn level(&self) -> Level {
        self.rule.level
    }

    /// The same rule, lines and text.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.rule.id == other.rule.id && self.span == other.span && self.message == other.message
    }
}

/// The place that a finding is about: lines, and the comments that may silence the rule there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) span: Span,
    pub(super) comments: &'a [Comment],
}

impl<'a> Place<'a> {
    pub(super) fn of(instruction: &'a Instruction) -> Self {
        Self {
            span: instruction.span,
            comments: described_by(&instruction.comments),
        }
    }

    pub(super) fn of_from(from: &'a dockerfile::From) -> Self {
        Self {
            span: from.span,
            comments: described_by(&from.comments),
        }
    }
}

/// An empty comment ends what belongs to the instruction, as an empty line does.
fn described_by(comments: &[Comment]) -> &[Comment] {
    let end = comments.iter().rposition(|comment| comment.text.is_empty());
    end.and_then(|end| comments.get(end + 1..))
        .unwrap_or(comments)
}

/// Takes the findings of one rule, and drops those that nobody wants.
pub(super) struct Reporter<'a> {
    pub(super) rule: &'static Rule,
    pub(super) options: &'a Options,
    pub(super) requested: &'a [String],
    pub(super) findings: &'a mut Vec<Finding>,
}

impl Reporter<'_> {
    pub(super) fn report(&mut self, place: Place<'_>, message: impl Into<String>) {
        self.report_with(place, message, None);
    }

    pub(super) fn report_with(
        &mut self,
        place: Place<'_>,
        message: impl Into<String>,
        help: Option<String>,
    ) {
        let runs =
            self.options.runs(self.rule, self.requested) || is_requested(self.rule, place.comments);
        if !runs || is_silenced(self.rule, place.comments) {
            return;
        }
        let finding = Finding {
            rule: self.rule,
            span: place.span,
            message: message.into(),
            help,
        };
        let here = self.findings.iter().rev();
        let mut here = here.take_while(|known| known.span == finding.span);
        if !here.any(|known| known.is_same(&finding)) {
            self.findings.push(finding);
        }
    }
}
