//! The crate against real directories. Simulated RUNs are shell scripts.

mod fixture;
mod hostile;
mod keeping;
mod list;
mod placing;
mod scanning;
mod unlucky;
mod unpacking;

pub(crate) use fixture::require_root;
