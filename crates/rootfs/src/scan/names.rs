use std::ops::Range;
use std::os::fd::AsFd;

use rustix::io::Result;

use crate::disk::{self, ListingBuffer};

/// How many names there is room for after those of a directory were dropped.
const KEPT: usize = 1024;
/// How long those names are taken to be.
const LENGTH: usize = 32;

/// The names in a directory, which may be a hundred thousand: one after the other, and eight bytes for each. Used for one directory after the other.
#[derive(Default)]
pub(crate) struct Names {
    bytes: Vec<u8>,
    /// In order of the names.
    places: Vec<Range<u32>>,
    buffer: ListingBuffer,
}

impl Names {
    /// Reads the names of a directory. The descriptor must be open for reading.
    pub(super) fn read(&mut self, directory: impl AsFd) -> Result<()> {
        self.clear();
        let Self {
            bytes,
            places,
            buffer,
        } = self;
        disk::each_name(directory, buffer, |name| push((bytes, places), name))?;
        places.sort_unstable_by(|a, b| at(bytes, a).cmp(at(bytes, b)));
        Ok(())
    }

    /// Drops the names, and the room that few directories need.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.places.clear();
        self.bytes.shrink_to(KEPT * LENGTH);
        self.places.shrink_to(KEPT);
    }

    pub(super) fn in_order(&self) -> impl Iterator<Item = &[u8]> {
        self.places.iter().map(|place| at(&self.bytes, place))
    }

    pub(super) fn contains(&self, name: &[u8]) -> bool {
        self.places
            .binary_search_by(|place| at(&self.bytes, place).cmp(name))
            .is_ok()
    }
}

#[expect(
    clippy::expect_used,
    reason = "a directory whose names have more than 4 GiB does not fit in memory"
)]
fn push((bytes, places): (&mut Vec<u8>, &mut Vec<Range<u32>>), name: &[u8]) {
    let place = |length| u32::try_from(length).expect("names of less than 4 GiB");
    let start = place(bytes.len());
    bytes.extend_from_slice(name);
    places.push(start..place(bytes.len()));
}

fn at<'a>(bytes: &'a [u8], place: &Range<u32>) -> &'a [u8] {
    bytes
        .get(place.start as usize..place.end as usize)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory_of(names: &[String]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for name in names {
            std::fs::write(directory.path().join(name), "").unwrap();
        }
        directory
    }

    #[test]
    fn names_are_in_order_and_all_there() {
        let mut expected: Vec<String> = (0..300).map(|n| format!("n{}", n * 7 % 300)).collect();
        let directory = directory_of(&expected);
        let mut names = Names::default();
        names
            .read(std::fs::File::open(directory.path()).unwrap())
            .unwrap();
        expected.sort_unstable();
        assert!(names.in_order().eq(expected.iter().map(String::as_bytes)));
        assert!(expected.iter().all(|name| names.contains(name.as_bytes())));
        assert!(!names.contains(b"n300") && !names.contains(b"") && !names.contains(b"n"));
    }

    #[test]
    fn names_of_one_directory_are_not_those_of_the_next_and_their_room_is_given_back() {
        let many: Vec<String> = (0..3000).map(|n| format!("{n:060}")).collect();
        let directories = [directory_of(&many), directory_of(&["one".to_owned()])];
        let mut names = Names::default();
        for directory in &directories {
            names
                .read(std::fs::File::open(directory.path()).unwrap())
                .unwrap();
        }
        assert!(names.in_order().eq([b"one"]));
        assert!(names.bytes.capacity() <= KEPT * LENGTH && names.places.capacity() <= KEPT);
    }
}
