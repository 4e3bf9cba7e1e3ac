use oci_spec::distribution::Reference;

use crate::Digest;

/// The registry that is meant when a reference names none.
const DOCKER_HUB: &str = "docker.io";
/// Docker Hub's older name, which means the same.
const DOCKER_HUB_LEGACY: &str = "index.docker.io";
/// Where Docker Hub keeps the images whose names have one component.
const OFFICIAL: &str = "library";
/// The tag that is meant when a reference has neither tag nor digest.
const DEFAULT_TAG: &str = "latest";
/// Longest name of registry and repository together, in bytes. distribution-spec v1.1 § Pulling manifests.
const LONGEST_NAME: usize = 255;
/// Longest tag, in bytes.
const LONGEST_TAG: usize = 128;

/// Why a text is not the name of an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReferenceError {
    /// Nothing at all, or nothing where the repository should be.
    #[error("the name of the repository is missing")]
    NoRepository,
    /// Upper case in a repository.
    #[error("the repository `{repository}` must be in lower case")]
    UpperCase {
        /// As written.
        repository: String,
    },
    /// A component of the repository that the grammar does not allow.
    #[error(
        "`{component}` is not a component of a repository: lower-case letters and digits, separated by `.`, `_`, `__` or `-`"
    )]
    Component {
        /// As written.
        component: String,
    },
    /// A registry that is no host.
    #[error("`{registry}` is not a registry: expected host[:port]")]
    Registry {
        /// As written.
        registry: String,
    },
    /// A tag that the grammar does not allow.
    #[error(
        "`{tag}` is not a tag: up to {LONGEST_TAG} letters, digits, `_`, `.` and `-`, not beginning with `.` or `-`"
    )]
    Tag {
        /// As written.
        tag: String,
    },
    /// A digest that is none.
    #[error("{reason}")]
    Digest {
        /// What is wrong with it.
        reason: String,
    },
    /// A name that is too long.
    #[error("the name has {bytes} bytes; a registry takes {LONGEST_NAME}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
}

/// The image that `text` names: `[registry/]repository[:tag][@digest]`, completed as Docker does (`debian` is
/// `docker.io/library/debian:latest`).
///
/// Not `oci-spec`'s own parser: that one compiles a regular expression, which takes 45 MB of memory for the rest of the process.
///
/// # Errors
/// [`ReferenceError`], which names the part that is wrong.
pub fn parse_reference(text: &str) -> Result<Reference, ReferenceError> {
    let (name, digest) = match text.split_once('@') {
        Some((name, digest)) => (name, Some(parse_digest(digest)?)),
        None => (text, None),
    };
    let (name, tag) = split_tag(name);
    let tag = tag.map(check_tag).transpose()?;
    let (registry, repository) = split_registry(name);
    check_registry(registry)?;
    check_repository(repository)?;
    if name.len() > LONGEST_NAME {
        return Err(ReferenceError::TooLong { bytes: name.len() });
    }
    let registry = if registry == DOCKER_HUB_LEGACY {
        DOCKER_HUB
    } else {
        registry
    };
    let repository = if registry == DOCKER_HUB && !repository.contains('/') {
        format!("{OFFICIAL}/{repository}")
    } else {
        repository.to_owned()
    };
    let registry = registry.to_owned();
    Ok(match (tag, digest) {
        (None, None) => Reference::with_tag(registry, repository, DEFAULT_TAG.to_owned()),
        (Some(tag), None) => Reference::with_tag(registry, repository, tag.to_owned()),
        (None, Some(digest)) => Reference::with_digest(registry, repository, digest.to_string()),
        (Some(tag), Some(digest)) => {
            Reference::with_tag_and_digest(registry, repository, tag.to_owned(), digest.to_string())
        }
    })
}

fn parse_digest(text: &str) -> Result<Digest, ReferenceError> {
    text.parse()
        .map_err(|error: crate::Error| ReferenceError::Digest {
            reason: error.to_string(),
        })
}

/// A colon behind the last slash begins a tag; one before it, a port.
fn split_tag(name: &str) -> (&str, Option<&str>) {
    match name.rsplit_once(':') {
        Some((before, tag)) if !tag.contains('/') => (before, Some(tag)),
        _ => (name, None),
    }
}

fn check_tag(tag: &str) -> Result<&str, ReferenceError> {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let mut bytes = tag.bytes();
    let well_formed = bytes.next().is_some_and(word)
        && bytes.all(|byte| word(byte) || matches!(byte, b'.' | b'-'))
        && tag.len() <= LONGEST_TAG;
    if well_formed {
        Ok(tag)
    } else {
        Err(ReferenceError::Tag {
            tag: tag.to_owned(),
        })
    }
}

/// The first component is a registry when it looks like a host: a dot, a port, upper case or `localhost`.
fn split_registry(name: &str) -> (&str, &str) {
    match name.split_once('/') {
        Some((first, rest))
            if first.contains(['.', ':'])
                || first == "localhost"
                || first.bytes().any(|byte| byte.is_ascii_uppercase()) =>
        {
            (first, rest)
        }
        _ => (DOCKER_HUB, name),
    }
}

fn check_registry(registry: &str) -> Result<(), ReferenceError> {
    let wrong = || ReferenceError::Registry {
        registry: registry.to_owned(),
    };
    let (host, port) = match registry.rsplit_once(':') {
        // The colons of `[::1]` are the address's own.
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (registry, None),
    };
    let port_is_right = port.is_none_or(|port| port.parse::<u16>().is_ok());
    let address = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let host_is_right = match address {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.split('.').all(is_label),
    };
    if port_is_right && host_is_right {
        Ok(())
    } else {
        Err(wrong())
    }
}

fn is_label(label: &str) -> bool {
    !label.is_empty()
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn check_repository(repository: &str) -> Result<(), ReferenceError> {
    if repository.is_empty() {
        return Err(ReferenceError::NoRepository);
    }
    if repository.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(ReferenceError::UpperCase {
            repository: repository.to_owned(),
        });
    }
    match repository
        .split('/')
        .find(|component| !is_component(component))
    {
        Some(component) => Err(ReferenceError::Component {
            component: component.to_owned(),
        }),
        None => Ok(()),
    }
}

/// distribution-spec v1.1 § Pulling manifests: words of `[a-z0-9]`, separated by `.`, `_`, `__` or any number of `-`.
fn is_component(component: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = component.as_bytes();
    let separators = bytes
        .split(|byte| is_word(*byte))
        .filter(|separator| !separator.is_empty());
    let separators_are_right = separators.into_iter().all(|separator| {
        matches!(separator, b"." | b"_" | b"__") || separator.iter().all(|byte| *byte == b'-')
    });
    bytes.first().is_some_and(|byte| is_word(*byte))
        && bytes.last().is_some_and(|byte| is_word(*byte))
        && separators_are_right
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn names_are_completed_as_docker_does() {
        let cases = [
            ("debian", "docker.io/library/debian:latest"),
            ("debian:bookworm", "docker.io/library/debian:bookworm"),
            ("a/b", "docker.io/a/b:latest"),
            ("index.docker.io/debian", "docker.io/library/debian:latest"),
            ("docker.io/debian", "docker.io/library/debian:latest"),
            ("ghcr.io/o/i:v1.2-rc_3", "ghcr.io/o/i:v1.2-rc_3"),
            ("localhost/x", "localhost/x:latest"),
            ("localhost:5000/x", "localhost:5000/x:latest"),
            ("127.0.0.1:5000/a/b:t", "127.0.0.1:5000/a/b:t"),
            ("[::1]:5000/a", "[::1]:5000/a:latest"),
            ("Registry/x", "Registry/x:latest"),
            ("a__b/c-----d/e.f_g", "docker.io/a__b/c-----d/e.f_g:latest"),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_reference(text).unwrap().whole(), expected, "{text}");
        }
    }

    #[test]
    fn a_digest_may_stand_alone_or_behind_a_tag() {
        let pinned = parse_reference(&format!("r.test/x@{DIGEST}")).unwrap();
        assert_eq!((pinned.tag(), pinned.digest()), (None, Some(DIGEST)));
        let both = parse_reference(&format!("r.test/x:1@{DIGEST}")).unwrap();
        assert_eq!((both.tag(), both.digest()), (Some("1"), Some(DIGEST)));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let long_tag = format!("x:{}", "t".repeat(129));
        let long_name = format!("r.test/{}", "n".repeat(250));
        let cases = [
            ("", "missing"),
            ("r.test/", "missing"),
            ("debian:", "`` is not a tag"),
            ("debian:-x", "`-x` is not a tag"),
            ("debian:a:b", "`debian:a`"),
            (long_tag.as_str(), "is not a tag"),
            (long_name.as_str(), "257 bytes"),
            ("r.test/Upper", "lower case"),
            ("a//b", "`` is not a component"),
            ("a/-b", "`-b` is not a component"),
            ("a/b.", "`b.` is not a component"),
            ("a..b", "`a..b` is not a component"),
            ("a___b", "`a___b` is not a component"),
            ("a b", "`a b` is not a component"),
            ("-r.test/x", "is not a registry"),
            ("r.test:port/x", "is not a registry"),
            ("r.test:99999/x", "is not a registry"),
            ("r..test/x", "is not a registry"),
            ("https://r.test/x", "`https:` is not a registry"),
            ("x@sha256:00", "sha256"),
            ("x@sha512:00", "not supported"),
        ];
        for (text, expected) in cases {
            let message = parse_reference(text).unwrap_err().to_string();
            assert!(message.contains(expected), "{text}: {message}");
        }
    }

    proptest! {
        // In lower case: of a first component in upper case, Docker makes a registry and the other grammar a repository.
        #[test]
        fn whatever_is_accepted_is_accepted_by_the_field_s_own_grammar(text in "[a-z0-9./:_-]{1,30}") {
            if let Ok(reference) = parse_reference(&text) {
                let theirs: Reference = reference.whole().parse().unwrap();
                prop_assert_eq!(theirs.whole(), reference.whole());
            }
        }
    }
}
