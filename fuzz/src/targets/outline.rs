use std::io::{Read, Write};

use kigumi_layer::{
    Change, CompressionSettings, LayerWriter, Origin, OutlineReader, OutlineWriter, Tree,
    decompress,
};
use kigumi_oci::Compression;

/// As much as is decompressed of an input.
const LARGEST: u64 = 8 << 20;

/// Outlines of layers, as they are stored or unpacked. What can be read to its end can be applied or is refused; written again it is the same
/// bytes, because there is one spelling of everything.
pub fn outline(data: &[u8]) {
    stored(data);
    // Without this no change would ever get past the checksum.
    if data.starts_with(b"kigumi outline") {
        stored(&packed(data));
    }
}

fn stored(data: &[u8]) {
    let Some(changes) = whole(data) else {
        return;
    };
    let mut tree = Tree::new();
    tree.begin_layer();
    let mut writer = OutlineWriter::new(Vec::new()).expect("writing to memory");
    for change in changes {
        let content = change.file().and_then(|file| match &file.origin {
            Origin::Inline(bytes) => Some(bytes.to_vec()),
            _ => None,
        });
        let put = writer.put(&change, content.as_deref());
        put.expect("what was read can be written");
        let _ = tree.apply(change);
    }
    let (again, _) = writer.finish().expect("writing to memory");
    assert_eq!(unpacked(&again), unpacked(data));
}

/// All of it, if it is right to its end.
fn whole(data: &[u8]) -> Option<Vec<Change>> {
    let mut reader = OutlineReader::new(data, 0).ok()?;
    let mut changes = Vec::new();
    while let Some(change) = reader.next_change().ok()? {
        changes.push(change);
    }
    Some(changes)
}

fn packed(data: &[u8]) -> Vec<u8> {
    let settings = CompressionSettings::new(Compression::Zstd);
    let mut packed = Vec::new();
    let mut writer = LayerWriter::new(&mut packed, &settings).expect("writing to memory");
    writer.write_all(data).expect("writing to memory");
    writer.finish().expect("writing to memory");
    packed
}

fn unpacked(data: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    let stream = decompress(data).expect("it was read before");
    let read = stream.take(LARGEST).read_to_end(&mut plain);
    read.expect("it was read before");
    plain
}
