//! The build context and the Dockerfile, wherever they are.
//!
//! A directory of this machine is read where it is. Everything else is fetched once, before anything is planned, and becomes a tree whose contents
//! lie in one file without a name in the executor's directory: it is never unpacked, and gone with us however we end (K-CTX-03, ADR 20).

mod fetch;
mod incoming;
mod store;
#[cfg(test)]
mod tests;
mod walk;

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kigumi_context::{
    DockerfilePlace, context_tree, ignore_file_candidates, read_ignore_file, without_ignored,
};
use kigumi_dockerfile::ignore::Patterns;
use kigumi_layer::{FileContent, Follow, ImagePath, Origin, Tree};
use kigumi_rootfs::RootDir;

pub(crate) use fetch::{Means, failed};
pub(crate) use walk::Walk;

use super::contents::Contents;
use super::rounds;
use crate::cli::ContextSettings;
use crate::error::BuildError;

/// The number of the file that holds the contents of a fetched context: the first behind the scratch file.
pub(crate) const CONTENTS: u32 = 1;

/// The build context, and which Dockerfile is built.
#[derive(Debug)]
pub(crate) struct MainContext {
    files: Files,
    dockerfile: DockerfilePlace,
    /// How the context is called, without credentials.
    name: String,
}

/// Where the files of the context are.
#[derive(Debug)]
pub(crate) enum Files {
    /// In a directory of this machine.
    Directory(PathBuf),
    /// In a file of ours.
    Fetched(Fetched),
}

/// A context that was fetched.
#[derive(Debug)]
pub(crate) struct Fetched {
    tree: Arc<Tree>,
    contents: File,
}

/// A context that can be looked at.
enum Opened {
    /// A directory, and its number among the contents.
    Directory(Arc<RootDir>, u32),
    Fetched(Arc<Tree>),
}

impl MainContext {
    /// Fetches the context if it is not here, and reads the Dockerfile: the first of the places where there is one counts (K-CLI-11).
    ///
    /// # Errors
    /// [`BuildError::FetchContext`], [`BuildError::NoDockerfile`], [`BuildError::Read`].
    pub(crate) fn open(
        settings: &ContextSettings,
        dockerfile: &[DockerfilePlace],
        means: &Means<'_>,
    ) -> Result<(Self, Vec<u8>), BuildError> {
        let files = means.files(settings)?;
        let elsewhere = |place: &DockerfilePlace| match (place, &files) {
            (DockerfilePlace::Context(path), Files::Fetched(fetched)) => fetched.read(path),
            (DockerfilePlace::Web(url), _) => means.dockerfile(url).map(Some),
            (DockerfilePlace::Context(_) | DockerfilePlace::Disk(_), _) => Ok(None),
        };
        let (place, bytes) = rounds::find_dockerfile(dockerfile, &elsewhere)?;
        let context = Self {
            files,
            dockerfile: place,
            name: fetch::shown(settings),
        };
        Ok((context, bytes))
    }

    /// A directory that is not looked at, for tests of what does not need it.
    #[cfg(test)]
    pub(crate) fn nowhere() -> Self {
        Self {
            files: Files::Directory(PathBuf::new()),
            dockerfile: DockerfilePlace::Disk(PathBuf::new()),
            name: String::new(),
        }
    }

    /// Which Dockerfile it is.
    pub(crate) const fn dockerfile(&self) -> &DockerfilePlace {
        &self.dockerfile
    }

    /// What is hidden of the context (K-CLI-12, K-CTX-05).
    pub(crate) fn ignored(&self) -> Result<Patterns, BuildError> {
        let own = self.dockerfile.disk();
        match &self.files {
            Files::Directory(path) => {
                let candidates = ignore_file_candidates(own, Some(path));
                read_ignore_file(&candidates).map_err(|error| self.unusable(error))
            }
            Files::Fetched(fetched) => {
                // What is beside the Dockerfile wins, wherever that is.
                let beside = ignore_file_candidates(own, None);
                if beside.iter().any(|path| path.exists()) {
                    return read_ignore_file(&beside).map_err(|error| self.unusable(error));
                }
                self.ignored_of(fetched)
            }
        }
    }

    fn ignored_of(&self, fetched: &Fetched) -> Result<Patterns, BuildError> {
        const NAME: &[u8] = b".dockerignore";
        let mut candidates = Vec::new();
        if let DockerfilePlace::Context(path) = &self.dockerfile {
            candidates.push([path.as_relative(), NAME].concat());
        }
        candidates.push(NAME.to_vec());
        for candidate in candidates {
            let path = ImagePath::parse(&candidate).map_err(|error| self.unusable(error))?;
            if let Some(bytes) = fetched.read(&path)? {
                return Patterns::parse_file(&bytes).map_err(|source| {
                    self.unusable(kigumi_context::Error::IgnoreFile {
                        path: PathBuf::from(path.to_string()),
                        source,
                    })
                });
            }
        }
        Ok(Patterns::default())
    }

    /// Says where the contents of a fetched context are. To be called before anything else is numbered.
    pub(crate) fn lend(&self, contents: &mut Contents) -> Result<(), BuildError> {
        let Files::Fetched(fetched) = &self.files else {
            return Ok(());
        };
        let file = fetched.contents.try_clone();
        let file = file.map_err(|source| BuildError::Content {
            path: "of the build context".to_owned(),
            source,
        })?;
        match contents.add_file(file) {
            CONTENTS => Ok(()),
            number => Err(self.unusable(std::io::Error::other(format!(
                "its contents have the number {number}; this is a defect of kigumi, please report it"
            )))),
        }
    }

    /// The build context, as the ignore file leaves it.
    pub(crate) fn tree(&self, contents: &mut Contents) -> Result<Arc<Tree>, BuildError> {
        self.look(self.enter(contents)?)
    }

    fn enter(&self, contents: &mut Contents) -> Result<Opened, BuildError> {
        Ok(match &self.files {
            Files::Directory(path) => {
                let directory = RootDir::open(path).map_err(|error| self.unusable(error))?;
                let directory = Arc::new(directory);
                let store = contents.add_store(Arc::clone(&directory));
                Opened::Directory(directory, store)
            }
            Files::Fetched(fetched) => Opened::Fetched(Arc::clone(&fetched.tree)),
        })
    }

    fn look(&self, opened: Opened) -> Result<Arc<Tree>, BuildError> {
        let ignored = self.ignored()?;
        match opened {
            Opened::Directory(directory, store) => {
                let tree = context_tree(&directory, &ignored, store);
                tree.map(Arc::new).map_err(|error| self.unusable(error))
            }
            Opened::Fetched(tree) if ignored.is_empty() => Ok(tree),
            Opened::Fetched(tree) => {
                let tree = without_ignored(&tree, &ignored);
                tree.map(Arc::new).map_err(|error| self.unusable(error))
            }
        }
    }

    fn unusable(&self, source: impl std::error::Error + Send + Sync + 'static) -> BuildError {
        BuildError::Context {
            path: PathBuf::from(&self.name),
            source: Box::new(source),
        }
    }
}

impl Fetched {
    /// The bytes of a file; nothing where there is none.
    fn read(&self, path: &ImagePath) -> Result<Option<Vec<u8>>, BuildError> {
        let failed = |source| BuildError::Read {
            what: "a file of the build context:",
            path: PathBuf::from(path.to_string()),
            source,
        };
        // A link that leads nowhere is no file either.
        let found = self.tree.resolve(path, Follow::All).ok();
        let node = found.and_then(|found| found.node);
        let Some(content) = node.and_then(|id| self.tree.node(id).file()) else {
            return Ok(None);
        };
        if content.size > rounds::LONGEST_DOCKERFILE {
            return Err(failed(std::io::Error::from(
                std::io::ErrorKind::FileTooLarge,
            )));
        }
        let mut bytes = Vec::new();
        let mut reader = self.open(content);
        reader.read_to_end(&mut bytes).map_err(failed)?;
        Ok(Some(bytes))
    }

    fn open(&self, content: &FileContent) -> Box<dyn std::io::Read + '_> {
        match &content.origin {
            Origin::Blob { offset, .. } => Box::new(Slice {
                file: &self.contents,
                at: *offset,
                left: content.size,
            }),
            Origin::Inline(bytes) => Box::new(std::io::Cursor::new(Arc::clone(bytes))),
            // No context that was fetched has them.
            Origin::Stored { .. } | Origin::Live => Box::new(std::io::empty()),
        }
    }
}

/// Some bytes of a file that others read at the same time.
struct Slice<'a> {
    file: &'a File,
    at: u64,
    left: u64,
}

impl std::io::Read for Slice<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX);
        let wanted = wanted.min(buffer.len());
        let buffer = buffer.get_mut(..wanted).unwrap_or_default();
        let count = self.file.read_at(buffer, self.at)?;
        self.at += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}

/// A directory with `--context-sub-path`: links of the context may not lead out of it.
fn inside(directory: &Path, base: &Path) -> Result<(), std::io::Error> {
    let (directory, base) = (directory.canonicalize()?, base.canonicalize()?);
    if directory.starts_with(base) {
        return Ok(());
    }
    Err(std::io::Error::other(
        "--context-sub-path leads out of the context",
    ))
}
