use std::io::{self, Read};
use std::path::PathBuf;

use kigumi_layer::{
    Change, Dialect, ImagePath, LayerEntry, LayerReader, Origin, OutlineReader, Tree, decompress,
};
use kigumi_registry::Spool;
use kigumi_rootfs::{
    DisposableRoot, Exclusions, Former, Index, Protection, Unpacker, Virtuals, WritableRoot,
    abandon, remove_sockets, wipe,
};
use kigumi_run::Cancel;

use super::contents::Contents;
use super::layers::Layer;
use super::outlines::{self, Recorder};
use super::read_ahead::ReadAhead;
use super::workshop::check_cancelled;
use crate::error::BuildError;
use crate::report::Events;

/// The root filesystem that stages with a RUN live on, one after the other.
#[derive(Debug)]
pub(crate) struct Ground {
    root: WritableRoot,
    exclusions: Exclusions,
    path: PathBuf,
    /// What was here before; none if nobody wants it again.
    former: Option<Former>,
    /// Whether everything that is here now was put here by us.
    is_emptied: bool,
}

fn failed(operation: &str) -> impl Fn(kigumi_rootfs::Error) -> BuildError {
    let operation = operation.to_owned();
    move |source| BuildError::Root {
        operation: operation.clone(),
        source,
    }
}

impl Ground {
    /// Takes possession of a root that the interlock has released.
    pub(crate) fn new(
        disposable: &DisposableRoot,
        protection: &Protection,
        former: Option<Former>,
    ) -> Result<Self, BuildError> {
        let root = disposable
            .open()
            .map_err(failed("open the root filesystem"))?;
        let exclusions = Exclusions::new(&root, protection)
            .map_err(failed("find what of the root filesystem is not ours"))?;
        Ok(Self {
            root,
            exclusions,
            path: disposable.path().to_owned(),
            former,
            is_emptied: false,
        })
    }

    /// Where the root is on the host; `/` in a pod.
    pub(crate) fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// The root, to move things out of it.
    pub(crate) fn parts(&self) -> (&WritableRoot, &Exclusions) {
        (&self.root, &self.exclusions)
    }

    /// Empties the root. What was there before the first time is moved aside if it is wanted again.
    pub(crate) fn wipe(&mut self) -> Result<(), BuildError> {
        if let Some(former) = self.former.as_mut().filter(|former| !former.is_away()) {
            former
                .move_aside(&self.root, &mut self.exclusions)
                .map_err(failed("move the content of the root filesystem aside"))?;
        }
        wipe(&self.root, &mut self.exclusions).map_err(failed("empty the root filesystem"))?;
        self.is_emptied = true;
        Ok(())
    }

    /// Sees to it that the kernel does not write to the disk what nobody will read: the container ends, and with it all that is here. Gives how
    /// many bytes that was.
    pub(crate) fn abandon(&mut self) -> Result<u64, BuildError> {
        if !self.is_emptied || self.former.is_some() {
            return Ok(0);
        }
        abandon(&self.root, &mut self.exclusions)
            .map_err(failed("cut the files of the root filesystem"))
    }

    /// Undoes everything that was done to the root, if it is wanted again.
    pub(crate) fn give_back(&mut self) -> Result<(), BuildError> {
        let Some(former) = self.former.take() else {
            return Ok(());
        };
        former
            .give_back(&self.root, &mut self.exclusions)
            .map_err(failed(
                "put back what was on the root filesystem before the build",
            ))
    }

    /// Unpacks a stack of layers onto the emptied root.
    pub(crate) fn unpack(
        &mut self,
        layers: &[(Layer, u32)],
        cancel: &Cancel,
        events: &Events,
        recorder: Recorder<'_>,
    ) -> Result<Index, BuildError> {
        self.wipe()?;
        let nothing = (Tree::new(), Virtuals::default());
        self.lay(nothing, layers, (cancel, events), recorder)
    }

    /// Unpacks more layers onto what is there.
    pub(crate) fn extend(
        &mut self,
        index: Index,
        layers: &[(Layer, u32)],
        told: (&Cancel, &Events),
        recorder: Recorder<'_>,
    ) -> Result<Index, BuildError> {
        self.lay(index.into_parts(), layers, told, recorder)
    }

    fn lay(
        &self,
        (mut tree, virtuals): (Tree, Virtuals),
        layers: &[(Layer, u32)],
        (cancel, events): (&Cancel, &Events),
        mut recorder: Recorder<'_>,
    ) -> Result<Index, BuildError> {
        let mut unpacker = Unpacker::new(&self.root, &self.exclusions, virtuals);
        let mut aside = Aside::of(&self.exclusions);
        for (layer, blob) in layers {
            let tools = (&mut unpacker, &mut aside, Some(&mut recorder));
            apply_layer(&mut tree, (layer, *blob), cancel, tools)?;
        }
        let virtuals = unpacker
            .finish(&mut tree)
            .map_err(failed("unpack the base"))?;
        report_virtuals(&virtuals, events);
        Index::record(&self.root, &self.exclusions, tree, virtuals)
            .map_err(failed("look at the unpacked base"))
    }

    /// Does on the root what an instruction did to the tree.
    pub(crate) fn apply(
        &mut self,
        index: Index,
        changes: &[Change],
        contents: &Contents,
    ) -> Result<Index, BuildError> {
        let (mut tree, virtuals) = index.into_parts();
        let mut unpacker = Unpacker::new(&self.root, &self.exclusions, virtuals);
        tree.begin_layer();
        for change in changes {
            let effect = tree
                .apply(change.clone())
                .map_err(|source| BuildError::Layer {
                    operation: format!("put `{}`", change.path()),
                    source,
                })?;
            let content = change.file();
            let mut content = content
                .map(|content| contents.open(change.path(), content))
                .transpose()?;
            let reader = content.as_mut().map(|reader| reader as &mut dyn Read);
            unpacker
                .apply(&mut tree, change, &effect, reader)
                .map_err(|source| failed(&format!("write `{}`", change.path()))(source))?;
        }
        let virtuals = unpacker
            .finish(&mut tree)
            .map_err(failed("write to the root filesystem"))?;
        Index::record(&self.root, &self.exclusions, tree, virtuals)
            .map_err(failed("look at the root filesystem"))
    }

    /// Makes sure that every change from now on is told from what is there.
    pub(crate) fn settle(&mut self, index: &mut Index) -> Result<(), BuildError> {
        index
            .settle(&self.root)
            .map_err(failed("look at the root filesystem"))
    }

    /// Looks at what a RUN did; gives the tree as it was before.
    pub(crate) fn scan(&mut self, index: &mut Index) -> Result<Tree, BuildError> {
        self.exclusions
            .refresh()
            .map_err(failed("read the mounts"))?;
        index
            .scan(&self.root, &self.exclusions)
            .map_err(failed("take a snapshot of the root filesystem"))
    }

    /// Brings an index up to what is on the root now, whatever has become of it; what no index knows is removed.
    pub(crate) fn look_again(&mut self, index: &mut Index) -> Result<(), BuildError> {
        self.exclusions
            .refresh()
            .map_err(failed("read the mounts"))?;
        remove_sockets(&self.root, &self.exclusions)
            .and_then(|()| index.scan(&self.root, &self.exclusions))
            .map(drop)
            .map_err(failed(
                "look at what a stage has left on the root filesystem",
            ))
    }

    /// The bytes of a file on the root.
    pub(crate) fn open(&self, path: &ImagePath) -> Result<std::fs::File, BuildError> {
        self.root
            .open_content(path)
            .map_err(failed(&format!("read `{path}`")))
    }
}

/// Unpacks a stack of layers into an empty directory.
pub(crate) fn unpack_stack(
    root: &WritableRoot,
    exclusions: &Exclusions,
    layers: &[(Layer, u32)],
    cancel: &Cancel,
) -> Result<Index, BuildError> {
    let mut tree = Tree::new();
    let mut unpacker = Unpacker::new(root, exclusions, Virtuals::default());
    let mut aside = Aside::of(exclusions);
    for (layer, blob) in layers {
        let tools = (&mut unpacker, &mut aside, None);
        apply_layer(&mut tree, (layer, *blob), cancel, tools)?;
    }
    let virtuals = unpacker
        .finish(&mut tree)
        .map_err(failed("unpack the layers"))?;
    Index::record(root, exclusions, tree, virtuals).map_err(failed("look at what was unpacked"))
}

/// Puts one more layer onto a tree, from its outline. After an error the tree is to be thrown away.
pub(crate) fn append_outline(
    tree: &mut Tree,
    (outline, blob): (&Spool, u32),
    cancel: &Cancel,
) -> Result<(), BuildError> {
    let failed = |source| BuildError::Layer {
        operation: "read the outline of a layer".to_owned(),
        source,
    };
    let mut reader = OutlineReader::new(outline.reader(), blob).map_err(failed)?;
    tree.begin_layer();
    while let Some(change) = reader.next_change().map_err(failed)? {
        check_cancelled(cancel)?;
        tree.apply(change).map_err(failed)?;
    }
    Ok(())
}

/// Applies one layer to the tree and to the disk; checks digest, size and `diff_id` on the way.
fn apply_layer(
    tree: &mut Tree,
    (layer, blob): (&Layer, u32),
    cancel: &Cancel,
    (unpacker, aside, mut recorder): (&mut Unpacker<'_>, &mut Aside<'_>, Option<&mut Recorder<'_>>),
) -> Result<(), BuildError> {
    let digest = layer.descriptor.digest;
    let failed_layer = |source| BuildError::Layer {
        operation: format!("unpack the layer {digest}"),
        source,
    };
    let stream = decompress(layer.bytes()?).map_err(failed_layer)?;
    let stream = ReadAhead::new(stream)?;
    if let Some(recorder) = recorder.as_deref_mut() {
        recorder.begin(layer.name());
    }
    let mut reader = LayerReader::new(stream, Dialect::Layer, blob);
    tree.begin_layer();
    while let Some(mut entry) = reader.next_entry().map_err(failed_layer)? {
        check_cancelled(cancel)?;
        let mut kept = None;
        if let Some(recorder) = recorder.as_deref_mut().filter(|it| it.is_recording()) {
            kept = outlines::content_to_keep(&mut entry).map_err(failed_layer)?;
            recorder.put(&entry.change, kept.as_deref());
        }
        let change = aside
            .keep(&mut entry, &mut kept)
            .map_err(failed_layer)?
            .unwrap_or_else(|| entry.change.clone());
        let effect = tree.apply(change).map_err(failed_layer)?;
        let mut kept = kept.map(io::Cursor::new);
        let content: Option<&mut dyn Read> = match (&mut kept, entry.content.as_mut()) {
            (Some(kept), _) => Some(kept),
            (None, Some(content)) => Some(content),
            (None, None) => None,
        };
        unpacker
            .apply(tree, &entry.change, &effect, content)
            .map_err(|source| {
                let path = entry.change.path();
                failed(&format!("unpack `{path}` of the layer {digest}"))(source)
            })?;
    }
    let stream = reader.finish().map_err(failed_layer)?;
    stream.ensure(digest, layer.diff_id)?;
    if let Some(recorder) = recorder {
        recorder.finish();
    }
    Ok(())
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

/// What the kernel did not let us write is right in the image and wrong on the disk: a RUN may notice.
fn report_virtuals(virtuals: &Virtuals, events: &Events) {
    let refused: Vec<String> = virtuals
        .iter()
        .filter(|(_, state)| {
            !matches!(
                state,
                kigumi_rootfs::Virtual::Absent(kigumi_rootfs::WhyVirtual::Excluded)
            )
        })
        .map(|(path, _)| path.to_string())
        .collect();
    let Some(first) = refused.first() else { return };
    events.emit(crate::report::BuildEvent::Detail {
        message: format!(
            "{} entries of the base could not be written exactly (the first is `{first}`); the image has them right",
            refused.len()
        ),
    });
}
