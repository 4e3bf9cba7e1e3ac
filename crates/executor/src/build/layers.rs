use std::borrow::Borrow;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;

use kigumi_layer::{
    Change, CompressionSettings, Entry, FileContent, FinishedLayer, HashingRead, ImagePath,
    LayerEncoder, LayerWriter, Timestamp,
};
use kigumi_oci::{
    Compression, Descriptor, DiffId, Digest, ImageFormat, MediaType, layer_media_type,
};
use kigumi_plan::CacheKey;
use kigumi_registry::{Repository, Spool, SpoolReader, SpoolWriter};

use kigumi_run::Cancel;

use super::push::Uploads;
use super::stage::NumberedLayer;
use crate::cache::{LayerBytes, LayerName};
use crate::error::BuildError;
use crate::report::{Events, LayerSummary};

/// A layer of an image, base or new, with its bytes as long as they are needed.
#[derive(Debug, Clone)]
pub(crate) struct Layer {
    /// As stored.
    pub(crate) descriptor: Descriptor,
    /// As a tar.
    pub(crate) diff_id: DiffId,
    /// How it is compressed.
    pub(crate) compression: Compression,
    /// The epoch that no time in it exceeds, if it was written so; layers of a base are what they are.
    pub(crate) latest: Option<Timestamp>,
    /// Its bytes, if somebody may still want them.
    pub(crate) spool: Option<Spool>,
}

/// How layers are written.
#[derive(Debug)]
pub(crate) struct Recipe {
    pub(crate) compression: CompressionSettings,
    /// Newer times become this one (`SOURCE_DATE_EPOCH`).
    pub(crate) latest: Option<Timestamp>,
}

/// A layer that was just written, and what was learned of its files while they were read.
#[derive(Debug)]
pub(crate) struct WrittenLayer {
    pub(crate) finished: FinishedLayer,
    /// How many changes it has.
    entries: usize,
    pub(crate) digests: Digests,
    /// Files that shrank while they were read; zeros stand for what was missing (T-PROC-05).
    pub(crate) shrunk: Vec<ImagePath>,
}

/// Those of the regular files of a layer, in its order, if anybody wants them; `None` for one that shrank while it was read.
pub(crate) type Digests = Vec<Option<Digest>>;

/// Whether somebody will ask for the digests of a layer's files. To hash them takes about as long as to hash the layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileDigests {
    /// They are taken while the files are read.
    Taken,
    /// Nobody will.
    Unwanted,
}

/// How a layer is written, who may end that, and what is to be learned of its files.
pub(crate) type How<'a> = (&'a Recipe, &'a Cancel, FileDigests);

/// Opens the content of a file that a layer holds.
pub(crate) type Open<'a> =
    dyn Fn(&ImagePath, &FileContent) -> Result<Box<dyn Read + 'a>, BuildError> + 'a;

/// Writes a layer into `sink`: every file is read once.
fn write_layer<W: Write>(
    changes: impl IntoIterator<Item: Borrow<Change>> + Clone,
    open: &Open<'_>,
    (recipe, cancel, file_digests): How<'_>,
    sink: W,
) -> Result<WrittenLayer, BuildError> {
    let failed = |source| BuildError::Layer {
        operation: "write the layer".to_owned(),
        source,
    };
    let writer = LayerWriter::new(sink, &recipe.compression).map_err(failed)?;
    let (mut entries, mut files) = (0, 0);
    let first_look = changes.clone().into_iter().inspect(|change| {
        entries += 1;
        files += usize::from(change.borrow().file().is_some());
    });
    let mut encoder = LayerEncoder::new(writer)
        .clamp_times(recipe.latest)
        .expect_changes(first_look);
    let mut digests = match file_digests {
        FileDigests::Taken => Vec::with_capacity(files),
        FileDigests::Unwanted => Vec::new(),
    };
    let mut shrunk = Vec::new();
    for change in changes {
        let change = change.borrow();
        let Change::Put {
            path,
            entry: Entry::File(content),
            ..
        } = change
        else {
            // Nothing to read, so nothing that could shrink.
            let _written = encoder.entry_without_content(change).map_err(failed)?;
            continue;
        };
        let mut content = Watched {
            inner: open(path, content)?,
            cancel,
        };
        let missing = match file_digests {
            FileDigests::Taken => {
                let mut reader = HashingRead::new(content);
                let written = encoder.entry(change, &mut reader).map_err(failed)?;
                digests.push((written.missing == 0).then(|| reader.finish().0));
                written.missing
            }
            FileDigests::Unwanted => {
                let written = encoder.entry(change, &mut content);
                written.map_err(failed)?.missing
            }
        };
        if missing > 0 {
            shrunk.push(path.clone());
        }
    }
    let writer = encoder.finish().map_err(failed)?;
    let finished = writer.finish().map_err(failed)?;
    Ok(WrittenLayer {
        finished,
        entries,
        digests,
        shrunk,
    })
}

/// Content that ends when the build is told to end: a large file must not outlast the grace period.
struct Watched<'a, R> {
    inner: R,
    cancel: &'a Cancel,
}

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.cancel.is_cancelled() {
            return Err(io::Error::other("the build was told to end"));
        }
        self.inner.read(buffer)
    }
}

/// A layer that an instruction made.
#[derive(Debug)]
pub(crate) struct NewLayer {
    /// For the image; absent for a stage whose layers nobody wants.
    pub(crate) layer: Option<Layer>,
    /// Its bytes, for the cache; absent if nobody keeps or sends them.
    pub(crate) bytes: Option<LayerBytes>,
    /// The digests of its files; none if it was not written, or nobody wants them.
    pub(crate) digests: Digests,
    entries: usize,
    uncompressed: u64,
}

impl NewLayer {
    /// That of an instruction whose result is no layer.
    pub(crate) fn none() -> Self {
        Self {
            layer: None,
            bytes: None,
            digests: Vec::new(),
            entries: 0,
            uncompressed: 0,
        }
    }

    /// Whether it is one.
    pub(crate) fn has_layer(&self) -> bool {
        self.entries > 0 || self.layer.is_some()
    }

    /// For the log.
    pub(crate) fn summary(&self) -> LayerSummary {
        LayerSummary {
            digest: self.layer.as_ref().map(|layer| layer.descriptor.digest),
            size: self.layer.as_ref().map_or(0, |layer| layer.descriptor.size),
            uncompressed: self.uncompressed,
            entries: self.entries,
        }
    }
}

/// When new layers are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sending {
    /// While they grow.
    AtOnce,
    /// Not yet: they are not those of the image.
    Later,
}

/// Makes layers and starts to send them while they grow.
#[derive(Debug)]
pub(crate) struct LayerFactory {
    pub(crate) recipe: Recipe,
    pub(crate) work: PathBuf,
    /// Absent when nothing is pushed.
    pub(crate) uploads: Option<Uploads>,
    /// Whether the bytes of the image's layers are wanted at the end, or by other stages.
    pub(crate) keep: bool,
    pub(crate) sending: Sending,
    pub(crate) events: Events,
    pub(crate) cancel: Cancel,
}

impl LayerFactory {
    /// Makes the layer of `changes`, if anybody wants it, and sends it if it is part of the image. `for_cache` says whether its bytes are wanted for
    /// the cache as well.
    pub(crate) fn write(
        &mut self,
        (wanted, file_digests): (Wanted, FileDigests),
        for_cache: bool,
        changes: impl IntoIterator<Item: Borrow<Change>> + Clone,
        open: &Open<'_>,
    ) -> Result<NewLayer, BuildError> {
        if wanted == Wanted::No && !for_cache {
            return Ok(NewLayer {
                layer: None,
                bytes: None,
                digests: Vec::new(),
                entries: changes.into_iter().count(),
                uncompressed: 0,
            });
        }
        let at_once = self.sending == Sending::AtOnce;
        let sends = wanted.is_in_image() && at_once && self.uploads.is_some();
        let keeps = self.keep || wanted.is_for_stages();
        let spool = if sends || keeps || for_cache {
            Some(self.spool()?)
        } else {
            None
        };
        let (writer, spool) = spool.unzip();
        let bytes = match (sends, &mut self.uploads, &spool) {
            (true, Some(uploads), Some(spool)) => Some(uploads.start(spool)),
            (_, _, Some(spool)) => Some(LayerBytes {
                spool: spool.clone(),
                near: Vec::new(),
                sent: None,
            }),
            (_, _, None) => None,
        };
        let how = (&self.recipe, &self.cancel, file_digests);
        let written = match writer {
            Some(writer) => write_spooled(changes, open, how, writer)?,
            None => write_layer(changes, open, how, io::sink())?,
        };
        for path in &written.shrunk {
            self.events.warn(format!(
                "`{path}` became shorter while it was read; the layer has zeros in its place"
            ));
        }
        let kept = spool.filter(|_| keeps);
        Ok(NewLayer {
            bytes: bytes.filter(|_| for_cache),
            entries: written.entries,
            uncompressed: written.finished.uncompressed_size,
            digests: written.digests,
            layer: Some(Layer::new(&written.finished, self.recipe.latest, kept)),
        })
    }

    /// Brings the layers of the image's base to where the image goes.
    pub(crate) fn send_base(&mut self, layers: &[NumberedLayer], from: Option<&Repository>) {
        if let Some(uploads) = &mut self.uploads {
            for (layer, _) in layers {
                uploads.start_base(layer, from);
            }
        }
    }

    /// Brings a layer of the cache to where the image goes.
    pub(crate) fn send_cached(&mut self, key: CacheKey, layer: &Layer, from: Option<&Repository>) {
        let at_once = self.sending == Sending::AtOnce;
        if let (true, Some(uploads)) = (at_once, &mut self.uploads) {
            uploads.start_cached(key, layer, from);
        }
    }

    /// Ends the build early when an upload has failed.
    pub(crate) fn check_uploads(&mut self) -> Result<(), BuildError> {
        self.uploads.as_mut().map_or(Ok(()), Uploads::check)
    }

    fn spool(&self) -> Result<(SpoolWriter, Spool), BuildError> {
        Spool::create(&self.work).map_err(|source| BuildError::Registry {
            operation: "make a file for the layer".to_owned(),
            source: Arc::new(source),
        })
    }
}

/// Who wants a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Nobody: its stage is only copied from.
    No,
    /// The image.
    ByImage,
    /// Stages that are built on this one.
    ByStages,
    /// Both.
    ByBoth,
}

impl Wanted {
    /// The same, and stages that are built on this one, or this one itself when it is unpacked again.
    #[must_use]
    pub(crate) fn and_by_stages(self) -> Self {
        match self {
            Self::No | Self::ByStages => Self::ByStages,
            Self::ByImage | Self::ByBoth => Self::ByBoth,
        }
    }

    fn is_in_image(self) -> bool {
        matches!(self, Self::ByImage | Self::ByBoth)
    }

    fn is_for_stages(self) -> bool {
        matches!(self, Self::ByStages | Self::ByBoth)
    }
}

/// Writes a layer into a spool, and ends it.
pub(crate) fn write_spooled(
    changes: impl IntoIterator<Item: Borrow<Change>> + Clone,
    open: &Open<'_>,
    how: How<'_>,
    mut writer: SpoolWriter,
) -> Result<WrittenLayer, BuildError> {
    // A writer that is dropped fails its readers, so an error here ends the upload as well.
    let written = write_layer(changes, open, how, &mut writer)?;
    let finished = &written.finished;
    writer
        .finish(finished.digest, finished.size)
        .map_err(|source| BuildError::Registry {
            operation: "finish the layer".to_owned(),
            source: Arc::new(source),
        })?;
    Ok(written)
}

impl Layer {
    /// Its bytes from the beginning, which may still be arriving.
    pub(crate) fn bytes(&self) -> Result<SpoolReader, BuildError> {
        let spool = self.spool.as_ref().ok_or_else(|| BuildError::Content {
            path: self.descriptor.digest.to_string(),
            source: io::Error::other(
                "the layer was not kept; this is a defect of kigumi, please report it",
            ),
        })?;
        Ok(spool.reader())
    }

    /// What its outline is asked for by.
    pub(crate) fn name(&self) -> LayerName {
        LayerName {
            digest: self.descriptor.digest,
            diff_id: self.diff_id,
        }
    }

    /// A new layer; what it is called in the image is decided with the image.
    pub(crate) fn new(
        finished: &FinishedLayer,
        latest: Option<Timestamp>,
        spool: Option<Spool>,
    ) -> Self {
        let media_type = layer_media_type(ImageFormat::Oci, finished.compression)
            .unwrap_or(MediaType::ImageLayerGzip);
        Self {
            descriptor: Descriptor::new(media_type, finished.digest, finished.size),
            diff_id: finished.diff_id,
            compression: finished.compression,
            latest,
            spool,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kigumi_layer::{Metadata, Mode};

    use super::*;

    fn written(file_digests: FileDigests, size: u64) -> (WrittenLayer, Vec<u8>) {
        let change = Change::Put {
            path: ImagePath::parse(b"file").unwrap(),
            entry: Entry::File(FileContent {
                size,
                ..FileContent::inline(b"what it holds")
            }),
            metadata: Metadata::root_owned(Mode::FILE, Timestamp::from_seconds(1)),
        };
        let recipe = Recipe {
            compression: CompressionSettings::new(Compression::None),
            latest: None,
        };
        let open = |_: &ImagePath, _: &FileContent| -> Result<Box<dyn Read>, BuildError> {
            Ok(Box::new(&b"what it holds"[..]))
        };
        let cancel = Cancel::new(Duration::ZERO).unwrap();
        let how = (&recipe, &cancel, file_digests);
        let mut sink = Vec::new();
        let written = write_layer(&[change], &open, how, &mut sink).unwrap();
        (written, sink)
    }

    #[test]
    fn a_layer_is_the_same_whether_its_files_are_hashed_or_not() {
        let (taken, with) = written(FileDigests::Taken, 13);
        let (unwanted, without) = written(FileDigests::Unwanted, 13);
        assert_eq!(with, without);
        assert_eq!(taken.finished, unwanted.finished);
        assert_eq!(taken.digests, [Some(Digest::of(b"what it holds"))]);
        assert_eq!(unwanted.digests, []);
    }

    /// T-PROC-05.
    #[test]
    fn a_file_that_shrank_is_told_of_whether_it_is_hashed_or_not() {
        for (file_digests, digests) in [
            (FileDigests::Taken, vec![None]),
            (FileDigests::Unwanted, vec![]),
        ] {
            let (written, _) = written(file_digests, 14);
            assert_eq!(written.shrunk, [ImagePath::parse(b"file").unwrap()]);
            assert_eq!(written.digests, digests);
        }
    }
}
