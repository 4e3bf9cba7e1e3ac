//! `--chmod`.

use crate::op::Chmod;

/// The highest mode: set-id and sticky bits included.
const LARGEST: u32 = 0o7777;

/// Reads a mode: octal, or the symbolic form of BSD; the error says what is wrong.
pub(super) fn parse(text: &str) -> Result<Chmod, String> {
    let is_octal = text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    if is_octal && !text.is_empty() {
        return match u32::from_str_radix(text, 8) {
            Ok(mode) if mode <= LARGEST => Ok(Chmod::Octal(mode)),
            _ => Err(format!("mode `{text}` is larger than 7777")),
        };
    }
    if !text.is_empty() && text.split(',').all(is_clause) {
        return Ok(Chmod::Symbolic(text.to_owned()));
    }
    Err(format!(
        "mode `{text}` is neither octal nor symbolic (`u=rwX,go=rX`)"
    ))
}

/// `[ugoa]*` followed by one or more actions: `[-+=]` and permissions, or classes to copy from.
fn is_clause(clause: &str) -> bool {
    let mut rest = clause.trim_start_matches(['u', 'g', 'o', 'a']);
    if rest.is_empty() {
        return false;
    }
    while let Some(action) = rest.strip_prefix(['+', '-', '=']) {
        let end = action.find(['+', '-', '=']).unwrap_or(action.len());
        let (permissions, next) = action.split_at(end);
        if !permissions
            .chars()
            .all(|letter| "rwxXstugo".contains(letter))
        {
            return false;
        }
        rest = next;
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_octal_or_symbolic() {
        for (text, mode) in [
            ("640", 0o640),
            ("04755", 0o4755),
            ("0", 0),
            ("7777", 0o7777),
        ] {
            assert_eq!(parse(text), Ok(Chmod::Octal(mode)), "{text}");
        }
        for text in [
            "u=rwX,go=rX",
            "go-rwx",
            "+x",
            "a+r-w",
            "g=u",
            "u=",
            "o+t",
            "ug+s",
            "u=gr",
        ] {
            assert_eq!(parse(text), Ok(Chmod::Symbolic(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn other_modes_are_refused() {
        for text in [
            "10000",
            "77777777777777",
            "8",
            "u",
            "rwx",
            "u+y",
            "u+x,",
            "",
            "0x1",
            "u=a",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
