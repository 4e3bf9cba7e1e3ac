//! Archives, verbatim: names in the order and form that the case gives, nothing added.

use std::collections::BTreeMap;
use std::io::Write as _;

use anyhow::{Context as _, Result, bail, ensure};

use super::case::{Entry, EntryKind, Packing, TarFormat};

/// The time of entries that give none: 2001-09-09T01:46:40Z.
pub(crate) const DEFAULT_MTIME: i64 = 1_000_000_000;

/// A compressed archive.
pub(crate) fn packed(entries: &[Entry], format: TarFormat, packing: Packing) -> Result<Vec<u8>> {
    compressed(&plain(entries, format)?, packing)
}

/// The same bytes, compressed.
pub(crate) fn compressed(bytes: &[u8], packing: Packing) -> Result<Vec<u8>> {
    Ok(match packing {
        Packing::None => bytes.to_vec(),
        Packing::Gzip => {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes)?;
            encoder.finish()?
        }
        Packing::Bzip2 => {
            let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            encoder.write_all(bytes)?;
            encoder.finish()?
        }
        Packing::Xz => {
            let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
            encoder.write_all(bytes)?;
            encoder.finish()?
        }
        Packing::Zstd => zstd::encode_all(bytes, 1)?,
    })
}

/// What the header of a hard link repeats.
#[derive(Clone, Copy)]
struct Attributes {
    mode: u32,
    uid: u64,
    gid: u64,
    mtime: i64,
}

/// An archive.
pub(crate) fn plain(entries: &[Entry], format: TarFormat) -> Result<Vec<u8>> {
    let mut archive = Vec::new();
    let mut known: BTreeMap<&str, Attributes> = BTreeMap::new();
    for entry in entries {
        let inherited = entry
            .target
            .as_deref()
            .filter(|_| entry.kind == EntryKind::Hardlink);
        let inherited = inherited.and_then(|target| known.get(target)).copied();
        let attributes = Attributes {
            mode: match inherited {
                Some(target) => entry.given_mode()?.unwrap_or(target.mode),
                None => entry.mode()?,
            },
            uid: entry
                .uid
                .or(inherited.map(|target| target.uid))
                .unwrap_or(0),
            gid: entry
                .gid
                .or(inherited.map(|target| target.gid))
                .unwrap_or(0),
            mtime: entry
                .mtime
                .or(inherited.map(|target| target.mtime))
                .unwrap_or(DEFAULT_MTIME),
        };
        known.insert(&entry.path, attributes);
        append(&mut archive, entry, attributes, format)
            .with_context(|| format!("archive `{}`", entry.path))?;
    }
    archive.resize(archive.len() + 1024, 0);
    Ok(archive)
}

fn append(
    archive: &mut Vec<u8>,
    entry: &Entry,
    attributes: Attributes,
    format: TarFormat,
) -> Result<()> {
    let content = match entry.kind {
        EntryKind::File | EntryKind::Tar => entry.content()?,
        EntryKind::Dir
        | EntryKind::Symlink
        | EntryKind::Hardlink
        | EntryKind::Fifo
        | EntryKind::Socket
        | EntryKind::Char
        | EntryKind::Block => Vec::new(),
    };
    let mut header = match format {
        TarFormat::Pax | TarFormat::Ustar => tar::Header::new_ustar(),
        TarFormat::Gnu => tar::Header::new_gnu(),
    };
    header.set_entry_type(entry_type(entry.kind)?);
    header.set_mode(attributes.mode);
    header.set_uid(attributes.uid);
    header.set_gid(attributes.gid);
    header.set_size(content.len() as u64);
    header.set_mtime(u64::try_from(attributes.mtime).unwrap_or(0));
    if matches!(entry.kind, EntryKind::Char | EntryKind::Block) {
        header.set_device_major(entry.devmajor)?;
        header.set_device_minor(entry.devminor)?;
    }
    let mut records: Vec<(String, Vec<u8>)> = Vec::new();
    for (name, value) in entry.xattrs()? {
        records.push((format!("SCHILY.xattr.{name}"), value));
    }
    if attributes.mtime < 0 {
        records.push((
            "mtime".to_owned(),
            attributes.mtime.to_string().into_bytes(),
        ));
    }
    let link = entry.target.as_deref().unwrap_or_default();
    for (long, short) in long_names(&mut header, &entry.path, link, format)? {
        match format {
            TarFormat::Pax => records.push((short.to_owned(), long.as_bytes().to_vec())),
            TarFormat::Gnu => append_gnu_name(archive, long, short == "linkpath"),
            TarFormat::Ustar => bail!("does not fit into ustar"),
        }
    }
    if !records.is_empty() {
        ensure!(format == TarFormat::Pax, "needs PAX records");
        append_records(archive, &records);
    }
    header.set_cksum();
    append_block(archive, &header, &content);
    Ok(())
}

/// Writes names into the header, cut where they do not fit; the answer names those.
fn long_names<'a>(
    header: &mut tar::Header,
    name: &'a str,
    link: &'a str,
    format: TarFormat,
) -> Result<Vec<(&'a str, &'static str)>> {
    let old = header.as_old_mut();
    let mut long = Vec::new();
    if !place(&mut old.linkname, link.as_bytes()) {
        long.push((link, "linkpath"));
    }
    if place(&mut old.name, name.as_bytes()) {
        return Ok(long);
    }
    if format == TarFormat::Ustar {
        let mut split = name.match_indices('/').map(|(at, _)| name.split_at(at));
        let fitting = split.rfind(|(prefix, rest)| prefix.len() <= 155 && rest.len() <= 101);
        let (prefix, rest) = fitting.context("no `/` to split the name at")?;
        let ustar = header.as_ustar_mut().context("a ustar header")?;
        ustar.name = [0; 100];
        place(&mut ustar.prefix, prefix.as_bytes());
        place(&mut ustar.name, rest.trim_start_matches('/').as_bytes());
    } else {
        long.push((name, "path"));
    }
    Ok(long)
}

/// False if the bytes do not fit.
fn place(field: &mut [u8], bytes: &[u8]) -> bool {
    for (slot, byte) in field.iter_mut().zip(bytes) {
        *slot = *byte;
    }
    bytes.len() <= field.len()
}

fn append_gnu_name(archive: &mut Vec<u8>, name: &str, is_link: bool) {
    let mut content = name.as_bytes().to_vec();
    content.push(0);
    let mut header = tar::Header::new_gnu();
    let kind = if is_link {
        tar::EntryType::GNULongLink
    } else {
        tar::EntryType::GNULongName
    };
    header.set_entry_type(kind);
    place(&mut header.as_old_mut().name, b"././@LongLink");
    header.set_size(content.len() as u64);
    header.set_cksum();
    append_block(archive, &header, &content);
}

fn append_records(archive: &mut Vec<u8>, records: &[(String, Vec<u8>)]) {
    let content: Vec<u8> = records
        .iter()
        .flat_map(|(key, value)| record(key, value))
        .collect();
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::XHeader);
    place(&mut header.as_old_mut().name, b"pax");
    header.set_mode(0o644);
    header.set_size(content.len() as u64);
    header.set_cksum();
    append_block(archive, &header, &content);
}

/// `LENGTH KEY=VALUE\n`, where the length counts itself.
fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    let mut record = format!("{length} {key}=").into_bytes();
    record.extend_from_slice(value);
    record.push(b'\n');
    record
}

fn append_block(archive: &mut Vec<u8>, header: &tar::Header, content: &[u8]) {
    archive.extend_from_slice(header.as_bytes());
    archive.extend_from_slice(content);
    archive.resize(archive.len().next_multiple_of(512), 0);
}

fn entry_type(kind: EntryKind) -> Result<tar::EntryType> {
    Ok(match kind {
        EntryKind::File | EntryKind::Tar => tar::EntryType::Regular,
        EntryKind::Dir => tar::EntryType::Directory,
        EntryKind::Symlink => tar::EntryType::Symlink,
        EntryKind::Hardlink => tar::EntryType::Link,
        EntryKind::Fifo => tar::EntryType::Fifo,
        EntryKind::Char => tar::EntryType::Char,
        EntryKind::Block => tar::EntryType::Block,
        EntryKind::Socket => bail!("archives hold no sockets"),
    })
}
