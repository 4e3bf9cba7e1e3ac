//! What nobody can do without, by plain tools.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

/// Fetches, inflates and extracts layers, two at once, each into a directory of its own; compresses, hashes and sends what is new.
///
/// `fetched` are URLs, `made` files of tar, `uploads` is where a registry takes blobs, and `place` an empty directory.
pub(super) fn command(
    place: &Path,
    fetched: &[String],
    made: &[std::path::PathBuf],
    uploads: &str,
) -> Result<Command> {
    fs::write(place.join("fetch"), fetched.join("\n")).context("write a list")?;
    let made = made.iter().map(|path| path.to_string_lossy());
    let made = made.collect::<Vec<_>>().join("\n");
    fs::write(place.join("send"), made).context("write a list")?;
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c", SCRIPT, "limit", uploads]);
    command.current_dir(place);
    Ok(command)
}

const SCRIPT: &str = r#"
export uploads=$1
unpack() { mkdir "unpacked-${1##*:}"; curl -sSf --noproxy '*' "$1" | pigz -dc | tar -x --numeric-owner -C "unpacked-${1##*:}"; }
send() {
  pigz -c "$1" | tee packed | sha256sum > digest
  sha256sum "$1" > diff_id
  location=$(curl -sSf --noproxy '*' -o /dev/null -D - -X POST -H 'Content-Length: 0' "$uploads" | sed -n 's/\r$//; s/^[Ll]ocation: //p')
  case $location in /*) location="${uploads%%/v2/*}$location";; esac
  joint='?'; case $location in *\?*) joint='&';; esac
  curl -sSf --noproxy '*' -T packed -H 'Content-Type: application/octet-stream' "$location${joint}digest=sha256:$(cut -d' ' -f1 digest)"
}
export -f unpack send
xargs -r -P2 -I{} bash -euo pipefail -c 'unpack {}' < fetch
xargs -r -I{} bash -euo pipefail -c 'send {}' < send
"#;

/// What this needs besides the lab's own tools.
pub(super) fn ensure_tools() -> Result<()> {
    for tool in ["pigz", "curl"] {
        let found = Command::new(tool)
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        ensure!(
            found.is_ok(),
            "the bench needs {tool}: apt-get install {tool}"
        );
    }
    Ok(())
}
