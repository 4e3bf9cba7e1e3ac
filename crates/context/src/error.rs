use std::io;
use std::path::PathBuf;

use kigumi_dockerfile::ignore::IgnoreError;

/// Why a build context or an archive cannot be read. What is wrong with an instruction is a [`CopyError`](crate::CopyError).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A kind of build context that is not supported.
    #[error(
        "contexts of kind `{scheme}` are not supported: give a directory, dir://, tar://, git://, https://, s3:// or gs://"
    )]
    UnsupportedContext {
        /// What stands before `://`, with it.
        scheme: String,
    },
    /// A build context without the name that its kind asks for.
    #[error("`{scheme}` is followed by nothing: give {expected}")]
    Nameless {
        /// What stands before the name that is missing.
        scheme: &'static str,
        /// What would be right.
        expected: &'static str,
    },
    /// A part of the build context that cannot be one.
    #[error("--context-sub-path `{written}`: {reason}")]
    SubPath {
        /// As it was given.
        written: String,
        /// Why not.
        reason: &'static str,
    },
    /// The files of a build context that contradict each other.
    #[error("put the files of the build context together")]
    Files {
        /// Which, and why.
        #[source]
        source: kigumi_layer::Error,
    },
    /// A build context that is no archive.
    #[error(
        "`{written}` is not a tar archive, neither as it is nor decompressed with gzip, zstd, xz or bzip2"
    )]
    NoArchive {
        /// Where it is.
        written: String,
    },
    /// An entry that a build context may not have.
    #[error("`{written}`: its entry `{path}` is refused: {reason}")]
    Entry {
        /// Where the context is.
        written: String,
        /// The entry.
        path: kigumi_layer::ImagePath,
        /// Why.
        reason: &'static str,
    },
    /// More than any build context has.
    #[error(
        "`{written}` is refused: it has more than {limit}; was it meant to be a build context?"
    )]
    TooLarge {
        /// Where the context is.
        written: String,
        /// How much of what.
        limit: String,
    },
    /// No build context at all.
    #[error("no build context given")]
    NoContext,
    /// An ignore file that cannot be read.
    #[error("read `{}`", path.display())]
    ReadIgnoreFile {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// An ignore file with a malformed pattern.
    #[error("ignore file `{}`", path.display())]
    IgnoreFile {
        /// Which file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: IgnoreError,
    },
    /// The directory of a build context cannot be listed.
    #[error("list the build context")]
    List {
        /// What is wrong with it.
        #[source]
        source: kigumi_rootfs::Error,
    },
    /// The head of a file cannot be read, so that it is not known whether it is an archive.
    #[error("read `{written}`")]
    ReadHead {
        /// The source as written.
        written: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// An archive that needs more memory to be read than one may ask for.
    #[error("archive `{written}` needs too much memory to be decompressed")]
    Memory {
        /// The source as written.
        written: String,
        /// What the decompressor said.
        #[source]
        source: io::Error,
    },
    /// An archive that starts well and is damaged, hostile or of an unsupported kind.
    #[error("archive `{written}`")]
    Archive {
        /// The source as written.
        written: String,
        /// What is wrong with it.
        #[source]
        source: kigumi_layer::Error,
    },
    /// The content of a file in an archive cannot be taken over: the archive is damaged, or there is no room.
    #[error("unpack a file of archive `{written}`")]
    Spool {
        /// The source as written.
        written: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}
