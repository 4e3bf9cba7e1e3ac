use std::io::Read;
use std::path::PathBuf;

use kigumi_layer::{Change, ImagePath, OutlineReader, Tree};
use kigumi_registry::Spool;
use kigumi_rootfs::{
    DisposableRoot, Exclusions, Former, Index, Protection, Unpacker, Virtuals, WritableRoot,
    abandon, remove_sockets, wipe,
};
use kigumi_run::Cancel;

use super::contents::Contents;
use super::layers::Layer;
use super::outlines::Recorder;
use super::unpacking::Unpacking;
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

impl Ground {
    /// Takes possession of a root that the interlock has released.
    pub(crate) fn new(
        disposable: &DisposableRoot,
        protection: &Protection,
        former: Option<Former>,
    ) -> Result<Self, BuildError> {
        let root = disposable
            .open()
            .map_err(BuildError::root("open the root filesystem"))?;
        let exclusions = Exclusions::new(&root, protection).map_err(BuildError::root(
            "find what of the root filesystem is not ours",
        ))?;
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
                .map_err(BuildError::root(
                    "move the content of the root filesystem aside",
                ))?;
        }
        wipe(&self.root, &mut self.exclusions)
            .map_err(BuildError::root("empty the root filesystem"))?;
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
            .map_err(BuildError::root("cut the files of the root filesystem"))
    }

    /// Undoes everything that was done to the root, if it is wanted again.
    pub(crate) fn give_back(&mut self) -> Result<(), BuildError> {
        let Some(former) = self.former.take() else {
            return Ok(());
        };
        former
            .give_back(&self.root, &mut self.exclusions)
            .map_err(BuildError::root(
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
        there: (Tree, Virtuals),
        layers: &[(Layer, u32)],
        (cancel, events): (&Cancel, &Events),
        recorder: Recorder<'_>,
    ) -> Result<Index, BuildError> {
        let place = (&self.root, &self.exclusions);
        let index = Unpacking::new(place, there, (cancel, Some(recorder))).all(layers)?;
        report_virtuals(index.virtuals(), events);
        Ok(index)
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
                .map_err(|source| BuildError::Root {
                    operation: format!("write `{}`", change.path()),
                    source,
                })?;
        }
        let virtuals = unpacker
            .finish(&mut tree)
            .map_err(BuildError::root("write to the root filesystem"))?;
        Index::record(&self.root, &self.exclusions, tree, virtuals)
            .map_err(BuildError::root("look at the root filesystem"))
    }

    /// Makes sure that every change from now on is told from what is there.
    pub(crate) fn settle(&mut self, index: &mut Index) -> Result<(), BuildError> {
        index
            .settle(&self.root)
            .map_err(BuildError::root("look at the root filesystem"))
    }

    /// Looks at what a RUN did; gives the tree as it was before.
    pub(crate) fn scan(&mut self, index: &mut Index) -> Result<Tree, BuildError> {
        self.exclusions
            .refresh()
            .map_err(BuildError::root("read the mounts"))?;
        index
            .scan(&self.root, &self.exclusions)
            .map_err(BuildError::root("take a snapshot of the root filesystem"))
    }

    /// Brings an index up to what is on the root now, whatever has become of it; what no index knows is removed.
    pub(crate) fn look_again(&mut self, index: &mut Index) -> Result<(), BuildError> {
        self.exclusions
            .refresh()
            .map_err(BuildError::root("read the mounts"))?;
        remove_sockets(&self.root, &self.exclusions)
            .and_then(|()| index.scan(&self.root, &self.exclusions))
            .map(drop)
            .map_err(BuildError::root(
                "look at what a stage has left on the root filesystem",
            ))
    }

    /// The bytes of a file on the root.
    pub(crate) fn open(&self, path: &ImagePath) -> Result<std::fs::File, BuildError> {
        self.root
            .open_content(path)
            .map_err(|source| BuildError::Root {
                operation: format!("read `{path}`"),
                source,
            })
    }
}

/// Unpacks a stack of layers into an empty directory.
pub(crate) fn unpack_stack(
    root: &WritableRoot,
    exclusions: &Exclusions,
    layers: &[(Layer, u32)],
    cancel: &Cancel,
) -> Result<Index, BuildError> {
    let nothing = (Tree::new(), Virtuals::default());
    Unpacking::new((root, exclusions), nothing, (cancel, None)).all(layers)
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
