//! Keys of the layer cache, as pure values.
//!
//! The key of a step says what is done ([`instruction`]) to what ([`step`]). It is made of the lowered operation, so nothing enters that does
//! not decide the result: no text of the file, no LABEL, EXPOSE or CMD, no time. What the plan does not know ([`inputs`]) is asked for as values
//! ([`Identity`]). `docs/cache.md` has the table.

mod framed;
mod key;
mod operation;
mod state;
#[cfg(test)]
mod tests;

pub use framed::Framed;
pub use key::{CacheKey, MalformedKey};
pub use operation::{Identity, Input, Surroundings, inputs, instruction};
pub use state::{Lineage, files, image, scratch, step};
