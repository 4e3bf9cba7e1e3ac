use std::io::{self, Write};

use kigumi_context::{
    ArchiveKey, Archives, CopyItem, CopySpec, Destination, Owner, Spool, copy_changes, read_archive,
};
use kigumi_layer::{Change, FileContent, ImagePath, Mode, Timestamp, notation};

/// As much as is unpacked of an input.
const LARGEST: u64 = 8 << 20;

/// What is on the way of archives: links, a file, a directory with something in it.
const STAGE: &str = "d 0755 0:0 /d\nf 0644 0:0 /d/f \"f\"\nl 0:0 /d/link -> ../elsewhere\nl 0:0 /d/loop -> loop\nd 0700 1:1 /elsewhere";

/// ADD of an archive. It is none, it is refused, or it gives changes that can be applied and stay where they belong.
pub fn archive(data: &[u8]) {
    let mut spool = Spool::new(Limited(LARGEST), 0);
    let Ok(Some(archive)) = read_archive(data, "fuzz.tar", &mut spool) else {
        return;
    };
    let stage = notation::parse_tree(STAGE).expect("a constant");
    let spec = CopySpec {
        items: vec![CopyItem::File {
            name: b"fuzz.tar".to_vec(),
            content: FileContent::inline(b""),
            mode: Mode::FILE,
            mtime: Timestamp::default(),
            unpack: true,
        }],
        destination: Destination::new(b"/", "d").expect("a constant"),
        owner: Owner::ROOT,
        chmod: None,
        parents: false,
        exclude: Vec::new(),
        link: false,
        now: Timestamp::default(),
    };
    let mut archives = Archives::none();
    let key = ArchiveKey {
        item: 0,
        path: ImagePath::root(),
    };
    archives.insert(key, archive);
    let Ok(changes) = copy_changes(&stage, &spec, &[], &archives) else {
        return;
    };
    assert!(
        !changes
            .iter()
            .any(|change| matches!(change, Change::Delete { .. }))
    );
    let mut after = stage;
    after
        .apply_layer(changes)
        .expect("what ADD gives can be applied");
}

/// Takes so many bytes and no more.
struct Limited(u64);

impl Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self
            .0
            .checked_sub(bytes.len() as u64)
            .ok_or_else(|| io::Error::other("the spool is full"))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
