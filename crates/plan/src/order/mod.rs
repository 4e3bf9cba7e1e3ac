//! In which order stages run that do not need each other (ADR 28).
//!
//! *Enters*: the stages in the order of the file, and the images with the sizes of their layers. *Leaves*: the order in which they run, and, where that is
//! another one, what it saves. The same file and images always give the same order, whatever is in a cache.

mod cost;
mod needs;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display, Formatter};

pub use cost::Moved;
use cost::{Part, Stack, moved, shared};
use needs::Needs;

use crate::op::Op;
use crate::plan::{PlannedImage, StageId, StagePlan};

/// Above it stages run in the order of the file: no Dockerfile that somebody wrote has as many.
const MOST_STAGES: usize = 200;
/// How many bases are tried as the one that is left for last. What the smaller ones save is little.
const MOST_LAST: usize = 8;
/// What must be saved at least: this part of the whole. A new patch of one of two bases of about the same size should not change the order.
const LEAST_SAVED: u64 = 10;

/// Why stages do not run in the order of the Dockerfile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reordered {
    /// What would be moved on the root filesystem if they did.
    pub as_written: Moved,
    /// What is moved now.
    pub now: Moved,
}

/// What both orders move, in bytes of layers as stored.
impl Display for Reordered {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}; as written: {}", self.now, self.as_written)
    }
}

/// A stage, as far as the root filesystem is concerned.
#[derive(Debug)]
struct Item {
    id: StageId,
    /// It has a RUN: it has to lie on the root filesystem.
    is_live: bool,
    /// What it begins with.
    begins: Stack,
    /// What is there when it ends.
    ends: Stack,
}

/// Brings the stages into the order in which they run; `None` if that is the one they are in, which must be that of the file.
pub(crate) fn arrange(stages: &mut Vec<StagePlan>, images: &[PlannedImage]) -> Option<Reordered> {
    let is_live = |stage: &&StagePlan| stage.steps.iter().any(|step| matches!(step.op, Op::Run(_)));
    // With one stage on the root filesystem, or none, nothing can be saved.
    if stages.len() > MOST_STAGES || stages.iter().filter(is_live).count() < 2 {
        return None;
    }
    let items = items(stages, images);
    let needs = Needs::of(stages);
    let written: Vec<usize> = (0..items.len()).collect();
    let as_written = moved(&on_root(&items, &written));
    let orders = last_ones(&items)
        .into_iter()
        .map(|last| sequence(&items, &needs, last))
        .filter(|order| order.len() == written.len())
        .map(|order| (moved(&on_root(&items, &order)), order));
    let (now, order) = orders.min_by_key(|(moved, _)| moved.cost())?;
    let worth = as_written.cost() / LEAST_SAVED;
    if order == written || now.cost().saturating_add(worth) >= as_written.cost() {
        return None;
    }
    let mut taken: BTreeMap<usize, StagePlan> = stages.drain(..).enumerate().collect();
    stages.extend(order.iter().filter_map(|position| taken.remove(position)));
    Some(Reordered { as_written, now })
}

fn items(stages: &[StagePlan], images: &[PlannedImage]) -> Vec<Item> {
    let mut ends: BTreeMap<StageId, Stack> = BTreeMap::new();
    let mut items = Vec::new();
    for stage in stages {
        let begins = Stack::of_base(&stage.base, images, &ends);
        let stack = begins.with(Part::Stage(stage.id));
        ends.insert(stage.id, stack.clone());
        items.push(Item {
            id: stage.id,
            is_live: stage.steps.iter().any(|step| matches!(step.op, Op::Run(_))),
            begins,
            ends: stack,
        });
    }
    items
}

/// What lies on the root filesystem, one after the other: what each stage begins and ends with.
fn on_root<'a>(items: &'a [Item], order: &[usize]) -> Vec<(&'a Stack, &'a Stack)> {
    let ordered = order.iter().filter_map(|position| items.get(*position));
    ordered
        .filter(|item| item.is_live)
        .map(|item| (&item.begins, &item.ends))
        .collect()
}

/// The bases that may be left for last, the largest first, each by its first layer. Whoever has that layer too begins with it.
fn last_ones(items: &[Item]) -> Vec<&Part> {
    let mut bases: Vec<(u64, &Part)> = Vec::new();
    for item in items.iter().filter(|item| item.is_live) {
        let Some(first) = item.begins.first() else {
            continue;
        };
        let size = item.begins.size();
        match bases.iter_mut().find(|(_, part)| *part == first) {
            Some((known, _)) => *known = size.max(*known),
            None => bases.push((size, first)),
        }
    }
    // Of equal ones the first.
    bases.sort_by_key(|(size, _)| Reverse(*size));
    bases.truncate(MOST_LAST);
    bases.into_iter().map(|(_, part)| part).collect()
}

/// How gladly a stage is taken next; the least first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// It does not touch the root filesystem.
    Aside,
    /// It goes on with what lies there.
    GoesOn,
    /// What lies there is rolled back to what both have: the most first.
    RollsBack(Reverse<u64>),
    /// What lies there is of no use to it.
    Empties,
    /// The same, and it is to be the last.
    Last,
}

/// The order in which the base with the layer `last` comes as late as it can; stages that have much in common come one after the other, and otherwise
/// all as they are written.
fn sequence(items: &[Item], needs: &Needs, last: &Part) -> Vec<usize> {
    let mut done: BTreeSet<StageId> = BTreeSet::new();
    let mut order = Vec::new();
    let mut lies: Option<&Stack> = None;
    while order.len() < items.len() {
        let ready = items
            .iter()
            .enumerate()
            .filter(|(_, item)| !done.contains(&item.id) && needs.are_met(item.id, &done));
        let next = ready.min_by_key(|(_, item)| rank(item, lies, last));
        // Every stage needs only earlier ones, so that there always is one.
        let Some((position, item)) = next else { break };
        done.insert(item.id);
        order.push(position);
        if item.is_live {
            lies = Some(&item.ends);
        }
    }
    order
}

fn rank(item: &Item, lies: Option<&Stack>, last: &Part) -> Rank {
    if !item.is_live {
        return Rank::Aside;
    }
    if lies == Some(&item.begins) {
        return Rank::GoesOn;
    }
    match lies.and_then(|lies| shared(lies, &item.begins)) {
        Some(size) => Rank::RollsBack(Reverse(size)),
        None if item.begins.first() == Some(last) => Rank::Last,
        None => Rank::Empties,
    }
}
