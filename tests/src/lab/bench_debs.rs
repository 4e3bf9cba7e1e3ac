//! Sixty packages of Debian for a benchmark that installs them: fetched from the mirror once, then kept by the lab.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::Lab;
use crate::tool;

/// That of the small base.
const SUITE: &str = "bookworm";

/// Node.js and friends. With what they depend on, and a minimal Debian does not have, they are sixty.
const PACKAGES: &str = "nodejs node-typescript node-semver node-rimraf node-mkdirp node-lodash node-async \
    git make patch curl unzip zip xz-utils file less libsasl2-modules";

const COUNT: usize = 60;

/// A directory of `.deb` files that `dpkg -i` can install together upon the small base.
pub(super) fn directory(lab: &Lab) -> Result<PathBuf> {
    let _lock = lab.state().lock("base")?;
    let kept = lab
        .state()
        .directory("cache")?
        .join(format!("bench-debs-{SUITE}"));
    if kept.is_dir() {
        return Ok(kept);
    }
    let fetched = lab.temp_dir()?;
    // What the minimal Debian itself was made of lies in the same directory.
    let install = format!(
        "rm -f \"$1\"/var/cache/apt/archives/*.deb; APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get --yes --no-install-recommends --download-only install {PACKAGES}"
    );
    let keep = format!(
        "cp \"$1\"/var/cache/apt/archives/*.deb {}/",
        fetched.path().display()
    );
    let mut command = Command::new("mmdebstrap");
    command.args(["--quiet", "--variant=minbase", "--mode=root"]);
    command.args(["--format=null", "--aptopt=Acquire::Languages \"none\""]);
    command.arg(format!("--customize-hook={install}"));
    command.arg(format!("--customize-hook={keep}"));
    command.env("TMPDIR", lab.state().path("tmp"));
    command.args([SUITE, "/dev/null"]);
    tool::again(|| tool::run(&mut command)).context("fetch the packages of the benchmark")?;
    let count = fs::read_dir(fetched.path())
        .context("list packages")?
        .count();
    ensure!(
        count == COUNT,
        "{count} packages were fetched instead of {COUNT}: the list in bench_debs.rs is to be mended"
    );
    fs::rename(fetched.keep(), &kept).context("keep the packages of the benchmark")?;
    Ok(kept)
}
