//! The images of the cases as a registry serves them.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::sync::{Arc, OnceLock};

use anyhow::{Context as _, Result, anyhow};
use serde_json::{Map, Value, json};

use super::archive;
use super::case::{Entry, EntryKind, ImageSpec, LayerSpec, Packing, TarFormat};
use super::server::Resource;
use crate::image::digest_of;
use crate::{Lab, tool};

/// The directories of the base image, with their permission bits.
const DIRECTORIES: &[(&str, u32)] = &[
    ("bin", 0o755),
    ("dev", 0o755),
    ("etc", 0o755),
    ("home", 0o755),
    ("proc", 0o755),
    ("root", 0o700),
    ("sys", 0o755),
    ("tmp", 0o1777),
    ("usr", 0o755),
    ("usr/bin", 0o755),
    ("usr/sbin", 0o755),
    ("var", 0o755),
    ("var/spool", 0o755),
    ("var/spool/mail", 0o755),
    ("var/www", 0o755),
];

const PASSWD: &str = "\
root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
bin:x:2:2:bin:/bin:/bin/false
sys:x:3:3:sys:/dev:/bin/false
sync:x:4:100:sync:/bin:/bin/sync
mail:x:8:8:mail:/var/spool/mail:/bin/false
www-data:x:33:33:www-data:/var/www:/bin/false
operator:x:37:37:Operator:/var:/bin/false
nobody:x:65534:65534:nobody:/home:/bin/false
";

/// `wheel` has a member so that root has a supplementary group.
const GROUP: &str = "\
root:x:0:
daemon:x:1:
bin:x:2:
sys:x:3:
adm:x:4:
tty:x:5:
disk:x:6:
wheel:x:10:root
mail:x:8:
www-data:x:33:
operator:x:37:
users:x:100:
nobody:x:65534:
";

/// A layer in both forms.
#[derive(Debug, Clone)]
struct Layer {
    stored: Arc<[u8]>,
    media_type: String,
    diff_id: String,
}

/// An image, and what a comparison has to know of it.
#[derive(Debug, Clone, Default)]
pub struct KnownImage {
    layers: Vec<Layer>,
    /// Digests of the uncompressed layers, base layer first.
    pub diff_ids: Vec<String>,
    /// Entries of the history, as they are in the config.
    pub history: Vec<Value>,
    platform: Option<String>,
    config: Vec<u8>,
    manifest: Vec<u8>,
    manifest_type: &'static str,
}

/// The image that every case calls `busybox`.
#[derive(Debug)]
pub struct BaseImage {
    image: KnownImage,
}

/// The base image, made once in a process.
pub fn busybox() -> Result<&'static BaseImage> {
    static BASE: OnceLock<Result<BaseImage, String>> = OnceLock::new();
    BASE.get_or_init(|| BaseImage::make().map_err(|error| format!("{error:?}")))
        .as_ref()
        .map_err(|message| anyhow!("make the base image: {message}"))
}

impl BaseImage {
    /// What a comparison has to know.
    pub fn known(&self) -> &KnownImage {
        &self.image
    }

    /// An imitation of the well-known busybox image: applets are hard links of one file in `/bin`, every time is 0. /proc,
    /// /sys and /dev are there so that a runtime need not make them.
    fn make() -> Result<Self> {
        let spec = ImageSpec {
            config: object(json!({
                "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
                "Cmd": ["sh"],
            })),
            layers: vec![LayerSpec {
                entries: base_entries()?,
                compression: None,
            }],
            history: Some(vec![json!({
                "created": "1970-01-01T00:00:00Z", "created_by": "imitation of busybox",
            })]),
            ..ImageSpec::default()
        };
        Ok(Self {
            image: KnownImage::make(&spec, None, None)?,
        })
    }
}

fn base_entries() -> Result<Vec<Entry>> {
    let busybox = Lab::get()?.busybox_program()?;
    let program = fs::read(&busybox).with_context(|| format!("read {}", busybox.display()))?;
    let listed = tool::run(Command::new(&busybox).arg("--list"))?.stdout;
    let directory = |(path, mode): &(&str, u32)| Entry::of(path, EntryKind::Dir).with_mode(*mode);
    let mut entries = vec![Entry::of(".", EntryKind::Dir)];
    entries.extend(DIRECTORIES.iter().map(directory));
    entries.push(Entry::file("etc/passwd", PASSWD));
    entries.push(Entry::file("etc/group", GROUP));
    entries.push(Entry::of("usr/bin/env", EntryKind::Symlink).with_target("../../bin/env"));
    entries.push(Entry::binary("bin/busybox", &program).with_mode(0o755));
    for applet in listed.lines().filter(|name| *name != "busybox") {
        let link = Entry::of(&format!("bin/{applet}"), EntryKind::Hardlink);
        entries.push(link.with_target("bin/busybox"));
    }
    for entry in &mut entries {
        entry.mtime = Some(0);
    }
    Ok(entries)
}

impl KnownImage {
    fn make(spec: &ImageSpec, platform: Option<&str>, base: Option<&Self>) -> Result<Self> {
        let mut layers = base.map(|base| base.layers.clone()).unwrap_or_default();
        let mut history = base.map(|base| base.history.clone()).unwrap_or_default();
        for (number, layer) in spec.layers.iter().enumerate() {
            layers.push(Layer::make(layer, spec.docker_media_types)?);
            if spec.history.is_none() {
                history.push(json!({
                    "created": "1970-01-01T00:00:00Z", "created_by": format!("layer {number}"),
                }));
            }
        }
        history.extend(spec.history.iter().flatten().cloned());
        let diff_ids: Vec<String> = layers.iter().map(|layer| layer.diff_id.clone()).collect();
        let config = config(spec, platform.unwrap_or("linux/amd64"), &diff_ids, &history);
        let (config_type, manifest_type) = if spec.docker_media_types {
            (
                "application/vnd.docker.container.image.v1+json",
                "application/vnd.docker.distribution.manifest.v2+json",
            )
        } else {
            (
                "application/vnd.oci.image.config.v1+json",
                "application/vnd.oci.image.manifest.v1+json",
            )
        };
        let mut manifest = json!({
            "schemaVersion": 2,
            "mediaType": manifest_type,
            "config": descriptor(config_type, &config),
            "layers": layers
                .iter()
                .map(|layer| descriptor(&layer.media_type, &layer.stored))
                .collect::<Vec<_>>(),
        });
        if !spec.annotations.is_empty()
            && let Some(fields) = manifest.as_object_mut()
        {
            fields.insert("annotations".to_owned(), json!(spec.annotations));
        }
        Ok(Self {
            layers,
            diff_ids,
            history,
            platform: platform.map(str::to_owned),
            config,
            manifest: manifest.to_string().into_bytes(),
            manifest_type,
        })
    }
}

impl Layer {
    fn make(spec: &LayerSpec, is_docker: bool) -> Result<Self> {
        let plain = archive::plain(&spec.entries, TarFormat::Pax)?;
        let packing = spec.compression.unwrap_or(Packing::Gzip);
        let stored = archive::compressed(&plain, packing)?;
        let suffix = match packing {
            Packing::None => "",
            Packing::Zstd => "zstd",
            Packing::Gzip | Packing::Bzip2 | Packing::Xz => "gzip",
        };
        let (stem, joint) = if is_docker {
            ("application/vnd.docker.image.rootfs.diff.tar", ".")
        } else {
            ("application/vnd.oci.image.layer.v1.tar", "+")
        };
        let joint = if suffix.is_empty() { "" } else { joint };
        Ok(Self {
            stored: stored.into(),
            media_type: format!("{stem}{joint}{suffix}"),
            diff_id: digest_of(&plain),
        })
    }
}

/// Images of a case by name, an index under the name of every platform as well as its own.
pub(crate) struct Shelf {
    /// What the registry serves.
    pub(crate) resources: BTreeMap<String, Resource>,
    /// By name, several for an index.
    pub(crate) images: BTreeMap<String, Vec<KnownImage>>,
}

impl Shelf {
    /// Makes the images of a case, and `busybox`.
    pub(crate) fn make(specs: &BTreeMap<String, ImageSpec>) -> Result<Self> {
        let mut shelf = Self {
            resources: BTreeMap::new(),
            images: BTreeMap::new(),
        };
        let base = busybox()?.known();
        shelf.publish("busybox", vec![base.clone()], false);
        for (name, spec) in specs {
            let base_of = |spec: &ImageSpec| spec.base.as_ref().map(|_| base);
            let images = if spec.index.is_empty() {
                vec![KnownImage::make(spec, None, base_of(spec))?]
            } else {
                let platforms = spec.index.iter();
                platforms
                    .map(|(platform, spec)| KnownImage::make(spec, Some(platform), base_of(spec)))
                    .collect::<Result<_>>()?
            };
            shelf.publish(name, images, !spec.index.is_empty());
        }
        shelf.add("/v2/", "application/json", b"{}".as_slice().into());
        Ok(shelf)
    }

    /// Adds files of the plain web server below `/f`.
    pub(crate) fn add_files(&mut self, files: &[Entry]) -> Result<()> {
        for file in files {
            let resource = Resource {
                status: file.status.unwrap_or(200),
                headers: file.headers.clone(),
                body: file.content()?.into(),
            };
            let path = format!("/f/{}", file.path.trim_start_matches('/'));
            self.resources.insert(path, resource);
        }
        Ok(())
    }

    fn publish(&mut self, name: &str, images: Vec<KnownImage>, as_index: bool) {
        for image in &images {
            for layer in &image.layers {
                self.add_blob(name, &layer.stored);
            }
            self.add_blob(name, &image.config.clone().into());
            self.add_manifest(name, image.manifest_type, &image.manifest, !as_index);
        }
        if as_index {
            let manifests: Vec<Value> = images.iter().map(index_entry).collect();
            let media_type = "application/vnd.oci.image.index.v1+json";
            let index = json!({
                "schemaVersion": 2, "mediaType": media_type, "manifests": manifests,
            });
            self.add_manifest(name, media_type, index.to_string().as_bytes(), true);
        }
        self.images.insert(name.to_owned(), images);
    }

    fn add_blob(&mut self, name: &str, bytes: &Arc<[u8]>) {
        let path = format!("/v2/library/{name}/blobs/{}", digest_of(bytes));
        self.add(&path, "application/octet-stream", Arc::clone(bytes));
    }

    fn add_manifest(&mut self, name: &str, media_type: &str, bytes: &[u8], tagged: bool) {
        let digest = digest_of(bytes);
        for reference in [digest.as_str(), "latest"]
            .into_iter()
            .take(1 + usize::from(tagged))
        {
            let path = format!("/v2/library/{name}/manifests/{reference}");
            self.add(&path, media_type, bytes.into());
            if let Some(resource) = self.resources.get_mut(&path) {
                resource
                    .headers
                    .insert("Docker-Content-Digest".to_owned(), digest.clone());
            }
        }
    }

    fn add(&mut self, path: &str, media_type: &str, body: Arc<[u8]>) {
        let headers = BTreeMap::from([("Content-Type".to_owned(), media_type.to_owned())]);
        self.resources.insert(
            path.to_owned(),
            Resource {
                status: 200,
                headers,
                body,
            },
        );
    }
}

fn index_entry(image: &KnownImage) -> Value {
    let mut entry = descriptor(image.manifest_type, &image.manifest);
    let platform = image.platform.as_deref().map(platform_object);
    if let (Some(fields), Some(platform)) = (entry.as_object_mut(), platform) {
        fields.insert("platform".to_owned(), Value::Object(platform));
    }
    entry
}

fn config(spec: &ImageSpec, platform: &str, diff_ids: &[String], history: &[Value]) -> Vec<u8> {
    let mut fields = platform_object(platform);
    fields.insert("created".to_owned(), json!("1970-01-01T00:00:00Z"));
    fields.insert("config".to_owned(), Value::Object(spec.config.clone()));
    fields.insert(
        "rootfs".to_owned(),
        json!({ "type": "layers", "diff_ids": diff_ids }),
    );
    if !history.is_empty() {
        fields.insert("history".to_owned(), json!(history));
    }
    fields.extend(spec.config_top.clone());
    Value::Object(fields).to_string().into_bytes()
}

fn platform_object(platform: &str) -> Map<String, Value> {
    ["os", "architecture", "variant"]
        .into_iter()
        .zip(platform.split('/'))
        .map(|(name, value)| (name.to_owned(), json!(value)))
        .collect()
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": digest_of(bytes), "size": bytes.len() })
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Map::new()
        }
    }
}
