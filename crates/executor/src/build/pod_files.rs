//! `/etc/hosts`, `/etc/resolv.conf` and `/etc/hostname`: files that the kubelet mounts. A RUN sees them, and may edit them as long as it
//! runs; afterwards they are as they were (T-RUN-07). `--add-host` is such an edit of ours.

use std::fs::{File, Metadata, OpenOptions, Permissions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use kigumi_rootfs::Mounts;

use crate::cli::ExtraHost;
use crate::error::BuildError;

const HOSTS: &str = "etc/hosts";
const FILES: [&str; 3] = [HOSTS, "etc/resolv.conf", "etc/hostname"];

/// More than any of them has, in bytes. What is longer is left alone.
const LONGEST: u64 = 1 << 20;

/// The files of the pod while a RUN has them.
#[derive(Debug)]
pub(crate) struct Lent(Vec<Saved>);

#[derive(Debug)]
struct Saved {
    path: PathBuf,
    /// Open since before the RUN: the mount point, whatever the RUN puts above it.
    file: File,
    metadata: Metadata,
    text: Vec<u8>,
}

fn failed(verb: &str, path: &Path) -> impl Fn(io::Error) -> BuildError {
    let operation = format!("{verb} `{}`", path.display());
    move |source| BuildError::Furnish {
        operation: operation.clone(),
        source,
    }
}

/// Remembers how the files of the pod are, and adds the hosts.
pub(crate) fn lend(root: &Path, hosts: &[ExtraHost]) -> Result<Lent, BuildError> {
    let mounts = Mounts::read().map_err(BuildError::root("find the files of the pod"))?;
    let is_mount = |path: &PathBuf| mounts.at(path).is_some_and(|mount| !mount.read_only);
    let places = FILES.map(|name| root.join(name));
    let mut lent = Lent(Vec::new());
    for path in places.into_iter().filter(is_mount) {
        lent.0
            .extend(Saved::of(&path).map_err(failed("read", &path))?);
    }
    if !hosts.is_empty() {
        let place = root.join(HOSTS);
        let Some(saved) = lent.0.iter_mut().find(|saved| saved.path == place) else {
            return Err(failed("write the names of --add-host to", &place)(
                io::Error::other(
                    "it is not a writable file of the pod (is its root filesystem read-only?)",
                ),
            ));
        };
        saved
            .append(hosts)
            .map_err(failed("write the names of --add-host to", &place))?;
    }
    Ok(lent)
}

impl Lent {
    /// Undoes whatever happened to them.
    pub(crate) fn give_back(mut self) -> Result<(), BuildError> {
        self.undo()
    }

    fn undo(&mut self) -> Result<(), BuildError> {
        for mut saved in self.0.drain(..) {
            let path = saved.path.clone();
            saved.restore().map_err(failed("restore", &path))?;
        }
        Ok(())
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        // When something else went wrong before `give_back`, that is what the user must hear of.
        drop(self.undo());
    }
}

impl Saved {
    /// `None` for what is no small regular file.
    fn of(path: &Path) -> io::Result<Option<Self>> {
        if !std::fs::metadata(path)?.is_file() {
            return Ok(None);
        }
        let mut file = match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => file,
            // What we may not write, a RUN of ours does not write either.
            Err(error) if is_refusal(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        let metadata = file.metadata()?;
        if metadata.len() > LONGEST {
            return Ok(None);
        }
        Ok(Some(Self {
            path: path.to_owned(),
            text: read(&mut file)?,
            file,
            metadata,
        }))
    }

    fn append(&mut self, hosts: &[ExtraHost]) -> io::Result<()> {
        let mut text = self.text.clone();
        if text.last().is_some_and(|last| *last != b'\n') {
            text.push(b'\n');
        }
        for host in hosts {
            text.extend(format!("{}\t{}\n", host.address, host.name).into_bytes());
        }
        self.write(&text)
    }

    fn restore(&mut self) -> io::Result<()> {
        if read(&mut self.file)? != self.text {
            let text = std::mem::take(&mut self.text);
            self.write(&text)?;
        }
        let (was, is) = (&self.metadata, self.file.metadata()?);
        if (was.uid(), was.gid()) != (is.uid(), is.gid()) {
            fchown(&self.file, Some(was.uid()), Some(was.gid()))?;
        }
        if was.mode() != is.mode() {
            self.file
                .set_permissions(Permissions::from_mode(was.mode()))?;
        }
        Ok(())
    }

    fn write(&mut self, text: &[u8]) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.file.write_all(text)
    }
}

fn read(file: &mut File) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    file.rewind()?;
    file.take(LONGEST).read_to_end(&mut text)?;
    Ok(text)
}

fn is_refusal(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str, address: &str) -> ExtraHost {
        ExtraHost {
            name: name.to_owned(),
            address: address.parse().unwrap(),
        }
    }

    fn lent(path: &Path, hosts: &[ExtraHost]) -> Lent {
        let mut saved = Saved::of(path).unwrap().unwrap();
        saved.append(hosts).unwrap();
        Lent(vec![saved])
    }

    #[test]
    fn hosts_are_lines_behind_what_is_there_and_gone_afterwards() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("hosts");
        for before in ["", "127.0.0.1\tlocalhost\n", "127.0.0.1 localhost"] {
            std::fs::write(&path, before).unwrap();
            let hosts = [host("a.example", "10.0.0.1"), host("b", "::1")];
            let lent = lent(&path, &hosts);
            let during = std::fs::read_to_string(&path).unwrap();
            let lines: Vec<&str> = during.lines().collect();
            assert!(
                lines.ends_with(&["10.0.0.1\ta.example", "::1\tb"]),
                "{during:?}"
            );
            assert_eq!(lines.len(), before.lines().count() + 2);
            lent.give_back().unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), before);
        }
    }

    #[test]
    fn whatever_a_run_did_to_a_file_is_undone_t_run_07() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("resolv.conf");
        std::fs::write(&path, "nameserver 10.0.0.1\n").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        for text in ["", "nameserver 10.0.0.2 and more\n"] {
            let lent = lent(&path, &[]);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
            lent.give_back().unwrap();
            assert_eq!(
                std::fs::read_to_string(&path).unwrap(),
                "nameserver 10.0.0.1\n"
            );
            let mode = std::fs::metadata(&path).unwrap().mode();
            assert_eq!(mode & 0o7777, 0o644);
        }
    }

    #[test]
    fn a_name_without_a_file_to_put_it_in_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let error = lend(root.path(), &[host("a", "10.0.0.1")]).unwrap_err();
        assert!(error.to_string().contains("--add-host"), "{error}");
        lend(root.path(), &[]).unwrap().give_back().unwrap();
    }
}
