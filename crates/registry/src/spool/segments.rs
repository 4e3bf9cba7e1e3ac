use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::Error;

/// How long the first files are, in bytes.
const FIRST: u64 = 8 * 1024 * 1024;
/// What part of all before it a later file is: then there are few, however much there is, and a part of it can go.
const PART: u64 = 4;

/// Bytes in files without names, one behind the other: so the beginning can be dropped, which in one file would be to write it to the disk first (what makes
/// holes does that).
#[derive(Debug)]
pub(super) struct Segments {
    directory: PathBuf,
    /// In order, without gaps.
    list: Mutex<Vec<Segment>>,
}

#[derive(Debug)]
struct Segment {
    start: u64,
    end: u64,
    /// None when it was dropped.
    file: Option<Arc<File>>,
}

/// Where some bytes are.
struct Place {
    file: Arc<File>,
    at: u64,
    /// How many more there may be from there on.
    room: usize,
}

impl Segments {
    /// Files in this directory; the first is made at once.
    pub(super) fn new(directory: &Path) -> io::Result<Self> {
        let first = Segment {
            start: 0,
            end: FIRST,
            file: Some(Arc::new(tempfile::tempfile_in(directory)?)),
        };
        Ok(Self {
            directory: directory.to_owned(),
            list: Mutex::new(vec![first]),
        })
    }

    pub(super) fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let Some(place) = find(&self.lock(), offset)? else {
            return Ok(0);
        };
        let length = buffer.len().min(place.room);
        let buffer = buffer.get_mut(..length).unwrap_or_default();
        place.file.read_at(buffer, place.at)
    }

    /// Writes behind what was written.
    pub(super) fn write_at(&self, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            let place = self.place(offset)?;
            let (here, rest) = bytes.split_at(bytes.len().min(place.room));
            place.file.write_all_at(here, place.at)?;
            offset += here.len() as u64;
            bytes = rest;
        }
        Ok(())
    }

    /// Drops the files that end before `offset`.
    pub(super) fn drop_before(&self, offset: u64) {
        let mut list = self.lock();
        let done = list.iter_mut().take_while(|segment| segment.end <= offset);
        let files: Vec<_> = done.filter_map(|segment| segment.file.take()).collect();
        // To free a large file takes time, and others want the list.
        drop(list);
        drop(files);
    }

    fn place(&self, offset: u64) -> io::Result<Place> {
        let mut list = self.lock();
        if let Some(place) = find(&list, offset)? {
            return Ok(place);
        }
        let start = list.last().map_or(0, |last| last.end);
        let file = Arc::new(tempfile::tempfile_in(&self.directory)?);
        list.push(Segment {
            start,
            end: start + FIRST.max(start / PART),
            file: Some(file),
        });
        find(&list, offset)?.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Segment>> {
        // Every change of the list leaves it whole.
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `None` beyond the last file.
fn find(list: &[Segment], offset: u64) -> io::Result<Option<Place>> {
    let index = list.partition_point(|segment| segment.end <= offset);
    let Some(segment) = list.get(index) else {
        return Ok(None);
    };
    let file = segment.file.as_ref();
    let file = file.ok_or_else(|| io::Error::other(Error::SpoolPassed))?;
    Ok(Some(Place {
        file: Arc::clone(file),
        at: offset - segment.start,
        room: usize::try_from(segment.end - offset).unwrap_or(usize::MAX),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_as_they_were_written_across_files_in_any_pieces() {
        let directory = tempfile::tempdir().unwrap();
        let segments = Segments::new(directory.path()).unwrap();
        let length = 3 * usize::try_from(FIRST).unwrap() + 5;
        let bytes: Vec<u8> = (0..=250).cycle().take(length).collect();
        let (mut offset, mut pieces) = (0, [1, 70_001, 9_999_999].iter().cycle());
        while offset < length {
            let next = length.min(offset + pieces.next().unwrap());
            segments
                .write_at(&bytes[offset..next], offset as u64)
                .unwrap();
            offset = next;
        }
        let (mut out, mut buffer) = (Vec::new(), vec![0; 300_007]);
        loop {
            match segments.read_at(&mut buffer, out.len() as u64).unwrap() {
                0 => break,
                count => out.extend_from_slice(&buffer[..count]),
            }
        }
        assert!(out == bytes);
        assert_eq!(segments.lock().len(), 4);
    }

    #[test]
    fn what_was_dropped_is_an_error_and_the_rest_is_there() {
        let directory = tempfile::tempdir().unwrap();
        let segments = Segments::new(directory.path()).unwrap();
        let first = usize::try_from(FIRST).unwrap();
        segments.write_at(&vec![7; 2 * first], 0).unwrap();
        segments.drop_before(FIRST - 1);
        assert_eq!(segments.read_at(&mut [0; 9], 0).unwrap(), 9);
        segments.drop_before(FIRST);
        segments.read_at(&mut [0; 9], FIRST - 1).unwrap_err();
        assert_eq!(segments.read_at(&mut [0; 9], FIRST).unwrap(), 9);
    }

    /// Each is a descriptor, of which a process often has a thousand.
    #[test]
    fn a_hundred_gigabytes_are_in_few_files() {
        let (mut end, mut files) = (0, 0);
        while end < 100 << 30 {
            end += FIRST.max(end / PART);
            files += 1;
        }
        assert!(files < 50, "{files}");
    }
}
