use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use zeroize::Zeroizing;

use super::KeyError;

/// The first private key among the blocks of a PEM file. RFC 7468.
pub(super) struct Block<'a> {
    /// `OPENSSH PRIVATE KEY`
    pub(super) label: &'a str,
    /// What it holds.
    pub(super) bytes: Zeroizing<Vec<u8>>,
}

impl<'a> Block<'a> {
    pub(super) fn parse(text: &'a [u8]) -> Result<Self, KeyError> {
        let text = std::str::from_utf8(text).map_err(|_| KeyError::NotAKey)?;
        let mut lines = text.lines().map(str::trim);
        let label = lines
            .by_ref()
            .find_map(|line| {
                line.strip_prefix("-----BEGIN ")?
                    .strip_suffix("-----")
                    .filter(|label| label.ends_with("PRIVATE KEY"))
            })
            .ok_or(KeyError::NotAKey)?;
        let mut encoded = Zeroizing::new(String::with_capacity(text.len()));
        let mut ended = false;
        for line in lines {
            if line.starts_with("-----END ") {
                ended = true;
                break;
            }
            // RFC 1421: the header of an encrypted key of old.
            if line.starts_with("Proc-Type:") && line.contains("ENCRYPTED") {
                return Err(KeyError::Encrypted);
            }
            if !line.contains(':') {
                encoded.push_str(line);
            }
        }
        let bytes = BASE64_STANDARD.decode(encoded.as_bytes());
        match bytes {
            Ok(bytes) if ended => Ok(Self {
                label,
                bytes: Zeroizing::new(bytes),
            }),
            _ => Err(KeyError::NotAKey),
        }
    }
}
