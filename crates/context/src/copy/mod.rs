//! COPY and ADD as functions from trees to changes.

mod error;
mod placing;
mod selection;
mod spec;
mod subtree;
#[cfg(test)]
mod tests;
mod unpacking;

use kigumi_layer::{Change, Tree};

pub use error::CopyError;
pub use placing::copied_xattrs;
pub use selection::{Candidate, SelectedName, archive_candidates, selected_names};
pub use spec::{Archive, ArchiveKey, Archives, CopyItem, CopySpec, Destination, Owner};

use placing::Placing;

/// What one COPY or ADD puts into its layer: changes in the order in which a layer lists them (parents first; of hard links the first name
/// is the file), each path once (T-COPY-28), the root never (T-COPY-18). Empty when nothing is different from `tree`.
///
/// `tree` is the stage as it is; links in the destination are followed inside it. With `--link` (and without `--chmod`, as BuildKit has it)
/// it does not matter: the layer is made for an empty root. `sources` are the trees that [`CopyItem::Path`] names by number, `archives` the
/// contents of the files that [`archive_candidates`] gave and that turned out to be archives; for COPY there are none.
///
/// # Errors
/// [`CopyError`], which names the source or destination as it was written.
pub fn copy_changes(
    tree: &Tree,
    spec: &CopySpec,
    sources: &[&Tree],
    archives: &Archives,
) -> Result<Vec<Change>, CopyError> {
    let nothing = Tree::new();
    let independent = spec.link && spec.chmod.is_none();
    let mut placing = Placing::new(if independent { &nothing } else { tree }, spec)?;
    for (index, item) in spec.items.iter().enumerate() {
        placing.item(index, item, sources, archives)?;
    }
    Ok(placing.changes())
}
