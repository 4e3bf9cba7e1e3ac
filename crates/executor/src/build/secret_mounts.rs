//! What `RUN --mount=type=secret` gives a process.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use kigumi_dockerfile::instruction::MountSpec;
use kigumi_plan::RunOp;

use crate::error::BuildError;
use crate::secrets::{SecretValue, Secrets};

/// The secret that a mount asks for; none when it is missing and may be (T-MNT-07).
pub(crate) fn wanted<'a>(
    secrets: &'a Secrets,
    id: &str,
    required: bool,
) -> Result<Option<&'a SecretValue>, BuildError> {
    match secrets.get(id) {
        None if required => Err(BuildError::NoSecret { id: id.to_owned() }),
        found => Ok(found),
    }
}

/// The variables of `env=`. COMPAT(buildkit): a missing secret makes an empty one.
pub(crate) fn variables(
    run: &RunOp,
    secrets: &Secrets,
) -> Result<Vec<(String, OsString)>, BuildError> {
    let mut variables = Vec::new();
    for mount in &run.mounts {
        let MountSpec::Secret {
            id, env, required, ..
        } = &mount.spec
        else {
            continue;
        };
        let value = wanted(secrets, id, *required)?;
        let Some(name) = env else { continue };
        let bytes = value.map(SecretValue::expose).unwrap_or_default();
        if bytes.contains(&0) {
            return Err(BuildError::SecretVariable {
                id: id.clone(),
                variable: name.clone(),
            });
        }
        variables.push((name.clone(), OsString::from_vec(bytes.to_vec())));
    }
    Ok(variables)
}
