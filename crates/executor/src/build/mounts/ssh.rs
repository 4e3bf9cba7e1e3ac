//! What `RUN --mount=type=ssh` gives a process: the socket of an agent, and the variable that names it.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, lchown};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;

use kigumi_dockerfile::instruction::{MountSpec, Owner};
use kigumi_plan::RunOp;
use kigumi_rootfs::{Item, Placer, Site};
use rustix::fs::OFlags;

use super::failed;
use crate::error::BuildError;
use crate::ssh::{Agent, Agents, Serving, SshError};

/// Permissions of a socket without `mode=`. Dockerfile reference § RUN --mount=type=ssh.
const MODE: u32 = 0o600;

/// What clients look for their agent by.
pub(super) const VARIABLE: &str = "SSH_AUTH_SOCK";

/// Where the socket of a mount of a step is; nowhere if it is none for ssh. COMPAT(buildkit): one without a target is called by its number among
/// those of the step.
pub(super) fn target(run: &RunOp, number: usize) -> Option<String> {
    let MountSpec::Ssh { target, .. } = &run.mounts.get(number)?.spec else {
        return None;
    };
    let before = run.mounts.iter().take(number);
    let default = || {
        let number = before.filter(|mount| is_ssh(&mount.spec)).count();
        format!("/run/buildkit/ssh_agent.{number}")
    };
    Some(target.clone().unwrap_or_else(default))
}

fn is_ssh(spec: &MountSpec) -> bool {
    matches!(spec, MountSpec::Ssh { .. })
}

/// `SSH_AUTH_SOCK` with the first socket, unless the image has one. COMPAT(buildkit): it is there even when the agent is not.
pub(super) fn variable(run: &RunOp) -> Option<(String, OsString)> {
    let first = run.mounts.iter().position(|mount| is_ssh(&mount.spec))?;
    let is_set = run.env.iter().any(|(name, _)| name == VARIABLE);
    let path = target(run, first).filter(|_| !is_set)?;
    Some((VARIABLE.to_owned(), path.into()))
}

/// The agent that a mount asks for; none when it is missing and may be.
pub(super) fn agent<'a>(
    agents: &'a Agents,
    id: &str,
    required: bool,
) -> Result<Option<&'a Arc<Agent>>, BuildError> {
    match agents.get(id) {
        None if required => Err(BuildError::NoAgent { id: id.to_owned() }),
        found => Ok(found),
    }
}

/// Puts a socket at its target and serves the agent there. `number` tells the sockets of a step apart.
pub(super) fn place(
    placer: &mut Placer<'_>,
    site: &Site,
    (id, number): (&str, usize),
    (agent, owner): (&Arc<Agent>, Owner),
) -> Result<Serving, BuildError> {
    let placing = failed(site.path());
    let serving = |operation| {
        let id = id.to_owned();
        move |source| {
            BuildError::Ssh(SshError::Serve {
                id,
                operation,
                source,
            })
        }
    };
    let area = placer.area(site).map_err(&placing)?;
    let name = format!("agent-{number}");
    let path = area.join(&name);
    let listener = bind(area, &name, owner).map_err(serving("make the socket"))?;
    let item = Item::Existing {
        path,
        returns: false,
    };
    placer.place(site, &item).map_err(&placing)?;
    Serving::start(listener, Arc::clone(agent)).map_err(serving("begin to listen"))
}

/// Makes a socket. The address of one holds 108 bytes, which a path may exceed: the directory is named by its descriptor.
fn bind(directory: &Path, name: &str, owner: Owner) -> io::Result<UnixListener> {
    let flags = (OFlags::PATH | OFlags::DIRECTORY).bits();
    let flags = i32::try_from(flags).map_err(io::Error::other)?;
    let holder: File = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(directory)?;
    let listener = UnixListener::bind(format!("/proc/self/fd/{}/{name}", holder.as_raw_fd()))?;
    let path = directory.join(name);
    lchown(
        &path,
        Some(owner.uid.unwrap_or(0)),
        Some(owner.gid.unwrap_or(0)),
    )?;
    std::fs::set_permissions(&path, Permissions::from_mode(owner.mode.unwrap_or(MODE)))?;
    Ok(listener)
}
