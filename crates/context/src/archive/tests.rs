use std::io::Cursor;

use super::*;
use crate::testing::{self, normal};

type Compressor = fn(&[u8]) -> Vec<u8>;

const COMPRESSORS: [(&str, Compressor); 6] = [
    ("none", |tar| tar.to_vec()),
    ("gzip", gzip),
    ("bzip2", |tar| {
        let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        encoder.write_all(tar).unwrap();
        encoder.finish().unwrap()
    }),
    ("xz", |tar| {
        let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
        encoder.write_all(tar).unwrap();
        encoder.finish().unwrap()
    }),
    ("zstd", |tar| zstd::encode_all(tar, 1).unwrap()),
    ("zstd behind a skippable frame", |tar| {
        let skippable = [0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, b'x', b'y'];
        [&skippable[..], &zstd::encode_all(tar, 1).unwrap()].concat()
    }),
];

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A tar of files, names as they are.
fn tar_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o640);
        header.set_uid(3);
        header.set_gid(4);
        header.set_mtime(7);
        // Not `set_path`: it refuses the names that are of interest.
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        builder.append(&header, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

fn read(file: &[u8]) -> (Result<Option<Archive>, Error>, Vec<u8>) {
    let mut spool = Spool::new(Vec::new(), 9);
    let archive = read_archive(file, "t.tar", &mut spool);
    assert_eq!(spool.bytes(), spool.sink.len() as u64);
    (archive, spool.into_inner())
}

/// The entries with their contents from the spool.
fn shown(entries: &[Change], spool: &[u8]) -> String {
    let mut entries = entries.to_vec();
    for entry in &mut entries {
        if let Change::Put {
            entry: Entry::File(content),
            ..
        } = entry
            && let Origin::Blob { blob: 9, offset } = content.origin
        {
            let start = usize::try_from(offset).unwrap();
            let end = start + usize::try_from(content.size).unwrap();
            let inline = FileContent::inline(&spool[start..end]);
            assert_eq!(inline.identity, content.identity);
            *content = inline;
        }
    }
    testing::shown(&entries)
}

fn entries(file: &[u8]) -> Vec<Change> {
    read(file).0.unwrap().unwrap().entries
}

#[test]
fn archives_are_recognised_by_content_t_add_01_t_bug_08() {
    let tar = tar_of(&[("a", b"first"), ("d/b", b"second"), ("empty", b"")]);
    for (name, compress) in COMPRESSORS {
        let (archive, spool) = read(&compress(&tar));
        let archive = archive.unwrap().expect(name);
        assert_eq!(
            shown(&archive.entries, &spool),
            normal(
                "f 0640 3:4 @7 /a \"first\"\nf 0640 3:4 @7 /d/b \"second\"\nf 0640 3:4 @7 /empty \"\""
            ),
            "{name}"
        );
        assert_eq!(spool, b"firstsecond", "{name}");
    }
}

#[test]
fn anything_else_is_no_archive_and_leaves_nothing_behind_t_add_01_t_bug_07() {
    let tar = tar_of(&[("a", b"first")]);
    let mut wrong_checksum = tar.clone();
    wrong_checksum[0] = b'b';
    let cases: [(&str, Vec<u8>); 12] = [
        ("nothing", Vec::new()),
        ("text", b"not a tar\n".to_vec()),
        ("much text", b"not a tar\n".repeat(1000)),
        ("a short header", tar[..511].to_vec()),
        ("a wrong checksum", wrong_checksum),
        ("the end of a tar", vec![0; 1024]),
        ("compressed text", gzip(&b"{\"json\": 1}\n".repeat(100))),
        ("a compressed end of a tar", gzip(&[0; 1024])),
        ("only the magic number of gzip", vec![0x1f, 0x8b]),
        (
            "a damaged gzip header",
            b"\x1f\x8b\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff".to_vec(),
        ),
        ("only the magic number of xz", b"\xfd7zXZ\0".to_vec()),
        (
            "only the magic number of zstd",
            b"\x28\xb5\x2f\xfd".to_vec(),
        ),
    ];
    for (name, file) in cases {
        let (archive, spool) = read(&file);
        assert!(archive.unwrap().is_none(), "{name}");
        assert_eq!(spool, b"", "{name}");
    }
}

#[test]
fn a_damaged_archive_is_an_error_that_names_it() {
    let tar = tar_of(&[("a", b"first"), ("b", &[b'x'; 5000])]);
    let cut = tar[..3000].to_vec();
    let mut damaged = tar.clone();
    damaged[1024] = b'?';
    let compressed = gzip(&tar);
    let cases = [
        ("the content is cut", cut.clone()),
        ("the content is cut before compression", gzip(&cut)),
        ("the second header is damaged", damaged),
        (
            "the compressed stream is cut",
            compressed[..compressed.len() - 12].to_vec(),
        ),
    ];
    for (name, file) in cases {
        let error = read(&file).0.expect_err(name);
        assert!(error.to_string().contains("`t.tar`"), "{name}: {error}");
    }
}

#[test]
fn names_stay_inside_the_archive() {
    let names = [
        ("/abs/f", "/abs/f"),
        ("./d/f", "/d/f"),
        ("d//f", "/d/f"),
        ("../../up", "/up"),
        ("a/../b", "/b"),
        (".wh.x", "/.wh.x"),
        (".wh..wh..opq", "/.wh..wh..opq"),
    ];
    for (name, expected) in names {
        let found = entries(&tar_of(&[(name, b"x")]));
        assert_eq!(found[0].path().to_string(), expected);
        assert!(matches!(found[0], Change::Put { .. }), "{name}");
    }
}

#[test]
fn an_archive_that_asks_for_too_much_memory_does_not_pass_for_a_file() {
    let tar = tar_of(&[("a", b"first")]);
    let mut options = liblzma::stream::LzmaOptions::new_preset(1).unwrap();
    options.dict_size(256 * 1024 * 1024);
    let mut filters = liblzma::stream::Filters::new();
    filters.lzma2(&options);
    let stream =
        liblzma::stream::Stream::new_stream_encoder(&filters, liblzma::stream::Check::Crc32);
    let mut encoder = liblzma::write::XzEncoder::new_stream(Vec::new(), stream.unwrap());
    encoder.write_all(&tar).unwrap();
    let xz = encoder.finish().unwrap();
    // A zstd frame header of its own: no single segment, a window of 2^31 bytes, one empty last block.
    let zstd = b"\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00";
    for file in [&xz[..], zstd] {
        assert!(matches!(read(file).0, Err(Error::Memory { .. })));
    }
}

/// Gives some bytes and then an error of the disk.
struct BadDisk(Cursor<Vec<u8>>);

impl Read for BadDisk {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(io::Error::from_raw_os_error(5)),
            count => Ok(count),
        }
    }
}

#[test]
fn a_file_that_cannot_be_read_does_not_pass_for_no_archive() {
    for head in [
        &b""[..],
        b"some",
        b"some more than the longest magic number",
    ] {
        let mut spool = Spool::new(Vec::new(), 0);
        let file = BadDisk(Cursor::new(head.to_vec()));
        let error = read_archive(file, "t.tar", &mut spool).unwrap_err();
        assert!(matches!(error, Error::ReadHead { .. }), "{error}");
    }
}

#[test]
fn several_archives_share_a_spool() {
    let mut spool = Spool::new(Vec::new(), 0);
    for content in [&b"one"[..], b"two"] {
        let tar = tar_of(&[("f", content)]);
        read_archive(&tar[..], "t.tar", &mut spool).unwrap();
    }
    assert_eq!(spool.into_inner(), b"onetwo");
}

/// Content without end, and how much of it was asked for.
struct Endless {
    header: Cursor<Vec<u8>>,
    given: u64,
}

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match self.header.read(buffer)? {
            0 => {
                buffer.fill(b'x');
                buffer.len()
            }
            count => count,
        };
        self.given += count as u64;
        Ok(count)
    }
}

#[test]
fn recognising_a_file_reads_only_its_head_t_add_11() {
    for head in [&b"text"[..], b"BZh9", b"\x1f\x8b\x08\0\0\0\0\0\0\xff"] {
        let mut file = Endless {
            header: Cursor::new(head.to_vec()),
            given: 0,
        };
        let mut spool = Spool::new(Vec::new(), 0);
        let archive = read_archive(&mut file, "endless", &mut spool).unwrap();
        assert!(archive.is_none());
        assert!(file.given <= 256 * 1024, "{}", file.given);
    }
}

const LIMITS: ContextLimits = ContextLimits {
    bytes: 1 << 20,
    entries: 100,
    names: 10_000,
};

fn context_with(
    file: &[u8],
    limits: &ContextLimits,
) -> (Result<kigumi_layer::Tree, Error>, Vec<u8>) {
    let mut spool = Spool::new(Vec::new(), 9);
    let tree = read_context(file, "c.tar", &mut spool, limits);
    (tree, spool.into_inner())
}

fn refusal(file: &[u8], limits: &ContextLimits) -> String {
    let error = context_with(file, limits).0.expect_err("it is refused");
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(source) = cause {
        text = format!("{text}: {source}");
        cause = source.source();
    }
    assert!(text.contains("`c.tar`"), "{text}");
    text
}

/// A tar of one entry of any type.
fn entry(kind: tar::EntryType, name: &str, target: &str) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    add(&mut builder, kind, name, target);
    builder.into_inner().unwrap()
}

fn add(builder: &mut tar::Builder<Vec<u8>>, kind: tar::EntryType, name: &str, target: &str) {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_size(0);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(7);
    // Not `set_path` and `set_link_name`: they refuse the names that are of interest.
    header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
    header.as_mut_bytes()[157..157 + target.len()].copy_from_slice(target.as_bytes());
    header.set_cksum();
    builder.append(&header, &b""[..]).unwrap();
}

// K-CTX-01
#[test]
fn a_context_may_have_any_compression() {
    let tar = tar_of(&[("./Dockerfile", b"FROM scratch"), ("./d/b", b"second")]);
    for (name, compress) in COMPRESSORS {
        let (tree, spool) = context_with(&compress(&tar), &LIMITS);
        let paths: Vec<String> = tree
            .expect(name)
            .walk()
            .map(|(path, _)| path.to_string())
            .collect();
        assert_eq!(paths, ["/", "/Dockerfile", "/d", "/d/b"], "{name}");
        assert_eq!(spool, b"FROM scratchsecond", "{name}");
    }
}

// hostile-inputs.md § 4.1: CVE-2026-28406, CVE-2025-45582
#[test]
fn what_wants_to_be_elsewhere_is_refused() {
    use tar::EntryType;
    let mut through_link = tar::Builder::new(Vec::new());
    add(&mut through_link, EntryType::Symlink, "d", "/etc");
    add(&mut through_link, EntryType::Regular, "d/passwd", "");
    let mut through_file = tar::Builder::new(Vec::new());
    add(&mut through_file, EntryType::Regular, "f", "");
    add(&mut through_file, EntryType::Regular, "f/x", "");
    let cases = [
        (
            entry(EntryType::Regular, "../outside.txt", ""),
            "`..` component",
        ),
        (entry(EntryType::Regular, "a/../../b", ""), "`..` component"),
        (entry(EntryType::Regular, "/etc/passwd", ""), "absolute"),
        (
            entry(EntryType::Link, "l", "../../etc/shadow"),
            "`..` component",
        ),
        (entry(EntryType::Link, "l", "/etc/shadow"), "absolute"),
        (entry(EntryType::Link, "l", "not-there"), "not-there"),
        (entry(EntryType::Char, "dev", ""), "no devices"),
        (entry(EntryType::Block, "dev", ""), "no devices"),
        (
            through_link.into_inner().unwrap(),
            "`/d/passwd` is refused: what lies above it is a symbolic link",
        ),
        (through_file.into_inner().unwrap(), "`/f/x` is refused"),
    ];
    for (file, expected) in cases {
        let text = refusal(&file, &LIMITS);
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn where_symbolic_links_lead_is_data_as_in_a_directory() {
    let file = entry(tar::EntryType::Symlink, "l", "../../../etc/passwd");
    let tree = context_with(&file, &LIMITS).0.unwrap();
    let path = kigumi_layer::ImagePath::parse(b"l").unwrap();
    let kigumi_layer::Kind::Symlink(target) = &tree.get(&path).unwrap().kind else {
        panic!("no link")
    };
    assert_eq!(&**target, b"../../../etc/passwd");
}

#[test]
fn a_context_is_as_large_as_its_limits_and_no_larger() {
    let tar = tar_of(&[("a", &[0; 5000]), ("b", &[0; 5000])]);
    let exact = ContextLimits {
        bytes: tar.len() as u64,
        entries: 2,
        names: 2,
    };
    context_with(&gzip(&tar), &exact).0.unwrap();
    let cases = [
        (
            ContextLimits {
                bytes: exact.bytes - 1,
                ..exact
            },
            "more than 12287 bytes",
        ),
        (
            ContextLimits {
                bytes: 3000,
                ..exact
            },
            "more than 3000 bytes",
        ),
        (
            ContextLimits {
                entries: 1,
                ..exact
            },
            "more than 1 entries",
        ),
        (
            ContextLimits { names: 1, ..exact },
            "more than 1 bytes of names",
        ),
    ];
    for (limits, expected) in cases {
        let text = refusal(&gzip(&tar), &limits);
        assert!(text.contains(expected), "{text}");
    }
}

// CVE-2025-62518 is a matter of the reader; a bomb is one of the limits.
#[test]
fn a_bomb_is_refused_before_it_is_unpacked() {
    let bomb = gzip(&tar_of(&[("zeros", &vec![0; 8 << 20])]));
    assert!(bomb.len() < 100_000);
    let (tree, spool) = context_with(&bomb, &LIMITS);
    assert!(matches!(tree, Err(Error::TooLarge { .. })));
    assert!(spool.len() <= 1 << 20);
}

#[test]
fn a_context_that_is_no_archive_or_a_part_of_one_is_said_to_be() {
    let tar = tar_of(&[("a", b"first"), ("b", &[b'x'; 5000])]);
    let compressed = gzip(&tar);
    for file in [
        &b""[..],
        b"<html>not found</html>",
        &gzip(b"text"),
        &[0; 1024],
    ] {
        let text = refusal(file, &LIMITS);
        assert!(text.contains("is not a tar archive"), "{text}");
    }
    for file in [
        &tar[..3000],
        // The last bytes of a gzip stream are its checksum: all of the tar is there before.
        &compressed[..compressed.len() - 4],
    ] {
        let text = refusal(file, &LIMITS);
        assert!(!text.contains("is not a tar archive"), "{text}");
    }
}
