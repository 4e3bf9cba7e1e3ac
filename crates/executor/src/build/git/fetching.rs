use std::io::BufWriter;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use kigumi_context::Spool;
use kigumi_context::git::{CheckedOut, Facilities, GitError, GitReference, Remote, check_out};
use kigumi_layer::{Timestamp, Tree};
use kigumi_registry::Client;

use super::network::GitNetwork;
use crate::build::contents::Contents;
use crate::build::workshop::Workshop;
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
        let interrupted = Arc::new(AtomicBool::new(false));
        let watch = {
            let (interrupted, mut stopped) = (Arc::clone(&interrupted), workshop.stopped.clone());
            workshop.handle.spawn(async move {
                if stopped.wait_for(|stopped| *stopped).await.is_ok() {
                    interrupted.store(true, Ordering::Relaxed);
                }
            })
        };
        let network = GitNetwork::new(&self.client, workshop);
        let secret = |id: &str| secrets.get(id).map(|value| value.expose().to_vec());
        let facilities = Facilities {
            network: &network,
            secrets: &secret,
            work: workshop.work(),
            interrupted: &interrupted,
            now,
        };
        let found = check_out(reference, &facilities, &mut spool);
        watch.abort();
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

fn keep(source: std::io::Error) -> BuildError {
    BuildError::Copy {
        message: "keep the files of a git repository".to_owned(),
        source: Some(Box::new(source)),
    }
}
