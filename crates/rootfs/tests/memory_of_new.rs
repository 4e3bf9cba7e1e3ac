//! What a file costs that a process has written since the last look. The only test of its process, whose memory it looks at.

#![expect(
    clippy::unwrap_used,
    reason = "what a test cannot do ends it, and its figures are for whoever reads the log"
)]

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kigumi_layer::Tree;
use kigumi_rootfs::{Exclusions, Index, Protection, RootDir, Virtuals};

const FILES: u64 = 60_000;

/// In the tree and in the record of what was seen, and at any moment of the look.
const BYTES_PER_FILE: u64 = 200;

fn anonymous() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kibibytes = line.unwrap().trim().strip_suffix(" kB").unwrap().trim();
    kibibytes.parse::<u64>().unwrap() << 10
}

/// The most memory that there was while `work` was done.
fn peak<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut peak = 0;
            while !is_done.load(Ordering::Relaxed) {
                peak = anonymous().max(peak);
                std::thread::sleep(Duration::from_millis(1));
            }
            peak
        });
        let done = work();
        is_done.store(true, Ordering::Relaxed);
        (done, watch.join().unwrap())
    })
}

/// Half of the files lie by the hundred, the others in one directory.
fn write_files(root: &Path) {
    for number in 0..FILES {
        let directory = if number < FILES / 2 {
            root.join(format!("d{:03}", number / 100))
        } else {
            root.join("flat")
        };
        if number % 100 == 0 {
            std::fs::create_dir_all(&directory).unwrap();
        }
        std::fs::write(directory.join(format!("file-{number:06}")), "x").unwrap();
    }
}

// T-RES-03
#[test]
fn a_file_that_was_written_costs_at_most_two_hundred_bytes_while_it_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let root = RootDir::open(directory.path()).unwrap();
    let exclusions = Exclusions::new(&root, &Protection::default()).unwrap();
    let mut index = Index::record(&root, &exclusions, Tree::new(), Virtuals::default()).unwrap();
    index.settle(&root).unwrap();
    write_files(directory.path());
    let before = anonymous();
    let (old, peak) = peak(|| index.scan(&root, &exclusions).unwrap());
    let found = u64::try_from(index.tree().len() - old.len()).unwrap();
    assert_eq!(found, FILES + FILES / 200 + 1);
    let kept = anonymous().saturating_sub(before) / FILES;
    let peak = peak.saturating_sub(before) / FILES;
    println!("{peak} bytes a file, of which {kept} are kept");
    assert!(
        kept > 50 && peak <= BYTES_PER_FILE,
        "{peak} bytes a file, of which {kept} are kept"
    );
}
