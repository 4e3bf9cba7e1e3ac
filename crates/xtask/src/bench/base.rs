//! The two bases, in repositories that nobody else reads while it is measured.

use anyhow::Result;
use kigumi_tests::Lab;

use super::workload::Bases;

/// The small base is one layer of minimal Debian, the large one Debian with compilers, interpreters and a JDK in eight.
pub(super) fn bases(lab: &Lab, needs_big: bool) -> Result<Bases> {
    let small = lab.bench_small()?;
    let big = if needs_big {
        lab.bench_big()?
    } else {
        small.clone()
    };
    Ok(Bases { small, big })
}
