//! Why there was no answer, where the cause is one that a person can mend.

use std::error::Error as StdError;
use std::io;

use hickory_resolver::net::NetError;
use rustls::{CertificateError, InvalidMessage};

use crate::Error;

/// A cause that will be the same until somebody changes a name, a flag or a certificate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoAnswer {
    /// The name of the host is not known.
    UnknownHost,
    /// Nobody listens at that address and port.
    Refused,
    /// The server answers TLS with something else: it speaks plain HTTP.
    PlainHttp,
    /// The certificate is from an authority that is not known.
    UnknownIssuer,
    /// The certificate is for other names.
    OtherName,
    /// The certificate is not valid any more, or not yet.
    Expired,
}

impl NoAnswer {
    /// The cause that one error of a chain names.
    fn of(error: &(dyn StdError + 'static)) -> Option<Self> {
        let name = error.downcast_ref::<NetError>();
        if name.is_some_and(|error| error.is_nx_domain() || error.is_no_records_found()) {
            return Some(Self::UnknownHost);
        }
        let io = error.downcast_ref::<io::Error>();
        if io.is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
            return Some(Self::Refused);
        }
        Self::of_tls(error.downcast_ref::<rustls::Error>()?)
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "both enums are open, and all others are nobody's to mend"
    )]
    fn of_tls(error: &rustls::Error) -> Option<Self> {
        let rejected = match error {
            rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
                return Some(Self::PlainHttp);
            }
            rustls::Error::InvalidCertificate(rejected) => rejected,
            _ => return None,
        };
        match rejected {
            CertificateError::UnknownIssuer => Some(Self::UnknownIssuer),
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Some(Self::OtherName)
            }
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => Some(Self::Expired),
            _ => None,
        }
    }
}

impl Error {
    /// Why no answer came, where a person can do something about it.
    pub fn no_answer(&self) -> Option<NoAnswer> {
        self.transport_causes().find_map(NoAnswer::of)
    }

    /// What is behind a request without an answer: the error of the HTTP client and its causes.
    pub(crate) fn transport_causes(&self) -> impl Iterator<Item = &(dyn StdError + 'static)> {
        let mut first: Option<&(dyn StdError + 'static)> = None;
        if let Self::Transport { source, .. } = self {
            first = Some(source);
        }
        std::iter::successors(first, |&error| {
            // io::Error gives the source of what it wraps as its own: what it wraps is the next one here.
            let io = error.downcast_ref::<io::Error>();
            match io.and_then(io::Error::get_ref) {
                Some(inner) => Some(inner as &(dyn StdError + 'static)),
                None => error.source(),
            }
        })
    }
}
