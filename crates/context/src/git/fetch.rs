//! From a repository elsewhere to a pack of it in the work directory.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::Ordering;

use gix_hash::{Kind, ObjectId};
use gix_pack::Bundle;
use gix_protocol::fetch::{Arguments, Response};
use gix_protocol::handshake::Ref;
use gix_protocol::ls_refs::RefPrefixes;
use gix_protocol::{Command, Handshake, LsRefsCommand};
use gix_transport::client::blocking_io::{Transport, http};
use gix_transport::client::git::{ConnectMode, blocking_io::Connection};
use gix_transport::{Protocol, Service};
use gix_utils::progress::Discard;
use url::Url;

use super::http::{Courier, Fault};
use super::limits::{LARGEST_OBJECT, WANTS};
use super::objects::Objects;
use super::refs::{self, Chosen};
use super::{Facilities, GitError, Remote, access::Access};

/// What a fetch is for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Wish {
    /// A branch, a tag, or the default branch.
    Revision(Option<String>),
    /// A commit by its id.
    Commit(ObjectId),
}

/// What came.
pub(super) struct Received {
    /// The objects.
    pub(super) objects: Objects,
    /// What was wished for: a commit or an annotated tag.
    pub(super) id: ObjectId,
    /// The reference by which it came, if by one.
    pub(super) name: Option<String>,
    /// Commits whose parents did not come.
    pub(super) shallow: Vec<ObjectId>,
}

/// One repository and the way there.
pub(super) struct Repository<'a> {
    pub(super) remote: &'a Remote,
    pub(super) access: &'a Access<'a>,
    pub(super) facilities: &'a Facilities<'a>,
    /// Who points to it, if that is not the user.
    pub(super) sent_by: Option<&'a Url>,
}

impl Repository<'_> {
    /// Fetches what is wished for, without its history. A commit that the server does not give by its id is looked for in
    /// everything that its branches and tags lead to.
    pub(super) fn fetch(
        &self,
        wish: &Wish,
        extent: Extent,
        directory: &Path,
    ) -> Result<Received, GitError> {
        let outcome = self.attempt(wish, Depth::One(extent), directory);
        let outcome = match (wish, outcome) {
            // A server of the first protocol refuses with a line that gitoxide takes for a damaged pack.
            (Wish::Commit(_), Err(Trouble::Other(source))) if !self.is_interrupted() => {
                tracing::debug!(%source, "the server does not give the commit by its id");
                self.attempt(wish, Depth::All, directory)
            }
            (_, outcome) => outcome,
        };
        outcome.map_err(|trouble| match trouble {
            Trouble::Known(error) => error,
            Trouble::Other(_) if self.is_interrupted() => GitError::Interrupted,
            Trouble::Other(source) => GitError::protocol(self.remote, source),
        })
    }

    fn is_interrupted(&self) -> bool {
        self.facilities.interrupted.load(Ordering::Relaxed)
    }

    fn no_commit(&self, commit: ObjectId) -> GitError {
        GitError::NoCommit {
            remote: self.remote.to_string(),
            commit: commit.to_string(),
        }
    }

    fn attempt(&self, wish: &Wish, depth: Depth, directory: &Path) -> Result<Received, Trouble> {
        let fault: Fault = Rc::new(RefCell::new(None));
        let outcome = match self.remote {
            Remote::Http { url, .. } => {
                let network = (self.facilities.network, self.access);
                let courier = Courier::new(network, self.remote, self.sent_by, Rc::clone(&fault));
                let address = gix_url(url).map_err(Trouble::other)?;
                let transport = http::Transport::new_http(courier, address, Protocol::V2, false);
                self.converse(transport, wish, depth, directory)
            }
            Remote::Git { url } => {
                let transport = self.dial(url)?;
                self.converse(transport, wish, depth, directory)
            }
            Remote::Ssh { shown } => {
                return Err(Trouble::Known(GitError::Ssh {
                    remote: shown.clone(),
                }));
            }
        };
        // What failed on the way is the cause of whatever gitoxide says.
        match fault.borrow_mut().take() {
            Some(fault) => Err(Trouble::Known(fault)),
            None => outcome,
        }
    }

    fn dial(&self, url: &Url) -> Result<impl Transport + use<>, Trouble> {
        const PORT: u16 = 9418;
        let host = url.host_str().unwrap_or_default();
        let port = url.port().unwrap_or(PORT);
        let network = |source| {
            Trouble::Known(GitError::Network {
                remote: self.remote.to_string(),
                source,
            })
        };
        let stream = self
            .facilities
            .network
            .connect(host, port, self.sent_by)
            .map_err(network)?;
        let writer = stream
            .try_clone()
            .map_err(|source| network(source.into()))?;
        let path = super::reference::decode_percent(url.path());
        let host = Some((host.to_owned(), url.port()));
        Ok(Connection::new(
            stream,
            writer,
            Protocol::V2,
            path,
            host,
            ConnectMode::Daemon,
            false,
        ))
    }

    fn converse(
        &self,
        mut transport: impl Transport,
        wish: &Wish,
        depth: Depth,
        directory: &Path,
    ) -> Result<Received, Trouble> {
        let mut handshake = gix_protocol::handshake(
            &mut transport,
            Service::UploadPack,
            // Nobody is asked: what there is was sent along already.
            |_| Ok(None),
            Vec::new(),
            &mut Discard,
        )
        .map_err(Trouble::other)?;
        self.check_format(&handshake)?;
        let refs = list(&mut transport, &mut handshake, wish, depth)?;
        let goal = self.goal(wish, &refs)?;
        let wants = match depth {
            Depth::One(_) => vec![goal.id],
            Depth::All => heads_and_tags(&refs),
        };
        if wants.is_empty() {
            return Err(Trouble::Known(self.no_commit(goal.id)));
        }
        let (objects, shallow) = self.receive(transport, &handshake, &wants, depth, directory)?;
        if !objects.has(goal.id) {
            return Err(Trouble::Known(self.no_commit(goal.id)));
        }
        Ok(Received {
            objects,
            id: goal.id,
            name: goal.name,
            shallow,
        })
    }

    fn check_format(&self, handshake: &Handshake) -> Result<(), Trouble> {
        let format = handshake.capabilities.capability("object-format");
        let format = format.and_then(|format| format.value().map(ToString::to_string));
        match format.as_deref() {
            None | Some("sha1") => Ok(()),
            Some(_) => Err(Trouble::Known(GitError::Sha256 {
                remote: self.remote.to_string(),
            })),
        }
    }

    fn goal(&self, wish: &Wish, refs: &[Ref]) -> Result<Goal, Trouble> {
        let chosen = match wish {
            Wish::Commit(id) => {
                let chosen = refs::pointing_to(refs, *id);
                return Ok(Goal {
                    id: *id,
                    name: chosen.map(|chosen| chosen.name),
                });
            }
            Wish::Revision(revision) => refs::choose(refs, revision.as_deref()),
        };
        let remote = self.remote.to_string();
        match (chosen, wish) {
            (Some(Chosen { name, id }), _) => Ok(Goal {
                id,
                name: Some(name),
            }),
            (None, Wish::Revision(Some(revision))) => Err(Trouble::Known(GitError::NoRevision {
                remote,
                revision: revision.clone(),
            })),
            (None, Wish::Revision(None) | Wish::Commit(_)) => {
                Err(Trouble::Known(GitError::NoDefaultBranch { remote }))
            }
        }
    }

    fn receive(
        &self,
        mut transport: impl Transport,
        handshake: &Handshake,
        wants: &[ObjectId],
        depth: Depth,
        directory: &Path,
    ) -> Result<(Objects, Vec<ObjectId>), Trouble> {
        let version = handshake.server_protocol_version;
        let mut features = Command::Fetch.default_features(version, &handshake.capabilities);
        features.push(agent());
        Response::check_required_features(version, &features).map_err(Trouble::other)?;
        let mut arguments = Arguments::new(version, features, false);
        for want in wants {
            arguments.want(want);
        }
        if let Depth::One(extent) = depth {
            if arguments.can_use_deepen() {
                arguments.deepen(1);
            }
            if extent == Extent::Commit && arguments.can_use_filter() {
                arguments.filter("tree:0");
            }
        }
        let mut reader = arguments
            .send(&mut transport, true)
            .map_err(Trouble::other)?;
        let response = Response::from_line_reader(version, &mut reader, true, false);
        let mut response = response.map_err(Trouble::other)?;
        response.append_v1_shallow_updates(handshake.v1_shallow_updates.clone());
        let said = Rc::new(RefCell::new(Vec::new()));
        let listener = Rc::clone(&said);
        reader.set_progress_handler(Some(Box::new(move |is_error, text| {
            if is_error {
                listener
                    .borrow_mut()
                    .extend_from_slice(text.get(..text.len().min(200)).unwrap_or_default());
            }
            std::ops::ControlFlow::Continue(())
        })));
        let bundle = self.store(&mut reader, directory);
        let bundle = bundle.map_err(|source| Trouble::from_server(&said.borrow(), source))?;
        let shallow = response
            .shallow_updates()
            .iter()
            .filter_map(|update| match update {
                gix_protocol::fetch::response::ShallowUpdate::Shallow(id) => Some(*id),
                gix_protocol::fetch::response::ShallowUpdate::Unshallow(_) => None,
            });
        Ok((Objects::new(self.remote, bundle), shallow.collect()))
    }

    /// Writes a pack and its index. Deltas are resolved and every object is hashed on the way.
    fn store(
        &self,
        reader: &mut dyn std::io::BufRead,
        directory: &Path,
    ) -> Result<Bundle, gix_error::Error> {
        let options = gix_pack::bundle::write::Options {
            thread_limit: Some(1),
            alloc_limit_bytes: Some(LARGEST_OBJECT),
            ..gix_pack::bundle::write::Options::default()
        };
        let outcome = Bundle::write_to_directory(
            reader,
            Some(directory),
            &mut Discard,
            self.facilities.interrupted,
            None::<gix_object::find::Never>,
            Kind::Sha1,
            options,
        )?;
        let path = outcome.index_path.ok_or_else(|| {
            gix_error::Error::from_error(std::io::Error::other("the server sent no objects"))
        })?;
        let mut bundle = Bundle::at(path, Kind::Sha1)?;
        bundle.pack = bundle.pack.with_alloc_limit_bytes(Some(LARGEST_OBJECT));
        Ok(bundle)
    }
}

/// How much history is fetched.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    One(Extent),
    All,
}

/// How much of a commit is wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// Its files.
    Files,
    /// Nothing but what it says of itself.
    Commit,
}

struct Goal {
    id: ObjectId,
    name: Option<String>,
}

/// The references that matter; all of a server that cannot be asked for a few.
fn list(
    transport: &mut impl Transport,
    handshake: &mut Handshake,
    wish: &Wish,
    depth: Depth,
) -> Result<Vec<Ref>, Trouble> {
    let mut refs = if let Some(refs) = handshake.refs.take() {
        refs
    } else {
        let mut wanted = RefPrefixes::new();
        wanted.extend(match (wish, depth) {
            (Wish::Revision(revision), Depth::One(_)) => texts(refs::prefixes(revision.as_deref())),
            (Wish::Revision(_), Depth::All) | (Wish::Commit(_), _) => {
                texts(vec!["refs/heads/".to_owned(), "refs/tags/".to_owned()])
            }
        });
        LsRefsCommand::new(Some(wanted), &handshake.capabilities, agent())
            .invoke_blocking(transport, &mut Discard, false)
            .map_err(Trouble::other)?
    };
    refs.truncate(WANTS);
    Ok(refs)
}

fn texts(texts: Vec<String>) -> Vec<gix_transport::bstr::BString> {
    texts.into_iter().map(Into::into).collect()
}

fn heads_and_tags(refs: &[Ref]) -> Vec<ObjectId> {
    let all: BTreeSet<ObjectId> = refs
        .iter()
        .filter_map(|found| {
            let (name, id, _) = found.unpack();
            let counts = name.starts_with(b"refs/heads/") || name.starts_with(b"refs/tags/");
            id.filter(|_| counts).map(ToOwned::to_owned)
        })
        .collect();
    all.into_iter().collect()
}

fn agent() -> gix_protocol::command::Feature {
    (
        "agent",
        Some(gix_protocol::agent(concat!(
            "kigumi-",
            env!("CARGO_PKG_VERSION")
        ))),
    )
}

fn gix_url(url: &Url) -> Result<gix_url::Url, gix_error::Error> {
    gix_url::parse(url.as_str())
}

/// Why a fetch came to nothing.
enum Trouble {
    /// It has its words already.
    Known(GitError),
    /// Anything else.
    Other(super::error::Cause),
}

impl Trouble {
    fn other(source: impl Into<super::error::Cause>) -> Self {
        Self::Other(source.into())
    }

    /// The pack did not come to its end: what the server says about it is the better explanation.
    fn from_server(said: &[u8], source: gix_error::Error) -> Self {
        if said.is_empty() {
            return Self::other(source);
        }
        let text: String = String::from_utf8_lossy(said)
            .chars()
            .map(|letter| if letter.is_control() { ' ' } else { letter })
            .collect();
        Self::other(format!("the server says: {}", text.trim()))
    }
}
