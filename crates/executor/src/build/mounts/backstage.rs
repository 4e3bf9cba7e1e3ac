use std::path::Path;

use kigumi_rootfs::{Placer, RootDir};
use tempfile::TempDir;

use crate::error::BuildError;

/// A directory of ours on the filesystem of the root: what is set aside for a RUN waits here.
#[derive(Debug)]
pub(crate) struct Backstage(TempDir);

impl Backstage {
    /// In the work directory; where that is on a volume of the pod, at the top of the root. Protect it before the root is emptied.
    pub(crate) fn new(work: &Path, root: &Path) -> Result<Self, BuildError> {
        let opened = RootDir::open(root).map_err(BuildError::root("open the root filesystem"))?;
        let holder = if Placer::is_backstage(&opened, work) {
            work
        } else {
            root
        };
        tempfile::Builder::new()
            .prefix(".kigumi-backstage-")
            .tempdir_in(holder)
            .map(Self)
            .map_err(|source| BuildError::Work {
                operation: "make a directory for mounts",
                directory: holder.to_owned(),
                source,
            })
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}
