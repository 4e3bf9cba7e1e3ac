use super::*;
use crate::{Dialect, FileContent, LayerReader, Xattrs};

fn path(text: &str) -> ImagePath {
    ImagePath::parse(text.as_bytes()).unwrap()
}

fn put(text: &str, entry: Entry) -> Change {
    let mode = Mode::new(0o644);
    Change::Put {
        path: path(text),
        entry,
        metadata: Metadata::root_owned(mode, Timestamp::from_seconds(1)),
    }
}

fn put_with(text: &str, entry: Entry, change: impl FnOnce(&mut Metadata)) -> Change {
    let mut put = put(text, entry);
    if let Change::Put { metadata, .. } = &mut put {
        change(metadata);
    }
    put
}

fn file(content: &[u8]) -> Entry {
    Entry::File(FileContent::inline(content))
}

/// The tar of changes whose files hold what they hold inline.
fn encode(changes: &[Change]) -> Result<Vec<u8>, Error> {
    let mut encoder = LayerEncoder::new(Vec::new());
    for change in changes {
        let mut content: &[u8] = &[];
        if let Change::Put {
            entry: Entry::File(file),
            ..
        } = change
            && let crate::Origin::Inline(bytes) = &file.origin
        {
            content = bytes;
        }
        let written = encoder.entry(change, &mut content)?;
        assert_eq!(written, Written::default());
    }
    encoder.finish()
}

/// What the `tar` crate, which shares no code with ours, reads.
fn seen(tar: &[u8]) -> Vec<String> {
    let mut archive = ::tar::Archive::new(tar);
    archive
        .entries()
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let header = entry.header();
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let link = entry.link_name_bytes().unwrap_or_default();
            let link = String::from_utf8_lossy(&link).into_owned();
            let kind = char::from(header.entry_type().as_byte());
            let (uid, gid) = (header.uid().unwrap(), header.gid().unwrap());
            let (mode, time) = (header.mode().unwrap(), header.mtime().unwrap());
            format!(
                "{kind} {mode:04o} {uid}:{gid} @{time} {} {name} {link}",
                entry.size()
            )
        })
        .collect()
}

#[test]
fn every_kind_of_change_is_one_entry() {
    let device = Device { major: 1, minor: 3 };
    let changes = [
        put("etc", Entry::Directory),
        put("etc/motd", file(b"hello")),
        Change::Link {
            path: path("etc/issue"),
            target: path("etc/motd"),
        },
        put("bin", Entry::Symlink(b"usr/bin"[..].into())),
        put("dev/null", Entry::CharDevice(device)),
        put("dev/sda", Entry::BlockDevice(device)),
        put("run/initctl", Entry::Fifo),
        Change::Delete {
            path: path("etc/shadow-"),
        },
        Change::ClearDir {
            path: path("var/cache"),
        },
        Change::ClearDir {
            path: ImagePath::root(),
        },
    ];
    let tar = encode(&changes).unwrap();
    // T-SNAP-01, T-SNAP-04, T-SNAP-23.
    let expected = [
        "5 0644 0:0 @1 0 etc/ ",
        "0 0644 0:0 @1 5 etc/motd ",
        "1 0644 0:0 @1 0 etc/issue etc/motd",
        "2 0777 0:0 @1 0 bin usr/bin",
        "3 0644 0:0 @1 0 dev/null ",
        "4 0644 0:0 @1 0 dev/sda ",
        "6 0644 0:0 @1 0 run/initctl ",
        "0 0000 0:0 @0 0 etc/.wh.shadow- ",
        "0 0000 0:0 @0 0 var/cache/.wh..wh..opq ",
        "0 0000 0:0 @0 0 .wh..wh..opq ",
    ];
    assert_eq!(seen(&tar), expected);
    assert_eq!(tar.len() % BLOCK, 0);
    assert!(tar.ends_with(&[0; 2 * BLOCK]));
}

#[test]
fn headers_name_neither_users_nor_groups_t_snap_03() {
    let tar = encode(&[put("a", file(b""))]).unwrap();
    assert!(tar[265..329].iter().all(|byte| *byte == 0));
}

#[test]
fn what_a_header_has_no_room_for_is_in_pax_records() {
    let long = "n".repeat(101);
    let short = "n".repeat(100);
    let time = |seconds, nanoseconds| Timestamp {
        seconds,
        nanoseconds,
    };
    let symlink = |target: &str| Entry::Symlink(target.as_bytes().into());
    let empty = || file(b"");
    let cases: [(Change, &[&str]); 14] = [
        (put("a", empty()), &[]),
        (put(&short, empty()), &[]),
        (put(&long, empty()), &["path=n"]),
        (put(&short, Entry::Directory), &["path=n"]),
        (put("ü", empty()), &["path=ü"]),
        (put("a", symlink(&short)), &[]),
        (put("a", symlink(&long)), &["linkpath=n"]),
        (put_with("a", empty(), |m| m.uid = 2_097_151), &[]),
        (
            put_with("a", empty(), |m| m.uid = 2_097_152),
            &["uid=2097152\n"],
        ),
        (
            put_with("a", empty(), |m| m.gid = u32::MAX - 1),
            &["gid=4294967294\n"],
        ),
        // T-SNAP-02
        (
            put_with("a", empty(), |m| m.mtime = time(7, 120_000_000)),
            &["mtime=7.12\n"],
        ),
        (
            put_with("a", empty(), |m| m.mtime = time(-1, 0)),
            &["mtime=-1\n"],
        ),
        (
            put_with("a", empty(), |m| m.mtime = time(1 << 33, 0)),
            &["mtime=8589934592\n"],
        ),
        // T-SNAP-19
        (
            put_with("a", empty(), |m| {
                m.xattrs.insert(b"user.b", b"\0=\n");
                m.xattrs.insert(b"security.capability", b"");
            }),
            &[
                "SCHILY.xattr.security.capability=\n",
                "SCHILY.xattr.user.b=\0=\n\n",
            ],
        ),
    ];
    for (change, records) in cases {
        let tar = encode(std::slice::from_ref(&change)).unwrap();
        assert_eq!(tar[156] == b'x', !records.is_empty(), "{change:?}");
        let text = String::from_utf8_lossy(&tar);
        for record in records {
            assert!(text.contains(record), "{record} of {change:?}");
        }
    }
}

/// Writing one would take 8 GiB; its header is enough.
#[test]
fn a_file_of_8_gib_says_its_size_in_a_pax_record() {
    for (size, pax) in [((1 << 33) - 1, false), (1 << 33, true)] {
        let mut draft = Draft::new();
        draft.number(&SIZE, b"size", size);
        assert_eq!(draft.records.len(), usize::from(pax), "{size}");
    }
}

#[test]
fn a_link_carries_the_metadata_of_its_target_because_readers_apply_it_to_both() {
    let changes = [
        put_with("a", file(b"x"), |m| {
            m.mode = Mode::new(0o4755);
            m.uid = 7;
            m.mtime = Timestamp::from_seconds(9);
        }),
        Change::Link {
            path: path("b"),
            target: path("a"),
        },
    ];
    let seen = seen(&encode(&changes).unwrap());
    assert_eq!(seen, ["0 4755 7:0 @9 1 a ", "1 4755 7:0 @9 0 b a"]);
    // And so when it is known beforehand who will be a target.
    let mut encoder = LayerEncoder::new(Vec::new()).expect_changes(&changes);
    for change in &changes {
        let _ = encoder.entry(change, &mut &b"x"[..]).unwrap();
    }
    assert_eq!(encoder.finish().unwrap(), encode(&changes).unwrap());
}

#[test]
fn a_link_to_what_is_not_in_the_layer_is_refused_t_snap_23() {
    let link = Change::Link {
        path: path("b"),
        target: path("a"),
    };
    for before in [None, Some(put("a", Entry::Directory))] {
        let changes: Vec<Change> = before.into_iter().chain([link.clone()]).collect();
        assert!(matches!(
            encode(&changes),
            Err(Error::LinkTargetMissing { .. })
        ));
    }
}

#[test]
fn what_no_layer_can_hold_is_refused_and_nothing_is_written() {
    let device = |major, minor| Entry::CharDevice(Device { major, minor });
    let xattr = |name: &'static [u8], value: &'static [u8]| {
        put_with("a", file(b""), |m| {
            m.xattrs = Xattrs::default();
            m.xattrs.insert(name, value);
        })
    };
    let too_long = put_with("a", file(b""), |m| {
        m.xattrs.insert(b"user.a", &vec![0; 64 * 1024 + 1]);
    });
    let many = put_with("a", file(b""), |m| {
        for index in 0..17 {
            let name = format!("user.{index}");
            m.xattrs.insert(name.as_bytes(), &vec![0; 64 * 1024]);
        }
    });
    let refused = [
        // T-SNAP-06
        put("", Entry::Directory),
        Change::Delete {
            path: ImagePath::root(),
        },
        // hostile-inputs § 5.3: a file named like a whiteout, made by RUN.
        put("a/.wh.b", file(b"")),
        put(".wh..wh..opq", file(b"")),
        put(".wh.d/e", file(b"")),
        Change::Delete {
            path: path("a/.wh.b"),
        },
        put("a", Entry::Symlink(b""[..].into())),
        put("a", Entry::Symlink(vec![b'x'; 4096].into())),
        put("a", device(1 << 12, 0)),
        put("a", device(0, 1 << 20)),
        xattr(b"user.a=b", b""),
        xattr(b"", b""),
        xattr(&[b'x'; 256], b""),
        too_long,
        many,
    ];
    for change in refused {
        let mut encoder = LayerEncoder::new(Vec::new());
        let result = encoder.entry_without_content(&change);
        let refused = matches!(result, Err(Error::Unrepresentable { .. }));
        assert!(refused, "{change:?}: {result:?}");
        assert_eq!(encoder.sink, b"");
    }
}

/// T-PROC-05.
#[test]
fn a_file_that_grows_is_cut_and_one_that_shrinks_is_filled_with_zeros() {
    let change = put("a", file(b"12345"));
    let cases: [(&[u8], u64, &[u8]); 4] = [
        (b"12345", 0, b"12345"),
        (b"1234567", 0, b"12345"),
        (b"12", 3, b"12\0\0\0"),
        (b"", 5, b"\0\0\0\0\0"),
    ];
    for (mut content, missing, expected) in cases {
        let mut encoder = LayerEncoder::new(Vec::new());
        let written = encoder.entry(&change, &mut content).unwrap();
        assert_eq!(written, Written { missing });
        let tar = encoder.finish().unwrap();
        let mut reader = LayerReader::new(&tar[..], Dialect::Layer, 0);
        let entry = reader.next_entry().unwrap().unwrap();
        let mut read = Vec::new();
        entry.content.unwrap().read_to_end(&mut read).unwrap();
        assert_eq!(read, expected);
        assert!(reader.next_entry().unwrap().is_none());
    }
}

/// Gives a little at a time, and is interrupted before each.
struct Hesitant<'a>(&'a [u8], bool);

impl Read for Hesitant<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.1 = !self.1;
        if self.1 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let count = buffer.len().min(7);
        self.0.read(&mut buffer[..count])
    }
}

#[test]
fn the_bytes_do_not_depend_on_how_content_arrives() {
    let content = vec![b'x'; 5000];
    let change = put("a", file(&content));
    let mut encoder = LayerEncoder::new(Vec::new());
    let written = encoder
        .entry(&change, &mut Hesitant(&content, false))
        .unwrap();
    assert_eq!(written.missing, 0);
    assert_eq!(encoder.finish().unwrap(), encode(&[change]).unwrap());
}

#[test]
fn an_unreadable_file_is_named() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::PermissionDenied.into())
        }
    }
    let mut encoder = LayerEncoder::new(Vec::new());
    let error = encoder
        .entry(&put("a/b", file(b"x")), &mut Broken)
        .unwrap_err();
    assert_eq!(error.to_string(), "read `/a/b` for a layer");
}

#[test]
fn only_times_after_the_epoch_are_clamped() {
    let latest = Timestamp {
        seconds: 100,
        nanoseconds: 5,
    };
    let cases = [
        (Timestamp::from_seconds(99), Timestamp::from_seconds(99)),
        (latest, latest),
        (Timestamp::from_seconds(101), latest),
    ];
    for (mtime, expected) in cases {
        let change = put_with("a", file(b""), |m| m.mtime = mtime);
        let mut encoder = LayerEncoder::new(Vec::new()).clamp_times(Some(latest));
        let _ = encoder.entry_without_content(&change).unwrap();
        let tar = encoder.finish().unwrap();
        let mut reader = LayerReader::new(&tar[..], Dialect::Layer, 0);
        let entry = reader.next_entry().unwrap().unwrap();
        let Change::Put { metadata, .. } = entry.change else {
            panic!("{entry:?}");
        };
        assert_eq!(metadata.mtime, expected);
    }
}
