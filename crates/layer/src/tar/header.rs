use super::fault::TarFault;

/// A tar is a sequence of blocks of this size.
pub(super) const BLOCK: usize = 512;
/// The same, to count with.
pub(crate) const BLOCK_BYTES: u64 = BLOCK as u64;

/// Types of entries. POSIX.1-2001 pax § ustar Interchange Format, and GNU's.
pub(super) mod typeflag {
    pub(in crate::tar) const FILE: u8 = b'0';
    pub(in crate::tar) const FILE_V7: u8 = 0;
    pub(in crate::tar) const HARD_LINK: u8 = b'1';
    pub(in crate::tar) const SYMLINK: u8 = b'2';
    pub(in crate::tar) const CHAR_DEVICE: u8 = b'3';
    pub(in crate::tar) const BLOCK_DEVICE: u8 = b'4';
    pub(in crate::tar) const DIRECTORY: u8 = b'5';
    pub(in crate::tar) const FIFO: u8 = b'6';
    pub(in crate::tar) const CONTIGUOUS: u8 = b'7';
    pub(in crate::tar) const PAX: u8 = b'x';
    pub(in crate::tar) const PAX_GLOBAL: u8 = b'g';
    pub(in crate::tar) const GNU_LONG_NAME: u8 = b'L';
    pub(in crate::tar) const GNU_LONG_LINK: u8 = b'K';
    pub(in crate::tar) const GNU_SPARSE: u8 = b'S';
}

/// Where a field lies in its block.
pub(super) struct Field {
    name: &'static str,
    start: usize,
    length: usize,
}

const fn field(name: &'static str, start: usize, length: usize) -> Field {
    Field {
        name,
        start,
        length,
    }
}

pub(super) const NAME: Field = field("name", 0, 100);
pub(super) const MODE: Field = field("mode", 100, 8);
pub(super) const UID: Field = field("uid", 108, 8);
pub(super) const GID: Field = field("gid", 116, 8);
pub(super) const SIZE: Field = field("size", 124, 12);
pub(super) const MTIME: Field = field("mtime", 136, 12);
const CHECKSUM: Field = field("checksum", 148, 8);
pub(super) const TYPEFLAG: Field = field("typeflag", 156, 1);
pub(super) const LINK: Field = field("linkname", 157, 100);
pub(super) const MAGIC: Field = field("magic", 257, 8);
pub(super) const DEVICE_MAJOR: Field = field("devmajor", 329, 8);
pub(super) const DEVICE_MINOR: Field = field("devminor", 337, 8);
const PREFIX: Field = field("prefix", 345, 155);
const STAR_PREFIX: Field = field("prefix", 345, 131);
const STAR_ACCESS_TIME: Field = field("atime", 476, 12);
const STAR_CHANGE_TIME: Field = field("ctime", 488, 12);
const STAR_TRAILER: Field = field("trailer", 508, 4);
const GNU_ACCESS_TIME: Field = field("atime", 345, 12);
const GNU_CHANGE_TIME: Field = field("ctime", 357, 12);

/// One block of a tar that shall be a header.
pub(super) struct Block(pub(super) [u8; BLOCK]);

/// What a header says, before extension headers have their word.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) typeflag: u8,
    pub(super) name: Vec<u8>,
    pub(super) link: Vec<u8>,
    pub(super) size: i64,
    pub(super) mode: i64,
    pub(super) uid: i64,
    pub(super) gid: i64,
    pub(super) mtime: i64,
    pub(super) device_major: i64,
    pub(super) device_minor: i64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    V7,
    Ustar,
    Star,
    Gnu,
}

impl Block {
    pub(super) fn zeros() -> Self {
        Self([0; BLOCK])
    }

    pub(super) fn is_zero(&self) -> bool {
        self.0.iter().all(|byte| *byte == 0)
    }

    fn bytes(&self, field: &Field) -> &[u8] {
        self.0
            .get(field.start..field.start + field.length)
            .unwrap_or_default()
    }

    fn text(&self, field: &Field) -> &[u8] {
        until_nul(self.bytes(field))
    }

    fn number(&self, field: &Field) -> Result<i64, TarFault> {
        parse_number(self.bytes(field)).ok_or(TarFault::Number { field: field.name })
    }

    /// Reads a header as Go's `archive/tar` does.
    pub(super) fn parse(&self) -> Result<Header, TarFault> {
        self.check()?;
        let mut header = Header {
            typeflag: self.bytes(&TYPEFLAG).first().copied().unwrap_or_default(),
            name: self.text(&NAME).to_vec(),
            link: self.text(&LINK).to_vec(),
            size: self.number(&SIZE)?,
            mode: self.number(&MODE)?,
            uid: self.number(&UID)?,
            gid: self.number(&GID)?,
            mtime: self.number(&MTIME)?,
            device_major: 0,
            device_minor: 0,
        };
        let format = self.format();
        if format == Format::V7 {
            return Ok(header);
        }
        header.device_major = self.number(&DEVICE_MAJOR)?;
        header.device_minor = self.number(&DEVICE_MINOR)?;
        let prefix = self.prefix(format)?;
        if !prefix.is_empty() {
            let mut name = prefix.to_vec();
            name.push(b'/');
            name.append(&mut header.name);
            header.name = name;
        }
        Ok(header)
    }

    fn format(&self) -> Format {
        match self.bytes(&MAGIC) {
            b"ustar  \0" => Format::Gnu,
            [b'u', b's', b't', b'a', b'r', 0, ..] => {
                if self.bytes(&STAR_TRAILER) == b"tar\0" {
                    Format::Star
                } else {
                    Format::Ustar
                }
            }
            _ => Format::V7,
        }
    }

    fn prefix(&self, format: Format) -> Result<&[u8], TarFault> {
        Ok(match format {
            Format::V7 => &[],
            Format::Ustar => self.text(&PREFIX),
            Format::Star => {
                self.number(&STAR_ACCESS_TIME)?;
                self.number(&STAR_CHANGE_TIME)?;
                self.text(&STAR_PREFIX)
            }
            // GNU has times where ustar has its prefix. Go before 1.8 wrote a prefix under GNU's magic; its reader still knows such
            // headers by times that are no numbers.
            Format::Gnu => {
                let is_time = |field| {
                    let bytes = self.bytes(field);
                    bytes.first() == Some(&0) || parse_number(bytes).is_some()
                };
                let prefix = self.text(&PREFIX);
                if is_time(&GNU_ACCESS_TIME) && is_time(&GNU_CHANGE_TIME) || !prefix.is_ascii() {
                    &[]
                } else {
                    prefix
                }
            }
        })
    }

    fn check(&self) -> Result<(), TarFault> {
        let stated = parse_octal(self.bytes(&CHECKSUM)).ok_or(TarFault::Checksum)?;
        // Old writers summed signed bytes.
        if stated == self.sum(i64::from) || stated == self.sum(|byte| i64::from(byte.cast_signed()))
        {
            return Ok(());
        }
        Err(TarFault::Checksum)
    }

    /// The sum of all bytes, with spaces where the checksum itself is.
    fn sum(&self, value: impl Fn(u8) -> i64) -> i64 {
        let checksum = CHECKSUM.start..CHECKSUM.start + CHECKSUM.length;
        self.0
            .iter()
            .enumerate()
            .map(|(index, byte)| {
                if checksum.contains(&index) {
                    value(b' ')
                } else {
                    value(*byte)
                }
            })
            .sum()
    }

    /// Writes as much of `bytes` as the field holds.
    pub(super) fn set(&mut self, field: &Field, bytes: &[u8]) {
        self.0
            .iter_mut()
            .skip(field.start)
            .take(field.length)
            .zip(bytes)
            .for_each(|(to, from)| *to = *from);
    }

    /// Writes a number in octal digits and a NUL. One that does not fit is written as zero: a PAX record has to say it.
    pub(super) fn set_number(&mut self, field: &Field, value: u64) {
        let digits = field.length - 1;
        let value = if fits(field, value) { value } else { 0 };
        self.set(field, format!("{value:0digits$o}").as_bytes());
    }

    /// Writes the checksum of what is there. Comes last.
    pub(super) fn seal(&mut self) {
        let sum = self.sum(i64::from);
        self.set(&CHECKSUM, format!("{sum:06o}\0 ").as_bytes());
    }
}

/// Whether a header can say `value` without the help of a PAX record.
pub(super) fn fits(field: &Field, value: u64) -> bool {
    let bits = 3 * (field.length - 1);
    value >> bits == 0
}

/// How many bytes it takes to fill the last block of `size` bytes.
pub(super) fn padding(size: u64) -> u64 {
    size.next_multiple_of(BLOCK_BYTES) - size
}

pub(super) fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// A number in octal digits, or in GNU's binary form, which its first bit tells.
fn parse_number(bytes: &[u8]) -> Option<i64> {
    match bytes.first() {
        Some(first) if first & 0x80 != 0 => parse_binary(bytes),
        _ => parse_octal(bytes),
    }
}

/// Two's complement, big endian; the topmost bit is the mark of the form, the one below the sign.
fn parse_binary(bytes: &[u8]) -> Option<i64> {
    let negative = bytes.first().is_some_and(|first| first & 0x40 != 0);
    let invert = if negative { 0xff } else { 0 };
    let mut value: u64 = 0;
    for (index, byte) in bytes.iter().enumerate() {
        let byte = byte ^ invert;
        let byte = if index == 0 { byte & 0x7f } else { byte };
        if value >> 56 != 0 {
            return None;
        }
        value = value << 8 | u64::from(byte);
    }
    let value = i64::try_from(value).ok()?;
    Some(if negative { !value } else { value })
}

fn parse_octal(bytes: &[u8]) -> Option<i64> {
    let blank = |byte: &u8| matches!(byte, b' ' | 0);
    let start = bytes.iter().position(|byte| !blank(byte));
    let end = bytes.iter().rposition(|byte| !blank(byte));
    let (Some(start), Some(end)) = (start, end) else {
        return Some(0);
    };
    until_nul(bytes.get(start..=end)?)
        .iter()
        .try_fold(0_i64, |value, byte| match byte {
            b'0'..=b'7' => value.checked_mul(8)?.checked_add(i64::from(byte - b'0')),
            _ => None,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_in_both_forms_hostile_5_3_header() {
        let cases: [(&[u8], Option<i64>); 14] = [
            (b"0000644\0", Some(0o644)),
            (b" 644 \0\0\0", Some(0o644)),
            (b"\0\0\0\0", Some(0)),
            (b"        ", Some(0)),
            (b"12 4\0", None),
            (b"9\0", None),
            (b"-1\0", None),
            (b"+1\0", None),
            (b"7777777777777777777777", None),
            (b"\x80\0\0\0\0\0\0\x01", Some(1)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff", Some(-1)),
            (
                b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff",
                Some(i64::MAX),
            ),
            (b"\x80\0\0\0\x80\0\0\0\0\0\0\0", None),
            (b"\x81\0\0\0\0\0\0\0\0\0\0\0", None),
        ];
        for (bytes, expected) in cases {
            assert_eq!(parse_number(bytes), expected, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn numbers_that_do_not_fit_are_left_to_pax() {
        assert!(fits(&UID, 0o7_777_777));
        assert!(!fits(&UID, 0o10_000_000));
        assert!(fits(&SIZE, 8 * 1024 * 1024 * 1024 - 1));
        assert!(!fits(&SIZE, 8 * 1024 * 1024 * 1024));
        assert!(!fits(&MTIME, u64::MAX));
    }

    #[test]
    fn padding_fills_the_last_block() {
        for (size, expected) in [(0, 0), (1, 511), (511, 1), (512, 0), (513, 511)] {
            assert_eq!(padding(size), expected);
        }
    }
}
