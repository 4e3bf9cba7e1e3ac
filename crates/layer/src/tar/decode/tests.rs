use std::io::{self, Read};

use proptest::prelude::*;

use super::super::encode::LayerEncoder;
use super::super::header::{
    Block, DEVICE_MAJOR, DEVICE_MINOR, Field, GID, LINK, MAGIC, MODE, MTIME, NAME, SIZE, TYPEFLAG,
    UID, padding,
};
use super::super::pax::push_record;
use super::*;
use crate::diff::tests::trees;
use crate::limits::{EXTENSION_MAX, NAME_MAX, PATH_MAX, XATTR_NAME_MAX, XATTR_VALUE_MAX};
use crate::notation::print_changes;
use crate::{Entry, FileContent, HashingRead, Origin, diff};

/// A header that says what it likes.
struct Raw(Block);

impl Raw {
    fn new(kind: u8, name: impl AsRef<[u8]>) -> Self {
        let mut block = Block::zeros();
        block.set(&MAGIC, b"ustar\x0000");
        block.set(&NAME, name.as_ref());
        block.set(&TYPEFLAG, &[kind]);
        block.set_number(&MODE, 0o644);
        Self(block)
    }

    fn with(mut self, field: &Field, bytes: &[u8]) -> Self {
        self.0.set(field, bytes);
        self
    }

    fn number(mut self, field: &Field, value: u64) -> Self {
        self.0.set_number(field, value);
        self
    }

    fn link(self, target: impl AsRef<[u8]>) -> Self {
        self.with(&LINK, target.as_ref())
    }

    fn bare(mut self) -> Vec<u8> {
        self.0.seal();
        self.0.0.to_vec()
    }

    /// With a size as the header states it, and padded content.
    fn content(self, content: &[u8]) -> Vec<u8> {
        let mut bytes = self.number(&SIZE, content.len() as u64).bare();
        bytes.extend(padded(content));
        bytes
    }
}

fn padded(content: &[u8]) -> Vec<u8> {
    let mut bytes = content.to_vec();
    bytes.resize(
        content.len() + usize::try_from(padding(content.len() as u64)).unwrap(),
        0,
    );
    bytes
}

fn file(name: &str, content: &str) -> Vec<u8> {
    Raw::new(b'0', name).content(content.as_bytes())
}

fn records<'a>(records: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Vec<u8> {
    let mut body = Vec::new();
    for (key, value) in records {
        push_record(&mut body, key.as_bytes(), value);
    }
    body
}

fn pax<'a>(items: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Vec<u8> {
    Raw::new(b'x', "PaxHeader").content(&records(items))
}

fn long(kind: u8, name: &str) -> Vec<u8> {
    let mut body = name.as_bytes().to_vec();
    body.push(0);
    Raw::new(kind, "././@LongLink")
        .with(&MAGIC, b"ustar  \0")
        .content(&body)
}

fn archive(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = entries.concat();
    bytes.extend([0; 1024]);
    bytes
}

/// Every change in notation, files with what they hold.
fn read_as(dialect: Dialect, tar: &[u8]) -> Result<String, TarFault> {
    let mut reader = LayerReader::new(tar, dialect, 0);
    let mut changes = Vec::new();
    while let Some(entry) = reader.next_entry().map_err(fault)? {
        let mut change = entry.change;
        if let Some(mut content) = entry.content {
            let mut bytes = Vec::new();
            content.read_to_end(&mut bytes).map_err(|error| {
                error
                    .downcast::<TarFault>()
                    .expect("reading a slice fails by its end only")
            })?;
            if let Change::Put { entry, .. } = &mut change {
                *entry = Entry::File(FileContent::inline(&bytes));
            }
        }
        changes.push(change);
    }
    assert_eq!(reader.finish().unwrap(), b"");
    Ok(print_changes(&changes))
}

fn fault(error: Error) -> TarFault {
    let Error::Entry { fault, .. } = error else {
        panic!("{error:?}");
    };
    fault
}

fn read(tar: &[u8]) -> Result<String, TarFault> {
    read_as(Dialect::Layer, tar)
}

#[track_caller]
fn accepts(name: &str, tar: &[u8], expected: &str) {
    assert_eq!(
        read(tar).as_deref().map(str::trim_end),
        Ok(expected),
        "{name}"
    );
}

#[track_caller]
fn refuses(name: &str, tar: &[u8]) -> TarFault {
    match read(tar) {
        Err(fault) => fault,
        Ok(read) => panic!("{name}: {read}"),
    }
}

#[test]
fn every_kind_of_entry_is_one_change() {
    let device = |kind| {
        Raw::new(kind, "dev")
            .number(&DEVICE_MAJOR, 8)
            .number(&DEVICE_MINOR, 17)
    };
    let cases: [(&str, Vec<u8>, &str); 15] = [
        ("file", file("a", "hi"), "f 0644 0:0 2 /a \"hi\""),
        (
            "file of V7",
            Raw::new(0, "a").content(b"hi"),
            "f 0644 0:0 2 /a \"hi\"",
        ),
        (
            "contiguous file",
            Raw::new(b'7', "a").content(b"hi"),
            "f 0644 0:0 2 /a \"hi\"",
        ),
        ("directory", Raw::new(b'5', "a/").bare(), "d 0644 0:0 /a"),
        (
            "directory without slash",
            Raw::new(b'5', "a").bare(),
            "d 0644 0:0 /a",
        ),
        ("directory of V7", Raw::new(0, "a/").bare(), "d 0644 0:0 /a"),
        (
            "file with a slash",
            Raw::new(b'0', "a/").content(b"hi"),
            "f 0644 0:0 2 /a \"hi\"",
        ),
        (
            "hard link",
            Raw::new(b'1', "a").link("/b/c").bare(),
            "h /a = /b/c",
        ),
        (
            "link",
            Raw::new(b'2', "a").link("../../b").bare(),
            "l 0:0 /a -> ../../b",
        ),
        ("char device", device(b'3').bare(), "c 0644 0:0 8,17 /dev"),
        ("block device", device(b'4').bare(), "b 0644 0:0 8,17 /dev"),
        ("fifo", Raw::new(b'6', "a").bare(), "p 0644 0:0 /a"),
        (
            "whiteout",
            Raw::new(b'0', "a/.wh.b").content(b"what"),
            "- /a/b",
        ),
        (
            "whiteout as directory",
            Raw::new(b'5', "a/.wh.b/").bare(),
            "- /a/b",
        ),
        ("opaque", Raw::new(b'0', "a/.wh..wh..opq").bare(), "! /a"),
    ];
    for (name, entry, expected) in cases {
        let then = file("then", "");
        let expected = format!("{expected}\nf 0644 0:0 0 /then \"\"");
        accepts(name, &archive(&[entry, then]), &expected);
    }
}

#[test]
fn metadata_come_from_the_header_and_pax_records_prevail() {
    let plain = Raw::new(b'0', "a")
        .number(&MODE, 0o104_755)
        .number(&UID, 1000)
        .number(&GID, 0o7_777_777)
        .number(&MTIME, 1_700_000_000);
    accepts(
        "header",
        &archive(&[plain.content(b"")]),
        "f 4755 1000:2097151 0 @1700000000 /a \"\"",
    );
    let records: [(&str, &[u8]); 6] = [
        ("uid", b"4294967294"),
        ("gid", b"3000000"),
        ("mtime", b"-1.5"),
        ("SCHILY.xattr.security.capability", b"\x01\0=\n"),
        ("SCHILY.xattr.user.empty", b""),
        ("hdrcharset", b"BINARY"),
    ];
    accepts(
        "records",
        &archive(&[pax(records), file("a", "")]),
        "f 0644 4294967294:3000000 0 @-2.5 /a \"\" security.capability=\"\\x01\\x00=\\n\" user.empty=\"\"",
    );
    let ns = [("mtime", &b"1.123456789999999999999999999999"[..])];
    accepts(
        "digits beyond nanoseconds",
        &archive(&[pax(ns), file("a", "")]),
        "f 0644 0:0 0 @1.123456789 /a \"\"",
    );
}

/// hostile-inputs § 5.3, group Header.
#[test]
fn all_formats_of_headers_are_read() {
    let ok = "f 0644 0:0 2 /a \"hi\"";
    let v7 = Raw::new(b'0', "a").with(&MAGIC, &[0; 8]);
    accepts("V7", &archive(&[v7.content(b"hi")]), ok);
    let gnu = Raw::new(b'0', "a").with(&MAGIC, b"ustar  \0");
    accepts("GNU", &archive(&[gnu.content(b"hi")]), ok);
    let mut ustar = Raw::new(b'0', "a");
    ustar.0.0[345..348].copy_from_slice(b"p/q");
    accepts(
        "ustar",
        &archive(&[ustar.content(b"hi")]),
        "f 0644 0:0 2 /p/q/a \"hi\"",
    );
    let mut star = Raw::new(b'0', "a");
    star.0.0[345..348].copy_from_slice(b"p/q");
    star.0.0[476..488].copy_from_slice(b"00000000001 ");
    star.0.0[508..512].copy_from_slice(b"tar\0");
    accepts(
        "star",
        &archive(&[star.content(b"hi")]),
        "f 0644 0:0 2 /p/q/a \"hi\"",
    );
    let mut times = Raw::new(b'0', "a").with(&MAGIC, b"ustar  \0");
    times.0.0[345..357].copy_from_slice(b"00000000001\0");
    accepts("GNU with times", &archive(&[times.content(b"hi")]), ok);
    let mut old_go = Raw::new(b'0', "a").with(&MAGIC, b"ustar  \0");
    old_go.0.0[345..348].copy_from_slice(b"p/q");
    accepts(
        "GNU with a prefix",
        &archive(&[old_go.content(b"hi")]),
        "f 0644 0:0 2 /p/q/a \"hi\"",
    );

    let binary = Raw::new(b'0', "a")
        .with(&UID, b"\x80\0\0\0\xff\xff\xff\xfe")
        .with(&MTIME, &[0xff; 12]);
    accepts(
        "binary numbers",
        &archive(&[binary.content(b"hi")]),
        "f 0644 4294967294:0 2 @-1 /a \"hi\"",
    );
    let full = "n".repeat(100);
    accepts(
        "a name that fills its field",
        &archive(&[file(&full, "")]),
        &format!("f 0644 0:0 0 /{full} \"\""),
    );

    let mut signed = Raw::new(b'0', "\u{fc}").number(&SIZE, 0);
    signed.0.seal();
    let sum: i64 = signed
        .0
        .0
        .iter()
        .enumerate()
        .map(|(index, byte)| {
            if (148..156).contains(&index) {
                32
            } else {
                i64::from(byte.cast_signed())
            }
        })
        .sum();
    signed.0.0[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    accepts(
        "checksum of signed bytes",
        &archive(&[signed.0.0.to_vec()]),
        "f 0644 0:0 0 /\u{fc} \"\"",
    );
}

/// hostile-inputs § 5.3, group Header.
#[test]
fn broken_headers_are_refused() {
    let raw = || Raw::new(b'0', "a");
    let number = |field| TarFault::Number { field };
    let cases = [
        (
            "negative binary size",
            raw().with(&SIZE, &[0xff; 12]).bare(),
            number("size"),
        ),
        (
            "size of 2^63",
            raw().with(&SIZE, b"\x80\0\0\0\x80\0\0\0\0\0\0\0").bare(),
            number("size"),
        ),
        (
            "negative octal size",
            raw().with(&SIZE, b"-0000000001\0").bare(),
            number("size"),
        ),
        (
            "size with garbage",
            raw().with(&SIZE, b"0000000001x\0").bare(),
            number("size"),
        ),
        (
            "negative size of a directory",
            Raw::new(b'5', "a").with(&SIZE, &[0xff; 12]).bare(),
            number("size"),
        ),
        (
            "mode with garbage",
            raw().with(&MODE, b"rw-r--r-").bare(),
            number("mode"),
        ),
        (
            "unknown type",
            Raw::new(b'V', "a").bare(),
            TarFault::UnknownType { typeflag: b'V' },
        ),
        (
            "sparse",
            Raw::new(b'S', "a").bare(),
            TarFault::Sparse { format: "GNU" },
        ),
        (
            "no checksum",
            [&[b'a'; 148][..], &[0; 364]].concat(),
            TarFault::Checksum,
        ),
        ("wrong checksum", raw().0.0.to_vec(), TarFault::Checksum),
    ];
    for (name, entry, expected) in cases {
        assert_eq!(refuses(name, &archive(&[entry])), expected, "{name}");
    }
}

/// hostile-inputs § 5.3, groups Header and Special nodes.
#[test]
fn owners_and_devices_that_linux_does_not_have_are_refused() {
    let raw = || Raw::new(b'0', "a");
    let cases = [
        (
            "negative uid",
            raw().with(&UID, &[0xff; 8]).bare(),
            TarFault::Owner {
                field: "uid",
                value: -1,
            },
        ),
        (
            "gid of 2^32",
            raw().with(&GID, b"\x80\0\0\x01\0\0\0\0").bare(),
            TarFault::Owner {
                field: "gid",
                value: 1 << 32,
            },
        ),
        (
            "device",
            Raw::new(b'3', "a").number(&DEVICE_MAJOR, 4096).bare(),
            TarFault::DeviceNumber {
                major: 4096,
                minor: 0,
            },
        ),
        (
            "device",
            Raw::new(b'4', "a").number(&DEVICE_MINOR, 1 << 20).bare(),
            TarFault::DeviceNumber {
                major: 0,
                minor: 1 << 20,
            },
        ),
    ];
    for (name, entry, expected) in cases {
        assert_eq!(refuses(name, &archive(&[entry])), expected, "{name}");
    }
}

/// T-UNPACK-01; hostile-inputs § 5.3, group Names. One below and one above each limit.
#[test]
fn names_are_normalised_or_refused() {
    let accepted = ["/x", "//x", "///x", "./x", "././x", "x"];
    for name in accepted {
        accepts(name, &archive(&[file(name, "")]), "f 0644 0:0 0 /x \"\"");
    }
    for name in [".", "./", "/"] {
        accepts(
            name,
            &archive(&[Raw::new(b'5', name).bare()]),
            "d 0644 0:0 /",
        );
    }
    for name in ["../x", "a/../../x", "a/../b", "..", "a/..", "/.."] {
        assert!(matches!(
            refuses(name, &archive(&[file(name, "")])),
            TarFault::Name { .. }
        ));
    }
    assert_eq!(
        refuses("empty", &archive(&[file("", "")])),
        TarFault::EmptyName
    );
    // Go cuts a ustar name at its NUL.
    accepts(
        "NUL in a name",
        &archive(&[file("x\0../y", "")]),
        "f 0644 0:0 0 /x \"\"",
    );
    assert!(matches!(
        refuses(
            "NUL in a record",
            &archive(&[pax([("path", &b"x\0y"[..])]), file("x", "")])
        ),
        TarFault::Pax { .. }
    ));
    let path = |length: usize| {
        let mut text = "d/".repeat(1950);
        text.push_str(&"n".repeat(length - text.len()));
        text
    };
    for (name, accepted) in [
        ("n".repeat(NAME_MAX), true),
        ("n".repeat(NAME_MAX + 1), false),
        (path(PATH_MAX), true),
        (path(PATH_MAX + 1), false),
        ("n".repeat(65_535), false),
    ] {
        for extension in [pax([("path", name.as_bytes())]), long(b'L', &name)] {
            let result = read(&archive(&[extension, file("x", "")]));
            assert_eq!(result.is_ok(), accepted, "{} bytes", name.len());
        }
    }
    for name in ["\\040", "-rf", "a\nb", "\x1b[31m", "ä", "A"] {
        let read = read(&archive(&[file(name, "")])).unwrap();
        let parsed = crate::notation::parse_changes(&read).unwrap();
        assert_eq!(parsed[0].path().as_relative(), name.as_bytes());
    }
}

/// T-UNPACK-03; hostile-inputs § 5.3, groups Symlinks and Hardlinks.
#[test]
fn targets_of_symbolic_links_are_data_and_those_of_hard_links_are_paths() {
    let symlink = |target: &[u8]| {
        read(&archive(&[
            pax([("linkpath", target)]),
            Raw::new(b'2', "a").bare(),
        ]))
    };
    symlink("../".repeat(1365).as_bytes()).unwrap();
    symlink(&[b'x'; PATH_MAX]).unwrap();
    assert_eq!(
        symlink(&[b'x'; PATH_MAX + 1]),
        Err(TarFault::SymlinkTarget { bytes: 4096 })
    );
    assert_eq!(symlink(b""), Err(TarFault::SymlinkTarget { bytes: 0 }));
    let hard = |target: &str| refuses(target, &archive(&[Raw::new(b'1', "a").link(target).bare()]));
    assert!(matches!(
        hard("../../etc/passwd"),
        TarFault::LinkTarget { .. }
    ));
    for target in ["", "/", "."] {
        assert_eq!(hard(target), TarFault::EmptyLinkTarget);
    }
}

/// As Go reads them: types without content have none, whatever their header states.
#[test]
fn the_size_of_what_is_no_file_is_ignored_hostile_5_3_header() {
    let hidden = file("hidden", "");
    for kind in *b"123456" {
        let entry = Raw::new(kind, "a").link("t").number(&SIZE, 512).bare();
        let read = read(&archive(&[entry, hidden.clone()])).unwrap();
        assert!(read.ends_with("/hidden \"\"\n"), "{read}");
    }
}

/// RUSTSEC-2026-0068, CVE-2025-62518 (an archive inside a file whose two sizes differ); X9.
#[test]
fn the_size_of_a_pax_record_prevails_over_the_header() {
    let inner = archive(&[file("smuggled", "x")]);
    let size = inner.len().to_string();
    for stated in [0, 512, 1 << 30] {
        let outer = Raw::new(b'0', "a").number(&SIZE, stated).bare();
        let tar = archive(&[
            pax([("size", size.as_bytes())]),
            outer,
            inner.clone(),
            file("b", ""),
        ]);
        let read = read(&tar).unwrap();
        assert!(
            read.lines().count() == 2 && read.ends_with("f 0644 0:0 0 /b \"\"\n"),
            "{read}"
        );
    }
    let one = [
        pax([("size", &b"1"[..])]),
        Raw::new(b'0', "a").number(&SIZE, 1024).bare(),
        padded(b"x"),
        file("b", ""),
    ];
    accepts(
        "smaller",
        &archive(&one),
        "f 0644 0:0 1 /a \"x\"\nf 0644 0:0 0 /b \"\"",
    );
    for size in [&b"-1"[..], b"x", b"9223372036854775808", b"0x10", b"1.5"] {
        let fault = refuses("size", &archive(&[pax([("size", size)]), file("a", "")]));
        assert_eq!(fault, TarFault::Number { field: "size" });
    }
}

/// GHSA-3pv8-6f4r-ffg2; hostile-inputs § 5.3, group PAX: as Go reads them.
#[test]
fn extension_headers_speak_for_the_next_entry_that_is_none() {
    let named = |name: &'static str| pax([("path", name.as_bytes())]);
    let global = |name: &str| Raw::new(b'g', "g").content(&records([("path", name.as_bytes())]));
    let cases: [(&str, Vec<Vec<u8>>, &str); 8] = [
        (
            "L then x: L holds",
            vec![long(b'L', "l"), named("p"), file("a", "")],
            "/l",
        ),
        (
            "x then L: L holds",
            vec![named("p"), long(b'L', "l"), file("a", "")],
            "/l",
        ),
        (
            "x then x: the last holds",
            vec![
                pax([("uid", &b"7"[..]), ("path", b"p")]),
                named("q"),
                file("a", ""),
            ],
            "/q",
        ),
        (
            "L then L",
            vec![long(b'L', "k"), long(b'L', "l"), file("a", "")],
            "/l",
        ),
        ("an empty L", vec![long(b'L', ""), file("a", "")], "/a"),
        (
            "a global header applies to nothing",
            vec![global("g"), file("a", "")],
            "/a",
        ),
        (
            "and uses up what came before it",
            vec![named("p"), global("g"), file("a", "")],
            "/a",
        ),
        (
            "x then whole entries",
            vec![named("p"), file("a", "")],
            "/p",
        ),
    ];
    for (name, entries, path) in cases {
        let expected = format!("f 0644 0:0 0 {path} \"\"");
        accepts(name, &archive(&entries), &expected);
        // And for one entry only.
        let tar = archive(&[entries.concat(), file("b", "")]);
        accepts(name, &tar, &format!("{expected}\nf 0644 0:0 0 /b \"\""));
    }
    // The size in `x` is that of the file, not that of the `L` between them.
    let tar = archive(&[
        pax([("size", &b"2"[..])]),
        long(b'L', "l"),
        Raw::new(b'0', "a").bare(),
        padded(b"hi"),
        file("b", ""),
    ]);
    accepts(
        "x(size) then L",
        &tar,
        "f 0644 0:0 2 /l \"hi\"\nf 0644 0:0 0 /b \"\"",
    );
    accepts(
        "K",
        &archive(&[long(b'K', "target"), Raw::new(b'2', "a").link("t").bare()]),
        "l 0:0 /a -> target",
    );
}

#[test]
fn extension_headers_without_an_entry_are_refused() {
    for extension in [pax([("path", &b"p"[..])]), long(b'L', "l"), long(b'K', "k")] {
        assert_eq!(
            refuses("end", &archive(std::slice::from_ref(&extension))),
            TarFault::DanglingExtension
        );
        assert_eq!(
            refuses("end of file", &extension),
            TarFault::DanglingExtension
        );
        for cut in [513, 520, 1023] {
            assert!(matches!(
                refuses("cut", &extension[..cut]),
                TarFault::Truncated { .. }
            ));
        }
    }
}

/// hostile-inputs § 1.2.
#[test]
fn an_extension_header_of_1_mib_is_the_longest() {
    let most = usize::try_from(EXTENSION_MAX).unwrap();
    for kind in *b"xgLK" {
        let body = match kind {
            b'x' | b'g' => {
                let mut body = Vec::new();
                push_record(&mut body, b"comment", &vec![b'c'; most - 17]);
                assert_eq!(body.len(), most, "the test's own arithmetic");
                body
            }
            _ => vec![0; most],
        };
        let entry = Raw::new(kind, "x").content(&body);
        accepts(
            "1 MiB",
            &archive(&[entry, file("a", "")]),
            "f 0644 0:0 0 /a \"\"",
        );
        // Refused before anything is read or allocated.
        for size in [EXTENSION_MAX + 1, 1 << 30] {
            let entry = Raw::new(kind, "x").number(&SIZE, size).bare();
            let fault = refuses("longer", &archive(&[entry]));
            assert_eq!(fault, TarFault::ExtensionTooLong { bytes: size });
        }
    }
}

/// hostile-inputs § 5.3, groups Xattrs and PAX.
#[test]
fn what_pax_records_say_is_checked() {
    let one = |key: &str, value: &[u8]| read(&archive(&[pax([(key, value)]), file("a", "")]));
    one("SCHILY.xattr.user.a", &vec![0; XATTR_VALUE_MAX]).unwrap();
    one(&format!("SCHILY.xattr.{}", "n".repeat(XATTR_NAME_MAX)), b"").unwrap();
    one("LIBARCHIVE.xattr.user.a", b"YQ==").unwrap();
    let name = "n".repeat(XATTR_NAME_MAX + 1);
    let refused = [
        one("SCHILY.xattr.user.a", &vec![0; XATTR_VALUE_MAX + 1]),
        one(&format!("SCHILY.xattr.{name}"), b""),
        one("SCHILY.xattr.", b"x"),
        one("mtime", b"NaN"),
        one("mtime", b"1e300"),
        one("uid", b"-1"),
        one("gid", b"4294967296"),
        one("gid", b"4294967295"),
        one("uid", b"root"),
        one("GNU.sparse.map", b"0,1"),
        one("GNU.sparse.major", b"1"),
        one("GNU.sparse.offset", b"0"),
    ];
    for (index, result) in refused.into_iter().enumerate() {
        assert!(result.is_err(), "case {index}");
    }
    let many = (0..1000)
        .map(|index| format!("SCHILY.xattr.user.{index}"))
        .collect::<Vec<_>>();
    let many = pax(many.iter().map(|key| (key.as_str(), &b"v"[..])));
    let read = read(&archive(&[many, file("a", "")])).unwrap();
    assert_eq!(read.matches("user.").count(), 1000);
}

/// hostile-inputs § 5.3, group Header: where an archive ends.
#[test]
fn an_archive_ends_at_two_blocks_of_zeros_or_at_the_end_of_the_stream() {
    let one = file("a", "hi");
    let read_one = "f 0644 0:0 2 /a \"hi\"";
    accepts("no end", &one, read_one);
    accepts("one block", &[&one[..], &[0; 512]].concat(), read_one);
    accepts("two blocks", &archive(std::slice::from_ref(&one)), read_one);
    accepts(
        "garbage behind",
        &[archive(std::slice::from_ref(&one)), vec![7; 5000]].concat(),
        read_one,
    );
    accepts(
        "a second archive behind",
        &[
            archive(std::slice::from_ref(&one)),
            archive(&[file("b", "")]),
        ]
        .concat(),
        read_one,
    );
    accepts("nothing at all", b"", "");
    accepts("no entries", &[0; 1024], "");
    let lone = [&one[..], &[0; 512], &file("b", "")].concat();
    assert_eq!(
        refuses("a lone block of zeros", &lone),
        TarFault::LoneZeroBlock
    );
    for cut in [1, 511, 513, 514, 1023] {
        assert!(
            matches!(refuses("cut", &one[..cut]), TarFault::Truncated { .. }),
            "{cut}"
        );
    }
}

/// X10: the diff id covers what follows the last entry.
#[test]
fn finishing_reads_the_stream_to_its_end() {
    let tar = [archive(&[file("a", "hi"), file("b", "")]), vec![7; 100_000]].concat();
    for entries in 0..3 {
        let mut reader = LayerReader::new(HashingRead::new(&tar[..]), Dialect::Layer, 0);
        for _ in 0..entries {
            reader.next_entry().unwrap().unwrap();
        }
        let (digest, bytes) = reader.finish().unwrap().finish();
        assert_eq!(bytes, tar.len() as u64);
        assert_eq!(digest, kigumi_oci::Digest::of(&tar));
    }
}

#[test]
fn a_content_tells_where_it_lies_and_differs_from_every_other() {
    let tar = archive(&[
        pax([("mtime", &b"1"[..])]),
        file("a", "same"),
        file("b", ""),
        file("c", "same"),
    ]);
    let mut reader = LayerReader::new(&tar[..], Dialect::Layer, 3);
    let mut contents = Vec::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        let Change::Put {
            entry: Entry::File(content),
            ..
        } = entry.change
        else {
            panic!("{:?}", entry.change);
        };
        let Origin::Blob { blob: 3, offset } = content.origin else {
            panic!("{content:?}");
        };
        let offset = usize::try_from(offset).unwrap();
        let mut hashing = HashingRead::new(entry.content.unwrap());
        let mut bytes = Vec::new();
        hashing.read_to_end(&mut bytes).unwrap();
        assert_eq!(tar[offset..offset + bytes.len()], bytes);
        assert_eq!(hashing.identity(), FileContent::inline(&bytes).identity);
        contents.push(content);
    }
    assert!(!contents[0].same_content(&contents[2]));
    assert!(contents[1].same_content(&FileContent::inline(b"")));
}

#[test]
fn in_an_archive_the_names_of_whiteouts_are_names_t_add_03() {
    let tar = archive(&[
        Raw::new(b'5', "./").bare(),
        file(".wh.a", "x"),
        file("d/.wh..wh..opq", ""),
        file(".wh.", ""),
    ]);
    let expected = "d 0644 0:0 /\nf 0644 0:0 1 /.wh.a \"x\"\nf 0644 0:0 0 /d/.wh..wh..opq \"\"\nf 0644 0:0 0 /.wh. \"\"\n";
    assert_eq!(read_as(Dialect::Archive, &tar).as_deref(), Ok(expected));
}

#[test]
fn metadata_of_aufs_are_skipped_and_illegal_whiteouts_refused() {
    let tar = archive(&[
        Raw::new(b'5', ".wh..wh.plnk/").bare(),
        file(".wh..wh.plnk/1.2", "content"),
        file("a/.wh..wh.aufs", "content"),
        file("b", "b"),
    ]);
    accepts("aufs", &tar, "f 0644 0:0 1 /b \"b\"");
    for name in [".wh.", "a/.wh..", "a/.wh...", ".wh.a/b"] {
        assert_eq!(
            refuses(name, &archive(&[file(name, "")])),
            TarFault::Whiteout
        );
    }
}

/// Reads a few bytes at a time, interrupted before each.
struct Hesitant<'a>(&'a [u8], bool);

impl Read for Hesitant<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.1 = !self.1;
        if self.1 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let count = buffer.len().min(97);
        self.0.read(&mut buffer[..count])
    }
}

/// T-ADD-01, T-ADD-11.
#[test]
fn a_tar_is_known_by_its_first_block() {
    let tar = archive(&[file("a", "hi")]);
    for (head, expected) in [
        (&tar[..], true),
        (&tar[..512], true),
        (&tar[..511], false),
        (&tar[512..], false),
        (b"", false),
        (&[0; 1024], false),
    ] {
        assert_eq!(is_tar(head), expected);
    }
}

#[test]
fn it_does_not_matter_how_the_stream_arrives() {
    let tar = archive(&[
        pax([("path", &b"p"[..])]),
        file("a", &"x".repeat(3000)),
        file("b", "b"),
    ]);
    let mut reader = LayerReader::new(Hesitant(&tar, false), Dialect::Layer, 0);
    let mut paths = Vec::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        paths.push(entry.change.path().to_string());
    }
    assert_eq!(paths, ["/p", "/b"]);
    reader.finish().unwrap();
}

#[test]
fn a_failing_stream_is_told_from_a_broken_archive() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::ConnectionReset.into())
        }
    }
    let tar = file("a", "hello");
    for cut in [0, 100, 514] {
        let mut reader = LayerReader::new((&tar[..cut]).chain(Broken), Dialect::Layer, 0);
        let error = loop {
            match reader.next_entry() {
                Ok(Some(_)) => {}
                Ok(None) => panic!("the end of a stream that failed"),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, Error::ReadTar { .. }), "{error:?}");
    }
}

fn encoded(changes: &[Change]) -> Vec<u8> {
    let mut encoder = LayerEncoder::new(Vec::new()).expect_changes(changes);
    for change in changes {
        let mut content: &[u8] = &[];
        if let Change::Put {
            entry: Entry::File(file),
            ..
        } = change
            && let Origin::Inline(bytes) = &file.origin
        {
            content = bytes;
        }
        assert_eq!(encoder.entry(change, &mut content).unwrap().missing, 0);
    }
    encoder.finish().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// architecture.md § 2.5.
    #[test]
    fn changes_are_read_as_they_were_written((before, after) in trees()) {
        for (from, to) in [(&before, &after), (&after, &before)] {
            let changes = diff(from, to);
            prop_assert_eq!(read(&encoded(&changes)), Ok(print_changes(&changes)));
        }
    }

    /// hostile-inputs § 9, target 7: no panic, and the position never moves backwards.
    #[test]
    fn any_damage_is_an_error_or_other_entries_but_no_panic(
        (_, after) in trees(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
        seal in any::<bool>(),
    ) {
        let mut tar = encoded(&diff(&crate::Tree::new(), &after));
        for (at, byte) in damage {
            let at = at.index(tar.len());
            tar[at] = byte;
            // Half of the cases with a good checksum, so that damage gets past it.
            let start = at / 512 * 512;
            if seal && let Some(block) = tar.get_mut(start..start + 512) {
                let mut header = Block::zeros();
                header.0.copy_from_slice(block);
                header.seal();
                block.copy_from_slice(&header.0);
            }
        }
        let mut reader = LayerReader::new(&tar[..], Dialect::Layer, 0);
        let mut last = 0;
        while let Ok(Some(_)) = reader.next_entry() {
            prop_assert!(reader.offset >= last + 512);
            last = reader.offset;
        }
        reader.finish().unwrap();
    }
}

#[test]
fn names_of_a_context_stay_where_they_are_x3() {
    let one = |name: &str| {
        let mut header = tar::Header::new_ustar();
        header.set_size(0);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        [header.as_bytes().as_slice(), &[0; 1024]].concat()
    };
    for (name, refused) in [
        ("./a/b", false),
        ("a//b", false),
        (".wh.a", false),
        ("/a", true),
        ("../a", true),
        ("a/../b", true),
    ] {
        let tar = one(name);
        let mut reader = LayerReader::new(tar.as_slice(), Dialect::Context, 0);
        assert_eq!(reader.next_entry().is_err(), refused, "{name}");
    }
}
