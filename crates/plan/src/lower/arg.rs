//! ARG inside a stage.

use kigumi_dockerfile::Diagnostic;
use kigumi_dockerfile::instruction::Arg;

use super::scope::Scope;
use super::stage::{Context, Effect};

/// Arguments for the builder's own ears, never exported to RUN (T-ARG-12).
const NOT_EXPORTED: [&str; 2] = ["BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"];

/// Declares arguments. A value comes from the command line, else from the default, else from the global scope
/// (T-ARG-01); without any the argument stays as it was (T-ARG-02).
pub(super) fn arg(
    context: &Context<'_>,
    scope: &mut Scope,
    arg: &Arg,
) -> Result<Effect, Diagnostic> {
    let planner = context.ground.planner;
    let mut history = "ARG".to_owned();
    for declaration in &arg.declarations {
        let name = scope.expand(&declaration.name, context.escape())?;
        let value = match (planner.inputs().build_arg(&name), &declaration.default) {
            (Some(given), _) => Some(given.to_owned()),
            // Only now: the default of an overridden argument is not evaluated (T-EXP-08).
            (None, Some(default)) => Some(scope.expand(default, context.escape())?),
            (None, None) => planner.globals().value(&name).map(str::to_owned),
        };
        history.push(' ');
        history.push_str(&name);
        if let Some(value) = &value {
            history.push('=');
            history.push_str(value);
            if !NOT_EXPORTED.contains(&name.as_str()) {
                scope.variables.set(&name, value);
            }
        }
        match scope.arguments.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => scope.arguments.push((name, value)),
        }
    }
    Ok(Effect::config(history))
}
