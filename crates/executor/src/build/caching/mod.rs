//! The layer cache in the build: what is asked for before anything runs, what of the answers is used, what is kept.
//!
//! *Ahead* ([`Stages::look_ahead`]): all keys that can be known are asked for at once, and the [`schedule`] says which stages nobody needs.
//! *At each step* ([`walk`]): the layer of an entry is used if it fits what it is laid on; the stage stays a list of layers that nobody
//! has looked into. A `COPY --from` of a stage that had to run is asked for again by what is in the files. *After each step* its layer is kept.
//!
//! `docs/cache.md` says what a key is made of.

mod content;
mod keys;
mod schedule;
mod struck;
#[cfg(test)]
mod tests;
mod walk;

use std::collections::{BTreeMap, BTreeSet};

use kigumi_oci::layer_compression;
use kigumi_plan::cache_key::{Lineage, Surroundings};
use kigumi_plan::{CacheKey, Op, StageId, StagePlan, Step};

pub(in crate::build) use content::Hashed;
#[cfg(test)]
use keys::StageKeys;
use keys::{Keys, StepKey};
use schedule::{Claim, Schedule, read_stages};
pub(in crate::build) use struck::Struck;
use walk::Link;
pub(in crate::build) use walk::Track;

use super::stage::Stages;
use crate::cache::{Cache, Hit, Wanted};
use crate::cli::CacheSettings;
use crate::error::BuildError;

/// What a build knows of the cache.
#[derive(Debug)]
pub(in crate::build) struct Caching<'a> {
    settings: &'a CacheSettings,
    cache: &'a mut Cache,
    surroundings: Surroundings,
    /// Entries that were believed before and could not be had.
    struck: &'a Struck,
    keys: Keys,
    hits: BTreeMap<CacheKey, Hit>,
    asked: BTreeSet<CacheKey>,
    /// Steps that an entry was found for, whether it will fit or not.
    expected: BTreeSet<(StageId, usize)>,
    schedule: Schedule,
    /// How the stages ended by what they read rather than by where it is from.
    ends: BTreeMap<StageId, Link>,
    /// The entries behind layers, by their numbers among the contents.
    used: BTreeMap<u32, (CacheKey, Hit)>,
}

impl<'a> Caching<'a> {
    pub(in crate::build) fn new(
        settings: &'a CacheSettings,
        cache: &'a mut Cache,
        surroundings: Surroundings,
        struck: &'a Struck,
    ) -> Self {
        Self {
            settings,
            cache,
            surroundings,
            struck,
            keys: Keys::new(),
            hits: BTreeMap::new(),
            asked: BTreeSet::new(),
            expected: BTreeSet::new(),
            schedule: Schedule::default(),
            ends: BTreeMap::new(),
            used: BTreeMap::new(),
        }
    }

    fn key(&self, stage: StageId, index: usize) -> Option<&StepKey> {
        self.keys.get(&stage)?.steps.get(index)?.as_ref()
    }

    /// The cache itself.
    pub(in crate::build) fn cache(&mut self) -> &mut Cache {
        self.cache
    }

    /// Whether a numbered layer is from the cache.
    pub(in crate::build) fn has_layer(&self, number: u32) -> bool {
        self.used.contains_key(&number)
    }

    /// Whether layers are to be kept.
    fn writes(&self) -> bool {
        self.settings.writes
    }

    fn claims(&self) -> BTreeMap<CacheKey, Claim> {
        let claims = self.hits.iter().filter_map(|(key, hit)| {
            let layer = hit.layer.as_ref()?;
            let claim = Claim {
                lineage: hit.lineage.clone(),
                layer: layer.diff_id,
            };
            Some((*key, claim))
        });
        claims.collect()
    }
}

impl Stages<'_> {
    /// Asks the cache for everything that can be asked for, and says whether anything has to run.
    pub(in crate::build) fn look_ahead(&mut self) -> Result<bool, BuildError> {
        let Some(caching) = &self.caching else {
            return Ok(self.needs.needs_root());
        };
        let (settings, surroundings) = (caching.settings, caching.surroundings.clone());
        let keys = self.keys(settings, &surroundings)?;
        let mut wanted = Vec::new();
        for (stage, keys) in &keys {
            for (index, key) in keys.steps.iter().enumerate() {
                if let Some(key) = key.as_ref().filter(|key| key.caches) {
                    wanted.push(((*stage, index), key.wanted()));
                }
            }
        }
        if let Some(caching) = &mut self.caching {
            caching.keys = keys;
        }
        self.ask(wanted)?;
        let Some(caching) = &mut self.caching else {
            return Ok(self.needs.needs_root());
        };
        let claims = caching.claims();
        caching.schedule =
            schedule::schedule(self.plan, &caching.keys, &claims, &caching.surroundings);
        Ok(caching.schedule.runs || self.needs.materializes(self.plan.target))
    }

    /// Asks for entries that were not asked for yet, all at once.
    fn ask(&mut self, wanted: Vec<((StageId, usize), Wanted)>) -> Result<(), BuildError> {
        let workshop = self.workshop;
        let Some(caching) = &mut self.caching else {
            return Ok(());
        };
        let (asked, struck) = (&mut caching.asked, caching.struck);
        let new: Vec<Wanted> = wanted
            .iter()
            .map(|(_, wanted)| wanted)
            .filter(|wanted| struck.asks(&wanted.key) && asked.insert(wanted.key))
            .cloned()
            .collect();
        if !new.is_empty() {
            let mut found = workshop.wait(caching.cache.lookup(&new))?;
            let began = caching.cache.began();
            // What cannot be part of an image is none.
            found.retain(|_, hit| {
                let layer = hit.layer.as_ref();
                layer.is_some_and(|layer| layer_compression(&layer.media_type).is_some())
                    && struck.takes(hit.written.created, began)
            });
            caching.hits.append(&mut found);
        }
        for (place, wanted) in wanted {
            if caching.hits.contains_key(&wanted.key) {
                caching.expected.insert(place);
            }
        }
        Ok(())
    }

    /// Whether a stage is looked at at all.
    pub(in crate::build) fn is_needed(&self, stage: StageId) -> bool {
        let caching = self.caching.as_ref();
        caching.is_none_or(|caching| caching.schedule.needed.contains(&stage))
    }

    /// Whether a later RUN of a stage must be expected to run: the next one after `index` has no entry.
    pub(in crate::build) fn runs_next(&self, stage: StageId, index: usize) -> bool {
        let steps = self.plan.stage(stage).map(|stage| stage.steps.as_slice());
        let mut steps = steps.unwrap_or_default().iter().enumerate().skip(index);
        let next = steps.find(|(_, step)| matches!(step.op, Op::Run(_)));
        let caching = self.caching.as_ref();
        next.is_some_and(|(index, _)| {
            caching.is_none_or(|caching| !caching.expected.contains(&(stage, index)))
        })
    }

    /// Whether it is certain that the first RUN of a stage has to run: it has no entry, and nothing that comes out of other stages can lead to one.
    pub(in crate::build) fn surely_runs(&self, stage: &StagePlan) -> bool {
        let is_run = |step: &Step| matches!(step.op, Op::Run(_));
        let first = stage.steps.iter().position(is_run);
        let until = first.and_then(|first| stage.steps.get(..=first));
        until.is_some_and(|steps| {
            self.caching.is_none()
                || (self.runs_next(stage.id, 0)
                    && steps.iter().all(|step| read_stages(&step.op).is_empty()))
        })
    }

    fn lineage_of(&self, stage: StageId) -> Option<Lineage> {
        let caching = self.caching.as_ref()?;
        caching.schedule.lineages.get(&stage).copied()
    }
}

impl StepKey {
    fn wanted(&self) -> Wanted {
        Wanted {
            key: self.key,
            instruction: self.instruction,
            base: self.parent.digest(),
        }
    }
}
