use crate::ImagePath;

/// What a tree cannot do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// More symbolic links on the way than any kernel follows.
    #[error("resolve `{path}`: too many levels of symbolic links")]
    SymlinkLoop {
        /// The path that was asked for.
        path: ImagePath,
    },
    /// A component on the way is neither a directory nor a link to one.
    #[error("resolve `{path}`: `{at}` is not a directory")]
    NotADirectory {
        /// The path that was asked for.
        path: ImagePath,
        /// The component that is in the way.
        at: ImagePath,
    },
    /// A hard link to something that is not there.
    #[error("hard link `{path}`: its target `{target}` does not exist")]
    LinkTargetMissing {
        /// The new name.
        path: ImagePath,
        /// The existing name.
        target: ImagePath,
    },
    /// A hard link to a directory.
    #[error("hard link `{path}`: its target `{target}` is a directory")]
    LinkTargetIsDirectory {
        /// The new name.
        path: ImagePath,
        /// The existing name.
        target: ImagePath,
    },
    /// An entry that would make the root something else than a directory.
    #[error("the root of the image cannot be replaced")]
    ReplaceRoot,
}
