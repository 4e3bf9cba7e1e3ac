use std::path::{Path, PathBuf};

use crate::root_dir::Crossing;
use crate::{Error, RootDir};

/// The file that tells the executor's own image (evidence E1), beside the executable or in `/kaniko` or `/kigumi`, holding the build id.
pub const EXECUTOR_MARKER: &str = "kigumi-image";
/// The file that declares a root disposable until the next boot; its content is that of `/proc/sys/kernel/random/boot_id`.
pub const PER_BOOT_MARKER: &str = "/.kigumi-disposable-root";

/// Something that speaks for a container.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Evidence {}

/// What was found at [`PER_BOOT_MARKER`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BootMarker {}

/// What the assessment is made from. Gathered without writing anything.
#[derive(Clone, Debug)]
pub struct Facts {}

impl Facts {
    /// Looks at this machine. Never fails: what cannot be established is a fact, too. `declared` are the paths that the user named
    /// (context, cache), which may be mounts of any kind.
    pub fn gather(_declared: &[PathBuf]) -> Self {
        todo!()
    }
}

/// What the user allows and demands.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Policy {
    /// `--force`: lifts S1 to S3, nothing else.
    pub force: bool,
    /// `--strict`: suspected host binds refuse instead of being warned about.
    pub strict: bool,
}

/// One reason not to work on this root.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reason {}

/// Why the root of this machine is not touched: every reason that holds.
#[derive(Debug, thiserror::Error)]
#[error("refused")]
pub struct Refusal {
    /// All of them.
    pub reasons: Vec<Reason>,
}

/// Proof that a root may be overwritten, wiped, and its processes killed.
#[derive(Clone, Debug)]
pub struct DisposableRoot {
    path: PathBuf,
    warnings: Vec<String>,
}

/// Decides whether `/` is disposable.
///
/// # Errors
/// [`Refusal`] with every reason.
pub fn assess(_facts: &Facts, _policy: Policy) -> Result<DisposableRoot, Refusal> {
    todo!()
}

impl DisposableRoot {
    /// A directory that the caller has just made for this purpose: empty, owned by this user, not `/`.
    ///
    /// # Errors
    /// [`Error::UnfitRoot`] when it is anything else.
    pub fn of_directory(path: &Path) -> Result<Self, Error> {
        let directory = RootDir::open(path)?;
        let host = directory.host_path().to_owned();
        let unfit = |reason| Error::UnfitRoot {
            path: host.clone(),
            reason,
        };
        if directory.host_path() == Path::new("/") {
            return Err(unfit("it is the root of this machine"));
        }
        if directory.stat().identity.uid != rustix::process::geteuid().as_raw() {
            return Err(unfit("it belongs to somebody else"));
        }
        let names = crate::disk::names(&directory).map_err(|source| Error::OpenHost {
            path: host.clone(),
            source: source.into(),
        })?;
        if !names.is_empty() {
            return Err(unfit("it is not empty"));
        }
        Ok(Self {
            path: host,
            warnings: Vec::new(),
        })
    }

    /// Where it is on the host.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is suspicious, though not enough to refuse: one sentence each, for the log.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// A handle to write through.
    ///
    /// # Errors
    /// When the directory cannot be opened.
    pub fn open(&self) -> Result<WritableRoot, Error> {
        RootDir::open_with(&self.path, Crossing::Refused, None).map(WritableRoot)
    }

    /// As [`DisposableRoot::open`], on a kernel that knows no `openat2`.
    #[cfg(test)]
    pub(crate) fn open_without_openat2(&self) -> WritableRoot {
        let resolver = Some(crate::root_dir::Resolver::Walk);
        WritableRoot(RootDir::open_with(&self.path, Crossing::Refused, resolver).unwrap())
    }
}

/// A root that may be written: only a [`DisposableRoot`] opens it. Derefs to [`RootDir`].
#[derive(Debug)]
pub struct WritableRoot(RootDir);

impl std::ops::Deref for WritableRoot {
    type Target = RootDir;

    fn deref(&self) -> &RootDir {
        &self.0
    }
}
