use std::io;

use kigumi_oci::Compression;

use crate::{ImagePath, TarFault};

/// What a tree cannot do, and what goes wrong with the tar form of a layer.
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
    /// Reading a tar failed.
    #[error("read the tar at byte {offset}")]
    ReadTar {
        /// How far it was read.
        offset: u64,
        /// What the reader said.
        #[source]
        source: io::Error,
    },
    /// An entry of a tar is malformed, hostile or of a kind that is not supported.
    #[error("tar entry before byte {offset}")]
    Entry {
        /// How far the tar was read when it turned out.
        offset: u64,
        /// What is wrong with it.
        #[source]
        fault: TarFault,
    },
    /// Something that a layer cannot hold.
    #[error("write `{path}` to a layer")]
    Unrepresentable {
        /// What should be written.
        path: ImagePath,
        /// Why it cannot.
        #[source]
        fault: TarFault,
    },
    /// Reading a file that shall enter a layer failed.
    #[error("read `{path}` for a layer")]
    ReadContent {
        /// Which file.
        path: ImagePath,
        /// What the reader said.
        #[source]
        source: io::Error,
    },
    /// Writing an entry failed.
    #[error("write `{path}` to a layer")]
    WriteTar {
        /// Which entry.
        path: ImagePath,
        /// What the writer said.
        #[source]
        source: io::Error,
    },
    /// Writing the end of a layer failed.
    #[error("finish a layer")]
    FinishLayer {
        /// What the writer said.
        #[source]
        source: io::Error,
    },
    /// A level that this kind of compression does not have.
    #[error("compression level {level}: {compression:?} has {least} to {most}")]
    CompressionLevel {
        /// The kind.
        compression: Compression,
        /// What was asked for.
        level: u32,
        /// The lowest there is.
        least: u32,
        /// The highest there is.
        most: u32,
    },
    /// Setting up a compressor or writing its first bytes failed.
    #[error("start to compress a layer")]
    StartCompression {
        /// What it said.
        #[source]
        source: io::Error,
    },
    /// Writing an outline failed, or it became too large.
    #[error("write the outline of a layer")]
    WriteOutline {
        /// What the writer said.
        #[source]
        source: io::Error,
    },
    /// Reading an outline failed, or it ended too early.
    #[error("read the outline of a layer")]
    ReadOutline {
        /// What the reader said.
        #[source]
        source: io::Error,
    },
    /// An outline with a change that no layer has.
    #[error("outline of a layer: the change after {change} is wrong: {what}")]
    Outline {
        /// How many changes were right.
        change: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// Compressed data of a kind, or with a beginning, that cannot be read.
    #[error("decompress {format}")]
    Decompress {
        /// The kind.
        format: &'static str,
        /// What is wrong.
        #[source]
        source: io::Error,
    },
}
