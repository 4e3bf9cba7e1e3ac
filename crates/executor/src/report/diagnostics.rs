use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use kigumi_dockerfile::lint::{self, Finding};
use kigumi_dockerfile::{Diagnostic, Diagnostics, Severity, Source, Span};

/// All findings with their source excerpts, in the order of the text.
pub fn render(diagnostics: &Diagnostics) -> String {
    let rendered: Vec<String> = diagnostics
        .items
        .iter()
        .map(|item| render_one(&diagnostics.file, item))
        .collect();
    rendered.join("\n")
}

fn render_one(file: &Source, item: &Diagnostic) -> String {
    let level = match item.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(item.message.as_str()).id(item.name);
    let mut report = vec![title.element(snippet(file, item.span, ""))];
    if let Some(help) = &item.help {
        report.push(Group::with_title(
            Level::HELP.secondary_title(help.as_str()),
        ));
    }
    format!("{}\n", Renderer::plain().render(&report))
}

/// What a rule found, with its source excerpt.
pub fn render_finding(file: &Source, finding: &Finding) -> String {
    let level = match finding.level() {
        lint::Level::Error => Level::ERROR,
        lint::Level::Warning => Level::WARNING,
        lint::Level::Info => Level::INFO,
    };
    let title = level
        .primary_title(finding.message.as_str())
        .id(finding.rule.id);
    let mut report = vec![title.element(snippet(file, finding.span, ""))];
    if let Some(help) = &finding.help {
        report.push(Group::with_title(
            Level::HELP.secondary_title(help.as_str()),
        ));
    }
    format!("{}\n", Renderer::plain().render(&report))
}

/// A place in the Dockerfile under a message of the world: which instruction was it?
pub fn excerpt(file: &Source, span: Span, message: &str) -> String {
    let report = [Level::ERROR
        .primary_title(message)
        .element(snippet(file, span, ""))];
    Renderer::plain().render(&report)
}

fn snippet<'a>(
    file: &'a Source,
    span: Span,
    label: &'a str,
) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
    let end = span.end.min(file.text().len());
    let start = span.start.min(end);
    let annotation = AnnotationKind::Primary.span(start..end);
    let annotation = if label.is_empty() {
        annotation
    } else {
        annotation.label(label)
    };
    Snippet::source(file.text())
        .path(file.name())
        .fold(true)
        .annotation(annotation)
}

/// A finding as one line, without its place.
pub fn one_line(item: &Diagnostic) -> String {
    match &item.help {
        Some(help) => format!("{} ({}; {help})", item.message, item.name),
        None => format!("{} ({})", item.message, item.name),
    }
}
