use std::io::{Read, Write};

use proptest::prelude::*;

use super::*;
use crate::diff::tests::trees;
use crate::notation::parse_changes;
use crate::tar::Dialect;
use crate::{
    Change, Entry, Error, FileContent, ImagePath, LayerEncoder, LayerReader, Origin, Tree, diff,
};

/// The tar of these changes, whose files are in memory.
fn tar(changes: &[Change]) -> Vec<u8> {
    let mut encoder = LayerEncoder::new(Vec::new()).expect_changes(changes);
    for change in changes {
        let mut content: &[u8] = &[];
        if let Some(file) = change.file()
            && let Origin::Inline(bytes) = &file.origin
        {
            content = bytes;
        }
        assert_eq!(encoder.entry(change, &mut content).unwrap().missing, 0);
    }
    encoder.finish().unwrap()
}

/// What a reader of the tar finds, and the outline that is written meanwhile.
fn outlined(tar: &[u8], blob: u32) -> (Vec<Change>, Vec<u8>) {
    let mut reader = LayerReader::new(tar, Dialect::Layer, blob);
    let (mut changes, mut bytes) = (Vec::new(), Vec::new());
    let mut writer = OutlineWriter::new(&mut bytes).unwrap();
    while let Some(mut entry) = reader.next_entry().unwrap() {
        let mut kept = Vec::new();
        let keeps = keeps_content(&entry.change);
        if let (true, Some(content)) = (keeps, &mut entry.content) {
            content.read_to_end(&mut kept).unwrap();
        }
        writer
            .put(&entry.change, keeps.then_some(kept.as_slice()))
            .unwrap();
        if let (true, Some(file)) = (keeps, entry.change.file_mut()) {
            *file = FileContent::inline(&kept);
        }
        changes.push(entry.change);
    }
    let (_, finished) = writer.finish().unwrap();
    assert_eq!(finished.size, bytes.len() as u64);
    assert_eq!(finished.digest, kigumi_oci::Digest::of(&bytes));
    (changes, bytes)
}

fn read(bytes: &[u8], blob: u32) -> Result<Vec<Change>, Error> {
    let mut reader = OutlineReader::new(bytes, blob)?;
    let mut changes = Vec::new();
    while let Some(change) = reader.next_change()? {
        changes.push(change);
    }
    Ok(changes)
}

fn unpacked(bytes: &[u8]) -> Vec<u8> {
    zstd::decode_all(bytes).unwrap()
}

/// As a hostile writer would: the checksum is right.
fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

const EVERYTHING: &str = r#"d 0711 3:4 @1700000000.5 /etc security.x="\x00" user.y="1"
f 0644 0:0 @-5 /etc/passwd "root:x:0:0::/:/bin/sh\n"
f 0644 0:0 /etc/shadow "secret"
f 4755 1:2 /usr/bin/su "su"
l 0:0 /bin -> ../usr/bin
h /usr/bin/sudo = /usr/bin/su
c 0666 0:0 1,3 /dev/null
b 0660 0:6 8,0 /dev/sda
p 0600 0:0 /run/initctl
f 0644 0:0 /empty ""
- /etc/motd
! /var/cache
"#;

#[test]
fn an_outline_says_what_the_layer_says() {
    let changes = parse_changes(EVERYTHING).unwrap();
    let (expected, bytes) = outlined(&tar(&changes), 7);
    assert_eq!(read(&bytes, 7).unwrap(), expected);
    assert_eq!(expected.len(), changes.len());
}

#[test]
fn of_all_bytes_those_that_name_users_are_kept_and_no_others() {
    let changes = parse_changes(EVERYTHING).unwrap();
    let (_, bytes) = outlined(&tar(&changes), 0);
    let text = unpacked(&bytes);
    let has = |part: &[u8]| text.windows(part.len()).any(|found| found == part);
    assert!(has(b"root:x:0:0::/:/bin/sh\n") && !has(b"secret"));
    let mut large = changes[1].clone();
    large.file_mut().unwrap().size = LONGEST_CONTENT + 1;
    assert!(keeps_content(&changes[1]) && !keeps_content(&large));
    assert!(!keeps_content(&changes[2]));
}

#[test]
fn where_a_file_is_in_the_tar_is_known_from_the_outline() {
    let tar = tar(&parse_changes(EVERYTHING).unwrap());
    let (_, bytes) = outlined(&tar, 3);
    let found = read(&bytes, 3).unwrap().into_iter().find_map(|change| {
        let content = change.file()?.clone();
        (change.path().as_relative() == b"etc/shadow").then_some(content)
    });
    let content = found.unwrap();
    let Origin::Blob { blob: 3, offset } = content.origin else {
        panic!("{content:?}");
    };
    let start = usize::try_from(offset).unwrap();
    assert_eq!(&tar[start..start + 6], b"secret");
}

/// Frames of an outline, without their lengths.
fn framed(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = TITLE.to_vec();
    for frame in frames {
        bytes.extend(u32::try_from(frame.len()).unwrap().to_le_bytes());
        bytes.extend(frame);
    }
    packed(&bytes)
}

fn file(path: &str, size: u64, offset: u64) -> Vec<u8> {
    let text = u32::try_from(path.len()).unwrap().to_le_bytes();
    let mut frame = vec![Tag::File as u8];
    frame.extend(text.iter().chain(path.as_bytes()));
    frame.extend(size.to_le_bytes().iter().chain(&offset.to_le_bytes()));
    // Mode, owner, time, no attributes.
    frame.extend([0; 28]);
    frame
}

fn end(changes: u64) -> Vec<u8> {
    let count = changes.to_le_bytes();
    [&[Tag::End as u8][..], &count].concat()
}

#[test]
fn what_no_layer_has_is_refused() {
    assert_eq!(
        read(&framed(&[file("a", 5, 512), end(1)]), 0)
            .unwrap()
            .len(),
        1
    );
    let two = |size, second| {
        framed(&[
            file("a", size, 512),
            file("b", 1, second),
            file("c", 1, 4096),
            end(3),
        ])
    };
    assert_eq!(read(&two(513, 2048), 0).unwrap().len(), 3);
    for (what, bytes) in [
        ("a file in another", two(512, 1024)),
        ("a file before another", two(5, 512)),
        ("between blocks", framed(&[file("a", 5, 600), end(1)])),
        ("before all", framed(&[file("a", 5, 0), end(1)])),
        ("behind all", framed(&[file("a", u64::MAX, 512), end(1)])),
        ("a path upwards", framed(&[file("../a", 5, 512), end(1)])),
        ("an absolute path", framed(&[file("/a", 5, 512), end(1)])),
        ("the root", framed(&[file("", 5, 512), end(1)])),
        ("no end", framed(&[file("a", 5, 512)])),
        ("another number", framed(&[file("a", 5, 512), end(2)])),
        (
            "something behind",
            framed(&[file("a", 5, 512), end(1), end(1)]),
        ),
        (
            "something behind a change",
            framed(&[[file("a", 5, 512), vec![0]].concat(), end(1)]),
        ),
        ("an unknown kind", framed(&[vec![99], end(1)])),
        ("another title", packed(b"kigumi outline 2\n")),
        ("nothing", packed(b"")),
        (
            "something behind the frame",
            [framed(&[file("a", 5, 512), end(1)]), vec![0]].concat(),
        ),
        (
            "a second frame",
            framed(&[file("a", 5, 512), end(1)]).repeat(2),
        ),
        ("no frame", b"outline".to_vec()),
    ] {
        assert!(read(&bytes, 0).is_err(), "{what}");
    }
}

#[test]
fn a_length_is_believed_only_as_far_as_a_change_can_be_long() {
    let bytes = [TITLE, &u32::MAX.to_le_bytes(), &[0; 100]].concat();
    assert!(matches!(
        read(&packed(&bytes), 0),
        Err(Error::Outline { .. })
    ));
}

#[test]
fn a_few_bytes_that_stand_for_many_are_refused_when_they_have_become_too_many() {
    let path = ["a".repeat(250).as_str(); 16].join("/").into_bytes();
    let length = u32::try_from(path.len()).unwrap().to_le_bytes();
    let change = [&[Tag::ClearDir as u8][..], &length, &path].concat();
    let length = u32::try_from(change.len()).unwrap().to_le_bytes();
    let frame = [&length[..], &change].concat();
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.write_all(TITLE).unwrap();
    for _ in 0..=usize::try_from(LONGEST).unwrap() / frame.len() {
        encoder.write_all(&frame).unwrap();
    }
    let packed = encoder.finish().unwrap();
    assert!(packed.len() < 1 << 20);
    let mut reader = OutlineReader::new(&packed[..], 0).unwrap();
    let error = loop {
        match reader.next_change() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the end"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::ReadOutline { .. }), "{error:?}");
}

#[test]
fn an_outline_that_would_be_too_large_to_be_read_is_not_written() {
    let mut change = parse_changes("d 0755 0:0 /d").unwrap().remove(0);
    if let Change::Put { metadata, .. } = &mut change {
        for number in 0..40 {
            let name = format!("user.{number}");
            metadata.xattrs.insert(name.as_bytes(), &vec![0; 64 * 1024]);
        }
    }
    let mut writer = OutlineWriter::new(Vec::new()).unwrap();
    assert!(matches!(
        writer.put(&change, None),
        Err(Error::WriteOutline { .. })
    ));
}

#[test]
fn a_file_that_is_in_no_layer_has_no_outline() {
    let changes = parse_changes("f 0644 0:0 /a \"x\"").unwrap();
    let mut writer = OutlineWriter::new(Vec::new()).unwrap();
    writer.put(&changes[0], None).unwrap_err();
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn outlines_are_read_as_the_layers_they_are_of((before, after) in trees()) {
        for (from, to) in [(&before, &after), (&after, &before), (&Tree::new(), &after)] {
            let (expected, bytes) = outlined(&tar(&diff(from, to)), 5);
            prop_assert_eq!(read(&bytes, 5).unwrap(), expected);
        }
    }

    #[test]
    fn a_part_of_an_outline_is_none((_, after) in trees(), at in any::<prop::sample::Index>()) {
        let (_, bytes) = outlined(&tar(&diff(&Tree::new(), &after)), 0);
        prop_assert!(read(&bytes[..at.index(bytes.len())], 0).is_err());
        let text = unpacked(&bytes);
        prop_assert!(read(&packed(&text[..at.index(text.len())]), 0).is_err());
    }

    #[test]
    fn damage_is_an_error_or_other_changes_but_no_panic(
        (_, after) in trees(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
        seal in any::<bool>(),
    ) {
        let (_, bytes) = outlined(&tar(&diff(&Tree::new(), &after)), 0);
        let mut bytes = if seal { unpacked(&bytes) } else { bytes };
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let bytes = if seal { packed(&bytes) } else { bytes };
        if let Ok(changes) = read(&bytes, 0) {
            let mut tree = Tree::new();
            tree.begin_layer();
            for change in changes {
                // Whatever a layer may say.
                if let Change::Put { path, entry, .. } = &change {
                    prop_assert!(!path.is_root() || *entry == Entry::Directory);
                }
                let clean = ImagePath::parse(change.path().as_relative());
                prop_assert_eq!(clean.unwrap(), change.path().clone());
                if tree.apply(change).is_err() {
                    break;
                }
            }
        }
    }
}
