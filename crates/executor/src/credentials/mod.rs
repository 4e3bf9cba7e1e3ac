//! The credentials of registries: where they are looked for, and what keeps RUN from finding them.
//!
//! *Enters*: variables, files, `--credential-helpers`. *Leaves*: a keychain for the registry client ([`keychain`]), and a pod without the files as
//! long as RUN steps have it ([`Shield`]). *Never happens here*: a value in an error, a log, a `Debug`.

mod files;
mod shield;
mod sources;

pub(crate) use files::{credential_files, program_path};
pub(crate) use shield::{Shield, exposed};
pub(crate) use sources::keychain;
