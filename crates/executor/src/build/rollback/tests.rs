use kigumi_layer::{Origin, notation};
use kigumi_oci::{Compression, Descriptor, Digest, ImageFormat, layer_media_type};

use super::*;
use crate::build::layers::Layer;

fn id(name: &str) -> DiffId {
    DiffId(Digest::of(name.as_bytes()))
}

fn stack(names: &[&str]) -> Stack {
    names.iter().map(|name| id(name)).collect()
}

fn layers(names: &[&str], first: u32) -> Vec<NumberedLayer> {
    let media_type = layer_media_type(ImageFormat::Oci, Compression::Gzip).unwrap();
    let layer = |name: &&str| Layer {
        descriptor: Descriptor::of(media_type.clone(), name.as_bytes()),
        diff_id: id(name),
        compression: Compression::Gzip,
        latest: None,
        spool: None,
    };
    names.iter().map(layer).zip(first..).collect()
}

fn tree(text: &str) -> Tree {
    notation::parse_tree(text).unwrap()
}

fn checkpoint(text: &str) -> Checkpoint {
    Checkpoint {
        stack: stack(&["base"]),
        numbers: vec![1],
        tree: tree(text),
    }
}

const FOUR: &str =
    "f 0644 0:0 /a \"one\"\nf 0644 0:0 /b \"two\"\nf 0644 0:0 /c \"six\"\nf 0644 0:0 /d \"ten\"";

#[test]
fn stages_share_their_first_layers_and_no_others() {
    let ours = stack(&["debian", "compiler", "ours"]);
    let shared = |others: &[&[&str]]| {
        let others: Vec<Stack> = others.iter().map(|names| stack(names)).collect();
        longest_shared(&ours, &others)
    };
    assert_eq!(shared(&[]), 0);
    assert_eq!(shared(&[&[]]), 0);
    assert_eq!(shared(&[&["alpine", "compiler", "ours"]]), 0);
    assert_eq!(shared(&[&["debian"], &["debian", "compiler", "theirs"]]), 2);
    assert_eq!(shared(&[&["debian", "compiler", "ours", "more"]]), 3);
}

#[test]
fn the_way_back_leads_to_the_deepest_state_that_the_next_stage_begins_with() {
    let mut past = Past::default();
    for names in [&["debian"][..], &["debian", "node"], &["debian", "python"]] {
        past.remember(&layers(names, 7), &Tree::new());
    }
    let depths =
        |past: &Past| -> Vec<usize> { past.checkpoints.iter().map(Checkpoint::depth).collect() };
    assert!(past.serves(&[stack(&["debian", "node", "npm"])]));
    assert_eq!(depths(&past), [1, 2], "nobody awaits python");
    let wanted = stack(&["debian", "node", "npm"]);
    assert!(past.take(&wanted).is_none(), "nobody knows what lies there");
    past.remember(&layers(&["debian"], 9), &Tree::new());
    assert_eq!(depths(&past), [2, 1], "the same state is known once");
    assert!(!past.serves(&[stack(&["alpine"])]));
    assert_eq!(depths(&past), [0; 0]);
}

#[test]
fn layers_of_another_image_are_known_by_the_numbers_of_the_first() {
    let mut past = Past::default();
    past.remember(&layers(&["debian", "node"], 3), &Tree::new());
    let known = past.checkpoints[0].known_as(&layers(&["debian", "node", "npm"], 20));
    let numbers: Vec<(DiffId, u32)> = known
        .iter()
        .map(|(layer, number)| (layer.diff_id, *number))
        .collect();
    assert_eq!(numbers, [(id("debian"), 3), (id("node"), 4)]);
}

#[test]
fn what_was_added_goes_whatever_it_is() {
    let now = tree(&format!(
        "{FOUR}\nd 0755 0:0 /e\nf 0644 0:0 /e/large \"{}\"",
        "x".repeat(100)
    ));
    let checkpoint = checkpoint(FOUR);
    let Way::Undo(changes) = way(&now, &checkpoint) else {
        panic!("deleting is no more than a wipe");
    };
    assert_eq!(files_in(&changes), 0);
    assert_eq!(notation::print_changes(&changes).trim_end(), "- /e");
    let mut back = now.clone();
    back.apply_layer(changes).unwrap();
    assert!(is_back(&back, &checkpoint) && !is_back(&now, &checkpoint));
}

#[test]
fn half_of_the_files_may_come_back_and_no_more() {
    let checkpoint = checkpoint(FOUR);
    let without = |gone: usize| {
        let lines: Vec<&str> = FOUR.lines().skip(gone).collect();
        way(&tree(&lines.join("\n")), &checkpoint)
    };
    assert!(matches!(without(2), Way::Undo(changes) if files_in(&changes) == 2));
    assert_eq!(without(3), Way::Unpack { files: 3 });
}

#[test]
fn one_file_that_is_most_of_the_bytes_is_unpacked_with_the_rest() {
    let large = FOUR.replace("ten", "more than all the others");
    let now = FOUR.lines().take(3).collect::<Vec<_>>().join("\n");
    assert_eq!(
        way(&tree(&now), &checkpoint(&large)),
        Way::Unpack { files: 1 }
    );
}

#[test]
fn what_comes_back_is_where_the_headers_of_the_layers_say() {
    let Way::Undo(changes) = way(&tree(""), &checkpoint("d 0755 0:0 /d")) else {
        panic!("no file comes back");
    };
    assert!(
        locate(&mut changes.clone(), &Tree::new()),
        "nothing is asked for"
    );
    let wanted = tree("f 0644 0:0 /a \"one\"");
    let mut changes = undo(&Tree::new(), &wanted);
    let mut headers = wanted.clone();
    let node = headers.lookup(changes[0].path()).unwrap();
    let stored = Origin::Blob {
        blob: 5,
        offset: 512,
    };
    headers.node_mut(node).file_mut().unwrap().origin = stored.clone();
    assert!(locate(&mut changes, &headers));
    assert_eq!(changes[0].file().unwrap().origin, stored);
    for other in ["", "d 0755 0:0 /a", "f 0644 0:0 /a \"longer\""] {
        assert!(!locate(&mut changes, &tree(other)), "{other}");
    }
}
