//! The data types of RFC 4251 § 5, as keys and agent messages are made of.

/// Reads values one after the other; `None` when the bytes are not what was expected.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        let bytes = self.take(4)?.try_into().ok()?;
        Some(u32::from_be_bytes(bytes))
    }

    pub(super) fn string(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.u32()?).ok()?;
        self.take(length)
    }

    /// A positive `mpint` without leading zeros.
    pub(super) fn number(&mut self) -> Option<&'a [u8]> {
        let bytes = self.string()?;
        if bytes.first().is_some_and(|byte| byte & 0x80 != 0) {
            return None;
        }
        Some(without_zeros(bytes))
    }

    pub(super) fn rest(self) -> &'a [u8] {
        self.0
    }
}

pub(super) fn without_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.get(zeros..).unwrap_or_default()
}

/// Appends a `uint32`. Everything written here is far shorter than what it can count.
pub(super) fn put_u32(to: &mut Vec<u8>, value: usize) {
    to.extend(u32::try_from(value).unwrap_or(u32::MAX).to_be_bytes());
}

pub(super) fn put_string(to: &mut Vec<u8>, bytes: &[u8]) {
    put_u32(to, bytes.len());
    to.extend_from_slice(bytes);
}

/// Appends a positive `mpint`.
pub(super) fn put_number(to: &mut Vec<u8>, bytes: &[u8]) {
    let bytes = without_zeros(bytes);
    let sign = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
    put_u32(to, bytes.len() + usize::from(sign));
    if sign {
        to.push(0);
    }
    to.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_rfc_4251_shows_them() {
        for (value, expected) in [
            (&[][..], &[0, 0, 0, 0][..]),
            (&[0, 0], &[0, 0, 0, 0]),
            (&[0x80], &[0, 0, 0, 2, 0, 0x80]),
            (&[0, 0x7f, 1], &[0, 0, 0, 2, 0x7f, 1]),
        ] {
            let mut written = Vec::new();
            put_number(&mut written, value);
            assert_eq!(written, expected);
            assert_eq!(Reader::new(&written).number(), Some(without_zeros(value)));
        }
    }

    #[test]
    fn what_is_too_short_or_negative_is_nothing() {
        assert_eq!(Reader::new(&[0, 0, 0]).u32(), None);
        assert_eq!(Reader::new(&[0, 0, 0, 2, 1]).string(), None);
        assert_eq!(Reader::new(&[0xff, 0xff, 0xff, 0xff, 1]).string(), None);
        assert_eq!(Reader::new(&[0, 0, 0, 1, 0x80]).number(), None);
    }
}
