use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kigumi_run::Cancel;
use rustix::event::{PollFd, PollFlags, poll};
use tempfile::TempDir;
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::main_context::MainContext;
use crate::error::BuildError;
use crate::report::Events;

/// How a build is told to end: for those who poll, and for those who wait.
pub(crate) type Stop = (Cancel, watch::Receiver<bool>);

/// What every step of a build has at hand.
#[derive(Debug)]
pub(crate) struct Workshop {
    pub(crate) events: Events,
    pub(crate) cancel: Cancel,
    pub(crate) handle: Handle,
    /// Becomes true when the build is told to end; the async side of `cancel`.
    pub(crate) stopped: watch::Receiver<bool>,
    pub(crate) context: Arc<MainContext>,
    work: TempDir,
}

/// Ends the build if it was told to.
pub(crate) fn check_cancelled(cancel: &Cancel) -> Result<(), BuildError> {
    let signal = cancel.signal();
    signal.map_or(Ok(()), |signal| Err(BuildError::Cancelled { signal }))
}

impl Workshop {
    /// Makes a work directory below `kaniko_dir`, gone with the workshop.
    pub(crate) fn new(
        events: Events,
        stop: Stop,
        handle: Handle,
        kaniko_dir: &Path,
        context: Arc<MainContext>,
    ) -> Result<Self, BuildError> {
        let failed = |source| BuildError::Work {
            operation: "make a directory for work files",
            directory: kaniko_dir.to_owned(),
            source,
        };
        std::fs::create_dir_all(kaniko_dir).map_err(failed)?;
        let work = tempfile::Builder::new()
            .prefix("work-")
            .tempdir_in(kaniko_dir)
            .map_err(failed)?;
        let (cancel, stopped) = stop;
        Ok(Self {
            events,
            cancel,
            handle,
            stopped,
            context,
            work,
        })
    }

    /// Where work files go.
    pub(crate) fn work(&self) -> &Path {
        self.work.path()
    }

    /// A new directory for work files, whose name begins so.
    pub(crate) fn make_directory(&self, name: &str) -> Result<PathBuf, BuildError> {
        let made = tempfile::Builder::new()
            .prefix(&format!("{name}-"))
            .tempdir_in(self.work());
        let directory = made.map_err(|source| BuildError::Work {
            operation: "make a directory",
            directory: self.work().to_owned(),
            source,
        })?;
        // It goes with the work directory.
        Ok(directory.keep())
    }

    /// Ends the build if it was told to.
    pub(crate) fn check_cancelled(&self) -> Result<(), BuildError> {
        check_cancelled(&self.cancel)
    }

    /// Waits for something of the network, or for being told to end.
    pub(crate) fn wait<T>(
        &self,
        future: impl Future<Output = Result<T, BuildError>>,
    ) -> Result<T, BuildError> {
        wait(&self.handle, &self.cancel, &self.stopped, future)
    }
}

/// Tells the async side when the build is told to end.
pub(crate) fn watch_cancel(cancel: &Cancel) -> Result<watch::Receiver<bool>, BuildError> {
    let (sender, receiver) = watch::channel(false);
    let cancel = cancel.clone();
    let wait = move || {
        let mut descriptors = [PollFd::new(&cancel, PollFlags::IN)];
        // An interrupted wait is no cancellation.
        while !cancel.is_cancelled() {
            if poll(&mut descriptors, None).is_err_and(|error| error != rustix::io::Errno::INTR) {
                return;
            }
        }
        // Nobody listens any more when the build is over.
        let _sent = sender.send(true);
    };
    std::thread::Builder::new()
        .name("cancel".to_owned())
        .spawn(wait)
        .map_err(|source| BuildError::Machine {
            operation: "start the thread that waits for signals",
            source,
        })?;
    Ok(receiver)
}

/// Waits for something of the network, or for being told to end.
pub(crate) fn wait<T>(
    handle: &Handle,
    cancel: &Cancel,
    stopped: &watch::Receiver<bool>,
    future: impl Future<Output = Result<T, BuildError>>,
) -> Result<T, BuildError> {
    let mut stopped = stopped.clone();
    let result = handle.block_on(async {
        tokio::select! {
            result = future => Some(result),
            _ = stopped.wait_for(|stopped| *stopped) => None,
        }
    });
    if let Some(signal) = cancel.signal() {
        return Err(BuildError::Cancelled { signal });
    }
    result.unwrap_or_else(|| {
        Err(BuildError::Machine {
            operation: "wait for the network",
            source: io::Error::other("the wait was given up"),
        })
    })
}
