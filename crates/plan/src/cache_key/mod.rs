//! Keys of the layer cache, as pure values.

mod framed;
mod key;

pub use framed::Framed;
pub use key::{CacheKey, MalformedKey};
