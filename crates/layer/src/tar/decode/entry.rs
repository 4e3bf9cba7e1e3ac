use kigumi_oci::Digest;

use super::super::fault::TarFault;
use super::super::header::{Header, typeflag};
use super::{Dialect, Member, block_number};
use crate::limits::{DEVICE_MAJOR_MAX, DEVICE_MINOR_MAX, PATH_MAX};
use crate::whiteout::{self, Meaning};
use crate::{
    Change, ContentIdentity, Device, Entry, FileContent, ImagePath, Metadata, Mode, Origin, Xattrs,
};

/// Identities that a reader makes up have this bit, so that they differ from those that others count up from zero.
const READER_BIT: u64 = 1 << 63;

/// Where everything in a layer has ended, so that the number of a block has forty bits.
pub(crate) const OFFSET_MAX: u64 = 1 << 49;

/// The size that a header states.
pub(super) fn size(stated: i64) -> Result<u64, TarFault> {
    u64::try_from(stated).map_err(|_| TarFault::Number { field: "size" })
}

/// Whether blocks of content follow the header. Those of other types have none, whatever size they state.
pub(super) fn has_content(kind: u8) -> bool {
    !matches!(
        kind,
        typeflag::HARD_LINK
            | typeflag::SYMLINK
            | typeflag::CHAR_DEVICE
            | typeflag::BLOCK_DEVICE
            | typeflag::DIRECTORY
            | typeflag::FIFO
    )
}

/// What an entry does to a tree; `None` for what is to be skipped. Its content starts at `offset`.
pub(super) fn change(
    member: &Member,
    dialect: Dialect,
    blob: u32,
    offset: u64,
) -> Result<Option<Change>, TarFault> {
    let header = &member.header;
    if header.name.is_empty() {
        return Err(TarFault::EmptyName);
    }
    let meaning = match dialect {
        Dialect::Layer => whiteout::interpret(&header.name),
        Dialect::Archive => ImagePath::clamp(&header.name).map(Meaning::Ordinary),
        Dialect::Context if header.name.starts_with(b"/") => return Err(TarFault::Absolute),
        Dialect::Context => ImagePath::parse(&header.name).map(Meaning::Ordinary),
    };
    let path = match meaning.map_err(|source| TarFault::Name { source })? {
        Meaning::Ordinary(path) => path,
        Meaning::Whiteout(change) => return Ok(Some(change)),
        Meaning::Skipped => return Ok(None),
        Meaning::Illegal => return Err(TarFault::Whiteout),
    };
    let entry = match header.typeflag {
        typeflag::HARD_LINK => {
            let target = link_target(&header.link, dialect)?;
            return Ok(Some(Change::Link { path, target }));
        }
        typeflag::FILE | typeflag::FILE_V7 | typeflag::CONTIGUOUS => {
            Entry::File(content(member.size, blob, offset))
        }
        typeflag::SYMLINK => symlink(&header.link)?,
        typeflag::CHAR_DEVICE => Entry::CharDevice(device(header)?),
        typeflag::BLOCK_DEVICE => Entry::BlockDevice(device(header)?),
        typeflag::DIRECTORY => Entry::Directory,
        typeflag::FIFO => Entry::Fifo,
        typeflag::GNU_SPARSE => return Err(TarFault::Sparse { format: "GNU" }),
        typeflag => return Err(TarFault::UnknownType { typeflag }),
    };
    let metadata = metadata(member, &entry)?;
    Ok(Some(Change::Put {
        path,
        entry,
        metadata,
    }))
}

/// The content of a file that starts at `offset` of the layer `blob`.
pub(crate) fn content(size: u64, blob: u32, offset: u64) -> FileContent {
    let identity = if size == 0 {
        ContentIdentity::Sha256(Digest::of(b""))
    } else {
        // No two contents of a blob start in one block. 2^40 blocks are more than any blob has.
        ContentIdentity::Unique(READER_BIT | u64::from(blob) << 40 | block_number(offset))
    };
    FileContent {
        size,
        identity,
        origin: Origin::Blob { blob, offset },
    }
}

/// The text of a link is data: it may lead anywhere (T-UNPACK-03).
fn symlink(target: &[u8]) -> Result<Entry, TarFault> {
    if target.is_empty() || target.len() > PATH_MAX {
        return Err(TarFault::SymlinkTarget {
            bytes: target.len(),
        });
    }
    Ok(Entry::Symlink(target.into()))
}

fn link_target(target: &[u8], dialect: Dialect) -> Result<ImagePath, TarFault> {
    let target = match dialect {
        Dialect::Context if target.starts_with(b"/") => return Err(TarFault::Absolute),
        Dialect::Layer | Dialect::Context => ImagePath::parse(target),
        Dialect::Archive => ImagePath::clamp(target),
    }
    .map_err(|source| TarFault::LinkTarget { source })?;
    if target.is_root() {
        return Err(TarFault::EmptyLinkTarget);
    }
    Ok(target)
}

fn device(header: &Header) -> Result<Device, TarFault> {
    let number = |value: i64, max: u32| u32::try_from(value).ok().filter(|value| *value <= max);
    let major = number(header.device_major, DEVICE_MAJOR_MAX);
    let minor = number(header.device_minor, DEVICE_MINOR_MAX);
    match (major, minor) {
        (Some(major), Some(minor)) => Ok(Device { major, minor }),
        _ => Err(TarFault::DeviceNumber {
            major: header.device_major,
            minor: header.device_minor,
        }),
    }
}

fn metadata(member: &Member, entry: &Entry) -> Result<Metadata, TarFault> {
    let header = &member.header;
    let mut xattrs = Xattrs::default();
    for (name, value) in member.records.xattrs()? {
        xattrs.insert(name, value);
    }
    Ok(Metadata {
        mode: match entry {
            // Linux has no other for a link; what the header says would only look like a change later.
            Entry::Symlink(_) => Mode::SYMLINK,
            Entry::Directory
            | Entry::File(_)
            | Entry::CharDevice(_)
            | Entry::BlockDevice(_)
            | Entry::Fifo => mode(header.mode),
        },
        uid: owner("uid", header.uid)?,
        gid: owner("gid", header.gid)?,
        mtime: member.mtime,
        xattrs,
    })
}

/// Writers put the file type above the twelve bits.
fn mode(stated: i64) -> Mode {
    #[expect(clippy::cast_sign_loss, reason = "only twelve bits are left")]
    Mode::new((stated & 0o7777) as u32)
}

/// An id of 2^32 - 1 means "do not change" to chown, so no file has it.
fn owner(field: &'static str, value: i64) -> Result<u32, TarFault> {
    u32::try_from(value)
        .ok()
        .filter(|id| *id != u32::MAX)
        .ok_or(TarFault::Owner { field, value })
}
