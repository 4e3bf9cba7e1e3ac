//! Layers that are put onto a root filesystem, one after the other.

use std::io::{self, Read};

use kigumi_layer::{Change, Dialect, LayerEntry, LayerReader, Origin, Tree, decompress};
use kigumi_rootfs::{Exclusions, Index, Unpacker, Virtuals, WritableRoot};
use kigumi_run::Cancel;

use super::layers::Layer;
use super::outlines::{self, Recorder};
use super::read_ahead::ReadAhead;
use super::workshop::check_cancelled;
use crate::error::BuildError;

/// A root filesystem, and the tree of what is on it.
pub(super) struct Unpacking<'a> {
    place: (&'a WritableRoot, &'a Exclusions),
    tree: Tree,
    unpacker: Unpacker<'a>,
    aside: Aside<'a>,
    cancel: &'a Cancel,
    recorder: Option<Recorder<'a>>,
}

impl<'a> Unpacking<'a> {
    /// `there` is what is on the root already; a `recorder` makes outlines of the layers.
    pub(super) fn new(
        place: (&'a WritableRoot, &'a Exclusions),
        there: (Tree, Virtuals),
        (cancel, recorder): (&'a Cancel, Option<Recorder<'a>>),
    ) -> Self {
        let (root, exclusions) = place;
        let (tree, virtuals) = there;
        Self {
            place,
            tree,
            unpacker: Unpacker::new(root, exclusions, virtuals),
            aside: Aside::of(exclusions),
            cancel,
            recorder,
        }
    }

    /// Unpacks the layers, and looks at what is on the disk then.
    pub(super) fn all(mut self, layers: &[(Layer, u32)]) -> Result<Index, BuildError> {
        for (layer, blob) in layers {
            self.layer(layer, *blob)?;
        }
        let (root, exclusions) = self.place;
        let virtuals = self
            .unpacker
            .finish(&mut self.tree)
            .map_err(BuildError::root("unpack the layers"))?;
        Index::record(root, exclusions, self.tree, virtuals)
            .map_err(BuildError::root("look at what was unpacked"))
    }

    /// Applies one layer to the tree and to the disk; checks digest, size and `diff_id` on the way.
    fn layer(&mut self, layer: &Layer, blob: u32) -> Result<(), BuildError> {
        let digest = layer.descriptor.digest;
        let failed_layer = |source| BuildError::Layer {
            operation: format!("unpack the layer {digest}"),
            source,
        };
        let stream = decompress(layer.bytes()?).map_err(failed_layer)?;
        let stream = ReadAhead::new(stream)?;
        if let Some(recorder) = &mut self.recorder {
            recorder.begin(layer.name());
        }
        let mut reader = LayerReader::new(stream, Dialect::Layer, blob);
        self.tree.begin_layer();
        while let Some(mut entry) = reader.next_entry().map_err(failed_layer)? {
            check_cancelled(self.cancel)?;
            let mut kept = None;
            if let Some(recorder) = self.recorder.as_mut().filter(|it| it.is_recording()) {
                kept = outlines::content_to_keep(&mut entry).map_err(failed_layer)?;
                recorder.put(&entry.change, kept.as_deref());
            }
            let change = self
                .aside
                .keep(&mut entry, &mut kept)
                .map_err(failed_layer)?
                .unwrap_or_else(|| entry.change.clone());
            let effect = self.tree.apply(change).map_err(failed_layer)?;
            let mut kept = kept.map(io::Cursor::new);
            let content: Option<&mut dyn Read> = match (&mut kept, entry.content.as_mut()) {
                (Some(kept), _) => Some(kept),
                (None, Some(content)) => Some(content),
                (None, None) => None,
            };
            self.unpacker
                .apply(&mut self.tree, &entry.change, &effect, content)
                .map_err(|source| {
                    let path = entry.change.path();
                    let operation = format!("unpack `{path}` of the layer {digest}");
                    BuildError::Root { operation, source }
                })?;
        }
        let stream = reader.finish().map_err(failed_layer)?;
        stream.ensure(digest, layer.diff_id)?;
        if let Some(recorder) = &mut self.recorder {
            recorder.finish();
        }
        Ok(())
    }
}

/// Small files of a base that do not get to the disk, because the pod has something mounted there: their bytes are kept with the tree, since those
/// of their layers may be gone when somebody asks for them.
struct Aside<'a> {
    exclusions: &'a Exclusions,
    /// How many bytes there is room for.
    left: u64,
}

impl<'a> Aside<'a> {
    /// What a pod mounts over files of a base, `/etc/hosts` and the like, are a few short ones.
    const ROOM: u64 = 1024 * 1024;

    fn of(exclusions: &'a Exclusions) -> Self {
        Self {
            exclusions,
            left: Self::ROOM,
        }
    }

    /// The change with its bytes, if it is such a file. They are those that were `kept` already, or are kept from now on.
    fn keep<R: Read>(
        &mut self,
        entry: &mut LayerEntry<'_, R>,
        kept: &mut Option<Vec<u8>>,
    ) -> Result<Option<Change>, kigumi_layer::Error> {
        let path = entry.change.path();
        let size = match entry.change.file() {
            Some(content) if self.exclusions.is_excluded(path) => content.size,
            Some(_) | None => return Ok(None),
        };
        let Some(left) = self.left.checked_sub(size) else {
            return Ok(None);
        };
        if kept.is_none() {
            *kept = outlines::read_content(entry)?;
        }
        self.left = left;
        let mut change = entry.change.clone();
        if let (Some(content), Some(bytes)) = (change.file_mut(), kept) {
            content.origin = Origin::Inline(bytes.as_slice().into());
        }
        Ok(Some(change))
    }
}
