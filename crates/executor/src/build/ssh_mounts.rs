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

use crate::error::BuildError;
use crate::ssh::{Agent, Agents, Serving, SshError};

/// Permissions of a socket without `mode=`. Dockerfile reference § RUN --mount=type=ssh.
const MODE: u32 = 0o600;

/// What clients look for their agent by.
pub(crate) const VARIABLE: &str = "SSH_AUTH_SOCK";

/// A `--mount=type=ssh` with all its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted<'a> {
    pub(crate) id: &'a str,
    pub(crate) target: String,
    pub(crate) required: bool,
    pub(crate) owner: Owner,
}

/// The ssh mounts of a step, in order. COMPAT(buildkit): one without a target is called by its number among them.
pub(crate) fn wanted(run: &RunOp) -> Vec<Wanted<'_>> {
    let mut all = Vec::new();
    for mount in &run.mounts {
        let MountSpec::Ssh {
            id,
            target,
            required,
            owner,
        } = &mount.spec
        else {
            continue;
        };
        let number = all.len();
        let default = || format!("/run/buildkit/ssh_agent.{number}");
        all.push(Wanted {
            id,
            target: target.clone().unwrap_or_else(default),
            required: *required,
            owner: *owner,
        });
    }
    all
}

/// `SSH_AUTH_SOCK`, unless the image has one. COMPAT(buildkit): it is there even when the agent is not.
pub(crate) fn variable(run: &RunOp) -> Option<(String, OsString)> {
    let first = wanted(run).into_iter().next()?;
    let is_set = run.env.iter().any(|(name, _)| name == VARIABLE);
    (!is_set).then(|| (VARIABLE.to_owned(), first.target.into()))
}

/// The agent that a mount asks for; none when it is missing and may be.
pub(crate) fn agent<'a>(
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
pub(crate) fn place(
    placer: &mut Placer<'_>,
    site: &Site,
    (id, number): (&str, usize),
    agent: &Arc<Agent>,
    owner: Owner,
) -> Result<Serving, BuildError> {
    let placing = |source| BuildError::PlaceGrant {
        what: "ssh agent",
        id: id.to_owned(),
        source: Box::new(source),
    };
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
    let area = placer.area(site).map_err(placing)?;
    let name = format!("agent-{number}");
    let path = area.join(&name);
    let listener = bind(area, &name, owner).map_err(serving("make the socket"))?;
    let item = Item::Existing {
        path,
        returns: false,
    };
    placer.place(site, &item).map_err(placing)?;
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
