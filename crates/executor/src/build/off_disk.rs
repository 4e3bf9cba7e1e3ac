//! Files of a base that are not on the disk, because the pod has mounted something in their place.

use std::collections::BTreeSet;

use kigumi_layer::Origin;
use kigumi_rootfs::Index;

use super::contents::Contents;
use super::stage::NumberedLayer;

/// What a RUN is told by, whoever copies from the stage.
const USERS: [&[u8]; 2] = [b"etc/passwd", b"etc/group"];

/// Keeps the bytes of the layers that hold such files, as far as anybody may ask for them: all if others copy from the stage. Of layers that have passed
/// nothing is left: small files were kept by themselves, and whoever asks for others has the layer fetched again.
pub(crate) fn keep(
    index: &Index,
    layers: &[NumberedLayer],
    is_read: bool,
    contents: &mut Contents,
) {
    let tree = index.tree();
    let wanted: BTreeSet<u32> = tree
        .walk()
        .filter(|(path, _)| is_read || USERS.contains(&path.as_relative()))
        .filter_map(|(_, id)| tree.node(id).file())
        // What is on the disk is live.
        .filter_map(|content| match content.origin {
            Origin::Blob { blob, .. } => Some(blob),
            Origin::Inline(_) | Origin::Stored { .. } | Origin::Live => None,
        })
        .collect();
    for (layer, number) in layers {
        let kept = layer.spool.as_ref().filter(|spool| !spool.passes());
        if wanted.contains(number) && kept.is_some() {
            contents.set_layer(*number, kept.cloned());
        }
    }
}
