//! What was seen of a file in 38 bytes rather than 80, and nothing of it lost.
//!
//! What the files of one layer have in common is not said again by [`Narrow`](super::narrow::Narrow), which has 24.

use std::collections::HashMap;

use kigumi_layer::Timestamp;

use crate::disk::Identity;

/// What differs from file to file of an [`Identity`]; what many have in common is in [`Shares`].
///
/// Packed: one is kept for every file of an image.
#[derive(Clone, Copy, Debug)]
#[repr(C, packed(2))]
pub(super) struct Packed {
    ino: u64,
    ctime: Time,
    mtime: Time,
    /// Means nothing where the share has none.
    btime: Time,
    size: u32,
    share: u16,
}

impl Packed {
    pub(super) fn ctime(&self) -> Timestamp {
        let ctime = self.ctime;
        ctime.unpack()
    }
}

/// What many files have in common, by number.
#[derive(Default, Debug)]
pub(super) struct Shares {
    numbers: HashMap<Share, u16>,
    list: Vec<Share>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Share {
    dev: u64,
    mode: u16,
    uid: u32,
    gid: u32,
    nlink: u32,
    has_btime: bool,
}

impl Share {
    fn of(identity: &Identity) -> Self {
        Self {
            dev: identity.dev,
            mode: identity.mode,
            uid: identity.uid,
            gid: identity.gid,
            nlink: identity.nlink,
            has_btime: identity.btime.is_some(),
        }
    }
}

impl Shares {
    /// `None` for what does not fit: a file of 4 GiB, a time after 2242, the 65 537th share.
    pub(super) fn pack(&mut self, identity: &Identity) -> Option<Packed> {
        let btime = identity.btime;
        Some(Packed {
            ino: identity.ino,
            ctime: Time::pack(identity.ctime)?,
            mtime: Time::pack(identity.mtime)?,
            btime: Time::pack(btime.unwrap_or_default())?,
            size: u32::try_from(identity.size).ok()?,
            share: self.number(identity)?,
        })
    }

    /// The number of what `identity` shares with others.
    pub(super) fn number(&mut self, identity: &Identity) -> Option<u16> {
        let share = Share::of(identity);
        if let Some(number) = self.numbers.get(&share) {
            return Some(*number);
        }
        let number = u16::try_from(self.list.len()).ok()?;
        self.list.push(share);
        self.numbers.insert(share, number);
        Some(number)
    }

    /// Whether `identity` has what this number was given for.
    pub(super) fn is(&self, number: u16, identity: &Identity) -> bool {
        let share = self.list.get(usize::from(number));
        share.is_some_and(|share| *share == Share::of(identity))
    }

    /// What was packed here; `None` for what was packed elsewhere.
    pub(super) fn unpack(&self, packed: &Packed) -> Option<Identity> {
        let (ctime, mtime, btime) = (packed.ctime, packed.mtime, packed.btime);
        self.complete(packed.share, |share| Identity {
            ino: packed.ino,
            ctime: ctime.unpack(),
            mtime: mtime.unpack(),
            size: packed.size.into(),
            btime: share.btime.map(|_| btime.unpack()),
            ..share
        })
    }

    /// What [`Shares::number`] gave a number for: an identity that has this of the share, and a birth time if there is to be one.
    pub(super) fn complete(
        &self,
        number: u16,
        rest: impl FnOnce(Identity) -> Identity,
    ) -> Option<Identity> {
        let share = self.list.get(usize::from(number))?;
        Some(rest(Identity {
            dev: share.dev,
            ino: 0,
            ctime: Timestamp::default(),
            mtime: Timestamp::default(),
            size: 0,
            mode: share.mode,
            uid: share.uid,
            gid: share.gid,
            nlink: share.nlink,
            btime: share.has_btime.then(Timestamp::default),
        }))
    }
}

/// Nanoseconds in the lower thirty bits, and seconds from 272 years before 1970 on above them.
#[derive(Clone, Copy, Debug)]
struct Time(u64);

const NANOSECOND_BITS: u32 = 30;
const FIRST_SECOND: i64 = -(1 << 33);

impl Time {
    fn pack(time: Timestamp) -> Option<Self> {
        let nanoseconds = u64::from(time.nanoseconds);
        let seconds = u64::try_from(time.seconds.checked_sub(FIRST_SECOND)?).ok()?;
        let fits = nanoseconds >> NANOSECOND_BITS == 0 && seconds >> (64 - NANOSECOND_BITS) == 0;
        fits.then_some(Self(seconds << NANOSECOND_BITS | nanoseconds))
    }

    fn unpack(self) -> Timestamp {
        let seconds = (self.0 >> NANOSECOND_BITS).cast_signed();
        let nanoseconds = self.0 & ((1 << NANOSECOND_BITS) - 1);
        Timestamp {
            seconds: seconds + FIRST_SECOND,
            // Thirty bits always fit.
            nanoseconds: u32::try_from(nanoseconds).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(in super::super) const CENTURIES: i64 = 1 << 33;

    fn time() -> impl Strategy<Value = Timestamp> {
        let seconds = prop_oneof![
            8 => -CENTURIES..CENTURIES,
            1 => Just(-CENTURIES),
            1 => Just(CENTURIES - 1),
        ];
        (seconds, 0..1_000_000_000_u32).prop_map(|(seconds, nanoseconds)| Timestamp {
            seconds,
            nanoseconds,
        })
    }

    prop_compose! {
        pub(in super::super) fn identity()(
            (dev, ino, size) in (0..3_u64, any::<u64>(), any::<u32>()),
            (mode, uid, gid, nlink) in (0..3_u16, any::<u32>(), 0..3_u32, 1..3_u32),
            (ctime, mtime, btime) in (time(), time(), prop::option::of(time())),
        ) -> Identity {
            Identity { dev, ino, ctime, mtime, size: size.into(), mode, uid, gid, nlink, btime }
        }
    }

    pub(in super::super) fn plain() -> Identity {
        Identity {
            dev: 1,
            ino: 2,
            ctime: Timestamp::from_seconds(3),
            mtime: Timestamp::from_seconds(4),
            size: 5,
            mode: 6,
            uid: 7,
            gid: 8,
            nlink: 9,
            btime: None,
        }
    }

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked_as_it_was(
            identities in prop::collection::vec(identity(), 1..20),
        ) {
            let mut shares = Shares::default();
            let packed: Vec<Packed> = identities
                .iter()
                .map(|identity| shares.pack(identity).unwrap())
                .collect();
            for (identity, packed) in identities.iter().zip(&packed) {
                prop_assert_eq!(shares.unpack(packed).unwrap(), *identity);
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_not_packed() {
        let late = Timestamp::from_seconds(CENTURIES);
        let early = Timestamp::from_seconds(-CENTURIES - 1);
        let (mut size, mut ctime, mut mtime, mut btime) = (plain(), plain(), plain(), plain());
        size.size = 1 << 32;
        ctime.ctime = late;
        mtime.mtime = early;
        btime.btime = Some(late);
        let mut shares = Shares::default();
        for identity in [size, ctime, mtime, btime] {
            assert!(shares.pack(&identity).is_none(), "{identity:?}");
        }
        for uid in 0..=u32::from(u16::MAX) {
            assert!(shares.pack(&Identity { uid, ..plain() }).is_some());
        }
        let one_more = Identity {
            uid: 1 << 16,
            ..plain()
        };
        assert!(shares.pack(&one_more).is_none());
    }
}
