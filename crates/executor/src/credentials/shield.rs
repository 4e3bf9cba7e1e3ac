//! Files with credentials that RUN must not find: those on the root filesystem are taken away while RUN steps have it, and put back exactly.
//!
//! A RUN as root finds whatever lies anywhere on the disk, so the bytes wait in our memory, which it cannot read.

use std::ffi::OsString;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use kigumi_registry::keychain::{DockerConfig, Helpers};
use kigumi_rootfs::Mounts;
use rustix::fs::{
    AtFlags, Mode, OFlags, Timespec, Timestamps, futimens, openat, renameat, unlinkat,
};
use zeroize::Zeroizing;

use super::credential_files;
use crate::cli::Environment;
use crate::error::{BuildError, chain};
use crate::report::Events;

/// No `config.json` is larger, in bytes; what is, is left alone and told.
const LONGEST: u64 = 1 << 20;
/// The name of the file while it is written back.
const TEMPORARY: &str = ".kigumi-restored";
/// Variables that name files with keys or tokens.
const NAMED: [&str; 6] = [
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AZURE_CLIENT_CERTIFICATE_PATH",
    "AZURE_FEDERATED_TOKEN_FILE",
    "GOOGLE_APPLICATION_CREDENTIALS",
];

/// Files that are away; they come back when this is dropped, however the build ended.
#[derive(Debug)]
pub(crate) struct Shield {
    hidden: Vec<Hidden>,
    events: Events,
}

struct Hidden {
    path: PathBuf,
    name: OsString,
    /// Open since before: whatever a RUN puts at its path, the file is not written there.
    directory: File,
    directory_was: Metadata,
    was: Metadata,
    bytes: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Hidden({})", self.path.display())
    }
}

impl Shield {
    /// Takes the credential files away that lie on the root filesystem itself, and the `key` that signs entries of the cache. What is mounted stays: another container of the pod may use it.
    ///
    /// # Errors
    /// [`BuildError::CredentialFile`] when one cannot be taken away; those before it are back then.
    pub(crate) fn raise(
        environment: &Environment,
        key: Option<&Path>,
        events: &Events,
    ) -> Result<Self, BuildError> {
        let mounts = mounts()?;
        let mut shield = Self {
            hidden: Vec::new(),
            events: events.clone(),
        };
        for path in wanted(environment, key) {
            // A link may lead into a mount, as those of Secrets do.
            let Ok(path) = path.canonicalize() else {
                continue;
            };
            if is_mounted(&mounts, &path) {
                continue;
            }
            let failed = |source| BuildError::CredentialFile {
                operation: "keep RUN from the credentials in",
                path: path.clone(),
                source,
            };
            shield.hidden.extend(Hidden::take(&path).map_err(failed)?);
        }
        Ok(shield)
    }

    /// Removes every credential file for good (`--consume-credentials`).
    ///
    /// # Errors
    /// [`BuildError::CredentialFile`] when one cannot be removed, as on the read-only volume of a Secret.
    pub(crate) fn consume(environment: &Environment) -> Result<(), BuildError> {
        for path in credential_files(environment) {
            match std::fs::remove_file(&path) {
                Ok(()) => {}
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                    ) => {}
                Err(source) => {
                    return Err(BuildError::CredentialFile {
                        operation: "--consume-credentials: remove",
                        path,
                        source,
                    });
                }
            }
        }
        Ok(())
    }
}

impl Drop for Shield {
    fn drop(&mut self) {
        for hidden in self.hidden.drain(..) {
            if let Err(error) = hidden.put_back() {
                let path = hidden.path.display();
                let why = chain(&error);
                self.events.warn(format!(
                    "`{path}` was taken away from RUN and cannot be put back: {why}"
                ));
            }
        }
    }
}

impl Hidden {
    /// `None` for what is no small regular file.
    fn take(path: &Path) -> io::Result<Option<Self>> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Ok(None);
        };
        let was = path.symlink_metadata()?;
        if !was.is_file() || was.len() > LONGEST {
            return Ok(None);
        }
        let directory = OpenOptions::new()
            .read(true)
            .custom_flags(i32::try_from(OFlags::DIRECTORY.bits()).unwrap_or_default())
            .open(parent)?;
        let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(was.len()).unwrap_or(0)));
        File::open(path)?.take(LONGEST).read_to_end(&mut bytes)?;
        let directory_was = directory.metadata()?;
        unlinkat(&directory, name, AtFlags::empty())?;
        Ok(Some(Self {
            path: path.to_owned(),
            name: name.to_owned(),
            directory,
            directory_was,
            was,
            bytes,
        }))
    }

    /// Content, owner, mode and times as they were, those of the directory too.
    fn put_back(&self) -> io::Result<()> {
        let there = self.path.parent().map(std::fs::metadata).transpose()?;
        let same = |found: Metadata| {
            (found.dev(), found.ino()) == (self.directory_was.dev(), self.directory_was.ino())
        };
        if !there.is_some_and(same) {
            return Err(io::Error::other("a RUN has moved its directory"));
        }
        let flags =
            OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match unlinkat(&self.directory, TEMPORARY, AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => {}
            Err(errno) => return Err(errno.into()),
        }
        let opened = openat(&self.directory, TEMPORARY, flags, Mode::RUSR | Mode::WUSR)?;
        let mut file = File::from(opened);
        file.write_all(&self.bytes)?;
        fchown(&file, Some(self.was.uid()), Some(self.was.gid()))?;
        file.set_permissions(self.was.permissions())?;
        futimens(&file, &times(&self.was))?;
        renameat(&self.directory, TEMPORARY, &self.directory, &self.name)?;
        futimens(&self.directory, &times(&self.directory_was))?;
        Ok(())
    }
}

fn times(metadata: &Metadata) -> Timestamps {
    Timestamps {
        last_access: Timespec {
            tv_sec: metadata.atime(),
            tv_nsec: metadata.atime_nsec(),
        },
        last_modification: Timespec {
            tv_sec: metadata.mtime(),
            tv_nsec: metadata.mtime_nsec(),
        },
    }
}

fn mounts() -> Result<Mounts, BuildError> {
    Mounts::read().map_err(BuildError::root("find the mounted credentials"))
}

/// Whether something else than the root filesystem holds it.
fn is_mounted(mounts: &Mounts, path: &Path) -> bool {
    mounts
        .holding(path)
        .is_some_and(|mount| mount.point != Path::new("/"))
}

/// What is to be taken away: nobody needs it again, for it was read at the start.
fn wanted(environment: &Environment, key: Option<&Path>) -> Vec<PathBuf> {
    let key = key.map(Path::to_owned);
    credential_files(environment)
        .into_iter()
        .chain(key)
        .collect()
}

/// Files with credentials that a RUN can read all the same, the `key` of the cache among them.
pub(crate) fn exposed(environment: &Environment, key: Option<&Path>) -> Vec<PathBuf> {
    let named = NAMED
        .iter()
        .filter_map(|name| environment.variables.get(*name));
    let named = named.filter(|text| !text.is_empty()).map(PathBuf::from);
    let named = named.chain(key.map(Path::to_owned));
    let configs = credential_files(environment);
    let configs = configs.into_iter().filter(|path| holds_credentials(path));
    configs.chain(named.filter(|path| path.is_file())).collect()
}

fn holds_credentials(path: &Path) -> bool {
    let Ok(bytes) = std::fs::read(path).map(Zeroizing::new) else {
        return false;
    };
    // What cannot be parsed was an error before.
    DockerConfig::parse("", &bytes, Helpers::none())
        .is_ok_and(|config| config.own_credentials().next().is_some())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// Type, mode, owner and modification time.
    type Look = (u32, u32, u32, i64, i64);

    /// A file, its directory, and the content.
    fn look(path: &Path) -> ([Look; 2], Vec<u8>) {
        let of = |path: &Path| {
            let found = path.symlink_metadata().unwrap();
            (
                found.mode(),
                found.uid(),
                found.gid(),
                found.mtime(),
                found.mtime_nsec(),
            )
        };
        (
            [of(path), of(path.parent().unwrap())],
            fs::read(path).unwrap(),
        )
    }

    fn file() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(".docker/config.json");
        fs::create_dir(path.parent().unwrap()).unwrap();
        fs::write(&path, "{\"auths\":{}}").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        (directory, path)
    }

    fn shield(path: &Path) -> Shield {
        Shield {
            hidden: Hidden::take(path).unwrap().into_iter().collect(),
            events: Events::new(|_| {}),
        }
    }

    #[test]
    fn a_file_is_away_and_comes_back_exactly_as_it_was() {
        let (_directory, path) = file();
        let before = look(&path);
        let shield = shield(&path);
        assert!(!path.exists());
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 0);
        drop(shield);
        assert_eq!(look(&path), before);
    }

    #[test]
    fn whatever_a_run_puts_in_its_place_gives_way() {
        let (directory, path) = file();
        let before = look(&path);
        let shield = shield(&path);
        fs::write(directory.path().join("target"), "theirs").unwrap();
        std::os::unix::fs::symlink(directory.path().join("target"), &path).unwrap();
        let temporary = path.with_file_name(TEMPORARY);
        std::os::unix::fs::symlink(directory.path().join("target"), temporary).unwrap();
        drop(shield);
        assert_eq!(look(&path), before);
        assert_eq!(
            fs::read(directory.path().join("target")).unwrap(),
            b"theirs"
        );
    }

    #[test]
    fn credentials_are_not_written_to_where_a_run_has_led() {
        let (directory, path) = file();
        let shield = shield(&path);
        let elsewhere = directory.path().join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        rustix::fs::rename(path.parent().unwrap(), directory.path().join("moved")).unwrap();
        std::os::unix::fs::symlink(&elsewhere, path.parent().unwrap()).unwrap();
        drop(shield);
        for place in ["elsewhere", "moved"] {
            let left = fs::read_dir(directory.path().join(place)).unwrap();
            assert_eq!(left.count(), 0, "{place}");
        }
    }

    #[test]
    fn consumed_files_are_gone() {
        let (_directory, path) = file();
        let docker = path.parent().unwrap().display().to_string();
        let environment = Environment {
            variables: [("DOCKER_CONFIG".to_owned(), docker)].into(),
            working_directory: "/".into(),
            ..Environment::default()
        };
        Shield::consume(&environment).unwrap();
        assert!(!path.exists());
        Shield::consume(&environment).unwrap();
        fs::create_dir(&path).unwrap();
        let error = Shield::consume(&environment).unwrap_err().to_string();
        assert!(error.contains("--consume-credentials"), "{error}");
    }

    #[test]
    fn only_files_with_credentials_are_told() {
        let (_directory, path) = file();
        let docker = path.parent().unwrap().display().to_string();
        let token = path.with_file_name("token");
        fs::write(&token, "x").unwrap();
        let variables = [
            ("DOCKER_CONFIG", docker.as_str()),
            ("AZURE_FEDERATED_TOKEN_FILE", token.to_str().unwrap()),
            ("GOOGLE_APPLICATION_CREDENTIALS", "/no/such/file"),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let environment = Environment {
            variables: variables.into(),
            working_directory: "/".into(),
            ..Environment::default()
        };
        assert_eq!(exposed(&environment, None), std::slice::from_ref(&token));
        fs::write(&path, r#"{"auths":{"a":{"auth":"dTpw"}}}"#).unwrap();
        assert_eq!(exposed(&environment, None), [path.clone(), token.clone()]);
        let key = path.with_file_name("key");
        assert_eq!(exposed(&environment, Some(&key)).len(), 2);
        fs::write(&key, "x").unwrap();
        assert_eq!(
            exposed(&environment, Some(&key)),
            [path.clone(), token, key.clone()]
        );
        assert_eq!(wanted(&environment, Some(&key)), [path, key]);
    }
}
