//! The process of a RUN: its user, its environment, its directory and its end (Dockerfile specification §§ 5.2, 5.3).

use anyhow::{Result, ensure};
use kigumi_tests::{Built, Context, ImageBuilder, Lab, LayerBuilder, Pod};

/// A base whose root is in wheel, with a user of two more groups.
fn base_with_users(lab: &Lab) -> Result<String> {
    let name = Lab::unique_name("base");
    let layer = LayerBuilder::with_shell(lab)?
        .dir("etc", 0o755)?
        .file(
            "etc/passwd",
            0o644,
            "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1::/usr/sbin:/bin/sh\nu:x:7:70::/home/u:/bin/sh\n",
        )?
        .file(
            "etc/group",
            0o644,
            "root:x:0:\ndaemon:x:1:\nwheel:x:10:root,u\naudio:x:29:u\nusers:x:100:\n",
        )?;
    ImageBuilder::new(lab)?
        .layer(layer)?
        .push(lab.plain(), &name)?;
    Ok(lab.destination(&name))
}

fn on_busybox(lines: &str, arguments: &[&str]) -> Result<Built> {
    let lab = Lab::get()?;
    let dockerfile = format!("FROM {}\n{lines}", lab.busybox()?);
    Built::of(
        lab,
        Context::new(lab)?.file("Dockerfile", dockerfile)?,
        arguments,
    )
}

// T-USER-01, T-USER-02, T-USER-03, T-USER-05
#[test]
fn every_form_of_user_gives_the_ids_that_the_files_of_the_image_say() -> Result<()> {
    let lab = Lab::get()?;
    let mut dockerfile = format!("FROM {}\n", base_with_users(lab)?);
    for (user, uid, gid, groups) in [
        ("root", 0, 0, "0 10"),
        ("0", 0, 0, "0 10"),
        ("1", 1, 1, "1"),
        ("u", 7, 70, "70 10 29"),
        ("7", 7, 70, "70 10 29"),
        ("4242", 4242, 0, "0"),
        ("1:33", 1, 33, "33"),
        ("u:33", 7, 33, "33"),
        ("root:users", 0, 100, "100"),
        ("4242:users", 4242, 100, "100"),
        ("4242:4243", 4242, 4243, "4243"),
    ] {
        let ids = "$(busybox id -u):$(busybox id -g):$(busybox id -G)";
        dockerfile.extend([format!(
            "USER {user}\nRUN busybox test \"{ids}\" = '{uid}:{gid}:{groups}'\n"
        )]);
    }
    Built::of_dockerfile(lab, &dockerfile).map(drop)
}

// T-USER-04
#[test]
fn a_user_or_group_that_the_image_does_not_know_is_named_with_the_command() -> Result<()> {
    let lab = Lab::get()?;
    let base = base_with_users(lab)?;
    for (user, unknown) in [("nosuch", "nosuch"), ("root:nogroup", "nogroup")] {
        let outcome = Pod::new(lab)
            .dockerfile(format!("FROM {base}\nUSER {user}\nRUN busybox id\n"))
            .args(["--no-push"])
            .run()?;
        outcome
            .exits_with(1)?
            .says("process \"/bin/sh -c busybox id\" did not complete successfully")?
            .says(unknown)?
            .says("Dockerfile:3")?;
    }
    Ok(())
}

// T-RUN-03
#[test]
fn home_is_that_of_the_current_user_unless_the_image_says_otherwise() -> Result<()> {
    let lab = Lab::get()?;
    let mut dockerfile = format!("FROM {}\n", base_with_users(lab)?);
    for (user, home) in [
        ("root", "/root"),
        ("u", "/home/u"),
        ("1", "/usr/sbin"),
        ("4242", "/"),
    ] {
        dockerfile.extend([format!("USER {user}\nRUN busybox test $HOME = {home}\n")]);
    }
    dockerfile += "ENV HOME=/elsewhere\nRUN busybox test $HOME = /elsewhere\n";
    Built::of_dockerfile(lab, &dockerfile).map(drop)
}

// T-ARG-08, T-RUN-02
#[test]
fn proxies_reach_a_run_in_both_cases_of_letters_and_nothing_of_the_image() -> Result<()> {
    let lab = Lab::get()?;
    let dockerfile = format!(
        "FROM {}\n\
         RUN echo $HTTPS_PROXY | grep -q '^http://pod.exampl[e]:1$' && test $https_proxy = $HTTPS_PROXY\n\
         RUN echo $no_proxy | grep -q '^given.exampl[e]$' && test $NO_PROXY = $no_proxy\n\
         ENV FTP_PROXY=image\n\
         RUN test $FTP_PROXY = image\n",
        lab.busybox()?
    );
    let context = Context::new(lab)?.file("Dockerfile", dockerfile)?;
    let pod = Pod::new(lab)
        .env("HTTPS_PROXY", "http://pod.example:1")
        .env("NO_PROXY", "127.0.0.1,localhost");
    let built = Built::by(pod, lab, context, &["--build-arg=no_proxy=given.example"])?;
    let config = built.image.config.value.to_string();
    for word in ["pod.example", "given.example"] {
        ensure!(!config.contains(word), "{word} in {config}");
    }
    Ok(())
}

/// D 5.2
#[test]
fn a_working_directory_that_is_gone_is_made_again() -> Result<()> {
    let built = on_busybox(
        "WORKDIR /a/b\nRUN cd / && rm -r /a\nRUN test $(pwd) = /a/b && touch here\n",
        &[],
    )?;
    built.has("/a/b", "d 0755 0:0")?;
    built.has("/a/b/here", "f 0644 0:0")
}

// T-RUN-05, T-PROC-03
#[test]
fn the_executor_exits_with_what_the_command_exited_with() -> Result<()> {
    let lab = Lab::get()?;
    for (command, code, words) in [
        ("exit 3", 3, "did not complete successfully: exit code: 3"),
        ("kill -9 $$", 137, "killed by signal 9"),
        ("no-such-command", 127, "exit code: 127"),
    ] {
        let outcome = Pod::new(lab)
            .dockerfile(format!("FROM {}\nRUN {command}\n", lab.busybox()?))
            .args(["--no-push"])
            .run()?;
        outcome
            .exits_with(code)?
            .says(&format!("process \"/bin/sh -c {command}\""))?
            .says(words)?
            .says("Dockerfile:2")?;
    }
    Ok(())
}

/// D 5.2: the pod's name is seen and never recorded, whatever a build argument asks for.
#[test]
fn the_name_of_the_pod_is_in_no_image() -> Result<()> {
    let built = on_busybox(
        "RUN hostname > /dev/null && touch /x\n",
        &["--build-arg=BUILDKIT_SANDBOX_HOSTNAME=other"],
    )?;
    ensure!(built.image.entries_below("etc/hostname").is_empty());
    ensure!(built.image.setting("Hostname").is_null());
    Ok(())
}
