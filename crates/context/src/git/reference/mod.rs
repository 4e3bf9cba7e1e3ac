//! What a git reference says: pure, and complete before anything is fetched.

mod query;
#[cfg(test)]
mod tests;

use std::fmt;

use url::Url;

pub(super) use query::decode_percent;

/// A git repository and what of it is wanted, as ADD and named contexts write it: `https://host/repo.git#ref:subdir` or with a query.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GitReference {
    /// Where the repository is.
    pub remote: Remote,
    /// A branch, a tag, `refs/…` or a full commit id; none is the default branch.
    pub revision: Option<String>,
    /// What is taken of the checkout, as written.
    pub subdirectory: Option<String>,
    /// The first digits of the commit that it has to be, or of its annotated tag.
    pub checksum: Option<String>,
    /// Whether `.git` is part of the checkout, where that was said.
    pub keep_git_dir: Option<bool>,
    /// Whether submodules are checked out.
    pub submodules: bool,
    /// Which times files get.
    pub times: Times,
    /// Whether the commit is fetched by its id although a branch or tag is named.
    pub fetch_by_commit: bool,
}

/// Which times the files of a checkout get.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Times {
    /// That of the checkout.
    #[default]
    Checkout,
    /// That of the commit.
    Commit,
}

/// Where a repository is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Remote {
    /// Smart HTTP. The URL has no user in it.
    Http {
        /// `http` or `https`.
        url: Url,
        /// What was written before the `@`.
        user: Option<UserInfo>,
    },
    /// git's own protocol: unauthenticated, in plain text.
    Git {
        /// `git://`, without a user.
        url: Url,
    },
    /// As written, without a password.
    Ssh {
        /// `ssh://…` or `user@host:path`.
        shown: String,
    },
}

impl fmt::Display for Remote {
    /// Shows no password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http { url, .. } | Self::Git { url } => f.write_str(url.as_str()),
            Self::Ssh { shown } => f.write_str(shown),
        }
    }
}

/// The credential in a URL. Shown by nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct UserInfo {
    name: String,
    password: String,
}

impl UserInfo {
    /// A name and a password, as they are sent.
    pub fn new(name: &str, password: &str) -> Self {
        Self {
            name: name.to_owned(),
            password: password.to_owned(),
        }
    }

    /// Name and password, decoded, for the one place that sends them.
    #[cfg(feature = "git")]
    pub(super) fn expose(&self) -> (&str, &str) {
        (&self.name, &self.password)
    }
}

impl fmt::Debug for UserInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserInfo")
    }
}

/// What is wrong with a git reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GitReferenceError {
    /// Not a place where a repository can be.
    #[error("not a git repository: it needs https://….git, git://…, ssh://… or user@host:path")]
    NotGit,
    /// A URL that is none.
    #[error("not a URL")]
    Url {
        /// Why not.
        #[source]
        source: url::ParseError,
    },
    /// A key of the query that nobody knows.
    #[error("unexpected query `{key}`")]
    UnknownQuery {
        /// The key.
        key: String,
    },
    /// A key of the query without a value.
    #[error("query `{key}` has no value")]
    NoValue {
        /// The key.
        key: String,
    },
    /// A key of the query that is there twice.
    #[error("query `{key}` has multiple values")]
    Repeated {
        /// The key.
        key: String,
    },
    /// A value that its key cannot have.
    #[error("query `{key}`: `{value}` is not {expected}")]
    Value {
        /// The key.
        key: &'static str,
        /// Its value.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
    /// Two places that say different things.
    #[error("{what} conflicts: `{one}` and `{other}`")]
    Conflict {
        /// What they are about.
        what: &'static str,
        /// The first.
        one: String,
        /// The second.
        other: String,
    },
    /// `branch` beside `tag`.
    #[error("query `branch` conflicts with query `tag`")]
    BranchAndTag,
    /// A checksum that no commit can have.
    #[error(
        "checksum `{checksum}` is not a commit id or the beginning of one: lower-case hexadecimal digits"
    )]
    Checksum {
        /// As written.
        checksum: String,
    },
    /// The second part of a fragment that kaniko knows: `#REF#COMMIT`.
    #[error(
        "`{text}` is not a full commit id: `git://HOST/REPOSITORY#REF#COMMIT` needs one behind the second `#`"
    )]
    NotACommit {
        /// As written.
        text: String,
    },
    /// `fetch-by-commit` without a commit.
    #[error("query `fetch-by-commit` needs a full commit id as `commit` or `checksum`")]
    FetchByWhat,
}

impl GitReference {
    /// Reads a reference.
    ///
    /// # Errors
    /// [`GitReferenceError`].
    pub fn parse(text: &str) -> Result<Self, GitReferenceError> {
        // COMPAT(buildkit): the short form of contexts. ADD takes it for a path before anybody asks here.
        if text.starts_with("github.com/") {
            return Self::of_url(&format!("https://{text}"), Suffix::Optional);
        }
        match scheme(text).as_deref() {
            Some("http" | "https") => Self::of_url(text, Suffix::Required),
            Some("git" | "ssh") => Self::of_url(text, Suffix::Optional),
            Some(_) => Err(GitReferenceError::NotGit),
            None => Self::of_short_form(text),
        }
    }

    /// Reads a URL of HTTP that is known to be that of a repository, whatever its path ends in.
    pub(super) fn of_repository(text: &str) -> Result<Self, GitReferenceError> {
        Self::of_url(text, Suffix::Optional)
    }

    /// Joins what flags say: they may repeat what the reference says, not contradict it.
    ///
    /// # Errors
    /// [`GitReferenceError::Conflict`], [`GitReferenceError::Checksum`].
    pub fn with_flags(
        mut self,
        keep_git_dir: Option<bool>,
        checksum: Option<&str>,
    ) -> Result<Self, GitReferenceError> {
        query::join("keep-git-dir", &mut self.keep_git_dir, keep_git_dir)?;
        let checksum = checksum.filter(|text| !text.is_empty()).map(str::to_owned);
        query::join("checksum", &mut self.checksum, checksum)?;
        self.check()?;
        Ok(self)
    }

    /// Whether the revision is a full commit id.
    pub fn is_commit(&self) -> bool {
        self.revision.as_deref().is_some_and(is_full_id)
    }

    fn of_url(text: &str, suffix: Suffix) -> Result<Self, GitReferenceError> {
        let mut url = Url::parse(text).map_err(|source| GitReferenceError::Url { source })?;
        if suffix == Suffix::Required && url.path().strip_suffix(".git").is_none() {
            return Err(GitReferenceError::NotGit);
        }
        let fragment = url.fragment().map(str::to_owned);
        let query = url.query().map(str::to_owned);
        url.set_fragment(None);
        url.set_query(None);
        let user = user_info(&url);
        if url.host_str().is_none_or(str::is_empty) {
            return Err(GitReferenceError::NotGit);
        }
        let remote = match url.scheme() {
            "ssh" => {
                let _done = url.set_password(None);
                Remote::Ssh {
                    shown: url.to_string(),
                }
            }
            scheme => {
                let is_git = scheme == "git";
                let _done = url.set_username("").and_then(|()| url.set_password(None));
                if is_git {
                    Remote::Git { url }
                } else {
                    Remote::Http { url, user }
                }
            }
        };
        Self::of_parts(remote, fragment.as_deref(), query.as_deref())
    }

    /// `user@host:path?query#fragment`
    fn of_short_form(text: &str) -> Result<Self, GitReferenceError> {
        let (rest, fragment) = split_off(text, '#');
        let (shown, query) = split_off(rest, '?');
        if !is_short_form(shown) {
            return Err(GitReferenceError::NotGit);
        }
        let shown = shown.to_owned();
        Self::of_parts(Remote::Ssh { shown }, fragment, query)
    }

    fn of_parts(
        remote: Remote,
        fragment: Option<&str>,
        query: Option<&str>,
    ) -> Result<Self, GitReferenceError> {
        let fragment = fragment.map(decode_percent).unwrap_or_default();
        let (revision, subdirectory) = split_off(&fragment, ':');
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let mut reference = Self {
            remote,
            revision: given(revision),
            subdirectory: subdirectory.and_then(given),
            checksum: None,
            keep_git_dir: None,
            submodules: true,
            times: Times::default(),
            fetch_by_commit: false,
        };
        query::read(&mut reference, query.unwrap_or_default())?;
        reference.check()?;
        Ok(reference)
    }

    fn check(&self) -> Result<(), GitReferenceError> {
        if let Some(checksum) = &self.checksum
            && !is_id_prefix(checksum)
        {
            return Err(GitReferenceError::Checksum {
                checksum: checksum.clone(),
            });
        }
        if self.fetch_by_commit
            && !self.is_commit()
            && !self.checksum.as_deref().is_some_and(is_full_id)
        {
            return Err(GitReferenceError::FetchByWhat);
        }
        Ok(())
    }
}

/// Whether a path has to end in `.git`: otherwise http and https mean a plain file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Suffix {
    Required,
    Optional,
}

/// What is in front of `://`, in lower case.
fn scheme(text: &str) -> Option<String> {
    let (scheme, _) = text.split_once("://")?;
    let plain = !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric());
    plain.then(|| scheme.to_ascii_lowercase())
}

fn split_off(text: &str, mark: char) -> (&str, Option<&str>) {
    match text.split_once(mark) {
        Some((text, rest)) => (text, Some(rest)),
        None => (text, None),
    }
}

fn user_info(url: &Url) -> Option<UserInfo> {
    let name = decode_percent(url.username());
    let password = decode_percent(url.password().unwrap_or_default());
    (!name.is_empty() || !password.is_empty()).then_some(UserInfo { name, password })
}

/// `user@host:path`
fn is_short_form(text: &str) -> bool {
    let Some((user, rest)) = text.split_once('@') else {
        return false;
    };
    let Some((host, path)) = rest.split_once(':') else {
        return false;
    };
    let plain = |text: &str, marks: &[u8]| {
        !text.is_empty()
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || marks.contains(&byte))
    };
    plain(user, b"-_") && plain(host, b"-.") && !path.is_empty()
}

/// Whether a text is a whole object id, of SHA-1 or SHA-256.
pub(super) fn is_full_id(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && is_id_prefix(text)
}

fn is_id_prefix(text: &str) -> bool {
    let digits = text
        .bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (1..=64).contains(&text.len()) && digits
}
