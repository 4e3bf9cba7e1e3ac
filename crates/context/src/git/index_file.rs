//! git's index of a checkout: `gitformat-index(5)`, version 2.

use gix_hash::Kind;

use super::checkout::Tracked;

/// The file. Times and inodes are left out: git looks at the content of a file whose times it does not know, and finds it unchanged.
pub(super) fn encode(tracked: &mut [Tracked]) -> Result<Vec<u8>, gix_error::Error> {
    tracked.sort_by(|one, other| one.path.as_relative().cmp(other.path.as_relative()));
    let mut file = Vec::new();
    file.extend_from_slice(b"DIRC");
    file.extend_from_slice(&2_u32.to_be_bytes());
    file.extend_from_slice(
        &u32::try_from(tracked.len())
            .unwrap_or(u32::MAX)
            .to_be_bytes(),
    );
    for entry in tracked.iter() {
        append(&mut file, entry);
    }
    let mut hasher = gix_hash::hasher(Kind::Sha1);
    hasher.update(&file);
    file.extend_from_slice(hasher.try_finalize()?.as_bytes());
    Ok(file)
}

fn append(file: &mut Vec<u8>, entry: &Tracked) {
    const LONGEST_NAME: usize = 0xfff;
    let start = file.len();
    let path = entry.path.as_relative();
    // Size is modulo 2^32.
    let size = u32::try_from(entry.size & u64::from(u32::MAX)).unwrap_or_default();
    // ctime, mtime, dev, ino; mode; uid, gid; size.
    file.extend_from_slice(&[0; 24]);
    file.extend_from_slice(&entry.mode.to_be_bytes());
    file.extend_from_slice(&[0; 8]);
    file.extend_from_slice(&size.to_be_bytes());
    file.extend_from_slice(entry.id.as_bytes());
    let flags = u16::try_from(path.len().min(LONGEST_NAME)).unwrap_or_default();
    file.extend_from_slice(&flags.to_be_bytes());
    file.extend_from_slice(path);
    // One to eight NULs, up to a multiple of eight.
    let length = file.len() - start;
    file.resize(start + (length / 8 + 1) * 8, 0);
}
