//! A build whose image was pushed, read back and found correct: what most tests begin with.

use anyhow::{Result, ensure};

use crate::image::digest_of;
use crate::lab::Request;
use crate::{Context, Image, Lab, Outcome, Pod};

/// What of the pod must never be in an image.
const OF_THE_POD: &[&str] = &[
    "kaniko",
    "kigumi",
    "workspace",
    "dev/termination-log",
    "run/.containerenv",
    "run/secrets",
    "var/run/secrets",
    "proc/self",
    "sys/fs",
];

/// A finished build.
#[derive(Debug)]
pub struct Built {
    /// `repository:tag` in the plain registry.
    pub name: String,
    /// The image, which passed the strict checker.
    pub image: Image,
    /// The pod that made it.
    pub outcome: Outcome,
    /// What the plain registry was asked meanwhile, by this pod and by others.
    pub requests: Vec<Request>,
}

impl Built {
    /// Builds a context in an ordinary pod and pushes it to a name of its own.
    ///
    /// The image must pass the strict checker and hold nothing of the pod.
    pub fn of(lab: &Lab, context: Context, arguments: &[&str]) -> Result<Self> {
        Self::by(Pod::new(lab), lab, context, arguments)
    }

    /// The same in a pod of the caller's making.
    pub fn by(pod: Pod<'_>, lab: &Lab, context: Context, arguments: &[&str]) -> Result<Self> {
        let name = Lab::unique_name("built");
        let destination = lab.destination(&name);
        let mark = lab.plain().mark();
        let outcome = pod
            .context(context)
            .args(["--destination", &destination])
            .args(arguments.iter().copied())
            .run()?;
        outcome.success()?;
        let requests = lab.plain().requests_since(mark)?;
        let image = Image::pull(lab.plain(), &name)?;
        image.strict()?;
        for path in OF_THE_POD {
            let found = image.entries_below(path);
            ensure!(found.is_empty(), "of the pod, not of the build: {found:?}");
        }
        Ok(Self {
            name,
            image,
            outcome,
            requests,
        })
    }

    /// A build of a Dockerfile without context files.
    pub fn of_dockerfile(lab: &Lab, dockerfile: &str) -> Result<Self> {
        Self::of(lab, Context::new(lab)?.file("Dockerfile", dockerfile)?, &[])
    }

    /// Fails unless the flattened image describes a path so (see [`crate::image::Node::describe`]).
    ///
    /// The description is compared up to its own length: `f 0644 0:0` is enough where the content
    /// does not matter.
    pub fn has(&self, path: &str, description: &str) -> Result<()> {
        let tree = self.image.flatten();
        let name = path.trim_start_matches('/');
        let found = tree.get(name).map(|node| node.describe(name));
        let found = found.unwrap_or_else(|| "nothing".to_owned());
        let wanted = match description.split_once('|') {
            Some((start, end)) => found.starts_with(start) && found.ends_with(end),
            None => found.starts_with(description),
        };
        ensure!(wanted, "{path} is `{found}`, not `{description}`");
        Ok(())
    }

    /// Fails unless the file of the flattened image has exactly this content.
    pub fn holds(&self, path: &str, content: impl AsRef<[u8]>) -> Result<()> {
        let content = content.as_ref();
        let digest = digest_of(content);
        self.has(path, &format!("f |{} {digest}", content.len()))
    }

    /// Fails if the flattened image has the path.
    pub fn has_not(&self, path: &str) -> Result<()> {
        let found = self.image.flatten().get(path).is_some();
        ensure!(!found, "{path} is in the image");
        Ok(())
    }

    /// Names in the newest layer, in the order of the archive.
    pub fn top_layer(&self) -> Vec<&str> {
        let layer = self.image.layers.last();
        layer
            .into_iter()
            .flat_map(|layer| &layer.entries)
            .map(|entry| entry.name.as_str())
            .collect()
    }
}
