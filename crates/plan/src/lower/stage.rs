//! One stage, instruction by instruction.

use kigumi_dockerfile::{Diagnostic, Instruction, InstructionKind, Span};

use super::scope::Scope;
use super::{Ground, Lowered, arg, copy, expose, metadata, run};
use crate::created_by;
use crate::op::Op;
use crate::plan::{Base, StageId, StagePlan, Step};

/// What a stage begins with.
pub(crate) struct Start {
    pub(crate) base: Base,
    pub(crate) scope: Scope,
}

/// What lowering one instruction yields besides changes of the scope.
pub(super) struct Effect {
    pub(super) op: Op,
    /// The text of its history entry; none for ONBUILD.
    pub(super) history: Option<String>,
}

impl Effect {
    /// A change of the config.
    pub(super) fn config(history: String) -> Self {
        Self {
            op: Op::Config,
            history: Some(history),
        }
    }
}

/// What an instruction is lowered with.
pub(super) struct Context<'a> {
    pub(super) ground: &'a Ground<'a>,
    /// The stage it belongs to.
    pub(super) stage: usize,
    /// For triggers the FROM line: their own spans point into another text.
    pub(super) place: Option<Span>,
}

impl Context<'_> {
    /// The escape character of the file.
    pub(super) fn escape(&self) -> char {
        self.ground.planner.dockerfile().escape
    }

    /// Where something is to be reported.
    pub(super) fn at(&self, span: Span) -> Span {
        self.place.unwrap_or(span)
    }
}

/// All problems of one instruction, or its effect.
pub(super) type Outcome = Result<Effect, Vec<Diagnostic>>;

/// Lowers a stage: the triggers of its base, then its own instructions.
pub(super) fn lower(ground: &Ground<'_>, stage: usize, start: Start) -> Lowered {
    let planner = ground.planner;
    let written = planner.dockerfile().stages.get(stage);
    let from = written.map(|written| &written.from);
    let from_span = from.map(|from| from.span).unwrap_or_default();
    let mut work = Work {
        ground,
        stage,
        scope: start.scope,
        steps: Vec::new(),
        problems: Vec::new(),
    };
    for trigger in planner.triggers(stage) {
        match trigger {
            Ok(trigger) => work.instruction(&trigger, Some(from_span)),
            Err(problem) => work.problems.push(problem),
        }
    }
    for instruction in written
        .into_iter()
        .flat_map(|written| &written.instructions)
    {
        work.instruction(instruction, None);
    }
    let mut config = work.scope.config.clone();
    config.created = Some(ground.created.to_owned());
    let platform = planner.stage_from(stage).map(|from| from.platform.clone());
    Lowered {
        plan: StagePlan {
            id: StageId(stage),
            name: from.and_then(|from| from.stage_name()).map(str::to_owned),
            span: from_span,
            platform: platform.unwrap_or_else(|| planner.inputs().platform.clone()),
            base: start.base,
            steps: work.steps,
            config,
        },
        end: work.scope,
        problems: work.problems,
    }
}

struct Work<'a> {
    ground: &'a Ground<'a>,
    stage: usize,
    scope: Scope,
    steps: Vec<Step>,
    problems: Vec<Diagnostic>,
}

impl Work<'_> {
    fn instruction(&mut self, instruction: &Instruction, place: Option<Span>) {
        let context = Context {
            ground: self.ground,
            stage: self.stage,
            place,
        };
        let effect = match effect(&context, &mut self.scope, instruction) {
            Ok(effect) => effect,
            Err(problems) => {
                let placed = problems.into_iter().map(|problem| Diagnostic {
                    span: context.at(problem.span),
                    ..problem
                });
                return self.problems.extend(placed);
            }
        };
        let layer = effect.op.touches_rootfs();
        let created = self.ground.created;
        let history = effect
            .history
            .map(|text| created_by::entry(created, text, layer));
        if let Some(entry) = &history {
            self.scope.remember(entry.clone());
        }
        self.steps.push(Step {
            span: context.at(instruction.span),
            number: self.steps.len() + 1,
            text: instruction.original.clone(),
            op: effect.op,
            history,
        });
    }
}

fn effect(context: &Context<'_>, scope: &mut Scope, instruction: &Instruction) -> Outcome {
    let one = |result: Result<Effect, Diagnostic>| result.map_err(|problem| vec![problem]);
    match &instruction.kind {
        InstructionKind::Add(add) => copy::add(context, scope, add),
        InstructionKind::Copy(copy) => copy::copy(context, scope, copy),
        InstructionKind::Run(run) => run::run(context, scope, run),
        InstructionKind::Arg(arg) => one(arg::arg(context, scope, arg)),
        InstructionKind::Env(env) => one(metadata::env(context, scope, env)),
        InstructionKind::Label(label) => one(metadata::label(context, scope, label)),
        InstructionKind::Cmd(command) => Ok(metadata::cmd(scope, command)),
        InstructionKind::Entrypoint(command) => Ok(metadata::entrypoint(scope, command)),
        InstructionKind::Expose(expose) => one(expose::expose(context, scope, expose)),
        InstructionKind::Healthcheck(check) => Ok(metadata::healthcheck(scope, check)),
        InstructionKind::Maintainer(name) => Ok(metadata::maintainer(scope, &name.value)),
        InstructionKind::Onbuild(onbuild) => Ok(metadata::onbuild(scope, &onbuild.trigger.value)),
        InstructionKind::Shell(words) => Ok(metadata::shell(scope, words)),
        InstructionKind::Stopsignal(signal) => one(metadata::stopsignal(context, scope, signal)),
        InstructionKind::User(user) => one(metadata::user(context, scope, user)),
        InstructionKind::Volume(volume) => one(metadata::volume(context, scope, volume)),
        InstructionKind::Workdir(path) => one(metadata::workdir(context, scope, path)),
    }
}
