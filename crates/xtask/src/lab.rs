//! The lab as a chore.

use anyhow::{Result, bail};
use kigumi_tests::Lab;

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let answer = match arguments.first().map(String::as_str) {
        Some("up") => Lab::up()?,
        Some("down") => Lab::down()?,
        Some("status") => Lab::status()?,
        _ => bail!("cargo xtask lab up | down | status"),
    };
    println!("{answer}");
    Ok(())
}

pub(crate) fn executor(_arguments: &[String]) -> Result<()> {
    println!("{}", kigumi_tests::lab::build_executor()?.display());
    Ok(())
}
