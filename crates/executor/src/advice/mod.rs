//! What to do about an error, where the error itself does not say it: the end of the last line of a log (K-EXIT-07).
//!
//! *Enters*: an error and the environment that the build had. *Leaves*: half a sentence. *Never happens here*: a file is changed, a value of a credential is read.

mod credentials;
#[cfg(test)]
mod tests;

use std::error::Error as StdError;
use std::io;
use std::sync::Arc;

use kigumi_registry::NoAnswer;

use crate::cli::Environment;
use crate::error::BuildError;

/// What a tired person should do; nothing where the error says it, or nobody knows.
pub(crate) fn advice(error: &BuildError, environment: &Environment) -> Option<String> {
    let registry = registry_error(error);
    if let Some(reason) = registry.and_then(kigumi_registry::Error::no_answer) {
        return Some(about_no_answer(reason).to_owned());
    }
    if let Some(credential) = registry.and_then(kigumi_registry::Error::refused_credential) {
        let status = registry
            .and_then(kigumi_registry::Error::answer)
            .map(|answer| answer.status);
        return Some(credentials::about_refusal(credential, status, environment));
    }
    if let Some(kigumi_run::Error::Credentials { source, .. }) = cause::<kigumi_run::Error>(error)
        && source.kind() == io::ErrorKind::PermissionDenied
    {
        return Some(
            "the container may not change users: leave it the capabilities SETUID and SETGID (`drop: [ALL]` takes them)"
                .to_owned(),
        );
    }
    let io = cause::<io::Error>(error)?;
    about_file(error, io.kind(), rustix::process::geteuid().as_raw())
}

const fn about_no_answer(reason: NoAnswer) -> &'static str {
    match reason {
        NoAnswer::UnknownHost => {
            "no such host: is its name spelt right, and does the pod's DNS know it?"
        }
        NoAnswer::Refused => "nothing listens at that address and port",
        NoAnswer::PlainHttp => {
            "the server speaks plain HTTP: allow that with --insecure-registry=HOST:PORT"
        }
        NoAnswer::UnknownIssuer => {
            "nobody here knows who signed its certificate: pass --registry-certificate=HOST=FILE, or mount the authority's certificate into /kaniko/ssl/certs"
        }
        NoAnswer::OtherName => {
            "the certificate is for other names: use one of those, or --skip-tls-verify-registry=HOST"
        }
        NoAnswer::Expired => {
            "the certificate is not valid at this time: is the clock right, and was it renewed?"
        }
    }
}

/// What cannot be read or written.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "of all other errors of files the error itself says enough"
)]
fn about_file(error: &BuildError, kind: io::ErrorKind, user: u32) -> Option<String> {
    let is_credential = matches!(
        error,
        BuildError::Read {
            what: "the registry credentials",
            ..
        }
    );
    let text = match kind {
        io::ErrorKind::IsADirectory if is_credential => {
            "a file was mounted that is not there, and a directory made in its place: does the secret have the key that the mount names (`subPath`, `items`)?".to_owned()
        }
        io::ErrorKind::PermissionDenied if user != 0 => format!(
            "the executor runs as user {user}; it has to be root in its container (`runAsUser: 0`, no `runAsNonRoot`)"
        ),
        io::ErrorKind::ReadOnlyFilesystem if matches!(error, BuildError::Work { .. }) => {
            "the executor unpacks images onto its root filesystem: no `readOnlyRootFilesystem: true`".to_owned()
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "the volume of that path is full, or the node's disk is".to_owned()
        }
        _ => return None,
    };
    Some(text)
}

/// What a registry or a server of the web has to do with it.
fn registry_error(error: &BuildError) -> Option<&kigumi_registry::Error> {
    causes(error).find_map(|error| {
        // It speaks for what it holds, and is not listed among its causes.
        if let Some(BuildError::Web(held)) = as_type::<BuildError>(error) {
            return Some(held.as_ref());
        }
        as_type(error)
    })
}

/// The first cause of this type, the error itself included.
fn cause<T: StdError + 'static>(error: &BuildError) -> Option<&T> {
    causes(error).find_map(as_type)
}

fn causes(error: &BuildError) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    let first: &(dyn StdError + 'static) = error;
    std::iter::successors(Some(first), |&error| error.source())
}

fn as_type<'e, T: StdError + 'static>(error: &'e (dyn StdError + 'static)) -> Option<&'e T> {
    let boxed = error.downcast_ref::<Box<T>>().map(Box::as_ref);
    let shared = error.downcast_ref::<Arc<T>>().map(Arc::as_ref);
    error.downcast_ref::<T>().or(boxed).or(shared)
}
