//! What `RUN --mount=type=secret` gives a process: variables, and files that are in the root as long as the step runs (ADR 11).

use std::ffi::OsString;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;

use kigumi_dockerfile::instruction::{MountSpec, Owner};
use kigumi_layer::ImagePath;
use kigumi_plan::RunOp;
use kigumi_rootfs::{Item, Placer, Site};

use super::failed;
use super::memory::is_in_memory;
use crate::error::BuildError;
use crate::report::{BuildEvent, Events};
use crate::secrets::{SecretValue, Secrets};

/// Permissions of a secret without `mode=`. Dockerfile reference § RUN --mount=type=secret.
const MODE: u32 = 0o400;

/// How much is overwritten at once.
const BLANK: [u8; 4096] = [0; 4096];

/// The secret that a mount asks for; none when it is missing and may be (T-MNT-07).
pub(super) fn wanted<'a>(
    secrets: &'a Secrets,
    id: &str,
    required: bool,
) -> Result<Option<&'a SecretValue>, BuildError> {
    match secrets.get(id) {
        None if required => Err(BuildError::NoSecret { id: id.to_owned() }),
        found => Ok(found),
    }
}

/// The variables of `env=`. COMPAT(buildkit): a missing secret makes an empty one.
pub(super) fn variables(
    run: &RunOp,
    secrets: &Secrets,
) -> Result<Vec<(String, OsString)>, BuildError> {
    let mut variables = Vec::new();
    for mount in &run.mounts {
        let MountSpec::Secret {
            id, env, required, ..
        } = &mount.spec
        else {
            continue;
        };
        let value = wanted(secrets, id, *required)?;
        let Some(name) = env else { continue };
        let bytes = value.map(SecretValue::expose).unwrap_or_default();
        if bytes.contains(&0) {
            return Err(BuildError::SecretVariable {
                id: id.clone(),
                variable: name.clone(),
            });
        }
        variables.push((name.clone(), OsString::from_vec(bytes.to_vec())));
    }
    Ok(variables)
}

/// A secret that lies in the root. Dropping it wipes it.
#[derive(Debug)]
pub(super) struct SecretFile {
    id: String,
    file: File,
    length: u64,
    wiped: bool,
}

impl SecretFile {
    /// Makes the file where it is to be moved from.
    fn make(path: &Path, id: &str, value: &SecretValue, owner: Owner) -> io::Result<Self> {
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        let mut made = Self {
            id: id.to_owned(),
            file,
            length: u64::try_from(value.expose().len()).unwrap_or(u64::MAX),
            wiped: false,
        };
        made.file.write_all(value.expose())?;
        let (uid, gid) = (owner.uid.unwrap_or(0), owner.gid.unwrap_or(0));
        fchown(&made.file, Some(uid), Some(gid))?;
        made.file
            .set_permissions(Permissions::from_mode(owner.mode.unwrap_or(MODE)))?;
        Ok(made)
    }

    /// Overwrites the bytes where they are and makes sure that nothing else reaches a disk. Whatever names the step has given the file, it is empty then.
    fn wipe(&mut self) -> io::Result<()> {
        if std::mem::replace(&mut self.wiped, true) {
            return Ok(());
        }
        // The step may have written to it as well.
        let end = self.length.max(self.file.metadata()?.size());
        let mut offset = 0;
        while offset < end {
            let left = usize::try_from(end - offset).unwrap_or(usize::MAX);
            let blank = BLANK.get(..left.min(BLANK.len())).unwrap_or(&BLANK);
            self.file.write_all_at(blank, offset)?;
            offset += u64::try_from(blank.len()).unwrap_or(u64::MAX);
        }
        self.file.sync_data()?;
        self.file.set_len(0)
    }
}

impl Drop for SecretFile {
    fn drop(&mut self) {
        if let Err(error) = self.wipe() {
            tracing::error!(id = self.id, %error, "wipe a secret");
        }
    }
}

/// Puts a secret at its target. `number` tells the secrets of a step apart.
pub(super) fn place(
    placer: &mut Placer<'_>,
    site: &Site,
    (id, number): (&str, usize),
    (value, owner): (&SecretValue, Owner),
    events: &Events,
) -> Result<SecretFile, BuildError> {
    let placing = failed(site.path());
    let area = placer.area(site).map_err(&placing)?;
    tell_where(area, site.path(), id, events);
    let path = area.join(format!("secret-{number}"));
    let file =
        SecretFile::make(&path, id, value, owner).map_err(|source| BuildError::SecretFile {
            id: id.to_owned(),
            operation: "write it for the step",
            source,
        })?;
    let item = Item::Existing {
        path,
        returns: false,
    };
    placer.place(site, &item).map_err(&placing)?;
    Ok(file)
}

/// Without a word people would not know that there is something better.
fn tell_where(area: &Path, target: &ImagePath, id: &str, events: &Events) {
    if !is_in_memory(area) {
        events.emit(BuildEvent::Detail {
            message: format!(
                "the secret `{id}` lies at `{target}` on the filesystem of the container while the step runs; an emptyDir with `medium: Memory` at /run/secrets keeps it in memory"
            ),
        });
    }
}

/// Empties all of them, before their names are taken away.
pub(super) fn wipe(files: &mut [SecretFile]) -> Result<(), BuildError> {
    let mut result = Ok(());
    for file in files {
        if let Err(source) = file.wipe() {
            result = result.and(Err(BuildError::SecretFile {
                id: file.id.clone(),
                operation: "wipe it behind the step",
                source,
            }));
        }
    }
    result
}

/// When their names are taken away there must be none left: one that was moved or linked elsewhere would be in the layer, if empty.
pub(super) fn check_gone(files: &[SecretFile]) -> Result<(), BuildError> {
    for file in files {
        let id = || file.id.clone();
        let metadata = file
            .file
            .metadata()
            .map_err(|source| BuildError::SecretFile {
                id: id(),
                operation: "look for it behind the step",
                source,
            })?;
        if metadata.nlink() > 0 {
            return Err(BuildError::SecretMoved { id: id() });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(path: &Path, content: &[u8]) -> SecretFile {
        let value = SecretValue::new(content.to_vec());
        SecretFile::make(path, "a", &value, Owner::default()).unwrap()
    }

    #[test]
    fn a_secret_is_readable_by_its_owner_alone_unless_it_is_said_otherwise_t_mnt_06() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let file = made(&path, b"hunter22");
        assert_eq!(file.file.metadata().unwrap().mode() & 0o7777, 0o400);
        assert_eq!(std::fs::read(&path).unwrap(), b"hunter22");
    }

    #[test]
    fn a_wiped_secret_is_empty_under_every_name_that_it_was_given() {
        let directory = tempfile::tempdir().unwrap();
        let (path, other) = (directory.path().join("s"), directory.path().join("other"));
        for length in [0, 1, 4096, 10_000] {
            let mut file = made(&path, &vec![b'x'; length]);
            std::fs::hard_link(&path, &other).unwrap();
            wipe(std::slice::from_mut(&mut file)).unwrap();
            assert_eq!(std::fs::read(&other).unwrap(), b"", "{length}");
            std::fs::remove_file(&path).unwrap();
            let message = check_gone(&[file]).unwrap_err().to_string();
            assert!(message.contains("secret a:"), "{message}");
            std::fs::remove_file(&other).unwrap();
        }
    }

    #[test]
    fn a_secret_that_is_dropped_on_the_way_is_wiped_too() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        drop(made(&path, b"hunter22"));
        assert_eq!(std::fs::read(&path).unwrap(), b"");
    }

    #[test]
    fn what_a_step_has_removed_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let file = made(&path, b"hunter22");
        std::fs::remove_file(&path).unwrap();
        check_gone(&[file]).unwrap();
    }
}
