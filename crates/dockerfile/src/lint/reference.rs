//! Whether a text can name an image. distribution's grammar, as `docker pull` reads it: no host, no repository and no tag are
//! looked up here.

/// Whether a text is `[host[:port]/]path[:tag][@digest]`.
pub(super) fn is_reference(text: &str) -> bool {
    let (named, digest) = match text.split_once('@') {
        Some((named, digest)) => (named, Some(digest)),
        None => (text, None),
    };
    let (host, rest) = split_host(named);
    let (path, tag) = match rest.rsplit_once(':') {
        Some((path, tag)) => (path, Some(tag)),
        None => (rest, None),
    };
    let is_identifier =
        text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    !is_identifier
        && host.is_none_or(is_host)
        && !path.is_empty()
        && path.split('/').all(is_component)
        && host.map_or(0, |host| host.len() + 1) + path.len() <= 255
        && tag.is_none_or(is_tag)
        && digest.is_none_or(is_digest)
}

/// The first part is a host if it could not be a name on Docker Hub.
fn split_host(text: &str) -> (Option<&str>, &str) {
    match text.split_once('/') {
        Some((first, rest))
            if first.contains(['.', ':'])
                || first == "localhost"
                || first.to_lowercase() != first =>
        {
            (Some(first), rest)
        }
        Some(_) | None => (None, text),
    }
}

/// The registry of an image, Docker Hub if none is written.
pub(super) fn host_of(text: &str) -> &str {
    split_host(text).0.unwrap_or("docker.io")
}

fn is_host(text: &str) -> bool {
    let (name, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, rest)) => {
            let is_address =
                !address.is_empty() && address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':');
            return is_address && rest.strip_prefix(':').map_or(rest.is_empty(), is_number);
        }
        None => match text.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (text, None),
        },
    };
    let is_label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.split('.').all(is_label) && port.is_none_or(is_number)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// Runs of small letters and digits, between them one dot, one or two underscores, or dashes.
fn is_component(text: &str) -> bool {
    let is_alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let mut separators = text.split(is_alphanumeric);
    let begins_and_ends = text.starts_with(is_alphanumeric) && text.ends_with(is_alphanumeric);
    begins_and_ends
        && separators.all(|separator| {
            matches!(separator, "" | "." | "_" | "__") || separator.chars().all(|c| c == '-')
        })
}

fn is_tag(text: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let mut bytes = text.bytes();
    bytes.next().is_some_and(is_word)
        && text.len() <= 128
        && bytes.all(|b| is_word(b) || matches!(b, b'.' | b'-'))
}

fn is_digest(text: &str) -> bool {
    let Some((algorithm, hex)) = text.split_once(':') else {
        return false;
    };
    let is_part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic())
            && part.bytes().all(|b| b.is_ascii_alphanumeric())
    };
    algorithm.split(['-', '_', '+', '.']).all(is_part)
        && hex.len() >= 32
        && hex.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_can_name_an_image_are_told_from_others() {
        for (text, wanted) in [
            ("alpine", true),
            ("alpine:3.20", true),
            ("a/b_c__d-e.f", true),
            ("localhost:5000/a:1", true),
            ("Example.com/a", true),
            (
                "alpine@sha256:0123456789012345678901234567890123456789012345678901234567890123",
                true,
            ),
            ("", false),
            ("alpine:", false),
            (":3.20", false),
            ("Alpine", false),
            ("a//b", false),
            ("a___b", false),
            ("a:b:c", false),
            ("a@sha256:1", false),
            ("a b", false),
        ] {
            assert_eq!(is_reference(text), wanted, "{text}");
        }
    }
}
