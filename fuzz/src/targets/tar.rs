use std::io::Read;

use kigumi_layer::{Change, Dialect, LayerEncoder, LayerReader, Origin, Tree, decompress, diff};

/// As much as is decompressed of an input.
const LARGEST: u64 = 8 << 20;

/// Layers. What can be read can be applied or is refused; the tree that comes out, written as a layer and read again, is the same tree.
pub fn tar(data: &[u8]) {
    layer(data);
    let mut plain = Vec::new();
    if let Ok(stream) = decompress(data)
        && stream.take(LARGEST).read_to_end(&mut plain).is_ok()
        && plain != data
    {
        layer(&plain);
    }
}

fn layer(data: &[u8]) {
    let _ = entries(data, Dialect::Archive);
    let mut tree = Tree::new();
    tree.begin_layer();
    let changes = entries(data, Dialect::Layer);
    // Every entry takes at least a block.
    assert!(
        changes.len() <= data.len() / 512,
        "{} entries",
        changes.len()
    );
    for change in changes {
        let _ = tree.apply(change);
    }
    let changes = diff(&Tree::new(), &tree);
    let mut encoder = LayerEncoder::new(Vec::new()).expect_changes(&changes);
    let mut written = Vec::new();
    for change in &changes {
        let content = change.file().and_then(|file| match file.origin {
            Origin::Blob { offset, .. } => {
                let start = usize::try_from(offset).ok()?;
                data.get(start..start + usize::try_from(file.size).ok()?)
            }
            _ => None,
        });
        // Names that are whiteouts, and what no header has room for, are refused.
        if encoder
            .entry(change, &mut content.unwrap_or_default())
            .is_ok()
        {
            written.push(change.clone());
        }
    }
    if written.len() < changes.len() {
        return;
    }
    let encoded = encoder.finish().expect("writing to memory");
    let mut again = Tree::new();
    again
        .apply_layer(entries(&encoded, Dialect::Layer))
        .expect("what we write can be applied");
    assert_eq!(shown(&again), shown(&tree));
}

fn entries(data: &[u8], dialect: Dialect) -> Vec<Change> {
    let mut reader = LayerReader::new(data, dialect, 0);
    let mut changes = Vec::new();
    while let Ok(Some(mut entry)) = reader.next_entry() {
        if let Some(content) = &mut entry.content {
            let size = std::io::copy(content, &mut std::io::sink());
            let promised = entry.change.file().map(|file| file.size);
            if size.ok() != promised {
                return changes;
            }
        }
        changes.push(entry.change);
    }
    changes
}

/// The tree without the places of contents, and without what a layer says of its root: none that we write says anything.
fn shown(tree: &Tree) -> String {
    let mut tree = tree.clone();
    let root = tree.root();
    tree.node_mut(root).metadata = Tree::new().node(root).metadata.clone();
    let files: Vec<_> = tree.walk().map(|(_, id)| id).collect();
    for id in files {
        if let Some(content) = tree.node_mut(id).file_mut() {
            let size = content.size;
            *content = kigumi_layer::FileContent::inline(b"");
            content.size = size;
        }
    }
    tree.to_string()
}
