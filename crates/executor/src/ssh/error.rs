use std::io;
use std::path::PathBuf;

use super::key::KeyError;

/// Why there is no agent. Nothing of a key is in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SshError {
    /// The file or socket is not there.
    #[error("--ssh `{id}`: read `{}`", .path.display())]
    Read {
        /// Of the agent.
        id: String,
        /// Which file.
        path: PathBuf,
        /// What the kernel says.
        #[source]
        source: io::Error,
    },
    /// Not a key that can be used.
    #[error("--ssh `{id}`: use `{}`", .path.display())]
    Key {
        /// Of the agent.
        id: String,
        /// Which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: KeyError,
    },
    /// Several sockets under one id.
    #[error("--ssh `{id}` names a socket among other files: an agent's socket stands alone")]
    SeveralAgents {
        /// Of the agent.
        id: String,
    },
    /// The socket of a step cannot be made or served.
    #[error("serve the ssh agent `{id}`: {operation}")]
    Serve {
        /// Of the agent.
        id: String,
        /// What was to be done.
        operation: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
}
