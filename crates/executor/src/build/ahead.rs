//! While one stage works, the base of the next one that needs the root filesystem is fetched (ADR 28).
//!
//! Its layers wait on the disk, as they came. So as not to need more of the disk than one base with its layers beside it, they are asked for when the
//! layers of the stage before are gone; or at once, if they are so much larger than those that the disk will be needed for them anyway. What is
//! unpacked takes about three times the place of its layers: with a root of `3 p` and layers of `p`, which stay if anybody wants them again,
//! `3 p + p + n` is no more than the `3 n + n` of the next stage if `n` is at least four thirds of `p`.

use kigumi_plan::{Base, ImageId, StageId};

use super::stage::{NumberedLayer, Stages};
use crate::error::BuildError;

/// Whether layers of `next` bytes may arrive while others, of `now` bytes, wait to be unpacked.
fn may_arrive_beside(now: u64, next: u64) -> bool {
    next / 4 >= now / 3
}

/// How much the layers take as they came, as long as they are here.
fn held(layers: &[NumberedLayer]) -> u64 {
    let here = layers.iter().filter(|(layer, _)| layer.spool.is_some());
    here.map(|(layer, _)| layer.descriptor.size).sum()
}

impl Stages<'_> {
    /// Lets the base of the next stage on the root filesystem begin to arrive, if there is place for it beside the layers of this one.
    pub(super) fn fetch_ahead(
        &mut self,
        stage: StageId,
        layers: &[NumberedLayer],
    ) -> Result<(), BuildError> {
        let Some(id) = self.next_base(stage) else {
            return Ok(());
        };
        let described = self.images.described(id, &mut self.contents)?;
        let next = described.iter().map(|(layer, _)| layer.descriptor.size);
        if !may_arrive_beside(held(layers), next.sum()) {
            return Ok(());
        }
        for (_, number) in described {
            if self.contents.layer(number).is_none() {
                self.images.fetch_ahead(number)?;
            }
        }
        Ok(())
    }

    /// The base of the next stage on the root filesystem, if it is certain that it will be unpacked.
    fn next_base(&self, stage: StageId) -> Option<ImageId> {
        let later = self.plan.stages.iter().skip_while(|it| it.id != stage);
        let next = later
            .skip(1)
            .find(|stage| self.is_needed(stage.id) && self.needs.is_live(stage.id))?;
        match &next.base {
            Base::Image(id) if self.surely_runs(next) => Some(*id),
            Base::Image(_) | Base::Scratch | Base::Stage(_) | Base::Context(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_base_may_arrive_where_it_does_not_raise_what_the_disk_must_hold() {
        const MB: u64 = 1_000_000;
        let peak = |now: u64, next: u64| (4 * now + next, (4 * now).max(4 * next));
        for (now, next) in [(0, 1), (79 * MB, 630 * MB), (3 * MB, 4 * MB)] {
            let (beside, otherwise) = peak(now, next);
            assert!(may_arrive_beside(now, next) && beside <= otherwise.max(1));
        }
        for (now, next) in [(630 * MB, 79 * MB), (4 * MB, 5 * MB), (MB, MB)] {
            let (beside, otherwise) = peak(now, next);
            assert!(!may_arrive_beside(now, next) && beside > otherwise);
        }
    }
}
