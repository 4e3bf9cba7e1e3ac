use kigumi_dockerfile::instruction::{MountSpec, Owner};
use kigumi_layer::Tree;
use kigumi_plan::{Base, CopySource, ImageId, RunMount, RunOp, StageId};

use super::{Files, Identity, Source, Wanted, files};
use crate::build::stage::Stages;
use crate::error::BuildError;

impl Stages<'_> {
    /// Finds everything that the mounts of a RUN show. Nothing is written to the root.
    pub(crate) fn prepare_mounts(&mut self, run: &RunOp) -> Result<Vec<Wanted>, BuildError> {
        run.mounts
            .iter()
            .map(|mount| self.prepare_mount(mount))
            .collect()
    }

    fn prepare_mount(&mut self, mount: &RunMount) -> Result<Wanted, BuildError> {
        match &mount.spec {
            MountSpec::Bind { .. } => {
                let files = self.files_of(mount)?;
                Wanted::files(mount, files)
            }
            MountSpec::Cache {
                id,
                target,
                source,
                owner,
                ..
            } => {
                let is_empty = matches!(mount.from, None | Some(CopySource::Scratch));
                let seed = if is_empty && source.trim_matches('/').is_empty() {
                    None
                } else {
                    Some(self.files_of(mount)?)
                };
                if seed.as_ref().is_some_and(|seed| !seed.is_directory()) {
                    return Err(BuildError::MountSource {
                        path: format!("{source}/"),
                        place: self.place_of(mount),
                    });
                }
                let identity =
                    self.identity(mount, id.as_deref().unwrap_or(target), source, *owner);
                Wanted::cache(mount, identity, seed)
            }
            MountSpec::Tmpfs { size_bytes, .. } => Wanted::empty(mount, *size_bytes),
            // The planner has refused these with their line.
            MountSpec::Secret { id, .. } | MountSpec::Ssh { id, .. } => {
                Err(BuildError::MountSource {
                    path: id.clone(),
                    place: "this version of kigumi".to_owned(),
                })
            }
        }
    }

    fn files_of(&mut self, mount: &RunMount) -> Result<Files, BuildError> {
        let name = self.place_of(mount);
        let from = mount.from.as_ref().unwrap_or(&CopySource::Scratch);
        let tree: std::sync::Arc<Tree> = self.source_tree(from)?;
        let source = Source {
            tree: &tree,
            name: &name,
            is_context: matches!(from, CopySource::Context | CopySource::NamedContext(_)),
        };
        files(mount, &source, &mut self.contents)
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
            Some(Base::Scratch) | None => "nothing".to_owned(),
        }
    }
}
