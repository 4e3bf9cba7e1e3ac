use kigumi_dockerfile::instruction::{MountSpec, Owner};
use kigumi_layer::Tree;
use kigumi_plan::{Base, CopySource, ImageId, RunMount, RunOp, StageId};

use super::grant::Grant;
use super::{Files, Identity, Source, Wanted, files};
use crate::build::stage::Stages;
use crate::error::BuildError;

impl Stages<'_> {
    /// Finds everything that the mounts of a RUN show. Nothing is written to the root.
    pub(crate) fn prepare_mounts(&mut self, run: &RunOp) -> Result<Vec<Wanted>, BuildError> {
        let mut wanted = Vec::new();
        for (number, mount) in run.mounts.iter().enumerate() {
            wanted.extend(match &mount.spec {
                MountSpec::Bind { .. } => Some(Wanted::files(mount, self.files_of(mount)?)?),
                MountSpec::Cache {
                    id,
                    target,
                    source,
                    owner,
                    ..
                } => {
                    let seed = self.seed_of(mount, source)?;
                    let id = id.as_deref().unwrap_or(target);
                    let identity = self.identity(mount, id, source, *owner);
                    Some(Wanted::cache(mount, identity, seed)?)
                }
                MountSpec::Tmpfs { size_bytes, .. } => Some(Wanted::empty(mount, *size_bytes)?),
                MountSpec::Secret { .. } | MountSpec::Ssh { .. } => {
                    Grant::of(run, number, self.entrusted)?.map(Wanted::grant)
                }
            });
        }
        Ok(wanted)
    }

    /// What a new cache begins with; nothing for an empty one.
    fn seed_of(&mut self, mount: &RunMount, source: &str) -> Result<Option<Files>, BuildError> {
        let is_empty = matches!(mount.from, None | Some(CopySource::Scratch));
        if is_empty && source.trim_matches('/').is_empty() {
            return Ok(None);
        }
        let seed = self.files_of(mount)?;
        if !seed.is_directory() {
            return Err(BuildError::MountSource {
                path: format!("{source}/"),
                place: self.place_of(mount),
            });
        }
        Ok(Some(seed))
    }

    /// The files that a mount shows, or that a new cache begins with.
    pub(crate) fn files_of(&mut self, mount: &RunMount) -> Result<Files, BuildError> {
        let name = self.place_of(mount);
        let from = mount.from.as_ref().unwrap_or(&CopySource::Scratch);
        let tree: std::sync::Arc<Tree> = self.source_tree(from)?;
        let source = Source {
            tree: &tree,
            name: &name,
            is_context: matches!(from, CopySource::Context | CopySource::NamedContext(_)),
        };
        let mut files = files(mount, &source)?;
        self.extract(files.changes_mut())?;
        Ok(files)
    }

    /// What messages call the place that a mount takes files from.
    fn place_of(&self, mount: &RunMount) -> String {
        match &mount.from {
            None | Some(CopySource::Scratch) => "an empty root".to_owned(),
            Some(CopySource::Context) => "the build context".to_owned(),
            Some(CopySource::Stage(id)) => format!("stage `{}`", self.stage_name(*id)),
            Some(CopySource::Image(id)) => format!("image `{}`", self.image_name(*id)),
            Some(CopySource::NamedContext(name)) => format!("the context `{name}`"),
        }
    }

    /// What makes this cache another one than those with the same id. A stage counts by its name and its base, not by what it holds: its files
    /// have other times in every build, and the cache would be another one each time.
    fn identity(&self, mount: &RunMount, id: &str, source: &str, owner: Owner) -> Identity {
        let base = match &mount.from {
            None | Some(CopySource::Scratch) => "nothing".to_owned(),
            Some(CopySource::Context) => format!("context {source}"),
            Some(CopySource::Stage(id)) => format!(
                "stage {} on {} {source}",
                self.stage_name(*id),
                self.base_digest(*id)
            ),
            Some(CopySource::Image(id)) => format!("image {} {source}", self.image_digest(*id)),
            Some(CopySource::NamedContext(name)) => format!("context {name} {source}"),
        };
        Identity {
            namespace: self.cache_namespace.clone(),
            id: id.to_owned(),
            base,
            owner,
        }
    }

    fn stage_name(&self, id: StageId) -> String {
        let name = self.plan.stage(id).and_then(|stage| stage.name.clone());
        name.unwrap_or_else(|| id.0.to_string())
    }

    fn image_name(&self, id: ImageId) -> String {
        let image = self.plan.image(id);
        image.map_or_else(String::new, |image| image.reference.clone())
    }

    fn image_digest(&self, id: ImageId) -> String {
        let image = self.plan.image(id);
        image.map_or_else(String::new, |image| image.digest.to_string())
    }

    fn base_digest(&self, id: StageId) -> String {
        match self.plan.stage(id).map(|stage| &stage.base) {
            Some(Base::Image(id)) => self.image_digest(*id),
            Some(Base::Stage(id)) => format!("stage {}", self.stage_name(*id)),
            Some(Base::Context(name)) => format!("context {name}"),
            Some(Base::Scratch) | None => "nothing".to_owned(),
        }
    }
}
