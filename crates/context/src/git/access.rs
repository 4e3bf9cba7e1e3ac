//! Which credential goes where: to the host it is for, and nowhere else (T-ADD-10).

use std::cell::RefCell;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use url::Url;

use super::{GitError, UserInfo};

/// Where secrets come from: their bytes by id, `None` for one that nobody gave.
pub type SecretLookup<'a> = &'a dyn Fn(&str) -> Option<Vec<u8>>;

/// The credentials of one checkout.
pub(super) struct Access<'a> {
    secrets: SecretLookup<'a>,
    /// The repository that the user named: what is for no particular host is for this one.
    home: Option<Url>,
    /// The user in its URL.
    user: Option<UserInfo>,
    known: RefCell<BTreeMap<String, Option<String>>>,
}

impl<'a> Access<'a> {
    pub(super) fn new(
        secrets: SecretLookup<'a>,
        home: Option<&Url>,
        user: Option<&UserInfo>,
    ) -> Self {
        Self {
            secrets,
            home: home.cloned(),
            user: user.cloned(),
            known: RefCell::default(),
        }
    }

    /// The value of `Authorization` for a request to `url`.
    pub(super) fn header(&self, url: &Url) -> Result<Option<String>, GitError> {
        let origin = url.origin().ascii_serialization();
        if let Some(known) = self.known.borrow().get(&origin) {
            return Ok(known.clone());
        }
        let header = self.find(url)?;
        self.known.borrow_mut().insert(origin, header.clone());
        Ok(header)
    }

    /// Whether the user has given a secret for this very host, and so vouches for it.
    pub(super) fn vouches_for(&self, url: &Url) -> bool {
        hosts(url).iter().any(|host| {
            ["GIT_AUTH_HEADER", "GIT_AUTH_TOKEN"]
                .iter()
                .any(|kind| (self.secrets)(&format!("{kind}.{host}")).is_some())
        })
    }

    fn find(&self, url: &Url) -> Result<Option<String>, GitError> {
        let is_home = self
            .home
            .as_ref()
            .is_some_and(|home| home.origin() == url.origin());
        if url.scheme() != "https" && !is_home {
            // Nobody but the user may decide that a credential travels in plain text.
            return Ok(None);
        }
        let mut ids = Vec::new();
        for host in hosts(url) {
            ids.push((format!("GIT_AUTH_HEADER.{host}"), Form::Header));
            ids.push((format!("GIT_AUTH_TOKEN.{host}"), Form::Token));
        }
        if is_home {
            ids.push(("GIT_AUTH_HEADER".to_owned(), Form::Header));
            ids.push(("GIT_AUTH_TOKEN".to_owned(), Form::Token));
        }
        for (id, form) in ids {
            if let Some(bytes) = (self.secrets)(&id) {
                return form.header(id, bytes).map(Some);
            }
        }
        let user = self.user.as_ref().filter(|_| is_home);
        Ok(user.map(|user| {
            let (name, password) = user.expose();
            basic(name, password)
        }))
    }
}

/// What a secret holds.
#[derive(Clone, Copy)]
enum Form {
    /// The value of the header.
    Header,
    /// The password of the user that servers expect for tokens.
    Token,
}

impl Form {
    fn header(self, id: String, bytes: Vec<u8>) -> Result<String, GitError> {
        let text = String::from_utf8(bytes).unwrap_or_default();
        // Files end in a newline, tokens do not.
        let text = text.trim_end_matches(['\r', '\n']);
        if text.is_empty() || text.chars().any(char::is_control) {
            return Err(GitError::Secret { id });
        }
        Ok(match self {
            Self::Header => text.to_owned(),
            Self::Token => basic("x-access-token", text),
        })
    }
}

fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))
}

/// How a secret may name the host: with its port first, where that is not the usual one.
fn hosts(url: &Url) -> Vec<String> {
    let mut hosts = vec![authority(url)];
    hosts.extend(url.host_str().map(str::to_owned));
    hosts.dedup();
    hosts
}

/// `host[:port]`, without the port that the scheme implies.
pub(super) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}
