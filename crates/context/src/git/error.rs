use std::error::Error as StdError;
use std::io;

use kigumi_layer::ImagePath;

use super::Remote;
use super::limits::{ENTRIES, LARGEST_LINK, SUBMODULE_DEPTH, SUBMODULES};

/// A cause from elsewhere.
pub type Cause = Box<dyn StdError + Send + Sync>;

/// Why a git source cannot be had. No credential is ever part of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GitError {
    /// A way to a repository that needs a program.
    #[error(
        "`{remote}`: git over ssh is not supported: use https:// with the secret GIT_AUTH_TOKEN, or fetch it before the build and copy it from a context"
    )]
    Ssh {
        /// Where.
        remote: String,
    },
    /// A credential that cannot be sent.
    #[error("the secret `{id}` is not text of one line")]
    Secret {
        /// Which secret.
        id: String,
    },
    /// A server that wants to know who asks, or does not like who does.
    #[error("`{remote}`: the server answers {status} {}", credential_hint(host, *authorized))]
    Refused {
        /// Where.
        remote: String,
        /// `host[:port]`, which secrets are named by.
        host: String,
        /// The status of its answer.
        status: u16,
        /// Whether a credential was sent.
        authorized: bool,
    },
    /// An answer that is no success.
    #[error("`{remote}`: the server answers {status}")]
    Status {
        /// Where.
        remote: String,
        /// The status of its answer.
        status: u16,
    },
    /// A redirect that is not followed.
    #[error("`{remote}`: a redirect is not followed: {reason}")]
    Redirect {
        /// Where.
        remote: String,
        /// The rule that it breaks.
        reason: &'static str,
    },
    /// No answer at all.
    #[error("reach `{remote}`")]
    Network {
        /// Where.
        remote: String,
        /// Why not.
        #[source]
        source: Cause,
    },
    /// An answer that is not git's, or a pack that is damaged.
    #[error("fetch from `{remote}`")]
    Protocol {
        /// Where.
        remote: String,
        /// What is wrong with it.
        #[source]
        source: Cause,
    },
    /// Object ids of another kind.
    #[error("`{remote}`: repositories with SHA-256 object ids are not supported")]
    Sha256 {
        /// Where.
        remote: String,
    },
    /// A branch or tag that is not there.
    #[error(
        "`{remote}` has no branch, tag or other reference `{revision}`{}",
        full_id_hint(revision)
    )]
    NoRevision {
        /// Where.
        remote: String,
        /// What was asked for.
        revision: String,
    },
    /// A repository without a HEAD that leads somewhere.
    #[error("`{remote}` has no default branch: name a branch, tag or commit after `#`")]
    NoDefaultBranch {
        /// Where.
        remote: String,
    },
    /// A commit that is not there.
    #[error("`{remote}` has no commit `{commit}`, or none that its branches and tags lead to")]
    NoCommit {
        /// Where.
        remote: String,
        /// What was asked for.
        commit: String,
    },
    /// Another commit than was to be.
    #[error("`{remote}`: expected checksum `{expected}`, got {found}")]
    Checksum {
        /// Where.
        remote: String,
        /// What was asked for.
        expected: String,
        /// What is there.
        found: String,
    },
    /// A name that leads to a file or directory instead of a commit.
    #[error("`{remote}`: `{id}` is not a commit")]
    NotACommit {
        /// Where.
        remote: String,
        /// Which object.
        id: String,
    },
    /// An object that is missing or damaged.
    #[error("`{remote}`: read object {id}")]
    Object {
        /// Where it came from.
        remote: String,
        /// Which object.
        id: String,
        /// What is wrong with it.
        #[source]
        source: Cause,
    },
    /// A name that must not be in a repository.
    #[error("`{remote}`: path `{path}` is not allowed in a checkout")]
    Path {
        /// Where it came from.
        remote: String,
        /// The path, with unprintable bytes escaped.
        path: String,
    },
    /// A symbolic link that no filesystem holds.
    #[error(
        "`{remote}`: the symbolic link `{}` is empty, has a NUL byte or is longer than {LARGEST_LINK} bytes",
        relative(path)
    )]
    Link {
        /// Where it came from.
        remote: String,
        /// Where the link is.
        path: ImagePath,
    },
    /// An encoding that nobody here can write.
    #[error(
        "`{}`: working-tree-encoding `{encoding}` is not supported: UTF-8, UTF-16 and UTF-32 are",
        relative(path)
    )]
    Encoding {
        /// The file.
        path: ImagePath,
        /// As written in `.gitattributes`.
        encoding: String,
    },
    /// More files than anybody has.
    #[error("`{remote}`: a checkout of more than {ENTRIES} files")]
    TooManyEntries {
        /// Where it came from.
        remote: String,
    },
    /// A part of the checkout that is not there.
    #[error("subdirectory `{subdirectory}` of `{remote}`: {reason}")]
    Subdirectory {
        /// Where it came from.
        remote: String,
        /// As written.
        subdirectory: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A `.gitmodules` that cannot be read.
    #[error("`{remote}`: `.gitmodules`, line {line}")]
    Gitmodules {
        /// Where it came from.
        remote: String,
        /// Which line.
        line: usize,
    },
    /// A commit of another repository that is not known.
    #[error(
        "submodule `{}`: `.gitmodules` has no usable URL for it; with `?submodules=false` it stays an empty directory",
        relative(path)
    )]
    UnknownSubmodule {
        /// Where it belongs.
        path: ImagePath,
    },
    /// More submodules than anybody has.
    #[error("more than {SUBMODULES} submodules, or more than {SUBMODULE_DEPTH} inside one another")]
    TooManySubmodules,
    /// A submodule that cannot be had.
    #[error("submodule `{}`", relative(path))]
    Submodule {
        /// Where it belongs.
        path: ImagePath,
        /// Why not.
        #[source]
        source: Box<GitError>,
    },
    /// Nobody wants the result any more.
    #[error("the checkout was given up")]
    Interrupted,
    /// A work file.
    #[error("{operation}")]
    Work {
        /// What was to be done.
        operation: &'static str,
        /// Why it was not.
        #[source]
        source: io::Error,
    },
    /// Files that contradict each other.
    #[error("put the files of `{remote}` together")]
    Tree {
        /// Where they came from.
        remote: String,
        /// How they do.
        #[source]
        source: kigumi_layer::Error,
    },
}

impl GitError {
    pub(super) fn protocol(remote: &Remote, source: impl Into<Cause>) -> Self {
        Self::Protocol {
            remote: remote.to_string(),
            source: source.into(),
        }
    }
}

/// As git shows paths: without a slash in front.
fn relative(path: &ImagePath) -> String {
    String::from_utf8_lossy(path.as_relative()).into_owned()
}

fn credential_hint(host: &str, authorized: bool) -> String {
    if authorized {
        "to the credential that was sent".to_owned()
    } else {
        format!(
            "and no credential was sent: give the secret `GIT_AUTH_TOKEN.{host}` or `GIT_AUTH_TOKEN`"
        )
    }
}

fn full_id_hint(revision: &str) -> &'static str {
    let digits = revision.bytes().all(|byte| byte.is_ascii_hexdigit());
    if digits && (7..40).contains(&revision.len()) {
        "; if it is a commit, write its full id"
    } else {
        ""
    }
}
