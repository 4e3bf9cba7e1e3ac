//! What layers do, known without their bytes.
//!
//! With a cache, the outline of every layer that is read is kept there. A stage that is only a value is then made of the outlines of its layers: none of
//! them is fetched. Bytes of files that somebody copies are fetched with the layer that has them, and no other.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;

use kigumi_layer::{
    Change, Dialect, Error, HashingRead, LayerEntry, LayerReader, OutlineWriter, Tree, decompress,
    keeps_content,
};
use kigumi_oci::DiffId;
use kigumi_registry::{Spool, SpoolWriter};

use super::ground;
use super::headers::{Headers, Job};
use super::stage::{NumberedLayer, Stages};
use super::workshop::Workshop;
use crate::cache::{FoundOutline, LayerName, NewOutline};
use crate::error::{BuildError, chain};
use crate::report::{BuildEvent, Events};

/// The outlines of a build.
#[derive(Debug, Default)]
pub(crate) struct Outlines {
    /// What came of asking for them.
    asked: BTreeMap<LayerName, Answer>,
    /// Those that are here, verified.
    here: BTreeMap<LayerName, Spool>,
    /// Those that were made and not given to the cache yet.
    made: Vec<NewOutline>,
    /// Whether new ones are kept.
    keeps: bool,
}

/// What is known of the outline of a layer.
#[derive(Debug, Clone)]
enum Answer {
    /// Nobody has a right one.
    Missing,
    /// Somebody has it.
    Found(Box<FoundOutline>),
    /// It was made, or cannot be made.
    Settled,
}

impl Outlines {
    /// Makes the outlines that nobody has, of layers that are read anyway.
    pub(crate) fn recorder<'a>(&'a mut self, workshop: &'a Workshop) -> Recorder<'a> {
        Recorder {
            outlines: self,
            work: workshop.work(),
            events: &workshop.events,
            draft: None,
        }
    }

    /// Whether the outline of a layer that is read anyway is to be made.
    fn wants(&self, layer: &LayerName) -> bool {
        self.keeps && matches!(self.asked.get(layer), Some(Answer::Missing))
    }

    /// Takes the outline of a layer that was read to its end, and is what it should be. What went wrong is told, and ends no build.
    fn take(&mut self, draft: Draft, events: &Events) {
        let layer = draft.layer;
        match draft.finish() {
            Ok(outline) => self.made.push(outline),
            Err(error) => {
                // Once: it would go wrong again.
                self.asked.insert(layer, Answer::Settled);
                events.warn(format!(
                    "what is in the layer {} is not kept: {}",
                    layer.digest,
                    chain(&error)
                ));
            }
        }
    }
}

/// Makes the outline of the layer at hand. What goes wrong is told, and ends no build.
#[derive(Debug)]
pub(crate) struct Recorder<'a> {
    outlines: &'a mut Outlines,
    work: &'a Path,
    events: &'a Events,
    draft: Option<Draft>,
}

impl Recorder<'_> {
    /// Begins the outline of a layer, if it is wanted.
    pub(crate) fn begin(&mut self, layer: LayerName) {
        let is_wanted = self.outlines.wants(&layer);
        self.draft = is_wanted.then(|| Draft::new(layer, self.work));
    }

    /// Whether it was begun and did not go wrong.
    pub(crate) fn is_recording(&self) -> bool {
        self.draft.as_ref().is_some_and(Draft::is_recording)
    }

    /// Adds what the layer does next.
    pub(crate) fn put(&mut self, change: &Change, content: Option<&[u8]>) {
        if let Some(draft) = &mut self.draft {
            draft.put(change, content);
        }
    }

    /// The layer was read to its end, and is what it should be.
    pub(crate) fn finish(&mut self) {
        if let Some(draft) = self.draft.take() {
            self.outlines.take(draft, self.events);
        }
    }
}

/// An outline that somebody makes who does not end for it: what goes wrong is known at its end.
#[derive(Debug)]
pub(crate) struct Draft {
    layer: LayerName,
    recording: Result<Recording, BuildError>,
}

impl Draft {
    /// Begins the outline of a layer, in a file in `work`.
    pub(crate) fn new(layer: LayerName, work: &Path) -> Self {
        let recording = Recording::new(layer, work);
        Self { layer, recording }
    }

    /// Whether nothing went wrong.
    pub(crate) const fn is_recording(&self) -> bool {
        self.recording.is_ok()
    }

    /// Adds what the layer does next.
    pub(crate) fn put(&mut self, change: &Change, content: Option<&[u8]>) {
        if let Ok(recording) = &mut self.recording
            && let Err(source) = recording.writer.put(change, content)
        {
            self.recording = Err(unkept(source));
        }
    }

    /// The layer was read to its end.
    pub(crate) fn finish(self) -> Result<NewOutline, BuildError> {
        self.recording?.finish()
    }
}

/// An outline while it is being made.
#[derive(Debug)]
struct Recording {
    layer: LayerName,
    writer: OutlineWriter<SpoolWriter>,
    spool: Spool,
}

impl Recording {
    fn new(layer: LayerName, work: &Path) -> Result<Self, BuildError> {
        let (writer, spool) = Spool::create(work).map_err(no_spool)?;
        let writer = OutlineWriter::new(writer).map_err(unkept)?;
        Ok(Self {
            layer,
            writer,
            spool,
        })
    }

    fn finish(self) -> Result<NewOutline, BuildError> {
        let (writer, finished) = self.writer.finish().map_err(unkept)?;
        let ended = writer.finish(finished.digest, finished.size);
        ended.map_err(no_spool)?;
        Ok(NewOutline {
            layer: self.layer,
            finished,
            spool: self.spool,
        })
    }
}

fn no_spool(source: kigumi_registry::Error) -> BuildError {
    BuildError::Registry {
        operation: "make a file for the outline of a layer".to_owned(),
        source: source.into(),
    }
}

fn unkept(source: Error) -> BuildError {
    BuildError::Layer {
        operation: "keep what is in a layer".to_owned(),
        source,
    }
}

/// The bytes of the file at hand, if they belong into the outline.
pub(crate) fn content_to_keep<R: Read>(
    entry: &mut LayerEntry<'_, R>,
) -> Result<Option<Vec<u8>>, Error> {
    if !keeps_content(&entry.change) {
        return Ok(None);
    }
    read_content(entry)
}

/// The bytes of the file at hand, if it is one.
pub(crate) fn read_content<R: Read>(
    entry: &mut LayerEntry<'_, R>,
) -> Result<Option<Vec<u8>>, Error> {
    let Some(content) = entry.content.as_mut() else {
        return Ok(None);
    };
    let mut bytes = Vec::new();
    let read = content.read_to_end(&mut bytes);
    read.map_err(|source| Error::ReadContent {
        path: entry.change.path().clone(),
        source,
    })?;
    Ok(Some(bytes))
}

/// Reads a layer to its end and makes its outline, in a file in `work`.
///
/// # Errors
/// When it cannot be read, or is not the layer that is named.
pub(crate) fn outline_of(
    bytes: impl Read,
    layer: LayerName,
    work: &Path,
) -> Result<NewOutline, BuildError> {
    let failed = |source| BuildError::Layer {
        operation: format!("read the layer {}", layer.digest),
        source,
    };
    let mut recording = Recording::new(layer, work)?;
    let stream = HashingRead::new(decompress(bytes).map_err(failed)?);
    let mut reader = LayerReader::new(stream, Dialect::Layer, 0);
    while let Some(mut entry) = reader.next_entry().map_err(failed)? {
        let kept = content_to_keep(&mut entry).map_err(failed)?;
        let put = recording.writer.put(&entry.change, kept.as_deref());
        put.map_err(unkept)?;
    }
    let (actual, _) = reader.finish().map_err(failed)?.finish();
    if DiffId(actual) != layer.diff_id {
        return Err(BuildError::DiffIdMismatch {
            layer: layer.digest,
            expected: layer.diff_id,
            actual: DiffId(actual),
        });
    }
    recording.finish()
}

impl Stages<'_> {
    /// Puts more layers onto a tree: by their outlines where these are known and the bytes are not here, else by their headers.
    pub(crate) fn append(
        &mut self,
        tree: &mut Tree,
        layers: &mut [NumberedLayer],
    ) -> Result<(), BuildError> {
        self.ensure_known(layers)?;
        let are_known: Vec<bool> = layers.iter().map(|layer| self.is_known(layer)).collect();
        let unknown = layers.iter_mut().zip(&are_known);
        let unknown = unknown.filter(|(_, is_known)| !**is_known);
        let jobs = unknown.map(|(layer, _)| self.job(layer));
        let workshop = self.workshop;
        let mut headers = Headers::new(jobs.collect::<Result<_, _>>()?, &workshop.cancel);
        let mut known = 0;
        for (layer, is_known) in layers.iter_mut().zip(are_known) {
            let draft = if !is_known {
                headers.append_next(tree)?
            } else if self.append_outline(tree, layer)? {
                known += 1;
                None
            } else {
                self.ensure_bytes(std::slice::from_mut(layer))?;
                let job = self.job(layer)?;
                Headers::new([job].into(), &workshop.cancel).append_next(tree)?
            };
            if let Some(draft) = draft {
                self.outlines.take(draft, &workshop.events);
            }
        }
        if known > 0 {
            let message = format!(
                "{known} of {} layers are known from the cache and not fetched",
                layers.len()
            );
            self.workshop.events.emit(BuildEvent::Detail { message });
        }
        self.keep_outlines();
        Ok(())
    }

    /// Whether the outline of a layer is here and its bytes are not.
    fn is_known(&self, (layer, _): &NumberedLayer) -> bool {
        layer.spool.is_none() && self.outlines.here.contains_key(&layer.name())
    }

    /// How a layer is read for its headers. Where nobody wants its bytes, whoever reads them is the last who has them.
    fn job(&self, layer: &mut NumberedLayer) -> Result<Job, BuildError> {
        let is_wanted = self.outlines.wants(&layer.0.name());
        let job = Job::new(layer, is_wanted.then(|| self.workshop.work()))?;
        if self.images.skims(layer.1)
            && let Some(spool) = layer.0.spool.take()
        {
            spool.pass();
        }
        Ok(job)
    }

    /// False if it is not right.
    fn append_outline(
        &mut self,
        tree: &mut Tree,
        (layer, number): &NumberedLayer,
    ) -> Result<bool, BuildError> {
        let name = layer.name();
        let Some(outline) = self.outlines.here.get(&name) else {
            return Ok(false);
        };
        // They share what the outline does not change.
        let mut next = tree.clone();
        match ground::append_outline(&mut next, (outline, *number), &self.workshop.cancel) {
            Ok(()) => {
                *tree = next;
                Ok(true)
            }
            Err(error @ BuildError::Cancelled { .. }) => Err(error),
            Err(error) => {
                self.outlines.here.remove(&name);
                // So that a right one takes its place.
                self.outlines.asked.insert(name, Answer::Missing);
                if let Some(caching) = &mut self.caching {
                    caching.cache().reject_outline(&name, chain(&error))?;
                }
                Ok(false)
            }
        }
    }

    /// Sees to it that of each layer the bytes or the outline are here, or arrive.
    pub(crate) fn ensure_known(&mut self, layers: &mut [NumberedLayer]) -> Result<(), BuildError> {
        self.ask_for_outlines(layers)?;
        let wanted = layers.iter().filter(|(layer, number)| {
            layer.spool.is_none() && self.contents.layer(*number).is_none()
        });
        let wanted: Vec<LayerName> = wanted.map(|(layer, _)| layer.name()).collect();
        self.fetch_outlines(&wanted)?;
        for layer in layers {
            let name = layer.0.name();
            if !wanted.contains(&name) || !self.outlines.here.contains_key(&name) {
                self.ensure_bytes(std::slice::from_mut(layer))?;
            }
        }
        Ok(())
    }

    /// Asks for the outlines of layers that will be read, to make those that nobody has.
    pub(crate) fn ask_for_outlines_to_keep(
        &mut self,
        layers: &[NumberedLayer],
    ) -> Result<(), BuildError> {
        let caching = self.caching.as_mut();
        if caching.is_some_and(|caching| caching.cache().writes()) {
            self.ask_for_outlines(layers)?;
        }
        Ok(())
    }

    /// Asks for outlines that nobody has asked for, of layers that earlier builds may have read: those of images and of the cache.
    fn ask_for_outlines(&mut self, layers: &[NumberedLayer]) -> Result<(), BuildError> {
        let Some(caching) = &mut self.caching else {
            return Ok(());
        };
        let mut wanted = Vec::new();
        for (layer, number) in layers {
            let is_older = self.images.has_layer(*number) || caching.has_layer(*number);
            if is_older && !self.outlines.asked.contains_key(&layer.name()) {
                self.outlines.asked.insert(layer.name(), Answer::Missing);
                wanted.push((layer.name(), self.images.outlines_beside(*number)));
            }
        }
        if !wanted.is_empty() {
            self.outlines.keeps = caching.cache().writes();
            let search = caching.cache().look_for_outlines(wanted);
            let found = self.workshop.wait(search)?;
            let found = found
                .into_iter()
                .map(|(name, found)| (name, Answer::Found(Box::new(found))));
            self.outlines.asked.extend(found);
        }
        Ok(())
    }

    /// Fetches those that somebody has.
    fn fetch_outlines(&mut self, names: &[LayerName]) -> Result<(), BuildError> {
        let Some(caching) = &mut self.caching else {
            return Ok(());
        };
        let outlines = &mut self.outlines;
        let mut wanted = BTreeMap::new();
        for name in names {
            if let (Some(Answer::Found(found)), false) =
                (outlines.asked.get(name), outlines.here.contains_key(name))
            {
                wanted.insert(*name, found.as_ref().clone());
            }
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let all: Vec<LayerName> = wanted.keys().copied().collect();
        let wanted = wanted.into_iter().collect();
        let fetch = caching.cache().fetch_outlines(wanted, self.workshop.work());
        let mut fetched = self.workshop.wait(fetch)?;
        for name in all {
            match fetched.remove(&name) {
                Some(spool) => drop(outlines.here.insert(name, spool)),
                None => drop(outlines.asked.insert(name, Answer::Missing)),
            }
        }
        Ok(())
    }

    /// Gives the cache the outlines that were made.
    pub(crate) fn keep_outlines(&mut self) {
        let made = std::mem::take(&mut self.outlines.made);
        if let Some(caching) = &mut self.caching {
            for outline in made {
                self.outlines.asked.insert(outline.layer, Answer::Settled);
                self.outlines
                    .here
                    .insert(outline.layer, outline.spool.clone());
                caching.cache().store_outline(outline);
            }
        }
    }

    /// Makes the bytes of files inside layers readable. A layer that is known by its outline only is fetched for that.
    pub(crate) fn extract(&mut self, changes: &mut [Change]) -> Result<(), BuildError> {
        let behind = self.contents.layers_behind(changes);
        for number in &behind {
            if self.contents.layer(*number).is_some() {
                continue;
            }
            if let Some(spool) = self.cached_bytes(*number)? {
                self.contents.set_layer(*number, Some(spool));
            } else if let Some((spool, _)) = self.images.bytes(*number)? {
                self.contents.set_layer(*number, Some(spool));
            }
        }
        for number in behind {
            // It may still be arriving, and what follows the file is part of what was promised.
            if let Some(spool) = self.contents.layer(number).cloned() {
                let workshop = self.workshop;
                workshop.wait(async move {
                    let finished = spool.finished().await;
                    finished.map(drop).map_err(|failure| BuildError::Work {
                        operation: "fetch a layer to copy from it",
                        directory: workshop.work().to_owned(),
                        source: io::Error::other(failure),
                    })
                })?;
            }
        }
        self.contents.extract(changes)
    }
}
