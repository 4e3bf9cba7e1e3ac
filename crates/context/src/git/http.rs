//! Smart HTTP: gitoxide speaks the protocol, [`Network`] carries it.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use gix_transport::client::blocking_io::http::{GetResponse, Http, PostBodyDataKind, PostResponse};
use url::Url;

use super::access::{Access, authority};
use super::error::Cause;
use super::exchange::{Body, Collected, Exchange, Headers};
use super::limits::REDIRECTS;
use super::network::{HttpAnswer, HttpRequest, Network};
use super::{GitError, Remote};

/// What went wrong on the way, for whoever called gitoxide: its own errors cannot carry it.
pub(super) type Fault = Rc<RefCell<Option<GitError>>>;

type GixResult<T> = Result<T, gix_error::Error>;

/// How requests for one repository are sent.
pub(super) struct Courier<'a> {
    way: Rc<Way<'a>>,
    /// Where the server has sent us, if it has.
    moved: Option<Url>,
}

/// All that is the same for every request.
pub(super) struct Way<'a> {
    network: &'a dyn Network,
    access: &'a Access<'a>,
    remote: Remote,
    sent_by: Option<&'a Url>,
    fault: Fault,
}

impl<'a> Courier<'a> {
    /// For the repository at `remote`; `sent_by` is who points there, if that is not the user.
    pub(super) fn new(
        (network, access): (&'a dyn Network, &'a Access<'a>),
        remote: &Remote,
        sent_by: Option<&'a Url>,
        fault: Fault,
    ) -> Self {
        Self {
            way: Rc::new(Way {
                network,
                access,
                remote: remote.clone(),
                sent_by,
                fault,
            }),
            moved: None,
        }
    }

    /// A GET and where it ended. git follows redirects of the first request only, and takes them for the new place of the repository.
    fn get_at(
        &mut self,
        url: &str,
        base: &str,
        headers: &[(String, String)],
    ) -> Result<HttpAnswer, GitError> {
        let tail = url.strip_prefix(base).unwrap_or_default();
        let mut current = self.way.parse(url)?;
        for _ in 0..=REDIRECTS {
            let answer = self.way.send(&current, headers.to_vec(), None)?;
            if !matches!(answer.status, 301 | 302 | 303 | 307 | 308) {
                return self.way.accept(answer, &current);
            }
            current = follow(&current, answer.location.as_deref(), tail)
                .map_err(|reason| self.way.refuse(reason))?;
            let base = current.as_str().strip_suffix(tail);
            self.moved = base.and_then(|base| Url::parse(base).ok());
        }
        Err(self.way.refuse("there are too many"))
    }
}

impl Way<'_> {
    pub(super) fn parse(&self, url: &str) -> Result<Url, GitError> {
        Url::parse(url).map_err(|source| GitError::protocol(&self.remote, source))
    }

    pub(super) fn send(
        &self,
        url: &Url,
        headers: Vec<(String, String)>,
        body: Option<Vec<u8>>,
    ) -> Result<HttpAnswer, GitError> {
        let authorization = self.access.header(url)?;
        let own = match &self.remote {
            Remote::Http { url: own, .. } => own.origin() == url.origin(),
            Remote::Git { .. } | Remote::Ssh { .. } => false,
        };
        let pointer = match &self.remote {
            _ if self.access.vouches_for(url) => None,
            // The host that somebody named is as good as whoever named it; where it sends us is on its own account.
            _ if own => self.sent_by,
            Remote::Http { url: own, .. } => Some(own),
            Remote::Git { .. } | Remote::Ssh { .. } => self.sent_by,
        };
        let request = HttpRequest {
            url,
            headers,
            authorization: authorization.as_deref(),
            body,
            sent_by: pointer,
        };
        self.network
            .send(request)
            .map_err(|source| self.unreachable(source))
    }

    fn unreachable(&self, source: Cause) -> GitError {
        GitError::Network {
            remote: self.remote.to_string(),
            source,
        }
    }

    fn refuse(&self, reason: &'static str) -> GitError {
        GitError::Redirect {
            remote: self.remote.to_string(),
            reason,
        }
    }

    /// An answer that can be read on; any other is an error.
    pub(super) fn accept(&self, answer: HttpAnswer, url: &Url) -> Result<HttpAnswer, GitError> {
        let remote = self.remote.to_string();
        match answer.status {
            200..=299 => Ok(answer),
            status @ (401 | 403) => Err(GitError::Refused {
                remote,
                host: authority(url),
                status,
                authorized: self.access.header(url)?.is_some(),
            }),
            status => Err(GitError::Status { remote, status }),
        }
    }

    /// Keeps an error for the caller, and gives gitoxide one of its own.
    pub(super) fn fail(&self, error: GitError) -> io::Error {
        let shown = error.to_string();
        *self.fault.borrow_mut() = Some(error);
        io::Error::other(shown)
    }
}

/// Where a redirect leads: to the same request of another place, over no worse a protocol.
fn follow(current: &Url, location: Option<&str>, tail: &str) -> Result<Url, &'static str> {
    let location = location.ok_or("it gives no location")?;
    let next = current
        .join(location)
        .map_err(|_| "its location is no URL")?;
    if !next.username().is_empty() || next.password().is_some() {
        return Err("its location has a user in it");
    }
    match (current.scheme(), next.scheme()) {
        (_, "https") | ("http", "http") => {}
        (_, "http") => return Err("its location leads from HTTPS to plain HTTP"),
        _ => return Err("its location is not on HTTP"),
    }
    if !next.as_str().ends_with(tail) {
        return Err("its location is not that of a repository");
    }
    Ok(next)
}

fn split(headers: impl IntoIterator<Item = impl AsRef<str>>) -> Vec<(String, String)> {
    let pair = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.trim().to_owned(), value.trim().to_owned()))
    };
    headers
        .into_iter()
        .filter_map(|line| pair(line.as_ref()))
        // Ours says who we are.
        .filter(|(name, _)| !name.eq_ignore_ascii_case("user-agent"))
        .collect()
}

impl<'a> Http for Courier<'a> {
    type Headers = Headers<'a>;
    type ResponseBody = Body<'a>;
    type PostBody = Collected<'a>;

    fn get(
        &mut self,
        url: &str,
        base_url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> GixResult<GetResponse<Self::Headers, Self::ResponseBody>> {
        let answer = self.get_at(url, base_url, &split(headers));
        let answer = answer.map_err(|error| gix_error::Error::from_error(self.way.fail(error)))?;
        let exchange = Exchange::answered(&self.way, answer);
        Ok(GetResponse {
            headers: Headers::new(&exchange),
            body: Body::new(&exchange),
        })
    }

    fn post(
        &mut self,
        url: &str,
        _: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
        _: PostBodyDataKind,
    ) -> GixResult<PostResponse<Self::Headers, Self::ResponseBody, Self::PostBody>> {
        let exchange = Exchange::pending(&self.way, url, split(headers));
        Ok(PostResponse {
            post_body: Collected::new(&exchange),
            headers: Headers::new(&exchange),
            body: Body::new(&exchange),
        })
    }

    fn configure(&mut self, _: &dyn std::any::Any) -> GixResult<()> {
        Ok(())
    }

    fn redirected_base_url(&self) -> Option<String> {
        self.moved.as_ref().map(Url::to_string)
    }
}
