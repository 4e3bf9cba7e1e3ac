//! The query form: `?ref=v1&subdir=a&commit=…`.

use percent_encoding::percent_decode_str;
use url::form_urlencoded;

use super::{GitReference, GitReferenceError, Times};

/// Takes over what a query says.
pub(super) fn read(reference: &mut GitReference, query: &str) -> Result<(), GitReferenceError> {
    let mut seen: Vec<String> = Vec::new();
    let (mut tag, mut branch) = (None, None);
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        if seen.iter().any(|known| *known == key) {
            return Err(GitReferenceError::Repeated { key: key.into() });
        }
        seen.push(key.clone().into_owned());
        let text = || required(&key, &value);
        match &*key {
            "ref" => join("ref", &mut reference.revision, Some(text()?))?,
            "tag" => tag = Some(text()?),
            "branch" => branch = Some(text()?),
            "subdir" => join("subdir", &mut reference.subdirectory, Some(text()?))?,
            "checksum" | "commit" => join("checksum", &mut reference.checksum, Some(text()?))?,
            "keep-git-dir" => reference.keep_git_dir = Some(boolean("keep-git-dir", &value)?),
            "submodules" => reference.submodules = boolean("submodules", &value)?,
            "fetch-by-commit" => reference.fetch_by_commit = boolean("fetch-by-commit", &value)?,
            "mtime" => reference.times = times(&text()?)?,
            _ => return Err(GitReferenceError::UnknownQuery { key: key.into() }),
        }
    }
    if tag.is_some() && branch.is_some() {
        return Err(GitReferenceError::BranchAndTag);
    }
    let named = tag
        .map(|tag| below("refs/tags/", &tag))
        .or_else(|| branch.map(|branch| below("refs/heads/", &branch)));
    join("ref", &mut reference.revision, named)?;
    if reference.revision.is_none() {
        reference.revision.clone_from(&reference.checksum);
    }
    Ok(())
}

/// Sets what is not set yet; what is set already has to be the same.
pub(super) fn join<T: PartialEq + ToString>(
    what: &'static str,
    to: &mut Option<T>,
    value: Option<T>,
) -> Result<(), GitReferenceError> {
    match (to.as_ref(), value) {
        (Some(one), Some(other)) if *one != other => Err(GitReferenceError::Conflict {
            what,
            one: one.to_string(),
            other: other.to_string(),
        }),
        (None, value) => {
            *to = value;
            Ok(())
        }
        (Some(_), _) => Ok(()),
    }
}

fn required(key: &str, value: &str) -> Result<String, GitReferenceError> {
    if value.is_empty() {
        return Err(GitReferenceError::NoValue {
            key: key.to_owned(),
        });
    }
    Ok(value.to_owned())
}

/// A switch: true by itself, else in the spellings that Go takes.
fn boolean(key: &'static str, value: &str) -> Result<bool, GitReferenceError> {
    match value {
        "" | "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(GitReferenceError::Value {
            key,
            value: value.to_owned(),
            expected: "true or false",
        }),
    }
}

fn times(value: &str) -> Result<Times, GitReferenceError> {
    match value {
        "checkout" => Ok(Times::Checkout),
        "commit" => Ok(Times::Commit),
        _ => Err(GitReferenceError::Value {
            key: "mtime",
            value: value.to_owned(),
            expected: "checkout or commit",
        }),
    }
}

fn below(namespace: &str, name: &str) -> String {
    if name.starts_with(namespace) {
        name.to_owned()
    } else {
        format!("{namespace}{name}")
    }
}

/// Text with its `%xx` decoded; bytes that are no UTF-8 become replacement characters, and what is no escape stays.
pub(in crate::git) fn decode_percent(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}
