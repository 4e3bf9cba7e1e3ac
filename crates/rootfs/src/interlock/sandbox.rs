use std::path::Path;

use rustix::fs::{AtFlags, CWD};

use super::DisposableRoot;
use super::facts::{BootMarker, boot_marker};
use crate::{Error, Exclusions, Protection, RootDir, disk, wipe};

/// The one entry of a sandbox's directory.
const ROOT: &[u8] = b"root";

/// Removes the directory of a sandbox with the root in it, when everything inside is gone.
///
/// It must hold nothing but `root`, and that must be empty or declared disposable by the per-boot marker: whoever passes the wrong directory gets
/// an error and loses nothing. Mounts stop it, as they stop every wipe.
///
/// # Errors
/// [`Error::UnfitRoot`] for any other directory, [`Error`] with the file that could not be removed.
pub fn remove_sandbox(directory: &Path) -> Result<(), Error> {
    let base = RootDir::open(directory)?;
    let unfit = |reason| Error::UnfitRoot {
        path: base.host_path().to_owned(),
        reason,
    };
    let failed = |source: rustix::io::Errno| Error::OpenHost {
        path: base.host_path().to_owned(),
        source: source.into(),
    };
    if base.host_path().parent().is_none() {
        return Err(unfit("it is the root of this machine"));
    }
    match disk::names(&base).map_err(failed)?.as_slice() {
        [] => {}
        [name] if **name == *ROOT => check_root(&base)?,
        _ => return Err(unfit("it holds more than the root of a sandbox")),
    }
    let disposable = DisposableRoot {
        path: base.host_path().to_owned(),
        warnings: Vec::new(),
    };
    let writable = disposable.open()?;
    let mut exclusions = Exclusions::new(&writable, &Protection::default())?;
    wipe(&writable, &mut exclusions)?;
    rustix::fs::unlinkat(CWD, base.host_path(), AtFlags::REMOVEDIR).map_err(failed)
}

fn check_root(base: &RootDir) -> Result<(), Error> {
    let path = base.host_path().join("root");
    let root = RootDir::open(&path)?;
    let is_empty = disk::names(&root)
        .map_err(|source| Error::OpenHost {
            path: path.clone(),
            source: source.into(),
        })?
        .is_empty();
    let boot_id = std::fs::read("/proc/sys/kernel/random/boot_id").ok();
    if is_empty || boot_marker(&root, boot_id.as_deref()) == BootMarker::Valid {
        return Ok(());
    }
    Err(Error::UnfitRoot {
        path,
        reason: "the per-boot marker does not declare it disposable",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PER_BOOT_MARKER;

    fn sandbox() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(directory.path().join("sandbox/root/etc")).unwrap();
        directory
    }

    #[test]
    fn a_marked_root_goes_with_its_directory() {
        let directory = sandbox();
        let base = directory.path().join("sandbox");
        let boot_id = std::fs::read("/proc/sys/kernel/random/boot_id").unwrap();
        std::fs::write(
            base.join("root")
                .join(PER_BOOT_MARKER.trim_start_matches('/')),
            boot_id,
        )
        .unwrap();
        remove_sandbox(&base).unwrap();
        assert!(!base.exists() && directory.path().exists());
    }

    #[test]
    fn a_directory_that_nobody_declared_disposable_is_left_alone() {
        let directory = sandbox();
        let base = directory.path().join("sandbox");
        assert!(matches!(
            remove_sandbox(&base),
            Err(Error::UnfitRoot { .. })
        ));
        std::fs::write(base.join("precious"), "x").unwrap();
        assert!(matches!(
            remove_sandbox(&base),
            Err(Error::UnfitRoot { .. })
        ));
        assert!(base.join("root/etc").exists());
    }
}
