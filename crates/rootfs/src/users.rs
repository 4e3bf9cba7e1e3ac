//! Users and groups as the *image* knows them: parsers of its `passwd` and `group`, and what a `USER` or `--chown` means there.

/// Who a process of the image runs as.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Credentials {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// All groups for `setgroups`, the primary one first.
    pub groups: Vec<u32>,
    /// Home directory of the passwd entry; `None` when there is no entry, or it names none.
    pub home: Option<Vec<u8>>,
}

/// Owner and group of files.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Owner {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// Why a `USER` has no meaning in an image. The texts are those of the field (dockerfile.md § 5.3).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UserError {
    /// No such user.
    #[error("unable to find user {name}: no matching entries in passwd file")]
    UnknownUser {
        /// As it was written.
        name: String,
    },
    /// No such group.
    #[error("unable to find group {name}: no matching entries in group file")]
    UnknownGroup {
        /// As it was written.
        name: String,
    },
    /// A number that is not an id.
    #[error("uids and gids must be in range 0-2147483647")]
    OutOfRange,
}

/// The users and groups of an image. Lines that make no sense are passed over (T-USER-06).
#[derive(Clone, Default, Debug)]
pub struct UserDatabase {}

impl UserDatabase {
    /// Reads the bytes of `/etc/passwd` and `/etc/group`; empty where the image has none.
    pub fn parse(_passwd: &[u8], _group: &[u8]) -> Self {
        todo!()
    }

    /// Who a RUN under `USER spec` is. Empty means root.
    ///
    /// # Errors
    /// [`UserError`] for names that are not there.
    pub fn credentials(&self, _spec: &[u8]) -> Result<Credentials, UserError> {
        todo!()
    }

    /// Whose the files of `--chown=spec` are. Names that are not there are 0 (dockerfile.md § 6.1).
    ///
    /// # Errors
    /// [`UserError::OutOfRange`].
    pub fn owner(&self, _spec: &[u8]) -> Result<Owner, UserError> {
        todo!()
    }
}
