use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use kigumi_layer::ImagePath;

use crate::Error;

/// A directory of which only what lies inside can be reached.
#[derive(Debug)]
pub struct RootDir {
    fd: OwnedFd,
}

impl RootDir {
    /// Opens a directory of the host for reading.
    ///
    /// # Errors
    /// [`Error::OpenHost`].
    pub fn open(_path: &Path) -> Result<Self, Error> {
        todo!()
    }

    /// Opens a regular file for reading, without following links and without changing its access time.
    ///
    /// # Errors
    /// [`Error::File`]; anything but a regular file is refused before it is opened, so that a fifo cannot block.
    pub fn open_content(&self, _path: &ImagePath) -> Result<File, Error> {
        todo!()
    }
}

impl AsFd for RootDir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
