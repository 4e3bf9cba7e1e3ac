//! `--ssh`: an agent of our own, for steps with `--mount=type=ssh`.
//!
//! *Enters*: key files, or the socket of an agent. *Leaves*: a listening socket that lists public keys and signs, as long as it is served.
//! *Never happens here*: a private key that leaves this process, or a request that changes an agent.

mod agent;
mod error;
mod key;
mod serve;
mod wire;

use std::collections::BTreeMap;
use std::os::unix::fs::FileTypeExt;
use std::sync::Arc;

pub use agent::Agent;
pub use error::SshError;
pub use key::{KeyError, PrivateKey};
pub use serve::Serving;

use crate::cli::SshFlag;
use crate::secrets::Redactor;

/// What `--ssh` gives, by id.
#[derive(Debug, Default)]
pub struct Agents(BTreeMap<String, Arc<Agent>>);

impl Agents {
    /// Reads all keys, and finds the sockets of agents.
    ///
    /// # Errors
    /// [`SshError`] for the first that cannot be used.
    pub fn load(flags: &[SshFlag], redactor: &Redactor) -> Result<Self, SshError> {
        let mut agents = Self::default();
        for flag in flags {
            let agent = load(flag, redactor)?;
            agents.0.insert(flag.id.clone(), Arc::new(agent));
        }
        Ok(agents)
    }

    /// The agent of this id.
    pub fn get(&self, id: &str) -> Option<&Arc<Agent>> {
        self.0.get(id)
    }
}

/// COMPAT(buildkit): one path that is a socket is an agent's; all others are keys.
fn load(flag: &SshFlag, redactor: &Redactor) -> Result<Agent, SshError> {
    let mut keys = Vec::new();
    for path in &flag.paths {
        let failed = |source| SshError::Read {
            id: flag.id.clone(),
            path: path.clone(),
            source,
        };
        let is_socket = std::fs::metadata(path)
            .map_err(failed)?
            .file_type()
            .is_socket();
        match flag.paths.as_slice() {
            [socket] if is_socket => return Ok(Agent::proxy(socket)),
            _ if is_socket => {
                return Err(SshError::SeveralAgents {
                    id: flag.id.clone(),
                });
            }
            _ => {}
        }
        let text = key::read(path).map_err(failed)?;
        redactor.hide(&text);
        let key = key::PrivateKey::parse(&text).map_err(|source| SshError::Key {
            id: flag.id.clone(),
            path: path.clone(),
            source,
        })?;
        keys.push(key);
    }
    Ok(Agent::of_keys(keys))
}
