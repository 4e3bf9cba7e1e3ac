//! Hot paths of layers: difference of trees, tar form, compression.

use std::num::NonZeroUsize;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kigumi_layer::{
    Change, CompressionSettings, Entry, FileContent, FinishedLayer, ImagePath, LayerEncoder,
    LayerWriter, Metadata, Mode, Timestamp, Tree, diff,
};
use kigumi_oci::Compression;

const DIRECTORIES: usize = 500;
const FILES: usize = 100;

/// A file of the tree: its content is its name.
fn file(directory: usize, number: usize) -> Option<Change> {
    let name = format!("d{directory}/file-{number}");
    Some(Change::Put {
        path: ImagePath::parse(name.as_bytes()).ok()?,
        entry: Entry::File(FileContent::inline(name.as_bytes())),
        metadata: Metadata::root_owned(Mode::FILE, Timestamp::from_seconds(1)),
    })
}

fn changes() -> Vec<Change> {
    (0..DIRECTORIES)
        .flat_map(|directory| (0..FILES).filter_map(move |number| file(directory, number)))
        .collect()
}

fn tree(changes: &[Change]) -> Tree {
    let mut tree = Tree::new();
    for change in changes {
        drop(tree.apply(change.clone()));
    }
    tree
}

fn difference(criterion: &mut Criterion) {
    let before = tree(&changes());
    let mut after = before.clone();
    after.begin_layer();
    for directory in 0..10 {
        if let Some(change) = file(directory, FILES) {
            drop(after.apply(change));
        }
    }
    let mut group = criterion.benchmark_group("tree");
    group.bench_function("diff of 50 000 files, ten new", |bencher| {
        bencher.iter(|| diff(&before, &after).len());
    });
    group.bench_function("clone and touch one", |bencher| {
        bencher.iter(|| {
            let mut copy = before.clone();
            file(0, FILES + 1).map(|change| copy.apply(change))
        });
    });
    group.finish();
}

fn encode(criterion: &mut Criterion) {
    let changes = changes();
    criterion.bench_function("tar of 50 000 files", |bencher| {
        bencher.iter(|| {
            let mut encoder = LayerEncoder::new(std::io::sink()).expect_changes(&changes);
            let written = changes.iter().map(|change| {
                let path = change.path().as_relative();
                encoder.entry(change, &mut &*path)
            });
            written.flatten().count()
        });
    });
}

/// Bytes that do not compress; the same every time.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()
    };
    std::iter::repeat_with(next)
        .take(length / 8)
        .flatten()
        .collect()
}

fn layer_of(content: &[u8], settings: &CompressionSettings) -> Option<FinishedLayer> {
    let mut writer = LayerWriter::new(std::io::sink(), settings).ok()?;
    std::io::Write::write_all(&mut writer, content).ok()?;
    writer.finish().ok()
}

fn compress(criterion: &mut Criterion) {
    // Text of the sort that layers are full of: it shrinks to a third.
    let text: Vec<u8> = (0..600_000_u32)
        .flat_map(|number| {
            format!("line {} of a file\n", number.wrapping_mul(2_654_435_761)).into_bytes()
        })
        .collect();
    let contents = [("text", &text), ("noise", &noise(text.len()))];
    let mut group = criterion.benchmark_group("compress");
    group.sample_size(10);
    group.throughput(Throughput::Bytes(text.len() as u64));
    for (name, compression) in [
        ("gzip", Compression::Gzip),
        ("zstd", Compression::Zstd),
        ("none", Compression::None),
    ] {
        for (threads, (kind, content)) in (1..=2).flat_map(|n| contents.map(|one| (n, one))) {
            let threads = NonZeroUsize::MIN.saturating_add(threads - 1);
            let settings = CompressionSettings::new(compression).threads(threads);
            group.bench_function(format!("{name} of {kind}, threads: {threads}"), |bencher| {
                bencher.iter(|| layer_of(content, &settings));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, difference, encode, compress);
criterion_main!(benches);
