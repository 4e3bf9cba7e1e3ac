//! Going back, on the disk.

use std::time::Instant;

use kigumi_layer::Change;
use kigumi_plan::{Base, StageId};
use kigumi_rootfs::Index;

use super::{Checkpoint, Stack, Way, files_in, is_back, locate, longest_shared, stack_of, way};
use crate::build::headers;
use crate::build::stage::{NumberedLayer, Stages, no_ground};
use crate::error::BuildError;
use crate::report::BuildEvent;

/// A root on which the first layers of a stage lie.
struct Begun {
    index: Index,
    /// How many.
    layers: usize,
    /// Those, under the numbers by which the index knows them.
    known_as: Vec<NumberedLayer>,
}

impl Stages<'_> {
    /// What stages after this one will lay on the root filesystem, as far as it is known.
    pub(in crate::build) fn awaited(&mut self, after: StageId) -> Result<Vec<Stack>, BuildError> {
        let plan = self.plan;
        let mut awaited = Vec::new();
        let later = plan.stages.iter().skip_while(|stage| stage.id != after);
        for stage in later.skip(1) {
            if !self.is_needed(stage.id) || !self.needs.is_live(stage.id) {
                continue;
            }
            let mut base = &stage.base;
            // Of a stage that is not built yet nothing is known but what it is built on.
            while let Base::Stage(id) = base
                && !self.finished.contains_key(id)
                && let Some(parent) = plan.stage(*id)
            {
                base = &parent.base;
            }
            let layers = match base {
                Base::Image(id) => self.images.described(*id, &mut self.contents)?,
                Base::Stage(id) if self.finished.contains_key(id) => self.layers_of(*id)?,
                Base::Stage(_) | Base::Scratch | Base::Context(_) => Vec::new(),
            };
            awaited.push(stack_of(&layers));
        }
        Ok(awaited)
    }

    /// Leaves what lies on the root filesystem to those who come, if it is of any use to them; says whether it is.
    pub(in crate::build) fn is_of_use(&mut self, after: StageId) -> Result<bool, BuildError> {
        let awaited = self.awaited(after)?;
        Ok(self.past.serves(&awaited))
    }

    /// Brings the root filesystem from whatever it is to these layers, by as little as possible; and gives them under the numbers by which the index
    /// knows them.
    pub(in crate::build) fn lay(
        &mut self,
        stage: StageId,
        layers: &[NumberedLayer],
    ) -> Result<(Index, Vec<NumberedLayer>), BuildError> {
        let awaited = self.awaited(stage)?;
        // What later stages have in common with this one they may want back: that is where to look around.
        let shared = longest_shared(&stack_of(layers), &awaited);
        let begun = if let Some(begun) = self.roll_back(layers)? {
            begun
        } else {
            self.let_pass(layers);
            self.lay_first(layers, if shared > 0 { shared } else { layers.len() })?
        };
        let Begun {
            mut index,
            layers: mut done,
            mut known_as,
        } = begun;
        for until in [shared, layers.len()] {
            if let Some(more) = layers.get(done..until).filter(|more| !more.is_empty()) {
                index = self.lay_more(index, more)?;
                known_as.extend_from_slice(more);
                done = until;
            }
            if done == shared && shared > 0 {
                self.past.remember(&known_as, index.tree());
            }
        }
        Ok((index, known_as))
    }

    /// Says of layers that are unpacked now whether that is all that is wanted of them: then the disk need not hold them and what is in them.
    fn let_pass(&self, layers: &[NumberedLayer]) {
        for (layer, number) in layers {
            if self.images.is_wanted_once(*number)
                && let Some(spool) = &layer.spool
            {
                spool.pass();
            }
        }
    }

    /// Empties the root filesystem and unpacks the first layers onto it.
    fn lay_first(&mut self, layers: &[NumberedLayer], count: usize) -> Result<Begun, BuildError> {
        let started = Instant::now();
        let workshop = self.workshop;
        let first = layers.get(..count).unwrap_or(layers);
        let ground = self.premises.ground.as_mut().ok_or_else(no_ground)?;
        let recorder = self.outlines.recorder(workshop);
        let index = ground.unpack(first, &workshop.cancel, &workshop.events, recorder)?;
        self.tell_unpacked(first.len(), index.tree().len() - 1, started);
        Ok(Begun {
            index,
            layers: first.len(),
            known_as: first.to_vec(),
        })
    }

    fn lay_more(&mut self, index: Index, layers: &[NumberedLayer]) -> Result<Index, BuildError> {
        let started = Instant::now();
        let workshop = self.workshop;
        let before = index.tree().len();
        let ground = self.premises.ground.as_mut().ok_or_else(no_ground)?;
        let recorder = self.outlines.recorder(workshop);
        let index = ground.extend(
            index,
            layers,
            (&workshop.cancel, &workshop.events),
            recorder,
        )?;
        self.tell_unpacked(
            layers.len(),
            index.tree().len().saturating_sub(before),
            started,
        );
        Ok(index)
    }

    fn tell_unpacked(&self, layers: usize, entries: usize, started: Instant) {
        self.workshop.events.emit(BuildEvent::Unpacked {
            layers,
            entries,
            took: started.elapsed(),
        });
    }

    /// Undoes what was done to the root filesystem since it was what these layers begin with; nothing if it never was, or if that is no way.
    fn roll_back(&mut self, layers: &[NumberedLayer]) -> Result<Option<Begun>, BuildError> {
        let Some((mut index, checkpoint)) = self.past.take(&stack_of(layers)) else {
            return Ok(None);
        };
        let started = Instant::now();
        self.ground()?.look_again(&mut index)?;
        let mut changes = match way(index.tree(), &checkpoint) {
            Way::Undo(changes) => changes,
            Way::Unpack { files } => {
                self.tell(format!(
                    "{files} files would have to come back, so the root filesystem is emptied instead"
                ));
                return Ok(None);
            }
        };
        let first = layers.get(..checkpoint.depth()).unwrap_or_default();
        let restored = files_in(&changes);
        if restored > 0 && !self.fetch_back(&mut changes, first)? {
            self.tell("what would have to come back is not in the layers".to_owned());
            return Ok(None);
        }
        let contents = &self.contents;
        let ground = self.premises.ground.as_mut();
        let ground = ground.ok_or_else(no_ground)?;
        let index = ground.apply(*index, &changes, contents)?;
        if !is_back(index.tree(), &checkpoint) {
            // Should not be; and if it is, what is surely right costs nothing but time.
            self.tell("undoing did not lead back, so the root filesystem is emptied".to_owned());
            return Ok(None);
        }
        self.workshop.events.emit(BuildEvent::RolledBack {
            changes: changes.len(),
            restored,
            took: started.elapsed(),
        });
        Ok(Some(self.begun(index, checkpoint, first)))
    }

    fn begun(&mut self, index: Index, checkpoint: Checkpoint, first: &[NumberedLayer]) -> Begun {
        let known_as = checkpoint.known_as(first);
        let layers = checkpoint.depth();
        self.past.put_back(checkpoint);
        Begun {
            index,
            layers,
            known_as,
        }
    }

    /// Makes the bytes of what comes back readable, from the layers that hold them.
    fn fetch_back(
        &mut self,
        changes: &mut [Change],
        layers: &[NumberedLayer],
    ) -> Result<bool, BuildError> {
        let tree = headers::tree_of(layers, &self.workshop.cancel)?;
        if !locate(changes, &tree) {
            return Ok(false);
        }
        drop(tree);
        let mut lent = Vec::new();
        for (layer, number) in layers {
            if self.contents.layer(*number).is_none() && layer.spool.is_some() {
                self.contents.set_layer(*number, layer.spool.clone());
                lent.push(*number);
            }
        }
        let extracted = self.contents.extract(changes);
        for number in lent {
            self.contents.set_layer(number, None);
        }
        extracted.map(|()| true)
    }

    fn tell(&self, message: String) {
        self.workshop.events.emit(BuildEvent::Detail { message });
    }
}
