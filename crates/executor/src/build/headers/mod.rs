//! Layers of which only the headers are wanted: what they do to a tree.
//!
//! None needs another to be read, so two are read at a time, each on threads of its own. What they do is done in their order.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use kigumi_layer::{Change, Dialect, Error, LayerReader, Tree, decompress};
use kigumi_oci::Digest;
use kigumi_registry::SpoolReader;
use kigumi_run::Cancel;

use super::outlines::{self, Draft};
use super::read_ahead::ReadAhead;
use super::stage::NumberedLayer;
use super::standing::nobody_looked;
use super::workshop::check_cancelled;
use crate::cache::LayerName;
use crate::error::BuildError;

/// How many layers are read at a time, if there are as many processors.
const AT_ONCE: usize = 2;
/// How many are begun and not on the tree, even if they are read to their ends. With [`AHEAD`] it bounds the memory.
const BEGUN: usize = 3;
/// How many changes are handed over in one piece.
const BATCH: usize = 128;
/// How many pieces of a layer may lie ready: those of most layers whole, of a larger one as much as a few megabytes hold.
const AHEAD: usize = 128;

/// A layer that is to be read.
#[derive(Debug)]
pub(crate) struct Job {
    bytes: SpoolReader,
    name: LayerName,
    number: u32,
    /// Where its outline is made, if that is wanted.
    keeps: Option<PathBuf>,
}

/// Layers that are put onto a tree one after the other, and read some way ahead.
#[derive(Debug)]
pub(crate) struct Headers<'a> {
    cancel: &'a Cancel,
    at_once: usize,
    waiting: VecDeque<Job>,
    /// The first one is the next to be put onto the tree. Dropped, it leaves its thread to end at its next piece.
    begun: VecDeque<Begun>,
}

/// A layer that is being read, or was.
#[derive(Debug)]
struct Begun {
    layer: Digest,
    pieces: Receiver<Vec<Change>>,
    thread: JoinHandle<Result<Option<Draft>, BuildError>>,
}

/// The tree that a stack of layers makes.
///
/// # Errors
/// When a layer cannot be read, is not what it should be, or cannot be laid on those before it.
pub(crate) fn tree_of(layers: &[NumberedLayer], cancel: &Cancel) -> Result<Tree, BuildError> {
    let mut tree = Tree::new();
    append(&mut tree, layers, cancel)?;
    Ok(tree)
}

/// Puts more layers onto a tree. After an error it is to be thrown away.
///
/// # Errors
/// As [`tree_of`].
pub(crate) fn append(
    tree: &mut Tree,
    layers: &[NumberedLayer],
    cancel: &Cancel,
) -> Result<(), BuildError> {
    let jobs = layers.iter().map(|layer| Job::new(layer, None));
    let mut headers = Headers::new(jobs.collect::<Result<_, _>>()?, cancel);
    for _ in layers {
        headers.append_next(tree)?;
    }
    Ok(())
}

impl<'a> Headers<'a> {
    /// Begins with the first ones.
    pub(crate) fn new(jobs: VecDeque<Job>, cancel: &'a Cancel) -> Self {
        let processors = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self {
            cancel,
            at_once: processors.min(AT_ONCE),
            waiting: jobs,
            begun: VecDeque::new(),
        }
    }

    /// Puts the next layer onto a tree, and gives its outline if it was wanted. After an error the tree is to be thrown away.
    pub(crate) fn append_next(&mut self, tree: &mut Tree) -> Result<Option<Draft>, BuildError> {
        tree.begin_layer();
        loop {
            self.begin_more()?;
            let Some(current) = self.begun.front() else {
                return Err(nobody_looked());
            };
            // The end of the pieces is the end of the thread.
            let Ok(changes) = current.pieces.recv() else {
                break;
            };
            check_cancelled(self.cancel)?;
            let digest = current.layer;
            for change in changes {
                tree.apply(change).map_err(failed(digest))?;
            }
        }
        let done = self.begun.pop_front().ok_or_else(nobody_looked)?;
        done.thread
            .join()
            .map_err(|_| BuildError::panicked("wait for a thread that reads a layer"))?
    }

    /// Begins as many layers as may be read now.
    fn begin_more(&mut self) -> Result<(), BuildError> {
        let is_busy = |begun: &&Begun| !begun.thread.is_finished();
        while self.begun.len() < BEGUN
            && self.begun.iter().filter(is_busy).count() < self.at_once
            && let Some(job) = self.waiting.pop_front()
        {
            self.begun.push_back(job.begin(self.cancel)?);
        }
        Ok(())
    }
}

impl Job {
    /// A layer whose bytes are here or arrive. Its outline is made in the directory `keeps`, if there is one.
    pub(crate) fn new(
        (layer, number): &NumberedLayer,
        keeps: Option<&Path>,
    ) -> Result<Self, BuildError> {
        Ok(Self {
            bytes: layer.bytes()?,
            name: layer.name(),
            number: *number,
            keeps: keeps.map(Path::to_owned),
        })
    }

    fn begin(self, cancel: &Cancel) -> Result<Begun, BuildError> {
        let (sender, pieces) = sync_channel(AHEAD);
        let (layer, cancel) = (self.name.digest, cancel.clone());
        let thread = thread::Builder::new()
            .name("headers".to_owned())
            .spawn(move || self.read(&sender, &cancel))
            .map_err(|source| BuildError::Machine {
                operation: "start a thread that reads a layer",
                source,
            })?;
        Ok(Begun {
            layer,
            pieces,
            thread,
        })
    }

    /// Reads the layer to its end, which its digest, its size and its `diff_id` have to agree with.
    fn read(
        self,
        pieces: &SyncSender<Vec<Change>>,
        cancel: &Cancel,
    ) -> Result<Option<Draft>, BuildError> {
        let digest = self.name.digest;
        let stream = decompress(self.bytes).map_err(failed(digest))?;
        let stream = ReadAhead::new(stream)?;
        let mut draft = self.keeps.map(|work| Draft::new(self.name, &work));
        let mut reader = LayerReader::new(stream, Dialect::Layer, self.number);
        let mut piece = Vec::with_capacity(BATCH);
        while let Some(mut entry) = reader.next_entry().map_err(failed(digest))? {
            check_cancelled(cancel)?;
            if let Some(draft) = draft.as_mut().filter(|draft| draft.is_recording()) {
                let kept = outlines::content_to_keep(&mut entry).map_err(failed(digest))?;
                draft.put(&entry.change, kept.as_deref());
            }
            piece.push(entry.change);
            if piece.len() == BATCH {
                let full = std::mem::replace(&mut piece, Vec::with_capacity(BATCH));
                if pieces.send(full).is_err() {
                    // Nobody wants the layer any more.
                    return Ok(None);
                }
            }
        }
        // Who has gone away does not ask how it ended either.
        drop(pieces.send(piece));
        let stream = reader.finish().map_err(failed(digest))?;
        stream.ensure(digest, self.name.diff_id)?;
        Ok(draft)
    }
}

fn failed(layer: Digest) -> impl Fn(Error) -> BuildError {
    move |source| BuildError::Layer {
        operation: format!("read the layer {layer}"),
        source,
    }
}
