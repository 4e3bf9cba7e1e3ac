//! Archives in the object stores of clouds, as files of the web: which URL an object has, and what proves that this pod may read it.
//!
//! *Enters*: names of objects, the identities of [`cloud`](crate::cloud). *Leaves*: a [`WebSource`](crate::WebSource) that
//! [`Client::open_file`](crate::Client::open_file) reads. *Never happens here*: a request; a credential for another host than the store's.

mod azure;
mod gcs;
mod s3;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

pub use azure::azure_blob;
pub use gcs::gcs_object;
pub use s3::s3_object;

/// RFC 3986's unreserved characters stay.
const NAME: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
/// The same, for names whose slashes are those of the path.
const PATH: &AsciiSet = &NAME.remove(b'/');

/// Why an object cannot be asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The pod's identity cannot be had.
    #[error(transparent)]
    Cloud(#[from] crate::cloud::Error),
    /// The URL or a credential cannot be used.
    #[error(transparent)]
    Web(#[from] crate::Error),
    /// A name that no URL can hold.
    #[error("`{name}` cannot be the name of an object: a URL with it leads elsewhere")]
    Name {
        /// Of the object.
        name: String,
    },
    /// A variable that says nothing that can be used.
    #[error("{variable} is {reason}")]
    Variable {
        /// Which.
        variable: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// `base` with a path below it, which is encoded already.
fn below(base: &Url, path: &str, name: &str) -> Result<Url, Error> {
    let whole = format!("{}/{path}", base.path().trim_end_matches('/'));
    let mut url = base.clone();
    url.set_path(&whole);
    // `.` and `..` are names in a store, and directions in a URL.
    if url.path() == whole {
        return Ok(url);
    }
    Err(Error::Name {
        name: name.to_owned(),
    })
}

fn encoded(name: &str, stays: &'static AsciiSet) -> String {
    utf8_percent_encode(name, stays).to_string()
}

/// An endpoint that a variable names; `otherwise` is its scheme if it has none.
fn endpoint(variable: &'static str, text: &str, otherwise: &str) -> Result<Url, Error> {
    let whole = if text.contains("://") {
        text.to_owned()
    } else {
        format!("{otherwise}://{text}")
    };
    let url = Url::parse(&whole).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https") && url.host().is_some() && url.username() == ""
    });
    url.ok_or(Error::Variable {
        variable,
        reason: "not the URL of a server of http or https",
    })
}
