//! The lab itself: its containers are as confined as a pod's, its judges reject what is wrong.

use std::time::Duration;

use anyhow::{Result, ensure};
use kigumi_tests::image::{Allowed, Family, Kind, Packing, compare};
use kigumi_tests::{
    Context, Direction, Image, ImageBuilder, Index, Lab, LayerBuilder, Peer, Pod, Proxy,
};

/// Within which something is seen that does happen, on any machine.
const PATIENCE: Duration = Duration::from_mins(2);

type MakeLayer = fn(LayerBuilder) -> Result<LayerBuilder>;
type Spoil = fn(&mut Image);

fn shell(lab: &Lab, image: &str, script: &str) -> Result<kigumi_tests::Outcome> {
    Pod::new(lab)
        .image(image)
        .bare()
        .args(["sh", "-c", script])
        .run()
}

#[test]
fn a_pod_has_the_capabilities_and_the_seccomp_filter_of_a_kubelet() -> Result<()> {
    let lab = Lab::get()?;
    let outcome = shell(
        lab,
        &lab.debian()?,
        "grep -E '^(CapEff|CapBnd|Seccomp):' /proc/self/status",
    )?;
    outcome.success()?;
    for line in [
        "CapEff:\t00000000a80425fb",
        "CapBnd:\t00000000a80425fb",
        "Seccomp:\t2",
    ] {
        outcome.says(line)?;
    }
    Ok(())
}

#[test]
fn a_pod_can_neither_unshare_nor_mount() -> Result<()> {
    let lab = Lab::get()?;
    let script = "
        unshare --user true && echo 'user namespace'
        unshare --mount true && echo 'mount namespace'
        mount -t tmpfs none /mnt && echo 'mount'
        mknod /null c 1 3 && chroot / true && echo 'the rest works'";
    let outcome = shell(lab, &lab.debian()?, script)?;
    ensure!(outcome.stdout == "the rest works\n", "{outcome}");
    Ok(())
}

#[test]
fn a_pod_has_the_mounts_of_a_kubelet_on_an_overlay() -> Result<()> {
    let lab = Lab::get()?;
    let outcome = shell(
        lab,
        &lab.busybox()?,
        "cut -d' ' -f2,3 /proc/mounts; env; cat /etc/hostname",
    )?;
    outcome.success()?.says("/ overlay")?.says("build-pod")?;
    for mount in [
        "/etc/hosts",
        "/etc/hostname",
        "/etc/resolv.conf",
        "/dev/termination-log",
        "/var/run/secrets/kubernetes.io/serviceaccount",
        "/workspace",
        "/kaniko/.docker",
    ] {
        outcome.says(&format!("{mount} "))?;
    }
    ensure!(!outcome.stdout.contains("container=podman"), "{outcome}");
    Ok(())
}

#[test]
fn exit_codes_output_and_the_termination_log_come_back() -> Result<()> {
    let lab = Lab::get()?;
    let script = "echo out; echo err >&2; printf bye > /dev/termination-log; exit 42";
    let outcome = shell(lab, &lab.busybox()?, script)?;
    outcome.exits_with(42)?;
    ensure!(
        outcome.stdout == "out\n" && outcome.stderr == "err\n",
        "{outcome}"
    );
    ensure!(
        outcome.termination_log == "bye",
        "{}",
        outcome.termination_log
    );
    Ok(())
}

#[test]
fn memory_limits_hold_and_anonymous_memory_is_measured() -> Result<()> {
    let lab = Lab::get()?;
    let hog = |mebibytes: u32, then: &str| -> Result<Pod<'_>> {
        Ok(Pod::new(lab)
            .image(&lab.debian()?)
            .bare()
            .memory("128m")
            .args([
                "perl",
                "-e",
                &format!("$x = 'x' x ({mebibytes} << 20); {then}"),
            ]))
    };
    // It has its memory until it was measured.
    let within = hog(
        40,
        "select undef, undef, undef, 0.02 until -e '/workspace/end'",
    )?
    .start()?;
    let is_measured = |(executor, group): (u64, u64)| executor.min(group) >= 40 << 20;
    while !is_measured(within.peaks()) && !within.has_ended() && within.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(20));
    }
    std::fs::write(within.workspace().join("end"), "")?;
    let within = within.wait()?;
    within.success()?;
    let peaks = (within.peak_anonymous, within.peak_group);
    ensure!(is_measured(peaks), "{peaks:?} bytes");
    let beyond = hog(256, "sleep 1")?.run()?;
    ensure!(beyond.code == 137, "{beyond}");
    Ok(())
}

#[test]
fn signals_and_log_lines_reach_their_target() -> Result<()> {
    let lab = Lab::get()?;
    let script = "trap 'echo got it; exit 143' TERM; echo ready; while :; do sleep 0.1; done";
    let pod = Pod::new(lab)
        .image(&lab.busybox()?)
        .bare()
        .args(["sh", "-c", script])
        .start()?;
    pod.wait_for_line("ready")?;
    pod.signal(rustix::process::Signal::TERM)?;
    pod.wait()?.exits_with(143)?.says("got it")?;
    Ok(())
}

#[test]
fn the_base_images_are_correct_images() -> Result<()> {
    let lab = Lab::get()?;
    for reference in [lab.busybox()?, lab.debian()?] {
        let name = reference.split_once('/').map_or("", |(_, name)| name);
        Image::pull(lab.plain(), name)?.strict()?;
        Peer::new(lab).skopeo_inspect(name)?;
    }
    Ok(())
}

#[test]
fn the_secure_registry_wants_credentials_and_its_own_ca() -> Result<()> {
    let lab = Lab::get()?;
    let busybox = lab.busybox()?;
    let name = busybox.split_once('/').map_or("", |(_, name)| name);
    let target = format!("docker://{}/{name}", lab.secure().address());
    let inspect = |arguments: &[&str]| {
        kigumi_tests::attempt(
            lab.tool("skopeo")
                .arg("inspect")
                .args(arguments)
                .arg(&target),
        )
    };
    let certificates = lab.temp_dir()?;
    std::fs::copy(lab.ca_file(), certificates.path().join("ca.crt"))?;
    let trusted = format!("--cert-dir={}", certificates.path().display());
    ensure!(
        inspect(&[&trusted])?.code == 0,
        "with the lab's CA and credentials"
    );
    ensure!(
        inspect(&[])?.stderr.contains("certificate"),
        "without the lab's CA"
    );
    ensure!(
        inspect(&[&trusted, "--no-creds"])?.stderr.contains("auth"),
        "without credentials"
    );
    let mark = lab.secure().mark();
    inspect(&[&trusted])?;
    ensure!(
        !lab.secure().requests_since(mark)?.is_empty(),
        "the access log is read"
    );
    Ok(())
}

#[test]
fn buildah_agrees_with_itself_and_not_with_another_dockerfile() -> Result<()> {
    let lab = Lab::get()?;
    let peer = Peer::new(lab);
    let build = |line: &str| {
        let name = Lab::unique_name("self");
        let dockerfile = format!(
            "FROM {}\nENV A=b\nRUN echo x > /x && ln /x /y\n{line}",
            lab.busybox()?
        );
        peer.buildah_build(
            Context::new(lab)?.file("Dockerfile", dockerfile)?.path(),
            &name,
            &[],
        )?;
        Image::pull(lab.plain(), &name)
    };
    let (first, second, third) = (
        build("")?,
        build("")?,
        build("RUN chmod 600 /x\nENV A=c\n")?,
    );
    first.strict()?;
    let same = compare(&first, &second, &Allowed::nothing());
    ensure!(same.is_empty(), "{same:#?}");
    let other = compare(&first, &third, &Allowed::nothing());
    ensure!(other.len() == 3, "/x, /y and Env: {other:#?}");
    let allowed = Allowed::nothing()
        .paths(&["/x", "/y"])
        .settings(&["config.Env"]);
    ensure!(
        compare(&first, &third, &allowed).is_empty(),
        "allowed differences"
    );
    Ok(())
}

#[test]
fn images_made_in_code_are_what_skopeo_podman_and_umoci_think_they_are() -> Result<()> {
    let lab = Lab::get()?;
    let name = Lab::unique_name("handmade");
    let base = LayerBuilder::new()
        .dir("d", 0o755)?
        .file("d/old", 0o644, "old")?
        .file("gone", 0o644, "gone")?
        .file("a", 0o4755, "setuid")?
        .hard_link("b", "a")?
        .symlink("s", "a")?
        .fifo("p", 0o600)?
        .device("null", 0o666, 1, 3)?
        .xattr("user.note", b"hello\0")
        .file("noted", 0o640, "x")?;
    let long = "x".repeat(180);
    let top = LayerBuilder::new()
        .owned_by(7, 8)
        .opaque("d")?
        .file("d/new", 0o600, "new")?
        .whiteout("gone")?
        .file(&long, 0o644, "long")?;
    ImageBuilder::new(lab)?
        .packing(Packing::Zstd)
        .layer(base)?
        .packing(Packing::Gzip)
        .layer(top)?
        .push(lab.plain(), &name)?;
    let image = Image::pull(lab.plain(), &name)?;
    image.strict()?;
    let tree = image.flatten();
    let paths: Vec<_> = tree.nodes.keys().map(String::as_str).collect();
    ensure!(
        paths == ["a", "b", "d", "d/new", "noted", "null", "p", "s", &long],
        "{paths:?}"
    );
    let node = |path: &str| {
        tree.get(path)
            .map(|node| node.describe(path))
            .unwrap_or_default()
    };
    ensure!(node("b").ends_with("= /a"), "{}", node("b"));
    ensure!(node("d/new").starts_with("f 0600 7:8"), "{}", node("d/new"));
    ensure!(node("null").ends_with(" 1,3"), "{}", node("null"));
    ensure!(
        node("noted").ends_with("user.note=68656c6c6f00"),
        "{}",
        node("noted")
    );
    Peer::new(lab).skopeo_inspect(&name)?;
    Ok(())
}

#[test]
fn an_index_yields_the_image_of_this_platform() -> Result<()> {
    let lab = Lab::get()?;
    let name = Lab::unique_name("multi");
    let (repository, _) = name.split_once(':').unwrap();
    let mut index = Index::new(Family::Docker);
    for architecture in ["arm64", "amd64"] {
        let pushed = ImageBuilder::new(lab)?
            .family(Family::Docker)
            .architecture(architecture)
            .layer(LayerBuilder::new().file("arch", 0o644, architecture)?)?
            .push(lab.plain(), &format!("{repository}:{architecture}"))?;
        index = index.image(&pushed);
    }
    index.push(lab.plain(), &name)?;
    let image = Image::pull(lab.plain(), &name)?;
    image.strict()?;
    ensure!(image.config.value["architecture"] == "amd64");
    Ok(())
}

#[test]
fn the_strict_checker_names_every_fault() -> Result<()> {
    let lab = Lab::get()?;
    let faults: [(&str, MakeLayer); 11] = [
        ("appears twice", |l| {
            l.file("a", 0o644, "")?.file("./a", 0o644, "")
        }),
        ("absolute or leaves the root", |l| l.file("/a", 0o644, "")),
        ("absolute or leaves the root", |l| {
            l.file("a/../../b", 0o644, "")
        }),
        ("whites out nothing", |l| l.file(".wh.", 0o644, "")),
        ("not an empty regular file", |l| l.file(".wh.a", 0o644, "x")),
        ("reserved name", |l| l.file("d/.wh..wh.plnk", 0o644, "")),
        ("both present and whited out", |l| {
            l.whiteout("a")?.file("a", 0o644, "")
        }),
        ("no earlier file", |l| {
            l.hard_link("b", "a")?.file("a", 0o644, "")
        }),
        ("no earlier file", |l| {
            l.file("a", 0o644, "")?.hard_link("b", "/a")
        }),
        ("another mode or owner", |l| {
            l.file("a", 0o644, "")?.owned_by(1, 1).hard_link("b", "a")
        }),
        ("which is no directory", |l| {
            l.file("a", 0o644, "")?.file("a/b", 0o644, "")
        }),
    ];
    for (words, make) in faults {
        let name = Lab::unique_name("faulty");
        let layer = make(LayerBuilder::new())?;
        ImageBuilder::new(lab)?
            .layer(layer)?
            .push(lab.plain(), &name)?;
        let problems = Image::pull(lab.plain(), &name)?.problems();
        ensure!(
            problems.len() == 1 && problems[0].contains(words),
            "{words}: {problems:?}"
        );
    }
    Ok(())
}

#[test]
fn the_strict_checker_sees_documents_that_do_not_fit_their_layers() -> Result<()> {
    let lab = Lab::get()?;
    let name = Lab::unique_name("unfit");
    let layer = LayerBuilder::new().file("a", 0o644, "a")?;
    ImageBuilder::new(lab)?
        .layer(layer)?
        .push(lab.plain(), &name)?;
    let sound = Image::pull(lab.plain(), &name)?;
    let spoil = |change: Spoil| {
        let mut image = sound.clone();
        change(&mut image);
        image.problems().join("; ")
    };
    let cases: [(&str, Spoil); 5] = [
        ("diff_id 0 is", |image| {
            image.layers[0].diff_id = "sha256:0".to_owned();
        }),
        ("history has 1 layers, the image 0", |image| {
            image.layers.clear();
        }),
        ("layer 0: expected", |image| {
            image.layers[0].descriptor.size += 1;
        }),
        ("config: expected", |image| image.config.bytes.push(b' ')),
        ("holds gzip data", |image| {
            image.layers[0].descriptor.media_type = "application/vnd.oci.image.layer.v1.tar".into();
        }),
    ];
    for (words, change) in cases {
        let problems = spoil(change);
        ensure!(problems.contains(words), "{words}: {problems}");
    }
    Ok(())
}

#[test]
fn umoci_unpacks_what_the_checker_accepts() -> Result<()> {
    let lab = Lab::get()?;
    let reference = lab.busybox()?;
    let name = reference.split_once('/').map_or("", |(_, name)| name);
    let bundle = Peer::new(lab).umoci_unpack(name)?;
    let tree = Image::pull(lab.plain(), name)?.flatten();
    ensure!(
        tree.get("/bin/sh")
            .is_some_and(|node| node.kind == Kind::File)
    );
    ensure!(bundle.rootfs().join("bin/sh").is_file());
    Ok(())
}

#[test]
fn the_proxy_stops_after_exactly_so_many_bytes() -> Result<()> {
    use std::io::{Read as _, Write as _};
    let lab = Lab::get()?;
    let proxy = Proxy::start(lab.plain().address(), "")?;
    proxy.stop_after(Direction::FromRegistry, 10);
    let mut client = std::net::TcpStream::connect(proxy.address())?;
    write!(
        client,
        "GET /v2/ HTTP/1.0\r\nHost: {}\r\n\r\n",
        proxy.address()
    )?;
    let mut start = [0; 10];
    client.read_exact(&mut start)?;
    ensure!(proxy.wait_until_stopped(PATIENCE, || false));
    ensure!(proxy.passed(Direction::FromRegistry) == 10);
    proxy.release();
    let mut rest = Vec::new();
    client.read_to_end(&mut rest)?;
    ensure!(
        &start == b"HTTP/1.0 2" && rest.is_empty(),
        "{start:?} {rest:?}"
    );
    Ok(())
}
