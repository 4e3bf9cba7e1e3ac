//! Build contexts of every kind, from real servers.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use flate2::Compression;
use flate2::write::GzEncoder;
use kigumi_tests::conformance::GitHost;
use kigumi_tests::{Canaries, Image, Lab, Outcome, Pod, Store, Web, WebAnswer};
use serde_json::json;
use tempfile::TempDir;

/// The files of all contexts here. What is ignored must never arrive.
const FILES: [(&str, &str); 5] = [
    ("Dockerfile", "FROM scratch\nCOPY . /\n"),
    (".dockerignore", "Dockerfile\nsecret\n**/*.log\n"),
    ("secret", "a-secret-of-the-context"),
    ("src/main", "main\n"),
    ("src/build.log", "log\n"),
];

/// `t0ken-of-the-context:`, as servers get it.
const GIT_TOKEN: &str = "t0ken-of-the-context";
const GIT_HEADER: &str = "Basic dDBrZW4tb2YtdGhlLWNvbnRleHQ6";

/// Hidden values may be encoded: nothing of them is in an image or a log.
fn absent(outcome: &Outcome, name: &str, value: &str) -> Result<()> {
    let canaries = Canaries::default().and(name, value);
    canaries.absent_from("the log", outcome.to_string().as_bytes())
}

fn archive() -> Result<Vec<u8>> {
    let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for (name, content) in FILES {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(7);
        header.set_cksum();
        builder.append_data(&mut header, format!("./{name}"), content.as_bytes())?;
    }
    Ok(builder.into_inner()?.finish()?)
}

/// A volume with the files as they are, and as an archive.
fn volume(lab: &Lab) -> Result<(TempDir, PathBuf)> {
    let volume = lab.temp_dir()?;
    for (name, content) in FILES {
        let path = volume.path().join("files").join(name);
        fs::create_dir_all(path.parent().context("a parent")?)?;
        fs::write(path, content)?;
    }
    let archive_file = volume.path().join("context.tar.gz");
    fs::write(&archive_file, archive()?)?;
    Ok((volume, archive_file))
}

/// Builds from a context, and gives the digest of its one layer and the outcome.
fn layer(lab: &Lab, pod: Pod<'_>, context: &str) -> Result<(String, Outcome)> {
    let name = Lab::unique_name("contexts");
    let destination = lab.destination(&name);
    let context = format!("--context={context}");
    let outcome = pod
        .args([&context, "--reproducible", "--destination", &destination])
        .run()?;
    outcome.success()?;
    let image = Image::pull(lab.plain(), &name)?;
    image.strict()?;
    let found: Vec<&str> = image
        .layers
        .iter()
        .flat_map(|layer| &layer.entries)
        .map(|entry| entry.name.as_str())
        .collect();
    ensure!(
        found == [".dockerignore", "src/", "src/main"],
        "{context}: {found:?}\n{outcome}"
    );
    let digest = image.manifest.value.pointer("/layers/0/digest");
    Ok((digest.context("a layer")?.to_string(), outcome))
}

// K-CTX-01, K-CTX-02, K-CTX-05, T-IGN-06
#[test]
fn a_directory_an_archive_and_a_repository_give_the_same_image() -> Result<()> {
    let lab = Lab::get()?;
    let (volume, _) = volume(lab)?;
    let pod = || Pod::new(lab).mount(volume.path(), "/in");
    let (expected, _) = layer(lab, pod(), "/in/files")?;
    let web = Web::start()?.answering(
        "/c",
        [
            WebAnswer::file(archive()?).cut_after(100),
            WebAnswer::file(archive()?),
        ],
    );
    let files: Vec<_> = FILES
        .iter()
        .map(|(path, content)| json!({"path": path, "content": content}))
        .collect();
    let later = json!([{"path": "src/main", "content": "later\n"}]);
    let commits = json!([{"files": files, "tag": "v1"}, {"files": later}]);
    let git = GitHost::start(json!({"r.git": {"commits": commits}}), Some(GIT_HEADER))?;
    let repository = git.url("r.git").replace("http://", "git://");
    let first = git.commit("r.git", 0)?;
    for context in [
        "dir:///in/files".to_owned(),
        "tar:///in/context.tar.gz".to_owned(),
        web.url("/c"),
        format!("{repository}#refs/tags/v1"),
        format!("{repository}#refs/heads/main#{first}"),
    ] {
        let pod = pod()
            .env("GIT_PULL_METHOD", "http")
            .env("GIT_TOKEN", GIT_TOKEN);
        let (found, outcome) = layer(lab, pod, &context)?;
        ensure!(found == expected, "{context}: {found}, not {expected}");
        absent(&outcome, "the token", GIT_TOKEN)?;
    }
    Ok(())
}

// K-CTX-01: the S3 server and Azurite check signatures.
#[test]
fn objects_of_stores_give_the_same_image() -> Result<()> {
    let lab = Lab::get()?;
    let (volume, archive_file) = volume(lab)?;
    let pod = || Pod::new(lab).mount(volume.path(), "/in");
    let (expected, _) = layer(lab, pod(), "/in/files")?;
    let s3 = Store::s3(lab, &archive_file)?;
    let s3_key = s3.fact("key")?;
    let s3_pod = pod()
        .env("S3_ENDPOINT", s3.fact("endpoint")?)
        .env("S3_FORCE_PATH_STYLE", "true")
        .env("AWS_REGION", "eu-central-1")
        .env("AWS_ACCESS_KEY_ID", s3.fact("id")?)
        .env("AWS_SECRET_ACCESS_KEY", s3_key);
    let (found, outcome) = layer(lab, s3_pod, "s3://contexts/dir/a context.tar.gz")?;
    ensure!(found == expected, "S3: {found}, not {expected}");
    absent(&outcome, "the key", s3_key)?;
    let gcs = Store::gcs(lab, &archive_file)?;
    let gcs_pod = pod().env("STORAGE_EMULATOR_HOST", gcs.fact("endpoint")?);
    let (found, _) = layer(lab, gcs_pod, "gs://contexts/dir/a context.tar.gz")?;
    ensure!(found == expected, "GCS: {found}, not {expected}");
    let azure = Store::azure(lab, &archive_file)?;
    let azure_key = azure.fact("key")?;
    let azure_pod = azure_pod(pod(), &azure).env("AZURE_STORAGE_ACCESS_KEY", azure_key);
    let (found, outcome) = layer(lab, azure_pod, &azure.azure_url()?)?;
    ensure!(found == expected, "Azure: {found}, not {expected}");
    absent(&outcome, "the key", azure_key)?;
    Ok(())
}

/// Processes of a group that have not ended.
fn processes(group: u32) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        // Others end while we look.
        let stat = fs::read_to_string(entry?.path().join("stat")).unwrap_or_default();
        let Some((name, rest)) = stat.rsplit_once(") ") else {
            continue;
        };
        let fields: Vec<&str> = rest.split(' ').collect();
        if let [state, _, of, ..] = fields.as_slice()
            && *of == group.to_string()
            && *state != "Z"
        {
            found.push(name.to_owned());
        }
    }
    Ok(found)
}

#[test]
fn nothing_of_a_store_outlives_it() -> Result<()> {
    let lab = Lab::get()?;
    let (_volume, archive_file) = volume(lab)?;
    let azure = Store::azure(lab, &archive_file)?;
    let group = azure.group();
    let running = processes(group)?;
    ensure!(
        running.len() >= 2,
        "Azurite and who prepares it: {running:?}"
    );
    drop(azure);
    // The kernel takes them away after the signal, not with it.
    let deadline = Instant::now() + Duration::from_secs(20);
    while !processes(group)?.is_empty() {
        ensure!(Instant::now() < deadline, "{:?}", processes(group)?);
        std::thread::yield_now();
    }
    Ok(())
}

fn azure_pod<'a>(pod: Pod<'a>, azure: &Store) -> Pod<'a> {
    pod.host_alias("127.0.0.1", Store::azure_host())
        .mount(&azure.authority(), "/ca.crt")
        .env("SSL_CERT_FILE", "/ca.crt")
}

#[test]
fn a_store_that_refuses_is_named_with_what_to_do() -> Result<()> {
    let lab = Lab::get()?;
    let (_volume, archive_file) = volume(lab)?;
    let s3 = Store::s3(lab, &archive_file)?;
    let key = "not-the-key-of-this-user";
    let refused = |pod: Pod<'_>, context: &str, says: &[&str]| -> Result<()> {
        let context = format!("--context={context}");
        let outcome = pod.args([&context, "--no-push"]).run()?;
        outcome.exits_with(1)?;
        for text in says {
            outcome.says(text)?;
        }
        absent(&outcome, "the key", key)
    };
    let s3_pod = |key: &str| -> Result<Pod<'_>> {
        Ok(Pod::new(lab)
            .env("S3_ENDPOINT", s3.fact("endpoint")?)
            .env("S3_FORCE_PATH_STYLE", "true")
            .env("AWS_ACCESS_KEY_ID", s3.fact("id")?)
            .env("AWS_SECRET_ACCESS_KEY", key))
    };
    let object = "s3://contexts/dir/a context.tar.gz";
    let says = [
        "HTTP 403 SignatureDoesNotMatch",
        "s3:GetObject",
        "AWS_ACCESS_KEY_ID",
    ];
    refused(s3_pod(key)?, object, &says)?;
    let says = ["HTTP 404 NoSuchKey", "`s3://contexts/none.tar`"];
    refused(s3_pod(s3.fact("key")?)?, "s3://contexts/none.tar", &says)?;
    let azure = Store::azure(lab, &archive_file)?;
    let wrong = "bm90IHRoZSBrZXkgb2YgdGhpcyBhY2NvdW50";
    let pod = azure_pod(Pod::new(lab), &azure).env("AZURE_STORAGE_ACCESS_KEY", wrong);
    let says = ["HTTP 403", "AZURE_STORAGE_ACCESS_KEY"];
    refused(pod, &azure.azure_url()?, &says)
}

// K-CTX-01, K-CTX-03, T-CLEAN-06
#[test]
fn an_archive_comes_in_through_a_pipe_and_nothing_of_it_stays() -> Result<()> {
    let lab = Lab::get()?;
    let (volume, _) = volume(lab)?;
    let destination = lab.destination(&Lab::unique_name("contexts"));
    let script = format!(
        "ls -A /kaniko > /workspace/before\n\
         cat /in/context.tar.gz | /kaniko/executor --force --context=tar://stdin --insecure-registry={} --destination={destination} || exit\n\
         ls -A /kaniko > /workspace/after",
        lab.plain().address(),
    );
    let outcome = Pod::new(lab)
        .script(&script)
        .mount(volume.path(), "/in")
        .run()?;
    outcome
        .success()?
        .says("fetched the build context tar://stdin")?;
    let (before, after) = (
        outcome.workspace_file("before")?,
        outcome.workspace_file("after")?,
    );
    ensure!(before == after, "{before} became {after}");
    Ok(())
}

// hostile-inputs.md § 4.1: CVE-2026-28406
#[test]
fn an_archive_that_wants_to_be_elsewhere_is_refused() -> Result<()> {
    let lab = Lab::get()?;
    let mut header = tar::Header::new_ustar();
    let name = b"../../kaniko/executor";
    // Not `set_path`: it refuses such names.
    header.as_mut_bytes()[..name.len()].copy_from_slice(name);
    header.set_size(4);
    header.set_mode(0o755);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(7);
    header.set_cksum();
    let mut builder = tar::Builder::new(Vec::new());
    builder.append(&header, &b"evil"[..])?;
    let web = Web::start()?.answering("/c", [WebAnswer::file(builder.into_inner()?)]);
    let script = format!(
        "sha256sum /kaniko/executor > /workspace/before\n\
         /kaniko/executor --force --context={} --no-push 2> /workspace/log && exit 9\n\
         sha256sum /kaniko/executor > /workspace/after",
        web.url("/c"),
    );
    let outcome = Pod::new(lab).script(&script).run()?;
    outcome.success()?;
    let log = outcome.workspace_file("log")?;
    ensure!(log.contains("`..` component"), "{log}");
    ensure!(outcome.workspace_file("before")? == outcome.workspace_file("after")?);
    Ok(())
}

/// Anonymous memory stays below this, whatever the size of the context.
const MEMORY: u64 = 64 << 20;

// T-RES-01 for contexts: issue 5, point 4 of its end.
#[test]
fn a_gibibyte_comes_in_within_64_mebibytes() -> Result<()> {
    let lab = Lab::get()?;
    let volume = lab.temp_dir()?;
    large(&volume.path().join("large.tar.gz"))?;
    let outcome = Pod::new(lab)
        .mount(volume.path(), "/in")
        .memory("256m")
        .args(["--context=tar:///in/large.tar.gz", "--no-push"])
        .run()?;
    outcome.success()?.says("fetched the build context")?;
    let peak = outcome.peak_anonymous;
    println!("{} MiB in {} s", peak >> 20, outcome.elapsed.as_secs());
    ensure!(!outcome.oom_killed, "{outcome}");
    ensure!(
        peak > 0 && peak < MEMORY,
        "{peak} bytes; 0 is not measured, {MEMORY} the limit"
    );
    Ok(())
}

/// A context with a file of one gibibyte.
fn large(path: &Path) -> Result<()> {
    const GIBIBYTE: u64 = 1 << 30;
    let encoder = GzEncoder::new(File::create(path)?, Compression::fast());
    let mut builder = tar::Builder::new(encoder);
    let mut add = |name: &str, size: u64, content: &mut dyn std::io::Read| -> Result<()> {
        let mut header = tar::Header::new_ustar();
        header.set_size(size);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(7);
        header.set_cksum();
        Ok(builder.append_data(&mut header, name, content)?)
    };
    add("large", GIBIBYTE, &mut std::io::repeat(0).take(GIBIBYTE))?;
    let dockerfile = b"FROM scratch\nCOPY Dockerfile /\n";
    add(
        "Dockerfile",
        dockerfile.len() as u64,
        &mut dockerfile.as_slice(),
    )?;
    builder.into_inner()?.finish()?;
    Ok(())
}
