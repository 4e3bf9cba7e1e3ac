//! What this version understands but does not execute yet. The only place that refuses such things: making one of them
//! work means removing its entry here.

use kigumi_dockerfile::{Diagnostic, Span};
use kigumi_oci::Platform;

/// The name of all diagnostics of this module.
const NAME: &str = "Unsupported";

fn refuse(span: Span, what: &str) -> Diagnostic {
    Diagnostic::error(NAME, span, format!("{what} is not supported yet"))
}

/// As Go calls them.
const ARCHITECTURES: [&str; 8] = [
    "386", "amd64", "arm", "arm64", "loong64", "ppc64le", "riscv64", "s390x",
];

/// Operating systems.
pub(crate) fn platform(platform: &Platform, span: Span) -> Option<Diagnostic> {
    // Written the wrong way round: no operating system has the name of an architecture.
    if ARCHITECTURES.contains(&platform.os.as_str()) {
        let right = format!("linux/{}", platform.os);
        return Some(Diagnostic::error(
            NAME,
            span,
            format!(
                "`{platform}` is no platform: the operating system comes first, as in `{right}`"
            ),
        ));
    }
    let is_linux = platform.os == "linux";
    (!is_linux).then(|| refuse(span, &format!("building for platform `{platform}`")))
}
