//! What a registry may make us hold or wait for. Constants here are defaults by decision, not by any specification:
//! larger values let a hostile registry cost more memory, smaller ones refuse images that exist.

use std::time::Duration;

/// A manifest or an index, in bytes. Registries of the field refuse larger ones on push.
pub(crate) const MANIFEST: u64 = 4 * 1024 * 1024;
/// Any other JSON that is read into memory: image configs, token responses, `config.json`.
pub(crate) const JSON: u64 = 8 * 1024 * 1024;
/// Files in an archive of an image. Real ones have a few for every layer.
pub(crate) const ARCHIVED_FILES: usize = 65_536;
/// What is read of the body of an error answer, in bytes.
pub(crate) const ERROR_BODY: u64 = 64 * 1024;
/// What of a registry's own words enters an error message, in characters.
pub(crate) const ERROR_TEXT: usize = 1024;
/// Indexes inside indexes.
pub(crate) const INDEX_DEPTH: usize = 4;
/// Redirects of one request.
pub(crate) const REDIRECTS: usize = 10;
/// A `Retry-After` that is honoured; a longer one ends the attempts.
pub(crate) const RETRY_AFTER: Duration = Duration::from_mins(5);
/// How long something is tried again without getting any further.
pub(crate) const RETRYING: Duration = Duration::from_mins(10);
/// A `WWW-Authenticate` header, in bytes.
pub(crate) const CHALLENGE: usize = 8 * 1024;
/// What a spool's reader asks of the file at once, in bytes: large enough that a system call costs nothing beside the
/// copy, small enough that a dozen transfers stay in a few MiB.
pub(crate) const CHUNK: usize = 256 * 1024;
