//! A file as rules look at it: its FROM lines evaluated, and each instruction with the variables that are valid there.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeSet;

use super::inputs::{Base, Inputs, Target};
use super::report::Place;
use super::scope::Scope;
use super::shell::Script;
use crate::dockerfile::{Dockerfile, Stage};
use crate::instruction::{Instruction, Mount, MountKey, Run};
use crate::parse::parse_onbuild_trigger;
use crate::source::Word;

/// What a word in FROM turned into.
#[derive(Debug, Clone, Default)]
pub(super) struct FromWord {
    /// The text; none if the word cannot be expanded.
    pub(super) text: Option<String>,
    /// Variables that have a value.
    pub(super) known: BTreeSet<String>,
    /// Variables that have none.
    pub(super) unknown: Vec<String>,
}

/// What a stage stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ground {
    Scratch,
    Stage(usize),
    /// An image, or something that cannot be told.
    Image,
}

/// The lint view of a file.
pub(super) struct Subject<'a> {
    pub(super) file: &'a Dockerfile,
    pub(super) inputs: &'a Inputs,
    /// The variables of FROM lines.
    pub(super) globals: Scope,
    /// The word behind FROM, by stage.
    pub(super) bases: Vec<FromWord>,
    /// What stages stand on, by stage.
    pub(super) grounds: Vec<Ground>,
    /// Which stages the target needs.
    pub(super) needed: Vec<bool>,
    /// Every RUN of the file, those of ONBUILD among them.
    pub(super) runs: Vec<RunView<'a>>,
    /// What each stage begins with.
    starts: Vec<Scope>,
    /// The triggers that the base of a stage leaves to it.
    triggers: Vec<Vec<Instruction>>,
}

/// A RUN and the commands in it.
pub(super) struct RunView<'a> {
    pub(super) stage: usize,
    /// The instruction as it stands in the file; ONBUILD, perhaps.
    pub(super) instruction: &'a Instruction,
    pub(super) run: Cow<'a, Run>,
    pub(super) script: Script,
}

impl RunView<'_> {
    pub(super) fn place(&self) -> Place<'_> {
        Place::of(self.instruction)
    }

    /// Whether it only runs in images built from this one.
    pub(super) fn is_trigger(&self) -> bool {
        self.instruction.onbuild().is_some()
    }
}

/// One instruction of a stage in its surroundings.
pub(super) struct Visit<'v> {
    pub(super) stage: usize,
    pub(super) instruction: &'v Instruction,
    /// Where findings go: the instruction, or FROM for a trigger.
    pub(super) place: Place<'v>,
    /// The variables that are valid before the instruction.
    pub(super) scope: &'v Scope,
}

impl<'a> Subject<'a> {
    pub(super) fn new(file: &'a Dockerfile, inputs: &'a Inputs) -> Self {
        let globals = globals(file, inputs, true);
        let mut subject = Self {
            file,
            inputs,
            bases: Vec::new(),
            grounds: Vec::new(),
            needed: Vec::new(),
            runs: runs(file),
            starts: Vec::new(),
            triggers: Vec::new(),
            globals,
        };
        for (index, stage) in file.stages.iter().enumerate() {
            let word = subject.evaluate(&stage.from.base, &subject.globals);
            let ground = subject.ground(index, word.text.as_deref());
            subject.bases.push(word);
            subject.grounds.push(ground);
            let triggers = subject.triggers_for(index);
            subject.triggers.push(triggers);
            let start = subject.start(index);
            subject.starts.push(start);
        }
        subject.needed = subject.needed_stages();
        subject
    }

    /// The variables of FROM lines as they are without any `--build-arg` for a declared one.
    pub(super) fn default_globals(&self) -> Scope {
        globals(self.file, self.inputs, false)
    }

    /// Expands a word of a FROM line and says which variables it used.
    pub(super) fn evaluate(&self, word: &Word, globals: &Scope) -> FromWord {
        let known = RefCell::new(BTreeSet::new());
        let lookup = |name: &str| {
            let value = globals.value(name);
            if value.is_some() {
                known.borrow_mut().insert(name.to_owned());
            }
            value
        };
        let unknown = RefCell::new(Vec::new());
        let text = word.expand(&lookup, self.file.escape).map(|expanded| {
            unknown.replace(expanded.undefined);
            expanded.text
        });
        FromWord {
            text: text.ok(),
            known: known.into_inner(),
            unknown: unknown.into_inner(),
        }
    }

    /// The earlier stage that a text behind FROM means.
    fn ground(&self, index: usize, text: Option<&str>) -> Ground {
        let Some(text) = text else {
            return Ground::Image;
        };
        let earlier = self.file.stages.get(..index).unwrap_or_default();
        match earlier
            .iter()
            .rposition(|stage| stage.from.stage_name() == Some(text))
        {
            Some(stage) => Ground::Stage(stage),
            None if text == "scratch" => Ground::Scratch,
            None => Ground::Image,
        }
    }

    fn base(&self, stage: usize) -> Option<&Base> {
        self.inputs.bases.get(stage)?.as_ref()
    }

    fn triggers_for(&self, stage: usize) -> Vec<Instruction> {
        let texts: Vec<&str> = match self.grounds.get(stage) {
            Some(Ground::Stage(parent)) => self
                .file
                .stages
                .get(*parent)
                .into_iter()
                .flat_map(|stage| &stage.instructions)
                .filter_map(|instruction| instruction.onbuild())
                .map(|onbuild| onbuild.trigger.value.as_str())
                .collect(),
            Some(Ground::Image) => self
                .base(stage)
                .into_iter()
                .flat_map(|base| base.triggers.iter().map(String::as_str))
                .collect(),
            Some(Ground::Scratch) | None => Vec::new(),
        };
        texts
            .into_iter()
            .filter_map(|text| parse_onbuild_trigger(text).ok())
            .collect()
    }

    fn start(&self, stage: usize) -> Scope {
        match self.grounds.get(stage) {
            Some(Ground::Stage(parent)) => self.end(*parent),
            Some(Ground::Scratch) => Scope::stage(&[], false),
            Some(Ground::Image) | None => match self.base(stage) {
                Some(base) => Scope::stage(&base.env, base.has_shell),
                None => Scope::of_unknown_base(),
            },
        }
    }

    fn end(&self, stage: usize) -> Scope {
        let mut scope = self.starts.get(stage).cloned().unwrap_or_default();
        for instruction in self.instructions(stage) {
            scope.apply(instruction, self);
        }
        scope
    }

    /// The triggers of the base, then the stage's own.
    fn instructions(&self, stage: usize) -> impl Iterator<Item = &Instruction> {
        let own = self.file.stages.get(stage).map(|stage| &stage.instructions);
        let triggers = self.triggers.get(stage);
        triggers.into_iter().chain(own).flatten()
    }

    /// Every instruction of every stage, with the position of the stage.
    pub(super) fn all(&self) -> impl Iterator<Item = (usize, &'a Instruction)> {
        let stages = self.file.stages.iter().enumerate();
        stages.flat_map(|(index, stage)| stage.instructions.iter().map(move |one| (index, one)))
    }

    /// Visits every instruction of every stage that the target needs, triggers of the base included.
    pub(super) fn visit(&self, mut visitor: impl FnMut(&Visit<'_>)) {
        for (index, stage) in self.needed_of_file() {
            let mut scope = self.starts.get(index).cloned().unwrap_or_default();
            let triggers = self.triggers.get(index).map_or(0, Vec::len);
            for (position, instruction) in self.instructions(index).enumerate() {
                let place = if position < triggers {
                    Place {
                        span: stage.from.span,
                        comments: &instruction.comments,
                    }
                } else {
                    Place::of(instruction)
                };
                visitor(&Visit {
                    stage: index,
                    instruction,
                    place,
                    scope: &scope,
                });
                scope.apply(instruction, self);
            }
        }
    }

    fn needed_of_file(&self) -> impl Iterator<Item = (usize, &Stage)> {
        let stages = self.file.stages.iter().enumerate();
        stages.filter(|(index, _)| self.needed.get(*index) == Some(&true))
    }

    /// A stage, the one it stands on, and so on.
    pub(super) fn chain_of(&self, stage: usize) -> impl Iterator<Item = usize> {
        std::iter::successors(Some(stage), |stage| match self.grounds.get(*stage) {
            Some(Ground::Stage(parent)) => Some(*parent),
            Some(Ground::Scratch | Ground::Image) | None => None,
        })
    }

    /// The image that a stage stands on in the end; none for scratch.
    pub(super) fn root_of(&self, stage: usize) -> Option<&str> {
        let root = self.chain_of(stage).last()?;
        let is_image = self.grounds.get(root) == Some(&Ground::Image);
        let base = self.bases.get(root).filter(|_| is_image)?;
        Some(base.text.as_deref().unwrap_or_default())
    }

    fn needed_stages(&self) -> Vec<bool> {
        let count = self.file.stages.len();
        match &self.inputs.target {
            Target::All => vec![true; count],
            Target::Last => self.needed_by_last(),
            Target::Named(name) => self.needed_by(self.file.stage_named(name)),
        }
    }

    /// The stages that a build without a target needs.
    pub(super) fn needed_by_last(&self) -> Vec<bool> {
        self.needed_by(self.file.stages.len().checked_sub(1))
    }

    /// The stages that the target needs, itself included.
    fn needed_by(&self, target: Option<usize>) -> Vec<bool> {
        let count = self.file.stages.len();
        let mut needed = vec![false; count];
        let mut open: Vec<usize> = target.into_iter().collect();
        while let Some(stage) = open.pop() {
            match needed.get_mut(stage) {
                Some(seen) if !*seen => *seen = true,
                Some(_) | None => continue,
            }
            if let Some(Ground::Stage(parent)) = self.grounds.get(stage) {
                open.push(*parent);
            }
            let names = self.instructions(stage).flat_map(sources);
            open.extend(names.filter_map(|name| self.file.copied_stage(name)));
        }
        needed
    }
}

fn runs(file: &Dockerfile) -> Vec<RunView<'_>> {
    let mut runs = Vec::new();
    for (stage, of) in file.stages.iter().enumerate() {
        for instruction in &of.instructions {
            let run = match (instruction.run(), instruction.onbuild()) {
                (Some(run), _) => Some(Cow::Borrowed(run)),
                (None, Some(onbuild)) => parse_onbuild_trigger(&onbuild.trigger.value)
                    .ok()
                    .and_then(|trigger| trigger.run().cloned())
                    .map(Cow::Owned),
                (None, None) => None,
            };
            runs.extend(run.map(|run| RunView {
                stage,
                instruction,
                script: Script::of(&run),
                run,
            }));
        }
    }
    runs
}

/// The stages and images that an instruction takes files from.
fn sources(instruction: &Instruction) -> Vec<&str> {
    let copied = instruction.copy().and_then(|copy| copy.from.as_ref());
    let mounted = instruction.run().into_iter().flat_map(|run| &run.mounts);
    let copied = copied.map(|from| from.value.as_str());
    copied
        .into_iter()
        .chain(mounted.filter_map(mount_source))
        .collect()
}

/// The value of `from=` of a mount.
pub(super) fn mount_source(mount: &Mount) -> Option<&str> {
    let option = mount
        .options
        .iter()
        .rfind(|option| option.key == MountKey::From)?;
    option.value.as_ref().map(|word| word.raw.as_str())
}

impl Dockerfile {
    /// The stage that `COPY --from=` means: by name, else by position.
    pub(super) fn copied_stage(&self, name: &str) -> Option<usize> {
        self.stage_named(name)
            .or_else(|| name.parse().ok().filter(|index| *index < self.stages.len()))
    }
}

fn globals(file: &Dockerfile, inputs: &Inputs, with_arguments: bool) -> Scope {
    let mut scope = Scope::default();
    let given = |name: &str| {
        let mut matching = inputs.build_args.iter().rev();
        matching.find(|(known, _)| known == name)
    };
    for (name, value) in &inputs.predefined {
        scope.set(name, given(name).map_or(value, |(_, value)| value));
    }
    let arguments = file.global_args.iter().filter_map(Instruction::arg);
    for declaration in arguments.flat_map(|arg| &arg.declarations) {
        let name = scope.expand(&declaration.name, file.escape).text;
        scope.declare(&name);
        let given = given(&name).filter(|_| with_arguments);
        match (given, &declaration.default) {
            (Some((_, value)), _) => scope.set(&name, value),
            (None, Some(default)) => {
                let value = scope.expand(default, file.escape).text;
                scope.set(&name, &value);
            }
            (None, None) => {}
        }
    }
    scope
}
