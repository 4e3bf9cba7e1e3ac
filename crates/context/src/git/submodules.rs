//! The repositories inside a repository.

use std::io::Write;

use gix_hash::ObjectId;
use gix_object::tree::EntryKind;
use kigumi_layer::{ImagePath, Timestamp};
use url::Url;

use super::access::Access;
use super::checkout::{Collector, Source};
use super::fetch::{Extent, Repository, Wish};
use super::limits::{LARGEST_GITMODULES, SUBMODULE_DEPTH};
use super::repository::work_directory;
use super::{Facilities, GitError, Remote, gitmodules};

/// What all submodules of a checkout have in common.
pub(super) struct Submodules<'a> {
    pub(super) access: &'a Access<'a>,
    pub(super) facilities: &'a Facilities<'a>,
    pub(super) home: &'a Remote,
    pub(super) time: Timestamp,
    pub(super) wanted: &'a ImagePath,
    /// How many there may still be.
    pub(super) left: usize,
}

/// A repository whose submodules are looked at.
pub(super) struct Parent<'a> {
    pub(super) source: &'a Source<'a>,
    pub(super) remote: &'a Remote,
    pub(super) depth: usize,
}

impl Submodules<'_> {
    /// Adds what `found` names: commits of other repositories, and where they belong.
    pub(super) fn add<W: Write>(
        &mut self,
        parent: &Parent<'_>,
        found: Vec<(ImagePath, ObjectId)>,
        collector: &mut Collector<'_, W>,
    ) -> Result<(), GitError> {
        if found.is_empty() {
            return Ok(());
        }
        let known = read(parent)?;
        for (path, commit) in found {
            let module = known.iter().find(|module| {
                ImagePath::parse(&module.path)
                    .is_ok_and(|at| parent.source.at.join_path(&at) == path)
            });
            let unknown = || GitError::UnknownSubmodule { path: path.clone() };
            let module = module.ok_or_else(unknown)?;
            if module.is_skipped {
                continue;
            }
            let remote = gitmodules::resolve(parent.remote, &module.url).ok_or_else(unknown)?;
            self.left = self
                .left
                .checked_sub(1)
                .ok_or(GitError::TooManySubmodules)?;
            if parent.depth >= SUBMODULE_DEPTH {
                return Err(GitError::TooManySubmodules);
            }
            self.one(parent, (&remote, commit), &path, collector)
                .map_err(|source| GitError::Submodule {
                    path,
                    source: Box::new(source),
                })?;
        }
        Ok(())
    }

    fn one<W: Write>(
        &mut self,
        parent: &Parent<'_>,
        (remote, commit): (&Remote, ObjectId),
        path: &ImagePath,
        collector: &mut Collector<'_, W>,
    ) -> Result<(), GitError> {
        let directory = work_directory(self.facilities)?;
        let repository = Repository {
            remote,
            access: self.access,
            facilities: self.facilities,
            sent_by: url(self.home),
        };
        let received = repository.fetch(&Wish::Commit(commit), Extent::Files, directory.path())?;
        let commit = received.objects.commit(received.id)?;
        let source = Source {
            objects: &received.objects,
            tree: commit.tree,
            at: path.clone(),
            time: self.time,
            is_main: false,
        };
        let found = collector.add(&source, self.wanted)?;
        let parent = Parent {
            source: &source,
            remote,
            depth: parent.depth + 1,
        };
        self.add(&parent, found, collector)
    }
}

fn read(parent: &Parent<'_>) -> Result<Vec<gitmodules::Submodule>, GitError> {
    let objects = parent.source.objects;
    let entries = objects.tree(parent.source.tree)?;
    let file = entries.iter().find(|entry| {
        let is_file = matches!(entry.kind, EntryKind::Blob | EntryKind::BlobExecutable);
        is_file && entry.name == b".gitmodules"
    });
    let Some(file) = file else {
        return Ok(Vec::new());
    };
    let malformed = |line| GitError::Gitmodules {
        remote: parent.remote.to_string(),
        line,
    };
    let text = objects.blob(file.id)?;
    if text.len() > LARGEST_GITMODULES {
        return Err(malformed(1));
    }
    gitmodules::parse(&text).map_err(malformed)
}

fn url(remote: &Remote) -> Option<&Url> {
    match remote {
        Remote::Http { url, .. } | Remote::Git { url } => Some(url),
        Remote::Ssh { .. } => None,
    }
}
