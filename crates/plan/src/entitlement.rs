//! What a Dockerfile may ask for only if the command line allows it.

use kigumi_dockerfile::instruction::{Network, Run, Security};
use kigumi_dockerfile::{Diagnostic, Span};

use crate::inputs::BuildInputs;

/// A permission that `--allow` gives (Dockerfile specification § 5.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Entitlement {
    /// `RUN --network=host`
    NetworkHost,
    /// `RUN --security=insecure`
    SecurityInsecure,
}

impl Entitlement {
    /// As `--allow` takes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NetworkHost => "network.host",
            Self::SecurityInsecure => "security.insecure",
        }
    }
}

/// What a RUN asks for and may not have.
pub(crate) fn refusals(run: &Run, inputs: &BuildInputs) -> Vec<Diagnostic> {
    let network = run.network.as_ref();
    let security = run.security.as_ref();
    let asked = [
        network
            .filter(|network| network.value == Network::Host)
            .map(|network| (Entitlement::NetworkHost, "--network=host", network.span)),
        security
            .filter(|security| security.value == Security::Insecure)
            .map(|security| {
                let flag = "--security=insecure";
                (Entitlement::SecurityInsecure, flag, security.span)
            }),
    ];
    asked
        .into_iter()
        .flatten()
        .filter(|(entitlement, _, _)| !inputs.allowed.contains(entitlement))
        .map(|(entitlement, flag, span)| refuse(entitlement, flag, span))
        .collect()
}

fn refuse(entitlement: Entitlement, flag: &str, span: Span) -> Diagnostic {
    let name = entitlement.name();
    let message = format!("RUN {flag} needs a permission: `{name}` is not allowed");
    Diagnostic::error("NotAllowed", span, message).with_help(format!(
        "pass `--allow={name}` if this Dockerfile may have it"
    ))
}
