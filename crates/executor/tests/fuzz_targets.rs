//! The fuzz targets without a fuzzer: every seed, and seeds with changes. So the targets cannot rot, and what they found stays found
//! where only a stable toolchain is. `cargo xtask fuzz` looks further.

#[path = "../../../fuzz/src/lib.rs"]
#[expect(
    dead_code,
    unreachable_pub,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a file with another home, where it is a library"
)]
mod fuzz;

use fuzz::seeds::seeds;
use fuzz::targets::TARGETS;

/// How many changed inputs each target gets.
const CHANGED: usize = 3_000;

/// Longer inputs say nothing new and cost time.
const LONGEST: usize = 4_096;

/// A generator of numbers that look random and are the same every time (xorshift, Marsaglia 2003).
struct Numbers(u64);

impl Numbers {
    /// A number below `limit`.
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap_or(0) % limit.max(1)
    }

    fn pick<'a>(&mut self, seeds: &'a [Vec<u8>]) -> &'a [u8] {
        seeds
            .get(self.below(seeds.len()))
            .map_or(&[], Vec::as_slice)
    }
}

/// One input made of one or two seeds: pieces are taken out, doubled, exchanged, and bytes are changed.
fn changed(seeds: &[Vec<u8>], numbers: &mut Numbers) -> Vec<u8> {
    const BYTES: &[u8] = b"\0\n\r\\\"'$`{}[]<>#=:-/. *?!aE\xff\xc3";
    let mut input = numbers.pick(seeds).to_vec();
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(input.len() + 1);
        let end = at + numbers.below(input.len() - at + 1).min(64);
        match numbers.below(4) {
            0 => drop(input.drain(at..end)),
            1 => {
                let other = numbers.pick(seeds);
                let start = numbers.below(other.len());
                let piece = other.iter().skip(start).take(64).copied();
                input.splice(at..end, piece);
            }
            2 => {
                let piece: Vec<u8> = input.drain(at..end).collect();
                let twice = piece.iter().chain(&piece).copied().collect::<Vec<_>>();
                input.splice(at..at, twice);
            }
            _ => input
                .splice(at..at, BYTES.get(numbers.below(BYTES.len())).copied())
                .for_each(drop),
        }
    }
    input.truncate(LONGEST);
    input
}

#[test]
fn every_target_takes_its_seeds_and_what_becomes_of_them() {
    for (name, target) in TARGETS {
        let seeds = seeds(name);
        assert!(seeds.len() >= 4, "{name} has {} seeds", seeds.len());
        for seed in &seeds {
            target(seed);
        }
        let mut numbers = Numbers(0x2545_f491_4f6c_dd1d);
        for _ in 0..CHANGED {
            target(&changed(&seeds, &mut numbers));
        }
    }
}
