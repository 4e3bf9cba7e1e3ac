//! Roots in temporary directories, changes in one line, and trees as text.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use kigumi_layer::{
    Change, ContentIdentity, Device, Entry, FileContent, ImagePath, Kind, Metadata, Mode, Node,
    Origin, Timestamp, Tree, diff,
};
use kigumi_oci::Digester;

use crate::{
    DisposableRoot, Exclusions, Index, Placement, Protection, RootDir, Unpacker, Verdict, Virtuals,
    Wiped, WritableRoot, listing, wipe,
};

pub(super) fn path(text: &str) -> ImagePath {
    ImagePath::parse(text.as_bytes()).unwrap()
}

/// A root in a temporary directory, beside a directory `outside` with a canary in it.
pub(super) struct Fixture {
    directory: tempfile::TempDir,
    pub(super) root: WritableRoot,
    pub(super) protection: Protection,
}

pub(super) const CANARY: &[u8] = b"sings";

impl Fixture {
    pub(super) fn new() -> Self {
        Self::with(|disposable| disposable.open().unwrap())
    }

    pub(super) fn without_openat2() -> Self {
        Self::with(DisposableRoot::open_without_openat2)
    }

    fn with(open: impl Fn(&DisposableRoot) -> WritableRoot) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("root")).unwrap();
        std::fs::create_dir(directory.path().join("outside")).unwrap();
        std::fs::write(directory.path().join("outside/canary"), CANARY).unwrap();
        let disposable = DisposableRoot::of_directory(&directory.path().join("root")).unwrap();
        let root = open(&disposable);
        Self {
            directory,
            root,
            protection: Protection::default(),
        }
    }

    /// The test once with `openat2` and once without.
    pub(super) fn each(test: impl Fn(Self)) {
        test(Self::new());
        test(Self::without_openat2());
    }

    /// Opens the root again: something was mounted there.
    pub(super) fn reopen(&mut self) {
        let host = self.host();
        self.root = crate::interlock::reopen(&host);
    }

    pub(super) fn host(&self) -> PathBuf {
        self.root.host_path().to_owned()
    }

    pub(super) fn outside(&self) -> PathBuf {
        self.directory.path().join("outside")
    }

    pub(super) fn at(&self, name: &str) -> PathBuf {
        self.host().join(name.trim_start_matches('/'))
    }

    pub(super) fn exclusions(&self) -> Exclusions {
        Exclusions::new(&self.root, &self.protection).unwrap()
    }

    pub(super) fn assert_canary(&self) {
        assert_eq!(
            std::fs::read(self.outside().join("canary")).unwrap(),
            CANARY,
            "SOMETHING OUTSIDE OF THE ROOT WAS CHANGED"
        );
        assert_eq!(std::fs::read_dir(self.outside()).unwrap().count(), 1);
    }

    /// What a RUN would do: a shell script with the root as its directory.
    pub(super) fn run(&self, script: &str) {
        run_in(&self.host(), script);
    }

    pub(super) fn wipe(&self) -> Wiped {
        wipe(&self.root, &mut self.exclusions()).unwrap()
    }

    /// Unpacks layers onto the root; returns the tree, what is virtual, and what became of each entry that was not put as asked.
    pub(super) fn unpack(&self, layers: &[&[Change]]) -> (Tree, Virtuals) {
        let mut tree = Tree::new();
        let mut virtuals = Virtuals::default();
        for layer in layers {
            (tree, virtuals) = self.unpack_onto(tree, virtuals, layer);
        }
        (tree, virtuals)
    }

    pub(super) fn unpack_onto(
        &self,
        mut tree: Tree,
        virtuals: Virtuals,
        layer: &[Change],
    ) -> (Tree, Virtuals) {
        let exclusions = self.exclusions();
        let mut unpacker = Unpacker::new(&self.root, &exclusions, virtuals);
        tree.begin_layer();
        for change in layer {
            let effect = tree.apply(change.clone()).unwrap();
            let content = content_of(change);
            let mut reader = content.as_deref();
            let given = reader
                .as_mut()
                .map(|reader| reader as &mut dyn std::io::Read);
            let placement = unpacker.apply(&mut tree, change, &effect, given).unwrap();
            assert!(
                effect.placed.is_some() || placement == Placement::Exact,
                "{change:?}"
            );
        }
        let virtuals = unpacker.finish(&mut tree).unwrap();
        (tree, virtuals)
    }

    /// Unpacks, records and settles: everything up to the first RUN.
    pub(super) fn start(&self, layers: &[&[Change]]) -> Index {
        let (tree, virtuals) = self.unpack(layers);
        self.record(tree, virtuals)
    }

    pub(super) fn record(&self, tree: Tree, virtuals: Virtuals) -> Index {
        let mut index = Index::record(&self.root, &self.exclusions(), tree, virtuals).unwrap();
        index.settle(&self.root).unwrap();
        index
    }

    /// A RUN and the layer that it makes, one line per change.
    pub(super) fn layer(&self, index: &mut Index, script: &str) -> String {
        index.settle(&self.root).unwrap();
        self.run(script);
        self.changes(index)
    }

    pub(super) fn changes(&self, index: &mut Index) -> String {
        let before = index.scan(&self.root, &self.exclusions()).unwrap();
        changes_as_text(&diff(&before, index.tree()))
    }

    /// The disk as it is, by its own eyes.
    pub(super) fn disk(&self) -> String {
        let root = RootDir::open(&self.host()).unwrap();
        let tree = listing(&root, 0, &mut |_| Verdict::Take).unwrap();
        tree_as_text(&tree, &root)
    }

    /// The tree, with contents read from the disk where they are live.
    pub(super) fn text(&self, tree: &Tree) -> String {
        tree_as_text(tree, &self.root)
    }
}

impl Drop for Fixture {
    /// The temporary directory is removed next, by code that knows nothing of mounts: take away what this test has mounted in it.
    fn drop(&mut self) {
        let mounts = crate::Mounts::read().expect("mountinfo was readable before");
        let mut points: Vec<&Path> = mounts
            .below(self.directory.path())
            .map(|mount| mount.point.as_path())
            .collect();
        points.reverse();
        for point in points {
            rustix::mount::unmount(point, rustix::mount::UnmountFlags::DETACH)
                .expect("a mount of this test");
        }
    }
}

pub(super) fn run_in(directory: &Path, script: &str) {
    let status = Command::new("sh")
        .args(["-euc", script])
        .current_dir(directory)
        .status()
        .unwrap();
    assert!(status.success(), "{script}");
}

pub(super) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Privileged tests are not selected without root; selected all the same they must not pass.
pub(crate) fn require_root() {
    assert!(
        is_root(),
        "this test needs root: run it as root, or leave privileged_ tests out"
    );
}

fn me() -> (u32, u32) {
    (
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw(),
    )
}

pub(super) fn metadata(mode: u32) -> Metadata {
    let (uid, gid) = me();
    Metadata {
        mode: Mode::new(mode),
        uid,
        gid,
        mtime: Timestamp {
            seconds: 1_000_000_000,
            nanoseconds: 123_456_789,
        },
        xattrs: kigumi_layer::Xattrs::default(),
    }
}

pub(super) fn put(name: &str, entry: Entry, metadata: Metadata) -> Change {
    Change::Put {
        path: path(name),
        entry,
        metadata,
    }
}

pub(super) fn file(name: &str, content: &str) -> Change {
    put(
        name,
        Entry::File(FileContent::inline(content.as_bytes())),
        metadata(0o644),
    )
}

/// What bases of several tests begin with.
pub(super) fn few_files() -> Vec<Change> {
    vec![
        dir("/"),
        dir("/etc"),
        file("/etc/motd", "hello"),
        file("/etc/passwd", "root"),
        dir("/full"),
        dir("/full/sub"),
        file("/full/sub/f", "1"),
        file("/full/g", "2"),
        symlink("/link", "etc"),
    ]
}

pub(super) fn dir(name: &str) -> Change {
    put(name, Entry::Directory, metadata(0o755))
}

pub(super) fn symlink(name: &str, target: &str) -> Change {
    put(
        name,
        Entry::Symlink(target.as_bytes().into()),
        metadata(0o777),
    )
}

pub(super) fn link(name: &str, target: &str) -> Change {
    Change::Link {
        path: path(name),
        target: path(target),
    }
}

pub(super) fn fifo(name: &str) -> Change {
    put(name, Entry::Fifo, metadata(0o640))
}

pub(super) fn device(name: &str, major: u32, minor: u32) -> Change {
    put(
        name,
        Entry::CharDevice(Device { major, minor }),
        metadata(0o666),
    )
}

pub(super) fn delete(name: &str) -> Change {
    Change::Delete { path: path(name) }
}

pub(super) fn clear(name: &str) -> Change {
    Change::ClearDir { path: path(name) }
}

/// The bytes of a file that is put inline.
pub(super) fn content_of(change: &Change) -> Option<Arc<[u8]>> {
    if let Change::Put { entry, .. } = change
        && let Entry::File(content) = entry
        && let Origin::Inline(bytes) = &content.origin
    {
        return Some(Arc::clone(bytes));
    }
    None
}

/// One line per change: `d 0755 /a`, `f 0644 5 /a/b`, `l /c -> d`, `h /e = /f`, `- /gone`, `! /opaque`.
pub(super) fn changes_as_text(changes: &[Change]) -> String {
    let mut text = String::new();
    for change in changes {
        match change {
            Change::Put {
                path,
                entry,
                metadata,
            } => match entry {
                Entry::Directory => writeln!(text, "d {} {path}", metadata.mode),
                Entry::File(content) => {
                    writeln!(text, "f {} {} {path}", metadata.mode, content.size)
                }
                Entry::Symlink(target) => {
                    writeln!(text, "l {path} -> {}", target.escape_ascii())
                }
                Entry::CharDevice(device) => {
                    writeln!(text, "c {},{} {path}", device.major, device.minor)
                }
                Entry::BlockDevice(device) => {
                    writeln!(text, "b {},{} {path}", device.major, device.minor)
                }
                Entry::Fifo => writeln!(text, "p {} {path}", metadata.mode),
            },
            Change::Link { path, target } => writeln!(text, "h {path} = {target}"),
            Change::Delete { path } => writeln!(text, "- {path}"),
            Change::ClearDir { path } => writeln!(text, "! {path}"),
        }
        .unwrap();
    }
    text
}

/// One line per path with everything that an image says about it, hard links by their first name.
pub(super) fn tree_as_text(tree: &Tree, root: &RootDir) -> String {
    let mut text = String::new();
    let mut first_names = std::collections::HashMap::new();
    for (path, id) in tree.walk() {
        let node = tree.node(id);
        if tree.links(id) > 1 && !node.is_directory() {
            let first = first_names.entry(id).or_insert_with(|| path.clone());
            if *first != path {
                writeln!(text, "{path} = {first}").unwrap();
                continue;
            }
        }
        node_as_text(&mut text, &path, node, root);
    }
    text
}

fn node_as_text(text: &mut String, path: &ImagePath, node: &Node, root: &RootDir) {
    let metadata = &node.metadata;
    let what = match &node.kind {
        Kind::Directory(_) => "dir".to_owned(),
        Kind::File(content) => digest_of(content, path, root),
        Kind::Symlink(target) => format!("-> {}", target.escape_ascii()),
        Kind::CharDevice(device) => format!("c{},{}", device.major, device.minor),
        Kind::BlockDevice(device) => format!("b{},{}", device.major, device.minor),
        Kind::Fifo => "fifo".to_owned(),
    };
    let mode = if matches!(node.kind, Kind::Symlink(_)) {
        Mode::SYMLINK
    } else {
        metadata.mode
    };
    let (seconds, nanoseconds) = (metadata.mtime.seconds, metadata.mtime.nanoseconds);
    write!(
        text,
        "{path} {mode} {}:{} {seconds}.{nanoseconds:09} {what}",
        metadata.uid, metadata.gid
    )
    .unwrap();
    for (name, value) in metadata.xattrs.iter() {
        write!(text, " {}={}", name.escape_ascii(), value.escape_ascii()).unwrap();
    }
    text.push('\n');
}

fn digest_of(content: &FileContent, path: &ImagePath, root: &RootDir) -> String {
    let digest = match &content.origin {
        Origin::Inline(bytes) => kigumi_oci::Digest::of(bytes),
        Origin::Live | Origin::Stored { .. } => {
            let mut file = root.open_content(path).unwrap();
            Digester::new().drain(&mut file).unwrap().0
        }
        Origin::Blob { .. } => panic!("no blobs in these tests"),
    };
    if let ContentIdentity::Sha256(known) = content.identity {
        assert_eq!(known, digest, "{path}");
    }
    format!("{} {}", content.size, digest.short())
}

/// Directories with long names inside each other, deeper than a path can say when `levels` is above 16.
pub(super) fn deep(fixture: &Fixture, levels: usize) {
    let name = "d".repeat(250);
    fixture.run(&format!(
        "i=0; while [ $i -lt {levels} ]; do mkdir {name}; cd -P ./{name} 2>/dev/null || exit 1; i=$((i+1)); done; echo >bottom"
    ));
}

/// Runs a privileged test again, alone, in a mount namespace of its own, so that nothing it mounts is ever seen outside.
pub(super) fn in_mount_namespace(name: &str, test: impl Fn()) {
    const INSIDE: &str = "KIGUMI_TEST_MOUNT_NAMESPACE";
    if std::env::var_os(INSIDE).is_some() {
        test();
        return;
    }
    require_root();
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "--"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .expect("unshare of util-linux is installed");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{name} in its own mount namespace:\n{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

pub(super) fn mount_tmpfs(at: &Path) {
    rustix::mount::mount(
        "tmpfs",
        at,
        "tmpfs",
        rustix::mount::MountFlags::empty(),
        None,
    )
    .unwrap();
}

pub(super) fn bind(from: &Path, to: &Path) {
    rustix::mount::mount_bind(from, to).unwrap();
}

pub(super) fn make_read_only(at: &Path) {
    let flags = rustix::mount::MountFlags::BIND | rustix::mount::MountFlags::RDONLY;
    rustix::mount::mount_remount(at, flags, "").unwrap();
}
