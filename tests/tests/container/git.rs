//! ADD of git repositories, and repositories as contexts.

use std::fs;

use anyhow::{Result, ensure};
use kigumi_tests::conformance::GitHost;
use kigumi_tests::{Built, Canaries, Context, Lab, Pod};
use serde_json::json;

const TOKEN: &str = "a-long-token-for-one-repository";
/// `x-access-token:` and the token, as servers get it.
const KEY: &str = "Basic eC1hY2Nlc3MtdG9rZW46YS1sb25nLXRva2VuLWZvci1vbmUtcmVwb3NpdG9yeQ==";

fn host(key: Option<&str>) -> Result<GitHost> {
    let repositories = json!({"r.git": {"commits": [
        {"files": [{"path": "a", "content": "one\n"}, {"path": "sub/run", "mode": "0755", "content": "#!/bin/sh\necho ran\n"}], "tag": "v1"},
        {"files": [{"path": "a", "content": "two\n"}]},
    ]}});
    GitHost::start(repositories, key)
}

fn built(pod: Pod<'_>, lab: &Lab, dockerfile: &str, arguments: &[&str]) -> Result<Built> {
    let dockerfile = dockerfile.replace("{busybox}", &lab.busybox()?);
    let context = Context::new(lab)?.file("Dockerfile", dockerfile)?;
    Built::by(pod, lab, context, arguments)
}

// T-ADD-08, T-ADD-09
#[test]
fn a_commit_is_fetched_once_and_is_there_for_a_run() -> Result<()> {
    let lab = Lab::get()?;
    let host = host(None)?;
    let (url, first) = (host.url("r.git"), host.commit("r.git", 0)?);
    let dockerfile = format!(
        "FROM {{busybox}}\n\
         ADD --checksum={first} {url}#v1 /a\n\
         ADD --checksum={first} {url}#v1 /b\n\
         RUN test \"$(/a/sub/run; cat /b/a; stat -c '%a %u %g' /a /a/a /a/sub/run)\" = \
             \"$(printf 'ran\\none\\n755 0 0\\n644 0 0\\n755 0 0')\" && test ! -e /a/.git\n"
    );
    let built = built(Pod::new(lab), lab, &dockerfile, &[])?;
    built.holds("/b/a", "one\n")?;
    let posts = host
        .requests()
        .iter()
        .filter(|line| line.starts_with("POST"))
        .count();
    ensure!(
        posts == 2,
        "what there is, and the commit: {:?}",
        host.requests()
    );
    Ok(())
}

// T-ADD-10
#[test]
fn a_token_opens_its_repository_and_is_kept_nowhere() -> Result<()> {
    let lab = Lab::get()?;
    let host = host(Some(KEY))?;
    let volume = lab.temp_dir()?;
    fs::write(volume.path().join("token"), format!("{TOKEN}\n"))?;
    let dockerfile = format!(
        "FROM {{busybox}}\nADD --keep-git-dir=true {} /x/\nRUN test -f /x/.git/HEAD && test -z \"$(ls /run/secrets | grep GIT)\"\n",
        host.url("r.git"),
    );
    for id in [
        "GIT_AUTH_TOKEN".to_owned(),
        format!("GIT_AUTH_TOKEN.{}", host.authority()),
    ] {
        let pod = Pod::new(lab)
            .mount(volume.path(), "/secrets")
            .args([format!("--secret=id={id},src=/secrets/token")]);
        let built = built(pod, lab, &dockerfile, &[])?;
        built.holds("/x/a", "two\n")?;
        let commit = format!("{}\n", host.commit("r.git", 1)?);
        built.holds("/x/.git/HEAD", &commit)?;
        let sent = KEY.trim_start_matches("Basic ");
        let canaries = Canaries::default().and("token", TOKEN).and("header", sent);
        canaries.absent_from_image(lab.plain(), &built.image)?;
        canaries.absent_from("the log", built.outcome.to_string().as_bytes())?;
    }
    Ok(())
}

// T-ADD-10
#[test]
fn without_the_token_it_is_named_at_the_line() -> Result<()> {
    let lab = Lab::get()?;
    let host = host(Some(KEY))?;
    let dockerfile = format!("FROM {}\n\nADD {} /x/\n", lab.busybox()?, host.url("r.git"));
    let outcome = Pod::new(lab)
        .dockerfile(dockerfile)
        .args(["--no-push"])
        .run()?;
    outcome.exits_with(1)?.says("Dockerfile:3")?;
    outcome.says(&format!("GIT_AUTH_TOKEN.{}", host.authority()))?;
    Ok(())
}

// T-FMT-05
#[test]
fn a_repository_may_be_a_context_and_give_the_build_its_time() -> Result<()> {
    let lab = Lab::get()?;
    let host = host(None)?;
    let url = host.url("r.git");
    let dockerfile = format!(
        "ARG SOURCE_DATE_EPOCH=time\nFROM scratch AS time\nADD {url}#v1 /\n\
         FROM {{busybox}}\nCOPY --from=code run /bin/\nRUN --mount=from=code,target=/code test \"$(/code/run)\" = ran\n"
    );
    let context = format!("--build-context=code={url}#v1:sub");
    let built = built(Pod::new(lab), lab, &dockerfile, &[&context])?;
    built.has("/bin/run", "f 0755 0:0")?;
    let created = &built.image.config.value["created"];
    ensure!(created == "2001-09-09T01:46:40Z", "{created}");
    Ok(())
}
