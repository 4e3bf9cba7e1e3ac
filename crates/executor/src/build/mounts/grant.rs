//! Secrets and agents: only the step that asks for them has them, and only as long as it runs.

use std::ffi::OsString;

use kigumi_dockerfile::instruction::{MountSpec, Owner};
use kigumi_layer::ImagePath;
use kigumi_plan::RunOp;
use kigumi_rootfs::{Placer, Site};

use super::secret::{self, SecretFile};
use super::{mount_point, ssh};
use crate::build::Entrusted;
use crate::error::BuildError;
use crate::report::Events;
use crate::ssh::Serving;

/// A secret file or an agent's socket that a step wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) target: ImagePath,
    kind: Kind,
    id: String,
    owner: Owner,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Secret,
    Ssh,
}

impl Grant {
    /// What a mount of a step wants in the root: nothing if it is none of these, a secret that is a variable only, or missing and may be.
    pub(super) fn of(
        run: &RunOp,
        number: usize,
        entrusted: &Entrusted,
    ) -> Result<Option<Self>, BuildError> {
        let Some(mount) = run.mounts.get(number) else {
            return Ok(None);
        };
        let (kind, id, target, owner, is_there) = match &mount.spec {
            MountSpec::Secret {
                id,
                target,
                required,
                owner,
                ..
            } => {
                let found = secret::wanted(&entrusted.secrets, id, *required)?;
                (Kind::Secret, id, target.clone(), owner, found.is_some())
            }
            MountSpec::Ssh {
                id,
                required,
                owner,
                ..
            } => {
                let found = ssh::agent(&entrusted.agents, id, *required)?;
                let target = ssh::target(run, number);
                (Kind::Ssh, id, target, owner, found.is_some())
            }
            MountSpec::Bind { .. } | MountSpec::Cache { .. } | MountSpec::Tmpfs { .. } => {
                return Ok(None);
            }
        };
        let Some(target) = target.filter(|_| is_there) else {
            return Ok(None);
        };
        Ok(Some(Self {
            target: mount_point(&target)?,
            kind,
            id: id.clone(),
            owner: *owner,
        }))
    }
}

/// The variables that the mounts of a step make: of secrets, and `SSH_AUTH_SOCK`. They replace others of the same name.
pub(crate) fn variables(
    run: &RunOp,
    entrusted: &Entrusted,
) -> Result<Vec<(String, OsString)>, BuildError> {
    let mut variables = secret::variables(run, &entrusted.secrets)?;
    variables.extend(ssh::variable(run));
    Ok(variables)
}

/// What of it is in the root. Dropping it ends the agents and wipes the secrets; their names are the placer's.
#[derive(Debug, Default)]
pub(super) struct Granted {
    agents: Vec<Serving>,
    secrets: Vec<SecretFile>,
}

impl Granted {
    /// Puts one into the root.
    pub(super) fn place(
        &mut self,
        placer: &mut Placer<'_>,
        site: &Site,
        grant: &Grant,
        (entrusted, events): (&Entrusted, &Events),
    ) -> Result<(), BuildError> {
        let Grant { id, owner, .. } = grant;
        match grant.kind {
            Kind::Secret => {
                if let Some(value) = entrusted.secrets.get(id) {
                    let named = (id.as_str(), self.secrets.len());
                    let file = secret::place(placer, site, named, (value, *owner), events)?;
                    self.secrets.push(file);
                }
            }
            Kind::Ssh => {
                if let Some(agent) = entrusted.agents.get(id) {
                    let named = (id.as_str(), self.agents.len());
                    let serving = ssh::place(placer, site, named, (agent, *owner))?;
                    self.agents.push(serving);
                }
            }
        }
        Ok(())
    }

    /// Ends the agents and empties the secrets; the next thing is that the placer takes their names away.
    pub(super) fn revoke(&mut self) -> Result<(), BuildError> {
        self.agents.clear();
        secret::wipe(&mut self.secrets)
    }

    /// When the placer has taken the names away: is nothing left?
    pub(super) fn check_gone(&self) -> Result<(), BuildError> {
        secret::check_gone(&self.secrets)
    }
}
