//! Layouts and archives on disk.

use std::fs;
use std::io::{Cursor, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use kigumi_oci::{Digest, MediaType, Platform};
use kigumi_registry::{ArchiveWriter, Error, LayoutName, OciLayout, UNNAMED};
use kigumi_testkit::{PublishedImage, TestImage};

fn image() -> PublishedImage {
    TestImage::new().file("a", b"1").file("b", b"2").build()
}

fn amd64() -> Platform {
    Platform::new("linux", "amd64", None)
}

fn write(path: &Path, image: &PublishedImage) -> OciLayout {
    let layout = OciLayout::create(path).unwrap();
    for (descriptor, blob) in image.layers.iter().zip(&image.blobs) {
        layout.put_blob(descriptor, &mut blob.as_slice()).unwrap();
    }
    let config = image.config.bytes();
    layout.put_bytes(MediaType::ImageConfig, config).unwrap();
    let manifest = layout.put_bytes(MediaType::ImageManifest, image.manifest.bytes());
    layout.finish(manifest.unwrap()).unwrap();
    layout
}

#[test]
fn an_image_is_read_from_a_layout_as_it_was_written() {
    let directory = tempfile::tempdir().unwrap();
    let image = image();
    write(directory.path(), &image);
    let layout = OciLayout::open(directory.path()).unwrap();
    let resolved = layout.resolve(&LayoutName::Only, &amd64()).unwrap();
    assert_eq!(resolved.manifest, image.manifest);
    assert_eq!(resolved.config, image.config);
    for (descriptor, blob) in image.layers.iter().zip(&image.blobs) {
        let mut bytes = Vec::new();
        let mut reader = layout.open_blob(descriptor).unwrap();
        reader.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, *blob);
    }
}

/// T-STAGE-15
#[test]
fn an_image_of_a_layout_is_found_by_its_name_and_by_its_digest() {
    let directory = tempfile::tempdir().unwrap();
    let (first, second) = (TestImage::new().file("x", b"x").build(), image());
    let layout = write(directory.path(), &first);
    write(directory.path(), &second);
    let entry = |image: &PublishedImage, name: &str| {
        serde_json::json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": image.manifest.digest().to_string(),
            "size": image.manifest.size(),
            "annotations": {"org.opencontainers.image.ref.name": name},
        })
    };
    let index = serde_json::json!({
        "schemaVersion": 2,
        "manifests": [entry(&first, "registry.test/app:v1"), entry(&second, "latest")],
    });
    fs::write(directory.path().join("index.json"), index.to_string()).unwrap();
    let tag = |text: &str| LayoutName::Tag(text.to_owned());
    for (name, expected) in [
        (tag("v1"), &first),
        (tag("registry.test/app:v1"), &first),
        (tag("latest"), &second),
        (LayoutName::Digest(first.manifest.digest()), &first),
    ] {
        let resolved = layout.resolve(&name, &amd64()).unwrap();
        assert_eq!(resolved.manifest, expected.manifest, "{name:?}");
    }
    let error = layout.resolve(&tag("1"), &amd64()).unwrap_err().to_string();
    assert!(
        error.contains("`1`; it names registry.test/app:v1, latest"),
        "{error}"
    );
    let missing = LayoutName::Digest(Digest::of(b"nothing"));
    layout.resolve(&missing, &amd64()).unwrap_err();
}

/// K-OUT-08.
#[test]
fn a_layout_has_one_image_and_a_second_build_replaces_it() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), &TestImage::new().build());
    let image = image();
    write(directory.path(), &image);
    let index = fs::read(directory.path().join("index.json")).unwrap();
    let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
    let manifests = index["manifests"].as_array().unwrap();
    assert_eq!(manifests.len(), 1);
    let digest = image.manifest.digest().to_string();
    assert_eq!(manifests[0]["digest"], digest.as_str());
}

#[test]
fn a_layout_is_readable_by_others_and_has_nothing_unfinished_in_it() {
    let directory = tempfile::tempdir().unwrap();
    let layout = write(directory.path(), &image());
    let promised = kigumi_oci::Descriptor::of(MediaType::ImageLayer, b"right");
    let error = layout.put_blob(&promised, &mut Cursor::new(b"wrong"));
    assert!(matches!(error, Err(Error::PutBlob { .. })), "{error:?}");
    let blobs = directory.path().join("blobs/sha256");
    let files: Vec<_> = [directory.path(), &blobs]
        .iter()
        .flat_map(|path| fs::read_dir(path).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .collect();
    assert_eq!(files.len(), 6, "{files:?}");
    for file in files {
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o444, 0o444, "{}", file.display());
    }
}

#[test]
fn a_damaged_layout_is_refused() {
    type Damage<'a> = (&'a str, &'a dyn Fn(&Path));
    let image = image();
    let damage: [Damage<'_>; 5] = [
        ("no marker", &|path| {
            fs::remove_file(path.join("oci-layout")).unwrap();
        }),
        ("another version", &|path| {
            fs::write(path.join("oci-layout"), r#"{"imageLayoutVersion":"9"}"#).unwrap();
        }),
        ("no index", &|path| {
            fs::remove_file(path.join("index.json")).unwrap();
        }),
        ("a manifest with another digest", &|path| {
            let blob = path
                .join("blobs/sha256")
                .join(image.manifest.digest().hex());
            fs::write(blob, image.manifest.bytes().to_ascii_uppercase()).unwrap();
        }),
        ("a size for which no memory will do", &|path| {
            let index = fs::read_to_string(path.join("index.json")).unwrap();
            let size = format!("\"size\":{}", image.manifest.size());
            let huge = format!("\"size\":{}", 1_u64 << 62);
            fs::write(path.join("index.json"), index.replace(&size, &huge)).unwrap();
        }),
    ];
    for (what, damage) in damage {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), &image);
        damage(directory.path());
        let resolved =
            OciLayout::open(directory.path()).and_then(|l| l.resolve(&LayoutName::Only, &amd64()));
        assert!(resolved.is_err(), "{what}");
    }
}

fn archive(path: &Path, image: &PublishedImage, tags: &[String]) -> Result<(), Error> {
    let mut writer = ArchiveWriter::create(path)?;
    writer.config(image.config.bytes())?;
    for (descriptor, blob) in image.layers.iter().zip(&image.blobs) {
        writer.layer(descriptor, &mut blob.as_slice())?;
    }
    writer.finish(tags)
}

fn entries(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut archive = tar::Archive::new(fs::File::open(path).unwrap());
    let read = |entry: std::io::Result<tar::Entry<'_, fs::File>>| {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        (entry.path().unwrap().display().to_string(), bytes)
    };
    archive.entries().unwrap().map(read).collect()
}

/// K-OUT-07.
#[test]
fn an_archive_names_the_image_its_config_and_its_layers() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("deep/image.tar");
    // The same layer twice.
    let image = TestImage::new().file("a", b"1").file("a", b"1").build();
    archive(&path, &image, &["r.test/app:1".to_owned()]).unwrap();
    let entries = entries(&path);
    let names: Vec<&str> = entries.iter().map(|(name, _)| name.as_str()).collect();
    let config = format!("{}.json", image.config.digest().hex());
    let layer = format!("{}.tar.gz", image.layers[0].digest.hex());
    assert_eq!(names, [config.as_str(), &layer, "manifest.json"]);
    assert_eq!(Digest::of(&entries[1].1), image.layers[0].digest);
    let manifest: serde_json::Value = serde_json::from_slice(&entries[2].1).unwrap();
    let expected = serde_json::json!([
        {"Config": config, "RepoTags": ["r.test/app:1"], "Layers": [layer, layer]}
    ]);
    assert_eq!(manifest, expected);

    archive(&path, &image, &[]).unwrap();
    let manifest = self::entries(&path).pop().unwrap().1;
    assert!(
        String::from_utf8(manifest)
            .unwrap()
            .contains(&format!("{UNNAMED}:latest"))
    );
}

#[test]
fn an_archive_that_fails_leaves_the_old_one_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("image.tar");
    fs::write(&path, "old").unwrap();
    let mut image = image();
    image.blobs[1].pop();
    archive(&path, &image, &[]).unwrap_err();
    assert_eq!(fs::read_to_string(&path).unwrap(), "old");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn an_archive_goes_into_what_is_no_regular_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("null");
    std::os::unix::fs::symlink("/dev/null", &path).unwrap();
    archive(&path, &image(), &[]).unwrap();
    assert!(!fs::metadata(&path).unwrap().is_file());
}
