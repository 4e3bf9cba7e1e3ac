//! `.git`, where it is kept: enough that git in the image sees the commit that was checked out, without history, and nothing that is private.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use kigumi_layer::{Entry, FileContent, ImagePath, Metadata, Mode, Timestamp};

use super::checkout::Collector;
use super::fetch::Received;
use super::objects::Commit;
use super::{GitError, Remote, index_file};

/// Adds the directory of a repository: its objects, its HEAD, the index of the files that are there.
pub(super) fn add<W: Write>(
    received: &Received,
    commit: Commit,
    remote: &Remote,
    time: Timestamp,
    collector: &mut Collector<'_, W>,
) -> Result<(), GitError> {
    let index = index_file::encode(&mut collector.index)
        .map_err(|source| GitError::protocol(remote, source))?;
    let mut directory = Directory {
        remote: remote.to_string(),
        time,
        collector,
    };
    let directories = [
        "",
        "objects",
        "objects/info",
        "objects/pack",
        "refs",
        "refs/heads",
        "refs/tags",
    ];
    for path in directories {
        directory.make(path)?;
    }
    let text = |text: String| FileContent::inline(text.as_bytes());
    // COMPAT(buildkit): the commit itself, no branch.
    directory.file("HEAD", text(format!("{}\n", commit.id)))?;
    directory.file("config", text(config(remote)))?;
    directory.file("index", FileContent::inline(&index))?;
    if !received.shallow.is_empty() {
        let lines = received.shallow.iter().map(|id| format!("{id}\n"));
        directory.file("shallow", text(lines.collect()))?;
    }
    if let Some(name) = received.name.as_deref().filter(|name| is_ref(name)) {
        directory.parents(name)?;
        directory.file(name, text(format!("{}\n", received.id)))?;
    }
    for path in [received.objects.pack(), received.objects.index()] {
        directory.copy("objects/pack", path)?;
    }
    Ok(())
}

/// Without credentials: `remote` shows none.
fn config(remote: &Remote) -> String {
    let url: String = remote
        .to_string()
        .chars()
        .flat_map(|letter| {
            let escape = matches!(letter, '"' | '\\').then_some('\\');
            escape.into_iter().chain([letter])
        })
        .collect();
    format!(
        "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n\tlogallrefupdates = true\n\
        [remote \"origin\"]\n\turl = \"{url}\"\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n"
    )
}

/// Whether a server's name may become a path: it does what the user wrote, or what the server calls its default branch.
fn is_ref(name: &str) -> bool {
    let fits = |component: &str| {
        !component.is_empty()
            && !component.starts_with('.')
            && component.strip_suffix(".lock").is_none()
            && !component.chars().any(char::is_control)
    };
    name.starts_with("refs/") && name.split('/').all(fits)
}

struct Directory<'c, 's, W> {
    remote: String,
    time: Timestamp,
    collector: &'c mut Collector<'s, W>,
}

impl<W: Write> Directory<'_, '_, W> {
    fn path(&self, below: &str) -> Result<ImagePath, GitError> {
        ImagePath::parse(format!(".git/{below}").as_bytes()).map_err(|_| GitError::Path {
            remote: self.remote.clone(),
            path: below.to_owned(),
        })
    }

    fn make(&mut self, path: &str) -> Result<(), GitError> {
        let metadata = Metadata::root_owned(Mode::DIRECTORY, self.time);
        let path = self.path(path)?;
        self.collector
            .put(&self.remote, path, Entry::Directory, metadata)
    }

    /// The directories above a reference.
    fn parents(&mut self, name: &str) -> Result<(), GitError> {
        let ends = name.match_indices('/').map(|(at, _)| at);
        let parents: Vec<&str> = ends.filter_map(|at| name.get(..at)).collect();
        parents.into_iter().try_for_each(|parent| self.make(parent))
    }

    fn file(&mut self, path: &str, content: FileContent) -> Result<(), GitError> {
        let metadata = Metadata::root_owned(Mode::FILE, self.time);
        let path = self.path(path)?;
        self.collector
            .put(&self.remote, path, Entry::File(content), metadata)
    }

    /// Copies a file under its own name. As git makes them, packs are not to be written.
    fn copy(&mut self, into: &str, from: &Path) -> Result<(), GitError> {
        let failed = |source| GitError::Work {
            operation: "keep a pack",
            source,
        };
        let name = from.file_name().unwrap_or_default().to_string_lossy();
        let content = self.collector.store(File::open(from).map_err(failed)?)?;
        let metadata = Metadata::root_owned(Mode::new(0o444), self.time);
        let path = self.path(&format!("{into}/{name}"))?;
        self.collector
            .put(&self.remote, path, Entry::File(content), metadata)
    }
}
