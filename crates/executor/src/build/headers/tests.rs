use std::io::Write as _;
use std::time::Duration;

use kigumi_layer::{CompressionSettings, LayerEncoder, LayerWriter, notation};
use kigumi_oci::{Compression, Descriptor, DiffId, MediaType};
use kigumi_registry::{Spool, SpoolWriter};

use super::super::layers::Layer;
use super::*;

/// A layer of these changes, and its bytes.
fn layer(changes: &[Change], number: u32) -> (NumberedLayer, Vec<u8>) {
    let settings = CompressionSettings::new(Compression::Gzip);
    let mut bytes = Vec::new();
    let mut encoder = LayerEncoder::new(LayerWriter::new(&mut bytes, &settings).unwrap());
    for change in changes {
        let content: &[u8] = change.file().map_or(b"", |_| b"content");
        let _written = encoder.entry(change, &mut { content }).unwrap();
    }
    let finished = encoder.finish().unwrap().finish().unwrap();
    let spool = Some(Spool::of_bytes(bytes.clone()));
    ((Layer::new(&finished, None, spool), number), bytes)
}

fn lines(text: &str, number: u32) -> NumberedLayer {
    layer(&notation::parse_changes(text).unwrap(), number).0
}

/// A layer of so many files.
fn many(count: usize, number: u32) -> NumberedLayer {
    let files = (0..count).map(|file| format!("f 0644 0:0 /many/{number}-{file} \"content\"\n"));
    lines(&files.collect::<String>(), number)
}

/// A layer that no builder makes.
fn dangling_link(number: u32) -> NumberedLayer {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::Link);
    header.set_size(0);
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_link(&mut header, "a", "missing").unwrap();
    let bytes = builder.into_inner().unwrap();
    let layer = Layer {
        descriptor: Descriptor::of(MediaType::ImageLayer, &bytes),
        diff_id: DiffId(Digest::of(&bytes)),
        compression: Compression::None,
        latest: None,
        spool: Some(Spool::of_bytes(bytes)),
    };
    (layer, number)
}

fn cancel() -> Cancel {
    Cancel::new(Duration::ZERO).unwrap()
}

fn names(tree: &Tree) -> Vec<String> {
    let paths = tree.walk().map(|(path, _)| path.to_string());
    paths.filter(|path| !path.starts_with("/many")).collect()
}

/// As if the bytes were still to come.
fn delayed(layer: &mut NumberedLayer, work: &Path) -> SpoolWriter {
    let (writer, spool) = Spool::create(work).unwrap();
    layer.0.spool = Some(spool);
    writer
}

#[test]
fn layers_are_laid_in_their_order_whichever_is_read_first() {
    // By far the longest one comes first; what the others do makes sense only on it.
    let long = (0..3000).map(|file| format!("f 0644 0:0 /many/{file} \"content\"\n"));
    let long = long.chain(["a", "b"].map(|file| format!("f 0644 0:0 /{file} \"content\"\n")));
    let long: String = long.collect();
    let layers = [
        lines(&long, 1),
        lines("- /a\nd 0755 0:0 /c\n", 2),
        lines(
            "f 0600 0:0 /a \"content\"\nf 0644 0:0 /c/d \"content\"\n",
            3,
        ),
        lines("! /many\n", 4),
        lines("f 0644 0:0 /c/e \"content\"\n- /b\n", 5),
    ];
    let tree = tree_of(&layers, &cancel()).unwrap();
    assert_eq!(names(&tree), ["/", "/a", "/c", "/c/d", "/c/e"]);
    assert_eq!(tree.len(), 6, "with the directory that was emptied");
}

#[test]
fn a_layer_that_has_to_wait_for_the_one_before_it_waits_however_large_it_is() {
    let work = tempfile::tempdir().unwrap();
    let (mut first, bytes) = layer(&notation::parse_changes("d 0755 0:0 /a\n").unwrap(), 1);
    let digest = first.0.descriptor.digest;
    let mut writer = delayed(&mut first, work.path());
    let large = AHEAD * BATCH + 3 * BATCH;
    let layers = [first, many(large, 2), many(10, 3), many(large, 4)];
    let cancel = cancel();
    let jobs = layers.iter().map(|layer| Job::new(layer, None));
    let mut headers = Headers::new(jobs.collect::<Result<_, _>>().unwrap(), &cancel);
    headers.begin_more().unwrap();
    writer.write_all(&bytes).unwrap();
    writer.finish(digest, bytes.len() as u64).unwrap();
    let mut tree = Tree::new();
    for _ in &layers {
        assert!(headers.append_next(&mut tree).unwrap().is_none());
    }
    assert_eq!(tree.len(), 3 + 10 + 2 * large);
}

#[test]
fn no_more_layers_are_begun_than_may_be() {
    let work = tempfile::tempdir().unwrap();
    let mut layers: Vec<_> = (0..6).map(|number| many(1, number)).collect();
    let writers: Vec<_> = layers
        .iter_mut()
        .map(|layer| delayed(layer, work.path()))
        .collect();
    let cancel = cancel();
    let jobs = layers.iter().map(|layer| Job::new(layer, None));
    let mut headers = Headers::new(jobs.collect::<Result<_, _>>().unwrap(), &cancel);
    for _ in 0..10 {
        headers.begin_more().unwrap();
    }
    assert_eq!(headers.begun.len(), headers.at_once, "none of them ends");
    assert!(headers.at_once <= AT_ONCE && headers.waiting.len() + headers.begun.len() == 6);
    drop(writers);
    // They are failed now, and the first error is that of the first layer.
    let error = headers.append_next(&mut Tree::new()).unwrap_err();
    let first = layers.first().unwrap().0.descriptor.digest;
    assert!(crate::error::chain(&error).contains(&first.to_string()));
}

/// hostile-inputs.md I4: no layer is accepted whose `diff_id` differs.
#[test]
fn a_layer_that_is_not_what_its_config_promises_is_refused_by_its_name() {
    let mut layers = [many(300, 1), many(2, 2), many(3, 3)];
    layers[1].0.diff_id = DiffId(Digest::of(b"another"));
    let error = tree_of(&layers, &cancel()).unwrap_err();
    let BuildError::DiffIdMismatch { layer, .. } = error else {
        panic!("{error:?}");
    };
    assert_eq!(layer, layers[1].0.descriptor.digest);
}

#[test]
fn a_layer_that_cannot_be_read_is_named_and_so_is_one_that_does_not_fit() {
    let mut broken = many(2, 2);
    broken.0.spool = Some(Spool::of_bytes(&b"no tar"[..]));
    for wrong in [broken, dangling_link(3)] {
        let digest = wrong.0.descriptor.digest.to_string();
        let error = tree_of(&[many(1, 1), wrong], &cancel()).unwrap_err();
        assert!(crate::error::chain(&error).contains(&digest), "{error:?}");
    }
}

#[test]
fn a_build_that_is_told_to_end_reads_no_further() {
    let told = cancel();
    told.cancel(15);
    let error = tree_of(&[many(1, 1)], &told).unwrap_err();
    assert!(matches!(error, BuildError::Cancelled { .. }), "{error:?}");
}

/// The bytes that the outline of a layer keeps are read before they are skipped.
#[test]
fn an_outline_that_is_wanted_is_made_on_the_way() {
    let work = tempfile::tempdir().unwrap();
    let layers = [
        lines("d 0755 0:0 /etc\nf 0644 0:0 /etc/passwd \"content\"\n", 1),
        many(700, 2),
    ];
    let cancel = cancel();
    let jobs = layers
        .iter()
        .map(|layer| Job::new(layer, Some(work.path())));
    let mut headers = Headers::new(jobs.collect::<Result<_, _>>().unwrap(), &cancel);
    let (mut read, mut known) = (Tree::new(), Tree::new());
    for (_, number) in &layers {
        let draft = headers.append_next(&mut read).unwrap().unwrap();
        let outline = draft.finish().unwrap();
        super::super::ground::append_outline(&mut known, (&outline.spool, *number), &cancel)
            .unwrap();
    }
    assert_eq!(names(&known), names(&read));
    assert_eq!(known.len(), read.len());
}
