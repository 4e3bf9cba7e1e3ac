//! The crate against real directories. Simulated RUNs are shell scripts.

mod abandoning;
mod fixture;
mod former;
mod hostile;
mod keeping;
mod lasting;
mod list;
mod placing;
mod rollback;
mod scanning;
mod unlucky;
mod unpacking;

pub(crate) use fixture::require_root;
