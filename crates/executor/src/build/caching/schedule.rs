//! What the answers of the cache mean for the plan: which layers fit together, and which stages nobody needs.

use std::collections::{BTreeMap, BTreeSet};

use kigumi_oci::{DiffId, Digest};
use kigumi_plan::cache_key::{self, Identity, Lineage, Surroundings};
use kigumi_plan::{Base, BuildPlan, CacheKey, CopySource, Op, StageId, StagePlan, Step};

use super::keys::{Keys, StepKey};

/// What an entry says.
#[derive(Debug, Clone)]
pub(in crate::build) struct Claim {
    /// Of the state that the step was applied to, and of the stages that it read from.
    pub(super) lineage: Vec<Digest>,
    /// Of its layer.
    pub(super) layer: DiffId,
}

/// What is to be done.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::build) struct Schedule {
    /// The stages that are looked at at all.
    pub(super) needed: BTreeSet<StageId>,
    /// How the stages end whose end is known. For one that is not needed it may be what the entries say that were made from it.
    pub(super) lineages: BTreeMap<StageId, Lineage>,
    /// Whether a RUN has to run, as far as that can be known.
    pub(super) runs: bool,
}

/// The stages that a step reads from, in the order of its inputs.
pub(super) fn read_stages(op: &Op) -> Vec<StageId> {
    let inputs = cache_key::inputs(op);
    let stages = inputs.iter().filter_map(|input| match input.source() {
        Some(CopySource::Stage(id)) => Some(*id),
        Some(
            CopySource::Context
            | CopySource::Scratch
            | CopySource::Image(_)
            | CopySource::NamedContext(_),
        )
        | None => None,
    });
    stages.collect()
}

/// The lineage after a COPY, ADD or WORKDIR: the stages that it reads from count by theirs.
pub(super) fn made(
    op: &Op,
    key: &StepKey,
    below: Lineage,
    lineages: &BTreeMap<StageId, Lineage>,
    surroundings: &Surroundings,
) -> Option<Lineage> {
    let inputs = cache_key::inputs(op);
    let identities = inputs.iter().zip(&key.identities);
    let identities = identities.map(|(input, identity)| match input.source() {
        Some(CopySource::Stage(id)) => {
            let lineage = lineages.get(id)?;
            Some(Identity::State(lineage.state()))
        }
        Some(
            CopySource::Context
            | CopySource::Scratch
            | CopySource::Image(_)
            | CopySource::NamedContext(_),
        )
        | None => Some(*identity),
    });
    let identities: Option<Vec<Identity>> = identities.collect();
    let instruction = cache_key::instruction(op, &identities?, surroundings)?;
    Some(below.made(&instruction))
}

/// The lineage after a step whose layer is known.
pub(super) fn after(
    op: &Op,
    key: &StepKey,
    (below, layer): (Lineage, Option<DiffId>),
    lineages: &BTreeMap<StageId, Lineage>,
    surroundings: &Surroundings,
) -> Option<Lineage> {
    match op {
        Op::Run(_) => layer.map(|layer| below.ran(&layer)),
        Op::Copy(_) | Op::MakeDir(_) => made(op, key, below, lineages, surroundings),
        Op::Config => Some(below),
    }
}

/// Decides.
///
/// A layer from the cache fits if it was made on the state that it is laid on, and from the stages that it is said to be from. A stage that would
/// have to run again to be known is taken on trust of the layers that were made from it, as long as they agree and nobody else needs
/// it: then it does not run at all. As soon as it has to, it is what comes out that counts.
pub(super) fn schedule(
    plan: &BuildPlan,
    keys: &Keys,
    claims: &BTreeMap<CacheKey, Claim>,
    surroundings: &Surroundings,
) -> Schedule {
    let mut executed = BTreeSet::new();
    loop {
        let mut walk = Walk {
            keys,
            claims,
            surroundings,
            executed: &executed,
            lineages: BTreeMap::new(),
            stages: BTreeMap::new(),
        };
        for stage in &plan.stages {
            walk.stage(stage);
        }
        let needed = needed(plan, &walk.stages);
        let open = needed.iter().copied().filter(|stage| {
            let is_open = walk.stages.get(stage).is_none_or(|walked| walked.is_open);
            is_open && !executed.contains(stage)
        });
        let open: Vec<StageId> = open.collect();
        if open.is_empty() {
            let runs = needed
                .iter()
                .any(|stage| walk.stages.get(stage).is_none_or(|walked| walked.runs));
            return Schedule {
                lineages: walk.lineages,
                needed,
                runs,
            };
        }
        executed.extend(open);
    }
}

/// What is known of a stage after a look at the answers.
#[derive(Debug, Default)]
struct Walked {
    /// Its end is not known by itself.
    is_open: bool,
    /// A RUN has to run.
    runs: bool,
    /// The stages that steps read from which have to be made.
    reads: BTreeSet<StageId>,
}

struct Walk<'a> {
    keys: &'a Keys,
    claims: &'a BTreeMap<CacheKey, Claim>,
    surroundings: &'a Surroundings,
    /// Stages that have to run, so that nobody takes them on trust.
    executed: &'a BTreeSet<StageId>,
    lineages: BTreeMap<StageId, Lineage>,
    stages: BTreeMap<StageId, Walked>,
}

impl Walk<'_> {
    fn stage(&mut self, stage: &StagePlan) {
        let mut walked = Walked::default();
        let keys = self.keys.get(&stage.id);
        let mut lineage = match &stage.base {
            Base::Stage(id) => self.lineages.get(id).copied(),
            Base::Scratch | Base::Image(_) | Base::Context(_) => {
                keys.map(|keys| Lineage::of_state(&keys.start))
            }
        };
        for (index, step) in stage.steps.iter().enumerate() {
            if !step.op.touches_rootfs() {
                continue;
            }
            let key = keys.and_then(|keys| keys.steps.get(index)?.as_ref());
            let claim = self.fitting(step, key, lineage);
            if claim.is_none() {
                walked.reads.extend(read_stages(&step.op));
                walked.runs |= matches!(step.op, Op::Run(_));
            }
            lineage = match (key, lineage) {
                (Some(key), Some(below)) => {
                    let known = (below, claim.map(|claim| claim.layer));
                    after(&step.op, key, known, &self.lineages, self.surroundings)
                }
                _ => None,
            };
        }
        walked.is_open = lineage.is_none();
        if let Some(lineage) = lineage {
            self.lineages.insert(stage.id, lineage);
        }
        self.stages.insert(stage.id, walked);
    }

    /// The entry of a step, if it fits. What it says of stages that nobody knows holds from now on.
    fn fitting(
        &mut self,
        step: &Step,
        key: Option<&StepKey>,
        lineage: Option<Lineage>,
    ) -> Option<Claim> {
        let claim = self.claims.get(&key?.key)?;
        let (below, sources) = claim.lineage.split_first()?;
        let stages = read_stages(&step.op);
        if lineage?.digest() != *below || stages.len() != sources.len() {
            return None;
        }
        let mut trusted: BTreeMap<StageId, Lineage> = BTreeMap::new();
        for (stage, said) in stages.into_iter().zip(sources) {
            let known = self.lineages.get(&stage).or_else(|| trusted.get(&stage));
            match known {
                Some(known) if known.digest() != *said => return None,
                Some(_) => {}
                None if self.executed.contains(&stage) => return None,
                None => {
                    trusted.insert(stage, Lineage::from_digest(*said));
                }
            }
        }
        self.lineages.append(&mut trusted);
        Some(claim.clone())
    }
}

/// The target, what it stands on, and what steps read from that have to be made.
fn needed(plan: &BuildPlan, stages: &BTreeMap<StageId, Walked>) -> BTreeSet<StageId> {
    let mut needed = BTreeSet::new();
    let mut open = vec![plan.target];
    open.extend(&plan.other_targets);
    while let Some(id) = open.pop() {
        if !needed.insert(id) {
            continue;
        }
        if let Some(Base::Stage(base)) = plan.stage(id).map(|stage| &stage.base) {
            open.push(*base);
        }
        open.extend(stages.get(&id).into_iter().flat_map(|walked| &walked.reads));
    }
    needed
}
