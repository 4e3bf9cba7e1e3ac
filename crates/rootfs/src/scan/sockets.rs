//! What a snapshot does not see.

use kigumi_layer::ImagePath;
use rustix::fs::FileType;

use super::walk;
use crate::wipe::Remover;
use crate::{Error, Exclusions, WritableRoot};

/// Removes the sockets that processes have left on the root. They are in no tree (T-SNAP-14), so that nothing that compares trees finds them; a wipe does.
///
/// # Errors
/// [`Error`] with the file that could not be looked at or removed.
pub fn remove_sockets(root: &WritableRoot, exclusions: &Exclusions) -> Result<(), Error> {
    root.forget(&ImagePath::root());
    let found = walk::walk(
        root,
        exclusions,
        ((), walk::Opened::ForNames),
        |directory, found: &mut Vec<_>, names| {
            let mut next = Vec::new();
            for entry in directory.entries(names)? {
                let (name, stat) = entry?;
                if stat.is_directory() {
                    next.push((directory.path.join(name), ()));
                } else if stat.identity.kind() == FileType::Socket {
                    found.push(directory.path.join(name));
                }
            }
            Ok(next)
        },
    )?;
    for path in found.into_iter().flatten() {
        let Some(name) = path.file_name() else {
            continue;
        };
        let parent = root
            .parent(&path)
            .map_err(|source| Error::file("open the directory of", &path, source))?;
        Remover::new(root, exclusions).remove(&*parent, name, &path)?;
    }
    Ok(())
}
