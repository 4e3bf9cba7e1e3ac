//! `RUN --mount=type=secret`: there while the step runs, gone afterwards, whatever becomes of the step.

use std::fs;

use anyhow::{Result, ensure};
use kigumi_tests::{Built, Canaries, Context, Lab, Pod};
use rustix::process::Signal;
use tempfile::TempDir;

const VALUE: &str = "a-long/secret+value with 'quotes' & more";

/// A volume with the secret `token`, as a kubelet mounts one.
fn volume(lab: &Lab) -> Result<TempDir> {
    let directory = lab.temp_dir()?;
    fs::write(directory.path().join("token"), format!("{VALUE}\n"))?;
    Ok(directory)
}

fn canaries() -> Canaries {
    Canaries::default()
        .and("secret", VALUE)
        .and("file of the secret", format!("{VALUE}\n"))
}

const FLAG: &str = "--secret=id=token,src=/secrets/token";

fn pod<'a>(lab: &'a Lab, volume: &TempDir) -> Pod<'a> {
    Pod::new(lab).mount(volume.path(), "/secrets").args([FLAG])
}

fn built(lines: &str) -> Result<Built> {
    let lab = Lab::get()?;
    let volume = volume(lab)?;
    let dockerfile = format!("FROM {}\n{lines}", lab.busybox()?);
    let context = Context::new(lab)?.file("Dockerfile", dockerfile)?;
    Built::by(pod(lab, &volume), lab, context, &[])
}

// T-MNT-05, T-MNT-06, T-MNT-09
#[test]
fn a_step_with_a_secret_leaves_no_trace_and_what_was_at_the_target_comes_back() -> Result<()> {
    let built = built(
        "RUN mkdir -m 0711 /d && echo before > /d/file && touch -d '2020-01-01 00:00:00' /d/file /d\n\
         RUN --mount=type=secret,id=token,target=/d/file grep -q a-long /d/file\n\
         RUN --mount=type=secret,id=token,target=/new/deep/file,mode=0440,uid=3,gid=4 \
             test \"$(stat -c '%F %a %u %g' /new/deep/file)\" = 'regular file 440 3 4'\n\
         RUN --mount=type=secret,id=token rm /run/secrets/token\n\
         RUN test \"$(cat /d/file; stat -c '%a %Y' /d /d/file)\" = \"$(printf 'before\\n711 1577836800\\n644 1577836800')\" && \
             test ! -e /new && test ! -e /run/secrets/token && touch /last\n",
    )?;
    let layers = &built.image.layers;
    let names: Vec<usize> = layers.iter().map(|layer| layer.entries.len()).collect();
    let (_, ours) = names.split_at(names.len() - 5);
    ensure!(ours == [2, 0, 0, 0, 1], "{names:?}");
    built.has("/d/file", "f 0644 0:0")
}

/// What a step does with its secret, the exit code of the build, and what is said.
#[test]
fn a_step_that_fails_or_is_killed_leaves_no_secret_behind() -> Result<()> {
    let lab = Lab::get()?;
    for (command, code, words) in [
        ("cat /token; exit 3", 3, "exit code: 3"),
        ("kill -9 $$", 137, "killed by signal 9"),
        // T-MNT-09, and the supply chain's § 2.1: a background process keeps it open
        ("tail -f /token & exit 4", 4, "exit code: 4"),
        ("mv /token /kept", 1, "secret token: the step has moved"),
        ("ln /token /kept", 1, "secret token: the step has moved"),
        ("mv /token /kept; echo x > /token", 1, "the step has moved"),
    ] {
        let volume = volume(lab)?;
        let dockerfile = format!(
            "FROM {}\nRUN echo before > /token\n\
             RUN --mount=type=secret,id=token,target=/token {command}\n",
            lab.busybox()?
        );
        let outcome = pod(lab, &volume)
            .dockerfile(dockerfile)
            .args(["--no-push"])
            .start()?
            .wait_and_look(|root| {
                ensure!(canaries().absent_below(root)? > 10, "an empty root");
                ensure!(fs::read(root.join("token"))? == b"before\n", "{command}");
                Ok(())
            })?;
        outcome.exits_with(code)?.says(words)?;
        canaries().absent_from("the log", outcome.stderr.as_bytes())?;
    }
    Ok(())
}

// T-MNT-09, T-PROC-04, also below a shell
#[test]
fn a_build_that_is_told_to_end_takes_its_secrets_with_it() -> Result<()> {
    let lab = Lab::get()?;
    let dockerfile = format!(
        "FROM {}\nRUN --mount=type=secret,id=token,target=/new/token \
         test -s /new/token && echo in-the-'middle' && sleep 1000\n",
        lab.busybox()?
    );
    for is_init in [true, false] {
        let volume = volume(lab)?;
        let mut pod = pod(lab, &volume)
            .dockerfile(&*dockerfile)
            .args(["--no-push"]);
        if !is_init {
            let command = format!(
                "trap 'kill -TERM $child' TERM; /kaniko/executor {FLAG} --no-push \
                 --insecure-registry={} & child=$!; wait $child; wait $child",
                lab.plain().address()
            );
            pod = pod.script(&command);
        }
        let running = pod.start()?;
        running.wait_for_line("in-the-middle")?;
        running.signal(Signal::TERM)?;
        let outcome = running.wait_and_look(|root| {
            ensure!(!root.join("new").exists(), "a trace is left");
            canaries().absent_below(root).map(drop)
        })?;
        outcome.exits_with(143)?;
    }
    Ok(())
}

// An emptyDir with `medium: Memory` (ADR 11), beside the mount of the service account
#[test]
fn a_secret_is_written_into_the_memory_that_the_pod_mounts() -> Result<()> {
    let lab = Lab::get()?;
    let volume = volume(lab)?;
    let dockerfile = format!(
        "FROM {}\nRUN --mount=type=secret,id=token \
         grep -q a-long /run/secrets/token && stat -f -c 'it is on %T' /run/secrets/token\n\
         RUN ls -A /run/secrets > /left; test ! -e /run/secrets/token\n",
        lab.busybox()?
    );
    let context = Context::new(lab)?.file("Dockerfile", dockerfile)?;
    let pod = pod(lab, &volume).podman_option("--tmpfs=/run/secrets:rw,size=1m,mode=0755");
    let built = Built::by(pod, lab, context, &["--verbosity=debug"])?;
    built.outcome.says("it is on tmpfs")?;
    let log = &built.outcome.stderr;
    ensure!(!log.contains("medium: Memory"), "{log}");
    Ok(())
}

#[test]
fn without_such_memory_the_log_says_where_the_secret_lies() -> Result<()> {
    let lab = Lab::get()?;
    let volume = volume(lab)?;
    let dockerfile = format!(
        "FROM {}\nRUN --mount=type=secret,id=token true\n",
        lab.busybox()?
    );
    let outcome = pod(lab, &volume)
        .dockerfile(dockerfile)
        .args(["--no-push", "--verbosity=debug"])
        .run()?;
    outcome
        .success()?
        .says("the secret `token` lies at `/run/secrets/token`")?;
    Ok(())
}

// T-MNT-08
#[test]
fn a_secret_outlives_its_source_and_a_change_of_stage() -> Result<()> {
    let lab = Lab::get()?;
    let base = lab.busybox()?;
    let dockerfile = format!(
        "FROM {base} AS first\nRUN rm /workspace/of-the-build/token && touch /x\n\
         FROM {base}\nCOPY --from=first /x /\n\
         RUN --mount=type=secret,id=token,env=TOKEN test \"$TOKEN\" = \"$(printf 'hunter22\\n')\"\n\
         RUN --mount=type=secret,id=token grep -q hunter22 /run/secrets/token\n"
    );
    let context = Context::new(lab)?
        .file("Dockerfile", dockerfile)?
        .file("of-the-build/token", "hunter22")?;
    let secret = "--secret=id=token,src=of-the-build/token";
    Built::by(Pod::new(lab), lab, context, &[secret]).map(drop)
}

// T-MNT-10; hostile-inputs § 8: one byte of a secret per write
#[test]
fn what_a_step_prints_of_a_secret_is_hidden_however_it_is_printed() -> Result<()> {
    let lab = Lab::get()?;
    let dockerfile = format!(
        "FROM {}\nRUN --mount=type=secret,id=token,env=TOKEN,target=/s/token cd /s; set -x; cat token; \
         echo \"<$TOKEN>\"; base64 < token | tr -d '\\n'; echo; xxd -p token | tr -d '\\n'; echo; \
         sed 's/./&\\n/g' token | while IFS= read -r c; do printf %s \"$c\"; done; echo; exit 9\n",
        lab.busybox()?
    );
    for format in ["text", "json"] {
        let volume = volume(lab)?;
        let outcome = pod(lab, &volume)
            .dockerfile(&*dockerfile)
            .args(["--no-push", "--verbosity=trace"])
            .args([format!("--log-format={format}")])
            .run()?;
        outcome.exits_with(9)?;
        canaries().absent_from(format, outcome.stderr.as_bytes())?;
        canaries().absent_from(format, outcome.stdout.as_bytes())?;
        let shown = outcome.stderr.matches("***").count();
        ensure!(shown >= 5, "hidden {shown} times:\n{outcome}");
    }
    Ok(())
}

// T-MNT-07, K-CLI: said before anything runs
#[test]
fn a_secret_that_is_not_there_is_named() -> Result<()> {
    let lab = Lab::get()?;
    let volume = volume(lab)?;
    for (flag, mount, words) in [
        (FLAG, "id=other,required=true", "secret other: not found"),
        (FLAG, "id=other,env=X,required", "secret other: not found"),
        (
            "--secret=id=other,src=/secrets/none",
            "id=other",
            "`other`: read `/secrets/none`",
        ),
        (
            "--secret=id=other,env=NONE",
            "id=other",
            "`NONE` is not set",
        ),
    ] {
        let dockerfile = format!(
            "FROM {}\nRUN --mount=type=secret,{mount} echo was-'run'\n",
            lab.busybox()?
        );
        let outcome = Pod::new(lab)
            .mount(volume.path(), "/secrets")
            .dockerfile(dockerfile)
            .args([flag, "--no-push"])
            .run()?;
        outcome.exits_with(1)?.says(words)?;
        ensure!(!outcome.stderr.contains("was-run"), "{outcome}");
    }
    Ok(())
}
