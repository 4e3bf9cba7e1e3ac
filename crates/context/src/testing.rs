//! Trees and changes in the [notation](kigumi_layer::notation), with `@now` for the time of the instruction.

use kigumi_layer::notation::{parse_changes, parse_tree, print_changes};
use kigumi_layer::{Change, ImagePath, Timestamp, Tree};

/// The time of instructions.
pub(crate) const NOW: Timestamp = Timestamp::from_seconds(2_000_000_000);

pub(crate) fn path(text: &str) -> ImagePath {
    ImagePath::parse(text.as_bytes()).unwrap()
}

/// A tree; directories that are not listed are 0755 0:0, times that are not listed are 0.
pub(crate) fn tree(lines: &str) -> Tree {
    parse_tree(&with_now(lines)).unwrap()
}

pub(crate) fn changes(lines: &str) -> Vec<Change> {
    parse_changes(&with_now(lines)).unwrap()
}

pub(crate) fn shown(changes: &[Change]) -> String {
    print_changes(changes).replace("@2000000000 ", "@now ")
}

/// The lines as they are printed: without indentation, files with their size.
pub(crate) fn normal(lines: &str) -> String {
    shown(&changes(lines))
}

fn with_now(lines: &str) -> String {
    lines.replace("@now ", "@2000000000 ")
}
