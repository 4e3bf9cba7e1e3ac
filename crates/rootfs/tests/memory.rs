//! What a file that nobody touches costs. The only test of its process, whose memory it looks at.

#![expect(
    clippy::unwrap_used,
    reason = "what a test cannot do ends it, and its figures are for whoever reads the log"
)]

use std::path::Path;

use kigumi_layer::{
    Change, ContentIdentity, Entry, FileContent, ImagePath, Metadata, Mode, Origin, Timestamp, Tree,
};
use kigumi_oci::Digest;
use kigumi_rootfs::{Exclusions, Index, Protection, RootDir, Virtuals};

const FILES: u64 = 40_000;

/// In the tree and in the record of what was seen.
const BYTES_PER_FILE: u64 = 200;

fn status(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kibibytes = line.unwrap().trim_start_matches(':').trim();
    let kibibytes = kibibytes.strip_suffix(" kB").unwrap().trim();
    kibibytes.parse::<u64>().unwrap() << 10
}

fn put(tree: &mut Tree, path: &str, entry: Entry) {
    tree.apply(Change::Put {
        path: ImagePath::parse(path.as_bytes()).unwrap(),
        entry,
        metadata: Metadata::root_owned(Mode::FILE, Timestamp::from_seconds(1)),
    })
    .unwrap();
}

/// A tree and a disk with one and the same files, a hundred to a directory.
fn base(root: &Path) -> Tree {
    let mut tree = Tree::new();
    tree.begin_layer();
    for number in 0..FILES {
        let directory = format!("d{:03}", number / 100);
        let on_disk = root.join(&directory);
        if number % 100 == 0 {
            std::fs::create_dir(&on_disk).unwrap();
            put(&mut tree, &directory, Entry::Directory);
        }
        let name = format!("file-{number:05}");
        std::fs::write(on_disk.join(&name), "x").unwrap();
        let content = FileContent {
            size: 1,
            identity: ContentIdentity::Sha256(Digest::of(name.as_bytes())),
            origin: Origin::Live,
        };
        let path = format!("{directory}/{name}");
        put(&mut tree, &path, Entry::File(content));
    }
    tree
}

// T-RES-03
#[test]
fn a_file_that_nobody_touches_costs_at_most_two_hundred_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let root = RootDir::open(directory.path()).unwrap();
    let exclusions = Exclusions::new(&root, &Protection::default()).unwrap();
    let before = status("RssAnon");
    let tree = base(directory.path());
    let of_tree = status("RssAnon") - before;
    let mut index = Index::record(&root, &exclusions, tree, Virtuals::default()).unwrap();
    index.settle(&root).unwrap();
    std::fs::write(directory.path().join("new"), "x").unwrap();
    let old = index.scan(&root, &exclusions).unwrap();
    assert_eq!(kigumi_layer::diff(&old, index.tree()).len(), 1);
    let all = status("RssAnon") - before;
    let (of_tree, all) = (of_tree / FILES, all / FILES);
    assert!(
        all > 50 && all <= BYTES_PER_FILE,
        "{all} bytes a file, of which the tree has {of_tree}"
    );
    println!("{all} bytes a file, of which the tree has {of_tree}");
}
