//! What enters a layer, and what never does.

use anyhow::{Result, ensure};
use kigumi_tests::{Built, ImageBuilder, Lab, LayerBuilder};

fn on_busybox(lines: &str) -> Result<Built> {
    let lab = Lab::get()?;
    Built::of_dockerfile(lab, &format!("FROM {}\n{lines}", lab.busybox()?))
}

// T-SNAP-01, T-SNAP-06, T-SNAP-07, T-SNAP-25
#[test]
fn a_layer_holds_the_change_and_its_parents_and_nothing_else() -> Result<()> {
    let built = on_busybox("RUN mkdir -p /a/b/c\nRUN echo x > /a/b/c/d\n")?;
    let top = built.top_layer();
    ensure!(top == ["a/", "a/b/", "a/b/c/", "a/b/c/d"], "{top:?}");
    Ok(())
}

// T-HIST-04
#[test]
fn a_run_that_changes_nothing_still_makes_a_layer() -> Result<()> {
    let built = on_busybox("RUN true\n")?;
    ensure!(
        built.image.layers.len() == 2,
        "{} layers",
        built.image.layers.len()
    );
    ensure!(built.top_layer().is_empty(), "{:?}", built.top_layer());
    Ok(())
}

// T-SNAP-08, T-SNAP-09
#[test]
fn deletions_are_one_whiteout_for_the_topmost_directory() -> Result<()> {
    let built = on_busybox("RUN mkdir -p /x/y/z && touch /x/y/z/1 /x/y/2\nRUN rm -r /x/y\n")?;
    let top = built.top_layer();
    ensure!(top == ["x/", "x/.wh.y"], "{top:?}");
    Ok(())
}

// T-SNAP-23
#[test]
fn another_name_for_an_old_file_keeps_them_one_file() -> Result<()> {
    let built = on_busybox("RUN echo x > /a\nRUN ln /a /b\n")?;
    built.has("/b", "f 0644 0:0|= /a")
}

// T-SNAP-19
#[test]
fn extended_attributes_come_through_run_and_copies_between_stages() -> Result<()> {
    let lab = Lab::get()?;
    let name = Lab::unique_name("base");
    // VFS_CAP_REVISION_2 | effective, permitted: cap_net_bind_service
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let layer = LayerBuilder::with_shell(lab)?
        .dir("d", 0o755)?
        .xattr("security.capability", &capability)
        .file("d/capable", 0o755, "program")?;
    ImageBuilder::new(lab)?
        .layer(layer)?
        .push(lab.plain(), &name)?;
    let reference = lab.destination(&name);
    let built = Built::of_dockerfile(
        lab,
        &format!(
            "FROM {reference} AS first\nRUN busybox touch /d/other\n\
             FROM {reference}\nCOPY --from=first /d /copied\nRUN busybox mv /d/capable /moved\n"
        ),
    )?;
    let wanted = format!("security.capability={}", hex::encode(capability));
    for path in ["/copied/capable", "/moved"] {
        built.has(path, &format!("f 0755 0:0|{wanted}"))?;
    }
    Ok(())
}

// T-UNPACK-06, K-IMG-05, T-COPY-25
#[test]
fn a_base_with_an_executor_of_its_own_cannot_replace_ours() -> Result<()> {
    let lab = Lab::get()?;
    let name = Lab::unique_name("base");
    let layer = LayerBuilder::with_shell(lab)?.dir("kaniko", 0o755)?.file(
        "kaniko/executor",
        0o755,
        "not an executor",
    )?;
    ImageBuilder::new(lab)?
        .layer(layer)?
        .push(lab.plain(), &name)?;
    let product = Lab::unique_name("product");
    kigumi_tests::Pod::new(lab)
        .dockerfile(format!(
            "FROM {}\nRUN busybox touch /x\n",
            lab.destination(&name)
        ))
        .args(["--destination".to_owned(), lab.destination(&product)])
        .run()?
        .success()?;
    let image = kigumi_tests::Image::pull(lab.plain(), &product)?;
    image.strict()?;
    let tree = image.flatten();
    ensure!(tree.get("/x").is_some(), "the build went on");
    let size = tree.get("/kaniko/executor").map_or(0, |node| node.size);
    ensure!(
        size == "not an executor".len() as u64,
        "the base's own file stays: {size} bytes"
    );
    Ok(())
}
