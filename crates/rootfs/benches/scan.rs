//! Unpacking many files, the first look at them, and a scan that finds nothing.

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use kigumi_layer::{Change, Entry, FileContent, ImagePath, Metadata, Mode, Timestamp, Tree};
use kigumi_rootfs::{
    DisposableRoot, Error, Exclusions, Index, Protection, Unpacker, Virtuals, WritableRoot,
};

const CONTENT: &[u8] = b"what a small file holds";

/// `each` of them to a directory.
fn files(each: usize) -> Vec<Change> {
    let name = |number: usize| format!("d{}/file-{number}", number / each);
    let change = |number| {
        Some(Change::Put {
            path: ImagePath::parse(name(number).as_bytes()).ok()?,
            entry: Entry::File(FileContent::inline(CONTENT)),
            metadata: Metadata::root_owned(Mode::FILE, Timestamp::from_seconds(1)),
        })
    };
    (0..10_000).filter_map(change).collect()
}

/// A root on which the files lie, and the record of them.
struct Unpacked {
    root: WritableRoot,
    exclusions: Exclusions,
    index: Index,
    _directory: tempfile::TempDir,
}

fn unpack(changes: &[Change]) -> Result<Unpacked, Error> {
    let directory = tempfile::tempdir().map_err(|source| Error::OpenHost {
        path: std::env::temp_dir(),
        source,
    })?;
    let root = DisposableRoot::of_directory(directory.path())?.open()?;
    let exclusions = Exclusions::new(&root, &Protection::default())?;
    let mut tree = Tree::new();
    let mut unpacker = Unpacker::new(&root, &exclusions, Virtuals::default());
    for change in changes {
        let Ok(effect) = tree.apply(change.clone()) else {
            continue;
        };
        unpacker.apply(&mut tree, change, &effect, Some(&mut &*CONTENT))?;
    }
    let virtuals = unpacker.finish(&mut tree)?;
    let index = Index::record(&root, &exclusions, tree, virtuals)?;
    Ok(Unpacked {
        root,
        exclusions,
        index,
        _directory: directory,
    })
}

fn scans(criterion: &mut Criterion) {
    let changes = files(100);
    let mut group = criterion.benchmark_group("root");
    group.sample_size(10);
    group.bench_function("unpack and record 10 000 files", |bencher| {
        bencher.iter_batched(|| (), |()| unpack(&changes), BatchSize::PerIteration);
    });
    if let Ok(mut unpacked) = unpack(&changes) {
        group.bench_function("scan of 10 000 files, none changed", |bencher| {
            bencher.iter(|| unpacked.index.scan(&unpacked.root, &unpacked.exclusions));
        });
    }
    // As in the image of a compiler.
    if let Ok(mut unpacked) = unpack(&files(10)) {
        group.bench_function(
            "scan of 10 000 files in 1000 directories, none changed",
            |bencher| {
                bencher.iter(|| unpacked.index.scan(&unpacked.root, &unpacked.exclusions));
            },
        );
    }
    group.finish();
}

criterion_group!(benches, scans);
criterion_main!(benches);
