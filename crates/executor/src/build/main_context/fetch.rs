//! From where the context is to a tree.

use std::cell::RefCell;
use std::fs::File;
use std::io::{BufWriter, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use kigumi_context::{ContextLimits, Place, Spool, part, read_context};
use kigumi_layer::{Timestamp, Tree};
use kigumi_registry::{Client, ClientConfig, WebSource, store};
use tokio::runtime::Handle;

use super::incoming::{Body, Fault, Local, Stdin};
use super::store::Store;
use super::{CONTENTS, Fetched, Files, inside};
use crate::build::workshop::{self, Stop};
use crate::build::{downloads, git, hide_passwords, rounds};
use crate::cli::{ContextSettings, DEFAULT_CONTEXT, Environment};
use crate::error::BuildError;
use crate::report::{self, BuildEvent, Events};
use crate::secrets::Secrets;

/// Of the free space of the executor's directory, a context may take all but this part: a full disk would end more than this build.
const SPARED: u64 = 10;

/// What fetching needs of the world.
#[derive(Clone, Copy)]
pub(crate) struct Means<'a> {
    pub(crate) client: &'a Client,
    pub(crate) client_config: &'a ClientConfig,
    pub(crate) environment: &'a Environment,
    pub(crate) secrets: &'a Secrets,
    pub(crate) events: &'a Events,
    pub(crate) handle: &'a Handle,
    /// How it is told to end.
    pub(crate) stop: &'a Stop,
    /// Where work files may go.
    pub(crate) work: &'a Path,
    pub(crate) now: Timestamp,
}

/// What came: the tree, the file with its contents, and how many bytes are in it.
type Arrived = (Tree, File, u64);

/// What the context is called, without credentials.
pub(super) fn shown(settings: &ContextSettings) -> String {
    let web =
        |url: &str| WebSource::parse(url).map_or_else(|_| "its URL".to_owned(), |url| url.shown());
    match &settings.location.place {
        Place::Directory(_) => settings
            .directory()
            .unwrap_or_default()
            .display()
            .to_string(),
        Place::Archive(path) => format!("tar://{}", path.display()),
        Place::Stdin => "tar://stdin".to_owned(),
        Place::Git(_) => match &settings.repository {
            Some(repository) => repository.remote.to_string(),
            None => "its repository".to_owned(),
        },
        Place::Web(url) | Place::Azure(url) => web(url),
        Place::S3(name) => format!("s3://{}/{}", name.bucket, name.key),
        Place::Gcs(name) => format!("gs://{}/{}", name.bucket, name.key),
    }
}

impl Means<'_> {
    /// The files of the context: where they are, or fetched.
    pub(super) fn files(&self, settings: &ContextSettings) -> Result<Files, BuildError> {
        let place = &settings.location.place;
        if let (Place::Directory(base), Some(directory)) = (place, settings.directory()) {
            if !settings.location.sub_path.is_root() {
                inside(&directory, base).map_err(|source| BuildError::Context {
                    path: directory.clone(),
                    source: source.into(),
                })?;
            }
            // The one that nobody named may be missing: a Dockerfile without COPY needs none.
            if !directory.is_dir() && directory.as_path() != Path::new(DEFAULT_CONTEXT) {
                return Err(BuildError::NoContext { path: directory });
            }
            return Ok(Files::Directory(directory));
        }
        self.hide(settings);
        let started = Instant::now();
        let name = shown(settings);
        let (tree, contents, bytes) = self.fetch(settings, &name)?;
        let tree =
            part(tree, &settings.location.sub_path).map_err(|error| failed(&name, "", error))?;
        self.events.emit(BuildEvent::ContextFetched {
            context: name,
            entries: tree.len() - 1,
            bytes,
            took: started.elapsed(),
        });
        Ok(Files::Fetched(Fetched {
            tree: Arc::new(tree),
            contents,
        }))
    }

    /// What is a credential in the URL or for git may stand in no log.
    fn hide(&self, settings: &ContextSettings) {
        let redactor = self.events.redactor();
        if let Place::Web(url) | Place::Azure(url) | Place::Git(url) = &settings.location.place {
            hide_passwords(url, self.events);
            let query = url.split_once('?').map_or("", |(_, query)| query);
            for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
                if ["sig", "token", "X-Amz-Signature", "X-Goog-Signature"].contains(&name) {
                    redactor.hide(value.as_bytes());
                }
            }
        }
        for name in ["GIT_TOKEN", "GIT_PASSWORD"] {
            if let Some(value) = self.environment.variables.get(name) {
                redactor.hide(value.as_bytes());
            }
        }
    }

    fn fetch(&self, settings: &ContextSettings, name: &str) -> Result<Arrived, BuildError> {
        let local = |source: std::io::Error| failed(name, "", source);
        match &settings.location.place {
            Place::Archive(path) => {
                let file = File::open(path).map_err(local)?;
                let cancel = &self.stop.0;
                self.archive(Local { file, cancel }, name)
            }
            Place::Stdin => self.archive(Stdin::new(&self.stop.0).map_err(local)?, name),
            Place::Git(_) => match &settings.repository {
                Some(repository) => git::main_context(repository, self, name),
                None => Err(local(std::io::Error::from(
                    std::io::ErrorKind::InvalidInput,
                ))),
            },
            Place::Web(url) => {
                let source = downloads::source(url, None, self.secrets)?;
                self.download(name, "", &|| Ok(source.clone()))
            }
            place @ (Place::S3(_) | Place::Gcs(_) | Place::Azure(_)) => self.object(place, name),
            Place::Directory(path) => Err(BuildError::Context {
                path: path.clone(),
                source: "it is a directory; this is a defect of kigumi, please report it".into(),
            }),
        }
    }

    fn object(&self, place: &Place, name: &str) -> Result<Arrived, BuildError> {
        let redactor = self.events.redactor();
        let store = Store::of(place, self.environment, self.client_config, redactor);
        let store = store.map_err(|error| failed(name, "", error))?;
        let store = store.ok_or_else(|| failed(name, "", std::io::Error::other("no store")))?;
        self.download(name, store.hint(), &|| {
            let source = async { Ok::<_, BuildError>(store.source().await) };
            let source: Result<WebSource, store::Error> = self.wait(source)?;
            source.map_err(|error| failed(name, store.hint(), error))
        })
    }

    /// An archive of the web. What breaks off in the middle is begun anew, as often as the retries allow.
    fn download(
        &self,
        name: &str,
        hint: &str,
        source: &dyn Fn() -> Result<WebSource, BuildError>,
    ) -> Result<Arrived, BuildError> {
        let mut made = 0;
        loop {
            made += 1;
            let source = source()?;
            let opened = self.wait(async { Ok(self.client.open_file(&source).await) })?;
            let opened = opened.map_err(|error| {
                let hint = if is_refusal(&error) { hint } else { "" };
                failed(name, hint, error)
            })?;
            let fault: Fault = Rc::new(RefCell::new(None));
            let body = Body::new(opened.body, self.handle, self.stop, Rc::clone(&fault));
            let outcome = self.archive(body, name);
            // What failed on the way is the cause of whatever the decoder says.
            let Some(fault) = fault.borrow_mut().take() else {
                return outcome;
            };
            let Some(pause) = self.client.patience(made, &fault) else {
                return Err(failed(name, "", fault));
            };
            self.events.warn(format!(
                "the build context `{name}` broke off and is fetched anew: {}",
                crate::error::chain(&fault)
            ));
            self.wait(async {
                tokio::time::sleep(pause).await;
                Ok(())
            })?;
        }
    }

    /// Takes in an archive as it comes.
    fn archive(&self, reader: impl Read, name: &str) -> Result<Arrived, BuildError> {
        let file = self.scratch_file()?;
        let sink = file.try_clone().map_err(|source| self.keep(source))?;
        let limits = Self::limits(&file);
        let mut spool = Spool::new(BufWriter::new(sink), CONTENTS);
        let read = read_context(reader, name, &mut spool, &limits);
        if let Some(signal) = self.stop.0.signal() {
            return Err(BuildError::Cancelled { signal });
        }
        let tree = read.map_err(|error| failed(name, &self.about_space(&error, limits), error))?;
        let bytes = spool.bytes();
        let sink = spool.into_inner().into_inner();
        sink.map_err(|error| self.keep(error.into_error()))?;
        Ok((tree, file, bytes))
    }

    fn limits(file: &File) -> ContextLimits {
        let mut limits = ContextLimits::default();
        if let Ok(space) = rustix::fs::fstatvfs(file) {
            let free = space.f_bavail.saturating_mul(space.f_frsize);
            limits.bytes = limits.bytes.min(free - free / SPARED);
        }
        limits
    }

    fn about_space(&self, error: &kigumi_context::Error, limits: ContextLimits) -> String {
        let is_less = limits.bytes < ContextLimits::default().bytes;
        if is_less && matches!(error, kigumi_context::Error::TooLarge { .. }) {
            let room = report::bytes(limits.bytes);
            format!("`{}` has room for {room}", self.work.display())
        } else {
            String::new()
        }
    }

    /// A file without a name, gone with its last descriptor.
    pub(crate) fn scratch_file(&self) -> Result<File, BuildError> {
        let made =
            std::fs::create_dir_all(self.work).and_then(|()| tempfile::tempfile_in(self.work));
        made.map_err(|source| self.keep(source))
    }

    pub(crate) fn keep(&self, source: std::io::Error) -> BuildError {
        BuildError::Work {
            operation: "keep the build context",
            directory: PathBuf::from(self.work),
            source,
        }
    }

    /// A Dockerfile of the web.
    pub(super) fn dockerfile(&self, url: &str) -> Result<Vec<u8>, BuildError> {
        hide_passwords(url, self.events);
        let source = downloads::source(url, None, self.secrets)?;
        let opened =
            self.wait(async { self.client.open_file(&source).await.map_err(downloads::web) })?;
        let fault: Fault = Rc::new(RefCell::new(None));
        let body = Body::new(opened.body, self.handle, self.stop, Rc::clone(&fault));
        let mut bytes = Vec::new();
        let read = body
            .take(rounds::LONGEST_DOCKERFILE)
            .read_to_end(&mut bytes);
        if let Some(fault) = fault.borrow_mut().take() {
            return Err(downloads::web(fault));
        }
        read.map(|_| bytes).map_err(|source| BuildError::Read {
            what: "the Dockerfile",
            path: PathBuf::from(url),
            source,
        })
    }

    fn wait<T>(
        &self,
        future: impl Future<Output = Result<T, BuildError>>,
    ) -> Result<T, BuildError> {
        let (cancel, stopped) = self.stop;
        workshop::wait(self.handle, cancel, stopped, future)
    }
}

/// Whether somebody refuses because of who we are, or does not want to say what there is.
fn is_refusal(error: &kigumi_registry::Error) -> bool {
    let kigumi_registry::Error::Status { answer, .. } = error else {
        return false;
    };
    matches!(answer.status, 400 | 401 | 403 | 404)
}

pub(crate) fn failed(
    name: &str,
    hint: &str,
    source: impl std::error::Error + Send + Sync + 'static,
) -> BuildError {
    BuildError::FetchContext {
        context: name.to_owned(),
        hint: match hint {
            "" => String::new(),
            hint => format!(" ({hint})"),
        },
        source: Box::new(source),
    }
}
