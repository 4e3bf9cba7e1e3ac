use std::io::{self, Cursor, Read, Write};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kigumi_oci::{Compression, DiffId, Digest};

use super::*;

const KINDS: [Compression; 3] = [Compression::None, Compression::Gzip, Compression::Zstd];

/// Bytes that do not compress; the same every time.
pub(super) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// Text-like bytes that compress, with stretches that do not.
fn sample(length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length + 64);
    for chunk in noise(length / 4 + 64).chunks(4) {
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(
            b"usr/share/doc/changelog"
                .get(usize::from(chunk[0] % 8)..)
                .unwrap(),
        );
    }
    bytes.truncate(length);
    bytes
}

fn settings(compression: Compression, threads: usize) -> CompressionSettings {
    CompressionSettings::new(compression).threads(NonZeroUsize::new(threads).unwrap())
}

fn written(
    content: &[u8],
    settings: &CompressionSettings,
    piece: usize,
) -> (Vec<u8>, FinishedLayer) {
    let mut sink = Vec::new();
    let mut writer = LayerWriter::new(&mut sink, settings).unwrap();
    for piece in content.chunks(piece) {
        writer.write_all(piece).unwrap();
    }
    let finished = writer.finish().unwrap();
    (sink, finished)
}

fn read(compressed: &[u8]) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    decompress(compressed)
        .map_err(|error| error.to_string())?
        .read_to_end(&mut out)
        .map_err(|error| error.to_string())?;
    Ok(out)
}

#[test]
fn what_was_written_is_read_again_whatever_its_length() {
    let block = BLOCK;
    for compression in KINDS {
        for length in [1, 511, block - 1, block, block + 1, 3 * block + 77] {
            let content = sample(length);
            let (bytes, _) = written(&content, &settings(compression, 2), 100_000);
            assert_eq!(read(&bytes).unwrap(), content, "{compression:?} {length}");
        }
    }
}

#[test]
fn a_finished_layer_tells_both_digests_and_both_sizes() {
    let content = sample(BLOCK * 2 + 5);
    for compression in KINDS {
        let (bytes, finished) = written(&content, &settings(compression, 2), 4096);
        let expected = FinishedLayer {
            diff_id: DiffId(Digest::of(&content)),
            digest: Digest::of(&bytes),
            size: bytes.len() as u64,
            uncompressed_size: content.len() as u64,
            compression,
        };
        assert_eq!(finished, expected);
    }
}

/// crates.md § 4.2.
#[test]
fn the_bytes_depend_neither_on_the_threads_nor_on_how_writes_are_cut() {
    let content = [
        sample(BLOCK * 3 + 12_345),
        noise(BLOCK * 3),
        sample(BLOCK * 3),
    ]
    .concat();
    for compression in KINDS {
        let (expected, _) = written(&content, &settings(compression, 1), BLOCK * 9);
        for (threads, piece) in [(1, 999), (2, 512), (3, 70_000), (8, BLOCK + 1)] {
            let (bytes, _) = written(&content, &settings(compression, threads), piece);
            assert!(bytes == expected, "{compression:?} {threads} {piece}");
        }
    }
}

#[test]
fn an_empty_layer_is_a_whole_stream() {
    for compression in [Compression::Gzip, Compression::Zstd] {
        let (bytes, finished) = written(&[], &settings(compression, 2), 1);
        assert_eq!(finished.uncompressed_size, 0);
        assert_eq!(read(&bytes).unwrap(), b"");
    }
}

/// Decoders that know one member only exist; and a name or a time in the header would make bytes differ.
#[test]
fn gzip_is_one_member_with_a_plain_header() {
    let content = sample(BLOCK * 3);
    let (bytes, _) = written(&content, &settings(Compression::Gzip, 3), 8192);
    assert_eq!(bytes[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
    let mut one = flate2::bufread::GzDecoder::new(&bytes[..]);
    let mut out = Vec::new();
    one.read_to_end(&mut out).unwrap();
    assert!(out == content);
    assert_eq!(one.into_inner(), b"");
}

#[test]
fn blocks_refer_to_the_block_before_them() {
    let noise = noise(20_000);
    let size = |parts: &[&[u8]]| {
        let settings = settings(Compression::Gzip, 1);
        written(&parts.concat(), &settings, BLOCK).1.size
    };
    let first = [vec![0; BLOCK - noise.len()], noise.clone()].concat();
    let repeated = size(&[&first, &noise]) - size(&[&first]);
    assert!(
        repeated < 1000,
        "{repeated} bytes for what was there before"
    );
}

/// Whatever is between, before and behind: the first and the last part of a stream are written otherwise than those in the middle.
#[test]
fn stored_and_compressed_parts_are_one_stream() {
    let noise = noise(BLOCK * 2);
    let text = sample(BLOCK * 2);
    let segment = dense::SEGMENT;
    let cases = [
        vec![&noise[..]],
        vec![&noise[..segment]],
        vec![&noise[..BLOCK + 77]],
        vec![&text[..300_000], &noise[..]],
        vec![&noise[..BLOCK + segment], &text[..]],
        vec![&text[..segment * 3], &noise[..segment * 3], &text[..BLOCK]],
    ];
    for parts in cases {
        let content = parts.concat();
        let settings = settings(Compression::Gzip, 2);
        let (bytes, _) = written(&content, &settings, 70_000);
        let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
        assert!(read(&bytes).unwrap() == content, "{lengths:?}");
    }
}

#[test]
fn what_does_not_compress_grows_by_less_than_a_ten_thousandth() {
    let length = BLOCK * 4;
    let noise = noise(length);
    for level in 1..=9 {
        let settings = settings(Compression::Gzip, 2).level(Some(level));
        let (_, finished) = written(&noise, &settings, BLOCK);
        let most = length as u64 * 10_001 / 10_000;
        assert!(finished.size <= most, "{level}: {}", finished.size);
    }
}

/// Cache entries are found by such digests: what changes them, be it another version of the compressor, is to be told in the changelog.
#[test]
fn the_bytes_of_a_layer_are_these_on_every_machine() {
    let content = [sample(BLOCK + 100_000), noise(BLOCK)].concat();
    let (_, finished) = written(&content, &settings(Compression::Gzip, 2), BLOCK);
    let expected = "sha256:3771f9f19cfb56945a513cba8127a94ad0a84f007408559f14ce4181045791c8";
    assert_eq!(finished.digest.to_string(), expected);
}

#[test]
fn every_level_can_be_written_and_read_and_no_other_is_taken() {
    let content = sample(300_000);
    let cases = [(Compression::Gzip, 0..=9), (Compression::Zstd, 1..=19)];
    for (compression, levels) in cases {
        for level in levels.clone() {
            let settings = settings(compression, 1).level(Some(level));
            let (bytes, _) = written(&content, &settings, 4096);
            assert!(read(&bytes).unwrap() == content, "{compression:?} {level}");
        }
        let beyond = settings(compression, 1).level(Some(levels.end() + 1));
        assert!(matches!(
            LayerWriter::new(Vec::new(), &beyond),
            Err(Error::CompressionLevel { .. })
        ));
    }
}

/// Takes a number of bytes, then fails.
#[derive(Debug)]
struct Full {
    room: usize,
    writes: Arc<AtomicUsize>,
}

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        if bytes.len() > self.room {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        self.room -= bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_error_of_the_sink_ends_the_layer_and_finishing_it_fails() {
    let content = sample(BLOCK * 8);
    for compression in KINDS {
        let writes = Arc::new(AtomicUsize::new(0));
        let sink = Full {
            room: 1000,
            writes: Arc::clone(&writes),
        };
        let mut writer = LayerWriter::new(sink, &settings(compression, 2)).unwrap();
        let failed = writer.write_all(&content).is_err();
        let count = writes.load(Ordering::Relaxed);
        if failed {
            // What comes after an error must not go to the sink: it would follow a hole.
            writer.write_all(b"more").unwrap_err();
            assert_eq!(writes.load(Ordering::Relaxed), count);
        }
        assert!(matches!(writer.finish(), Err(Error::FinishLayer { .. })));
    }
}

#[test]
fn dropping_a_writer_in_the_middle_ends_its_threads() {
    // Joining them is what drop does; a thread that waited for ever would hang here.
    for compression in KINDS {
        let mut writer = LayerWriter::new(Vec::new(), &settings(compression, 4)).unwrap();
        writer.write_all(&sample(BLOCK * 6)).unwrap();
        drop(writer);
    }
}

#[test]
fn formats_are_recognised_by_their_first_bytes_t_add_01() {
    let cases: [(&[u8], StreamFormat); 8] = [
        (b"", StreamFormat::Plain),
        (b"\x1f", StreamFormat::Plain),
        (b"\x1f\x8b\x08", StreamFormat::Gzip),
        (b"\x28\xb5\x2f\xfd", StreamFormat::Zstd),
        (b"\x5a\x2a\x4d\x18", StreamFormat::Zstd),
        (b"BZh9", StreamFormat::Bzip2),
        (b"\xfd7zXZ\0", StreamFormat::Xz),
        (b"etc/", StreamFormat::Plain),
    ];
    for (head, expected) in cases {
        assert_eq!(StreamFormat::detect(head), expected, "{head:?}");
    }
}

/// hostile-inputs § 5.3, group Compression.
#[test]
fn concatenated_streams_are_read_to_the_end() {
    let skippable = b"\x50\x2a\x4d\x18\x04\0\0\0skip";
    let part = |compression| written(b"part", &settings(compression, 1), 9).0;
    let gzip = [part(Compression::Gzip), part(Compression::Gzip)].concat();
    assert_eq!(read(&gzip).unwrap(), b"partpart");
    let zstd = part(Compression::Zstd);
    let zstd = [&skippable[..], &zstd, skippable, &zstd, skippable].concat();
    assert_eq!(read(&zstd).unwrap(), b"partpart");
}

/// hostile-inputs § 5.3, group Compression.
#[test]
fn damaged_streams_are_refused() {
    for compression in [Compression::Gzip, Compression::Zstd] {
        let (good, _) = written(&sample(50_000), &settings(compression, 1), 999);
        let last = good.len() - 1;
        for cut in [5, 9, 11, last / 2, last] {
            read(&good[..cut]).unwrap_err();
        }
        for at in [last, last - 4] {
            let mut bad = good.clone();
            bad[at] ^= 0x40;
            read(&bad).unwrap_err();
        }
        let garbage = [&good[..], b"garbage"].concat();
        read(&garbage).unwrap_err();
    }
    read(b"").unwrap_err();
    read(b"BZh91AY&SY").unwrap_err();
    read(b"\xfd7zXZ\0\0\0").unwrap_err();
}

/// hostile-inputs § 1.2: one below and one above the limit.
#[test]
fn a_zstd_window_of_128_mib_is_the_largest() {
    for (log, accepted) in [(27, true), (28, false)] {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(log).unwrap();
        encoder.write_all(b"window").unwrap();
        let frame = encoder.finish().unwrap();
        assert_eq!(read(&frame).is_ok(), accepted, "{log}");
    }
}

#[test]
fn the_inner_reader_is_at_its_end_after_the_last_byte() {
    for compression in KINDS {
        let (bytes, _) = written(&sample(10_000), &settings(compression, 1), 999);
        let mut reader = decompress_as(Cursor::new(&bytes), compression.into()).unwrap();
        io::copy(&mut reader, &mut io::sink()).unwrap();
        assert_eq!(reader.into_inner().position(), bytes.len() as u64);
    }
}
