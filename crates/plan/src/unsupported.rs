//! What this version understands but does not execute yet. The only place that refuses such things: making one of them
//! work means removing its entry here.

use kigumi_dockerfile::{Diagnostic, Span};
use kigumi_oci::Platform;

use crate::op::Source;

/// The name of all diagnostics of this module.
const NAME: &str = "Unsupported";

fn refuse(span: Span, what: &str) -> Diagnostic {
    Diagnostic::error(NAME, span, format!("{what} is not supported yet"))
}

/// Sources of ADD. Shown as written: an expanded URL may hold a token.
pub(crate) fn source(source: &Source, written: &str, span: Span) -> Option<Diagnostic> {
    let kind = match source {
        Source::Path(_) | Source::Inline { .. } => return None,
        Source::Url(_) => "a URL",
        Source::Git(_) => "a git repository",
    };
    Some(refuse(span, &format!("ADD of {kind} (`{written}`)")))
}

/// Operating systems.
pub(crate) fn platform(platform: &Platform, span: Span) -> Option<Diagnostic> {
    let is_linux = platform.os == "linux";
    (!is_linux).then(|| refuse(span, &format!("building for platform `{platform}`")))
}

/// Sources of `SOURCE_DATE_EPOCH` other than a number.
pub(crate) fn epoch_from(what: &str, span: Span) -> Diagnostic {
    refuse(span, &format!("SOURCE_DATE_EPOCH taken from `{what}`"))
}
