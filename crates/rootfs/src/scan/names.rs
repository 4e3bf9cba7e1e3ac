use std::ops::Range;
use std::os::fd::AsFd;

use rustix::io::Result;

use crate::disk;

/// The names in a directory, which may be a hundred thousand: one after the other, and eight bytes for each.
#[derive(Default)]
pub(super) struct Names {
    bytes: Vec<u8>,
    /// In order of the names.
    places: Vec<Range<u32>>,
}

impl Names {
    /// The descriptor must be open for reading.
    pub(super) fn of(directory: impl AsFd) -> Result<Self> {
        let mut names = Self::default();
        disk::each_name(directory, |name| names.push(name))?;
        let Self { bytes, places } = &mut names;
        places.sort_unstable_by(|a, b| at(bytes, a).cmp(at(bytes, b)));
        Ok(names)
    }

    #[expect(
        clippy::expect_used,
        reason = "a directory whose names have more than 4 GiB does not fit in memory"
    )]
    fn push(&mut self, name: &[u8]) {
        let place = |length| u32::try_from(length).expect("names of less than 4 GiB");
        let start = place(self.bytes.len());
        self.bytes.extend_from_slice(name);
        self.places.push(start..place(self.bytes.len()));
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

fn at<'a>(bytes: &'a [u8], place: &Range<u32>) -> &'a [u8] {
    bytes
        .get(place.start as usize..place.end as usize)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_order_and_all_there() {
        let directory = tempfile::tempdir().unwrap();
        let mut expected: Vec<String> = (0..300).map(|n| format!("n{}", n * 7 % 300)).collect();
        for name in &expected {
            std::fs::write(directory.path().join(name), "").unwrap();
        }
        let names = Names::of(std::fs::File::open(directory.path()).unwrap()).unwrap();
        expected.sort_unstable();
        assert!(names.in_order().eq(expected.iter().map(String::as_bytes)));
        assert!(expected.iter().all(|name| names.contains(name.as_bytes())));
        assert!(!names.contains(b"n300") && !names.contains(b"") && !names.contains(b"n"));
    }
}
