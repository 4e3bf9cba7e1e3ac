//! One build for several platforms.

use anyhow::{Context as _, Result, ensure};
use kigumi_tests::image::Family;
use kigumi_tests::{Context, Image, ImageBuilder, Index, Lab, LayerBuilder, Pod};
use serde_json::Value;

/// A base whose images differ in one file.
fn base(lab: &Lab) -> Result<String> {
    let name = Lab::unique_name("base");
    let (repository, _) = name.split_once(':').context("a name with a tag")?;
    let mut index = Index::new(Family::Oci);
    for architecture in ["ppc64le", "amd64"] {
        let layer =
            LayerBuilder::new()
                .dir("etc", 0o755)?
                .file("etc/architecture", 0o644, architecture)?;
        let builder = ImageBuilder::new(lab)?
            .architecture(architecture)
            .layer(layer)?;
        let tag = format!("{repository}:{architecture}");
        index = index.image(&builder.push(lab.plain(), &tag)?);
    }
    index.push(lab.plain(), &name)?;
    Ok(lab.destination(&name))
}

// D 4, T-FMT-04
#[test]
fn a_stage_of_the_build_platform_compiles_for_every_platform_and_all_are_pushed_as_one()
-> Result<()> {
    let lab = Lab::get()?;
    let dockerfile = format!(
        "FROM --platform=$BUILDPLATFORM {} AS build
        ARG BUILDARCH TARGETARCH
        RUN mkdir /out && echo \"made on $BUILDARCH for $TARGETARCH\" > /out/program
        FROM {}
        COPY --from=build /out/program /program
        COPY --from=build /out /kept",
        lab.busybox()?,
        base(lab)?
    );
    let names = [Lab::unique_name("several"), Lab::unique_name("several")];
    let mut pod = Pod::new(lab)
        .context(Context::new(lab)?.file("Dockerfile", dockerfile)?)
        .args(["--platform=linux/ppc64le,linux/amd64", "--timestamp=1000"])
        .args(["--digest-file=/workspace/digest"])
        .args(["--oci-layout-path=/workspace/layout"]);
    for name in &names {
        pod = pod.args(["--destination", &lab.destination(name)]);
    }
    let outcome = pod.run()?;
    outcome.success()?;
    let digest = outcome.workspace_file("digest")?;
    let layout = Image::all_from_layout(&outcome.workspace().join("layout"))?;
    for name in &names {
        let (repository, tag) = name.split_once(':').context("a name with a tag")?;
        let (media_type, bytes) = lab.plain().manifest(repository, tag)?;
        ensure!(
            media_type == "application/vnd.oci.image.index.v1+json",
            "{media_type}"
        );
        ensure!(
            lab.plain().manifest(repository, &digest)?.1 == bytes,
            "the digest file names the index"
        );
        let index: Value = serde_json::from_slice(&bytes)?;
        ensure!(
            index["annotations"]["org.opencontainers.image.created"] == "1970-01-01T00:16:40Z",
            "{index}"
        );
        let manifests = index["manifests"].as_array().context("manifests")?;
        for (manifest, architecture) in manifests.iter().zip(["ppc64le", "amd64"]) {
            let platform = &manifest["platform"];
            ensure!(platform["architecture"] == architecture, "{platform}");
            let digest = manifest["digest"].as_str().context("digest")?;
            let image = Image::pull(lab.plain(), &format!("{repository}@{digest}"))?;
            image.strict()?;
            ensure!(
                image.config.value["architecture"] == architecture,
                "{:?}",
                image.config.value
            );
            let tree = image.flatten();
            let program = format!("made on amd64 for {architecture}\n").len() as u64;
            for path in ["program", "kept/program"] {
                let size = tree.get(path).map(|node| node.size);
                ensure!(size == Some(program), "/{path}: {size:?}");
            }
            let base = tree.get("etc/architecture").map(|node| node.size);
            ensure!(
                base == Some(architecture.len() as u64),
                "the base: {base:?}"
            );
            let same = &layout[&format!("linux/{architecture}")];
            ensure!(same.digest() == digest, "the layout has the same image");
        }
    }
    Ok(())
}
