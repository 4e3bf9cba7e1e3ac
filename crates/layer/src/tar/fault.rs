use crate::PathError;
use crate::limits::{
    DEVICE_MAJOR_MAX, DEVICE_MINOR_MAX, EXTENSION_MAX, PATH_MAX, XATTR_NAME_MAX, XATTR_VALUE_MAX,
};

/// What is wrong with an entry of a tar.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TarFault {
    /// The header's checksum is not that of its bytes: this is no tar, or reading it went out of step.
    #[error("no tar header here (its checksum does not match)")]
    Checksum,
    /// A field that shall hold a number holds something else, or one that is too large.
    #[error("`{field}` is not a number of this field")]
    Number {
        /// Which field.
        field: &'static str,
    },
    /// One zero block ends nothing: two do.
    #[error("a single block of zeros is followed by something else")]
    LoneZeroBlock,
    /// The stream ends too early.
    #[error("the stream ends inside {inside}")]
    Truncated {
        /// In the middle of what.
        inside: &'static str,
    },
    /// A PAX or GNU extension that is too long.
    #[error("extension header of {bytes} bytes: {EXTENSION_MAX} are the most")]
    ExtensionTooLong {
        /// How long it claims to be.
        bytes: u64,
    },
    /// A PAX record that is not `length key=value`.
    #[error("malformed PAX record: {problem}")]
    Pax {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// An extension header without an entry to extend.
    #[error("extension header at the end of the archive")]
    DanglingExtension,
    /// An entry without a name.
    #[error("the entry has no name")]
    EmptyName,
    /// A name that is not a path inside an image.
    #[error("the name cannot be used")]
    Name {
        /// Why.
        #[source]
        source: PathError,
    },
    /// A name, or the target of a hard link, that begins at the root, where only relative ones may be.
    #[error("the name is absolute; archive the files with relative names: tar -C DIRECTORY -c .")]
    Absolute,
    /// A hard link whose target is not a path inside an image.
    #[error("the target of the hard link cannot be used")]
    LinkTarget {
        /// Why.
        #[source]
        source: PathError,
    },
    /// A hard link to the root or to nothing.
    #[error("the hard link has no target")]
    EmptyLinkTarget,
    /// A symbolic link to nothing, or to more than the kernel stores.
    #[error("target of a symbolic link of {bytes} bytes: it may have 1 to {PATH_MAX}")]
    SymlinkTarget {
        /// Its length.
        bytes: usize,
    },
    /// A whiteout that would delete its own directory or a directory above, or an entry below a whiteout.
    #[error("the name starts with `.wh.` but is no whiteout")]
    Whiteout,
    /// A file type nobody knows, or one that is not supported.
    #[error("entries of type {} are not supported", typeflag.escape_ascii())]
    UnknownType {
        /// The type as the header has it.
        typeflag: u8,
    },
    /// A sparse file.
    #[error("sparse files ({format}) are not supported")]
    Sparse {
        /// In which of their four forms.
        format: &'static str,
    },
    /// A user or group id that is none.
    #[error("{field} {value} is not an id that a file can have")]
    Owner {
        /// Which of both.
        field: &'static str,
        /// What the entry says.
        value: i64,
    },
    /// A device number beyond those of Linux.
    #[error("device number {major},{minor}: {DEVICE_MAJOR_MAX},{DEVICE_MINOR_MAX} is the largest")]
    DeviceNumber {
        /// What the entry says.
        major: i64,
        /// What the entry says.
        minor: i64,
    },
    /// An extended attribute whose name Linux would not take, or which a PAX record cannot hold.
    #[error(
        "extended attribute `{name}`: a name has 1 to {XATTR_NAME_MAX} bytes and neither `=` nor NUL"
    )]
    XattrName {
        /// The name, with unprintable bytes escaped.
        name: String,
    },
    /// An extended attribute that is too long.
    #[error("extended attribute `{name}` of {bytes} bytes: {XATTR_VALUE_MAX} are the most")]
    XattrValue {
        /// The name, with unprintable bytes escaped.
        name: String,
        /// How long its value is.
        bytes: usize,
    },
    /// The root: a layer has no entry for it (T-SNAP-06).
    #[error("a layer has no entry for the root")]
    Root,
}
