use kigumi_oci::MediaType;
use kigumi_registry::Spool;

use super::*;

const WEEK: Duration = Duration::from_hours(168);

struct Lab {
    _directory: tempfile::TempDir,
    cache: BaseCache,
    layout: OciLayout,
    blob: Descriptor,
    manifest: Digest,
}

/// An entry with one blob. What its manifest says does not matter to whoever knows it already.
fn lab() -> Lab {
    let directory = tempfile::tempdir().unwrap();
    let cache = BaseCache::at(directory.path().to_owned(), WEEK);
    let draft = cache.draft().unwrap();
    let layout = OciLayout::create(draft.path()).unwrap();
    let blob = layout.put_bytes(MediaType::ImageLayerGzip, b"layer");
    let manifest = layout.put_bytes(MediaType::ImageManifest, b"{}").unwrap();
    layout.finish(manifest.clone()).unwrap();
    cache.publish(draft, manifest.digest).unwrap();
    Lab {
        layout: OciLayout::open(&cache.place(manifest.digest)).unwrap(),
        _directory: directory,
        cache,
        blob: blob.unwrap(),
        manifest: manifest.digest,
    }
}

fn copied(lab: &Lab) -> Option<Vec<u8>> {
    let work = tempfile::tempdir().unwrap();
    let (writer, spool) = Spool::create(work.path()).unwrap();
    if let Some(unused) = copy(&lab.layout, &lab.blob, writer) {
        assert_eq!(unused.written(), 0, "the registry's bytes come first");
        return None;
    }
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut spool.reader(), &mut bytes).unwrap();
    Some(bytes)
}

#[test]
fn a_layer_is_taken_from_a_directory_that_cannot_be_written_k_cache_05() {
    use std::os::unix::fs::PermissionsExt as _;
    let lab = lab();
    let place = lab.cache.place(lab.manifest);
    fs::set_permissions(&place, fs::Permissions::from_mode(0o555)).unwrap();
    assert!(lab.cache.layout(lab.manifest).is_some());
    assert_eq!(copied(&lab).as_deref(), Some(&b"layer"[..]));
}

#[test]
fn of_a_broken_or_missing_blob_nothing_is_passed_on_k_warm_04() {
    let lab = lab();
    let blobs = lab.cache.place(lab.manifest).join("blobs/sha256");
    let file = blobs.join(lab.blob.digest.hex());
    for wrong in ["lAyer", "laye", "layers", ""] {
        fs::write(&file, wrong).unwrap();
        assert_eq!(copied(&lab), None, "{wrong}");
    }
    fs::remove_file(&file).unwrap();
    assert_eq!(copied(&lab), None);
}

#[test]
fn what_is_no_entry_is_not_used() {
    let lab = lab();
    let place = lab.cache.place(lab.manifest);
    let other = Digest::of(b"other");
    assert!(matches!(lab.cache.entry(other), Entry::None));
    let old = BaseCache::at(lab.cache.directory().to_owned(), Duration::ZERO);
    assert!(matches!(old.entry(lab.manifest), Entry::Old));
    fs::write(place.join("oci-layout"), "{}").unwrap();
    assert!(matches!(lab.cache.entry(lab.manifest), Entry::Broken(_)));
    lab.cache.remove(&place).unwrap();
    fs::write(&place, "an archive").unwrap();
    assert!(matches!(lab.cache.entry(lab.manifest), Entry::Broken(_)));
    assert!(lab.cache.layout(lab.manifest).is_none());
}
