//! Caches that outlive the pod: what is on the disk against what is kept in the cache repository (ADR 16).
//!
//! A cache is restored when it is first opened and nothing of it is here, and saved once, after the last step. What is saved is one more layer with
//! what has changed since, or all of it in one, where the layers have become many or more than they are worth.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use kigumi_layer::{Change, CompressionSettings, FileContent, ImagePath, Tree, diff};
use kigumi_oci::{Compression, layer_compression};
use kigumi_registry::Spool;
use kigumi_rootfs::{
    DisposableRoot, Exclusions, Index, Protection, RootDir, Verdict, Virtuals, listing,
};

use crate::build::ground;
use crate::build::layers::{FileDigests, Layer, Recipe, write_spooled};
use crate::build::workshop::Workshop;
use crate::cache::{CachedLayer, KeptMount, MountCache, Top};
use crate::error::{BuildError, chain};
use crate::report::{self, BuildEvent};

/// More layers than that are made one: each is a request when a cache is restored.
const MOST_LAYERS: usize = 8;

/// Keeps caches in the cache repository.
#[derive(Debug)]
pub(crate) struct Keeper {
    cache: MountCache,
    known: Mutex<Known>,
}

/// What is known of caches, by the names of their directories.
#[derive(Debug, Default)]
struct Known {
    /// What lay in those that were restored, and which layers make that.
    restored: BTreeMap<String, (Index, KeptMount)>,
    /// Those that a step could write to.
    used: BTreeMap<String, Used>,
}

/// A cache that is to be saved.
#[derive(Debug, Clone)]
pub(super) struct Used {
    /// For messages.
    pub(super) id: String,
    /// Its content.
    pub(super) content: PathBuf,
    /// Held shared while it is read.
    pub(super) lock: PathBuf,
}

/// What the next entry of a cache has.
struct Next {
    layers: Vec<CachedLayer>,
    new: Option<Spool>,
    index: Option<Index>,
}

impl Keeper {
    pub(crate) fn new(cache: MountCache) -> Self {
        Self {
            cache,
            known: Mutex::default(),
        }
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fills a new directory with what is kept. False if that is nothing.
    pub(super) fn restore(
        &self,
        (name, id): (&str, &str),
        into: &Path,
        workshop: &Workshop,
    ) -> Result<bool, BuildError> {
        let found = workshop.wait(self.cache.find(name, workshop.work()))?;
        let Some((mount, spools)) = found else {
            return Ok(false);
        };
        let layers = mount.layers.iter().zip(spools);
        let layers: Vec<(Layer, u32)> = layers.map(|(layer, spool)| stored(layer, spool)).collect();
        let failed = |operation| BuildError::cache(id, operation);
        let root = DisposableRoot::of_directory(into)
            .and_then(|root| root.open())
            .map_err(failed("open its new directory"))?;
        let exclusions = Exclusions::new(&root, &Protection::default())
            .map_err(failed("open its new directory"))?;
        let mut index = ground::unpack_stack(&root, &exclusions, &layers, &workshop.cancel)?;
        index
            .settle(&root)
            .map_err(failed("look at what was restored"))?;
        dress(into, mount.top).map_err(BuildError::cache(id, "set its owner and mode"))?;
        let size: u64 = mount.layers.iter().map(|layer| layer.size).sum();
        let message = format!(
            "the cache `{id}` was restored from {} layers, {}",
            layers.len(),
            report::bytes(size)
        );
        workshop.events.emit(BuildEvent::Detail { message });
        let restored = (index, mount);
        self.known().restored.insert(name.to_owned(), restored);
        Ok(true)
    }

    /// Remembers to save a cache.
    pub(super) fn note(&self, name: &str, used: Used) {
        self.known().used.insert(name.to_owned(), used);
    }

    /// Saves what steps could write to. What goes wrong is a warning: the image is right without.
    pub(crate) fn save(&self, workshop: &Workshop) {
        let used = std::mem::take(&mut self.known().used);
        if !self.cache.writes() || workshop.cancel.is_cancelled() {
            return;
        }
        for (name, used) in used {
            if let Err(error) = self.save_one(&name, &used, workshop) {
                let error = chain(&error);
                workshop
                    .events
                    .warn(format!("the cache `{}` is not kept: {error}", used.id));
            }
        }
    }

    fn save_one(&self, name: &str, used: &Used, workshop: &Workshop) -> Result<(), BuildError> {
        let _lock = super::cache::read_lock(&used.lock, &used.id, workshop)?;
        // Another build of this pod may have moved it to where it mounts it.
        let Ok(metadata) = std::fs::metadata(&used.content) else {
            return Ok(());
        };
        let top = Top {
            mode: metadata.mode() & 0o7777,
            uid: metadata.uid(),
            gid: metadata.gid(),
        };
        let shelf = workshop.wait(async { Ok(self.cache.shelf(name).await) })?;
        let Some(shelf) = shelf else {
            return Ok(());
        };
        let restored = self.known().restored.remove(name);
        // What was restored from another place is all new to this one.
        let restored = restored.filter(|(_, mount)| shelf.has(mount));
        let source = Content::open(used)?;
        let next = match restored {
            Some((index, mount)) => {
                let renews = self.cache.wants_renewal(&mount) || mount.top != top;
                match source.since(index, mount, renews, workshop)? {
                    Ok(next) => next,
                    Err(restored) => {
                        self.known().restored.insert(name.to_owned(), *restored);
                        return Ok(());
                    }
                }
            }
            None => source.whole(None, workshop)?,
        };
        let keeping = shelf.keep(name, top, next.layers, next.new);
        let kept = workshop.wait(async { Ok(keeping.await) })?;
        if let (Some(kept), Some(index)) = (kept, next.index) {
            let restored = (index, kept);
            self.known().restored.insert(name.to_owned(), restored);
        }
        Ok(())
    }
}

/// The content of a cache as it lies there.
struct Content<'a> {
    used: &'a Used,
    root: RootDir,
    exclusions: Exclusions,
}

impl<'a> Content<'a> {
    fn open(used: &'a Used) -> Result<Self, BuildError> {
        let failed = |operation| BuildError::cache(&used.id, operation);
        let root = RootDir::open(&used.content).map_err(failed("open it"))?;
        let exclusions =
            Exclusions::new(&root, &Protection::default()).map_err(failed("open it"))?;
        Ok(Self {
            used,
            root,
            exclusions,
        })
    }

    /// What has changed, as one more layer; all of it, where that is better. What was known, if nothing has and nothing is to be renewed.
    fn since(
        &self,
        mut index: Index,
        mount: KeptMount,
        renews: bool,
        workshop: &Workshop,
    ) -> Result<Result<Next, Box<(Index, KeptMount)>>, BuildError> {
        let before = index
            .scan(&self.root, &self.exclusions)
            .map_err(BuildError::cache(&self.used.id, "look at it"))?;
        let changes = changes(&before, index.tree());
        if changes.is_empty() && !renews {
            return Ok(Err(Box::new((index, mount))));
        }
        if changes.is_empty() {
            return Ok(Ok(Next {
                layers: mount.layers,
                new: None,
                index: Some(index),
            }));
        }
        let sizes: Vec<u64> = mount.layers.iter().map(|layer| layer.size).collect();
        if is_worth_rewriting(&sizes) {
            return self.whole(Some(index), workshop).map(Ok);
        }
        let (layer, spool) = self.write(&changes, &mut index, workshop)?;
        let mut layers = mount.layers;
        layers.push(layer);
        Ok(Ok(Next {
            layers,
            new: Some(spool),
            index: Some(index),
        }))
    }

    /// All of it.
    fn whole(&self, index: Option<Index>, workshop: &Workshop) -> Result<Next, BuildError> {
        let failed = |operation| BuildError::cache(&self.used.id, operation);
        let first_look = || {
            let tree = listing(&self.root, 0, &mut |_| Verdict::Take)?;
            Index::record(&self.root, &self.exclusions, tree, Virtuals::default())
        };
        let index = index.map_or_else(first_look, Ok);
        let mut index = index.map_err(failed("look at it"))?;
        let changes = changes(&Tree::new(), index.tree());
        if changes.is_empty() {
            return Ok(Next {
                layers: Vec::new(),
                new: None,
                index: Some(index),
            });
        }
        let (layer, spool) = self.write(&changes, &mut index, workshop)?;
        index.settle(&self.root).map_err(failed("look at it"))?;
        Ok(Next {
            layers: vec![layer],
            new: Some(spool),
            index: Some(index),
        })
    }

    fn write(
        &self,
        changes: &[Change],
        index: &mut Index,
        workshop: &Workshop,
    ) -> Result<(CachedLayer, Spool), BuildError> {
        let (writer, spool) =
            Spool::create(workshop.work()).map_err(|source| BuildError::Registry {
                operation: "make a file for the layer".to_owned(),
                source: Arc::new(source),
            })?;
        let recipe = Recipe {
            compression: CompressionSettings::new(Compression::Zstd),
            latest: None,
        };
        let open = |path: &ImagePath, _: &FileContent| -> Result<Box<dyn Read>, BuildError> {
            let file = self.root.open_content(path);
            Ok(Box::new(
                file.map_err(BuildError::cache(&self.used.id, "read it"))?,
            ))
        };
        let how = (&recipe, &workshop.cancel, FileDigests::Taken);
        let written = write_spooled(changes, &open, how, writer)?;
        let files = changes.iter().filter(|change| change.file().is_some());
        for (change, digest) in files.zip(&written.digests) {
            if let Some(digest) = digest {
                index.learn(change.path(), *digest);
            }
        }
        let layer = Layer::new(&written.finished, None, None);
        let layer = CachedLayer {
            digest: layer.descriptor.digest,
            size: layer.descriptor.size,
            media_type: layer.descriptor.media_type,
            diff_id: layer.diff_id,
        };
        Ok((layer, spool))
    }
}

/// Whether the layers are too many, or those above the first are larger than it is.
fn is_worth_rewriting(sizes: &[u64]) -> bool {
    let (first, others) = sizes.split_first().unwrap_or((&0, &[]));
    sizes.len() >= MOST_LAYERS || others.iter().sum::<u64>() > *first
}

/// Without the directory itself, which no layer has.
fn changes(before: &Tree, after: &Tree) -> Vec<Change> {
    let mut changes = diff(before, after);
    changes.retain(|change| !change.path().is_root());
    changes
}

fn stored(layer: &CachedLayer, spool: Spool) -> (Layer, u32) {
    let layer = Layer {
        descriptor: layer.descriptor(),
        diff_id: layer.diff_id,
        compression: layer_compression(&layer.media_type).unwrap_or(Compression::None),
        latest: None,
        spool: Some(spool),
    };
    (layer, 0)
}

fn dress(directory: &Path, top: Top) -> std::io::Result<()> {
    std::os::unix::fs::chown(directory, Some(top.uid), Some(top.gid))?;
    std::fs::set_permissions(directory, PermissionsExt::from_mode(top.mode & 0o7777))
}

#[cfg(test)]
mod tests;
