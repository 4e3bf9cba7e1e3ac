//! What is written down, so that another process can go on.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, Result};

use super::{JOURNAL, Mounts};
use crate::{Error, RootDir, disk};

const TITLE: &str = "kigumi former root 1";
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// More than a journal can have, in bytes.
const LONGEST: u64 = 64 * 1024;

/// How far things are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// Nothing was moved yet.
    Begun,
    /// Some may have been moved; what is on the root is its former content.
    Leaving,
    /// All is moved; what is on the root is the build's.
    Away,
    /// The root was emptied, some may be back.
    Returning,
}

impl State {
    const ALL: [Self; 4] = [Self::Begun, Self::Leaving, Self::Away, Self::Returning];

    fn word(self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::Leaving => "leaving",
            Self::Away => "away",
            Self::Returning => "returning",
        }
    }
}

/// Which root, and when: hostile-input rule D10.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Stamp {
    boot: String,
    mount: String,
}

impl Stamp {
    pub(super) fn now(root: &Path) -> std::result::Result<Self, Error> {
        let boot = std::fs::read_to_string(BOOT_ID).map_err(|source| Error::OpenHost {
            path: BOOT_ID.into(),
            source,
        })?;
        let mounts = Mounts::read()?;
        let mount = mounts.holding(root).map(|mount| mount.id.to_string());
        Ok(Self {
            boot: boot.trim().to_owned(),
            mount: mount.unwrap_or_default(),
        })
    }
}

/// A journal, open for writing.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
    state: State,
    work: PathBuf,
}

impl Journal {
    pub(super) fn create(directory: &RootDir, stamp: &Stamp, work: &Path) -> Result<Self> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let mut journal = Self {
            file: open(directory, flags)?,
            state: State::Begun,
            work: work.to_owned(),
        };
        let mut text = format!("{TITLE}\nboot {}\nmount {}\nwork ", stamp.boot, stamp.mount);
        // Whoever gives a path a newline has to do without the removal of the work files.
        if !work.as_os_str().as_bytes().contains(&b'\n') {
            text.push_str(&String::from_utf8_lossy(work.as_os_str().as_bytes()));
        }
        text.push('\n');
        journal.write(&text)?;
        journal.note(State::Begun)?;
        Ok(journal)
    }

    /// `None` if it is no journal.
    pub(super) fn open(directory: &RootDir) -> Result<Option<(Self, Stamp)>> {
        let seen = disk::stat_at(directory, JOURNAL)?;
        if seen.identity.kind() != rustix::fs::FileType::RegularFile {
            return Ok(None);
        }
        let mut file = open(directory, OFlags::NOFOLLOW)?;
        let mut text = Vec::new();
        (&mut file)
            .take(LONGEST)
            .read_to_end(&mut text)
            .map_err(|error| errno(&error))?;
        Ok(parse(&text).map(|(stamp, work, state)| (Self { file, state, work }, stamp)))
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    pub(super) fn state(&self) -> State {
        self.state
    }

    pub(super) fn work(&self) -> &Path {
        &self.work
    }

    /// One short write to the end of the file: it is there as a whole or not at all.
    pub(super) fn note(&mut self, state: State) -> Result<()> {
        self.write(&format!("{}\n", state.word()))?;
        self.state = state;
        Ok(())
    }

    fn write(&mut self, text: &str) -> Result<()> {
        self.file
            .write_all(text.as_bytes())
            .map_err(|error| errno(&error))
    }
}

/// Closing the file alone would not do: a process that was started meanwhile has it open too, until it runs its program.
impl Drop for Journal {
    fn drop(&mut self) {
        // Where this fails, closing is what is left.
        let _unlocked = self.file.unlock();
    }
}

fn open(directory: &RootDir, flags: OFlags) -> Result<File> {
    let flags = flags | OFlags::RDWR | OFlags::APPEND | OFlags::CLOEXEC;
    let mode = Mode::RUSR | Mode::WUSR;
    rustix::fs::openat(directory, JOURNAL, flags, mode).map(File::from)
}

fn errno(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

/// The last complete line counts.
fn parse(text: &[u8]) -> Option<(Stamp, PathBuf, State)> {
    let complete = text.iter().rposition(|byte| *byte == b'\n')?;
    let mut lines = text.get(..complete)?.split(|byte| *byte == b'\n');
    let value = |line: &[u8], name: &str| {
        let value = line.strip_prefix(name.as_bytes())?.strip_prefix(b" ")?;
        Some(value.to_vec())
    };
    if lines.next()? != TITLE.as_bytes() {
        return None;
    }
    let stamp = Stamp {
        boot: String::from_utf8(value(lines.next()?, "boot")?).ok()?,
        mount: String::from_utf8(value(lines.next()?, "mount")?).ok()?,
    };
    let work = OsString::from_vec(value(lines.next()?, "work")?).into();
    let last = lines.next_back()?;
    let state = State::ALL
        .into_iter()
        .find(|state| state.word().as_bytes() == last)?;
    Some((stamp, work, state))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "kigumi former root 1\nboot b\nmount 7\nwork /kaniko/work-x\nbegun\n";

    #[test]
    fn the_last_complete_line_counts() {
        for (tail, state) in [
            ("", State::Begun),
            ("leaving\n", State::Leaving),
            ("leaving\naw", State::Leaving),
            ("leaving\naway\n", State::Away),
            ("leaving\naway\nreturning\n", State::Returning),
        ] {
            let (stamp, work, found) = parse(format!("{HEAD}{tail}").as_bytes()).unwrap();
            assert_eq!(found, state, "{tail}");
            assert_eq!((&*stamp.boot, &*stamp.mount), ("b", "7"));
            assert_eq!(work, Path::new("/kaniko/work-x"));
        }
    }

    #[test]
    fn a_lock_is_free_when_it_is_dropped_though_a_new_process_has_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let root = RootDir::open(directory.path()).unwrap();
        let stamp = Stamp::now(directory.path()).unwrap();
        let journal = Journal::create(&root, &stamp, Path::new("/nowhere")).unwrap();
        journal.file().try_lock().unwrap();
        let of_new_process = journal.file().try_clone().unwrap();
        drop(journal);
        let (journal, _) = Journal::open(&root).unwrap().unwrap();
        journal.file().try_lock().unwrap();
        drop(of_new_process);
    }

    #[test]
    fn what_is_no_journal_is_none() {
        for text in [
            "",
            "\n",
            "kigumi former root 1\n",
            "kigumi former root 2\nboot b\nmount 7\nwork w\naway\n",
            "kigumi former root 1\nboot b\nmount 7\nwork w\nelsewhere\n",
        ] {
            assert!(parse(text.as_bytes()).is_none(), "{text}");
        }
    }
}
