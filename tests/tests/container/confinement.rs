//! What a RUN may do in a pod: `--network`, `--security`, `--device`, `--ulimit`, `--add-host`, and what it may always.

use anyhow::{Result, ensure};
use kigumi_tests::{Built, Context, Lab, Outcome, Pod};

/// Builds on busybox in this pod, with these arguments; every line of a RUN that fails fails the test.
fn built_by(pod: Pod<'_>, lines: &str, arguments: &[&str]) -> Result<Built> {
    let lab = Lab::get()?;
    let dockerfile = format!("FROM {}\n{lines}", lab.busybox()?);
    let context = Context::new(lab)?.file("Dockerfile", dockerfile)?;
    Built::by(pod, lab, context, arguments)
}

fn built(lines: &str, arguments: &[&str]) -> Result<Built> {
    built_by(Pod::new(Lab::get()?), lines, arguments)
}

fn refused(lines: &str, arguments: &[&str]) -> Result<Outcome> {
    let lab = Lab::get()?;
    let outcome = Pod::new(lab)
        .dockerfile(format!("FROM {}\n{lines}", lab.busybox()?))
        .args(["--no-push"])
        .args(arguments.iter().copied())
        .run()?;
    outcome.exits_with(1)?;
    Ok(outcome)
}

// T-RUN-08
#[test]
fn a_run_without_network_reaches_nothing_and_the_next_one_does() -> Result<()> {
    let lab = Lab::get()?;
    let reach = format!("true </dev/tcp/{}", lab.plain().address().replace(':', "/"));
    // Loopback is gone, too; files such as resolv.conf are there, and sockets of the file system work.
    let dockerfile = format!(
        "FROM {debian}\n\
         SHELL [\"/bin/bash\", \"-c\"]\n\
         RUN {reach}\n\
         RUN --network=none ! {reach} && {{ {reach}; }} 2>&1 | grep 'Address family not supported'\n\
         RUN --network=none ! true </dev/udp/127.0.0.1/53 && ! true </dev/udp/::1/53 && \
             ! getent ahosts registry.example\n\
         RUN --network=none test -s /etc/resolv.conf && test -s /etc/hosts && \
             perl -MSocket -e 'socket(S, AF_UNIX, SOCK_STREAM, 0) && bind(S, sockaddr_un(q(/s))) || die $!'; rm /s\n\
         USER 65534\n\
         RUN --network=none ! {reach} && ! (setsid bash -c '{reach}' & wait $!)\n\
         RUN --network=default {reach}\n\
         RUN --network=host {reach}\n",
        debian = lab.debian()?
    );
    let context = Context::new(lab)?.file("Dockerfile", dockerfile)?;
    Built::of(lab, context, &["--allow=network.host"]).map(drop)
}

// T-RUN-08: what set-user-id programs cannot do in such a step, and can in the next
#[test]
fn a_run_without_network_gains_no_privileges() -> Result<()> {
    built(
        "USER 65534\n\
         RUN --network=none grep -q '^NoNewPrivs:.*1' /proc/self/status\n\
         RUN grep -q '^NoNewPrivs:.*0' /proc/self/status\n",
        &[],
    )
    .map(drop)
}

/// A real program with a network and without: dpkg and apt do their work, apt without any repository.
// T-RUN-08
#[test]
fn packages_of_the_image_can_be_worked_on_without_network() -> Result<()> {
    let lab = Lab::get()?;
    let dockerfile = format!(
        "FROM {}\n\
         RUN --network=none useradd --create-home builder && su builder -c 'id -un' | grep -q builder\n\
         RUN --network=none dpkg-reconfigure -f noninteractive base-files; dpkg --audit && dpkg -l > /list\n",
        lab.debian()?
    );
    let built = Built::of_dockerfile(lab, &dockerfile)?;
    built.has("/home/builder", "d 0")?;
    built.has("/list", "f 0644 0:0")
}

// T-RUN-09
#[test]
fn privileges_are_given_where_they_are_allowed_and_there() -> Result<()> {
    let line = "RUN --security=insecure echo was-'run'\n";
    let outcome = refused(line, &[])?;
    outcome
        .says("--allow=security.insecure")?
        .says("Dockerfile:2")?;
    let outcome = refused(line, &["--allow=security.insecure"])?;
    outcome
        .says("privileged")?
        .says("CAP_SYS_ADMIN")?
        .says("Dockerfile:2")?;
    ensure!(!outcome.to_string().contains("was-run"), "{outcome}");
    Ok(())
}

// T-RUN-04, T-RUN-09
#[test]
fn in_a_privileged_pod_only_an_insecure_run_has_its_privileges() -> Result<()> {
    let pod = Pod::new(Lab::get()?).podman_option("--privileged");
    let set = "$(sed -n 's/^CapEff:.//p' /proc/self/status)";
    built_by(
        pod,
        &format!(
            "RUN test {set} = 00000000a80425fb && mkdir /m && ! mount -t tmpfs none /m\n\
             RUN --security=insecure test {set} != 00000000a80425fb && mount -t tmpfs none /m && umount /m\n\
             RUN --network=none grep -q '^NoNewPrivs:.*0' /proc/self/status && grep -q '^Seccomp:.*2' /proc/self/status\n"
        ),
        &["--allow=security.insecure"],
    )
    .map(drop)
}

// T-RUN-04
#[test]
fn a_run_has_the_capabilities_of_every_container_or_what_the_pod_has_of_them() -> Result<()> {
    let effective = |wanted| {
        format!(
            "RUN test $(sed -n 's/^CapEff:.//p' /proc/self/status) = {wanted} && test $(umask) = 0022\n"
        )
    };
    built(&effective("00000000a80425fb"), &[])?;
    let less = Pod::new(Lab::get()?).without_capabilities(&["MKNOD", "NET_RAW", "AUDIT_WRITE"]);
    built_by(less, &effective("00000000800405fb"), &[])?;
    let more = Pod::new(Lab::get()?).podman_option("--cap-add=SYS_PTRACE,SYS_RESOURCE");
    built_by(more, &effective("00000000a80425fb"), &[]).map(drop)
}

// T-RUN-09
#[test]
fn a_device_of_the_pod_brings_its_variables_and_one_it_lacks_is_named() -> Result<()> {
    let lab = Lab::get()?;
    let specifications = lab.temp_dir()?;
    std::fs::write(
        specifications.path().join("vendor.json"),
        r#"{"cdiVersion": "0.6.0", "kind": "vendor.example/thing", "devices": [
            {"name": "here", "containerEdits": {"env": ["THING=here"], "deviceNodes": [{"path": "/dev/null"}]}},
            {"name": "away", "containerEdits": {"env": ["THING=away"], "deviceNodes": [{"path": "/dev/thing7"}]}}
        ]}"#,
    )?;
    let pod = || Pod::new(lab).mount(specifications.path(), "/etc/cdi");
    built_by(
        pod(),
        "ENV THING=image\n\
         RUN --device=vendor.example/thing=here,required test $THING = here\n\
         RUN --device=vendor.example/thing=away test $THING = image\n\
         RUN --device=other.example/thing test $THING = image\n",
        &[],
    )?;
    for (name, words) in [
        ("vendor.example/thing=away", "/dev/thing7"),
        ("other.example/thing", "other.example/thing"),
    ] {
        let outcome = pod()
            .dockerfile(format!(
                "FROM {}\nRUN --device={name},required true\n",
                lab.busybox()?
            ))
            .args(["--no-push"])
            .run()?;
        outcome.exits_with(1)?.says(words)?.says("Dockerfile:2")?;
    }
    Ok(())
}

/// D 5.4, resource options
#[test]
fn limits_apply_to_every_user_and_one_that_cannot_be_set_is_named() -> Result<()> {
    built(
        "RUN test $(ulimit -Sn):$(ulimit -Hn) = 100:200 && test $(ulimit -c) = 0\n\
         USER 65534\n\
         RUN test $(ulimit -Sn):$(ulimit -Hn) = 100:200\n",
        &["--ulimit=nofile=100:200", "--ulimit", "core=0"],
    )?;
    let outcome = refused("RUN true\n", &["--ulimit=nofile=-1"])?;
    outcome.says("nofile=-1:-1")?.says("Dockerfile:2")?;
    Ok(())
}

/// The pod's file is as before when the build is over, also when it failed.
#[test]
fn extra_hosts_are_seen_by_every_run_and_by_nothing_else() -> Result<()> {
    let built = built(
        "RUN grep -q '^10\\.11\\.12\\.13.extra\\.example$' /etc/hosts && grep -q localhost /etc/hosts\n\
         USER 65534\n\
         RUN test $(grep -c extra.example /etc/hosts) = 1 && \
             grep -q '^2001:db8::1.six\\.example$' /etc/hosts\n",
        &[
            "--add-host=extra.example:10.11.12.13",
            "--add-host=six.example=[2001:db8::1]",
        ],
    )?;
    ensure!(built.image.entries_below("etc/hosts").is_empty());
    let lab = Lab::get()?;
    let script = "cp /etc/hosts /kaniko/before; \
        /kaniko/executor --context=/workspace --no-push --insecure-pull --add-host=a.example:10.0.0.1 \
        && exit 9; cmp /etc/hosts /kaniko/before && echo same hosts";
    Pod::new(lab)
        .script(script)
        .dockerfile(format!(
            "FROM {}\nRUN grep a.example /etc/hosts && exit 3\n",
            lab.busybox()?
        ))
        .run()?
        .success()?
        .says("exit code: 3")?
        .says("same hosts")?;
    Ok(())
}

// T-RUN-07
#[test]
fn what_a_run_writes_to_files_of_the_pod_is_lost_with_it() -> Result<()> {
    built(
        "RUN cat /etc/resolv.conf > /before; echo 10.0.0.1 mine >> /etc/hosts; : > /etc/resolv.conf; \
             echo mine > /etc/hostname; chmod 600 /etc/hosts\n\
         RUN ! grep mine /etc/hosts /etc/hostname && cmp /etc/resolv.conf /before\n\
         USER 65534\n\
         RUN test -r /etc/hosts\n",
        &[],
    )
    .map(drop)
}
