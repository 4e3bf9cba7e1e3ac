//! What a build leaves behind when it is killed, and how it ends when it is asked to.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use kigumi_tests::{Context, Direction, Image, Lab, Outcome, Pod, Proxy, RunningPod};
use rustix::process::Signal;

/// Bytes of the layer that is pushed: enough for many packets, little enough for many runs.
const LAYER: usize = 3 << 20;

/// Within which a build gets to the moment at which it is to be killed, on any machine.
const PATIENCE: Duration = Duration::from_mins(5);

/// Printed with every failure; another seed tries other moments.
const SEED: u64 = 0x6b69_6775_6d69;

/// A small generator: tests must not depend on what a library calls random next year.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        // xorshift64
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count.div_ceil(8))
            .flat_map(|_| self.next().to_le_bytes())
            .take(count)
            .collect()
    }
}

/// A pod that pushes a random layer to a tag through a proxy.
fn push<'a>(
    lab: &'a Lab,
    proxy: &Proxy,
    name: &str,
    random: &mut Random,
) -> Result<RunningPod<'a>> {
    let context = Context::new(lab)?
        .file(
            "Dockerfile",
            format!("FROM {}\nCOPY random /random\n", lab.busybox()?),
        )?
        .file("random", random.bytes(LAYER))?;
    Pod::new(lab)
        .context(context)
        .args([format!("--insecure-registry={}", proxy.address())])
        .args([format!("--destination={}/{name}", proxy.address())])
        .args(["--digest-file=/workspace/digest"])
        .start()
}

fn digest_of_tag(lab: &Lab, name: &str) -> Result<String> {
    let image = Image::pull(lab.plain(), name)?;
    image.strict()?;
    Ok(image.digest().to_owned())
}

#[test]
fn sigkill_at_twenty_moments_of_a_push_leaves_the_tag_old_or_new() -> Result<()> {
    const MOMENTS: u32 = 20;
    let lab = Lab::get()?;
    let name = Lab::unique_name("killed");
    let mut random = Random(SEED);

    // A whole push gives the tag its first image and the number of bytes to choose from.
    let proxy = Proxy::start(lab.plain().address(), "POST /v2/")?;
    push(lab, &proxy, &name, &mut random)?.wait()?.success()?;
    let ways = [Direction::ToRegistry, Direction::FromRegistry];
    let whole = ways.map(|way| proxy.passed(way));
    ensure!(
        whole[0] > LAYER as u64,
        "the push went through the proxy: {whole:?} bytes"
    );
    let mut current = digest_of_tag(lab, &name)?;

    let (mut old, mut new) = (0, 0);
    for moment in 0..MOMENTS {
        // Bytes of requests are bytes of blobs, mostly; bytes of answers lie between the requests,
        // and the last of them come after the tag has moved.
        let way = moment as usize % 2;
        let (direction, whole) = (ways[way], whole[way]);
        // The last one is certain to lie in the answer to the manifest.
        let is_last = moment + 1 == MOMENTS;
        let bytes = if is_last {
            whole - 100
        } else {
            1 + random.next() % whole
        };
        let case = format!(
            "seed {SEED:#x}, moment {moment}, after {bytes} of {whole} bytes {direction:?}"
        );
        let proxy = Proxy::start(lab.plain().address(), "POST /v2/")?;
        proxy.stop_after(direction, bytes);
        let pod = push(lab, &proxy, &name, &mut random)?;
        proxy.wait_until_stopped(PATIENCE, || pod.has_ended());
        if !pod.has_ended() {
            pod.kill()?;
        }
        let outcome = pod.wait().with_context(|| case.clone())?;
        proxy.release();
        // A tag that names a manifest whose blobs are missing fails here.
        let found = digest_of_tag(lab, &name).with_context(|| case.clone())?;
        if found == current {
            old += 1;
            ensure!(outcome.code == 137, "{case}: exit code {}", outcome.code);
        } else {
            new += 1;
            current = found;
        }
    }
    println!("after {MOMENTS} kills the tag was old {old} times and new {new} times");
    ensure!(old > 0 && new > 0, "all kills came too early or too late");

    // And the next build is none the worse for it.
    let proxy = Proxy::start(lab.plain().address(), "POST /v2/")?;
    push(lab, &proxy, &name, &mut random)?.wait()?.success()?;
    ensure!(digest_of_tag(lab, &name)? != current, "the tag moves on");
    Ok(())
}

/// No output file may exist half-written: it is absent, or holds a whole digest.
fn ends_well(outcome: &Outcome) -> Result<()> {
    outcome.exits_with(143)?;
    if let Ok(digest) = outcome.workspace_file("digest") {
        ensure!(
            digest.len() == "sha256:".len() + 64,
            "half a digest file: {digest:?}"
        );
    }
    Ok(())
}

// K-EXIT-06, T-PROC-04
#[test]
fn sigterm_while_a_base_is_pulled_exits_143() -> Result<()> {
    let lab = Lab::get()?;
    let debian = lab.debian()?;
    let proxy = Proxy::start(lab.plain().address(), "/blobs/")?;
    proxy.stop_after(Direction::FromRegistry, 5 << 20);
    let base = debian.replace(lab.plain().address(), proxy.address());
    let pod = Pod::new(lab)
        .dockerfile(format!("FROM {base}\nRUN true\n"))
        .args([format!("--insecure-registry={}", proxy.address())])
        .args(["--no-push", "--digest-file=/workspace/digest"])
        .start()?;
    ensure!(
        proxy.wait_until_stopped(PATIENCE, || pod.has_ended()),
        "pulled too much"
    );
    pod.signal(Signal::TERM)?;
    ends_well(&pod.wait()?)
}

#[test]
fn sigterm_while_a_layer_is_pushed_exits_143() -> Result<()> {
    let lab = Lab::get()?;
    let name = Lab::unique_name("terminated");
    let proxy = Proxy::start(lab.plain().address(), "POST /v2/")?;
    proxy.stop_after(Direction::ToRegistry, 1 << 20);
    let pod = push(lab, &proxy, &name, &mut Random(SEED))?;
    ensure!(
        proxy.wait_until_stopped(PATIENCE, || pod.has_ended()),
        "pushed too much"
    );
    pod.signal(Signal::TERM)?;
    ends_well(&pod.wait()?)?;
    let (repository, tag) = name.split_once(':').context("a tag")?;
    ensure!(
        lab.plain().find_manifest(repository, tag)?.is_none(),
        "no tag was written"
    );
    Ok(())
}

/// A build whose RUN says `phase-reached` and goes on as given once it is `prepared`; and how long it took to end when it was told to.
fn in_run(lab: &Lab, prepared: &str, rest: &str) -> Result<(Outcome, Duration)> {
    // The log also shows the instruction; the quotes keep the two apart.
    let dockerfile = format!(
        "FROM {}\nRUN {prepared}; echo phase-'reached'; {rest}\n",
        lab.busybox()?
    );
    let pod = Pod::new(lab)
        .dockerfile(dockerfile)
        .args(["--no-push", "--digest-file=/workspace/digest"])
        .start()?;
    pod.wait_for_line("phase-reached")?;
    let told = pod.elapsed();
    pod.signal(Signal::TERM)?;
    let outcome = pod.wait()?;
    let took = outcome.elapsed.saturating_sub(told);
    Ok((outcome, took))
}

#[test]
fn sigterm_during_a_run_reaches_its_command_and_exits_143() -> Result<()> {
    let lab = Lab::get()?;
    let (outcome, _) = in_run(
        lab,
        "trap 'echo told to stop; exit 0' TERM",
        "while :; do sleep 0.1; done",
    )?;
    ends_well(&outcome)?;
    // What it says, and not the instruction that is shown.
    let said = |line: &str| line.ends_with("told to stop");
    ensure!(outcome.to_string().lines().any(said), "{outcome}");
    Ok(())
}

#[test]
fn sigterm_during_a_run_that_ignores_it_exits_143_within_the_grace_period() -> Result<()> {
    let lab = Lab::get()?;
    let (outcome, took) = in_run(lab, "trap '' TERM", "while :; do sleep 0.1; done")?;
    ends_well(&outcome)?;
    // A kubelet sends SIGKILL after 30 seconds.
    ensure!(took < Duration::from_secs(30), "{took:?}\n{outcome}");
    Ok(())
}

#[test]
fn sigterm_during_a_snapshot_exits_143() -> Result<()> {
    let lab = Lab::get()?;
    // The marker is the last thing that the command says; the large tree is scanned and packed
    // after it, and the signal arrives meanwhile.
    let dockerfile = format!(
        "FROM {}\nRUN mkdir /t && head -c 400000000 /dev/urandom > /t/x && echo phase-'reached'\n",
        lab.busybox()?
    );
    let pod = Pod::new(lab)
        .dockerfile(dockerfile)
        .args(["--no-push", "--digest-file=/workspace/digest"])
        .start()?;
    pod.wait_for_line("phase-reached")?;
    pod.signal(Signal::TERM)?;
    ends_well(&pod.wait()?)
}

// T-PROC-04: also when it is not the first process
#[test]
fn sigterm_to_an_executor_that_is_not_the_first_process_exits_143() -> Result<()> {
    let lab = Lab::get()?;
    let script = format!(
        "/kaniko/executor --context=dir:///workspace --insecure-registry={} --no-push &
        child=$!
        trap 'kill -TERM $child' TERM
        wait $child
        wait $child
        echo the executor exited with $?",
        lab.plain().address()
    );
    let dockerfile = format!(
        "FROM {}\nRUN echo phase-'reached'; sleep 600\n",
        lab.busybox()?
    );
    let pod = Pod::new(lab)
        .script(&script)
        .dockerfile(dockerfile)
        .start()?;
    pod.wait_for_line("phase-reached")?;
    pod.signal(Signal::TERM)?;
    pod.wait()?.says("the executor exited with 143")?;
    Ok(())
}
