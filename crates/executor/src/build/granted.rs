//! Secrets and agents in the root while a step runs, and the end of them.

use kigumi_dockerfile::instruction::{MountSpec, Owner};
use kigumi_layer::ImagePath;
use kigumi_plan::RunOp;
use kigumi_rootfs::Placer;

use super::secret_mounts::{self, SecretFile};
use super::{Grants, ssh_mounts};
use crate::error::BuildError;
use crate::report::Events;
use crate::ssh::Serving;

/// A secret file or an agent's socket that a step wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grant {
    /// Where.
    pub(crate) target: ImagePath,
    kind: Kind,
    id: String,
    required: bool,
    owner: Owner,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Secret,
    Ssh,
}

/// What of it is there. Dropping it ends the agents and wipes the secrets; their names are the placer's.
#[derive(Debug, Default)]
pub(crate) struct Granted {
    agents: Vec<Serving>,
    secrets: Vec<SecretFile>,
}

/// The files and sockets that a step wants, in the order of its flags. A secret that is a variable only is none.
pub(crate) fn wanted(run: &RunOp) -> Result<Vec<Grant>, BuildError> {
    let mut all = Vec::new();
    for mount in &run.mounts {
        if let MountSpec::Secret {
            id,
            target: Some(target),
            required,
            owner,
            ..
        } = &mount.spec
        {
            all.push(Grant {
                target: path(target)?,
                kind: Kind::Secret,
                id: id.clone(),
                required: *required,
                owner: *owner,
            });
        }
    }
    for socket in ssh_mounts::wanted(run) {
        all.push(Grant {
            target: path(&socket.target)?,
            kind: Kind::Ssh,
            id: socket.id.to_owned(),
            required: socket.required,
            owner: socket.owner,
        });
    }
    Ok(all)
}

fn path(target: &str) -> Result<ImagePath, BuildError> {
    ImagePath::parse(target.as_bytes()).map_err(|error| BuildError::Furnish {
        operation: format!("mount at `{target}`"),
        source: std::io::Error::other(error),
    })
}

impl Granted {
    /// Puts one into the root; nothing if it is missing and may be.
    pub(crate) fn place(
        &mut self,
        placer: &mut Placer<'_>,
        grant: &Grant,
        grants: &Grants,
        events: &Events,
    ) -> Result<(), BuildError> {
        let Grant { id, owner, .. } = grant;
        let survey = |placer: &Placer<'_>, what| {
            placer
                .survey(&grant.target)
                .map_err(|source| BuildError::PlaceGrant {
                    what,
                    id: id.clone(),
                    source: Box::new(source),
                })
        };
        match grant.kind {
            Kind::Secret => {
                let Some(value) = secret_mounts::wanted(&grants.secrets, id, grant.required)?
                else {
                    return Ok(());
                };
                let site = survey(placer, "secret")?;
                let named = (id.as_str(), self.secrets.len());
                let file = secret_mounts::place(placer, &site, named, value, *owner, events)?;
                self.secrets.push(file);
            }
            Kind::Ssh => {
                let Some(agent) = ssh_mounts::agent(&grants.agents, id, grant.required)? else {
                    return Ok(());
                };
                let site = survey(placer, "ssh agent")?;
                let named = (id.as_str(), self.agents.len());
                let serving = ssh_mounts::place(placer, &site, named, agent, *owner)?;
                self.agents.push(serving);
            }
        }
        Ok(())
    }

    /// Ends the agents and empties the secrets; the next thing is that the placer takes their names away.
    pub(crate) fn revoke(&mut self) -> Result<(), BuildError> {
        self.agents.clear();
        secret_mounts::wipe(&mut self.secrets)
    }

    /// When the placer has taken the names away: is nothing left?
    pub(crate) fn check_gone(&self) -> Result<(), BuildError> {
        secret_mounts::check_gone(&self.secrets)
    }
}
