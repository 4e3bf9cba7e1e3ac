//! One module for each target; each begins with what must hold.

mod archive;
mod copy;
mod ignore;
mod outline;
mod parse;
mod plan;
mod tar;
mod word;

pub use archive::archive;
pub use copy::copy;
pub use ignore::ignore;
pub use outline::outline;
pub use parse::parse;
pub use plan::plan;
pub use tar::tar;
pub use word::word;

/// A target: its name and the function.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 8] = [
    ("parse", parse),
    ("word", word),
    ("ignore", ignore),
    ("plan", plan),
    ("copy", copy),
    ("tar", tar),
    ("archive", archive),
    ("outline", outline),
];

/// The parts of an input: what lies between NUL bytes. There are always `N`; missing ones are empty.
fn parts<const N: usize>(data: &[u8]) -> [&[u8]; N] {
    let mut parts = data.splitn(N, |byte| *byte == 0);
    std::array::from_fn(|_| parts.next().unwrap_or_default())
}
