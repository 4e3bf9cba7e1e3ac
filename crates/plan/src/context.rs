//! Contexts with names: `--build-context`.

use kigumi_oci::{Platform, parse_reference};

/// Names that a context cannot have, since they mean something else everywhere.
const RESERVED: [&str; 2] = ["scratch", "context"];

/// What a name means instead of a stage or an image of that name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedContext {
    name: String,
    /// The name as references are compared.
    key: String,
    /// Only what is built for this platform means it.
    platform: Option<Platform>,
    kind: ContextKind,
}

/// What stands behind the name of a context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContextKind {
    /// Nothing: an empty root.
    Scratch,
    /// An image, by the reference under which [`Planner::wanted`](crate::Planner::wanted) asks for it. It need not be one of a registry:
    /// whoever answers gave it.
    Image(String),
    /// Files: a directory, an archive, a repository. The plan knows nothing of them but the name.
    Files,
}

impl NamedContext {
    /// A context called `name`, or `name::platform`. A name is compared as an image reference is, so that `base` is also
    /// `docker.io/library/base:latest`.
    ///
    /// # Errors
    /// What is wrong with the name.
    pub fn new(name: &str, kind: ContextKind) -> Result<Self, String> {
        let (text, platform) = match name.split_once("::") {
            Some((text, platform)) => (text, Some(platform)),
            None => (name, None),
        };
        if RESERVED.contains(&text.to_lowercase().as_str()) {
            return Err(format!(
                "`{text}` is reserved and cannot be another context"
            ));
        }
        let platform = platform.map(str::parse::<Platform>).transpose();
        Ok(Self {
            name: name.to_owned(),
            key: key(text)
                .ok_or_else(|| format!("`{text}` is not of the form of an image name"))?,
            platform: platform.map_err(|error| error.to_string())?,
            kind,
        })
    }

    /// The name as it was given.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What stands behind it.
    #[must_use]
    pub fn kind(&self) -> &ContextKind {
        &self.kind
    }
}

/// The context that `name` means for a platform: one for just this platform wins, of several the last (T-STAGE-15).
pub(crate) fn find<'a>(
    contexts: &'a [NamedContext],
    name: &str,
    platform: &Platform,
) -> Option<&'a NamedContext> {
    let key = key(name)?;
    let of = |wanted: Option<&Platform>| {
        contexts
            .iter()
            .rfind(|context| context.key == key && context.platform.as_ref() == wanted)
    };
    of(Some(platform)).or_else(|| of(None))
}

fn key(name: &str) -> Option<String> {
    parse_reference(name)
        .ok()
        .map(|reference| reference.whole())
}
