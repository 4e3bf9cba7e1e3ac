//! Pulls, pushes, credentials and what they cost in requests.

use anyhow::{Result, ensure};
use kigumi_tests::image::{Family, Packing};
use kigumi_tests::lab::Request;
use kigumi_tests::{Built, Context, Image, ImageBuilder, Index, Lab, LayerBuilder, Outcome, Pod};

/// Pushes to the secure registry.
fn push_securely(config: &str, arguments: &[&str]) -> Result<(String, Outcome)> {
    let lab = Lab::get()?;
    let name = Lab::unique_name("secure");
    let outcome = Pod::new(lab)
        .dockerfile(format!(
            "FROM {}\nRUN echo was-'run' > /x; cat /x\n",
            lab.busybox()?
        ))
        .docker_config(config)
        .mount(&lab.ca_file(), "/lab/ca.crt")
        .args([
            "--destination".to_owned(),
            format!("{}/{name}", lab.secure().address()),
        ])
        .args(arguments.iter().copied())
        .run()?;
    Ok((name, outcome))
}

fn certificate(lab: &Lab) -> String {
    format!(
        "--registry-certificate={}=/lab/ca.crt",
        lab.secure().address()
    )
}

#[test]
fn a_registry_with_tls_and_credentials() -> Result<()> {
    let lab = Lab::get()?;
    let (name, outcome) = push_securely(&lab.docker_config()?, &[&certificate(lab)])?;
    outcome.success()?;
    Image::pull(lab.secure(), &name)?.strict()
}

// K-AUTH-07
#[test]
fn an_authority_mounted_into_the_certificate_directory_is_trusted() -> Result<()> {
    let lab = Lab::get()?;
    let name = Lab::unique_name("secure");
    Pod::new(lab)
        .dockerfile(format!("FROM {}\nLABEL a=b\n", lab.busybox()?))
        .docker_config(lab.docker_config()?)
        .mount(
            &lab.ca_file(),
            "/kaniko/ssl/certs/additional-ca-cert-bundle.crt",
        )
        .args([
            "--destination".to_owned(),
            format!("{}/{name}", lab.secure().address()),
        ])
        .run()?
        .success()?;
    Image::pull(lab.secure(), &name)?.strict()
}

#[test]
fn verification_is_skipped_for_the_registry_that_was_named() -> Result<()> {
    let lab = Lab::get()?;
    let flag = format!("--skip-tls-verify-registry={}", lab.secure().address());
    push_securely(&lab.docker_config()?, &[&flag])?
        .1
        .success()?;
    let other = "--skip-tls-verify-registry=registry.invalid";
    let (_, outcome) = push_securely(&lab.docker_config()?, &[other])?;
    outcome.exits_with(1)?;
    Ok(())
}

// K-EXIT-03: the permission to push is asked for before anything runs
#[test]
fn missing_and_wrong_credentials_fail_before_the_first_run() -> Result<()> {
    let lab = Lab::get()?;
    let wrong = lab
        .docker_config()?
        .replace("\"auth\":\"", "\"auth\":\"d3Jvbmc6")
        .replace("pass:w", "x");
    for config in ["{}", &wrong] {
        let (_, outcome) = push_securely(config, &[&certificate(lab)])?;
        outcome.exits_with(1)?.says(lab.secure().address())?;
        ensure!(!outcome.to_string().contains("was-run"), "{outcome}");
    }
    Ok(())
}

#[test]
fn credentials_are_never_in_a_log() -> Result<()> {
    let lab = Lab::get()?;
    let password = lab
        .secure()
        .credentials()
        .map(|known| known.password.clone())
        .unwrap_or_default();
    let arguments = [certificate(lab), "--verbosity=trace".to_owned()];
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (_, outcome) = push_securely(&lab.docker_config()?, &arguments)?;
    outcome.success()?;
    let text = format!("{}{}", outcome.stdout, outcome.stderr);
    ensure!(!text.contains(&password), "the password is in the log");
    ensure!(
        !text.to_lowercase().contains("authorization: basic"),
        "a header is in the log"
    );
    Ok(())
}

/// A base that no other test asks for: its repository and its reference.
fn base_of_its_own(lab: &Lab) -> Result<(String, String)> {
    let name = Lab::unique_name("own-base");
    let layer = LayerBuilder::with_shell(lab)?;
    ImageBuilder::new(lab)?
        .layer(layer)?
        .push(lab.plain(), &name)?;
    let repository = name.split(':').next().unwrap_or_default().to_owned();
    Ok((repository, lab.destination(&name)))
}

/// How many blobs were read from a repository.
fn blobs_read(requests: &[Request], repository: &str) -> Vec<String> {
    let start = format!("/v2/{repository}/blobs/");
    requests
        .iter()
        .filter(|request| request.method == "GET" && request.status == 200)
        .filter_map(|request| request.target.strip_prefix(&start).map(str::to_owned))
        .collect()
}

// T-PUSH: what is in the registry already is neither read nor sent twice
#[test]
fn layers_of_a_base_in_the_same_registry_are_mounted_and_read_once() -> Result<()> {
    let lab = Lab::get()?;
    let (base, reference) = base_of_its_own(lab)?;
    let mark = lab.plain().mark();
    let built = Built::of_dockerfile(lab, &format!("FROM {reference}\nRUN busybox touch /x\n"))?;
    let requests = lab.plain().requests_since(mark)?;
    let mounted = requests.iter().any(|request| {
        request.method == "POST"
            && request.target.contains("mount=")
            && request.target.contains(&base)
            && request.status == 201
    });
    ensure!(mounted, "no mount from {base}: {requests:#?}");
    let layer = built
        .image
        .layers
        .first()
        .map(|layer| layer.digest.clone())
        .unwrap_or_default();
    let reads = blobs_read(&requests, &base)
        .iter()
        .filter(|digest| **digest == layer)
        .count();
    ensure!(
        reads == 1,
        "the layer was read {reads} times: {requests:#?}"
    );
    let (repository, _) = built.name.split_once(':').unwrap();
    let start = format!("/v2/{repository}/blobs/uploads/");
    let uploads = requests
        .iter()
        .filter(|request| request.method == "PUT" && request.target.starts_with(&start))
        .count();
    ensure!(
        uploads == 2,
        "one layer and one config, not {uploads}: {requests:#?}"
    );
    Ok(())
}

#[test]
fn a_stage_without_run_needs_no_layer_of_its_base() -> Result<()> {
    let lab = Lab::get()?;
    let (base, reference) = base_of_its_own(lab)?;
    let mark = lab.plain().mark();
    Built::of_dockerfile(lab, &format!("FROM {reference}\nLABEL a=b\nENV C=d\n"))?;
    let read = blobs_read(&lab.plain().requests_since(mark)?, &base);
    ensure!(read.len() <= 1, "more than the config: {read:?}");
    Ok(())
}

#[test]
fn media_types_follow_the_base_or_the_flag() -> Result<()> {
    let lab = Lab::get()?;
    let name = Lab::unique_name("base");
    ImageBuilder::new(lab)?
        .family(Family::Docker)
        .packing(Packing::Gzip)
        .layer(LayerBuilder::new().file("x", 0o644, "x")?)?
        .push(lab.plain(), &name)?;
    let dockerfile = format!("FROM {}\nLABEL a=b\n", lab.destination(&name));
    let kind = |arguments: &[&str]| -> Result<String> {
        let context = Context::new(lab)?.file("Dockerfile", &dockerfile)?;
        Ok(Built::of(lab, context, arguments)?
            .image
            .manifest
            .expected
            .media_type)
    };
    ensure!(kind(&[])? == "application/vnd.docker.distribution.manifest.v2+json");
    ensure!(kind(&["--image-format=oci"])? == "application/vnd.oci.image.manifest.v1+json");
    Ok(())
}

#[test]
fn new_layers_are_zstd_when_that_is_asked_for() -> Result<()> {
    let lab = Lab::get()?;
    let context = Context::new(lab)?.file(
        "Dockerfile",
        format!("FROM {}\nRUN echo x > /x\n", lab.busybox()?),
    )?;
    let built = Built::of(lab, context, &["--compression=zstd"])?;
    let kinds: Vec<&str> = built
        .image
        .layers
        .iter()
        .map(|layer| layer.compression)
        .collect();
    ensure!(kinds == ["gzip", "zstd"], "{kinds:?}");
    Ok(())
}

#[test]
fn the_platform_of_the_pod_is_chosen_from_an_index_and_another_on_request() -> Result<()> {
    let lab = Lab::get()?;
    let name = Lab::unique_name("multi");
    let (repository, _) = name.split_once(':').unwrap();
    let mut index = Index::new(Family::Oci);
    for architecture in ["arm64", "amd64"] {
        let layer = LayerBuilder::new().file("architecture", 0o644, architecture)?;
        let builder = ImageBuilder::new(lab)?
            .architecture(architecture)
            .layer(layer)?;
        let tag = format!("{repository}:{architecture}");
        index = index.image(&builder.push(lab.plain(), &tag)?);
    }
    index.push(lab.plain(), &name)?;
    let reference = lab.destination(&name);
    let own = Built::of_dockerfile(lab, &format!("FROM {reference}\nLABEL a=b\n"))?;
    ensure!(
        own.image.config.value["architecture"] == "amd64",
        "{}",
        own.image.config.value
    );
    let other = format!("FROM --platform=linux/arm64 {reference}\nLABEL a=b\n");
    let other = Built::of_dockerfile(lab, &other)?;
    ensure!(
        other.image.config.value["architecture"] == "arm64",
        "{}",
        other.image.config.value
    );
    Ok(())
}

// invariant: no byte is used whose digest was not checked
#[test]
fn a_layer_that_is_not_what_its_digest_says_fails_the_build() -> Result<()> {
    let lab = Lab::get()?;
    let name = Lab::unique_name("forged");
    let (repository, tag) = name.split_once(':').unwrap();
    let layer = LayerBuilder::new().file("x", 0o644, "x")?;
    ImageBuilder::new(lab)?
        .layer(layer)?
        .push(lab.plain(), &name)?;
    // A size that is not the blob's: the registry does not check it, the executor must.
    let (media_type, bytes) = lab.plain().manifest(repository, tag)?;
    let mut manifest: serde_json::Value = serde_json::from_slice(&bytes)?;
    manifest["layers"][0]["size"] = 7.into();
    let forged = manifest.to_string();
    lab.plain()
        .put_manifest(repository, "forged", &media_type, forged.as_bytes())?;
    let outcome = Pod::new(lab)
        .dockerfile(format!(
            "FROM {} AS base\nFROM {}\nCOPY --from=base /x /x\n",
            lab.destination(&format!("{repository}:forged")),
            lab.busybox()?
        ))
        .args(["--no-push"])
        .run()?;
    outcome.exits_with(1)?.says("sha256:")?;
    Ok(())
}
