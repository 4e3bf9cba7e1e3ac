//! What this version understands but does not execute yet. The only place that refuses such things: making one of them
//! work means removing its entry here.

use kigumi_dockerfile::{Diagnostic, Span};
use kigumi_oci::Platform;

/// The name of all diagnostics of this module.
const NAME: &str = "Unsupported";

fn refuse(span: Span, what: &str) -> Diagnostic {
    Diagnostic::error(NAME, span, format!("{what} is not supported yet"))
}

/// Operating systems.
pub(crate) fn platform(platform: &Platform, span: Span) -> Option<Diagnostic> {
    let is_linux = platform.os == "linux";
    (!is_linux).then(|| refuse(span, &format!("building for platform `{platform}`")))
}
