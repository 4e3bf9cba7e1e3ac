//! From a reference to a tree: the main repository, its submodules, the part that is wanted.

use std::io::Write;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use gix_hash::ObjectId;
use kigumi_layer::{ImagePath, Timestamp, Tree};

use super::access::{Access, SecretLookup};
use super::checkout::{Collector, Source};
use super::fetch::{Extent, Received, Repository, Wish};
use super::limits::SUBMODULES;
use super::network::Network;
use super::objects::Commit;
use super::submodules::{Parent, Submodules};
use super::{GitError, GitReference, Remote, Times, git_dir};
use crate::{Spool, subdirectory};

/// What a checkout needs of the world.
#[derive(Clone, Copy)]
pub struct Facilities<'a> {
    /// How repositories are reached.
    pub network: &'a dyn Network,
    /// Where credentials come from.
    pub secrets: SecretLookup<'a>,
    /// A directory for packs. They are gone when the checkout is there.
    pub work: &'a Path,
    /// Becomes true when nobody wants the result any more.
    pub interrupted: &'a AtomicBool,
    /// The time of the checkout.
    pub now: Timestamp,
}

impl std::fmt::Debug for Facilities<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Facilities")
            .field("work", &self.work)
            .finish_non_exhaustive()
    }
}

/// A commit as files.
#[derive(Debug)]
pub struct CheckedOut {
    /// The files, of root:root.
    pub tree: Tree,
    /// The id of the commit.
    pub commit: String,
}

/// Fetches what a reference names and gives its files; contents go into `spool`.
///
/// # Errors
/// [`GitError`].
pub fn check_out<W: Write>(
    reference: &GitReference,
    facilities: &Facilities<'_>,
    spool: &mut Spool<W>,
) -> Result<CheckedOut, GitError> {
    let wanted = reference.subdirectory.as_deref().unwrap_or_default();
    let wanted = subdirectory::clean(wanted).map_err(|reason| outside(reference, reason))?;
    let access = access(reference, facilities);
    let directory = work_directory(facilities)?;
    let (received, commit) = receive(
        reference,
        facilities,
        &access,
        Extent::Files,
        directory.path(),
    )?;
    let main = Main {
        reference,
        access: &access,
        facilities,
        received: &received,
        commit,
    };
    Ok(CheckedOut {
        tree: main.tree(&wanted, spool)?,
        commit: commit.id.to_string(),
    })
}

/// When the commit was made that a reference names, in seconds since 1970.
///
/// # Errors
/// [`GitError`].
pub fn commit_time(reference: &GitReference, facilities: &Facilities<'_>) -> Result<i64, GitError> {
    let access = access(reference, facilities);
    let directory = work_directory(facilities)?;
    let (_, commit) = receive(
        reference,
        facilities,
        &access,
        Extent::Commit,
        directory.path(),
    )?;
    Ok(commit.seconds)
}

fn access<'a>(reference: &GitReference, facilities: &Facilities<'a>) -> Access<'a> {
    let (home, user) = match &reference.remote {
        Remote::Http { url, user } => (Some(url), user.as_ref()),
        Remote::Git { .. } | Remote::Ssh { .. } => (None, None),
    };
    Access::new(facilities.secrets, home, user)
}

/// Fetches the commit, and makes sure that it is the right one.
fn receive(
    reference: &GitReference,
    facilities: &Facilities<'_>,
    access: &Access<'_>,
    extent: Extent,
    directory: &Path,
) -> Result<(Received, Commit), GitError> {
    let repository = Repository {
        remote: &reference.remote,
        access,
        facilities,
        sent_by: None,
    };
    let received = repository.fetch(&wish(reference), extent, directory)?;
    let commit = received.objects.commit(received.id)?;
    check(reference, &received, commit)?;
    Ok((received, commit))
}

fn wish(reference: &GitReference) -> Wish {
    let id = |text: &String| ObjectId::from_hex(text.as_bytes()).ok();
    let by_commit = reference
        .checksum
        .as_ref()
        .filter(|_| reference.fetch_by_commit);
    match by_commit.or(reference.revision.as_ref()).and_then(id) {
        Some(id) => Wish::Commit(id),
        None => Wish::Revision(reference.revision.clone()),
    }
}

/// Whether it is what the checksum says: the commit, or the tag that was named.
fn check(reference: &GitReference, received: &Received, commit: Commit) -> Result<(), GitError> {
    let Some(expected) = &reference.checksum else {
        return Ok(());
    };
    let mut found = vec![received.id.to_string(), commit.id.to_string()];
    if found.iter().any(|id| id.starts_with(expected)) {
        return Ok(());
    }
    found.dedup();
    Err(GitError::Checksum {
        remote: reference.remote.to_string(),
        expected: expected.clone(),
        found: format!("`{}`", found.join("` or `")),
    })
}

fn outside(reference: &GitReference, reason: &'static str) -> GitError {
    GitError::Subdirectory {
        remote: reference.remote.to_string(),
        subdirectory: reference.subdirectory.clone().unwrap_or_default(),
        reason,
    }
}

/// A directory that is gone with its value.
pub(super) fn work_directory(facilities: &Facilities<'_>) -> Result<tempfile::TempDir, GitError> {
    tempfile::Builder::new()
        .prefix("git-")
        .tempdir_in(facilities.work)
        .map_err(|source| GitError::Work {
            operation: "make a directory for a pack",
            source,
        })
}

/// The repository that was asked for.
struct Main<'a> {
    reference: &'a GitReference,
    access: &'a Access<'a>,
    facilities: &'a Facilities<'a>,
    received: &'a Received,
    commit: Commit,
}

impl Main<'_> {
    /// The files below `wanted`, seen from there.
    fn tree<W: Write>(&self, wanted: &ImagePath, spool: &mut Spool<W>) -> Result<Tree, GitError> {
        let missing = |reason| outside(self.reference, reason);
        let mut tree = self.files(wanted, spool)?;
        if subdirectory::has_links(&tree, wanted) {
            // What they lead to was left out, and is not known before.
            tree = self.files(&ImagePath::root(), spool)?;
        }
        let real = subdirectory::locate(&tree, wanted).map_err(missing)?;
        let found = subdirectory::below(&tree, &real).map_err(|source| GitError::Tree {
            remote: self.reference.remote.to_string(),
            source,
        });
        let mut tree = if real.is_root() { tree } else { found? };
        let root = tree.root();
        tree.node_mut(root).metadata.mtime = self.time();
        Ok(tree)
    }

    /// The files that lie at, above or below `wanted`.
    fn files<W: Write>(&self, wanted: &ImagePath, spool: &mut Spool<W>) -> Result<Tree, GitError> {
        let mut collector = Collector::new(spool, self.facilities.interrupted);
        let source = Source {
            objects: &self.received.objects,
            tree: self.commit.tree,
            at: ImagePath::root(),
            time: self.time(),
            is_main: true,
        };
        let found = collector.add(&source, wanted)?;
        if self.reference.submodules {
            let mut submodules = Submodules {
                access: self.access,
                facilities: self.facilities,
                home: &self.reference.remote,
                time: self.time(),
                wanted,
                left: SUBMODULES,
            };
            let parent = Parent {
                source: &source,
                remote: &self.reference.remote,
                depth: 0,
            };
            submodules.add(&parent, found, &mut collector)?;
        }
        if wanted.is_root() && self.reference.keep_git_dir == Some(true) {
            let remote = &self.reference.remote;
            git_dir::add(
                self.received,
                self.commit,
                remote,
                self.time(),
                &mut collector,
            )?;
        }
        Ok(collector.tree)
    }

    fn time(&self) -> Timestamp {
        match self.reference.times {
            Times::Checkout => self.facilities.now,
            Times::Commit => Timestamp::from_seconds(self.commit.seconds),
        }
    }
}
