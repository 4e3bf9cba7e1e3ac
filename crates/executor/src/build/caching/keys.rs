//! The keys of a plan, before anything runs.

use std::collections::BTreeMap;

use kigumi_context::git::GitReference;
use kigumi_oci::Digest;
use kigumi_plan::cache_key::{self, Framed, Identity, Input, Surroundings};
use kigumi_plan::{Base, CacheKey, CopyOp, CopySource, ImageId, Op, StageId, StagePlan};

use super::super::git;
use super::super::stage::Stages;
use crate::cli::CacheSettings;
use crate::error::BuildError;

/// What is known of a step before anything runs.
#[derive(Debug, Clone)]
pub(in crate::build) struct StepKey {
    /// What it is asked for by.
    pub(super) key: CacheKey,
    /// The key of what it is applied to.
    pub(super) parent: CacheKey,
    /// The digest of what it does, and with what.
    pub(super) instruction: Digest,
    /// Of its inputs.
    pub(super) identities: Vec<Identity>,
    /// Whether it is looked up and kept.
    pub(super) caches: bool,
}

/// What is known of a stage before anything runs.
#[derive(Debug, Clone)]
pub(in crate::build) struct StageKeys {
    /// Of what it begins with.
    pub(super) start: CacheKey,
    /// As many as there are steps. None for one that touches no file, and from the first one on whose inputs cannot be had.
    pub(super) steps: Vec<Option<StepKey>>,
    /// Of its end.
    pub(super) end: Option<CacheKey>,
}

/// The keys of a plan; a stage whose base cannot be had has none.
pub(in crate::build) type Keys = BTreeMap<StageId, StageKeys>;

/// Whether a step is looked up and kept.
pub(super) fn caches(op: &Op, settings: &CacheSettings) -> bool {
    match op {
        // COMPAT(kaniko): WORKDIR counts as a RUN.
        Op::Run(_) | Op::MakeDir(_) => settings.run_layers,
        Op::Copy(_) => settings.copy_layers,
        Op::Config => false,
    }
}

impl Stages<'_> {
    /// All keys that can be known.
    pub(super) fn keys(
        &mut self,
        settings: &CacheSettings,
        surroundings: &Surroundings,
    ) -> Result<Keys, BuildError> {
        let mut keys = Keys::new();
        for stage in &self.plan.stages {
            let Some(start) = self.known(|stages| stages.start(stage, &keys))? else {
                continue;
            };
            let mut known = StageKeys {
                start,
                steps: Vec::new(),
                end: Some(start),
            };
            for step in &stage.steps {
                let key = match known.end.filter(|_| step.op.touches_rootfs()) {
                    Some(parent) => {
                        let identities = self.known(|stages| stages.identities(&step.op, &keys))?;
                        let key = identities.and_then(|identities| {
                            StepKey::new(&step.op, parent, identities, settings, surroundings)
                        });
                        known.end = key.as_ref().map(|key| key.key);
                        key
                    }
                    None => None,
                };
                known.steps.push(key);
            }
            keys.insert(stage.id, known);
        }
        Ok(keys)
    }

    /// What cannot be had makes no key; what is wrong is told where it is used.
    fn known<T>(
        &mut self,
        find: impl FnOnce(&mut Self) -> Result<Option<T>, BuildError>,
    ) -> Result<Option<T>, BuildError> {
        let found = find(self);
        self.workshop.check_cancelled()?;
        Ok(found.ok().flatten())
    }

    fn start(&mut self, stage: &StagePlan, keys: &Keys) -> Result<Option<CacheKey>, BuildError> {
        let platform = &stage.platform;
        Ok(match &stage.base {
            Base::Scratch => Some(cache_key::scratch(platform)),
            Base::Image(id) => self.image_state(*id),
            Base::Stage(id) => keys.get(id).and_then(|keys| keys.end),
            Base::Context(name) => {
                let tree = self.named_tree(name)?;
                Some(cache_key::files(platform, &self.tree_digest(&tree)?))
            }
        })
    }

    fn image_state(&self, id: ImageId) -> Option<CacheKey> {
        let image = self.plan.image(id)?;
        Some(cache_key::image(
            &image.config.platform(),
            &image.config.rootfs.diff_ids,
        ))
    }

    fn identities(&mut self, op: &Op, keys: &Keys) -> Result<Option<Vec<Identity>>, BuildError> {
        let mut identities = Vec::new();
        for input in cache_key::inputs(op) {
            let Some(identity) = self.identity_of(&input, keys)? else {
                return Ok(None);
            };
            identities.push(identity);
        }
        Ok(Some(identities))
    }

    fn identity_of(
        &mut self,
        input: &Input<'_>,
        keys: &Keys,
    ) -> Result<Option<Identity>, BuildError> {
        match input.source() {
            Some(CopySource::Stage(id)) => {
                let end = keys.get(id).and_then(|keys| keys.end);
                Ok(end.map(Identity::State))
            }
            Some(CopySource::Image(id)) => Ok(self.image_state(*id).map(Identity::State)),
            Some(CopySource::Context | CopySource::Scratch | CopySource::NamedContext(_))
            | None => self.content(input).map(Some),
        }
    }

    /// What is read, whatever it is read from.
    pub(super) fn content(&mut self, input: &Input<'_>) -> Result<Identity, BuildError> {
        let digest = match input {
            Input::Paths(copy) => self.paths_digest(copy)?,
            Input::Mount(mount, _) => self.mount_digest(mount)?,
            Input::Url(copy, url) => self.url_digest(copy, url)?,
            Input::Git(copy, text) => self.git_digest(copy, text)?,
        };
        Ok(Identity::Content(digest))
    }

    /// T-CACHE-06. A checksum says what the content is, without fetching it.
    fn url_digest(&mut self, copy: &CopyOp, url: &str) -> Result<Digest, BuildError> {
        if let Some(Ok(digest)) = copy.checksum.as_deref().map(str::parse) {
            return Ok(digest);
        }
        let secrets = &self.entrusted.secrets;
        let (workshop, contents) = (self.workshop, &mut self.contents);
        let file = self.downloads.get(url, None, secrets, workshop, contents)?;
        Ok(file.digest)
    }

    /// A full commit id says what the content is, without fetching it.
    fn git_digest(&mut self, copy: &CopyOp, text: &str) -> Result<Digest, BuildError> {
        let reference = git::with_flags(git::reference(text)?, copy)?;
        if let Some(commit) = commit(&reference) {
            let framed = Framed::new("commit").text(&commit.to_ascii_lowercase());
            return Ok(framed.finish().digest());
        }
        let tree = self.git_tree(&reference)?;
        self.tree_digest(&tree)
    }
}

fn commit(reference: &GitReference) -> Option<&str> {
    let revision = reference.revision.as_deref()?;
    let is_full = matches!(revision.len(), 40 | 64);
    (is_full && revision.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(revision)
}

impl StepKey {
    pub(super) fn new(
        op: &Op,
        parent: CacheKey,
        identities: Vec<Identity>,
        settings: &CacheSettings,
        surroundings: &Surroundings,
    ) -> Option<Self> {
        let instruction = cache_key::instruction(op, &identities, surroundings)?;
        Some(Self {
            key: cache_key::step(&parent, &instruction),
            parent,
            instruction,
            identities,
            caches: caches(op, settings),
        })
    }
}
