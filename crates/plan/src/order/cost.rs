//! What an order costs, in bytes of layers as they are stored: nothing else is known of an image before it is unpacked.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use kigumi_oci::DiffId;

use crate::plan::{Base, PlannedImage, StageId};

/// Emptying takes about a quarter of the time that unpacking takes.
const EMPTYING: u64 = 4;
/// To roll a root filesystem back, all of it is looked at: a twentieth of the time that unpacking takes.
const LOOKING: u64 = 20;

/// What is moved on the root filesystem, in bytes of layers of images as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Moved {
    /// Unpacked onto it.
    pub unpacked: u64,
    /// Removed, to make place for the next stage. What lies there at the end of a build is not.
    pub emptied: u64,
    /// Left there and rolled back for the next stage (ADR 25).
    pub rolled_back: u64,
}

impl Display for Moved {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} unpacked, {} emptied",
            Size(self.unpacked),
            Size(self.emptied)
        )
    }
}

/// Bytes as people read them.
struct Size(u64);

impl Display for Size {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let tenths = self.0 / 100_000;
        if tenths == 0 {
            write!(f, "{} bytes", self.0)
        } else {
            write!(f, "{}.{} MB", tenths / 10, tenths % 10)
        }
    }
}

impl Moved {
    pub(super) fn cost(self) -> u64 {
        let aside = self.emptied / EMPTYING + self.rolled_back / LOOKING;
        self.unpacked.saturating_add(aside)
    }
}

/// Something that lies on something else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// A layer of an image.
    Layer(DiffId),
    /// The files of a named context.
    Context(String),
    /// What a stage did.
    Stage(StageId),
}

/// What a stage begins or ends with, lowest first; each with its size. What is not known before it is there has none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Stack(Vec<(Part, u64)>);

impl Stack {
    pub(super) fn of_base(
        base: &Base,
        images: &[PlannedImage],
        ends: &BTreeMap<StageId, Self>,
    ) -> Self {
        match base {
            Base::Scratch => Self::default(),
            Base::Image(id) => images.get(id.0).map(Self::of_image).unwrap_or_default(),
            Base::Stage(id) => ends.get(id).cloned().unwrap_or_default(),
            Base::Context(name) => Self(vec![(Part::Context(name.clone()), 0)]),
        }
    }

    fn of_image(image: &PlannedImage) -> Self {
        let sizes = image.sizes.iter().copied().chain(std::iter::repeat(0));
        let layers = image.config.rootfs.diff_ids.iter().zip(sizes);
        Self(
            layers
                .map(|(layer, size)| (Part::Layer(*layer), size))
                .collect(),
        )
    }

    /// With one more part, of a size that nobody knows.
    pub(super) fn with(&self, part: Part) -> Self {
        let mut parts = self.0.clone();
        parts.push((part, 0));
        Self(parts)
    }

    pub(super) fn first(&self) -> Option<&Part> {
        self.0.first().map(|(part, _)| part)
    }

    pub(super) fn size(&self) -> u64 {
        self.0
            .iter()
            .fold(0, |sum, (_, size)| sum.saturating_add(*size))
    }
}

/// The size of what both begin with; none if they begin differently.
pub(super) fn shared(one: &Stack, other: &Stack) -> Option<u64> {
    let pairs = one.0.iter().zip(&other.0);
    let same = pairs.take_while(|((one, _), (other, _))| one == other);
    same.fold(None, |sum, ((_, size), _)| {
        Some(size.saturating_add(sum.unwrap_or_default()))
    })
}

/// What is moved if these lie on the root filesystem one after the other: what each begins and ends with.
pub(super) fn moved(stages: &[(&Stack, &Stack)]) -> Moved {
    let mut moved = Moved::default();
    let mut lies: Option<&Stack> = None;
    for (begins, ends) in stages {
        if lies != Some(begins) {
            let kept = lies.and_then(|lies| shared(lies, begins));
            match (kept, lies) {
                (Some(size), _) => add(&mut moved.rolled_back, size),
                (None, Some(lies)) => add(&mut moved.emptied, lies.size()),
                (None, None) => {}
            }
            let there = kept.unwrap_or_default();
            add(&mut moved.unpacked, begins.size().saturating_sub(there));
        }
        lies = Some(ends);
    }
    moved
}

fn add(sum: &mut u64, size: u64) {
    *sum = sum.saturating_add(size);
}
