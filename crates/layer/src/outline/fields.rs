//! The fields of a change, one after the other.

use crate::limits::{
    DEVICE_MAJOR_MAX, DEVICE_MINOR_MAX, PATH_MAX, XATTR_NAME_MAX, XATTR_VALUE_MAX,
};
use crate::{Device, ImagePath, Metadata, Mode, Timestamp, Xattrs};

/// Fields on their way out.
#[derive(Debug, Default)]
pub(super) struct Fields(Vec<u8>);

impl Fields {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    pub(super) fn number(&mut self, number: u64) {
        self.0.extend(number.to_le_bytes());
    }

    fn small(&mut self, number: u32) {
        self.0.extend(number.to_le_bytes());
    }

    /// With the length in front. What is longer than four bytes can say does not fit into a change anyway.
    pub(super) fn text(&mut self, bytes: &[u8]) {
        self.small(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        self.0.extend(bytes);
    }

    pub(super) fn device(&mut self, device: Device) {
        self.small(device.major);
        self.small(device.minor);
    }

    pub(super) fn metadata(&mut self, metadata: &Metadata) {
        let Metadata {
            mode,
            uid,
            gid,
            mtime,
            xattrs,
        } = metadata;
        self.small(mode.bits());
        self.small(*uid);
        self.small(*gid);
        self.0.extend({ mtime.seconds }.to_le_bytes());
        self.small(mtime.nanoseconds);
        self.small(u32::try_from(xattrs.iter().count()).unwrap_or(u32::MAX));
        for (name, value) in xattrs.iter() {
            self.text(name);
            self.text(value);
        }
    }
}

/// What is wrong with a change.
pub(super) type Wrong = &'static str;

/// Fields that are read. Nothing is believed: every length is compared with what is there.
#[derive(Debug)]
pub(super) struct Parts<'a>(pub(super) &'a [u8]);

impl<'a> Parts<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Wrong> {
        let (head, rest) = self
            .0
            .split_at_checked(length)
            .ok_or("it ends in the middle")?;
        self.0 = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Wrong> {
        let bytes = self.take(N)?;
        bytes.try_into().map_err(|_| "it ends in the middle")
    }

    pub(super) fn byte(&mut self) -> Result<u8, Wrong> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn number(&mut self) -> Result<u64, Wrong> {
        self.array().map(u64::from_le_bytes)
    }

    fn small(&mut self) -> Result<u32, Wrong> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn text(&mut self, longest: usize) -> Result<&'a [u8], Wrong> {
        let length = usize::try_from(self.small()?).map_err(|_| "a length is too long")?;
        if length > longest {
            return Err("a length is too long");
        }
        self.take(length)
    }

    /// A path as [`ImagePath`] has it, and in no other spelling.
    pub(super) fn path(&mut self) -> Result<ImagePath, Wrong> {
        let bytes = self.text(PATH_MAX)?;
        let path = ImagePath::parse(bytes).map_err(|_| "a path is none")?;
        if path.as_relative() == bytes {
            Ok(path)
        } else {
            Err("a path has another spelling")
        }
    }

    /// A path that is not the root's.
    pub(super) fn path_below(&mut self) -> Result<ImagePath, Wrong> {
        let path = self.path()?;
        if path.is_root() {
            return Err("it is about the root");
        }
        Ok(path)
    }

    pub(super) fn device(&mut self) -> Result<Device, Wrong> {
        let (major, minor) = (self.small()?, self.small()?);
        if major > DEVICE_MAJOR_MAX || minor > DEVICE_MINOR_MAX {
            return Err("there is no such device");
        }
        Ok(Device { major, minor })
    }

    pub(super) fn metadata(&mut self) -> Result<Metadata, Wrong> {
        let bits = self.small()?;
        let mode = Mode::new(bits);
        let (uid, gid) = (self.small()?, self.small()?);
        let seconds = self.array().map(i64::from_le_bytes)?;
        let nanoseconds = self.small()?;
        if mode.bits() != bits || nanoseconds >= 1_000_000_000 {
            return Err("a number is too large");
        }
        // It means "do not change" to chown, so no file has it.
        if uid == u32::MAX || gid == u32::MAX {
            return Err("there is no such owner");
        }
        Ok(Metadata {
            mode,
            uid,
            gid,
            mtime: Timestamp {
                seconds,
                nanoseconds,
            },
            xattrs: self.xattrs()?,
        })
    }

    fn xattrs(&mut self) -> Result<Xattrs, Wrong> {
        let mut xattrs = Xattrs::default();
        let mut last: &[u8] = &[];
        for _ in 0..self.small()? {
            let name = self.text(XATTR_NAME_MAX)?;
            // The first one is not empty either.
            if name <= last {
                return Err("attributes are not in order");
            }
            xattrs.insert(name, self.text(XATTR_VALUE_MAX)?);
            last = name;
        }
        Ok(xattrs)
    }

    pub(super) fn end(&self) -> Result<(), Wrong> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err("something follows it")
        }
    }
}
