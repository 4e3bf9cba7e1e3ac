//! What was seen of a file in 24 bytes, where the files around it are much like it.

use kigumi_layer::Timestamp;

use super::packed::Shares;
use crate::disk::Identity;

const SECOND: i64 = 1_000_000_000;
/// How far a [`Span`] reaches, in nanoseconds: eighteen minutes.
const SPAN: i64 = 1 << 40;
/// How many shares a record can tell apart.
const SHARES: u16 = 1 << 12;

/// What the records of one piece of the table are counted from.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Start {
    ino: u64,
    /// In nanoseconds.
    ctime: i64,
}

impl Start {
    /// So that `first` and what is like it lie within reach, before it as well as after it.
    pub(super) fn of(first: &Identity) -> Self {
        Self {
            ino: first.ino.saturating_sub(1 << 31),
            ctime: nanoseconds(first.ctime)
                .unwrap_or_default()
                .saturating_sub(SPAN / 2),
        }
    }
}

/// What differs from file to file of an [`Identity`], as its distance from something near; and what is to be said about that in general.
///
/// One is kept for every file of an image.
#[derive(Clone, Copy, Default, Debug)]
#[repr(C, packed(2))]
pub(super) struct Narrow {
    /// From that of the start. Elsewhere, the number of the place.
    ino: u32,
    /// See [`Mtime`].
    mtime: u32,
    size: u32,
    /// From that of the start.
    ctime: Span,
    /// From here to the change time. Means nothing where the share has none.
    age: Span,
    /// The number of the share, and in the upper four bits the state, the meaning of `mtime` and [`COMPLETE`].
    head: u16,
}

/// What is known of a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    Nothing,
    Seen,
    /// Its change time could not be told from that of a change made right afterwards.
    Suspect,
    /// It does not fit here, and is in the table of those at this number.
    Elsewhere(u32),
}

/// A length of time of less than eighteen minutes.
#[derive(Clone, Copy, Default, Debug)]
struct Span([u8; 5]);

impl Span {
    fn new(nanoseconds: i64) -> Option<Self> {
        let bytes = nanoseconds.to_le_bytes();
        let (lower, upper) = bytes.split_first_chunk()?;
        (*upper == [0; 3]).then_some(Self(*lower))
    }

    fn nanoseconds(self) -> i64 {
        let mut bytes = [0; 8];
        bytes
            .iter_mut()
            .zip(self.0)
            .for_each(|(to, from)| *to = from);
        i64::from_le_bytes(bytes)
    }
}

const STATE: u16 = 3 << 14;
const SEEN: u16 = 1 << 14;
const SUSPECT: u16 = 2 << 14;
const ELSEWHERE: u16 = 3 << 14;
/// `mtime` counts whole seconds since 1970, as archives have it; else nanoseconds back from the change time, as for what was just written.
const IN_SECONDS: u16 = 1 << 13;
/// Of a directory: in it were the names that the tree has, when it was seen.
const COMPLETE: u16 = 1 << 12;

impl Narrow {
    /// `None` for what is too unlike what is near it: it has another place.
    pub(super) fn pack(identity: &Identity, start: Start, shares: &mut Shares) -> Option<Self> {
        let ctime = nanoseconds(identity.ctime)?;
        let age = match identity.btime {
            Some(btime) => ctime.checked_sub(nanoseconds(btime)?)?,
            None => 0,
        };
        let written = identity.mtime;
        let (mtime, unit) = match u32::try_from(written.seconds) {
            Ok(seconds) if written.nanoseconds == 0 => (seconds, IN_SECONDS),
            Ok(_) | Err(_) => {
                let before = ctime.checked_sub(nanoseconds(written)?)?;
                (u32::try_from(before).ok()?, 0)
            }
        };
        Some(Self {
            ino: u32::try_from(identity.ino.checked_sub(start.ino)?).ok()?,
            mtime,
            size: u32::try_from(identity.size).ok()?,
            ctime: Span::new(ctime.checked_sub(start.ctime)?)?,
            age: Span::new(age)?,
            head: shares.number(identity).filter(|share| *share < SHARES)? | unit | SEEN,
        })
    }

    /// What was packed with this start and these shares.
    pub(super) fn unpack(&self, start: Start, shares: &Shares) -> Option<Identity> {
        let (age, mtime) = (self.age.nanoseconds(), self.mtime);
        let ctime = self.nanoseconds(start);
        shares.complete(self.head & (SHARES - 1), |share| Identity {
            ino: start.ino.wrapping_add(self.ino.into()),
            ctime: timestamp(ctime),
            mtime: if self.head & IN_SECONDS == 0 {
                timestamp(ctime - i64::from(mtime))
            } else {
                Timestamp::from_seconds(mtime.into())
            },
            size: self.size.into(),
            btime: share.btime.map(|_| timestamp(ctime - age)),
            ..share
        })
    }

    /// Whether `identity` is what was packed with this start and these shares: as unpacking and comparing, without the divisions.
    pub(super) fn is(&self, identity: &Identity, start: Start, shares: &Shares) -> bool {
        let (age, mtime, size) = (self.age.nanoseconds(), self.mtime, self.size);
        let ctime = self.nanoseconds(start);
        let written = identity.mtime;
        let is_mtime = if self.head & IN_SECONDS == 0 {
            nanoseconds(written) == Some(ctime - i64::from(mtime))
        } else {
            written == Timestamp::from_seconds(mtime.into())
        };
        identity.ino == start.ino.wrapping_add(self.ino.into())
            && identity.size == u64::from(size)
            && nanoseconds(identity.ctime) == Some(ctime)
            && is_mtime
            && shares.is(self.head & (SHARES - 1), identity)
            && identity
                .btime
                .is_none_or(|btime| nanoseconds(btime) == Some(ctime - age))
    }

    /// See [`COMPLETE`]. A record that is made anew knows nothing of names.
    pub(super) fn is_complete(&self) -> bool {
        self.head & COMPLETE != 0
    }

    pub(super) fn set_complete(&mut self, is_complete: bool) {
        let is_complete = is_complete && self.state() != State::Nothing;
        self.head = self.head & !COMPLETE | if is_complete { COMPLETE } else { 0 };
    }

    /// The record of something that is elsewhere.
    pub(super) fn elsewhere(number: u32) -> Self {
        Self {
            ino: number,
            head: ELSEWHERE,
            ..Self::default()
        }
    }

    pub(super) fn state(&self) -> State {
        match self.head & STATE {
            SEEN => State::Seen,
            SUSPECT => State::Suspect,
            ELSEWHERE => State::Elsewhere(self.ino),
            _ => State::Nothing,
        }
    }

    /// From now on it is one that has to be read, if it is a file that was seen.
    pub(super) fn suspect(&mut self) {
        if self.state() == State::Seen {
            self.head = self.head & !STATE | SUSPECT;
        }
    }

    pub(super) fn ctime(&self, start: Start) -> Timestamp {
        timestamp(self.nanoseconds(start))
    }

    fn nanoseconds(&self, start: Start) -> i64 {
        start.ctime.wrapping_add(self.ctime.nanoseconds())
    }
}

/// Since 1970; `None` where 64 bits do not reach, more than 292 years from there.
fn nanoseconds(time: Timestamp) -> Option<i64> {
    let seconds = time.seconds;
    seconds
        .checked_mul(SECOND)?
        .checked_add(time.nanoseconds.into())
}

fn timestamp(nanoseconds: i64) -> Timestamp {
    Timestamp {
        seconds: nanoseconds.div_euclid(SECOND),
        // Less than a second's worth always fits.
        nanoseconds: u32::try_from(nanoseconds.rem_euclid(SECOND)).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::packed::tests::{identity, plain};
    use super::*;

    #[test]
    fn a_record_has_twenty_four_bytes() {
        assert_eq!(size_of::<Narrow>(), 24);
    }

    fn at(nanoseconds: i64) -> Timestamp {
        timestamp(nanoseconds)
    }

    const YEAR_2030: i64 = 1_893_456_000 * SECOND;
    const MINUTE: i64 = 60 * SECOND;

    prop_compose! {
        /// As files of one layer are, or nearly so.
        fn neighbour()(
            plain in identity(),
            ino in any::<u32>(),
            after in -2 * SPAN..2 * SPAN,
            age in prop_oneof![0..20 * MINUTE, Just(-1)],
            (mtime, seconds) in (0..5 * SECOND, prop::option::of(-5..1_i64 << 33)),
        ) -> Identity {
            let ctime = YEAR_2030 + after;
            Identity {
                ino: ino.into(),
                ctime: at(ctime),
                mtime: seconds.map_or_else(|| at(ctime - mtime), Timestamp::from_seconds),
                btime: plain.btime.map(|_| at(ctime - age)),
                ..plain
            }
        }
    }

    proptest! {
        #[test]
        fn what_fits_is_unpacked_as_it_was(
            identities in prop::collection::vec(prop_oneof![4 => neighbour(), 1 => identity()], 1..20),
            is_complete in any::<bool>(),
        ) {
            let mut shares = Shares::default();
            let start = Start::of(&identities[0]);
            for identity in &identities {
                if let Some(mut narrow) = Narrow::pack(identity, start, &mut shares) {
                    narrow.set_complete(is_complete);
                    prop_assert_eq!(narrow.is_complete(), is_complete);
                    prop_assert_eq!(narrow.unpack(start, &shares).unwrap(), *identity);
                    for other in &identities {
                        prop_assert_eq!(narrow.is(other, start, &shares), other == identity);
                    }
                    prop_assert_eq!(narrow.ctime(start), identity.ctime);
                    prop_assert_eq!(narrow.state(), State::Seen);
                }
            }
        }
    }

    #[test]
    fn nothing_else_is_what_was_packed() {
        let mut shares = Shares::default();
        for mtime in [Timestamp::from_seconds(5), at(YEAR_2030 - 7)] {
            let first = Identity { mtime, ..recent() };
            let narrow = Narrow::pack(&first, Start::of(&first), &mut shares).unwrap();
            let is = |change: &dyn Fn(&mut Identity)| {
                let mut identity = first;
                change(&mut identity);
                narrow.is(&identity, Start::of(&first), &shares)
            };
            let later = |time: Timestamp| Timestamp {
                nanoseconds: time.nanoseconds + 1,
                ..time
            };
            assert!(is(&|_| {}));
            assert!(!is(&|it| it.ino += 1));
            assert!(!is(&|it| it.size += 1));
            assert!(!is(&|it| it.size += 1 << 32));
            assert!(!is(&|it| it.ctime = later(it.ctime)));
            assert!(!is(&|it| it.mtime = later(it.mtime)));
            assert!(!is(&|it| it.btime = it.btime.map(later)));
            assert!(!is(&|it| it.btime = None));
            assert!(!is(&|it| it.ctime = Timestamp::from_seconds(i64::MAX)));
            assert!(!is(&|it| it.dev += 1));
            assert!(!is(&|it| it.mode += 1));
            assert!(!is(&|it| it.uid += 1));
            assert!(!is(&|it| it.gid += 1));
            assert!(!is(&|it| it.nlink += 1));
        }
    }

    fn recent() -> Identity {
        Identity {
            ctime: at(YEAR_2030),
            mtime: Timestamp::from_seconds(5),
            btime: Some(at(YEAR_2030 - MINUTE)),
            ..plain()
        }
    }

    #[test]
    fn files_of_one_layer_fit_and_what_is_unlike_them_does_not() {
        let first = recent();
        let start = Start::of(&first);
        let mut shares = Shares::default();
        let mut fits = |change: &dyn Fn(&mut Identity)| {
            let mut identity = recent();
            change(&mut identity);
            Narrow::pack(&identity, start, &mut shares).is_some()
        };
        assert!(fits(&|_| {}));
        assert!(fits(&|it| it.ino += 1 << 31));
        assert!(fits(&|it| it.mtime = at(YEAR_2030 - 7)));
        assert!(fits(&|it| it.btime = None));
        assert!(fits(&|it| it.ctime = at(YEAR_2030 + 9 * MINUTE)));
        assert!(fits(&|it| it.btime = Some(at(YEAR_2030 - 18 * MINUTE))));
        assert!(!fits(&|it| it.ino += 1 << 32));
        assert!(!fits(&|it| it.size = 1 << 32));
        assert!(!fits(&|it| it.mtime = at(1)));
        assert!(!fits(&|it| it.mtime = Timestamp::from_seconds(1 << 32)));
        assert!(!fits(&|it| it.mtime = Timestamp::from_seconds(-1)));
        assert!(!fits(&|it| it.ctime = at(YEAR_2030 + 10 * MINUTE)));
        assert!(!fits(&|it| it.ctime = at(YEAR_2030 - 10 * MINUTE)));
        assert!(!fits(&|it| it.btime = Some(at(YEAR_2030 - 19 * MINUTE))));
        assert!(!fits(&|it| it.btime = Some(at(YEAR_2030 + 1))));
        for uid in 0..5000 {
            let is_near = fits(&|it| it.uid = 100 + uid);
            // Two were numbered above.
            assert_eq!(is_near, uid + 2 < u32::from(SHARES), "{uid}");
        }
    }

    #[test]
    fn a_record_says_what_it_is() {
        let start = Start::of(&recent());
        let mut seen = Narrow::pack(&recent(), start, &mut Shares::default()).unwrap();
        assert_eq!(Narrow::default().state(), State::Nothing);
        assert_eq!(seen.state(), State::Seen);
        seen.suspect();
        assert_eq!(seen.state(), State::Suspect);
        let mut elsewhere = Narrow::elsewhere(70_000);
        elsewhere.suspect();
        assert_eq!(elsewhere.state(), State::Elsewhere(70_000));
    }
}
