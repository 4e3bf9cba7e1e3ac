use std::io;
use std::path::PathBuf;

use kigumi_layer::ImagePath;

/// What this crate could not do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A directory on the host, by its path there.
    #[error("open `{}`", path.display())]
    OpenHost {
        /// The path on the host.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A directory that shall be a root is not fit to be one.
    #[error("`{}` cannot be a root: {reason}", path.display())]
    UnfitRoot {
        /// The path on the host.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The list of mounts.
    #[error("read the mounts of this process")]
    ReadMounts {
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The list of mounts has a line that is not one.
    #[error("line {line} of mountinfo is malformed")]
    MalformedMount {
        /// Counted from 1.
        line: usize,
    },
    /// One operation on one file of the root.
    #[error("{operation} `{path}`")]
    File {
        /// What was tried, as a verb: "open", "create file".
        operation: &'static str,
        /// On what.
        path: ImagePath,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The source of a file's content broke.
    #[error("read the content of `{path}`")]
    ReadContent {
        /// The file.
        path: ImagePath,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file came with more or fewer bytes than was said.
    #[error("content of `{path}`: {actual} bytes where {expected} were announced")]
    ContentSize {
        /// The file.
        path: ImagePath,
        /// As announced.
        expected: u64,
        /// As they came.
        actual: u64,
    },
    /// A regular file without content to write.
    #[error("no content was given for file `{path}`")]
    ContentMissing {
        /// The file.
        path: ImagePath,
    },
    /// A file that is deeper than any path can say.
    #[error("a path below `{directory}` is longer than 4095 bytes")]
    PathTooLong {
        /// The last directory that can still be named.
        directory: ImagePath,
    },
    /// A name that means a deletion in every layer.
    #[error("`{path}`: names that begin with `.wh.` cannot be in a layer")]
    WhiteoutName {
        /// The file.
        path: ImagePath,
    },
    /// A file that was not what the walk had seen a moment before.
    #[error("`{path}` changed while it was looked at")]
    Moved {
        /// The file.
        path: ImagePath,
    },
    /// Neither mount ids nor `openat2` are there, so mounts could not be told from directories.
    #[error("this kernel offers neither openat2 nor mount ids: `{path}` cannot be emptied safely")]
    NoMountGuard {
        /// What was to be emptied.
        path: ImagePath,
    },
    /// Something cannot be mounted for a step.
    #[error("nothing can be mounted at `{path}`: {why}")]
    CannotPlace {
        /// The mount point.
        path: ImagePath,
        /// What is in the way.
        why: crate::WhyNot,
    },
    /// Two builds on one root.
    #[error(
        "another build is at work in this container (it holds `{}`): wait for its end", place.display()
    )]
    FormerInUse {
        /// What it holds.
        place: PathBuf,
    },
    /// Something that a killed build left and that must not be given back to this root.
    #[error(
        "a build that was killed has left `{}`, which holds what was on a root filesystem before it; {why}, so it is not touched. Start a new container, or remove that directory if nothing in it is wanted", place.display()
    )]
    FormerForeign {
        /// Where it is.
        place: PathBuf,
        /// Why not.
        why: crate::WhyForeign,
    },
    /// A change that does not fit the tree.
    #[error("record `{path}`")]
    Tree {
        /// The file.
        path: ImagePath,
        /// Why.
        #[source]
        source: kigumi_layer::Error,
    },
}

impl Error {
    pub(crate) fn file(
        operation: &'static str,
        path: &ImagePath,
        source: impl Into<io::Error>,
    ) -> Self {
        Self::File {
            operation,
            path: path.clone(),
            source: source.into(),
        }
    }
}
