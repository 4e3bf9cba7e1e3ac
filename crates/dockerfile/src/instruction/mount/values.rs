//! What the options of a mount mean once they are expanded.

use crate::diagnostic::Diagnostic;
use crate::parse::{parse_bool, parse_octal, parse_size};
use crate::source::Span;

use super::{MountKey, MountSpec, MountType, Owner, SHARINGS, Sharing, choose, error, with_near};

/// Expanded values by key. Of several values for one key the last counts.
pub(super) struct Values {
    entries: Vec<(MountKey, String)>,
    span: Span,
}

impl Values {
    pub(super) fn new(span: Span) -> Self {
        Self {
            entries: Vec::new(),
            span,
        }
    }

    pub(super) fn push(&mut self, key: MountKey, value: String) {
        self.entries.push((key, value));
    }

    pub(super) fn last(&self, key: MountKey) -> Option<&str> {
        let found = self.entries.iter().rfind(|(known, _)| *known == key);
        found.map(|(_, value)| value.as_str())
    }

    fn text(&self, key: MountKey) -> String {
        self.last(key).unwrap_or_default().to_owned()
    }

    /// An empty value means the same as none.
    fn optional(&self, key: MountKey) -> Option<String> {
        self.last(key)
            .filter(|value| !value.is_empty())
            .map(str::to_owned)
    }

    pub(super) fn check_keys(&self, kind: MountType) -> Result<(), Diagnostic> {
        let wrong = self.entries.iter().find(|(key, _)| !key.belongs_to(kind));
        wrong.map_or(Ok(()), |(key, _)| {
            let (key, kind) = (key.name(), kind.name());
            Err(self.error(format!("a mount of type `{kind}` has no key `{key}`")))
        })
    }

    fn error(&self, message: String) -> Diagnostic {
        error("InvalidMount", self.span, message)
    }

    fn number<T>(
        &self,
        key: MountKey,
        what: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, Diagnostic> {
        let Some(text) = self.last(key) else {
            return Ok(None);
        };
        let wrong = || self.error(format!("`{}={text}` of a mount is not {what}", key.name()));
        read(text).map(Some).ok_or_else(wrong)
    }

    fn boolean(&self, key: MountKey) -> Result<Option<bool>, Diagnostic> {
        self.number(key, "`true` or `false`", parse_bool)
    }

    /// The last of `ro` and `rw` counts.
    fn read_only(&self, default: bool) -> Result<bool, Diagnostic> {
        let mut read_only = default;
        for (key, text) in &self.entries {
            if !matches!(key, MountKey::ReadOnly | MountKey::ReadWrite) {
                continue;
            }
            let inverted = *key == MountKey::ReadWrite;
            let wrong = || {
                self.error(format!(
                    "`{}={text}` of a mount is not `true` or `false`",
                    key.name()
                ))
            };
            read_only = parse_bool(text).ok_or_else(wrong)? != inverted;
        }
        Ok(read_only)
    }

    fn owner(&self) -> Result<Owner, Diagnostic> {
        let decimal = |text: &str| {
            text.bytes()
                .all(|byte| byte.is_ascii_digit())
                .then(|| text.parse::<u32>().ok())
                .flatten()
        };
        Ok(Owner {
            mode: self.number(MountKey::Mode, "an octal mode", parse_octal)?,
            uid: self.number(MountKey::Uid, "a number", decimal)?,
            gid: self.number(MountKey::Gid, "a number", decimal)?,
        })
    }

    fn sharing(&self) -> Result<Sharing, Diagnostic> {
        let Some(text) = self.last(MountKey::Sharing) else {
            return Ok(Sharing::Shared);
        };
        choose(&SHARINGS, text).ok_or_else(|| {
            let diagnostic = self.error(format!("there is no cache sharing `{text}`"));
            with_near(diagnostic, text, &SHARINGS)
        })
    }

    pub(super) fn into_spec(self, kind: MountType) -> Result<MountSpec, Diagnostic> {
        let target = self.text(MountKey::Target);
        let required = || Ok(self.boolean(MountKey::Required)?.unwrap_or(false));
        Ok(match kind {
            MountType::Bind => MountSpec::Bind {
                from: self.optional(MountKey::From),
                source: self.text(MountKey::Source),
                target,
                read_only: self.read_only(true)?,
            },
            MountType::Cache => MountSpec::Cache {
                id: self.optional(MountKey::Id),
                target,
                read_only: self.read_only(false)?,
                sharing: self.sharing()?,
                from: self.optional(MountKey::From),
                source: self.text(MountKey::Source),
                owner: self.owner()?,
            },
            MountType::Tmpfs => MountSpec::Tmpfs {
                target,
                size_bytes: self.number(MountKey::Size, "a size", parse_size)?,
                read_only: self.read_only(false)?,
            },
            MountType::Secret => self.secret(required()?)?,
            MountType::Ssh => MountSpec::Ssh {
                id: self
                    .optional(MountKey::Id)
                    .unwrap_or_else(|| "default".to_owned()),
                target: self.optional(MountKey::Target),
                required: required()?,
                owner: self.owner()?,
            },
        })
    }

    fn secret(&self, required: bool) -> Result<MountSpec, Diagnostic> {
        self.read_only(true)?;
        let target = self.optional(MountKey::Target);
        let env = self.last(MountKey::Env).map(str::to_owned);
        if let Some(name) = env
            .as_deref()
            .filter(|name| name.is_empty() || name.contains(['=', '\0']))
        {
            return Err(self.error(format!("`env={name}` of a mount is not a variable's name")));
        }
        let id = match (self.optional(MountKey::Id), self.optional(MountKey::Source)) {
            (Some(_), Some(_)) => {
                return Err(self.error("a secret mount has both `id` and `source`".to_owned()));
            }
            (Some(id), None) | (None, Some(id)) => id,
            (None, None) => target
                .as_deref()
                .map(base_name)
                .map(str::to_owned)
                .ok_or_else(|| {
                    self.error("a secret mount needs `id`, `source` or `target`".to_owned())
                })?,
        };
        let target = match (target, &env) {
            (Some(target), _) => Some(target),
            (None, Some(_)) => None,
            (None, None) => Some(format!("/run/secrets/{}", base_name(&id))),
        };
        Ok(MountSpec::Secret {
            id,
            target,
            env,
            required,
            owner: self.owner()?,
        })
    }
}

/// The last component of a path, as Go's `path.Base` gives it.
fn base_name(path: &str) -> &str {
    let trimmed = path.trim_end_matches('/');
    if trimmed.is_empty() {
        return if path.is_empty() { "." } else { "/" };
    }
    trimmed.rsplit('/').next().unwrap_or(trimmed)
}
