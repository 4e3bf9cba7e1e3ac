//! `RUN --mount`: from the plan's mounts to things in the root, and back.
//!
//! Three steps, in this order, because each may fail and the later ones change more. *Preparing* ([`Wanted`]) reads nothing of the root: it finds
//! the files of a bind mount and says what is missing. *Placing* ([`Mounted::place`]) writes them beside the root and gives them their names
//! there ([`kigumi_rootfs::Placer`]). *Ending* ([`Mounted::end`]) happens whatever became of the process.

mod backstage;
mod cache;
mod grant;
mod keeper;
mod lock;
mod memory;
mod prepare;
mod secret;
mod ssh;
mod tree;

use kigumi_dockerfile::instruction::MountSpec;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use kigumi_layer::{Follow, ImagePath, Mode, Tree};
use kigumi_plan::{CopySource, RunMount, RunOp};
use kigumi_rootfs::{Exclusions, Item, Placer, Stand, Witness, WritableRoot, in_order};
use kigumi_run::ReadOnly;

pub(crate) use backstage::Backstage;
pub(crate) use cache::{CacheStore, Identity};
pub(crate) use grant::variables;
pub(crate) use keeper::Keeper;
pub(crate) use tree::Files;

use super::Entrusted;
use super::contents::Contents;
use super::workshop::Workshop;
use crate::error::BuildError;
use cache::{Opened, Request};
use grant::{Grant, Granted};
use memory::Limited;

/// What shall be at a target, with all that is needed to put it there.
#[derive(Debug)]
pub(crate) struct Wanted {
    target: ImagePath,
    thing: Thing,
    read_only: bool,
}

#[derive(Debug)]
enum Thing {
    /// Files of the context, a stage or an image.
    Files(Files),
    /// A directory that outlives the step.
    Cache(Request),
    /// An empty directory.
    Empty { size_bytes: Option<u64> },
    /// A secret or an agent.
    Grant(Grant),
}

/// Where a mount's `from` leads, and what is there.
pub(crate) struct Source<'a> {
    pub(crate) tree: &'a Tree,
    /// For messages.
    pub(crate) name: &'a str,
    /// Files of the user's, which belong to root in the mount.
    pub(crate) is_context: bool,
}

/// What a mount with files shows: `source` inside the tree, links followed there and nowhere else (T-MNT-15).
pub(crate) fn files(mount: &RunMount, source: &Source<'_>) -> Result<Files, BuildError> {
    let written = match &mount.spec {
        MountSpec::Bind { source, .. } | MountSpec::Cache { source, .. } => source.as_str(),
        MountSpec::Tmpfs { .. } | MountSpec::Secret { .. } | MountSpec::Ssh { .. } => "",
    };
    let path = resolved(source.tree, written).ok_or_else(|| BuildError::MountSource {
        path: written.to_owned(),
        place: source.name.to_owned(),
    })?;
    Ok(Files::below(source.tree, &path, source.is_context))
}

/// The path of a mount's source without links; `None` if nothing is there.
fn resolved(tree: &Tree, written: &str) -> Option<ImagePath> {
    let path = ImagePath::clamp(written.as_bytes()).ok()?;
    let found = tree.resolve(&path, Follow::All).ok()?;
    found.node.map(|_| found.path)
}

/// The files of a stage that its mounts in later stages need.
pub(crate) fn wanted_of_stage(
    run: &RunOp,
    source: &CopySource,
    (tree, store): (&Tree, u32),
) -> Vec<ImagePath> {
    let mounts = run
        .mounts
        .iter()
        .filter(|mount| mount.from.as_ref() == Some(source));
    let written = mounts.filter_map(|mount| match &mount.spec {
        MountSpec::Bind { source, .. } | MountSpec::Cache { source, .. } => Some(source),
        MountSpec::Tmpfs { .. } | MountSpec::Secret { .. } | MountSpec::Ssh { .. } => None,
    });
    // A source that is missing is told where it is mounted.
    written
        .filter_map(|written| resolved(tree, written))
        .flat_map(|path| Files::below(tree, &path, false).stored(store))
        .collect()
}

impl Wanted {
    /// A bind mount.
    pub(crate) fn files(mount: &RunMount, files: Files) -> Result<Self, BuildError> {
        Self::new(mount, Thing::Files(files))
    }

    /// A cache mount, with what it holds when it is new.
    pub(crate) fn cache(
        mount: &RunMount,
        identity: Identity,
        seed: Option<Files>,
    ) -> Result<Self, BuildError> {
        let request = Request::new(&mount.spec, identity, seed);
        Self::new(mount, Thing::Cache(request))
    }

    /// A tmpfs.
    pub(crate) fn empty(mount: &RunMount, size_bytes: Option<u64>) -> Result<Self, BuildError> {
        Self::new(mount, Thing::Empty { size_bytes })
    }

    /// A secret or an agent.
    fn grant(grant: Grant) -> Self {
        Self {
            target: grant.target.clone(),
            thing: Thing::Grant(grant),
            read_only: false,
        }
    }

    fn new(mount: &RunMount, thing: Thing) -> Result<Self, BuildError> {
        let (target, read_only) = match &mount.spec {
            MountSpec::Bind {
                target, read_only, ..
            }
            | MountSpec::Cache {
                target, read_only, ..
            }
            | MountSpec::Tmpfs {
                target, read_only, ..
            } => (target.as_str(), *read_only),
            MountSpec::Secret { target, .. } | MountSpec::Ssh { target, .. } => {
                (target.as_deref().unwrap_or_default(), false)
            }
        };
        Ok(Self {
            target: mount_point(target)?,
            thing,
            read_only,
        })
    }
}

fn mount_point(target: &str) -> Result<ImagePath, BuildError> {
    ImagePath::clamp(target.as_bytes()).map_err(|source| BuildError::Mount {
        target: target.to_owned(),
        operation: "use it as a mount point",
        source: Box::new(source),
    })
}

/// The root that things are placed in.
#[derive(Clone, Copy)]
pub(crate) struct Ground<'a> {
    pub(crate) root: &'a WritableRoot,
    pub(crate) exclusions: &'a Exclusions,
    pub(crate) backstage: &'a Backstage,
}

/// What is placed for one RUN. Dropping it undoes everything, but caches do not get what was written to copies of them.
#[derive(Debug)]
pub(crate) struct Mounted<'a> {
    // Dropped before the placer takes their names away.
    granted: Granted,
    placer: Placer<'a>,
    targets: Vec<ImagePath>,
    guarded: Vec<ImagePath>,
    /// Of those, the ones that were placed: a volume of the pod may be written by others meanwhile.
    watched: Vec<ImagePath>,
    witnesses: Vec<Witness>,
    caches: Vec<Opened>,
    limited: Vec<Limited>,
}

/// The filesystem in memory that every container has.
const MEMORY: &str = "/dev/shm";
/// A new tmpfs.
const EMPTY: Stand = Stand {
    mode: Mode::new(0o1777),
    uid: 0,
    gid: 0,
};

impl<'a> Mounted<'a> {
    /// Places everything, the outermost first.
    pub(crate) fn place(
        wanted: Vec<Wanted>,
        ground: Ground<'a>,
        stores: (&Contents, &CacheStore, &Entrusted),
        workshop: &Workshop,
    ) -> Result<Self, BuildError> {
        let placer = Placer::new(ground.root, ground.exclusions, ground.backstage.path())
            .map_err(BuildError::root("prepare the mounts of RUN"))?;
        let mut mounted = Self {
            granted: Granted::default(),
            placer,
            targets: Vec::new(),
            guarded: Vec::new(),
            watched: Vec::new(),
            witnesses: Vec::new(),
            caches: Vec::new(),
            limited: Vec::new(),
        };
        for next in in_order(wanted, |wanted| &wanted.target) {
            workshop.check_cancelled()?;
            mounted.place_one(&next, stores, workshop)?;
        }
        Ok(mounted)
    }

    fn place_one(
        &mut self,
        wanted: &Wanted,
        (contents, caches, entrusted): (&Contents, &CacheStore, &Entrusted),
        workshop: &Workshop,
    ) -> Result<(), BuildError> {
        let failed = failed(&wanted.target);
        let site = self.placer.survey(&wanted.target).map_err(&failed)?;
        let item = match &wanted.thing {
            Thing::Files(files) => {
                let area = self.placer.area(&site).map_err(&failed)?;
                let path = files.write(area, contents, &workshop.cancel)?;
                Some(Item::Existing {
                    path,
                    returns: false,
                })
            }
            Thing::Cache(request) if site.is_mounted_directory() => {
                request.tell_mounted(site.path(), workshop);
                None
            }
            Thing::Cache(request) => {
                let mut cache = caches.open(request, (contents, &self.caches), workshop)?;
                let area = self.placer.area(&site).map_err(&failed)?;
                let path =
                    cache.path_for(area, Placer::is_movable(&site, &cache.content()), workshop)?;
                self.caches.push(cache);
                Some(Item::Existing {
                    path,
                    returns: true,
                })
            }
            Thing::Grant(grant) => {
                let given = (entrusted, &workshop.events);
                self.granted.place(&mut self.placer, &site, grant, given)?;
                None
            }
            Thing::Empty { size_bytes } => {
                let limited = size_bytes
                    .filter(|_| !site.is_bound())
                    .and_then(|size| Limited::new(Path::new(MEMORY), size));
                if let (None, Some(size)) = (&limited, size_bytes) {
                    workshop.events.warn(format!(
                        "the size of the tmpfs at `{}` is not limited to {size} bytes: `{MEMORY}` cannot give exactly that much",
                        site.path()
                    ));
                }
                let item = match limited {
                    Some(limited) => {
                        let item = Item::LinkToDirectory(limited.path().to_owned());
                        self.limited.push(limited);
                        item
                    }
                    None => Item::Directory(EMPTY),
                };
                Some(item)
            }
        };
        if wanted.read_only {
            self.guarded.push(site.path().clone());
        }
        if let Some(item) = item {
            self.placer.place(&site, &item).map_err(&failed)?;
            if wanted.read_only {
                self.watched.push(site.path().clone());
            }
        }
        self.targets.push(site.path().clone());
        Ok(())
    }

    /// Remembers how the read-only ones look: once everything is there that the process expects.
    pub(crate) fn watch(&mut self) -> Result<(), BuildError> {
        for path in &self.watched {
            let failed = failed(path);
            let site = self.placer.survey(path).map_err(&failed)?;
            let witness = self.placer.witness(&site, &self.targets).map_err(&failed)?;
            self.witnesses.push(witness);
        }
        Ok(())
    }

    /// What the process must not change, by its path on the host.
    pub(crate) fn read_only(&self, root: &Path) -> ReadOnly {
        let on_host = |path: &ImagePath| root.join(OsStr::from_bytes(path.as_relative()));
        let others = self.targets.iter();
        ReadOnly {
            paths: self.guarded.iter().map(on_host).collect(),
            except: others
                .filter(|path| !self.guarded.contains(path))
                .map(on_host)
                .collect(),
        }
    }

    /// Takes everything away, gives the caches what was written to them, and says whether something was written that could not be.
    pub(crate) fn end(mut self, workshop: &Workshop) -> Result<(), BuildError> {
        let written = self.written();
        let revoked = self.granted.revoke();
        let taken = self.placer.take_back();
        let mut kept = Ok(());
        for cache in self.caches.drain(..) {
            kept = kept.and(cache.close(workshop));
        }
        let cleared = self.placer.undo();
        let failed = BuildError::root("take the mounts of RUN away");
        taken.and(cleared).map_err(failed)?;
        revoked?;
        self.granted.check_gone()?;
        kept?;
        written
    }

    fn written(&self) -> Result<(), BuildError> {
        for (witness, mount) in self.witnesses.iter().zip(&self.watched) {
            if let Some(path) = witness.changed().map_err(failed(mount))? {
                return Err(BuildError::ReadOnlyMount {
                    path: path.to_string(),
                    mount: mount.to_string(),
                });
            }
        }
        Ok(())
    }
}

fn failed(target: &ImagePath) -> impl Fn(kigumi_rootfs::Error) -> BuildError {
    let target = target.to_string();
    move |source| BuildError::Mount {
        target: target.clone(),
        operation: "mount",
        source: Box::new(source),
    }
}

#[cfg(test)]
mod tests {
    use kigumi_layer::{Change, Entry, FileContent, Metadata, Timestamp};

    use super::*;

    /// T-MNT-15
    #[test]
    fn a_source_is_found_inside_its_tree_and_never_outside() {
        let mut tree = Tree::new();
        for (path, entry) in [
            ("/d", Entry::Directory),
            ("/d/f", Entry::File(FileContent::inline(b"x"))),
            ("/out", Entry::Symlink(Box::from(*b"../../../d/f"))),
            ("/absolute", Entry::Symlink(Box::from(*b"/d"))),
            ("/dangling", Entry::Symlink(Box::from(*b"/etc/passwd"))),
            ("/self", Entry::Symlink(Box::from(*b"self"))),
        ] {
            tree.apply(Change::Put {
                path: ImagePath::parse(path.as_bytes()).unwrap(),
                entry,
                metadata: Metadata::root_owned(Mode::DIRECTORY, Timestamp::default()),
            })
            .unwrap();
        }
        for (written, expected) in [
            ("", Some("/")),
            ("/", Some("/")),
            ("d/f", Some("/d/f")),
            ("../../d", Some("/d")),
            ("out", Some("/d/f")),
            ("/absolute/f", Some("/d/f")),
            ("dangling", None),
            ("self", None),
            ("d/f/x", None),
            ("nothing", None),
        ] {
            let found = resolved(&tree, written).map(|path| path.to_string());
            assert_eq!(found.as_deref(), expected, "{written}");
        }
    }
}
