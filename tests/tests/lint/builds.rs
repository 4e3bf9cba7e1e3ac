//! Rules at the start of a build, and base images that a check asks for.

use std::fs;

use anyhow::{Result, ensure};
use kigumi_tests::{ImageBuilder, Lab};
use serde_json::json;

use crate::executor;

/// Fires rules of every kind.
const QUESTIONABLE: &str = "FROM scratch AS Base\nENV a b\nCOPY f g /d\nCMD run\nCMD run again\n";

/// T-LINT-06.
#[test]
fn findings_do_not_change_the_image() -> Result<()> {
    let directory = tempfile::tempdir()?;
    fs::write(directory.path().join("Dockerfile"), QUESTIONABLE)?;
    fs::write(directory.path().join("f"), "1")?;
    fs::write(directory.path().join("g"), "2")?;
    let mut digests = Vec::new();
    for mode in ["--lint=off", "--lint=warn"] {
        let words = [
            "--context=.",
            "--no-push",
            "--source-date-epoch=1",
            "--digest-file=digest",
            mode,
        ];
        let output = executor(directory.path(), &words)?;
        ensure!(output.code == Some(0), "{}", output.stderr);
        let told = output.stderr.matches("warning:").count();
        ensure!(
            (mode == "--lint=off") == (told == 0),
            "{mode}: {}",
            output.stderr
        );
        digests.push(fs::read_to_string(directory.path().join("digest"))?);
    }
    ensure!(digests.first() == digests.last(), "{digests:?}");
    Ok(())
}

/// T-LINT-03.
#[test]
fn a_build_that_is_to_fail_fails_before_it_begins() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let text = format!("# check=error=true\n{QUESTIONABLE}");
    fs::write(directory.path().join("Dockerfile"), text)?;
    let words = ["--context=.", "--no-push", "--oci-layout-path=out"];
    let output = executor(directory.path(), &words)?;
    ensure!(
        output.code == Some(42),
        "{:?} {}",
        output.code,
        output.stderr
    );
    let wanted = "lint violation found for rules: ";
    ensure!(output.stderr.contains(wanted), "{}", output.stderr);
    ensure!(!directory.path().join("out").exists());
    Ok(())
}

#[test]
fn a_check_says_with_its_exit_code_what_it_found() -> Result<()> {
    let directory = tempfile::tempdir()?;
    for (text, flags, wanted) in [
        ("FROM scratch\n", "--format=text", 0),
        ("FROM scratch AS X\n", "--format=json", 0),
        ("FROM scratch AS X\n", "--lint-threshold=info", 1),
        ("FROM scratch\nARG my_token\n", "--format=gitlab", 1),
        (
            "# check=error=true\nFROM scratch AS X\n",
            "--format=sarif",
            1,
        ),
        ("FROM scratch\nCOPPY a /\n", "--format=checkstyle", 2),
        ("# check=nonsense\nFROM scratch\n", "--format=text", 2),
        ("FROM scratch\n", "--no-such-flag", 2),
    ] {
        fs::write(directory.path().join("Dockerfile"), text)?;
        let output = executor(directory.path(), &["lint", "--offline", flags])?;
        ensure!(
            output.code == Some(wanted),
            "{text} {flags}: {:?} {}",
            output.code,
            output.stderr
        );
    }
    Ok(())
}

#[test]
fn a_check_knows_what_the_base_image_sets() -> Result<()> {
    let lab = Lab::get()?;
    let name = Lab::unique_name("lint-base");
    ImageBuilder::new(lab)?
        .setting("Env", json!(["KNOWN=1"]))
        .setting("OnBuild", json!(["ENV trigger fired"]))
        .push(lab.plain(), &name)?;
    let directory = tempfile::tempdir()?;
    let reference = lab.destination(&name);
    let text = format!("FROM {reference}\nLABEL a=$KNOWN b=$UNKNOWN\nCOPY hidden /\n");
    fs::write(directory.path().join("Dockerfile"), text)?;
    fs::write(directory.path().join(".dockerignore"), "hidden\n")?;
    let flag = format!("--insecure-registry={}", lab.plain().address());
    let output = executor(directory.path(), &["lint", "--context=.", &flag])?;
    ensure!(
        output.code == Some(1),
        "{:?} {}",
        output.code,
        output.stderr
    );
    for wanted in [
        "UndefinedVar",
        "$UNKNOWN",
        "LegacyKeyValueFormat",
        "CopyIgnoredFile",
    ] {
        ensure!(
            output.stdout.contains(wanted),
            "{wanted}: {}",
            output.stdout
        );
    }
    ensure!(
        !output.stdout.contains("`$KNOWN` is not"),
        "{}",
        output.stdout
    );
    // Without an answer the rule is silent, and somebody is told why.
    let output = executor(directory.path(), &["lint", "--context=.", "--offline"])?;
    ensure!(!output.stdout.contains("UndefinedVar"), "{}", output.stdout);
    Ok(())
}
