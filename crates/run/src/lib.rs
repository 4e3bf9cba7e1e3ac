//! Starts, confines, supervises and reaps processes; the only crate with `unsafe`.
//!
//! **Enters:** a [`ProcessSpec`] (a value that says everything about one process), an [`Output`]
//! for its bytes, a [`Cancel`]. **Leaves:** an [`Exit`], after the process *and all its
//! descendants* are dead and reaped, so that a snapshot taken next is a snapshot of something
//! that no longer moves.
//!
//! **Never happens here:** the environment, descriptors, signal dispositions or standard input of
//! the executor reach the process; a file is deleted (rule D1 of the robustness catalogue: the
//! sandbox is given a removal function); a process outside our own descendants is signalled.
//!
//! Rooms: [`supervise`] runs one process, [`init`] is what PID 1 does, [`signals`] turns SIGTERM
//! into a [`Cancel`], [`sandbox`] makes a private root on a workstation. All `unsafe` lives in
//! the private module `sys`, one call per file.
//!
//! ```
//! use kigumi_run::{Cancel, Exit, InPlace, ProcessSpec, Runner, Stream};
//!
//! # fn main() -> Result<(), kigumi_run::Error> {
//! let mut spec = ProcessSpec::new(["sh", "-c", "echo hello"]);
//! spec.env.push(("PATH".into(), "/usr/bin:/bin".into()));
//! let mut text = Vec::new();
//! let mut output = |stream: Stream, bytes: &[u8]| {
//!     if stream == Stream::Stdout {
//!         text.extend_from_slice(bytes);
//!     }
//! };
//! let exit = InPlace.run(&spec, &mut output, &Cancel::new(Cancel::DEFAULT_GRACE)?)?;
//! assert_eq!(exit, Exit::Code(0));
//! assert_eq!(text, b"hello\n");
//! # Ok(())
//! # }
//! ```

mod cancel;
mod confine;
mod error;
mod exit;
mod guard;
mod harden;
pub mod init;
mod output;
mod proc;
mod runner;
pub mod sandbox;
pub mod signals;
mod spec;
pub mod supervise;
mod sys;

pub use cancel::Cancel;
pub use confine::{
    CapabilityLimit, Confinement, Limit, NetworkAccess, missing_capabilities, parse_effective,
};
pub use error::Error;
pub use exit::Exit;
pub use guard::ReadOnly;
pub use harden::{avoid_huge_pages, harden_self, keep_no_spare_memory};
pub use output::{Output, Stream};
pub use runner::{InPlace, Runner};
pub use spec::{Credentials, ProcessSpec};
