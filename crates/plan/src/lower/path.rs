//! Paths inside an image, as text: `/` separates, nothing is looked up.

/// Absolute and clean: no `.`, no `..` (which stops at the root), no empty parts, no `/` at the end save the root.
pub(super) fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// Clean and still relative if it was: what Go's `path.Clean` gives. A cache without an id is called so.
pub(super) fn clean_as_written(path: &str) -> String {
    if path.starts_with('/') {
        return clean(path);
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    if parts.is_empty() {
        return ".".to_owned();
    }
    parts.join("/")
}

/// `path` seen from the directory `from`, clean.
pub(super) fn join(from: &str, path: &str) -> String {
    if path.starts_with('/') {
        clean(path)
    } else {
        clean(&format!("{from}/{path}"))
    }
}

/// What WORKDIR stores: `join`, but an absolute path keeps a slash at its end, and nothing stays where it is.
pub(super) fn working_dir(current: &str, path: &str) -> String {
    if path.is_empty() {
        return current.to_owned();
    }
    let mut directory = join(current, path);
    let keeps_slash = path.starts_with('/') && path.ends_with('/') && directory != "/";
    if keeps_slash {
        directory.push('/');
    }
    directory
}

/// Whether a destination of COPY can only be a directory: nothing, `.`, or with a slash (or `/.`) at the end.
pub(super) fn is_directory(path: &str) -> bool {
    matches!(path, "" | ".") || path.ends_with('/') || path.ends_with("/.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_joined_and_cleaned() {
        for (from, path, expected) in [
            ("/", "a", "/a"),
            ("/a", "b/../c/.", "/a/c"),
            ("/a/", "//b//", "/b"),
            ("/a", "../../..", "/"),
            ("/a", "", "/a"),
            ("/a", "/x/../y/", "/y"),
        ] {
            assert_eq!(join(from, path), expected, "{from} {path}");
        }
    }

    #[test]
    fn a_name_that_was_relative_stays_relative() {
        for (path, expected) in [
            ("c", "c"),
            ("/c/", "/c"),
            ("./a/../b//c/", "b/c"),
            ("../../a/..", "../.."),
            ("", "."),
            ("a/..", "."),
            ("/..", "/"),
        ] {
            assert_eq!(clean_as_written(path), expected, "{path}");
        }
    }

    #[test]
    fn workdir_keeps_the_slash_of_an_absolute_path() {
        for (current, path, expected) in [
            ("/", "/a/b/", "/a/b/"),
            ("/a/b/", "c/", "/a/b/c"),
            ("/w", "", "/w"),
            ("/w", "/", "/"),
            ("/", "x", "/x"),
        ] {
            assert_eq!(working_dir(current, path), expected, "{current} {path}");
        }
    }
}
