//! WORKDIR.

use kigumi_layer::{Change, ImagePath, Mode, Timestamp, Tree};

use crate::CopyError;
use crate::target::{NewDirectory, Target};

/// What WORKDIR makes: every missing directory on the way to `directory`, 0755 and of this user and group. Links are followed inside the
/// tree. What exists is left alone; nothing is made for `/`.
///
/// # Errors
/// [`CopyError`] when a file is in the way or links lead in a circle.
pub fn make_dir_changes(
    tree: &Tree,
    directory: &ImagePath,
    (uid, gid): (u32, u32),
    now: Timestamp,
) -> Result<Vec<Change>, CopyError> {
    let mut target = Target::new(tree);
    let fault = |fault: crate::target::Fault| fault.of_destination(&directory.to_string());
    let real = target.follow(directory).map_err(fault)?;
    let new = NewDirectory {
        mode: Mode::DIRECTORY,
        uid,
        gid,
        now,
    };
    target.make_directories(&real, new).map_err(fault)?;
    Ok(target.changes())
}
