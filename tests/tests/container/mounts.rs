//! `RUN --mount` in a pod that may not mount: what is left behind, what is kept, what is refused.

use anyhow::{Context as _, Result, ensure};
use kigumi_tests::{Built, Context, Lab, Pod};

/// Runs the executor from a shell, and then looks at the root that it leaves.
fn looked_at<'a>(lab: &'a Lab, dockerfile: &str, run: &str, look: &str) -> Result<Pod<'a>> {
    let context = Context::new(lab)?
        .file("Dockerfile", dockerfile)?
        .file("a", "from the context\n")?;
    let script = format!(
        "export PATH=/busybox; EXECUTOR='/kaniko/executor --context=/workspace --insecure --no-push --cleanup=false'; {run}; {look}"
    );
    Ok(Pod::new(lab).context(context).script(&script))
}

/// A base with something at every mount point, and mounts over all of it.
fn mounts_over_everything(lab: &Lab, command: &str) -> Result<String> {
    Ok(format!(
        "FROM {}\n\
         RUN mkdir -p /full/sub /link-to && echo image >/full/sub/f && echo image >/file && ln -s /link-to /link && \
             touch -d @1000000000 /full/sub/f /full/sub /full /file /link-to\n\
         RUN --mount=type=tmpfs,target=/full --mount=target=/full/context --mount=source=a,target=/file \
             --mount=type=cache,target=/link/cache --mount=type=cache,target=/new/deep --mount=type=tmpfs,target=/run/x \
             {command}\n",
        lab.busybox()?
    ))
}

const LOOK: &str = "stat -c '%n %Y %a' /full /full/sub /full/sub/f /file /link-to; cat /full/sub/f /file; \
    ls -A /link-to /run; ls -d /new 2>&1; find / -xdev -name '.kigumi*' -o -xdev -name 'work-*'";

const LEFT: &str = "/full 1000000000 755\n/full/sub 1000000000 755\n/full/sub/f 1000000000 644\n/file 1000000000 644\n\
    /link-to 1000000000 755\nimage\nimage\n";

fn check_root(stdout: &str) -> Result<()> {
    let (before, after) = stdout.split_once(LEFT).with_context(|| stdout.to_owned())?;
    ensure!(!before.contains("/full"), "{stdout}");
    ensure!(after.contains("/new: No such file"), "{stdout}");
    ensure!(
        !after.contains("cache") && !after.contains("/x"),
        "{stdout}"
    );
    ensure!(
        !after.contains("kigumi-aside") && !after.contains("work-"),
        "{stdout}"
    );
    Ok(())
}

// T-MNT-05, T-MNT-09
#[test]
fn a_step_that_fails_leaves_no_trace_of_its_mounts() -> Result<()> {
    let lab = Lab::get()?;
    let dockerfile = mounts_over_everything(
        lab,
        "cat /file /full/context/a && touch /full/x /link/cache/x /new/deep/x /run/x/x && rm /file; exit 42",
    )?;
    let outcome = looked_at(lab, &dockerfile, "$EXECUTOR; echo code $?", LOOK)?.run()?;
    ensure!(outcome.stdout.contains("code 42"), "{outcome}");
    check_root(&outcome.stdout)
}

// T-PROC-04, K-EXIT-06
#[test]
fn a_step_that_is_told_to_end_leaves_no_trace_of_its_mounts() -> Result<()> {
    let lab = Lab::get()?;
    let dockerfile = mounts_over_everything(
        lab,
        "touch /full/x /link/cache/x /new/deep/x /run/x/x /marker; sleep 600",
    )?;
    let run = "$EXECUTOR & while ! test -e /marker; do sleep 0.1; done; kill -TERM $!; wait $!; echo code $?";
    let outcome = looked_at(lab, &dockerfile, run, LOOK)?.run()?;
    ensure!(outcome.stdout.contains("code 143"), "{outcome}");
    check_root(&outcome.stdout)
}

// T-MNT-11, T-MNT-19
#[test]
fn mounts_in_mounts_and_through_links_are_seen_where_they_should_be() -> Result<()> {
    let lab = Lab::get()?;
    let seen = "/real\n/real/in\n/real/in/cache\n/real/in/cache/deep\n/real/in/cache/deep/f\n/real/in/g\n/t\ng\nf\n";
    let context = Context::new(lab)?
        .file("expected", seen)?
        .file(
            "Dockerfile",
            format!(
                "FROM {}\nRUN mkdir /real && ln -s real /link && ln -s ../../../etc/passwd /out\nWORKDIR /w\n\
                 RUN --mount=source=d,target=/link/in --mount=type=cache,target=/link/in/cache --mount=type=tmpfs,target=../t \
                     --mount=source=f,target=/link/in/cache/deep/f \
                     find /real /t | sort >/seen; cat /real/in/g /real/in/cache/deep/f >>/seen; echo x >/real/in/cache/kept\n\
                 RUN --mount=type=cache,target=/c,id=/link/in/cache ls -A /c >/kept; ls -A /real >>/kept\n\
                 COPY expected /expected\nRUN cmp /seen /expected\n",
                lab.busybox()?
            ),
        )?
        .file("d/g", "g\n")?
        .file("f", "f\n")?;
    let built = Built::of(lab, context, &[])?;
    built.has("/kept", "f 0644 0:0 /kept 5 ")?;
    ensure!(built.top_layer().is_empty(), "{:?}", built.top_layer());
    Ok(())
}

// T-MNT-13
#[test]
fn what_a_user_wrote_to_a_read_only_mount_is_found_and_named() -> Result<()> {
    let lab = Lab::get()?;
    let context = Context::new(lab)?
        .file(
            "Dockerfile",
            format!(
                "FROM {}\nUSER daemon\nRUN --mount=target=/m echo x >>/m/d/open\n",
                lab.busybox()?
            ),
        )?
        .file_with_mode("d/open", "everybody's", 0o666)?;
    let outcome = Pod::new(lab).context(context).args(["--no-push"]).run()?;
    outcome.exits_with(1)?;
    outcome.says("`/m/d/open` was changed, but what is mounted at `/m` is read-only")?;
    outcome.says("Dockerfile:3")?;
    Ok(())
}

// T-MNT-13: what most programs do with such an error.
#[test]
fn a_program_that_copes_with_a_read_only_mount_goes_on() -> Result<()> {
    let lab = Lab::get()?;
    let context = Context::new(lab)?
        .file(
            "Dockerfile",
            format!(
                "FROM {}\nRUN --mount=target=/m,source=src cp /m/f /made; touch /m/f 2>/error; mkdir /m/__cache__ 2>>/error; \
                 test -w /m || echo not writable >>/error; true\n",
                lab.busybox()?
            ),
        )?
        .file("src/f", "source")?;
    let built = Built::of(lab, context, &[])?;
    ensure!(
        built.top_layer() == ["error", "made"],
        "{:?}",
        built.top_layer()
    );
    Ok(())
}

/// A build with a cache on a volume.
fn with_volume<'a>(lab: &'a Lab, volume: &std::path::Path, run: &str) -> Result<Pod<'a>> {
    let dockerfile = format!("FROM {}\nRUN {run}\n", lab.busybox()?);
    Ok(Pod::new(lab)
        .dockerfile(dockerfile)
        .volume(volume, "/volume")
        .args(["--no-push", "--cache-mount-dir=/volume/caches"]))
}

// T-MNT-02
#[test]
fn the_next_build_finds_the_cache_on_a_volume_with_everything_that_files_have() -> Result<()> {
    let lab = Lab::get()?;
    let volume = tempfile::tempdir()?;
    let write = "--mount=type=cache,target=/c,uid=5,mode=0750 cd /c && echo one >f && ln f g && ln -s f l && mkdir -m 2711 d && \
        mkfifo p && chown 7:8 f && touch -d @1000000000 f && chmod 4600 f";
    with_volume(lab, volume.path(), write)?.run()?.success()?;
    // Also when the step fails afterwards.
    let add = "--mount=type=cache,target=/c,uid=5,mode=0750 echo two >/c/two; exit 3";
    with_volume(lab, volume.path(), add)?.run()?.exits_with(3)?;
    let look = "--mount=type=cache,target=/c,uid=5,mode=0750 cd /c && stat -c '%n %F %a %u:%g %h %Y' f && stat -c '%a %u' d . && \
        readlink l && cat two && test -p p && test f -ef g && rm two";
    let outcome = with_volume(lab, volume.path(), look)?.run()?;
    outcome.success()?;
    for line in [
        "f regular file 4600 7:8 2 1000000000",
        "2711 0",
        "750 5",
        "two",
    ] {
        outcome.says(line)?;
    }
    let other = "--mount=type=cache,target=/c ls -A /c | grep . && exit 1; true";
    with_volume(lab, volume.path(), other)?.run()?.success()?;
    let read_only = "--mount=type=cache,target=/c,uid=5,mode=0750,ro ls /c; test ! -e /c/two && ! touch /c/x 2>/dev/null";
    with_volume(lab, volume.path(), read_only)?
        .run()?
        .success()?;
    Ok(())
}

// T-MNT-02: only who waits for the other counts to two.
#[test]
fn two_builds_with_a_locked_cache_take_turns() -> Result<()> {
    let lab = Lab::get()?;
    let volume = tempfile::tempdir()?;
    let count = "--mount=type=cache,target=/c,sharing=locked n=$(cat /c/n || echo 0); sleep 2; echo $((n + 1)) >/c/n";
    let first = with_volume(lab, volume.path(), count)?.start()?;
    let second = with_volume(lab, volume.path(), count)?.start()?;
    first.wait()?.success()?;
    second.wait()?.success()?;
    let look = "--mount=type=cache,target=/c echo counted $(cat /c/n)";
    with_volume(lab, volume.path(), look)?
        .run()?
        .says("counted 2")?;
    Ok(())
}

// T-RES-01
#[test]
fn a_cache_that_is_larger_than_the_memory_is_kept() -> Result<()> {
    let lab = Lab::get()?;
    let volume = tempfile::tempdir()?;
    let write = "--mount=type=cache,target=/c head -c 300000000 /dev/zero >/c/big";
    let outcome = with_volume(lab, volume.path(), write)?
        .memory("128m")
        .run()?;
    outcome.success()?;
    ensure!(outcome.peak_anonymous < 100 << 20, "{outcome}");
    let look = "--mount=type=cache,target=/c echo $(wc -c </c/big) bytes";
    let outcome = with_volume(lab, volume.path(), look)?
        .memory("128m")
        .run()?;
    outcome.success()?.says("300000000 bytes")?;
    Ok(())
}

// D 5.4: the best place for a volume.
#[test]
fn a_volume_that_the_pod_mounts_at_the_target_is_the_cache() -> Result<()> {
    let lab = Lab::get()?;
    let volume = tempfile::tempdir()?;
    for (run, expected) in [
        ("echo one >/c/f", "one\n"),
        ("echo two >>/c/f", "one\ntwo\n"),
    ] {
        let dockerfile = format!(
            "FROM {}\nRUN --mount=type=cache,target=/c {run}\n",
            lab.busybox()?
        );
        let pod = Pod::new(lab).dockerfile(dockerfile);
        pod.volume(volume.path(), "/c")
            .args(["--no-push"])
            .run()?
            .success()?;
        let found = std::fs::read_to_string(volume.path().join("f"))?;
        ensure!(found == expected, "{found}");
    }
    Ok(())
}

// T-MNT-16, T-UNPACK-12: what the pod mounts below stays, and nothing else is seen.
#[test]
fn a_tmpfs_over_a_directory_with_mounts_of_the_pod_is_empty_but_for_them() -> Result<()> {
    let lab = Lab::get()?;
    let volume = tempfile::tempdir()?;
    std::fs::write(volume.path().join("pods"), "")?;
    let dockerfile = format!(
        "FROM {}\nRUN mkdir -p /data/image && touch /data/file\n\
         RUN --mount=type=tmpfs,target=/data ls -A /data && stat -c 'mode %a' /data && touch /data/gone /data/volume/kept\n\
         RUN ls -A /data; stat -c 'mode %a' /data\n",
        lab.busybox()?
    );
    let outcome = Pod::new(lab)
        .dockerfile(dockerfile)
        .volume(volume.path(), "/data/volume")
        .args(["--no-push"])
        .run()?;
    outcome.success()?;
    ensure!(volume.path().join("kept").is_file(), "{outcome}");
    outcome.says("mode 1777")?;
    outcome.says("mode 755")?;
    ensure!(!outcome.stderr.contains("gone\n"), "{outcome}");
    Ok(())
}

// T-MNT-04
#[test]
fn a_cache_is_filled_from_a_stage_when_it_is_made_and_never_again() -> Result<()> {
    let lab = Lab::get()?;
    let mount = "--mount=type=cache,from=seed,source=/seed,target=/c";
    let dockerfile = format!(
        "FROM {busybox} AS seed\nRUN mkdir /seed && echo 1 > /seed/first\n\
         FROM {busybox}\n\
         RUN {mount} grep -q 1 /c/first && rm /c/first && echo 2 > /c/second\n\
         RUN {mount} test ! -e /c/first && grep -q 2 /c/second\n",
        busybox = lab.busybox()?
    );
    Built::of_dockerfile(lab, &dockerfile).map(drop)
}
