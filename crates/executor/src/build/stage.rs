use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::sync::Arc;
use std::time::Instant;

use kigumi_context::Owner;
use kigumi_layer::{
    Change, Changes, Entry, FileContent, Follow, ImagePath, Origin, Timestamp, Tree,
};
use kigumi_plan::{
    Base, BuildPlan, CopyOp, CopySource, ImageId, MakeDirOp, Op, RunOp, Source, StageId, StagePlan,
    Step,
};
use kigumi_rootfs::users::UserDatabase;
use kigumi_rootfs::{Index, Keeper, RootDir};
use kigumi_run::Runner;

use super::caching::{Caching, Hashed, Track};
use super::contents::Contents;
use super::contexts::NamedContexts;
use super::copying::{self, Sources};
use super::downloads::Downloads;
use super::git::GitTrees;
use super::ground::Ground;
use super::images::Images;
use super::layers::{FileDigests, Layer, LayerFactory, NewLayer};
use super::main_context::Walk;
use super::mounts::{self, CacheStore, Mounted};
use super::needs::{self, Needs};
use super::outlines::Outlines;
use super::pod_files;
use super::rollback::Past;
use super::running;
use super::standing::{Standing, State, nobody_looked};
use super::workshop::Workshop;
use super::{Entrusted, Premises};
use crate::cli::ExtraHost;
use crate::error::BuildError;
use crate::report::{BuildEvent, StepPosition};

/// Longest `passwd` or `group` that is read, in bytes. Real ones have kilobytes.
const LONGEST_DATABASE: u64 = 8 << 20;

/// A layer and its number among the contents.
pub(crate) type NumberedLayer = (Layer, u32);

/// What a step made.
struct Made {
    layer: NewLayer,
    /// The files that it was made of are not those that were read for its key.
    is_contradicted: bool,
}

/// What is left of a stage when it is done.
#[derive(Debug, Default)]
pub(crate) struct FinishedStage {
    /// What others may copy from; contents that nobody wants may be gone.
    tree: Option<Arc<Tree>>,
    /// Base layer first; without bytes where nobody wants them.
    pub(crate) layers: Vec<NumberedLayer>,
}

/// Builds the stages of a plan, one after the other.
pub(crate) struct Stages<'a> {
    pub(crate) plan: &'a BuildPlan,
    pub(crate) needs: &'a Needs,
    pub(crate) file: &'a kigumi_dockerfile::Source,
    pub(crate) workshop: &'a Workshop,
    pub(crate) entrusted: &'a Entrusted,
    pub(crate) git: GitTrees,
    pub(crate) images: Images,
    pub(crate) contents: Contents,
    pub(crate) downloads: Downloads,
    pub(crate) premises: &'a mut Premises,
    pub(crate) caches: CacheStore,
    /// `BUILDKIT_CACHE_MOUNT_NS`.
    pub(crate) cache_namespace: String,
    pub(crate) runner: Box<dyn Runner>,
    pub(crate) hosts: &'a [ExtraHost],
    pub(crate) factory: LayerFactory,
    pub(crate) now: Timestamp,
    pub(crate) finished: BTreeMap<StageId, FinishedStage>,
    pub(crate) context: Option<Arc<Tree>>,
    /// The same while it is looked at.
    pub(crate) walk: Option<Walk>,
    pub(crate) contexts: NamedContexts<'a>,
    /// The stage whose final state still lies on the root filesystem.
    pub(crate) standing: Option<(StageId, Box<Index>)>,
    /// What else is known of the root filesystem.
    pub(crate) past: Past,
    /// What the cache knows; none without one.
    pub(crate) caching: Option<Caching<'a>>,
    /// What is known of layers without their bytes.
    pub(crate) outlines: Outlines,
    /// What was read for keys.
    pub(crate) hashed: Hashed,
}

impl Stages<'_> {
    /// Builds every stage that is needed and gives the layers of the target. [`Stages::look_ahead`] comes before.
    pub(crate) fn build(&mut self) -> Result<Vec<NumberedLayer>, BuildError> {
        let plan = self.plan;
        for (number, stage) in plan.stages.iter().enumerate() {
            let (number, of, name) = (number + 1, plan.stages.len(), name_of(stage));
            let event = if self.is_needed(stage.id) {
                BuildEvent::StageStarted {
                    number,
                    of,
                    name,
                    base: self.base_name(&stage.base),
                }
            } else {
                BuildEvent::StageSkipped { number, of, name }
            };
            self.workshop.events.emit(event);
            if self.is_needed(stage.id) {
                let finished = self.stage(stage)?;
                self.finished.insert(stage.id, finished);
            }
        }
        let target = self.finished.remove(&plan.target);
        let mut layers = target.unwrap_or_default().layers;
        if self.factory.keep {
            self.ensure_bytes(&mut layers)?;
        }
        Ok(layers)
    }

    /// Whoever reads the log should not wonder why a stage comes before another.
    pub(crate) fn tell_order(&self) {
        if let Some(reordered) = &self.plan.reordered {
            let stages: Vec<String> = self.plan.stages.iter().map(name_of).collect();
            let message = format!("order of the stages: {} ({reordered})", stages.join(", "));
            self.workshop.events.emit(BuildEvent::Note { message });
        }
    }

    fn stage(&mut self, stage: &StagePlan) -> Result<FinishedStage, BuildError> {
        let mut track = self.begin_track(stage);
        let begun = self.begin(stage, &track);
        // Whatever went wrong after the build was told to end went wrong because of that.
        self.workshop.check_cancelled()?;
        let mut standing = begun.map_err(|error| error.at(self.file, stage.span, "FROM"))?;
        for (index, step) in stage.steps.iter().enumerate() {
            self.workshop.check_cancelled()?;
            self.factory.check_uploads()?;
            let stepped = self.reuse_or_make(stage, (index, step), &mut standing, &mut track);
            self.workshop.check_cancelled()?;
            stepped.map_err(|error| error.at(self.file, step.span, &step.text))?;
        }
        if self.needs.materializes(stage.id) && !matches!(standing.state, State::Live(_)) {
            let laid = self.live(stage, &mut standing);
            self.workshop.check_cancelled()?;
            laid.map_err(|error| error.at(self.file, stage.span, "FROM"))?;
        }
        self.end_track(stage.id, track);
        self.end(stage, standing)
    }

    fn reuse_or_make(
        &mut self,
        stage: &StagePlan,
        at: (usize, &Step),
        standing: &mut Standing,
        track: &mut Track,
    ) -> Result<(), BuildError> {
        let (_, step) = at;
        let position = StepPosition {
            stage: name_of(stage),
            number: step.number,
            of: stage.steps.len(),
        };
        if step.op == Op::Config {
            self.workshop.events.emit(BuildEvent::StepStarted {
                step: position,
                text: step.text.clone(),
                line: step.span.line,
            });
            return Ok(());
        }
        let (found, instruction) = self.reusable(stage, at, standing, track)?;
        if let Some(found) = found {
            let layer = Some(found.diff_id());
            self.reuse(stage, (step, position), found, standing)?;
            self.advance(stage.id, at, track, (layer, instruction));
            return Ok(());
        }
        self.look_at_context(step, standing)?;
        let stood = self.stand(stage, at, standing);
        self.workshop.check_cancelled()?;
        stood.map_err(|error| error.at(self.file, stage.span, "FROM"))?;
        let made = self.make(stage, (step, position), standing)?;
        if made.is_contradicted {
            self.tell_contradiction(step, track);
        } else {
            self.remember(stage.id, at, (track, instruction), &made.layer);
            let layer = made.layer.layer.as_ref().map(|layer| layer.diff_id);
            self.advance(stage.id, at, track, (layer, instruction));
        }
        let layer = self.number(made.layer);
        standing.lay(layer);
        Ok(())
    }

    pub(crate) fn base_tree(
        &mut self,
        base: &Base,
        layers: &mut [NumberedLayer],
    ) -> Result<Tree, BuildError> {
        match base {
            Base::Scratch => Ok(Tree::new()),
            Base::Image(id) => Ok((*self.image_tree(*id, layers)?).clone()),
            Base::Stage(id) => Ok((*self.stage_tree(*id)?).clone()),
            Base::Context(name) => Ok((*self.named_tree(name)?).clone()),
        }
    }

    /// An image as a value.
    fn image_tree(
        &mut self,
        id: ImageId,
        layers: &mut [NumberedLayer],
    ) -> Result<Arc<Tree>, BuildError> {
        if let Some(tree) = self.images.tree(id) {
            return Ok(tree);
        }
        let mut tree = Tree::new();
        self.append(&mut tree, layers)?;
        let tree = Arc::new(tree);
        self.images.set_tree(id, &tree);
        Ok(tree)
    }

    /// What others may see of a finished stage. A stage that lay on the root filesystem and has children is read from its layers again.
    fn stage_tree(&mut self, id: StageId) -> Result<Arc<Tree>, BuildError> {
        let finished = self.finished.get(&id).ok_or_else(nobody_looked)?;
        if let Some(tree) = &finished.tree {
            return Ok(Arc::clone(tree));
        }
        let mut layers = finished.layers.clone();
        let mut tree = Tree::new();
        self.append(&mut tree, &mut layers)?;
        let tree = Arc::new(tree);
        let finished = self.finished.entry(id).or_default();
        finished.tree = Some(Arc::clone(&tree));
        finished.layers = layers;
        Ok(tree)
    }

    pub(crate) fn layers_of(&self, id: StageId) -> Result<Vec<NumberedLayer>, BuildError> {
        let finished = self.finished.get(&id).ok_or_else(nobody_looked)?;
        Ok(finished.layers.clone())
    }

    pub(crate) fn ground(&mut self) -> Result<&mut Ground, BuildError> {
        self.premises.ground.as_mut().ok_or_else(no_ground)
    }

    fn make(
        &mut self,
        stage: &StagePlan,
        (step, position): (&Step, StepPosition),
        standing: &mut Standing,
    ) -> Result<Made, BuildError> {
        let events = self.workshop.events.clone();
        events.emit(BuildEvent::StepStarted {
            step: position.clone(),
            text: step.text.clone(),
            line: step.span.line,
        });
        let started = Instant::now();
        let state = std::mem::replace(&mut standing.state, State::Latent);
        let (state, made) = match &step.op {
            Op::Config => return Err(nobody_looked()),
            Op::Run(run) => {
                self.tell_mounted_directory(run, step);
                let (state, layer) = self.run((stage, step), run, &position, state)?;
                let is_contradicted = false;
                (
                    state,
                    Made {
                        layer,
                        is_contradicted,
                    },
                )
            }
            Op::Copy(copy) => {
                let changes = self.copy_changes(copy, &state)?;
                self.place(stage.id, step, changes, state)?
            }
            Op::MakeDir(make_dir) => {
                let changes = self.make_dir_changes(make_dir, &state)?;
                self.place(stage.id, step, changes, state)?
            }
        };
        standing.state = state;
        events.emit(BuildEvent::StepFinished {
            step: position,
            took: started.elapsed(),
            layer: made.layer.has_layer().then(|| made.layer.summary()),
        });
        Ok(made)
    }

    /// Gives a layer that was kept its number among the contents.
    pub(crate) fn number(&mut self, layer: NewLayer) -> Option<NumberedLayer> {
        let layer = layer.layer?;
        let number = self.contents.add_layer(layer.spool.clone());
        Some((layer, number))
    }

    fn copy_changes(&mut self, copy: &CopyOp, state: &State) -> Result<Vec<Change>, BuildError> {
        let gathered = self.gather(copy)?;
        let source = if gathered.reads_paths() {
            self.source_tree(&copy.from)?
        } else {
            Arc::new(Tree::new())
        };
        let owner = match &copy.chown {
            Some(chown) => {
                let owner = self.owner(chown, state)?;
                Owner::Given {
                    uid: owner.0,
                    gid: owner.1,
                }
            }
            None if copy.from == CopySource::Context => Owner::ROOT,
            None => Owner::Kept,
        };
        let spec = copying::spec(copy, gathered.items, owner, self.now)?;
        let sources = Sources {
            tree: state.tree()?,
            source: &source,
            git: &gathered.git,
        };
        let changes = copying::changes(&spec, &sources, &mut self.contents);
        let mut changes = changes.map_err(|error| self.why_missing(copy, error))?;
        self.extract(&mut changes)?;
        Ok(changes)
    }

    /// The files that COPY or a mount may take.
    pub(crate) fn source_tree(&mut self, from: &CopySource) -> Result<Arc<Tree>, BuildError> {
        match from {
            CopySource::Context => self.context_tree(),
            CopySource::Stage(id) => self.stage_tree(*id),
            CopySource::Image(id) => {
                let mut layers = self.images.described(*id, &mut self.contents)?;
                self.image_tree(*id, &mut layers)
            }
            CopySource::Scratch => Ok(Arc::new(Tree::new())),
            CopySource::NamedContext(name) => self.named_tree(name),
        }
    }

    /// Of a file of the context that is not there: whether the ignore file is to blame.
    pub(crate) fn why_missing(&self, copy: &CopyOp, error: BuildError) -> BuildError {
        let path = error.missing_source();
        let Some(path) = path.filter(|_| copy.from == CopySource::Context) else {
            return error;
        };
        let ignored = self.workshop.context.ignored();
        let why = if ignored.is_ok_and(|ignored| ignored.excludes(path.as_relative())) {
            ": the ignore file (`.dockerignore`) leaves it out of the build context"
        } else {
            " in the build context"
        };
        BuildError::NotInContext {
            missing: Box::new(error),
            why,
        }
    }

    fn context_tree(&mut self) -> Result<Arc<Tree>, BuildError> {
        if let Some(tree) = &self.context {
            return Ok(Arc::clone(tree));
        }
        let tree = match self.walk.take() {
            Some(walk) => walk.finish()?,
            None => self.workshop.context.tree(&mut self.contents)?,
        };
        self.context = Some(Arc::clone(&tree));
        Ok(tree)
    }

    /// Has the context looked at while the stage's files are read or unpacked, if the step at hand copies from it.
    fn look_at_context(&mut self, step: &Step, standing: &Standing) -> Result<(), BuildError> {
        let is_path = |source: &Source| matches!(source, Source::Path(_));
        let copies = matches!(&step.op, Op::Copy(copy)
            if copy.from == CopySource::Context && copy.sources.iter().any(is_path));
        let is_seen = self.context.is_some() || self.walk.is_some();
        if copies && !is_seen && matches!(standing.state, State::Latent) {
            self.walk = Some(self.workshop.context.begin(&mut self.contents)?);
        }
        Ok(())
    }

    fn make_dir_changes(
        &mut self,
        op: &MakeDirOp,
        state: &State,
    ) -> Result<Vec<Change>, BuildError> {
        let owner = match op.user.as_deref() {
            None | Some("") => (0, 0),
            Some(user) => self.owner(user, state)?,
        };
        copying::make_dir(state.tree()?, op, owner, self.now)
    }

    /// The numbers behind `user[:group]`; names are looked up in the stage's own files.
    fn owner(&mut self, spec: &str, state: &State) -> Result<(u32, u32), BuildError> {
        let users = if needs::is_numeric(spec) {
            UserDatabase::parse(b"", b"")
        } else {
            self.users(state)?
        };
        let owner = users.owner(spec.as_bytes());
        Ok((owner.uid, owner.gid))
    }

    fn users(&mut self, state: &State) -> Result<UserDatabase, BuildError> {
        let passwd = self.read_file(state, b"etc/passwd")?;
        let group = self.read_file(state, b"etc/group")?;
        Ok(UserDatabase::parse(&passwd, &group))
    }

    /// A file of the stage, links followed; empty when it has none.
    fn read_file(&mut self, state: &State, path: &[u8]) -> Result<Vec<u8>, BuildError> {
        let tree = state.tree()?;
        let Ok(path) = ImagePath::parse(path) else {
            return Ok(Vec::new());
        };
        let Ok(found) = tree.resolve(&path, Follow::All) else {
            return Ok(Vec::new());
        };
        let node = found.node.map(|id| tree.node(id));
        let Some((node, content)) =
            node.and_then(|node| node.file().map(|content| (node, content)))
        else {
            return Ok(Vec::new());
        };
        let mut bytes = Vec::new();
        let failed = |source| BuildError::Content {
            path: path.to_string(),
            source,
        };
        if content.origin == Origin::Live {
            let file = self.ground()?.open(&found.path)?;
            file.take(LONGEST_DATABASE)
                .read_to_end(&mut bytes)
                .map_err(failed)?;
            return Ok(bytes);
        }
        let mut change = [Change::Put {
            path: found.path,
            entry: Entry::File(content.clone()),
            metadata: node.metadata.clone(),
        }];
        self.extract(&mut change)?;
        if let [
            Change::Put {
                path,
                entry: Entry::File(content),
                ..
            },
        ] = &change
        {
            let reader = self.contents.open(path, content)?;
            reader
                .take(LONGEST_DATABASE)
                .read_to_end(&mut bytes)
                .map_err(failed)?;
        }
        Ok(bytes)
    }

    /// Puts the result of a COPY, ADD or WORKDIR into a layer, into the tree, and onto the root filesystem if the stage lies there.
    fn place(
        &mut self,
        stage: StageId,
        step: &Step,
        changes: Vec<Change>,
        state: State,
    ) -> Result<(State, Made), BuildError> {
        let makes_layer = step
            .history
            .as_ref()
            .is_some_and(|entry| !entry.empty_layer);
        // Another RUN may still want to have it on disk.
        let wanted = match (&state, self.needs.is_live(stage)) {
            (State::Value { .. }, true) => self.needs.layers_of(stage).and_by_stages(),
            _ => self.needs.layers_of(stage),
        };
        let for_cache = self.keeps_layers();
        let layer = if makes_layer {
            let contents = &self.contents;
            let open = |path: &ImagePath, content: &FileContent| contents.open(path, content);
            // The root has its place in the tree and none in a layer (T-COPY-18).
            let recorded = match changes.split_first() {
                Some((first, rest)) if first.path().is_root() => rest,
                _ => &changes,
            };
            let wanted = (wanted, FileDigests::Taken);
            self.factory.write(wanted, for_cache, recorded, &open)?
        } else {
            NewLayer::none()
        };
        let is_contradicted = self.is_contradicted(&changes, &layer);
        let state = match state {
            State::Latent => return Err(nobody_looked()),
            State::Value { mut tree, layers } => {
                tree.apply_layer(changes)
                    .map_err(|source| BuildError::Layer {
                        operation: "apply the layer".to_owned(),
                        source,
                    })?;
                State::Value { tree, layers }
            }
            State::Live(index) => {
                let ground = self.premises.ground.as_mut().ok_or_else(no_ground)?;
                State::Live(Box::new(ground.apply(*index, &changes, &self.contents)?))
            }
        };
        let made = Made {
            layer,
            is_contradicted,
        };
        Ok((state, made))
    }

    /// A build that works where the pod has mounted something loses what it makes there.
    fn tell_mounted_directory(&self, run: &RunOp, step: &Step) {
        let is_mounted = self.premises.ground.as_ref().is_some_and(|ground| {
            let (_, exclusions) = ground.parts();
            ImagePath::clamp(run.cwd.as_bytes()).is_ok_and(|path| exclusions.is_excluded(&path))
        });
        if is_mounted {
            self.workshop.events.warn(format!(
                "{}:{}: the working directory `{}` is a mount of the pod (or ignored): RUN sees the pod's files there, and what it writes there is not in the image",
                self.file.name(),
                step.span.line,
                run.cwd
            ));
        }
    }

    fn run(
        &mut self,
        (stage, step): (&StagePlan, &Step),
        run: &RunOp,
        position: &StepPosition,
        state: State,
    ) -> Result<(State, NewLayer), BuildError> {
        let users = self.users(&state)?;
        let for_cache = self.keeps_layers();
        let file_digests = self.digests_after(stage, step)?;
        let wanted = self.prepare_mounts(run)?;
        let State::Live(mut index) = state else {
            return Err(no_ground());
        };
        let ground = self.premises.ground.as_mut().ok_or_else(no_ground)?;
        let mut process = running::process(run, &users, self.entrusted, ground.path())?;
        self.premises.grants.confine(run, &mut process);
        ground.settle(&mut index)?;
        let lent = pod_files::lend(ground.path(), self.hosts)?;
        running::furnish(run, ground.path())?;
        let mounted = match &self.premises.backstage {
            Some(backstage) if !wanted.is_empty() => {
                let (root, exclusions) = ground.parts();
                let place = mounts::Ground {
                    root,
                    exclusions,
                    backstage,
                };
                let stores = (&self.contents, &self.caches, self.entrusted);
                let mut mounted = Mounted::place(wanted, place, stores, self.workshop)?;
                running::furnish_directory(run, ground.path())?;
                mounted.watch()?;
                process.confinement.read_only = mounted.read_only(ground.path());
                Some(mounted)
            }
            _ => None,
        };
        let ran = running::run(&process, run, &mut *self.runner, self.workshop, position);
        let ended = mounted.map_or(Ok(()), |mounted| mounted.end(self.workshop));
        running::clear(run, ground.path());
        let restored = lent.give_back();
        ran?;
        ended?;
        restored?;
        let before = ground.scan(&mut index)?;
        let open = |path: &ImagePath, _: &FileContent| -> Result<Box<dyn Read>, BuildError> {
            Ok(Box::new(ground.open(path)?))
        };
        let wanted = (self.needs.layers_of(stage.id), file_digests);
        let changes = Changes::between(&before, index.tree());
        let mut layer = self.factory.write(wanted, for_cache, changes, &open)?;
        let digests = std::mem::take(&mut layer.digests);
        if !digests.is_empty() {
            index.learn_all(&before, digests);
        }
        Ok((State::Live(index), layer))
    }

    /// A digest tells a later look that a file is still what it was. After the last step of a stage nobody looks, unless the stage is kept
    /// ([`end`](Self::end)).
    fn digests_after(&mut self, stage: &StagePlan, step: &Step) -> Result<FileDigests, BuildError> {
        let mut rest = stage.steps.iter().skip(step.number);
        let is_wanted = rest.any(|step| step.op != Op::Config)
            || self.needs.is_parent(stage.id)
            || self.needs.is_read(stage.id)
            || self.is_of_use(stage.id)?;
        Ok(if is_wanted {
            FileDigests::Taken
        } else {
            FileDigests::Unwanted
        })
    }

    /// Keeps of a finished stage what later ones need, and nothing else.
    fn end(
        &mut self,
        stage: &StagePlan,
        mut standing: Standing,
    ) -> Result<FinishedStage, BuildError> {
        let (is_parent, is_read) = (self.needs.is_parent(stage.id), self.needs.is_read(stage.id));
        // The files of a named context are a layer only for those who are built on them.
        if let (State::Latent, Base::Context(_), true) = (&standing.state, &stage.base, is_read) {
            self.value(stage, &mut standing)?;
        }
        let Standing { state, layers, .. } = standing;
        let tree = match state {
            State::Value { tree, .. } => (is_parent || is_read).then(|| Arc::new(tree)),
            // Its layers are kept, and tell everything that anybody may ask.
            State::Live(index) if is_parent => {
                self.standing = Some((stage.id, index));
                None
            }
            State::Live(index) if is_read => Some(Arc::new(self.keep(stage.id, index)?)),
            // Its layers tell everything, if anybody asks.
            State::Latent => None,
            State::Live(index) => {
                if self.is_of_use(stage.id)? {
                    self.past.leave(index);
                }
                None
            }
        };
        Ok(FinishedStage { tree, layers })
    }

    /// Moves what later stages copy out of the root filesystem, before it is emptied for them.
    fn keep(&mut self, stage: StageId, index: Box<Index>) -> Result<Tree, BuildError> {
        let (mut tree, virtuals) = if self.is_of_use(stage)? {
            let parts = (index.tree().clone(), index.virtuals().clone());
            self.past.leave(index);
            parts
        } else {
            index.into_parts()
        };
        let directory = self
            .workshop
            .make_directory(&format!("stage-{}", stage.0))?;
        let kept = Arc::new(
            RootDir::open(&directory)
                .map_err(BuildError::root("open the directory for kept files"))?,
        );
        let store = self.contents.add_store(Arc::clone(&kept));
        copying::store_all(&mut tree, &virtuals, store);
        let source = CopySource::Stage(stage);
        let mut wanted = BTreeSet::new();
        for (_, step) in self.plan.readers(&source) {
            match &step.op {
                // A source that is missing is told where it is copied.
                Op::Copy(copy) => {
                    wanted
                        .extend(copying::wanted(copy, &tree, store, self.now).unwrap_or_default());
                }
                Op::Run(run) => {
                    wanted.extend(mounts::wanted_of_stage(run, &source, (&tree, store)));
                }
                Op::MakeDir(_) | Op::Config => {}
            }
        }
        let ground = self.premises.ground.as_ref().ok_or_else(no_ground)?;
        let (root, exclusions) = ground.parts();
        let mut keeper = Keeper::new(root, exclusions, &kept);
        for path in wanted {
            keeper.move_out(&path).map_err(|source| BuildError::Root {
                operation: format!("keep `{path}` for a later stage"),
                source,
            })?;
        }
        Ok(tree)
    }

    fn base_name(&self, base: &Base) -> String {
        match base {
            Base::Scratch => "scratch".to_owned(),
            Base::Image(id) => self
                .plan
                .image(*id)
                .map_or_else(String::new, |image| image.reference.clone()),
            Base::Stage(id) => self.plan.stage(*id).map_or_else(String::new, name_of),
            Base::Context(name) => format!("context `{name}`"),
        }
    }
}

pub(crate) fn no_ground() -> BuildError {
    BuildError::Machine {
        operation: "use the root filesystem without the interlock; this is a defect of kigumi, please report it",
        source: std::io::Error::from(std::io::ErrorKind::PermissionDenied),
    }
}

fn name_of(stage: &StagePlan) -> String {
    stage
        .name
        .clone()
        .unwrap_or_else(|| format!("stage-{}", stage.id.0))
}
