//! A stage while it is being built, from a list of layers to files on disk: only as far as somebody looks.

use kigumi_layer::Tree;
use kigumi_plan::{Base, Op, StagePlan, Step};
use kigumi_rootfs::Index;

use super::caching::Track;
use super::found::Home;
use super::off_disk;
use super::rollback::{longest_shared, stack_of};
use super::stage::{NumberedLayer, Stages};
use crate::error::BuildError;

/// A stage while it is being built.
#[derive(Debug)]
pub(crate) struct Standing {
    pub(crate) state: State,
    /// Base layer first.
    pub(crate) layers: Vec<NumberedLayer>,
    /// How many of them are of the base.
    base: usize,
}

/// Its files.
#[derive(Debug)]
pub(crate) enum State {
    /// What its layers make; nobody has looked yet.
    Latent,
    /// A value.
    Value {
        tree: Tree,
        /// How many of the layers it is made of.
        layers: usize,
    },
    /// A value that follows the disk.
    Live(Box<Index>),
}

impl State {
    pub(crate) fn tree(&self) -> Result<&Tree, BuildError> {
        match self {
            Self::Value { tree, .. } => Ok(tree),
            Self::Live(index) => Ok(index.tree()),
            Self::Latent => Err(nobody_looked()),
        }
    }
}

impl Standing {
    /// Takes the layer of the step that was done, if it has one.
    pub(crate) fn lay(&mut self, layer: Option<NumberedLayer>) {
        self.layers.extend(layer);
        if let State::Value { layers, .. } = &mut self.state {
            *layers = self.layers.len();
        }
    }
}

pub(crate) fn nobody_looked() -> BuildError {
    BuildError::Machine {
        operation: "look at files that are not there yet; this is a defect of kigumi, please report it",
        source: std::io::Error::from(std::io::ErrorKind::NotFound),
    }
}

impl Stages<'_> {
    /// What the stage begins with. Its layers are on their way to where the image goes; their bytes are fetched if they are wanted here.
    pub(crate) fn begin(
        &mut self,
        stage: &StagePlan,
        track: &Track,
    ) -> Result<Standing, BuildError> {
        let mut layers = match &stage.base {
            Base::Scratch => Vec::new(),
            Base::Context(name) => {
                let wanted = self.needs.context_layer_of(stage.id);
                let layer = self.context_layer(name, wanted)?;
                self.number(layer).into_iter().collect()
            }
            Base::Image(id) => self.images.described(*id, &mut self.contents)?,
            Base::Stage(id) => self.layers_of(*id)?,
        };
        if let Base::Image(id) = stage.base {
            let rests = !self.wants_all_bytes(&stage.base) && self.rests(stage, track);
            if self.needs.fetches_base(stage.id) && !rests {
                if self.reads_all_bytes(stage) {
                    self.ensure_bytes(&mut layers)?;
                } else {
                    self.ensure_known(&mut layers)?;
                }
            }
            if self.needs.in_image(stage.id)
                && let Some(image) = self.images.found(id)
            {
                self.factory.send_base(&layers, image.repository());
            }
        }
        let base = layers.len();
        Ok(Standing {
            state: State::Latent,
            layers,
            base,
        })
    }

    /// Whether there is no way around the bytes of a base: they go into a file, or nobody but us can send them.
    fn wants_all_bytes(&self, base: &Base) -> bool {
        let Base::Image(id) = base else { return false };
        let image = self.images.found(*id);
        let is_layout = image.is_some_and(|image| matches!(image.home, Home::Layout(_)));
        self.factory.keep || (is_layout && self.factory.uploads.is_some())
    }

    /// Whether the bytes of a stage's base are wanted whatever is known of them: they go somewhere, or nobody looks at the files, or all of them will
    /// lie on the root filesystem.
    fn reads_all_bytes(&self, stage: &StagePlan) -> bool {
        self.wants_all_bytes(&stage.base)
            || !self.needs.looks_at_files(stage.id)
            || self.needs.materializes(stage.id)
            || self.runs_next(stage.id, 0)
    }

    /// Makes of the stage what a step needs: files on disk for a RUN and for what comes directly before one, else a value.
    pub(crate) fn stand(
        &mut self,
        stage: &StagePlan,
        (index, step): (usize, &Step),
        standing: &mut Standing,
    ) -> Result<(), BuildError> {
        let runs = match step.op {
            Op::Run(_) => true,
            Op::Copy(_) | Op::MakeDir(_) => self.runs_next(stage.id, index),
            Op::Config => return Ok(()),
        };
        match &standing.state {
            State::Live(_) => Ok(()),
            State::Latent | State::Value { .. } if runs => self.live(stage, standing),
            State::Latent | State::Value { .. } => self.value(stage, standing),
        }
    }

    pub(crate) fn value(
        &mut self,
        stage: &StagePlan,
        standing: &mut Standing,
    ) -> Result<(), BuildError> {
        let (mut tree, done) = match std::mem::replace(&mut standing.state, State::Latent) {
            State::Value { tree, layers } => (tree, layers),
            State::Live(_) | State::Latent => {
                let layers = standing.layers.get_mut(..standing.base);
                let layers = layers.unwrap_or_default();
                (self.base_tree(&stage.base, layers)?, standing.base)
            }
        };
        let new = standing.layers.get_mut(done..).unwrap_or_default();
        self.append(&mut tree, new)?;
        // Files are read from the layers as long as they are not on disk.
        for (layer, number) in &standing.layers {
            if let (Some(spool), None) = (&layer.spool, self.contents.layer(*number)) {
                self.contents.set_layer(*number, Some(spool.clone()));
            }
        }
        standing.state = State::Value {
            tree,
            layers: standing.layers.len(),
        };
        Ok(())
    }

    /// Lays what is there on the root filesystem.
    pub(super) fn live(
        &mut self,
        stage: &StagePlan,
        standing: &mut Standing,
    ) -> Result<(), BuildError> {
        if let Base::Stage(id) = &stage.base
            && standing.layers.len() == standing.base
            && let Some((_, index)) = self.standing.take_if(|(standing, _)| standing == id)
        {
            // Others who are built on the same stage want it as it is now.
            let awaited = self.awaited(stage.id)?;
            if longest_shared(&stack_of(&standing.layers), &awaited) == standing.layers.len() {
                self.past.remember(&standing.layers, index.tree());
            }
            standing.state = State::Live(index);
            return Ok(());
        }
        if let Some((_, index)) = self.standing.take() {
            self.past.leave(index);
        }
        self.ensure_bytes(&mut standing.layers)?;
        self.fetch_ahead(stage.id, &standing.layers)?;
        // While they arrive.
        self.ask_for_outlines_to_keep(&standing.layers)?;
        let (index, known_as) = self.lay(stage.id, &standing.layers)?;
        self.keep_outlines();
        let is_read = self.needs.is_read(stage.id);
        off_disk::keep(&index, &known_as, is_read, &mut self.contents);
        drop(known_as);
        if let (Base::Image(id), Some(layers)) =
            (&stage.base, standing.layers.get_mut(..standing.base))
        {
            self.images.release(*id, layers);
        }
        self.fetch_ahead(stage.id, &standing.layers)?;
        standing.state = State::Live(Box::new(index));
        Ok(())
    }

    /// Sees to it that the bytes of layers are here, or arrive: those of images and of the cache are fetched as late as that.
    pub(crate) fn ensure_bytes(&mut self, layers: &mut [NumberedLayer]) -> Result<(), BuildError> {
        for (layer, number) in layers {
            if layer.spool.is_some() {
                continue;
            }
            if let Some(spool) = self.contents.layer(*number) {
                layer.spool = Some(spool.clone());
            } else if let Some(spool) = self.cached_bytes(*number)? {
                self.contents.set_layer(*number, Some(spool.clone()));
                layer.spool = Some(spool);
            } else if let Some((spool, is_kept)) = self.images.bytes(*number)? {
                if is_kept {
                    self.contents.set_layer(*number, Some(spool.clone()));
                }
                layer.spool = Some(spool);
            }
        }
        Ok(())
    }
}
