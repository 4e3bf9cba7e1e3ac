//! `RUN --mount=`: the options as written, and what they mean once their variables are expanded.

use serde::Serialize;

use crate::source::{Span, Word};

/// One `--mount` flag, unexpanded. Keys are known ones; what the values mean is decided by [`Mount::resolve`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mount {
    /// The options, in order.
    pub options: Vec<MountOption>,
    /// The whole flag.
    pub span: Span,
}

/// `key` or `key=value` of a mount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MountOption {
    /// The key; aliases are folded.
    pub key: MountKey,
    /// The value, if there is an `=`.
    pub value: Option<Word>,
}

/// The keys of `--mount`, aliases folded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum MountKey {
    /// `type`
    Type,
    /// `from`
    From,
    /// `source`, `src`
    Source,
    /// `target`, `dst`, `destination`
    Target,
    /// `readonly`, `ro`
    ReadOnly,
    /// `readwrite`, `rw`
    ReadWrite,
    /// `id`
    Id,
    /// `sharing`
    Sharing,
    /// `required`
    Required,
    /// `size`
    Size,
    /// `mode`
    Mode,
    /// `uid`
    Uid,
    /// `gid`
    Gid,
    /// `env`
    Env,
}

/// The values of `type=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum MountType {
    /// A directory or file of the context, a stage or an image.
    Bind,
    /// A directory that outlives the build.
    Cache,
    /// An empty directory in memory.
    Tmpfs,
    /// A secret as a file or a variable.
    Secret,
    /// A socket of an ssh agent.
    Ssh,
}

/// The values of `sharing=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize)]
pub enum Sharing {
    /// Concurrent writers.
    #[default]
    Shared,
    /// A cache of one's own if another build uses it.
    Private,
    /// Wait for the other build.
    Locked,
}

/// Owner and mode of what a mount creates; `None` is the default of the mount type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Owner {
    /// `mode=`, octal in the text.
    pub mode: Option<u32>,
    /// `uid=`
    pub uid: Option<u32>,
    /// `gid=`
    pub gid: Option<u32>,
}

/// A mount with expanded and checked values.
///
/// An empty `target` means the working directory, as a relative one is below it; that the result is not `/` can only
/// be checked when WORKDIR is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum MountSpec {
    /// `type=bind`
    Bind {
        /// Stage, image or named context; the build context if none.
        from: Option<String>,
        /// Path inside `from`; empty is its root.
        source: String,
        /// Mount point.
        target: String,
        /// True unless `rw`.
        read_only: bool,
    },
    /// `type=cache`
    Cache {
        /// Identity as given; without it the cleaned target identifies the cache.
        id: Option<String>,
        /// Mount point.
        target: String,
        /// False unless `ro`.
        read_only: bool,
        /// What concurrent builds do.
        sharing: Sharing,
        /// What the cache is seeded from.
        from: Option<String>,
        /// Path inside `from`.
        source: String,
        /// Owner and mode of the directory.
        owner: Owner,
    },
    /// `type=tmpfs`
    Tmpfs {
        /// Mount point.
        target: String,
        /// Limit in bytes.
        size_bytes: Option<u64>,
        /// False unless `ro`.
        read_only: bool,
    },
    /// `type=secret`
    Secret {
        /// The secret's name: `id`, else `source`, else the base name of the target.
        id: String,
        /// Where the file appears; `None` if the secret is a variable only.
        target: Option<String>,
        /// The variable that holds it.
        env: Option<String>,
        /// Whether the build fails when the secret is missing.
        required: bool,
        /// Owner and mode of the file.
        owner: Owner,
    },
    /// `type=ssh`
    Ssh {
        /// The agent's name; `default` if none is given.
        id: String,
        /// Path of the socket; `None` is the builder's choice.
        target: Option<String>,
        /// Whether the build fails when there is no agent.
        required: bool,
        /// Owner and mode of the socket.
        owner: Owner,
    },
}
