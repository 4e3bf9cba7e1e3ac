//! `RUN --mount=`: the options as written, and what they mean once their variables are expanded.

mod values;

use serde::Serialize;

use crate::csv;
use crate::diagnostic::Diagnostic;
use crate::source::{Span, Spanned, Word};
use crate::suggest::nearest;
use crate::word::WordError;

use values::Values;

/// One `--mount` flag, unexpanded. Keys are known ones; what the values mean is decided by [`Mount::resolve`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mount {
    /// The options, in order.
    pub options: Vec<MountOption>,
    /// The whole flag.
    pub span: Span,
}

/// `key` or `key=value` of a mount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MountOption {
    /// The key; aliases are folded.
    pub key: MountKey,
    /// The value, if there is an `=`.
    pub value: Option<Word>,
}

/// The keys of `--mount`, aliases folded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum MountKey {
    /// `type`
    Type,
    /// `from`
    From,
    /// `source`, `src`
    Source,
    /// `target`, `dst`, `destination`
    Target,
    /// `readonly`, `ro`
    ReadOnly,
    /// `readwrite`, `rw`
    ReadWrite,
    /// `id`
    Id,
    /// `sharing`
    Sharing,
    /// `required`
    Required,
    /// `size`
    Size,
    /// `mode`
    Mode,
    /// `uid`
    Uid,
    /// `gid`
    Gid,
    /// `env`
    Env,
}

/// The values of `type=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum MountType {
    /// A directory or file of the context, a stage or an image.
    Bind,
    /// A directory that outlives the build.
    Cache,
    /// An empty directory in memory.
    Tmpfs,
    /// A secret as a file or a variable.
    Secret,
    /// A socket of an ssh agent.
    Ssh,
}

/// The values of `sharing=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize)]
pub enum Sharing {
    /// Concurrent writers.
    #[default]
    Shared,
    /// A cache of one's own if another build uses it.
    Private,
    /// Wait for the other build.
    Locked,
}

/// Owner and mode of what a mount creates; `None` is the default of the mount type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Owner {
    /// `mode=`, octal in the text.
    pub mode: Option<u32>,
    /// `uid=`
    pub uid: Option<u32>,
    /// `gid=`
    pub gid: Option<u32>,
}

/// A mount with expanded and checked values.
///
/// An empty `target` means the working directory, as a relative one is below it; that the result is not `/` can only
/// be checked when WORKDIR is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum MountSpec {
    /// `type=bind`
    Bind {
        /// Stage, image or named context; the build context if none.
        from: Option<String>,
        /// Path inside `from`; empty is its root.
        source: String,
        /// Mount point.
        target: String,
        /// True unless `rw`.
        read_only: bool,
    },
    /// `type=cache`
    Cache {
        /// Identity as given; without it the cleaned target identifies the cache.
        id: Option<String>,
        /// Mount point.
        target: String,
        /// False unless `ro`.
        read_only: bool,
        /// What concurrent builds do.
        sharing: Sharing,
        /// What the cache is seeded from.
        from: Option<String>,
        /// Path inside `from`.
        source: String,
        /// Owner and mode of the directory.
        owner: Owner,
    },
    /// `type=tmpfs`
    Tmpfs {
        /// Mount point.
        target: String,
        /// Limit in bytes.
        size_bytes: Option<u64>,
        /// False unless `ro`.
        read_only: bool,
    },
    /// `type=secret`
    Secret {
        /// The secret's name: `id`, else `source`, else the base name of the target.
        id: String,
        /// Where the file appears; `None` if the secret is a variable only.
        target: Option<String>,
        /// The variable that holds it.
        env: Option<String>,
        /// Whether the build fails when the secret is missing.
        required: bool,
        /// Owner and mode of the file.
        owner: Owner,
    },
    /// `type=ssh`
    Ssh {
        /// The agent's name; `default` if none is given.
        id: String,
        /// Path of the socket; `None` is the builder's choice.
        target: Option<String>,
        /// Whether the build fails when there is no agent.
        required: bool,
        /// Owner and mode of the socket.
        owner: Owner,
    },
}

/// The keys as they may be written, aliases behind the name that messages use.
const KEYS: [(&str, MountKey); 19] = [
    ("type", MountKey::Type),
    ("from", MountKey::From),
    ("source", MountKey::Source),
    ("src", MountKey::Source),
    ("target", MountKey::Target),
    ("dst", MountKey::Target),
    ("destination", MountKey::Target),
    ("readonly", MountKey::ReadOnly),
    ("ro", MountKey::ReadOnly),
    ("readwrite", MountKey::ReadWrite),
    ("rw", MountKey::ReadWrite),
    ("id", MountKey::Id),
    ("sharing", MountKey::Sharing),
    ("required", MountKey::Required),
    ("size", MountKey::Size),
    ("mode", MountKey::Mode),
    ("uid", MountKey::Uid),
    ("gid", MountKey::Gid),
    ("env", MountKey::Env),
];

const TYPES: [(&str, MountType); 5] = [
    ("bind", MountType::Bind),
    ("cache", MountType::Cache),
    ("tmpfs", MountType::Tmpfs),
    ("secret", MountType::Secret),
    ("ssh", MountType::Ssh),
];

const SHARINGS: [(&str, Sharing); 3] = [
    ("shared", Sharing::Shared),
    ("private", Sharing::Private),
    ("locked", Sharing::Locked),
];

fn choose<T: Copy>(choices: &[(&'static str, T)], text: &str) -> Option<T> {
    let found = choices
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(text));
    found.map(|(_, value)| *value)
}

fn name_of<T: Copy + PartialEq>(choices: &[(&'static str, T)], value: T) -> &'static str {
    choices
        .iter()
        .find(|(_, known)| *known == value)
        .map_or("", |(name, _)| name)
}

impl MountKey {
    /// The key as messages call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        name_of(&KEYS, self)
    }

    /// Whether mounts of a type have this key. COMPAT(buildkit): read-only is accepted everywhere; what would be
    /// ignored there is refused here.
    fn belongs_to(self, kind: MountType) -> bool {
        use MountType::{Bind, Cache, Secret, Ssh, Tmpfs};
        match self {
            Self::Type | Self::Target | Self::ReadOnly => true,
            Self::From => matches!(kind, Bind | Cache),
            Self::Source => matches!(kind, Bind | Cache | Secret),
            Self::ReadWrite => matches!(kind, Bind | Cache | Tmpfs),
            Self::Id | Self::Mode | Self::Uid | Self::Gid => matches!(kind, Cache | Secret | Ssh),
            Self::Sharing => kind == Cache,
            Self::Required => matches!(kind, Secret | Ssh),
            Self::Size => kind == Tmpfs,
            Self::Env => kind == Secret,
        }
    }

    /// Whether the key may stand without a value.
    fn stands_alone(self) -> bool {
        matches!(self, Self::ReadOnly | Self::ReadWrite | Self::Required)
    }
}

impl MountType {
    /// The type as it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        name_of(&TYPES, self)
    }
}

fn error(name: &'static str, span: Span, message: String) -> Diagnostic {
    Diagnostic::error(name, span, message)
}

fn with_near<T>(diagnostic: Diagnostic, text: &str, choices: &[(&'static str, T)]) -> Diagnostic {
    let names = choices.iter().map(|(name, _)| *name);
    match nearest(text, names) {
        Some(near) => diagnostic.with_help(format!("did you mean `{near}`?")),
        None => diagnostic,
    }
}

impl Mount {
    /// Reads the value of a `--mount` flag. Values without variables are checked at once.
    pub(crate) fn parse(flag: &Spanned<String>) -> Result<Self, Diagnostic> {
        let span = flag.span;
        let fields = csv::fields(&flag.value).map_err(|problem| {
            error(
                "InvalidMount",
                span,
                format!("`--mount={}`: {problem}", flag.value),
            )
        })?;
        let options = fields.iter().map(|field| MountOption::parse(field, span));
        let mount = Self {
            options: options.collect::<Result<_, _>>()?,
            span,
        };
        let values = || {
            mount
                .options
                .iter()
                .filter_map(|option| option.value.as_ref())
        };
        // Which characters expansion changes depends on the file's escape character; either counts here.
        if !values().any(|value| value.raw.contains(['$', '\\', '`', '"', '\''])) {
            mount.resolve(&mut |word| Ok(word.raw.clone()))?;
        }
        Ok(mount)
    }

    /// Expands the values with `expand` and says what the mount is. The value of `from=` is never expanded.
    ///
    /// # Errors
    ///
    /// When a value cannot be expanded, has the wrong form, or does not belong to the type of the mount.
    pub fn resolve(
        &self,
        expand: &mut dyn FnMut(&Word) -> Result<String, WordError>,
    ) -> Result<MountSpec, Diagnostic> {
        let mut values = Values::new(self.span);
        for option in &self.options {
            let value = match &option.value {
                Some(word) if option.key == MountKey::From => word.raw.clone(),
                Some(word) => expand(word).map_err(|problem| problem.diagnostic(word.span))?,
                None => "true".to_owned(),
            };
            values.push(option.key, value);
        }
        let kind = match values.last(MountKey::Type) {
            None => MountType::Bind,
            Some(text) => choose(&TYPES, text).ok_or_else(|| {
                let message = format!("there is no mount type `{text}`");
                with_near(error("InvalidMount", self.span, message), text, &TYPES)
            })?,
        };
        values.check_keys(kind)?;
        values.into_spec(kind)
    }
}

impl MountOption {
    fn parse(field: &str, span: Span) -> Result<Self, Diagnostic> {
        let (name, value) = match field.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (field, None),
        };
        let Some(key) = choose(&KEYS, name) else {
            let message = format!("`--mount` has no key `{name}`");
            return Err(with_near(error("InvalidMount", span, message), name, &KEYS));
        };
        match value {
            None if !key.stands_alone() => {
                let message = format!("the key `{name}` of `--mount` needs a value");
                let diagnostic = error("InvalidMount", span, message);
                Err(diagnostic.with_help(format!("write `{name}=…`")))
            }
            Some(value) if key == MountKey::From && has_variable(value) => {
                let message = format!("variables are not expanded in `from={value}` of a mount");
                let help = format!("name a stage with `FROM {value} AS name` and use that name");
                Err(error("VariableInFrom", span, message).with_help(help))
            }
            _ => Ok(Self {
                key,
                value: value.map(|value| Word::new(value, span)),
            }),
        }
    }
}

fn has_variable(text: &str) -> bool {
    text.split_once('$')
        .is_some_and(|(_, rest)| !rest.is_empty())
}
