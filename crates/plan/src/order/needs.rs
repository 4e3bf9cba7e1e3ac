//! After which others a stage has to run.

use std::collections::{BTreeMap, BTreeSet};

use kigumi_dockerfile::instruction::MountSpec;

use crate::op::{CopySource, Op};
use crate::plan::{Base, StageId, StagePlan};

/// The stages that must have run before each.
#[derive(Debug, Default)]
pub(super) struct Needs(BTreeMap<StageId, BTreeSet<StageId>>);

impl Needs {
    /// Those that it is built on or takes files from; and, of stages that mount the same cache, the earlier in the file: what a cache holds must not
    /// depend on the sizes of images.
    pub(super) fn of(stages: &[StagePlan]) -> Self {
        let mut needs: BTreeMap<StageId, BTreeSet<StageId>> = BTreeMap::new();
        let mut users: BTreeMap<String, StageId> = BTreeMap::new();
        for stage in stages {
            let needed = needs.entry(stage.id).or_default();
            if let Base::Stage(id) = &stage.base {
                needed.insert(*id);
            }
            for step in &stage.steps {
                needed.extend(step.op.sources().into_iter().filter_map(stage_of));
                for cache in caches(&step.op) {
                    needed.extend(users.insert(cache, stage.id));
                }
            }
            needed.remove(&stage.id);
        }
        Self(needs)
    }

    /// Whether all have run that must have before this one.
    pub(super) fn are_met(&self, stage: StageId, done: &BTreeSet<StageId>) -> bool {
        let needed = self.0.get(&stage);
        needed.is_none_or(|needed| needed.is_subset(done))
    }
}

fn stage_of(source: &CopySource) -> Option<StageId> {
    match source {
        CopySource::Stage(id) => Some(*id),
        CopySource::Context
        | CopySource::Scratch
        | CopySource::Image(_)
        | CopySource::NamedContext(_) => None,
    }
}

/// The caches that a step mounts, by what makes them the same as far as it matters here: more may tell them apart, and nothing less does.
fn caches(op: &Op) -> Vec<String> {
    let Op::Run(run) = op else { return Vec::new() };
    let caches = run.mounts.iter().filter_map(|mount| match &mount.spec {
        MountSpec::Cache { id, target, .. } => Some(id.as_ref().unwrap_or(target).clone()),
        MountSpec::Bind { .. }
        | MountSpec::Tmpfs { .. }
        | MountSpec::Secret { .. }
        | MountSpec::Ssh { .. } => None,
    });
    caches.collect()
}
