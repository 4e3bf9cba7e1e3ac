use kigumi_dockerfile::glob::BadPattern;
use kigumi_layer::{ImagePath, PathError};

/// Why a COPY, ADD or WORKDIR cannot be done. Sources and destinations are named as they were written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// A source without wildcards that is not there, or leads nowhere.
    #[error("source `{written}`: `{path}` not found")]
    SourceNotFound {
        /// The source as written.
        written: String,
        /// The path that is missing.
        path: ImagePath,
    },
    /// Links of a source lead in a circle, or through a file.
    #[error("source `{written}`")]
    Source {
        /// The source as written.
        written: String,
        /// Where it fails.
        #[source]
        source: kigumi_layer::Error,
    },
    /// A wildcard pattern that is malformed.
    #[error("source `{written}`")]
    SourcePattern {
        /// The source as written.
        written: String,
        /// What is wrong with it.
        #[source]
        source: BadPattern,
    },
    /// A path with a NUL or too many bytes.
    #[error("path `{written}`")]
    Path {
        /// As written.
        written: String,
        /// What is wrong with it.
        #[source]
        source: PathError,
    },
    /// An item that names a source tree which was not given: a bug of the caller.
    #[error("source `{written}`: no source tree {index}")]
    NoSuchTree {
        /// The source as written.
        written: String,
        /// The number that was asked for.
        index: usize,
    },
    /// An `--exclude` that is malformed.
    #[error("--exclude")]
    Exclude {
        /// What is wrong with it.
        #[source]
        source: BadPattern,
    },
    /// A directory is needed where something else is.
    #[error("destination `{written}`: `{at}` is not a directory")]
    NotADirectory {
        /// The destination as written.
        written: String,
        /// What is in the way.
        at: ImagePath,
    },
    /// The links of a destination lead in a circle.
    #[error("destination `{written}`: too many levels of symbolic links")]
    DestinationLoop {
        /// The destination as written.
        written: String,
    },
    /// A directory over something that is none.
    #[error("source `{written}`: cannot copy a directory onto `{at}`, which is none")]
    DirectoryOntoFile {
        /// The source as written.
        written: String,
        /// What is in the way.
        at: ImagePath,
    },
    /// A file over a directory.
    #[error("source `{written}`: cannot replace the directory `{at}` with a file")]
    FileOntoDirectory {
        /// The source as written.
        written: String,
        /// The directory.
        at: ImagePath,
    },
    /// A hard link of an archive without a target.
    #[error("archive `{written}`: hard link `{path}`: its target `{target}` does not exist")]
    LinkTargetMissing {
        /// The archive as written.
        written: String,
        /// The new name.
        path: ImagePath,
        /// The existing name.
        target: ImagePath,
    },
    /// A hard link of an archive to a directory.
    #[error("archive `{written}`: hard link `{path}`: its target `{target}` is a directory")]
    LinkTargetIsDirectory {
        /// The archive as written.
        written: String,
        /// The new name.
        path: ImagePath,
        /// The existing name.
        target: ImagePath,
    },
}

impl CopyError {
    /// Names the source as the whole word that was written, where only a part of it was looked at.
    pub(super) fn written_as(mut self, whole: &str) -> Self {
        match &mut self {
            Self::SourceNotFound { written, .. }
            | Self::Source { written, .. }
            | Self::SourcePattern { written, .. }
            | Self::Path { written, .. }
            | Self::NoSuchTree { written, .. }
            | Self::NotADirectory { written, .. }
            | Self::DestinationLoop { written }
            | Self::DirectoryOntoFile { written, .. }
            | Self::FileOntoDirectory { written, .. }
            | Self::LinkTargetMissing { written, .. }
            | Self::LinkTargetIsDirectory { written, .. } => whole.clone_into(written),
            Self::Exclude { .. } => {}
        }
        self
    }
}
