//! `--build-context`.

use std::path::{Path, PathBuf};

use kigumi_oci::{Digest, parse_reference};
use kigumi_plan::{ContextKind, NamedContext, Remote, remote_kind};
use kigumi_registry::LayoutName;

use super::ConfigError;

/// A named context: what the plan knows of it, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContextFlag {
    /// For the plan.
    pub context: NamedContext,
    /// For whoever has to find it.
    pub place: ContextPlace,
}

/// Where a named context is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContextPlace {
    /// A directory, with an ignore file of its own perhaps.
    Directory(PathBuf),
    /// Something behind HTTP: an archive, or any other file.
    Url(String),
    /// A git repository.
    Git(String),
    /// An image of a registry, or none at all.
    Registry,
    /// An image of a layout.
    Layout {
        /// The directory.
        path: PathBuf,
        /// Which image of it.
        name: LayoutName,
    },
}

/// Reads `NAME=VALUE`; relative paths start at `working_directory`.
pub(super) fn context(text: &str, working_directory: &Path) -> Result<ContextFlag, ConfigError> {
    let Some((name, value)) = text.split_once('=') else {
        return Err(ConfigError::MissingEquals {
            flag: "--build-context",
            text: text.to_owned(),
            expected: "NAME=VALUE",
        });
    };
    let wrong = |reason: String| ConfigError::BuildContext {
        name: name.to_owned(),
        reason,
    };
    let (place, kind) = place(value, working_directory).map_err(wrong)?;
    let context = NamedContext::new(name, kind).map_err(wrong)?;
    Ok(ContextFlag { context, place })
}

fn place(value: &str, working_directory: &Path) -> Result<(ContextPlace, ContextKind), String> {
    match remote_kind(value) {
        Some(Remote::Url) => return Ok((ContextPlace::Url(value.to_owned()), ContextKind::Files)),
        Some(Remote::Git) => return Ok((ContextPlace::Git(value.to_owned()), ContextKind::Files)),
        None => {}
    }
    let in_bake_files = ["target:", "input:"];
    if let Some(scheme) = in_bake_files
        .iter()
        .find(|scheme| value.starts_with(*scheme))
    {
        return Err(format!(
            "`{scheme}` means something in bake files only; build that stage first, and name its image"
        ));
    }
    match value.split_once("://") {
        Some(("docker-image", "scratch")) => Ok((ContextPlace::Registry, ContextKind::Scratch)),
        Some(("docker-image", text)) => {
            let reference = parse_reference(text).map_err(|error| format!("`{text}`: {error}"))?;
            let kind = ContextKind::Image(reference.whole());
            Ok((ContextPlace::Registry, kind))
        }
        Some(("oci-layout", text)) => {
            let (path, name) = layout(text)?;
            let path = working_directory.join(path);
            // What is asked for must say which image: of two layouts, and of two images in one.
            let shown = format!("oci-layout://{}{}", path.display(), suffix(&name));
            Ok((
                ContextPlace::Layout { path, name },
                ContextKind::Image(shown),
            ))
        }
        Some((scheme, _)) => Err(format!(
            "contexts of kind `{scheme}://` are not supported: name a directory, a URL of http, https or git, docker-image:// or oci-layout://"
        )),
        None if value.is_empty() => Err("it has no value".to_owned()),
        None => {
            let path = working_directory.join(value);
            Ok((ContextPlace::Directory(path), ContextKind::Files))
        }
    }
}

/// `PATH`, `PATH:TAG`, `PATH@sha256:…`; a tag in front of a digest says nothing more.
fn layout(text: &str) -> Result<(&str, LayoutName), String> {
    if let Some((path, digest)) = text.rsplit_once('@') {
        let digest: Digest = digest
            .parse()
            .map_err(|error| format!("`{text}`: {error}"))?;
        return Ok((without_tag(path).0, LayoutName::Digest(digest)));
    }
    Ok(match without_tag(text) {
        (path, Some(tag)) => (path, LayoutName::Tag(tag.to_owned())),
        (path, None) => (path, LayoutName::Only),
    })
}

/// A colon in the last component of a path begins a tag.
fn without_tag(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((path, tag)) if !tag.is_empty() && !tag.contains('/') => (path, Some(tag)),
        _ => (text, None),
    }
}

fn suffix(name: &LayoutName) -> String {
    match name {
        LayoutName::Only => String::new(),
        LayoutName::Tag(tag) => format!(":{tag}"),
        LayoutName::Digest(digest) => format!("@{digest}"),
    }
}

impl ContextFlag {
    /// What a command line inside another root has to say when its files are at `place` there.
    pub fn moved_to(&self, place: &Path) -> Option<String> {
        let name = self.context.name();
        match &self.place {
            ContextPlace::Directory(_) => Some(format!("{name}={}", place.display())),
            ContextPlace::Layout { name: image, .. } => Some(format!(
                "{name}=oci-layout://{}{}",
                place.display(),
                suffix(image)
            )),
            ContextPlace::Url(_) | ContextPlace::Git(_) | ContextPlace::Registry => None,
        }
    }

    /// The URL that is fetched.
    pub fn url(&self) -> Option<&str> {
        match &self.place {
            ContextPlace::Url(url) | ContextPlace::Git(url) => Some(url),
            ContextPlace::Directory(_) | ContextPlace::Layout { .. } | ContextPlace::Registry => {
                None
            }
        }
    }

    /// The directory of this machine that is read.
    pub fn path(&self) -> Option<&Path> {
        match &self.place {
            ContextPlace::Directory(path) | ContextPlace::Layout { path, .. } => Some(path),
            ContextPlace::Url(_) | ContextPlace::Git(_) | ContextPlace::Registry => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn parsed(text: &str) -> Result<ContextFlag, String> {
        context(text, Path::new("/start")).map_err(|error| error.to_string())
    }

    // T-STAGE-15
    #[test]
    fn a_context_is_a_directory_a_url_a_repository_an_image_or_a_layout() {
        let layout = |name| ContextPlace::Layout {
            path: "/start/l".into(),
            name,
        };
        let cases = [
            ("n=dir", ContextPlace::Directory("/start/dir".into())),
            ("n=/a=b", ContextPlace::Directory("/a=b".into())),
            ("n=../x:y", ContextPlace::Directory("/start/../x:y".into())),
            (
                "n=https://h/x.tar.gz",
                ContextPlace::Url("https://h/x.tar.gz".into()),
            ),
            (
                "n=https://h/r.git#v1",
                ContextPlace::Git("https://h/r.git#v1".into()),
            ),
            ("n=git@h:o/r", ContextPlace::Git("git@h:o/r".into())),
            ("n=docker-image://alpine", ContextPlace::Registry),
            ("n=oci-layout://l", layout(LayoutName::Only)),
            ("n=oci-layout://l:v1", layout(LayoutName::Tag("v1".into()))),
        ];
        for (text, place) in cases {
            assert_eq!(parsed(text).unwrap().place, place, "{text}");
        }
        for tag in ["", ":v1"] {
            let found = parsed(&format!("n=oci-layout:///start/l{tag}@{DIGEST}")).unwrap();
            assert_eq!(
                found.place,
                layout(LayoutName::Digest(DIGEST.parse().unwrap()))
            );
        }
        let host = parsed("n=oci-layout:///a:b/l").unwrap().place;
        assert_eq!(
            host,
            ContextPlace::Layout {
                path: "/a:b/l".into(),
                name: LayoutName::Only
            }
        );
    }

    #[test]
    fn images_are_asked_for_by_whole_references() {
        for (value, kind) in [
            (
                "docker-image://alpine",
                ContextKind::Image("docker.io/library/alpine:latest".into()),
            ),
            ("docker-image://scratch", ContextKind::Scratch),
            (
                "oci-layout://l:v1",
                ContextKind::Image("oci-layout:///start/l:v1".into()),
            ),
            ("dir", ContextKind::Files),
        ] {
            let found = parsed(&format!("n={value}")).unwrap();
            assert_eq!(found.context.kind(), &kind, "{value}");
        }
    }

    #[test]
    fn what_is_no_context_is_said_with_its_name() {
        for (text, expected) in [
            ("n", "`n` has no `=`"),
            ("n=", "`n`: it has no value"),
            ("=x", "form of an image name"),
            ("scratch=x", "reserved"),
            ("n=target:x", "bake files only"),
            ("n=s3://b/x", "`s3://` are not supported"),
            ("n=docker-image://UPPER", "`UPPER`"),
            ("n=oci-layout://l@sha256:00", "sha256:00"),
        ] {
            let error = parsed(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn a_context_can_be_moved_into_another_root() {
        for (text, moved) in [
            ("n=dir", Some("n=/in")),
            ("n=oci-layout://l:v1", Some("n=oci-layout:///in:v1")),
            ("n=https://h/x", None),
        ] {
            let flag = parsed(text).unwrap();
            assert_eq!(flag.moved_to(Path::new("/in")).as_deref(), moved);
            assert_eq!(flag.path().is_some(), moved.is_some());
        }
    }
}
