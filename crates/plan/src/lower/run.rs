//! RUN.

use kigumi_dockerfile::instruction::{Mount, MountSpec, Network, Run, RunCommand, Security};
use kigumi_dockerfile::{Diagnostic, Span};

use super::scope::Scope;
use super::stage::{Context, Effect, Outcome};
use super::{Ground, path};
use crate::created_by;
use crate::entitlement;
use crate::op::{CopySource, Op, RunMount, RunOp, Script};
use crate::plan::StageId;
use crate::planner::{FromName, Origin};
use crate::variables::Variables;

/// Variables that a proxy is told by, in upper case. Dockerfile reference § Predefined ARGs.
const PROXIES: [&str; 5] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "FTP_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
];

/// Where the script of a heredoc with `#!` appears.
const SCRIPT_DIRECTORY: &str = "/dev/pipes";

/// Whether a variable tells a proxy, in any letter case.
pub(crate) fn is_proxy(name: &str) -> bool {
    PROXIES.contains(&name.to_ascii_uppercase().as_str())
}

/// RUN: the command is not expanded; the shell sees the variables.
pub(super) fn run(context: &Context<'_>, scope: &Scope, run: &Run) -> Outcome {
    let mut problems = entitlement::refusals(run, context.ground.planner.inputs());
    let mut mounts = Vec::new();
    for written in &run.mounts {
        match mount(context, scope, written) {
            Ok(mount) => mounts.push(mount),
            Err(problem) => problems.push(problem),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let (argv, script) = command(scope, run);
    let words = argv.iter().map(String::as_str);
    let history = created_by::words(&arguments(scope), words) + created_by::ON_STATE;
    let (env, proxies) = environment(context.ground, scope);
    let op = RunOp {
        argv,
        env,
        proxies,
        cwd: path::clean(scope.working_dir()),
        user: scope.user(),
        mounts,
        network: run
            .network
            .as_ref()
            .map_or(Network::Default, |network| network.value),
        security: run
            .security
            .as_ref()
            .map_or(Security::Sandbox, |security| security.value),
        devices: run
            .devices
            .iter()
            .map(|device| device.value.clone())
            .collect(),
        script,
    };
    Ok(Effect {
        op: Op::Run(op),
        history: Some(history),
    })
}

fn command(scope: &Scope, run: &Run) -> (Vec<String>, Option<Script>) {
    match run.command() {
        RunCommand::Exec(words) => (words.to_vec(), None),
        RunCommand::Shell(text) => (scope.in_shell(&text), None),
        RunCommand::Script { name, body } => {
            let script = Script {
                name: name.to_owned(),
                body: body.into_owned(),
            };
            (
                scope.in_shell(&format!("{SCRIPT_DIRECTORY}/{name}")),
                Some(script),
            )
        }
    }
}

/// `RUN |N K=V …`: the declared arguments with the values that RUN sees.
fn arguments(scope: &Scope) -> String {
    if scope.arguments.is_empty() {
        return "RUN".to_owned();
    }
    let seen: Vec<(String, String)> = scope
        .arguments
        .iter()
        .map(|(name, own)| {
            let value = scope.lookup(name).or_else(|| own.clone());
            (name.clone(), value.unwrap_or_default())
        })
        .collect();
    created_by::pairs(&format!("RUN |{}", seen.len()), &seen)
}

/// ENV and ARG, then proxies where the image says nothing about them: in both letter cases, since programs differ in
/// which one they read (T-ARG-08). Their names come second.
fn environment(ground: &Ground<'_>, scope: &Scope) -> (Vec<(String, String)>, Vec<String>) {
    let inputs = ground.planner.inputs();
    let mut proxies = Variables::default();
    for (name, value) in inputs.proxies.iter().chain(&inputs.build_args) {
        if is_proxy(name) {
            proxies.set(&name.to_ascii_uppercase(), value);
            proxies.set(&name.to_ascii_lowercase(), value);
        }
    }
    let mut all = scope.variables.clone();
    let mut undeclared = Vec::new();
    for (name, value) in proxies.pairs() {
        if all.value(name).is_none() {
            all.set(name, value);
            undeclared.push(name.clone());
        }
    }
    (all.pairs().to_vec(), undeclared)
}

fn mount(context: &Context<'_>, scope: &Scope, written: &Mount) -> Result<RunMount, Diagnostic> {
    let mut spec = written.resolve(&mut |word| {
        let expanded = word.expand(&|name| scope.lookup(name), context.escape())?;
        Ok(expanded.text)
    })?;
    // COMPAT(buildkit): the same directory under a relative and an absolute name are two caches.
    if let MountSpec::Cache { id, target, .. } = &mut spec {
        id.get_or_insert_with(|| path::clean_as_written(target));
    }
    place(scope, &mut spec, written.span)?;
    let from = match &spec {
        MountSpec::Bind { .. } | MountSpec::Cache { .. } => FromName::of_mount(written),
        MountSpec::Tmpfs { .. } | MountSpec::Secret { .. } | MountSpec::Ssh { .. } => None,
    };
    let from = match (from, &spec) {
        (Some(name), _) => {
            let span = context.at(name.span());
            Some(source(context, &name.at(span))?)
        }
        (None, MountSpec::Bind { .. }) => Some(CopySource::Context),
        (None, _) => None,
    };
    Ok(RunMount {
        spec,
        from,
        span: context.at(written.span),
    })
}

/// What a name behind `from=` means in the plan.
pub(super) fn source(context: &Context<'_>, name: &FromName) -> Result<CopySource, Diagnostic> {
    let ground = context.ground;
    Ok(match ground.planner.resolve(context.stage, name)? {
        Origin::Scratch => CopySource::Scratch,
        Origin::Stage(stage) => CopySource::Stage(StageId(stage)),
        Origin::Files(name) => CopySource::NamedContext(name),
        Origin::Image(query) => {
            let image = ground.image_id(&query).ok_or_else(|| {
                let message = format!("image `{}` was not resolved", query.reference);
                Diagnostic::error("UnresolvedImage", query.span, message)
            })?;
            CopySource::Image(image)
        }
    })
}

/// Makes the mount point absolute. The root cannot be one.
fn place(scope: &Scope, spec: &mut MountSpec, span: Span) -> Result<(), Diagnostic> {
    let target = match spec {
        MountSpec::Bind { target, .. }
        | MountSpec::Cache { target, .. }
        | MountSpec::Tmpfs { target, .. } => target,
        MountSpec::Secret { target, .. } | MountSpec::Ssh { target, .. } => match target {
            Some(target) => target,
            None => return Ok(()),
        },
    };
    *target = path::join(scope.working_dir(), target);
    if target == "/" {
        let message = "the mount point of --mount is `/`";
        return Err(Diagnostic::error("InvalidMount", span, message)
            .with_help("name another directory with `target=`"));
    }
    Ok(())
}
