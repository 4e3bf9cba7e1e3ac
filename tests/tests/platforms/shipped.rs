//! What `deploy` ships and what kaniko's users have, read as their platforms would read it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use kigumi_tests::lab::read_yaml;
use kigumi_tests::{Lab, Play, Pod, Variant};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A file of `deploy`.
pub(crate) fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../deploy")
        .join(name)
}

/// The only document of a file of `deploy`.
pub(crate) fn document(name: &str) -> Result<Value> {
    let mut documents = read_yaml(&path(name))?;
    documents
        .pop()
        .with_context(|| format!("deploy/{name} is empty"))
}

/// A public example of kaniko: names and values as they are public, written down by us.
pub(crate) fn example(name: &str) -> Result<Value> {
    let place = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("platforms/examples")
        .join(name);
    let mut documents = read_yaml(&place)?;
    documents.pop().with_context(|| format!("{name} is empty"))
}

/// What a user runs after the migration: the example with another image, and what we ship.
pub(crate) fn both(public: &str, shipped: &str) -> Result<[Value; 2]> {
    Ok([example(public)?, document(shipped)?])
}

/// The image of ours that stands for this one of kaniko's.
pub(crate) fn variant(image: &str) -> Variant {
    if image.ends_with("debug") {
        Variant::Debug
    } else {
        Variant::Executor
    }
}

/// A pod to be played by podman, with an image of the lab in the place of the one that is named. An admission controller of the lab's
/// mounts its CA, where people mount theirs (K-AUTH-07); its registries have no other names than addresses.
pub(crate) fn play<'a>(lab: &'a Lab, pod: &Value, image: &str) -> Result<Play<'a>> {
    let mut pod = pod.clone();
    let named = pod.pointer_mut(image).context("an image")?;
    let ours = lab.executor_image(variant(named.as_str().unwrap_or_default()))?;
    *named = json!(ours);
    Ok(Play::new(lab, &pod)?.mount(&lab.ca_file(), CA))
}

/// Where the lab's CA is found without being named.
pub(crate) const CA: &str = "/kaniko/ssl/certs/lab.crt";

/// The lab's busybox by the name of the registry with TLS and credentials, which serves the same images.
pub(crate) fn busybox(lab: &Lab) -> Result<String> {
    let plain = lab.busybox()?;
    Ok(plain.replace(lab.plain().address(), lab.secure().address()))
}

/// The text at a JSON pointer.
pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> Result<&'a str> {
    let found = value.pointer(pointer).and_then(Value::as_str);
    found.with_context(|| format!("no text at {pointer}"))
}

/// The texts of a list; none if there is no list.
pub(crate) fn words(value: &Value, pointer: &str) -> Vec<String> {
    let words = list(value, pointer);
    words.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The things of a list; none if there is no list.
pub(crate) fn list<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    let list = value.pointer(pointer).and_then(Value::as_array);
    list.into_iter().flatten()
}

/// What stands for something in a manifest, and what it stands for.
pub(crate) fn replaced(text: &str, by: &[(&str, &str)]) -> String {
    by.iter()
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// A directory with a `config.json`, as a secret of the registry is mounted.
pub(crate) fn credentials(lab: &Lab) -> Result<TempDir> {
    let directory = lab.temp_dir()?;
    fs::write(directory.path().join("config.json"), lab.docker_config()?)?;
    Ok(directory)
}

/// Mounts the volumes of a container where it wants them; `source` says where each is on this machine.
pub(crate) fn mounted<'a>(
    mut pod: Pod<'a>,
    container: &Value,
    source: impl Fn(&str) -> Option<PathBuf>,
) -> Result<Pod<'a>> {
    for mount in list(container, "/volumeMounts") {
        let (name, target) = (text(mount, "/name")?, text(mount, "/mountPath")?);
        let Some(source) = source(name) else { continue };
        pod = pod.unmounted(target);
        pod = if mount.pointer("/readOnly") == Some(&Value::Bool(true)) {
            pod.mount(&source, target)
        } else {
            pod.volume(&source, target)
        };
    }
    Ok(pod)
}

/// The variables of a container.
pub(crate) fn with_environment<'a>(mut pod: Pod<'a>, container: &Value) -> Result<Pod<'a>> {
    for variable in list(container, "/env") {
        pod = pod.env(text(variable, "/name")?, text(variable, "/value")?);
    }
    Ok(pod)
}
