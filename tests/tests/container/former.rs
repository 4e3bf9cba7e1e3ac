//! Several builds one after another in one container, and the root that they leave.

use std::fs;

use anyhow::{Result, ensure};
use kigumi_tests::{Context, Image, Lab, Outcome, Pod, RootState, RunningPod};

/// Writes everywhere, removes what the base has, and leaves what is hard to remove.
const SPOIL: &str = "RUN rm -rf /etc/passwd /bin/vi && mkdir -p /usr/deep/er /srv && echo x > /usr/deep/er/f && \\
    ln /usr/deep/er/f /srv/g && chmod 0700 /var /root && chown 7:8 /etc && echo y > /etc/nsswitch.conf && \\
    ln -sf /nowhere /etc/link && mkfifo /srv/fifo && touch -d @1 /etc / && echo z > /root/.profile
VOLUME /data
WORKDIR /elsewhere
RUN touch here";

/// Stops where it stands, in the middle of a step.
const WAIT: &str = "RUN echo half > /half && touch /workspace/reached && sleep 1000";

/// A shell in the directory `/src` of the root, which begins with the line of the executor and goes on when it is told to.
fn shell(lab: &Lab, prepare: &str, script: &str) -> String {
    format!(
        "mkdir -p /src && cd /src && echo kept > file && mkfifo pipe
        {prepare}
        arguments='--context=dir:///workspace --insecure-registry={} --no-push'
        build() {{ /kaniko/executor $arguments \"$@\"; }}
        meet() {{ echo \"at $1\"; until [ -e /workspace/$1 ]; do sleep 0.1; done; }}
        interrupt() {{ rm -f /workspace/reached; (exec /kaniko/executor $arguments -f wait) & until [ -e /workspace/reached ]; do sleep 0.1; done; kill -$1 $!; wait $!; }}
        meet start
        {script}
        grep -q kept ./file && [ \"$(pwd)\" = /src ] && /bin/sh -c 'echo the shell is well'
        meet end",
        lab.plain().address()
    )
}

fn context(lab: &Lab) -> Result<Context> {
    let busybox = lab.busybox()?;
    Context::new(lab)?
        .file("good", format!("FROM {busybox}\n{SPOIL}\n"))?
        .file("bad", format!("FROM {busybox}\n{SPOIL}\nRUN exit 42\n"))?
        .file("wait", format!("FROM {busybox}\n{SPOIL}\n{WAIT}\n"))
}

/// Runs the script, and gives the root as it was before and after.
fn before_and_after(lab: &Lab, pod: Pod<'_>) -> Result<(Outcome, RootState, RootState)> {
    let pod = pod.context(context(lab)?).start()?;
    let met = |pod: &RunningPod<'_>, name: &str| -> Result<RootState> {
        pod.wait_for_line(&format!("at {name}"))?;
        let state = pod.root()?;
        fs::write(pod.workspace().join(name), "")?;
        Ok(state)
    };
    let before = met(&pod, "start")?;
    let after = met(&pod, "end")?;
    Ok((pod.wait()?, before, after))
}

fn ensure_same(outcome: &Outcome, before: &RootState, after: &RootState) -> Result<()> {
    let difference = before.difference(after);
    ensure!(
        difference.is_empty(),
        "{}\n{outcome}",
        difference.join("\n")
    );
    outcome.success()?.says("the shell is well")?;
    Ok(())
}

// T-CLEAN-01, T-CLEAN-03, T-CLEAN-04, T-CLEAN-05, K-GL-02, K-GL-03, K-GL-05, K-JEN-02
#[test]
fn three_builds_in_one_debug_container_the_second_failing_and_the_third_interrupted_leave_the_root_as_it_was()
-> Result<()> {
    let lab = Lab::get()?;
    let product = Lab::unique_name("first-of-three");
    let destination = lab.destination(&product);
    let script = format!(
        "build -f good --no-push=false --destination={destination} || exit 1
        build -f bad; test $? = 42 || exit 2
        interrupt TERM; test $? = 143 || exit 3"
    );
    // On the root filesystem, so that it is kept from RUN and comes back.
    let pod = Pod::new(lab)
        .script(&shell(
            lab,
            "mkdir -p /root/.docker && echo '{}' > /root/.docker/config.json",
            &script,
        ))
        .env("DOCKER_CONFIG", "/root/.docker");
    let (outcome, before, after) = before_and_after(lab, pod)?;
    ensure_same(&outcome, &before, &after)?;
    // T-CLEAN-02: what was built on the root was pushed as it was.
    let image = Image::pull(lab.plain(), &product)?;
    image.strict()?;
    let tree = image.flatten();
    ensure!(
        tree.get("usr/deep/er/f").is_some() && tree.get("src").is_none(),
        "the image is the build's own"
    );
    Ok(())
}

// hostile-input rule D10
#[test]
fn what_a_killed_build_left_is_removed_by_the_next_and_the_root_is_as_it_was() -> Result<()> {
    let lab = Lab::get()?;
    let script = "interrupt KILL
        test -e /half && test ! -e /src/file || exit 1
        build -f good || exit 2";
    let pod = Pod::new(lab).script(&shell(lab, "", script));
    let (outcome, before, after) = before_and_after(lab, pod)?;
    ensure_same(&outcome, &before, &after)?;
    outcome.says("a build in this container was killed")?;
    Ok(())
}

#[test]
fn without_cleanup_the_root_is_left_as_the_build_made_it_and_the_next_build_sees_none_of_it()
-> Result<()> {
    let lab = Lab::get()?;
    let product = Lab::unique_name("after-another");
    let destination = lab.destination(&product);
    let script = format!(
        "build -f good --cleanup=false && test -e /usr/deep/er/f && test ! -e /src/file || exit 1
        build -f good --no-push=false --destination={destination} || exit 2
        test -e /usr/deep/er/f || exit 3; mkdir -p /src; cd /src; echo kept > file; /busybox/ln -sf /busybox/sh /bin/sh"
    );
    let (outcome, ..) = before_and_after(lab, Pod::new(lab).script(&shell(lab, "", &script)))?;
    outcome.success()?;
    Image::pull(lab.plain(), &product)?.strict()
}
