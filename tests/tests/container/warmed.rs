//! Base images that the warmer has put beside the build (K-WARM-03, K-WARM-04, K-CACHE-05).

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use kigumi_tests::lab::Variant;
use kigumi_tests::{Built, Context, ImageBuilder, Lab, LayerBuilder, Pod};

/// Builds on the base in a pod that has the cache, read-only, and counts the layers that were read from the base's repository.
fn layers_read(lab: &Lab, base: &str, cache: &Path) -> Result<usize> {
    let dockerfile = format!("FROM {}\nRUN busybox true > /made\n", lab.destination(base));
    let context = Context::new(lab)?.file("Dockerfile", dockerfile)?;
    let pod = Pod::new(lab).mount(cache, "/cache");
    let own = lab.destination(&Lab::unique_name("cache"));
    let own = own.rsplit_once(':').map_or(own.as_str(), |(name, _)| name);
    let repository = format!("--cache-repo={own}");
    let built = Built::by(pod, lab, context, &["--cache", &repository])?;
    built.has("/made", "f 0644 0:0")?;
    let (name, _) = base.split_once(':').context("a name with a tag")?;
    let blobs = format!("/v2/{name}/blobs/");
    let is_layer = |target: &str| {
        let mut layers = built.image.layers.iter();
        layers.any(|layer| target == format!("{blobs}{}", layer.digest))
    };
    let read = built.requests.iter().filter(|request| {
        request.method == "GET" && request.status == 200 && is_layer(&request.target)
    });
    Ok(read.count())
}

#[test]
fn a_build_reads_no_layer_of_a_base_that_was_warmed_and_one_that_is_broken_from_the_registry()
-> Result<()> {
    let lab = Lab::get()?;
    let base = Lab::unique_name("warm-base");
    let layer = LayerBuilder::with_shell(lab)?;
    ImageBuilder::new(lab)?
        .layer(layer)?
        .push(lab.plain(), &base)?;
    let volume = lab.temp_dir()?;
    ensure!(
        layers_read(lab, &base, volume.path())? == 1,
        "nothing is there"
    );
    Pod::new(lab)
        .variant(Variant::Warmer)
        .bare()
        .volume(volume.path(), "/cache")
        .args(["--image", &lab.destination(&base)])
        .run()?
        .success()?;
    ensure!(layers_read(lab, &base, volume.path())? == 0, "all is there");
    for entry in fs::read_dir(volume.path())? {
        for blob in fs::read_dir(entry?.path().join("blobs/sha256"))? {
            fs::write(blob?.path(), "x")?;
        }
    }
    ensure!(layers_read(lab, &base, volume.path())? == 1, "all is wrong");
    Ok(())
}
