//! AWS: whose keys this pod has, and signatures with them.
//!
//! The order is that of the AWS SDKs: variables, web identity (IRSA), shared files, container credentials (EKS Pod Identity, ECS), the instance's role.

mod assume;
mod chain;
mod container;
mod identity;
mod instance;
mod process;
mod profile;
mod sign;
mod sso;
mod sts;

use std::time::SystemTime;

pub use identity::Aws;
pub use sign::{SigningRequest, sign};

use crate::Secret;

/// What a request is signed with.
#[derive(Clone)]
pub struct Credentials {
    /// Names the key.
    pub access_key_id: String,
    /// The key.
    pub secret_access_key: Secret<String>,
    /// Goes along, for temporary credentials.
    pub session_token: Option<Secret<String>>,
    /// When they end.
    pub expires: Option<SystemTime>,
    /// Where they are from, for people: ``the web identity of role `arn:…` ``.
    pub source: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials({})", self.source)
    }
}
