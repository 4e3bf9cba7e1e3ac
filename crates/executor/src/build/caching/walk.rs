//! One stage after another, step by step: what fits is used, what is made is kept.

use kigumi_layer::Change;
use kigumi_oci::{Compression, Descriptor, DiffId, Digest, layer_compression};
use kigumi_plan::cache_key::{self, Identity, Lineage};
use kigumi_plan::{Base, CacheKey, CopySource, Op, StageId, StagePlan, Step};

use super::super::layers::{Layer, NewLayer};
use super::super::stage::{NumberedLayer, Stages};
use super::super::standing::{Standing, State};
use super::keys::StepKey;
use super::schedule::{after, read_stages};
use crate::cache::{BlobPlace, CachedLayer, Hit, NewEntry, Wanted};
use crate::error::BuildError;
use crate::report::{BuildEvent, StepPosition};

/// A state in the chain of keys by content.
#[derive(Debug, Clone, Copy)]
pub(in crate::build) struct Link {
    key: CacheKey,
    lineage: Lineage,
}

/// How the state of a stage came to be, as far as that is known. Nothing is known without a cache.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::build) struct Track {
    /// Stages that were read from count by their lineages.
    lineage: Option<Lineage>,
    /// Stages that were read from count by what was read.
    content: Option<Link>,
}

/// An entry that fits.
#[derive(Debug)]
pub(in crate::build) struct Reusable {
    key: CacheKey,
    hit: Hit,
    layer: CachedLayer,
    compression: Compression,
}

impl Stages<'_> {
    /// What is known of what a stage begins with.
    pub(in crate::build) fn begin_track(&self, stage: &StagePlan) -> Track {
        let Some(caching) = &self.caching else {
            return Track::default();
        };
        if let Base::Stage(id) = &stage.base {
            return Track {
                lineage: self.lineage_of(*id),
                content: caching.ends.get(id).copied(),
            };
        }
        let start = caching.keys.get(&stage.id).map(|keys| keys.start);
        let lineage = start.as_ref().map(Lineage::of_state);
        let link = |(key, lineage)| Link { key, lineage };
        Track {
            lineage,
            content: start.zip(lineage).map(link),
        }
    }

    /// Remembers how a stage ended.
    pub(in crate::build) fn end_track(&mut self, stage: StageId, track: Track) {
        if let Some(caching) = &mut self.caching {
            caching.schedule.lineages.remove(&stage);
            caching
                .schedule
                .lineages
                .extend(track.lineage.map(|known| (stage, known)));
            caching.ends.extend(track.content.map(|link| (stage, link)));
        }
    }

    /// The instruction with the content of what it reads from other stages, which have ended; none where that cannot be known.
    pub(in crate::build) fn content_instruction(
        &mut self,
        stage: StageId,
        (index, step): (usize, &Step),
    ) -> Result<Option<Digest>, BuildError> {
        let Some(caching) = &self.caching else {
            return Ok(None);
        };
        let Some(key) = caching.key(stage, index).cloned() else {
            return Ok(None);
        };
        if read_stages(&step.op).is_empty() {
            return Ok(Some(key.instruction));
        }
        let surroundings = caching.surroundings.clone();
        let mut identities: Vec<Identity> = Vec::new();
        for (input, identity) in cache_key::inputs(&step.op).iter().zip(&key.identities) {
            if let Some(CopySource::Stage(_)) = input.source() {
                let content = self.content(input);
                self.workshop.check_cancelled()?;
                match content {
                    Ok(content) => identities.push(content),
                    Err(error @ BuildError::LostEntry { .. }) => return Err(error),
                    // What is wrong with it, making the step will tell.
                    Err(_) => return Ok(None),
                }
            } else {
                identities.push(*identity);
            }
        }
        Ok(cache_key::instruction(&step.op, &identities, &surroundings))
    }

    /// The entry by provenance, if it fits.
    pub(in crate::build) fn by_provenance(
        &self,
        stage: StageId,
        (index, step): (usize, &Step),
        track: &Track,
    ) -> Option<Reusable> {
        let caching = self.caching.as_ref()?;
        let key = caching.key(stage, index)?;
        let lineages = self.lineages_for(&step.op, track)?;
        Reusable::fitting(key.key, caching.hits.get(&key.key)?, &lineages)
    }

    /// The lineages of what a step is applied to and reads from, if all are known.
    fn lineages_for(&self, op: &Op, track: &Track) -> Option<Vec<Digest>> {
        let sources = read_stages(op).into_iter();
        let sources = sources.map(|stage| self.lineage_of(stage));
        let all = [track.lineage].into_iter().chain(sources);
        all.map(|lineage| lineage.map(|lineage| lineage.digest()))
            .collect()
    }

    /// The entry by content, if it fits. It is asked for now, and with it all that follow up to the next step that reads from a stage.
    pub(in crate::build) fn by_content(
        &mut self,
        stage: &StagePlan,
        index: usize,
        (track, instruction): (&Track, Option<Digest>),
    ) -> Result<Option<Reusable>, BuildError> {
        let (Some(caching), Some(link), Some(instruction)) =
            (&self.caching, track.content, instruction)
        else {
            return Ok(None);
        };
        let mut wanted = Vec::new();
        let mut parent = link.key;
        for (place, step) in stage.steps.iter().enumerate().skip(index) {
            if !step.op.touches_rootfs() {
                continue;
            }
            let Some(key) = caching.key(stage.id, place) else {
                break;
            };
            let digest = match place == index {
                true => instruction,
                false if read_stages(&step.op).is_empty() => key.instruction,
                false => break,
            };
            let next = cache_key::step(&parent, &digest);
            if key.caches {
                wanted.push((
                    (stage.id, place),
                    Wanted {
                        key: next,
                        instruction: digest,
                        base: parent.digest(),
                    },
                ));
            }
            parent = next;
        }
        self.ask(wanted)?;
        let key = cache_key::step(&link.key, &instruction);
        let caching = self.caching.as_ref();
        let hit = caching.and_then(|caching| caching.hits.get(&key));
        Ok(hit.and_then(|hit| Reusable::fitting(key, hit, &[link.lineage.digest()])))
    }

    /// Takes the layer of an entry as that of the step. Its bytes stay where they are as long as nobody looks at them.
    pub(in crate::build) fn reuse(
        &mut self,
        stage: &StagePlan,
        (step, position): (&Step, StepPosition),
        found: Reusable,
        standing: &mut Standing,
    ) -> Result<(), BuildError> {
        let events = self.workshop.events.clone();
        events.emit(BuildEvent::StepStarted {
            step: position.clone(),
            text: step.text.clone(),
            line: step.span.line,
        });
        events.emit(BuildEvent::StepCached {
            step: position,
            digest: found.layer.digest,
            size: found.layer.size,
        });
        let Reusable {
            key,
            hit,
            layer,
            compression,
        } = found;
        let number = self.contents.add_layer(None);
        let layer = Layer {
            descriptor: Descriptor::new(layer.media_type, layer.digest, layer.size),
            diff_id: layer.diff_id,
            compression,
            latest: self.factory.recipe.latest,
            spool: None,
        };
        let repository = match &hit.source {
            BlobPlace::Repository(repository) => Some(repository.clone()),
            BlobPlace::Layout(_) => None,
        };
        if let Some(caching) = &mut self.caching {
            caching.used.insert(number, (key, hit));
        }
        let mut layers: [NumberedLayer; 1] = [(layer, number)];
        if self.needs.in_image(stage.id) {
            let sends = self.factory.uploads.is_some();
            if self.factory.keep || (sends && repository.is_none()) {
                self.ensure_bytes(&mut layers)?;
            }
            for (layer, _) in &layers {
                self.factory.send_cached(key, layer, repository.as_ref());
            }
        }
        standing.layers.extend(layers);
        Ok(())
    }

    /// The bytes of a layer from the cache; none if it is not from there.
    pub(in crate::build) fn cached_bytes(
        &mut self,
        number: u32,
    ) -> Result<Option<kigumi_registry::Spool>, BuildError> {
        let workshop = self.workshop;
        let Some(caching) = &self.caching else {
            return Ok(None);
        };
        let Some((key, hit)) = caching.used.get(&number) else {
            return Ok(None);
        };
        match workshop.wait(caching.cache.fetch(key, hit, workshop.work()))? {
            Some(spool) => Ok(Some(spool)),
            None => Err(BuildError::LostEntry {
                key: *key,
                source: None,
            }),
        }
    }

    /// Goes on in the chains: `layer` is that of the step, if it is known.
    pub(in crate::build) fn advance(
        &self,
        stage: StageId,
        (index, step): (usize, &Step),
        track: &mut Track,
        (layer, instruction): (Option<DiffId>, Option<Digest>),
    ) {
        let known = self.caching.as_ref();
        let known = known.and_then(|caching| Some((caching, caching.key(stage, index)?)));
        let Some((caching, key)) = known else {
            if step.op.touches_rootfs() {
                *track = Track::default();
            }
            return;
        };
        let (lineages, surroundings) = (&caching.schedule.lineages, &caching.surroundings);
        track.lineage = track
            .lineage
            .and_then(|below| after(&step.op, key, (below, layer), lineages, surroundings));
        track.content = track
            .content
            .zip(instruction)
            .and_then(|(link, instruction)| {
                let lineage = match &step.op {
                    Op::Run(_) => link.lineage.ran(&layer?),
                    Op::Copy(_) | Op::MakeDir(_) => link.lineage.made(&instruction),
                    Op::Config => link.lineage,
                };
                Some(Link {
                    key: cache_key::step(&link.key, &instruction),
                    lineage,
                })
            });
    }

    /// Whether the bytes of new layers are wanted for the cache.
    pub(in crate::build) fn keeps_layers(&self) -> bool {
        let caching = self.caching.as_ref();
        caching.is_some_and(super::Caching::writes)
    }

    /// Keeps what a step made, under both of its keys.
    pub(in crate::build) fn remember(
        &mut self,
        stage: StageId,
        (index, step): (usize, &Step),
        (track, instruction): (&Track, Option<Digest>),
        made: &NewLayer,
    ) {
        let by_provenance = self.lineages_for(&step.op, track);
        let Some(caching) = &mut self.caching else {
            return;
        };
        let (Some(key), Some(layer), Some(bytes)) =
            (caching.key(stage, index).cloned(), &made.layer, &made.bytes)
        else {
            return;
        };
        if !key.caches || !caching.writes() {
            return;
        }
        let layer = CachedLayer {
            digest: layer.descriptor.digest,
            size: layer.descriptor.size,
            media_type: layer.descriptor.media_type.clone(),
            diff_id: layer.diff_id,
        };
        for (wanted, lineage) in entries(&key, by_provenance, track.content.zip(instruction)) {
            caching.cache.store(NewEntry {
                wanted,
                lineage,
                layer: Some((layer.clone(), bytes.clone())),
            });
        }
    }

    /// Whether a file was another one when it was copied than when its digest was taken for the key.
    pub(in crate::build) fn is_contradicted(&self, changes: &[Change], made: &NewLayer) -> bool {
        let files = changes.iter().filter_map(Change::file);
        files.zip(&made.digests).any(|(content, digest)| {
            digest.is_some_and(|digest| self.hashed.contradicts(content, digest))
        })
    }

    /// Says so, and forgets the keys of what follows.
    pub(in crate::build) fn tell_contradiction(&self, step: &Step, track: &mut Track) {
        self.workshop.events.warn(format!(
            "{}:{}: a file of the build context changed while it was copied; nothing that follows in this stage is kept in the cache",
            self.file.name(),
            step.span.line,
        ));
        *track = Track::default();
    }

    /// Whether the first step that touches a file has an entry that fits, so that nobody looks at the base yet; also where no step does.
    pub(in crate::build) fn rests(&self, stage: &StagePlan, track: &Track) -> bool {
        if self.caching.is_none() {
            return false;
        }
        let mut steps = stage.steps.iter().enumerate();
        let first = steps.find(|(_, step)| step.op.touches_rootfs());
        first.is_none_or(|first| self.by_provenance(stage.id, first, track).is_some())
    }

    /// The entry of a step that fits what it would be laid on, and its instruction by content. Nothing fits what lies on the root
    /// filesystem: what a RUN did there is another thing each time.
    pub(in crate::build) fn reusable(
        &mut self,
        stage: &StagePlan,
        at: (usize, &Step),
        standing: &Standing,
        track: &Track,
    ) -> Result<(Option<Reusable>, Option<Digest>), BuildError> {
        if self.caching.is_none() {
            return Ok((None, None));
        }
        let is_live = matches!(standing.state, State::Live(_));
        let found = self.by_provenance(stage.id, at, track);
        if let (Some(found), false) = (found, is_live) {
            // Stages that it reads from may not be there: then what it read is not known.
            let reads = !read_stages(&at.1.op).is_empty();
            let instruction = if reads {
                None
            } else {
                self.content_instruction(stage.id, at)?
            };
            return Ok((Some(found), instruction));
        }
        let instruction = self.content_instruction(stage.id, at)?;
        if is_live {
            return Ok((None, instruction));
        }
        let found = self.by_content(stage, at.0, (track, instruction))?;
        if let Some(found) = &found {
            self.remember_origin(stage.id, at, track, found);
        }
        Ok((found, instruction))
    }

    /// Keeps an entry by content under the key by provenance as well, so that the next build need not look into the stages that were read.
    fn remember_origin(
        &mut self,
        stage: StageId,
        (index, step): (usize, &Step),
        track: &Track,
        found: &Reusable,
    ) {
        let lineages = self.lineages_for(&step.op, track);
        let Some(caching) = &mut self.caching else {
            return;
        };
        let key = caching.key(stage, index).filter(|key| key.caches);
        let wanted = key.map(StepKey::wanted);
        if let (Some(wanted), Some(lineages)) = (wanted, lineages)
            && wanted.key != found.key
        {
            caching.cache.keep_again(wanted, lineages, &found.hit);
        }
    }
}

/// The entries under which a layer is kept: one if both keys are the same.
fn entries(
    key: &StepKey,
    by_provenance: Option<Vec<Digest>>,
    by_content: Option<(Link, Digest)>,
) -> Vec<(Wanted, Vec<Digest>)> {
    let provenance = by_provenance.map(|lineages| (key.wanted(), lineages));
    let content = by_content.map(|(link, instruction)| {
        let wanted = Wanted {
            key: cache_key::step(&link.key, &instruction),
            instruction,
            base: link.key.digest(),
        };
        (wanted, vec![link.lineage.digest()])
    });
    let content = content.filter(|(wanted, _)| wanted.key != key.key);
    provenance.into_iter().chain(content).collect()
}

impl Reusable {
    fn fitting(key: CacheKey, hit: &Hit, lineages: &[Digest]) -> Option<Self> {
        let layer = hit.layer.clone()?;
        let compression = layer_compression(&layer.media_type)?;
        (hit.lineage == lineages).then(|| Self {
            key,
            layer,
            compression,
            hit: hit.clone(),
        })
    }

    /// What it is as a tar.
    pub(in crate::build) fn diff_id(&self) -> DiffId {
        self.layer.diff_id
    }
}
