//! What kaniko gets wrong: each of its bugs that we know of is one test (T-BUG), or a line of docs/deviations.md.

use std::io::Write as _;

use anyhow::{Context as _, Result, ensure};
use kigumi_tests::image::Packing;
use kigumi_tests::{Built, Context, ImageBuilder, Lab, LayerBuilder, Pod};

/// Builds the lines on busybox.
fn built(lines: &str, context: Context, arguments: &[&str]) -> Result<Built> {
    let lab = Lab::get()?;
    let dockerfile = format!("FROM {}\n{lines}", lab.busybox()?);
    Built::of(lab, context.file("Dockerfile", dockerfile)?, arguments)
}

fn on_busybox(lines: &str) -> Result<Built> {
    built(lines, Context::new(Lab::get()?)?, &[])
}

fn tree() -> Result<Context> {
    Context::new(Lab::get()?)?
        .file("dir/kept", "1")?
        .file("dir/secret.key", "2")?
        .file("dir/sub/deep", "3")
}

/// A base of one layer, with a shell.
fn base(layer: impl FnOnce(LayerBuilder) -> Result<LayerBuilder>) -> Result<String> {
    let lab = Lab::get()?;
    let name = Lab::unique_name("base");
    let layer = layer(LayerBuilder::with_shell(lab)?)?;
    ImageBuilder::new(lab)?
        .layer(layer)?
        .push(lab.plain(), &name)?;
    Ok(lab.destination(&name))
}

// T-BUG-01
#[test]
fn files_copied_below_a_volume_are_in_the_layer() -> Result<()> {
    let built = built("VOLUME /data\nCOPY dir/ /data/\nRUN true\n", tree()?, &[])?;
    built.holds("/data/kept", "1")?;
    built.holds("/data/sub/deep", "3")
}

// T-BUG-02
#[test]
fn what_a_run_makes_below_a_volume_is_in_the_layer() -> Result<()> {
    let built = on_busybox("VOLUME /data\nRUN mkdir -p /data/d && echo x > /data/d/f\n")?;
    built.holds("/data/d/f", "x\n")
}

// T-BUG-03
#[test]
fn what_exclude_matches_is_left_out() -> Result<()> {
    let built = built("COPY --exclude=*.key --exclude=sub dir /d/\n", tree()?, &[])?;
    built.has("/d/kept", "f 0644 0:0")?;
    built.has_not("/d/secret.key")?;
    built.has_not("/d/sub")
}

// T-BUG-04
#[test]
fn parents_keeps_the_directories_above_a_source() -> Result<()> {
    let built = built("COPY --parents dir/sub/deep /d/\n", tree()?, &[])?;
    built.has("/d/dir/sub/deep", "f 0644 0:0")?;
    built.has_not("/d/deep")
}

// T-BUG-07
#[test]
fn a_compressed_file_that_is_no_archive_is_added_as_it_is() -> Result<()> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(b"{\"no\": \"archive\"}")?;
    let bytes = packed.finish()?;
    let context = Context::new(Lab::get()?)?.file("data.json.gz", &bytes)?;
    let built = built("ADD data.json.gz /d/\n", context, &[])?;
    built.has(
        "/d/data.json.gz",
        &format!("f 0644 0:0 /d/data.json.gz {} ", bytes.len()),
    )
}

// T-BUG-08
#[test]
fn archives_in_xz_and_zstd_are_unpacked() -> Result<()> {
    let archive = || -> Result<Vec<u8>> {
        let layer = LayerBuilder::new()
            .owned_by(5, 6)
            .file("inside", 0o640, "x")?;
        Ok(layer.finish())
    };
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 6);
    xz.write_all(&archive()?)?;
    let context = Context::new(Lab::get()?)?
        .file("one.tar.xz", xz.finish()?)?
        .file("two.tar.zst", zstd::encode_all(archive()?.as_slice(), 3)?)?;
    let built = built(
        "ADD one.tar.xz /one/\nADD two.tar.zst /two/\n",
        context,
        &[],
    )?;
    for directory in ["one", "two"] {
        built.has(&format!("/{directory}/inside"), "f 0640 5:6")?;
        built.has_not(&format!("/{directory}/one.tar.xz"))?;
    }
    Ok(())
}

// T-BUG-09
#[test]
fn an_opaque_directory_hides_what_lower_layers_have_in_it() -> Result<()> {
    let lab = Lab::get()?;
    let name = Lab::unique_name("base");
    let lower = LayerBuilder::with_shell(lab)?
        .dir("d", 0o755)?
        .file("d/old", 0o644, "old")?;
    let upper = LayerBuilder::new()
        .file("d/new", 0o644, "new")?
        .opaque("d")?;
    ImageBuilder::new(lab)?
        .layer(lower)?
        .packing(Packing::Zstd)
        .layer(upper)?
        .push(lab.plain(), &name)?;
    let reference = lab.destination(&name);
    let built = Built::of_dockerfile(
        lab,
        &format!(
            "FROM {reference} AS base\nRUN test ! -e /d/old && test -e /d/new\n\
             FROM scratch\nCOPY --from=base /d /d\n"
        ),
    )?;
    built.has("/d/new", "f 0644 0:0")?;
    built.has_not("/d/old")
}

// T-BUG-10
#[test]
fn pipes_and_devices_of_a_base_are_there_for_run_and_for_copies() -> Result<()> {
    let reference = base(|layer| {
        layer
            .dir("d", 0o755)?
            .fifo("d/pipe", 0o640)?
            .device("d/zero", 0o660, 1, 5)
    })?;
    let built = Built::of_dockerfile(
        Lab::get()?,
        &format!(
            "FROM {reference} AS base\nRUN test -p /d/pipe && test -c /d/zero\n\
             FROM scratch\nCOPY --from=base /d /d\n"
        ),
    )?;
    built.has("/d/pipe", "p 0640 0:0")?;
    built.has("/d/zero", "c 0660 0:0|1,5")
}

// T-BUG-11, T-COPY-23
#[test]
fn a_pipe_in_the_context_does_not_block_a_copy() -> Result<()> {
    let context = Context::new(Lab::get()?)?.file("file", "x")?;
    kigumi_tests::run(std::process::Command::new("mkfifo").arg(context.path().join("pipe")))?;
    let built = built("COPY . /all/\n", context, &[])?;
    built.has("/all/file", "f 0644 0:0")?;
    built.has("/all/pipe", "p ")
}

// T-BUG-12
#[test]
fn chown_changes_the_owner_of_links_too() -> Result<()> {
    let context = tree()?.symlink("dir/link", "kept")?;
    let built = built("COPY --chown=7:8 dir /d\n", context, &[])?;
    built.has("/d/link", "l 0777 7:8|-> kept")
}

// T-BUG-13
#[test]
fn links_keep_their_owner_when_they_are_copied_from_a_stage() -> Result<()> {
    let lab = Lab::get()?;
    let dockerfile = format!(
        "FROM {} AS made\nRUN mkdir /d && ln -s nowhere /d/link && chown -h 7:8 /d/link\n\
         FROM scratch\nCOPY --from=made /d /d\n",
        lab.busybox()?
    );
    let built = Built::of_dockerfile(lab, &dockerfile)?;
    built.has("/d/link", "l 0777 7:8|-> nowhere")
}

// T-BUG-14
#[test]
fn links_of_a_base_belong_to_whom_the_layer_says() -> Result<()> {
    let reference = base(|layer| layer.owned_by(7, 8).symlink("link", "nowhere"))?;
    let dockerfile = format!(
        "FROM {reference}\nRUN busybox test $(busybox stat -c %u:%g /link) = 7:8 && busybox touch /x\n"
    );
    let built = Built::of_dockerfile(Lab::get()?, &dockerfile)?;
    built.has("/link", "l 0777 7:8|-> nowhere")
}

// T-BUG-15: capabilities of files; other attributes are in docs/deviations.md
#[test]
fn capabilities_of_files_survive_a_copy_from_a_stage() -> Result<()> {
    // VFS_CAP_REVISION_2 | effective, permitted: cap_net_bind_service
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let reference = base(|layer| {
        layer
            .dir("d", 0o755)?
            .dir("d/sub", 0o755)?
            .xattr("security.capability", &capability)
            .file("d/sub/capable", 0o755, "program")
    })?;
    let dockerfile =
        format!("FROM {reference} AS first\nRUN true\nFROM scratch\nCOPY --from=first /d /d\n");
    let built = Built::of_dockerfile(Lab::get()?, &dockerfile)?;
    let wanted = format!("security.capability={}", hex::encode(capability));
    built.has("/d/sub/capable", &format!("f 0755 0:0|{wanted}"))
}

// T-BUG-16
#[test]
fn hard_links_survive_a_copy_from_a_stage() -> Result<()> {
    let lab = Lab::get()?;
    let dockerfile = format!(
        "FROM {} AS made\nRUN mkdir -p /d/s && echo x > /d/a && ln /d/a /d/s/b\n\
         FROM scratch\nCOPY --from=made /d /d\n",
        lab.busybox()?
    );
    let built = Built::of_dockerfile(lab, &dockerfile)?;
    built.has("/d/s/b", "f 0644 0:0|= /d/a")
}

// T-BUG-17, T-PROC-02
#[test]
fn a_process_that_escaped_its_run_is_dead_before_the_next_layer() -> Result<()> {
    let built = on_busybox(
        "RUN setsid sh -c 'while :; do echo late >> /late; done' > /dev/null 2>&1 &\n\
         RUN sleep 1 && touch /after\n",
    )?;
    ensure!(built.top_layer() == ["after"], "{:?}", built.top_layer());
    Ok(())
}

// T-BUG-18, T-SNAP-26
#[test]
fn a_rewrite_of_the_same_size_and_time_is_seen_whatever_way_of_looking_is_asked_for() -> Result<()>
{
    for flags in [
        &["--snapshot-mode=full"][..],
        &["--snapshot-mode=redo"],
        &["--snapshot-mode=time"],
        &["--use-new-run"],
        &[],
    ] {
        let rewrite =
            |text| format!("RUN printf {text} > /q && touch -d '2020-01-01 00:00:00' /q\n");
        let lines = rewrite("AAAA") + &rewrite("BBBB");
        let built = built(&lines, Context::new(Lab::get()?)?, flags)?;
        built
            .holds("/q", "BBBB")
            .with_context(|| format!("{flags:?}"))?;
    }
    Ok(())
}

// T-BUG-19
#[test]
fn a_run_works_in_its_working_directory_though_that_was_removed() -> Result<()> {
    on_busybox("WORKDIR /a/b\nRUN cd / && rm -r /a\nRUN test $(pwd) = /a/b\n").map(drop)
}

// T-BUG-21
#[test]
fn every_instruction_that_only_changes_the_config_is_in_the_history() -> Result<()> {
    let built = on_busybox("ENV A=1\nLABEL b=2\nCMD [\"c\"]\nRUN true\nEXPOSE 4\nUSER 5\n")?;
    let history = built.image.config.value.pointer("/history");
    let history = history.and_then(|entries| entries.as_array());
    let texts: Vec<String> = history
        .into_iter()
        .flatten()
        .skip(1)
        .map(|entry| {
            let text = entry.pointer("/created_by").and_then(|text| text.as_str());
            let empty = entry
                .pointer("/empty_layer")
                .and_then(serde_json::Value::as_bool);
            format!("{} {}", text.unwrap_or_default(), empty.unwrap_or(false))
        })
        .collect();
    let wanted = [
        "ENV A=1 true",
        "LABEL b=2 true",
        "CMD [\"c\"] true",
        "RUN /bin/sh -c true # buildkit false",
        "EXPOSE [4/tcp] true",
        "USER 5 true",
    ];
    ensure!(texts == wanted, "{texts:?}");
    Ok(())
}

// T-BUG-23
#[test]
fn a_copy_needs_no_user_in_the_environment_of_the_executor() -> Result<()> {
    let lab = Lab::get()?;
    let dockerfile = format!("FROM {}\nCOPY dir /d\nADD dir /e\n", lab.busybox()?);
    let pod = Pod::new(lab)
        .podman_option("--unsetenv=USER")
        .podman_option("--unsetenv=HOME");
    let built = Built::by(pod, lab, tree()?.file("Dockerfile", dockerfile)?, &[])?;
    built.has("/d/kept", "f 0644 0:0")?;
    built.has("/e/kept", "f 0644 0:0")
}

// T-BUG-24
#[test]
fn certificates_are_not_verified_for_pulls_when_that_is_asked_for() -> Result<()> {
    let lab = Lab::get()?;
    let name = Lab::unique_name("secure-base");
    let layer = LayerBuilder::with_shell(lab)?;
    ImageBuilder::new(lab)?
        .layer(layer)?
        .push(lab.secure(), &name)?;
    let pulled = |arguments: &[&str]| {
        Pod::new(lab)
            .dockerfile(format!(
                "FROM {}/{name}\nCOPY Dockerfile /\n",
                lab.secure().address()
            ))
            .docker_config(lab.docker_config()?)
            .args(["--no-push"])
            .args(arguments.iter().copied())
            .run()
    };
    pulled(&["--skip-tls-verify-pull"])?.success()?;
    pulled(&[])?.exits_with(1)?.says("certificate")?;
    pulled(&["--skip-tls-verify-pull=false"])?.exits_with(1)?;
    Ok(())
}

// T-BUG-25; `big` does the same with gigabytes
#[test]
fn memory_does_not_grow_with_a_layer() -> Result<()> {
    let lab = Lab::get()?;
    let context = Context::new(lab)?;
    let file = std::fs::File::create(context.path().join("large"))?;
    file.set_len(400 << 20)?;
    let dockerfile = format!(
        "FROM {}\nCOPY large /\nRUN cp /large /again\n",
        lab.busybox()?
    );
    let context = context.file("Dockerfile", dockerfile)?;
    let pod = Pod::new(lab).memory("256m");
    let built = Built::by(pod, lab, context, &[])?;
    let peak = built.outcome.peak_anonymous >> 20;
    ensure!(peak < 150, "{peak} MB");
    built.has("/again", &format!("f 0644 0:0 /again {} ", 400 << 20))
}

// T-BUG-05
#[test]
fn a_download_with_another_digest_than_was_said_fails_the_build() -> Result<()> {
    let lab = Lab::get()?;
    // What a registry answers here is `{}`.
    let url = format!("http://{}/v2/", lab.plain().address());
    let add = |digest| format!("ADD --checksum=sha256:{digest} {url} /x\n");
    let right = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
    on_busybox(&add(right))?.holds("/x", "{}")?;
    let wrong = "0".repeat(64);
    let outcome = Pod::new(lab)
        .dockerfile(format!("FROM {}\n{}", lab.busybox()?, add(&wrong)))
        .args(["--no-push"])
        .run()?;
    outcome
        .exits_with(1)?
        .says(&wrong)?
        .says(right)?
        .says("Dockerfile:2")?;
    Ok(())
}
