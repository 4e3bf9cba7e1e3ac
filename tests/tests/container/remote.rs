//! ADD of URLs, and contexts with names.

use std::fs;

use anyhow::{Result, ensure};
use kigumi_tests::{
    Built, Canaries, Context, ImageBuilder, Lab, LayerBuilder, Pod, Web, WebAnswer,
};

const TIME: &str = "Wed, 21 Oct 2015 07:28:00 GMT";
const TOKEN: &str = "a-long-token-for-one-host";
const PASSWORD: &str = "pass-word-in-a-url";

fn sha256(text: &str) -> String {
    kigumi_tests::image::digest_of(text.as_bytes())
}

/// A Dockerfile with `{busybox}` in it, in a pod of an ordinary kind.
fn built(pod: Pod<'_>, lab: &Lab, dockerfile: &str, arguments: &[&str]) -> Result<Built> {
    let dockerfile = dockerfile.replace("{busybox}", &lab.busybox()?);
    let context = Context::new(lab)?.file("Dockerfile", dockerfile)?;
    Built::by(pod, lab, context, arguments)
}

// T-ADD-07, T-ADD-08, T-COPY-01
#[test]
fn a_file_of_the_web_is_fetched_once_and_is_there_for_a_run_with_its_mode_and_time() -> Result<()> {
    let lab = Lab::get()?;
    let web = Web::start()?
        .answering(
            "/timed",
            [WebAnswer::file("timed").header("Last-Modified", TIME)],
        )
        .answering("/timeless", [WebAnswer::file("timeless")]);
    let (timed, timeless) = (web.url("/timed"), web.url("/timeless"));
    let sum = sha256("timed");
    let dockerfile = format!(
        "FROM {{busybox}}\n\
         ADD {timed} /a/\n\
         ADD --checksum={sum} {timed} /b/\n\
         ADD {timeless} {timed} /b/\n\
         RUN test \"$(stat -c '%a %u %g %Y' /a/timed /b/timeless)\" = \"$(printf '600 0 0 1445412480\\n600 0 0 0')\"\n\
         ADD --chown=3:4 --chmod=0644 {timed} /c\n"
    );
    let built = built(Pod::new(lab), lab, &dockerfile, &[])?;
    built.has("/c", "f 0644 3:4")?;
    built.holds("/b/timed", "timed")?;
    let mut asked: Vec<String> = web.requests().into_iter().map(|one| one.target).collect();
    asked.sort();
    ensure!(asked == ["/timed", "/timeless"], "{asked:?}");
    Ok(())
}

// T-ADD-10
#[test]
fn credentials_reach_their_host_and_nothing_else() -> Result<()> {
    let lab = Lab::get()?;
    let other = Web::start()?.answering("/public", [WebAnswer::file("public")]);
    let web = Web::start()?
        .answering("/private", [WebAnswer::file("private")])
        .answering("/moved", [WebAnswer::redirect(&other.url("/public"))])
        .answering("/user", [WebAnswer::file("user")]);
    let volume = lab.temp_dir()?;
    fs::write(volume.path().join("token"), format!("{TOKEN}\n"))?;
    let secret = format!(
        "--secret=id=HTTP_AUTH_TOKEN_{},src=/secrets/token",
        web.authority()
    );
    // What is declared is in the history of a RUN, as with BuildKit: the second stage declares nothing.
    let dockerfile = format!(
        "FROM {{busybox}}\nARG password\n\
         ADD {} {} /x/\n\
         ADD http://me:$password@{}/public /y/\n\
         FROM {{busybox}}\nCOPY --from=0 /x /y /z/\n\
         RUN grep -q private /z/private\n",
        web.url("/private"),
        web.url("/moved"),
        other.authority(),
    );
    let pod = Pod::new(lab)
        .mount(volume.path(), "/secrets")
        .args([secret]);
    let password = format!("--build-arg=password={PASSWORD}");
    let built = built(pod, lab, &dockerfile, &[&password])?;
    built.holds("/z/private", "private")?;
    built.holds("/z/moved", "public")?;
    let bearer = format!("Bearer {TOKEN}");
    for request in web.requests() {
        ensure!(
            request.authorization.as_deref() == Some(&*bearer),
            "{request:?}"
        );
    }
    let asked = other.requests();
    let [redirected, by_user] = asked.as_slice() else {
        anyhow::bail!("{asked:?}");
    };
    ensure!(redirected.authorization.is_none(), "{redirected:?}");
    ensure!(
        by_user
            .authorization
            .as_deref()
            .is_some_and(|text| text.starts_with("Basic ")),
        "{by_user:?}"
    );
    let canaries = Canaries::default()
        .and("token", TOKEN)
        .and("password", PASSWORD);
    canaries.absent_from_image(lab.plain(), &built.image)?;
    canaries.absent_from("the log", built.outcome.to_string().as_bytes())
}

/// The history of the stage that adds says `xxxxx` instead.
// T-ADD-10
#[test]
fn a_password_in_a_url_is_not_in_the_image_that_it_was_used_for() -> Result<()> {
    let lab = Lab::get()?;
    let web = Web::start()?.answering("/f", [WebAnswer::file("f")]);
    let url = format!("http://me:{PASSWORD}@{}/f", web.authority());
    let built = built(
        Pod::new(lab),
        lab,
        &format!("FROM {{busybox}}\nADD {url} /f\n"),
        &[],
    )?;
    built.holds("/f", "f")?;
    let canaries = Canaries::default().and("password", PASSWORD);
    canaries.absent_from_image(lab.plain(), &built.image)?;
    canaries.absent_from("the log", built.outcome.to_string().as_bytes())
}

/// What the server does, the flags of the ADD, and what the build says.
// T-ADD-07, T-ADD-08
#[test]
fn a_file_that_cannot_be_had_ends_the_build_at_its_line_and_nothing_is_pushed() -> Result<()> {
    let lab = Lab::get()?;
    let other = sha256("another");
    let came = sha256("this");
    for (answers, flags, words) in [
        (
            vec![WebAnswer::status(404)],
            String::new(),
            vec!["HTTP 404"],
        ),
        (
            vec![WebAnswer::file("this")],
            format!("--checksum={other}"),
            vec![&*other, &*came],
        ),
        (
            vec![WebAnswer::file("this is cut short").cut_after(4)],
            String::new(),
            vec!["it ended after 4 of 17 bytes"],
        ),
        (
            vec![WebAnswer::redirect(
                "http://169.254.169.254/latest/meta-data/",
            )],
            String::new(),
            vec!["169.254.169.254"],
        ),
    ] {
        let web = Web::start()?.answering("/dir/file", answers);
        let name = Lab::unique_name("not-pushed");
        let url = web.url("/dir/file");
        let outcome = Pod::new(lab)
            .dockerfile(format!(
                "FROM {}\nENV a=b\nADD {flags} {url}?signature=s1gnature /x/\n",
                lab.busybox()?
            ))
            .args(["--destination", &lab.destination(&name)])
            .run()?;
        outcome.exits_with(1)?.says("Dockerfile:3")?.says(&url)?;
        for word in words {
            outcome.says(word)?;
        }
        let (repository, tag) = name.split_once(':').unwrap_or_default();
        let pushed = lab.plain().find_manifest(repository, tag)?;
        ensure!(pushed.is_none(), "an image was pushed");
    }
    Ok(())
}

#[test]
fn a_server_that_is_busy_is_asked_again() -> Result<()> {
    let lab = Lab::get()?;
    let web = Web::start()?.answering(
        "/f",
        [
            WebAnswer::status(503),
            WebAnswer::file("whole").cut_after(2),
            WebAnswer::file("whole"),
        ],
    );
    let dockerfile = format!("FROM {{busybox}}\nADD {} /f\n", web.url("/f"));
    let built = built(Pod::new(lab), lab, &dockerfile, &[])?;
    ensure!(web.requests().len() == 3, "{:?}", web.requests());
    built.holds("/f", "whole")
}

/// More than the pod may hold in memory.
#[test]
fn a_file_larger_than_the_memory_is_fetched_and_copied() -> Result<()> {
    const SIZE: usize = 192 << 20;
    let lab = Lab::get()?;
    let web = Web::start()?.answering("/big", [WebAnswer::file(vec![b'k'; SIZE])]);
    let dockerfile = format!("FROM scratch\nADD {} /big\n", web.url("/big"));
    let built = built(Pod::new(lab).memory("128m"), lab, &dockerfile, &[])?;
    built.has("/big", "f 0600 0:0")
}

/// A context directory beside the main one, as a pod has it on another volume.
fn side(lab: &Lab) -> Result<Context> {
    Context::new(lab)?
        .file("tool", "#!/bin/sh\necho side > \"$1\"\n")?
        .file("ignored", "never")?
        .file_with_mode("d/private", "p", 0o600)?
        .file(".dockerignore", "ignored\n")
}

// T-STAGE-15
#[test]
fn a_directory_with_a_name_is_a_base_a_source_and_a_mount() -> Result<()> {
    let lab = Lab::get()?;
    let side = side(lab)?;
    let pod = Pod::new(lab).volume(side.path(), "/side");
    let dockerfile = "FROM side AS base\nFROM {busybox}\n\
        COPY --from=side d /d\n\
        COPY --from=base tool /from-base\n\
        RUN --mount=from=side,target=/m sh /m/tool /made && test ! -e /m/ignored && \
            test \"$(stat -c '%u %g %a' /m/d/private /d/private)\" = \"$(printf '0 0 600\\n0 0 600')\"\n";
    let made = built(pod, lab, dockerfile, &["--build-context=side=/side"])?;
    made.holds("/made", "side\n")?;
    made.has("/d/private", "f 0600 0:0")?;
    made.has_not("/m")?;

    let pod = Pod::new(lab).volume(side.path(), "/side");
    let dockerfile = "FROM side\nLABEL a=b\n";
    let base = built(pod, lab, dockerfile, &["--build-context=side=/side"])?;
    base.has("/d/private", "f 0600 0:0")?;
    base.has_not("/ignored")?;
    ensure!(base.image.layers.len() == 1, "one layer of files");
    ensure!(
        side.path().join("tool").exists(),
        "the context is still there"
    );
    Ok(())
}

/// A root filesystem in an archive behind HTTP, on which a command runs.
// T-STAGE-15
#[test]
fn an_archive_of_the_web_is_a_base_with_the_owners_it_has() -> Result<()> {
    let lab = Lab::get()?;
    let archive = LayerBuilder::with_shell(lab)?
        .owned_by(7, 8)
        .file("owned", 0o640, "x")?
        .finish();
    let web = Web::start()?
        .answering("/rootfs.tar", [WebAnswer::file(archive)])
        .answering("/plain", [WebAnswer::file("plain")]);
    let contexts = [
        format!("--build-context=root={}", web.url("/rootfs.tar")),
        format!("--build-context=file={}", web.url("/plain")),
    ];
    let contexts: Vec<&str> = contexts.iter().map(String::as_str).collect();
    let dockerfile = "FROM root\nCOPY --from=file /context /c\n\
        RUN [\"/bin/sh\", \"-c\", \"echo made > /made\"]\n";
    let built = built(Pod::new(lab), lab, dockerfile, &contexts)?;
    built.has("/owned", "f 0640 7:8")?;
    built.holds("/c", "plain")?;
    built.holds("/made", "made\n")?;
    ensure!(web.requests().len() == 2, "{:?}", web.requests());
    Ok(())
}

/// The layers of a layout are in no registry: they are sent.
// T-STAGE-15
#[test]
fn an_image_of_a_layout_is_a_base_and_a_source() -> Result<()> {
    let lab = Lab::get()?;
    let layout = lab.temp_dir()?;
    let first = Pod::new(lab)
        .volume(layout.path(), "/out")
        .context(Context::new(lab)?.file("f", "of the layout")?)
        .dockerfile(format!(
            "FROM {}\nCOPY f /f\nENV from=layout\n",
            lab.busybox()?
        ))
        .args(["--no-push", "--oci-layout-path=/out/layout"])
        .run()?;
    first.success()?;
    let pod = Pod::new(lab).volume(layout.path(), "/in");
    let dockerfile = "FROM mine:latest\nCOPY --from=mine /f /copied\n\
        RUN test \"$from\" = layout && cat /f > /made\n";
    let built = built(
        pod,
        lab,
        dockerfile,
        &["--build-context=mine=oci-layout:///in/layout"],
    )?;
    for path in ["/f", "/copied", "/made"] {
        built.holds(path, "of the layout")?;
    }
    ensure!(
        built.image.layers.len() == 4,
        "two of the base, two of ours"
    );
    Ok(())
}

// T-STAGE-15
#[test]
fn an_image_under_another_name_stands_in_for_a_stage() -> Result<()> {
    let lab = Lab::get()?;
    let name = Lab::unique_name("stand-in");
    ImageBuilder::new(lab)?
        .layer(LayerBuilder::new().file("which", 0o644, "stand-in")?)?
        .push(lab.plain(), &name)?;
    let context = format!(
        "--build-context=tools=docker-image://{}",
        lab.destination(&name)
    );
    let dockerfile = "FROM {busybox} AS tools\nRUN echo was-'run' && exit 1\n\
        FROM {busybox}\nCOPY --from=tools /which /which\n";
    let built = built(Pod::new(lab), lab, dockerfile, &[&context])?;
    built.holds("/which", "stand-in")?;
    ensure!(
        !built.outcome.to_string().contains("was-run"),
        "{}",
        built.outcome
    );
    Ok(())
}

#[test]
fn a_context_that_is_not_there_is_named() -> Result<()> {
    let lab = Lab::get()?;
    for (context, words) in [
        ("--build-context=side=/not/there", "/not/there"),
        ("--build-context=side=oci-layout:///not/there", "/not/there"),
        ("--build-context=side=target:x", "bake files only"),
        ("--build-context=side=s3://b/x", "--build-context `side`"),
    ] {
        let outcome = Pod::new(lab)
            .dockerfile(format!("FROM {}\nCOPY --from=side /a /\n", lab.busybox()?))
            .args(["--no-push", context])
            .run()?;
        outcome.exits_with(1)?.says(words)?;
    }
    Ok(())
}
