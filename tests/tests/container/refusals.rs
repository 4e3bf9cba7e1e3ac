//! What cannot be built is refused before anything is done, with the line and the name of it.

use anyhow::{Result, ensure};
use kigumi_tests::{Context, Lab, Outcome, Pod};

fn refused(dockerfile: &str, arguments: &[&str]) -> Result<Outcome> {
    let lab = Lab::get()?;
    let outcome = Pod::new(lab)
        .context(Context::new(lab)?.file("file", "x")?)
        .dockerfile(dockerfile.replace("{busybox}", &lab.busybox()?))
        .args(["--no-push"])
        .args(arguments.iter().copied())
        .run()?;
    outcome.exits_with(1)?;
    ensure!(
        !outcome.to_string().contains("was-run"),
        "a RUN before the refusal\n{outcome}"
    );
    Ok(outcome)
}

/// Lines after `FROM` and a RUN that must not happen, and what the error must say.
#[test]
fn what_is_not_supported_yet_is_named_with_its_line() -> Result<()> {
    for (line, words) in [
        ("RUN --network=host true", "--allow=network.host"),
        ("RUN --security=insecure true", "--allow=security.insecure"),
        (
            "ADD ssh://git@example.invalid/x.git /",
            "ssh://git@example.invalid/x.git",
        ),
        (
            "ADD --keep-git-dir=false https://example.invalid/x.git?keep-git-dir=true /",
            "keep-git-dir",
        ),
        (
            "ADD --checksum=sha256:00 https://example.invalid/x /",
            "checksum",
        ),
    ] {
        let outcome = refused(
            &format!("FROM {{busybox}}\nRUN echo was-'run'\n{line}\n"),
            &[],
        )?;
        outcome.says(words)?.says("Dockerfile:3")?;
    }
    Ok(())
}

// T-PARSE-18
#[test]
fn mistakes_are_shown_with_their_excerpt() -> Result<()> {
    for (line, words) in [
        ("COPYY file /", "COPYY"),
        ("COPY --from=nowhere file /", "nowhere"),
        ("COPY file", "COPY"),
        ("EXPOSE not-a-port", "not-a-port"),
    ] {
        let outcome = refused(
            &format!("FROM {{busybox}}\nRUN echo was-'run'\n{line}\n"),
            &[],
        )?;
        outcome.says(words)?.says("Dockerfile:3")?;
    }
    Ok(())
}

// K-CLI-02, K-CLI-03
#[test]
fn flags_that_make_no_sense_are_errors() -> Result<()> {
    for (arguments, words) in [
        (&["--no-such-flag"][..], "no-such-flag"),
        (&["--insecure", "true"][..], "true"),
        (&["--cache=true"][..], "cache"),
        (&["--compression=lzma"][..], "lzma"),
        (&["--target", "nowhere"][..], "nowhere"),
        (&["--build-arg"][..], "build-arg"),
    ] {
        refused("FROM {busybox}\nRUN echo was-'run'\n", arguments)?.says(words)?;
    }
    Ok(())
}

// K-EXIT-03
#[test]
fn sources_and_bases_that_do_not_exist_are_named() -> Result<()> {
    for (dockerfile, words) in [
        ("FROM {busybox}\nCOPY missing /\n", "missing"),
        ("FROM {busybox}-missing\nRUN true\n", "missing"),
        (
            "FROM {busybox}\nCOPY --from={busybox} /no/such/file /\n",
            "/no/such/file",
        ),
    ] {
        refused(dockerfile, &[])?.says(words)?;
    }
    Ok(())
}

// T-USER-04
#[test]
fn a_user_that_does_not_exist_is_named() -> Result<()> {
    let lab = Lab::get()?;
    let outcome = Pod::new(lab)
        .dockerfile(format!(
            "FROM {}\nUSER nobody-of-this-name\nRUN true\n",
            lab.busybox()?
        ))
        .args(["--no-push"])
        .run()?;
    outcome.exits_with(1)?.says("nobody-of-this-name")?;
    Ok(())
}
