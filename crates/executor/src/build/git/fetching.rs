use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use kigumi_context::Spool;
use kigumi_context::git::{
    CheckedOut, Facilities, GitError, GitReference, Remote, check_out, commit_time,
};
use kigumi_layer::{Timestamp, Tree};
use kigumi_registry::Client;
use tempfile::TempDir;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::network::GitNetwork;
use crate::build::contents::Contents;
use crate::build::main_context::{self, Means};
use crate::build::rounds::World;
use crate::build::workshop::{Stop, Workshop};
use crate::error::BuildError;
use crate::report::{self, BuildEvent};
use crate::secrets::Secrets;

/// What was fetched so far.
#[derive(Debug)]
pub(crate) struct GitTrees {
    client: Client,
    trees: Vec<(GitReference, Arc<Tree>)>,
}

impl GitTrees {
    pub(crate) fn new(client: Client) -> Self {
        Self {
            client,
            trees: Vec::new(),
        }
    }

    /// Whether there is a way to the repository.
    pub(crate) fn check(reference: &GitReference) -> Result<(), BuildError> {
        match &reference.remote {
            Remote::Http { .. } | Remote::Git { .. } => Ok(()),
            Remote::Ssh { shown } => Err(BuildError::Git(Box::new(GitError::Ssh {
                remote: shown.clone(),
            }))),
        }
    }

    /// When the commit was made that a reference names. Called while others wait on the runtime.
    pub(crate) fn time(reference: &GitReference, world: &World<'_>) -> Result<i64, BuildError> {
        Self::check(reference)?;
        let work = work_directory(world.work)?;
        let found = tokio::task::block_in_place(|| {
            let handle = Handle::current();
            let interrupted = Interrupted::watch(&handle, world.stop);
            let network = GitNetwork::new(world.client, &handle, world.stop);
            let facilities = Facilities {
                network: &network,
                secrets: &|id| secret(world.secrets, id),
                work: work.path(),
                interrupted: &interrupted.flag,
                now: Timestamp::default(),
            };
            commit_time(reference, &facilities)
        });
        found.map_err(|error| BuildError::Git(Box::new(error)))
    }

    /// The files that a reference names, as root:root has them; their contents are in `contents`.
    pub(crate) fn get(
        &mut self,
        reference: &GitReference,
        secrets: &Secrets,
        workshop: &Workshop,
        contents: &mut Contents,
        now: Timestamp,
    ) -> Result<Arc<Tree>, BuildError> {
        if let Some((_, tree)) = self.trees.iter().find(|(known, _)| known == reference) {
            return Ok(Arc::clone(tree));
        }
        let found = self.fetch(reference, secrets, workshop, contents, now)?;
        let tree = Arc::new(found.tree);
        self.trees.push((reference.clone(), Arc::clone(&tree)));
        Ok(tree)
    }

    fn fetch(
        &self,
        reference: &GitReference,
        secrets: &Secrets,
        workshop: &Workshop,
        contents: &mut Contents,
        now: Timestamp,
    ) -> Result<CheckedOut, BuildError> {
        let started = Instant::now();
        let file = contents.scratch_file()?;
        let sink = file.try_clone().map_err(keep)?;
        let mut spool = Spool::new(BufWriter::new(sink), contents.next_number());
        let stop = (workshop.cancel.clone(), workshop.stopped.clone());
        let interrupted = Interrupted::watch(&workshop.handle, &stop);
        let network = GitNetwork::new(&self.client, &workshop.handle, &stop);
        let facilities = Facilities {
            network: &network,
            secrets: &|id| secret(secrets, id),
            work: workshop.work(),
            interrupted: &interrupted.flag,
            now,
        };
        let found = check_out(reference, &facilities, &mut spool);
        let found = found.map_err(|error| BuildError::Git(Box::new(error)))?;
        workshop.events.emit(BuildEvent::Detail {
            message: format!(
                "fetched `{}`: commit {}, {} files, {} in {}",
                reference.remote,
                found.commit,
                found.tree.len() - 1,
                report::bytes(spool.bytes()),
                report::duration(started.elapsed()),
            ),
        });
        let sink = spool.into_inner().into_inner();
        sink.map_err(|error| keep(error.into_error()))?;
        contents.add_file(file);
        Ok(found)
    }
}

/// The files of a repository that is the build context, the file that holds their contents, and how much is in it.
pub(crate) fn main_context(
    reference: &GitReference,
    means: &Means<'_>,
    name: &str,
) -> Result<(Tree, File, u64), BuildError> {
    const HINT: &str = "give GIT_TOKEN, or GIT_USERNAME and GIT_PASSWORD";
    let failed = |error: GitError| {
        let is_refused = matches!(error, GitError::Refused { .. });
        let hint = if is_refused { HINT } else { "" };
        main_context::failed(name, hint, error)
    };
    let work = work_directory(means.work)?;
    let file = means.scratch_file()?;
    let sink = file.try_clone().map_err(|source| means.keep(source))?;
    let mut spool = Spool::new(BufWriter::new(sink), main_context::CONTENTS);
    let interrupted = Interrupted::watch(means.handle, means.stop);
    let network = GitNetwork::new(means.client, means.handle, means.stop);
    let facilities = Facilities {
        network: &network,
        secrets: &|id| secret(means.secrets, id),
        work: work.path(),
        interrupted: &interrupted.flag,
        now: means.now,
    };
    let found = check_out(reference, &facilities, &mut spool);
    if let Some(signal) = means.stop.0.signal() {
        return Err(BuildError::Cancelled { signal });
    }
    let found = found.map_err(failed)?;
    means.events.emit(BuildEvent::Detail {
        message: format!("the build context is commit {}", found.commit),
    });
    let bytes = spool.bytes();
    let sink = spool.into_inner().into_inner();
    sink.map_err(|error| means.keep(error.into_error()))?;
    Ok((found.tree, file, bytes))
}

fn secret(secrets: &Secrets, id: &str) -> Option<Vec<u8>> {
    secrets.get(id).map(|value| value.expose().to_vec())
}

/// A directory below that of the executor, gone with its value.
fn work_directory(below: &Path) -> Result<TempDir, BuildError> {
    let made = std::fs::create_dir_all(below).and_then(|()| TempDir::new_in(below));
    made.map_err(|source| BuildError::Work {
        operation: "make a directory for work files",
        directory: below.to_owned(),
        source,
    })
}

/// A flag that is set when the build is told to end, for as long as this lives.
struct Interrupted {
    flag: Arc<AtomicBool>,
    watch: JoinHandle<()>,
}

impl Interrupted {
    fn watch(handle: &Handle, stop: &Stop) -> Self {
        let flag = Arc::new(AtomicBool::new(false));
        let (set, mut stopped) = (Arc::clone(&flag), stop.1.clone());
        let watch = handle.spawn(async move {
            if stopped.wait_for(|stopped| *stopped).await.is_ok() {
                set.store(true, Ordering::Relaxed);
            }
        });
        Self { flag, watch }
    }
}

impl Drop for Interrupted {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

fn keep(source: std::io::Error) -> BuildError {
    BuildError::Copy {
        message: "keep the files of a git repository".to_owned(),
        source: Some(Box::new(source)),
    }
}
