//! Which parts of a block are not worth compressing: what is compressed already, encrypted or random.
//!
//! deflate saves bytes in two ways: some bytes are more frequent than others, or something was there before. Both are estimated, from the bytes
//! of the block alone and in whole numbers, so that every machine decides alike. A segment is dense if both promise less than half a percent; then
//! deflate would spend more time on it than on anything else, for nothing. In doubt it is not dense.

use std::ops::Range;

use super::gzip::WINDOW;

/// What is decided at once. Larger than the window, so that what is before a segment is in its block, save for the first.
pub(super) const SEGMENT: usize = 128 * 1024;
/// What frequencies are counted in: about as much as one Huffman code of deflate is for.
const PIECE: usize = 16 * 1024;
/// Frequencies may differ by a sixteenth, as [`unevenness`] has it, before it pays; a code for them would save 0.45 %. Of random bytes they differ by a 64th.
const EVEN: u64 = (PIECE * PIECE / 16) as u64;
/// Of every line, [`LOOKS`] places are looked at for what was there before.
const LINE: usize = 64;
const LOOKS: usize = 8;
/// How much one place has to match. Random bytes do by chance in one segment of thirty, once.
const MATCH: usize = 4;
/// As many matches as make repetition pay. One place in [`MATCH`] is remembered, so that these are 0.4 % of all places.
const FEW: usize = SEGMENT / LINE * LOOKS / 1024;
/// Bits of a place in [`Places`].
const SLOT_BITS: u32 = 14;

/// What is done with a part of a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Treatment {
    /// It is compressed.
    Deflate,
    /// It is written as it is.
    Store,
}

/// The parts of a block in their order, neighbours of one treatment joined. What is left behind the last whole segment is compressed; an empty block is
/// one empty part.
pub(super) fn parts(block: &[u8]) -> Vec<(Range<usize>, Treatment)> {
    let mut parts: Vec<(Range<usize>, Treatment)> = Vec::new();
    let mut start = 0;
    loop {
        let end = block.len().min(start + SEGMENT);
        let treatment = treatment(block, start..end);
        match parts.last_mut() {
            Some((range, before)) if *before == treatment => range.end = end,
            Some(_) | None => parts.push((start..end, treatment)),
        }
        if end == block.len() {
            return parts;
        }
        start = end;
    }
}

fn treatment(block: &[u8], segment: Range<usize>) -> Treatment {
    let content = block.get(segment.clone()).unwrap_or_default();
    if content.len() < SEGMENT || is_uneven(content) {
        return Treatment::Deflate;
    }
    let start = segment.start.saturating_sub(WINDOW);
    let known = segment.start - start;
    let window = block.get(start..segment.end).unwrap_or_default();
    if is_repetitive(window, known) {
        Treatment::Deflate
    } else {
        Treatment::Store
    }
}

/// Whether some bytes are so much more frequent than others that a code for them would pay. Most of what is not dense is known by its first piece.
fn is_uneven(segment: &[u8]) -> bool {
    let pieces = segment.chunks_exact(PIECE);
    let limit = EVEN * pieces.len() as u64;
    let mut total = 0;
    pieces.into_iter().any(|piece| {
        total += unevenness(piece);
        total > limit
    })
}

/// How far the frequencies of bytes are from being the same: 0 if they are, 255 × the square of the length if there is one byte only.
fn unevenness(piece: &[u8]) -> u64 {
    // Four tables, so that a byte need not wait until the same one before it is counted.
    let mut counts = [[0_u32; 256]; 4];
    for bytes in piece.chunks_exact(counts.len()) {
        for (table, byte) in counts.iter_mut().zip(bytes) {
            if let Some(count) = table.get_mut(usize::from(*byte)) {
                *count += 1;
            }
        }
    }
    let [first, second, third, fourth] = &counts;
    let pairs = first.iter().zip(second).zip(third.iter().zip(fourth));
    let squares = pairs.map(|((a, b), (c, d))| u64::from(a + b + c + d).pow(2));
    let length = piece.len() as u64;
    (256 * squares.sum::<u64>()).saturating_sub(length * length)
}

/// Whether more than a [`FEW`] of the places that are looked at have been there before, as far back as deflate can refer. The first `known` bytes are only
/// remembered.
fn is_repetitive(window: &[u8], known: usize) -> bool {
    let mut places = Places::new(window);
    let mut repeated = 0;
    for (number, line) in (0..window.len()).step_by(LINE).enumerate() {
        if line >= known {
            // Another place in each line: what is at the same place of many records is not taken for all of them.
            let look = line + number * LOOKS % LINE;
            repeated += (look..look + LOOKS)
                .filter(|at| places.has_before(*at))
                .count();
            if repeated > FEW {
                return true;
            }
        }
        for at in (line..line + LINE).step_by(MATCH) {
            places.remember(at);
        }
    }
    false
}

/// Where four bytes were seen last.
struct Places<'a> {
    window: &'a [u8],
    /// By a hash of the four bytes, the lower half of the place: what is further back than 64 KiB does not count.
    last: Box<[u16]>,
}

impl<'a> Places<'a> {
    fn new(window: &'a [u8]) -> Self {
        Self {
            window,
            last: vec![0; 1 << SLOT_BITS].into(),
        }
    }

    fn remember(&mut self, at: usize) {
        if let Some(last) = self.word(at).and_then(|word| self.last.get_mut(slot(word))) {
            *last = lower_half(at);
        }
    }

    fn has_before(&self, at: usize) -> bool {
        let Some(word) = self.word(at) else {
            return false;
        };
        let last = self.last.get(slot(word)).copied().unwrap_or_default();
        let distance = usize::from(lower_half(at).wrapping_sub(last));
        let before = at.checked_sub(distance);
        (1..=WINDOW).contains(&distance)
            && before.and_then(|before| self.word(before)) == Some(word)
    }

    fn word(&self, at: usize) -> Option<u32> {
        let bytes = self.window.get(at..at + MATCH)?;
        bytes.try_into().ok().map(u32::from_le_bytes)
    }
}

fn slot(word: u32) -> usize {
    (word.wrapping_mul(0x9e37_79b1) >> (u32::BITS - SLOT_BITS)) as usize
}

fn lower_half(at: usize) -> u16 {
    let [low, high, ..] = at.to_le_bytes();
    u16::from_le_bytes([low, high])
}

#[cfg(test)]
mod tests {
    use super::super::tests::noise;
    use super::*;

    fn treatment_of(segment: &[u8]) -> Treatment {
        assert_eq!(segment.len(), SEGMENT);
        treatment(segment, 0..SEGMENT)
    }

    /// What deflate at its best leaves of a segment, in thousandths.
    fn left(segment: &[u8]) -> usize {
        let mut out = Vec::with_capacity(SEGMENT * 2);
        flate2::Compress::new(flate2::Compression::best(), false)
            .compress_vec(segment, &mut out, flate2::FlushCompress::Finish)
            .unwrap();
        out.len() * 1000 / SEGMENT
    }

    /// Noise, in which so many places of a thousand are the beginning of eight bytes from 5001 bytes before.
    fn repeating(thousandths: u8) -> Vec<u8> {
        let mut segment = noise(SEGMENT);
        let chance = noise(SEGMENT * 3);
        for at in 5001..SEGMENT - 8 {
            let drawn = u16::from_le_bytes([chance[at], chance[at + SEGMENT]]) % 1000;
            if drawn < u16::from(thousandths) {
                segment.copy_within(at - 5001..at - 4993, at);
            }
        }
        segment
    }

    /// Noise, in which so many bytes of a thousand are zeros.
    fn with_zeros(thousandths: u8) -> Vec<u8> {
        let chance = noise(SEGMENT * 3);
        let mut segment = noise(SEGMENT);
        for (at, byte) in segment.iter_mut().enumerate() {
            let drawn = u16::from_le_bytes([chance[at], chance[at + SEGMENT]]) % 1000;
            if drawn < u16::from(thousandths) {
                *byte = 0;
            }
        }
        segment
    }

    #[test]
    fn random_bytes_are_stored() {
        for start in [0, 1, 777_777] {
            let bytes = noise(start + SEGMENT);
            assert_eq!(treatment_of(&bytes[start..]), Treatment::Store);
        }
    }

    #[test]
    fn bytes_of_which_some_are_more_frequent_are_compressed() {
        let noise = noise(SEGMENT);
        let digits: Vec<u8> = noise.iter().map(|byte| b'0' + byte % 10).collect();
        let seven_bits: Vec<u8> = noise.iter().map(|byte| byte & 0x7f).collect();
        for segment in [vec![0; SEGMENT], digits, seven_bits, with_zeros(50)] {
            assert_eq!(treatment_of(&segment), Treatment::Deflate);
        }
    }

    /// Each byte is as frequent as any other in the whole of it, but not near to those like it.
    #[test]
    fn bytes_that_are_uneven_in_every_piece_are_compressed() {
        let half = |offset| {
            let noise = noise(SEGMENT / 2).into_iter();
            noise.map(move |byte| byte / 2 + offset)
        };
        let segment: Vec<u8> = half(0).chain(half(128)).collect();
        assert_eq!(treatment_of(&segment), Treatment::Deflate);
    }

    #[test]
    fn a_segment_that_is_noise_for_a_half_is_compressed() {
        let segment = [noise(SEGMENT / 2), vec![b'a'; SEGMENT / 2]].concat();
        assert_eq!(treatment_of(&segment), Treatment::Deflate);
    }

    #[test]
    fn noise_that_is_repeated_is_compressed_if_deflate_can_refer_to_it() {
        let cases = [
            (61, Treatment::Deflate),
            (1000, Treatment::Deflate),
            (16_385, Treatment::Deflate),
            (WINDOW - 1, Treatment::Deflate),
            (WINDOW, Treatment::Deflate),
            (WINDOW + 1000, Treatment::Store),
        ];
        for (distance, expected) in cases {
            let once = noise(distance);
            let segment: Vec<u8> = once.iter().copied().cycle().take(SEGMENT).collect();
            // Fewer bytes than there are values cannot be even, so this is only about those behind.
            let window = &segment[..];
            assert_eq!(
                is_repetitive(window, WINDOW),
                expected == Treatment::Deflate,
                "{distance}"
            );
            assert_eq!(treatment_of(&segment), expected, "{distance}");
        }
    }

    #[test]
    fn what_the_segment_before_had_counts() {
        let first = noise(SEGMENT);
        let repeated = first[SEGMENT - 20_000..].to_vec();
        let rest = noise(SEGMENT * 3);
        let second = [&repeated[..], &rest[SEGMENT * 2 + 20_000..]].concat();
        assert_eq!(treatment_of(&second), Treatment::Store);
        let block = [first, second].concat();
        let expected = Treatment::Deflate;
        assert_eq!(treatment(&block, SEGMENT..SEGMENT * 2), expected);
    }

    /// The bound that is promised: whatever is on the border of one of the two.
    #[test]
    fn what_is_stored_would_have_lost_less_than_a_hundredth() {
        let mut stored = 0;
        for thousandths in 0..=20 {
            for segment in [with_zeros(thousandths), repeating(thousandths)] {
                if treatment_of(&segment) == Treatment::Store {
                    stored += 1;
                    assert!(left(&segment) >= 990, "{thousandths}: {}", left(&segment));
                }
            }
        }
        assert!(
            (2..42).contains(&stored),
            "{stored} on one side of the border"
        );
    }

    #[test]
    fn neighbours_that_are_treated_alike_are_one_part() {
        let text = vec![b'a'; SEGMENT];
        let noise = noise(SEGMENT * 2);
        let block = [&text[..], &text, &noise, &text, b"rest"].concat();
        let expected = [
            (0..SEGMENT * 2, Treatment::Deflate),
            (SEGMENT * 2..SEGMENT * 4, Treatment::Store),
            (SEGMENT * 4..SEGMENT * 5 + 4, Treatment::Deflate),
        ];
        assert_eq!(parts(&block), expected);
    }

    #[test]
    fn what_is_shorter_than_a_segment_is_compressed() {
        assert_eq!(parts(b""), [(0..0, Treatment::Deflate)]);
        let noise = noise(SEGMENT + 100);
        let short = &noise[..SEGMENT - 1];
        assert_eq!(parts(short), [(0..SEGMENT - 1, Treatment::Deflate)]);
        let expected = [
            (0..SEGMENT, Treatment::Store),
            (SEGMENT..SEGMENT + 100, Treatment::Deflate),
        ];
        assert_eq!(parts(&noise), expected);
    }
}
