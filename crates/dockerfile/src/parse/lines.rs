//! Lines of the file, directives, continuations, and the bodies of heredocs.

use crate::diagnostic::Diagnostic;
use crate::dockerfile::{Comment, Directive, DirectiveKind};
use crate::source::{Source, Span, Spanned};

use super::logical::Logical;

/// What the reference reads at once. Longer lines are refused there, so that files which build here build everywhere.
const MAX_LINE_BYTES: usize = 65_535;

/// One line of the file.
struct Line<'a> {
    /// Without the line end; every `\r` at the end belongs to it.
    text: &'a str,
    /// With the line end.
    raw: &'a str,
    start: usize,
}

/// An instruction as text, with the comments directly above it.
pub(super) struct Statement {
    pub(super) line: Logical,
    pub(super) comments: Vec<Comment>,
}

/// The lines between a heredoc marker and its terminator.
pub(super) struct Body {
    pub(super) content: String,
    pub(super) span: Span,
}

pub(super) struct Lines {
    source: Source,
    /// Offset of the next line.
    next: usize,
    /// Lines that were not UTF-8 in the file, in order.
    mangled: Vec<usize>,
    pub(super) escape: char,
    pub(super) directives: Vec<Directive>,
    directives_end: bool,
    pub(super) diagnostics: Vec<Diagnostic>,
}

impl Lines {
    pub(super) fn new(source: &Source, mangled: Vec<usize>) -> Self {
        Self {
            source: source.clone(),
            next: 0,
            mangled,
            escape: '\\',
            directives: Vec::new(),
            directives_end: false,
            diagnostics: Vec::new(),
        }
    }

    /// Where reading has arrived.
    pub(super) fn offset(&self) -> usize {
        self.next
    }

    /// Reads up to the end of the next instruction.
    pub(super) fn statement(&mut self) -> Option<Statement> {
        let source = self.source.clone();
        let mut comments = Vec::new();
        while let Some(line) = self.line(&source) {
            let text = line.text.trim_start();
            let start = line.start + (line.text.len() - text.len());
            if let Some(comment) = text.strip_prefix('#') {
                if !self.directive(comment, start + 1) {
                    let span = source.span(start, start + text.len());
                    comments.push(Comment {
                        text: comment.trim().to_owned(),
                        span,
                    });
                }
                continue;
            }
            self.directives_end = true;
            if text.is_empty() {
                comments.clear();
                continue;
            }
            return Some(Statement {
                line: self.joined(&source, text, start),
                comments,
            });
        }
        None
    }

    /// Joins a first line with its continuations.
    fn joined(&mut self, source: &Source, first: &str, start: usize) -> Logical {
        let mut joined = Logical::new(source);
        let mut blank = None;
        self.check_encoding(source.line_of(start));
        let piece = continued(first, self.escape);
        let mut open = piece.is_some();
        joined.push(piece.unwrap_or(first), start);
        while open {
            let Some(line) = self.line(source) else { break };
            let content = line.text.trim_start();
            if content.starts_with('#') {
                continue;
            }
            let span = source.span(line.start, line.start + line.text.len());
            if content.is_empty() {
                blank.get_or_insert(span);
                continue;
            }
            self.check_encoding(span.line);
            let piece = continued(line.text, self.escape);
            open = piece.is_some();
            joined.push(piece.unwrap_or(line.text), line.start);
        }
        if let Some(blank) = blank {
            // COMPAT(buildkit): the place is the last line of the instruction.
            let span = source.line_span(source.line_of(self.next.saturating_sub(1)));
            let message = format!(
                "line {} is empty and inside a continued instruction",
                blank.line
            );
            let help = "remove the line, or make it a comment";
            self.diagnostics
                .push(Diagnostic::warning("NoEmptyContinuation", span, message).with_help(help));
        }
        joined
    }

    /// Reads the body of a heredoc; `None` if the terminator is missing, and the file is read to its end then.
    pub(super) fn body(&mut self, terminator: &str, strip_tabs: bool) -> Option<Body> {
        let source = self.source.clone();
        let start = self.next;
        let mut content = String::new();
        while let Some(line) = self.line(&source) {
            let candidate = if strip_tabs {
                line.text.trim_start_matches('\t')
            } else {
                line.text
            };
            if candidate == terminator {
                return Some(Body {
                    content,
                    span: source.span(start, line.start),
                });
            }
            self.check_encoding(source.line_of(line.start));
            content.push_str(line.raw);
        }
        None
    }

    fn line<'a>(&mut self, source: &'a Source) -> Option<Line<'a>> {
        let rest = source
            .text()
            .get(self.next..)
            .filter(|rest| !rest.is_empty())?;
        let length = rest.find('\n').map_or(rest.len(), |end| end + 1);
        let raw = rest.get(..length)?;
        let start = self.next;
        self.next += length;
        let bytes = raw.strip_suffix('\n').unwrap_or(raw).len();
        if bytes > MAX_LINE_BYTES {
            self.too_long(start, bytes);
            self.next = source.text().len();
            return None;
        }
        Some(Line {
            text: raw.trim_end_matches(['\r', '\n']),
            raw,
            start,
        })
    }

    fn too_long(&mut self, start: usize, bytes: usize) {
        let span = self.source.span(start, start + bytes);
        // The reference counts the lines that it could read, so both numbers are said.
        let which = match span.line {
            1 => "line 1".to_owned(),
            number => format!("the line after line {}", number - 1),
        };
        let message = format!(
            "{which} has {bytes} bytes, and a Dockerfile line has at most {MAX_LINE_BYTES}"
        );
        self.diagnostics
            .push(Diagnostic::error("LineTooLong", span, message));
    }

    fn check_encoding(&mut self, line: usize) {
        if self.mangled.binary_search(&line).is_ok() {
            let starts = self.source.line_span(line);
            let message = "the line is not UTF-8";
            self.diagnostics
                .push(Diagnostic::error("InvalidEncoding", starts, message));
        }
    }

    /// Looks at a comment at the top of the file; `text` is what follows the `#`. Says whether it is a directive.
    fn directive(&mut self, text: &str, start: usize) -> bool {
        if self.directives_end {
            return false;
        }
        let Some((kind, value)) = split_directive(text) else {
            self.directives_end = true;
            return false;
        };
        let value_start = start + value.as_ptr().addr() - text.as_ptr().addr();
        let span = self.source.span(value_start, value_start + value.len());
        if self.directives.iter().any(|known| known.kind == kind) {
            let message = format!("only one `{kind}` directive can be used");
            self.diagnostics
                .push(Diagnostic::error("DuplicateDirective", span, message));
            return true;
        }
        match kind {
            DirectiveKind::Escape => self.set_escape(value, span),
            DirectiveKind::Syntax => self.check_frontend(value, span),
            DirectiveKind::Check => {}
        }
        self.directives.push(Directive {
            kind,
            value: Spanned::new(value.to_owned(), span),
        });
        true
    }

    fn set_escape(&mut self, value: &str, span: Span) {
        match value {
            "\\" => self.escape = '\\',
            "`" => self.escape = '`',
            other => {
                let message = format!("the escape character is `\\` or a backtick, not `{other}`");
                self.diagnostics
                    .push(Diagnostic::error("InvalidEscape", span, message));
            }
        }
    }

    fn check_frontend(&mut self, value: &str, span: Span) {
        let image = value.split(' ').next().unwrap_or_default();
        let name = image.strip_prefix("docker.io/").unwrap_or(image);
        let name = name.split(['@', ':']).next().unwrap_or_default();
        if !matches!(name, "docker/dockerfile" | "docker/dockerfile-upstream") {
            let message =
                format!("the frontend `{image}` is not used: the built-in language applies");
            self.diagnostics
                .push(Diagnostic::warning("UnknownFrontend", span, message));
        }
    }
}

/// The line without its continuation mark: an escape character, perhaps followed by blanks, that is not escaped itself.
pub(crate) fn continued(line: &str, escape: char) -> Option<&str> {
    let head = line.trim_end_matches([' ', '\t']).strip_suffix(escape)?;
    (!head.ends_with(escape)).then_some(head)
}

/// Reads `key = value` behind a `#`.
fn split_directive(text: &str) -> Option<(DirectiveKind, &str)> {
    let (key, value) = text.split_once('=')?;
    let kind = match key.trim_ascii().to_ascii_lowercase().as_str() {
        "syntax" => DirectiveKind::Syntax,
        "escape" => DirectiveKind::Escape,
        "check" => DirectiveKind::Check,
        _ => return None,
    };
    (!value.is_empty()).then_some((kind, value.trim_ascii()))
}
