//! Exit codes, logs and the files that a pipeline reads afterwards.

use anyhow::{Result, ensure};
use kigumi_tests::{Built, Context, Image, Lab, Pod};
use serde_json::{Value, json};

// K-EXIT-02, T-RUN-05
#[test]
fn the_exit_code_of_a_failed_run_is_passed_on() -> Result<()> {
    let lab = Lab::get()?;
    let outcome = Pod::new(lab)
        .dockerfile(format!(
            "FROM {}\nRUN exit 42\nRUN echo not-'reached'\n",
            lab.busybox()?
        ))
        .args(["--no-push"])
        .run()?;
    outcome
        .exits_with(42)?
        .says("did not complete successfully: exit code: 42")?;
    ensure!(!outcome.to_string().contains("not-reached"), "{outcome}");
    Ok(())
}

// K-OUT-01, K-OUT-04, K-OUT-05
#[test]
fn digest_files_name_every_destination() -> Result<()> {
    let lab = Lab::get()?;
    let (first, second) = (Lab::unique_name("first"), Lab::unique_name("second"));
    let (to_first, to_second) = (lab.destination(&first), lab.destination(&second));
    let outcome = Pod::new(lab)
        .dockerfile(format!("FROM {}\nLABEL a=b\n", lab.busybox()?))
        .args(["--destination", &to_first, "--destination", &to_second])
        .args(["--digest-file=/workspace/new/digest"])
        .args(["--image-name-with-digest-file=/workspace/names"])
        .args(["--image-name-tag-with-digest-file=/workspace/tags"])
        .run()?;
    outcome.success()?;
    let image = Image::pull(lab.plain(), &first)?;
    let digest = image.digest();
    ensure!(
        Image::pull(lab.plain(), &second)?.digest() == digest,
        "one image, two names"
    );
    ensure!(
        outcome.workspace_file("new/digest")? == digest,
        "no newline"
    );
    let with_tags = format!("{to_first}@{digest}\n{to_second}@{digest}\n");
    ensure!(
        outcome.workspace_file("tags")? == with_tags,
        "{}",
        outcome.workspace_file("tags")?
    );
    ensure!(
        outcome.workspace_file("names")? == with_tags,
        "{}",
        outcome.workspace_file("names")?
    );
    Ok(())
}

// K-OUT-03, K-K8S-02
#[test]
fn the_termination_log_is_written_through_its_mount() -> Result<()> {
    let lab = Lab::get()?;
    let context = Context::new(lab)?.file("Dockerfile", format!("FROM {}\n", lab.busybox()?))?;
    let built = Built::of(lab, context, &["--digest-file=/dev/termination-log"])?;
    let log = &built.outcome.termination_log;
    ensure!(log == built.image.digest(), "{log}");
    Ok(())
}

// K-OUT-06
#[test]
fn nothing_is_pushed_when_nothing_shall_be() -> Result<()> {
    let lab = Lab::get()?;
    let name = Lab::unique_name("not-pushed");
    let mark = lab.plain().mark();
    let destination = lab.destination(&name);
    let outcome = Pod::new(lab)
        .dockerfile(format!("FROM {}\nRUN touch /x\n", lab.busybox()?))
        .args([
            "--no-push",
            "--destination",
            &destination,
            "--digest-file=/workspace/digest",
        ])
        .run()?;
    outcome.success()?;
    ensure!(
        outcome.workspace_file("digest")?.starts_with("sha256:"),
        "a digest all the same"
    );
    let (repository, _) = name.split_once(':').unwrap();
    let requests = lab.plain().requests_since(mark)?;
    let ours = requests
        .iter()
        .filter(|request| request.target.contains(repository))
        .count();
    ensure!(ours == 0, "{requests:?}");
    Ok(())
}

#[test]
fn a_plan_is_printed_and_nothing_is_changed() -> Result<()> {
    let lab = Lab::get()?;
    let script = format!(
        "cd /workspace; find / -xdev -not -path '/proc*' | sort > /tmp/before 2>/dev/null
        /kaniko/executor plan --context=dir:///workspace --insecure-registry={} || exit $?
        find / -xdev -not -path '/proc*' | sort > /tmp/after 2>/dev/null
        cmp /tmp/before /tmp/after && echo unchanged",
        lab.plain().address()
    );
    let dockerfile = format!(
        "FROM {} AS one\nRUN echo made > /made\nFROM one\nCOPY --from=one /made /copied\n",
        lab.busybox()?
    );
    let script = format!("/busybox/mkdir -p /tmp; : > /tmp/before; : > /tmp/after; {script}");
    Pod::new(lab)
        .script(&script)
        .dockerfile(dockerfile)
        .run()?
        .success()?
        .says("echo made > /made")?
        .says("/copied")?
        .says("unchanged")?;
    Ok(())
}

#[test]
fn logs_for_machines_are_json_line_by_line() -> Result<()> {
    let lab = Lab::get()?;
    let context = Context::new(lab)?.file(
        "Dockerfile",
        format!("FROM {}\nRUN echo said-'by-run'\n", lab.busybox()?),
    )?;
    let built = Built::of(lab, context, &["--log-format=json"])?;
    let text = format!("{}{}", built.outcome.stdout, built.outcome.stderr);
    for line in text.lines() {
        let value: Value = serde_json::from_str(line)?;
        ensure!(value.is_object(), "{line}");
    }
    ensure!(text.contains("said-by-run"), "{text}");
    Ok(())
}

// T-META-11
#[test]
fn labels_of_the_command_line_come_last() -> Result<()> {
    let lab = Lab::get()?;
    let context = Context::new(lab)?.file(
        "Dockerfile",
        format!("FROM {}\nLABEL a=file b=file\n", lab.busybox()?),
    )?;
    let built = Built::of(lab, context, &["--label", "b=flag", "--label", "c=x=y,z"])?;
    let labels = built.image.setting("Labels");
    ensure!(
        *labels == json!({ "a": "file", "b": "flag", "c": "x=y,z" }),
        "{labels}"
    );
    Ok(())
}

// T-META-05
#[test]
fn commands_in_shell_form_are_wrapped_in_the_shell_of_their_place() -> Result<()> {
    let lab = Lab::get()?;
    let dockerfile = format!(
        "FROM {}\nENTRYPOINT before\nSHELL [\"/bin/sh\", \"-e\", \"-c\"]\nCMD after\n",
        lab.busybox()?
    );
    let built = Built::of_dockerfile(lab, &dockerfile)?;
    let setting = |name: &str| built.image.setting(name).clone();
    ensure!(
        setting("Entrypoint") == json!(["/bin/sh", "-c", "before"]),
        "{}",
        setting("Entrypoint")
    );
    ensure!(
        setting("Cmd") == json!(["/bin/sh", "-e", "-c", "after"]),
        "{}",
        setting("Cmd")
    );
    ensure!(
        setting("Shell") == json!(["/bin/sh", "-e", "-c"]),
        "{}",
        setting("Shell")
    );
    Ok(())
}

// K-CLI-05, T-STAGE-03, T-STAGE-12
#[test]
fn a_target_is_built_and_what_it_does_not_need_is_not() -> Result<()> {
    let lab = Lab::get()?;
    let dockerfile = format!(
        "ARG WANTED=second\nFROM {0} AS First\nRUN touch /first\n\
         FROM registry.invalid/never-pulled AS broken\nRUN exit 1\n\
         FROM ${{WANTED}}-stage AS unused\nRUN exit 1\n\
         FROM first AS second-stage\nARG TARGETPLATFORM\nRUN echo $TARGETPLATFORM > /platform\n\
         FROM ${{WANTED}}-stage AS last\nLABEL last=yes\n",
        lab.busybox()?
    );
    let context = || Context::new(lab)?.file("Dockerfile", &dockerfile);
    let first = Built::of(lab, context()?, &["--target", "FIRST"])?;
    first.has("/first", "f ")?;
    first.has_not("/platform")?;
    let last = Built::of(lab, context()?, &["--target", ""])?;
    last.has("/platform", "f ")?;
    ensure!(
        last.image.setting("Labels")["last"] == "yes",
        "the last stage"
    );
    Ok(())
}

// T-STAGE-14
#[test]
fn an_image_of_nothing_but_metadata() -> Result<()> {
    let lab = Lab::get()?;
    let built = Built::of_dockerfile(lab, "FROM scratch\nLABEL a=b\nCMD [\"/x\"]\n")?;
    ensure!(
        built.image.manifest.value["layers"] == json!([]),
        "{}",
        built.image.manifest.value
    );
    Ok(())
}
