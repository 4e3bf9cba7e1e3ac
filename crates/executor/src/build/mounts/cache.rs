//! Directories that outlive a step, and a build if they lie on a volume.
//!
//! ```text
//! DIRECTORY/v1/IDENTITY[-NUMBER]/   one cache; the number counts private copies
//!     identity                      what it is, for people
//!     use.lock                      shared: any number at once; locked and private: one
//!     change.lock                   held shared while it is copied from, alone while it is replaced
//!     content, …                    see `kigumi_rootfs::Store`
//! ```
//!
//! On the filesystem of the target the content is moved there and back. On another one (a volume) it is copied, and afterwards replaced as a
//! whole by what the step left: of two builds that share a cache at the same time the later one wins, and neither finds half of anything.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kigumi_dockerfile::instruction::{MountSpec, Owner, Sharing};
use kigumi_layer::ImagePath;
use kigumi_oci::Digest;
use kigumi_rootfs::Store;

use super::keeper::{Keeper, Used};
use super::lock::{Hold, LockFile};
use super::tree::{Files, copy_directory, new_directory};
use crate::build::contents::Contents;
use crate::build::workshop::Workshop;
use crate::error::BuildError;
use crate::report::BuildEvent;

/// Held shared while a cache is copied from, alone while it is replaced.
const CHANGE_LOCK: &str = "change.lock";
/// More private copies of one cache than anybody uses at once.
const MOST_COPIES: u32 = 1000;
/// What a [`Store`] is for, in messages.
const KEEP: &str = "keep its content";

/// What makes two cache mounts the same cache (dockerfile.md § 5.4, T-MNT-03).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// `BUILDKIT_CACHE_MOUNT_NS`.
    pub(crate) namespace: String,
    /// `id`, or the target.
    pub(crate) id: String,
    /// What it begins with: nothing, or a path of a stage or an image.
    pub(crate) base: String,
    /// Owner and mode, as written: those of a cache that says nothing about them are the default, and are not the same cache as
    /// when they are written out.
    pub(crate) owner: Owner,
}

impl Identity {
    fn text(&self) -> String {
        let number = |value: Option<u32>| value.map_or("-".to_owned(), |value| value.to_string());
        let Owner { mode, uid, gid } = self.owner;
        let mode = mode.map_or("-".to_owned(), |mode| format!("{mode:o}"));
        format!(
            "namespace {}\nid {}\nbase {}\nmode {mode}\nuid {}\ngid {}\n",
            self.namespace,
            self.id,
            self.base,
            number(uid),
            number(gid)
        )
    }

    /// A name for a directory.
    fn name(&self) -> String {
        Digest::of(self.text().as_bytes()).hex()
    }
}

/// A cache mount.
#[derive(Debug)]
pub(super) struct Request {
    identity: Identity,
    sharing: Sharing,
    read_only: bool,
    seed: Option<Files>,
}

impl Request {
    pub(super) fn new(spec: &MountSpec, identity: Identity, seed: Option<Files>) -> Self {
        let (sharing, read_only) = match spec {
            MountSpec::Cache {
                sharing, read_only, ..
            } => (*sharing, *read_only),
            MountSpec::Bind { .. }
            | MountSpec::Tmpfs { .. }
            | MountSpec::Secret { .. }
            | MountSpec::Ssh { .. } => (Sharing::Shared, false),
        };
        Self {
            identity,
            sharing,
            read_only,
            seed,
        }
    }

    /// The pod has mounted a volume exactly there: it is the cache.
    pub(super) fn tell_mounted(&self, path: &ImagePath, workshop: &Workshop) {
        workshop.events.emit(BuildEvent::Detail {
            message: format!(
                "the volume that the pod mounts at `{path}` is the cache `{}`",
                self.identity.id
            ),
        });
    }
}

/// Where caches are kept.
#[derive(Debug)]
pub(crate) struct CacheStore {
    directory: PathBuf,
    /// Who keeps them beyond the pod.
    keeper: Option<Arc<Keeper>>,
}

/// A cache in use.
#[derive(Debug)]
pub(super) struct Opened {
    store: Store,
    directory: PathBuf,
    id: String,
    name: String,
    read_only: bool,
    /// Where the content was copied to; none if it was moved.
    copy: Option<PathBuf>,
    /// Held until the step is over.
    _use: LockFile,
}

impl CacheStore {
    pub(crate) fn new(directory: PathBuf, keeper: Option<Arc<Keeper>>) -> Self {
        Self { directory, keeper }
    }

    /// Keeps what steps have written beyond the pod, where that is asked for.
    pub(crate) fn save(&self, workshop: &Workshop) {
        if let Some(keeper) = &self.keeper {
            keeper.save(workshop);
        }
    }

    /// Waits for its turn, and makes the cache if it is new.
    pub(super) fn open(
        &self,
        request: &Request,
        (contents, in_use): (&Contents, &[Opened]),
        workshop: &Workshop,
    ) -> Result<Opened, BuildError> {
        let id = &request.identity.id;
        let name = request.identity.name();
        if request.sharing != Sharing::Private && in_use.iter().any(|other| other.name == name) {
            let unsupported = io::Error::from(io::ErrorKind::Unsupported);
            return Err(BuildError::cache(id, "mount it at two places of one RUN")(
                unsupported,
            ));
        }
        let (number, directory, lock) = self.turn(request, &name, workshop)?;
        let store = Store::open(&directory).map_err(BuildError::cache(id, KEEP))?;
        let opened = Opened {
            store,
            directory,
            id: id.clone(),
            name,
            read_only: request.read_only,
            copy: None,
            _use: lock,
        };
        // Of private copies one is enough.
        let keeper = self.keeper.as_deref().filter(|_| number == 0);
        opened.furnish(request, keeper, contents, workshop)?;
        if let Some(keeper) = keeper.filter(|_| !request.read_only) {
            let used = Used {
                id: id.clone(),
                content: opened.content(),
                lock: opened.directory.join(CHANGE_LOCK),
            };
            keeper.note(&opened.name, used);
        }
        Ok(opened)
    }

    /// The directory that this request is given, which of the private copies it is, and the lock that says so.
    fn turn(
        &self,
        request: &Request,
        name: &str,
        workshop: &Workshop,
    ) -> Result<(u32, PathBuf, LockFile), BuildError> {
        let id = &request.identity.id;
        let failed = |operation| BuildError::cache(id, operation);
        for number in 0..=MOST_COPIES {
            let directory = self.directory.join("v1").join(match number {
                0 => name.to_owned(),
                number => format!("{name}-{number}"),
            });
            make(&directory).map_err(failed("make its directory"))?;
            let file = directory.join("use.lock");
            let lock = LockFile::make(&file).map_err(failed("open its lock"))?;
            match request.sharing {
                Sharing::Shared => lock.lock(Hold::Shared, id, workshop)?,
                Sharing::Locked => lock.lock(Hold::Alone, id, workshop)?,
                Sharing::Private if lock.try_lock(Hold::Alone).map_err(failed("lock it"))? => {}
                Sharing::Private => continue,
            }
            return Ok((number, directory, lock));
        }
        let busy = io::Error::from(io::ErrorKind::ResourceBusy);
        Err(failed("find a copy that is not in use")(busy))
    }
}

impl Opened {
    pub(super) fn content(&self) -> PathBuf {
        self.store.content()
    }

    /// Makes the content if there is none: created and seeded on first use only (T-MNT-04).
    fn furnish(
        &self,
        request: &Request,
        keeper: Option<&Keeper>,
        contents: &Contents,
        workshop: &Workshop,
    ) -> Result<(), BuildError> {
        let change = self.change(Hold::Alone, workshop)?;
        if self.recover()? {
            return Ok(());
        }
        let failed = |operation| BuildError::cache(&self.id, operation);
        let new = self
            .store
            .begin()
            .map_err(BuildError::cache(&self.id, KEEP))?;
        let is_restored = match keeper {
            Some(keeper) => keeper.restore((&self.name, &self.id), &new, workshop)?,
            None => false,
        };
        if !is_restored {
            self.fill(&new, request, contents, workshop)?;
        }
        std::fs::write(self.directory.join("identity"), request.identity.text())
            .map_err(failed("describe it"))?;
        self.store
            .commit()
            .map_err(BuildError::cache(&self.id, KEEP))?;
        drop(change);
        Ok(())
    }

    /// What a cache begins with.
    fn fill(
        &self,
        new: &Path,
        request: &Request,
        contents: &Contents,
        workshop: &Workshop,
    ) -> Result<(), BuildError> {
        let failed = |operation| BuildError::cache(&self.id, operation);
        let owner = request.identity.owner;
        if let Some(seed) = &request.seed {
            seed.write_into(new, &workshop.cancel, |path, content| {
                contents.open(path, content)
            })?;
        }
        let is_default = request.seed.is_none();
        if is_default || owner.uid.is_some() || owner.gid.is_some() {
            let default = is_default.then_some(0);
            std::os::unix::fs::chown(new, owner.uid.or(default), owner.gid.or(default))
                .map_err(failed("set its owner"))?;
        }
        if let Some(mode) = owner.mode.or(is_default.then_some(0o755)) {
            std::fs::set_permissions(new, PermissionsExt::from_mode(mode))
                .map_err(failed("set its mode"))?;
        }
        Ok(())
    }

    fn recover(&self) -> Result<bool, BuildError> {
        self.store
            .recover()
            .map_err(BuildError::cache(&self.id, KEEP))
    }

    fn change(&self, hold: Hold, workshop: &Workshop) -> Result<LockFile, BuildError> {
        let file = self.directory.join(CHANGE_LOCK);
        let lock = LockFile::make(&file).map_err(BuildError::cache(&self.id, "open its lock"))?;
        lock.lock(hold, &self.id, workshop)?;
        Ok(lock)
    }

    /// What is to be placed: the content itself, or a copy of it in `area`.
    pub(super) fn path_for(
        &mut self,
        area: &Path,
        is_movable: bool,
        workshop: &Workshop,
    ) -> Result<PathBuf, BuildError> {
        if is_movable {
            return Ok(self.content());
        }
        let change = self.change(Hold::Shared, workshop)?;
        let copy = new_directory(area)?;
        copy_directory(&self.content(), &copy, &workshop.cancel)?;
        drop(change);
        self.copy = Some(copy.clone());
        Ok(copy)
    }

    /// Keeps what the step left. A build that was told to end keeps what was there before: there may be no time for a copy.
    pub(super) fn close(self, workshop: &Workshop) -> Result<(), BuildError> {
        let Some(copy) = self.copy.as_ref().filter(|_| !self.read_only) else {
            return Ok(());
        };
        if workshop.cancel.is_cancelled() || !copy.exists() {
            return Ok(());
        }
        let change = self.change(Hold::Alone, workshop)?;
        self.recover()?;
        let new = self
            .store
            .begin()
            .map_err(BuildError::cache(&self.id, KEEP))?;
        copy_directory(copy, &new, &workshop.cancel)?;
        self.store
            .commit()
            .map_err(BuildError::cache(&self.id, KEEP))?;
        drop(change);
        Ok(())
    }
}

/// Only root may look at a cache but through its mount: another build's files are in it.
fn make(directory: &Path) -> io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
}

/// Waits until nobody replaces the content.
pub(super) fn read_lock(
    path: &Path,
    id: &str,
    workshop: &Workshop,
) -> Result<LockFile, BuildError> {
    let lock = LockFile::open(path).map_err(BuildError::cache(id, "open its lock"))?;
    lock.lock(Hold::Shared, id, workshop)?;
    Ok(lock)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        Identity {
            namespace: String::new(),
            id: "/c".into(),
            base: "nothing".into(),
            owner: Owner::default(),
        }
    }

    /// T-MNT-03
    #[test]
    fn caches_that_differ_in_anything_are_different_caches() {
        let owner = |mode, uid, gid| Identity {
            owner: Owner { mode, uid, gid },
            ..identity()
        };
        let all = [
            identity(),
            Identity {
                namespace: "ns".into(),
                ..identity()
            },
            Identity {
                id: "/d".into(),
                ..identity()
            },
            Identity {
                base: "image sha256:1 /".into(),
                ..identity()
            },
            owner(Some(0o755), None, None),
            owner(Some(0o700), None, None),
            owner(None, Some(1), None),
            owner(None, None, Some(1)),
        ];
        let names: std::collections::BTreeSet<_> = all.iter().map(Identity::name).collect();
        assert_eq!(names.len(), all.len());
        assert_eq!(identity().name(), identity().name());
    }
}
