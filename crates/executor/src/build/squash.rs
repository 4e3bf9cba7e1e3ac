//! `--single-snapshot`: what a build adds to its base image becomes one layer, at the end (K-FLAG-03).
//!
//! The layers are made as always, and are not sent. When all of them are there, the image's files with and without them are compared as
//! values: what was written and then removed is in no layer any more.

use std::io::Read;

use kigumi_layer::{FileContent, ImagePath, diff};
use kigumi_oci::HistoryEntry;

use super::headers;
use super::layers::{FileDigests, Sending, Wanted};
use super::stage::{NumberedLayer, Stages};
use crate::error::BuildError;

impl Stages<'_> {
    /// Makes one layer of all layers but the first `base`.
    ///
    /// # Errors
    /// [`BuildError`] when a layer cannot be read or written.
    pub(super) fn squash(
        &mut self,
        layers: Vec<NumberedLayer>,
        base: usize,
    ) -> Result<Vec<NumberedLayer>, BuildError> {
        let (below, new) = layers.split_at(base.min(layers.len()));
        self.factory.sending = Sending::AtOnce;
        if new.is_empty() {
            return Ok(layers);
        }
        let before = headers::tree_of(below, &self.workshop.cancel)?;
        // They share what the new layers do not change.
        let mut after = before.clone();
        headers::append(&mut after, new, &self.workshop.cancel)?;
        let mut changes = diff(&before, &after);
        let mut squashed = below.to_vec();
        if changes.is_empty() {
            return Ok(squashed);
        }
        self.extract(&mut changes)?;
        let contents = &self.contents;
        let open =
            |path: &ImagePath, content: &FileContent| -> Result<Box<dyn Read + '_>, BuildError> {
                contents.open(path, content)
            };
        let wanted = (Wanted::ByImage, FileDigests::Unwanted);
        let layer = self.factory.write(wanted, false, &changes, &open)?;
        squashed.extend(self.number(layer));
        Ok(squashed)
    }
}

/// Says in the history that the last instruction that made a layer made the only one: the entries of the `base` layers stay as they are
/// (T-HIST-05).
pub(super) fn rewrite_history(history: &mut [HistoryEntry], base: usize, has_layer: bool) {
    let makers = history.iter_mut().filter(|entry| !entry.empty_layer);
    let mut last = None;
    for entry in makers.skip(base) {
        entry.empty_layer = true;
        last = Some(entry);
    }
    if let (Some(entry), true) = (last, has_layer) {
        entry.empty_layer = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empties(history: &[bool], base: usize, has_layer: bool) -> Vec<bool> {
        let entries = history.iter().map(|empty_layer| HistoryEntry {
            empty_layer: *empty_layer,
            ..HistoryEntry::default()
        });
        let mut entries: Vec<HistoryEntry> = entries.collect();
        rewrite_history(&mut entries, base, has_layer);
        entries.iter().map(|entry| entry.empty_layer).collect()
    }

    /// T-HIST-05
    #[test]
    fn of_the_instructions_of_the_build_the_last_one_with_files_has_the_layer() {
        let history = [false, true, false, false, false, true];
        let one = [false, true, true, true, false, true];
        assert_eq!(empties(&history, 1, true), one);
        let none = [false, true, true, true, true, true];
        assert_eq!(empties(&history, 1, false), none);
        assert_eq!(empties(&history[..2], 1, false), history[..2]);
        assert_eq!(empties(&[true, false, false], 0, true), [true, true, false]);
    }
}
