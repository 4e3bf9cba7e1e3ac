//! Licences, bans and sources of dependencies.

use anyhow::Result;

use crate::cargo::{cargo, run as run_command};

/// Advisories are not among the checks: their database is fetched from the network, which CI may
/// not have.
pub(crate) fn run(_arguments: &[String]) -> Result<()> {
    let installed = cargo(["deny", "--version"])
        .output()
        .is_ok_and(|output| output.status.success());
    if !installed {
        println!(
            "deny: SKIPPED, cargo-deny is not installed (`cargo install cargo-deny --locked`)"
        );
        return Ok(());
    }
    run_command(&mut cargo([
        "deny",
        "--workspace",
        "check",
        "bans",
        "licenses",
        "sources",
    ]))
}
