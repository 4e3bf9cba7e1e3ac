#[cfg(test)]
mod tests;

use std::borrow::Borrow;
use std::collections::{HashMap, HashSet};
use std::io::{self, Read, Write};

use super::fault::TarFault;
use super::header::{
    BLOCK, Block, DEVICE_MAJOR, DEVICE_MINOR, Field, GID, LINK, MAGIC, MODE, MTIME, NAME, SIZE,
    TYPEFLAG, UID, fits, padding, typeflag,
};
use super::pax::{XATTR_PREFIX, check_xattr, print_time, push_record};
use crate::limits::{DEVICE_MAJOR_MAX, DEVICE_MINOR_MAX, EXTENSION_MAX, PATH_MAX};
use crate::{Change, Device, Entry, Error, ImagePath, Metadata, Mode, Timestamp, whiteout};

/// How much content is copied at once.
const BUFFER: usize = 64 * 1024;
/// Longest name that a header holds without the help of a PAX record. The ustar prefix field is not used: most entries have a PAX
/// record for their time anyway.
const NAME_LENGTH: usize = 100;
/// What PAX headers call themselves. Nobody who understands them looks at it.
const PAX_NAME: &[u8] = b"PaxHeader";

/// Writes changes as a tar whose bytes depend on nothing but the changes and the contents.
///
/// | field | is |
/// |---|---|
/// | name | without a leading slash, that of a directory with a trailing one (T-SNAP-01); in a PAX record if long or not ASCII |
/// | mtime | with nanoseconds in a PAX record (T-SNAP-02), clamped if asked for |
/// | uname, gname | empty (T-SNAP-03): names belong to whoever reads |
/// | target of a hard link | relative to the root of the tar (T-SNAP-04), written earlier in it (T-SNAP-23) |
/// | metadata of a hard link | that of its target: readers apply it to the inode both share |
/// | whiteouts | empty files 0000 0:0 of 1970, by name only |
/// | the root | has no entry (T-SNAP-06) |
/// | extended attributes | `SCHILY.xattr.` records, all of them (T-SNAP-19) |
#[derive(Debug)]
pub struct LayerEncoder<W> {
    sink: W,
    clamp: Option<Timestamp>,
    /// What was put so far and may become the target of a link.
    targets: HashMap<ImagePath, Metadata>,
    /// What links will point to, if that is known beforehand.
    wanted: Option<HashSet<ImagePath>>,
    buffer: Box<[u8]>,
}

/// How well an entry could be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[must_use = "a file that shrank while it was read is worth a warning"]
pub struct Written {
    /// How many bytes the content lacked when its end came; zeros stand for them (T-PROC-05).
    pub missing: u64,
}

/// A header with what its fields have no room for.
struct Draft {
    block: Block,
    records: Vec<(Vec<u8>, Vec<u8>)>,
}

impl<W: Write> LayerEncoder<W> {
    /// Writes to `sink`, many small pieces as well as large ones.
    pub fn new(sink: W) -> Self {
        Self {
            sink,
            clamp: None,
            targets: HashMap::new(),
            wanted: None,
            buffer: vec![0; BUFFER].into(),
        }
    }

    /// Replaces times after `latest` by it (`SOURCE_DATE_EPOCH` with rewrite-timestamp). `None` leaves all as they are.
    #[must_use]
    pub fn clamp_times(mut self, latest: Option<Timestamp>) -> Self {
        self.clamp = latest;
        self
    }

    /// Tells beforehand all changes that will be written. Without it every file is kept in mind as the possible target of a link.
    #[must_use]
    pub fn expect_changes(mut self, changes: impl IntoIterator<Item: Borrow<Change>>) -> Self {
        let targets = changes
            .into_iter()
            .filter_map(|change| match change.borrow() {
                Change::Link { target, .. } => Some(target.clone()),
                Change::Put { .. } | Change::Delete { .. } | Change::ClearDir { .. } => None,
            });
        self.wanted = Some(targets.collect());
        self
    }

    /// Writes one change. Of `content`, which only regular files have, as many bytes are taken as the change says: what is longer is
    /// cut, what is shorter is filled with zeros and reported, because a file that changes while it is read does not end a build.
    ///
    /// # Errors
    /// [`Error::Unrepresentable`] for what a layer cannot hold (nothing has been written then), [`Error::ReadContent`] and
    /// [`Error::WriteTar`].
    pub fn entry(&mut self, change: &Change, content: &mut dyn Read) -> Result<Written, Error> {
        let path = change.path();
        let fail = |fault| Error::Unrepresentable {
            path: path.clone(),
            fault,
        };
        if whiteout::is_reserved(path) {
            return Err(fail(TarFault::Whiteout));
        }
        let (draft, size) = match change {
            Change::Put {
                entry, metadata, ..
            } => self.put(path, entry, metadata).map_err(fail)?,
            Change::Link { target, .. } => (self.link(path, target)?, 0),
            Change::Delete { path } => {
                let name = whiteout::delete_name(path).ok_or(TarFault::Root);
                (Draft::whiteout(&name.map_err(fail)?), 0)
            }
            Change::ClearDir { path } => (Draft::whiteout(&whiteout::clear_name(path)), 0),
        };
        if draft.records_length() > EXTENSION_MAX {
            return Err(fail(TarFault::ExtensionTooLong {
                bytes: draft.records_length(),
            }));
        }
        draft
            .write(&mut self.sink)
            .map_err(|source| Error::WriteTar {
                path: path.clone(),
                source,
            })?;
        self.content(path, size, content)
    }

    /// Writes a change that has no content of its own, or whose content is not at hand because it is empty.
    ///
    /// # Errors
    /// As [`LayerEncoder::entry`].
    pub fn entry_without_content(&mut self, change: &Change) -> Result<Written, Error> {
        self.entry(change, &mut io::empty())
    }

    /// Writes the end of the archive and gives back the sink.
    ///
    /// # Errors
    /// [`Error::FinishLayer`].
    pub fn finish(mut self) -> Result<W, Error> {
        let end = [0; 2 * BLOCK];
        self.sink
            .write_all(&end)
            .map_err(|source| Error::FinishLayer { source })?;
        Ok(self.sink)
    }

    fn put(
        &mut self,
        path: &ImagePath,
        entry: &Entry,
        metadata: &Metadata,
    ) -> Result<(Draft, u64), TarFault> {
        if path.is_root() {
            return Err(TarFault::Root);
        }
        let mut name = path.as_relative().to_vec();
        let mut draft = Draft::new();
        let mut size = 0;
        let kind = match entry {
            Entry::Directory => {
                name.push(b'/');
                typeflag::DIRECTORY
            }
            Entry::File(content) => {
                size = content.size;
                typeflag::FILE
            }
            Entry::Symlink(target) => {
                if target.is_empty() || target.len() > PATH_MAX {
                    let bytes = target.len();
                    return Err(TarFault::SymlinkTarget { bytes });
                }
                draft.name(&LINK, b"linkpath", target);
                typeflag::SYMLINK
            }
            Entry::CharDevice(device) => draft.device(typeflag::CHAR_DEVICE, *device)?,
            Entry::BlockDevice(device) => draft.device(typeflag::BLOCK_DEVICE, *device)?,
            Entry::Fifo => typeflag::FIFO,
        };
        draft.block.set(&TYPEFLAG, &[kind]);
        draft.name(&NAME, b"path", &name);
        draft.number(&SIZE, b"size", size);
        let metadata = self.effective(entry, metadata);
        draft.metadata(&metadata)?;
        if *entry != Entry::Directory && self.wanted.as_ref().is_none_or(|set| set.contains(path)) {
            self.targets.insert(path.clone(), metadata);
        }
        Ok((draft, size))
    }

    fn effective(&self, entry: &Entry, metadata: &Metadata) -> Metadata {
        let mut metadata = metadata.clone();
        if let Some(latest) = self.clamp {
            metadata.mtime = metadata.mtime.min(latest);
        }
        if matches!(entry, Entry::Symlink(_)) {
            metadata.mode = Mode::SYMLINK;
        }
        metadata
    }

    fn link(&self, path: &ImagePath, target: &ImagePath) -> Result<Draft, Error> {
        let metadata = self
            .targets
            .get(target)
            .ok_or_else(|| Error::LinkTargetMissing {
                path: path.clone(),
                target: target.clone(),
            })?;
        let mut draft = Draft::new();
        draft.block.set(&TYPEFLAG, &[typeflag::HARD_LINK]);
        draft.name(&NAME, b"path", path.as_relative());
        draft.name(&LINK, b"linkpath", target.as_relative());
        draft.number(&SIZE, b"size", 0);
        draft
            .metadata(metadata)
            .map_err(|fault| Error::Unrepresentable {
                path: path.clone(),
                fault,
            })?;
        Ok(draft)
    }

    fn content(
        &mut self,
        path: &ImagePath,
        size: u64,
        content: &mut dyn Read,
    ) -> Result<Written, Error> {
        let mut left = size;
        while left > 0 {
            let wanted = usize::try_from(left).map_or(BUFFER, |left| left.min(BUFFER));
            let space = self.buffer.get_mut(..wanted).unwrap_or_default();
            let count = match content.read(space) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => {
                    return Err(Error::ReadContent {
                        path: path.clone(),
                        source,
                    });
                }
            };
            let filled = space.get(..count).unwrap_or_default();
            self.sink
                .write_all(filled)
                .map_err(|source| Error::WriteTar {
                    path: path.clone(),
                    source,
                })?;
            left -= filled.len() as u64;
        }
        self.zeros(left + padding(size))
            .map_err(|source| Error::WriteTar {
                path: path.clone(),
                source,
            })?;
        Ok(Written { missing: left })
    }

    fn zeros(&mut self, count: u64) -> io::Result<()> {
        io::copy(&mut io::repeat(0).take(count), &mut self.sink).map(drop)
    }
}

impl Draft {
    fn new() -> Self {
        let mut block = Block::zeros();
        block.set(&MAGIC, b"ustar\x0000");
        block.set_number(&DEVICE_MAJOR, 0);
        block.set_number(&DEVICE_MINOR, 0);
        Self {
            block,
            records: Vec::new(),
        }
    }

    fn whiteout(name: &[u8]) -> Self {
        let mut draft = Self::new();
        draft.block.set(&TYPEFLAG, &[typeflag::FILE]);
        draft.name(&NAME, b"path", name);
        for field in [&MODE, &UID, &GID, &SIZE, &MTIME] {
            draft.block.set_number(field, 0);
        }
        draft
    }

    fn name(&mut self, field: &Field, key: &[u8], name: &[u8]) {
        self.block.set(field, name);
        if name.len() > NAME_LENGTH || !name.is_ascii() {
            self.records.push((key.to_vec(), name.to_vec()));
        }
    }

    fn number(&mut self, field: &Field, key: &[u8], value: u64) {
        self.block.set_number(field, value);
        if !fits(field, value) {
            self.records
                .push((key.to_vec(), value.to_string().into_bytes()));
        }
    }

    fn device(&mut self, kind: u8, device: Device) -> Result<u8, TarFault> {
        if device.major > DEVICE_MAJOR_MAX || device.minor > DEVICE_MINOR_MAX {
            return Err(TarFault::DeviceNumber {
                major: device.major.into(),
                minor: device.minor.into(),
            });
        }
        self.block.set_number(&DEVICE_MAJOR, device.major.into());
        self.block.set_number(&DEVICE_MINOR, device.minor.into());
        Ok(kind)
    }

    fn metadata(&mut self, metadata: &Metadata) -> Result<(), TarFault> {
        self.block.set_number(&MODE, metadata.mode.bits().into());
        self.number(&UID, b"uid", metadata.uid.into());
        self.number(&GID, b"gid", metadata.gid.into());
        let mtime = metadata.mtime;
        let whole = u64::try_from(mtime.seconds).ok();
        self.block.set_number(&MTIME, whole.unwrap_or(0));
        if mtime.nanoseconds != 0 || whole.is_none_or(|seconds| !fits(&MTIME, seconds)) {
            let text = print_time(mtime).into_bytes();
            self.records.push((b"mtime".to_vec(), text));
        }
        for (name, value) in metadata.xattrs.iter() {
            check_xattr(name, value)?;
            let key = [XATTR_PREFIX, name].concat();
            self.records.push((key, value.to_vec()));
        }
        Ok(())
    }

    /// At most how long the body of the PAX header will be.
    fn records_length(&self) -> u64 {
        let longest =
            |(key, value): &(Vec<u8>, Vec<u8>)| key.len() + value.len() + "1000000 =\n".len();
        self.records.iter().map(longest).sum::<usize>() as u64
    }

    fn write(mut self, sink: &mut impl Write) -> io::Result<()> {
        if !self.records.is_empty() {
            // Go sorts them, too.
            self.records.sort();
            let mut body = Vec::new();
            for (key, value) in &self.records {
                push_record(&mut body, key, value);
            }
            sink.write_all(&pax_header(body.len() as u64).0)?;
            let padded = body.len() + usize::try_from(padding(body.len() as u64)).unwrap_or(0);
            body.resize(padded, 0);
            sink.write_all(&body)?;
        }
        self.block.seal();
        sink.write_all(&self.block.0)
    }
}

fn pax_header(size: u64) -> Block {
    let mut header = Draft::whiteout(PAX_NAME);
    header.block.set(&TYPEFLAG, &[typeflag::PAX]);
    header.block.set_number(&MODE, 0o644);
    header.block.set_number(&SIZE, size);
    header.block.seal();
    header.block
}
