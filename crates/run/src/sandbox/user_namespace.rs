//! Becoming root of a user namespace.

use super::id_map::{Range, arguments, ranges, user_name};
use crate::Error;
use crate::sys::fork::fork_single_threaded;
use crate::sys::unshare::unshare;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{WaitOptions, getegid, geteuid, getpid, waitpid};
use rustix::thread::UnshareFlags;
use std::fs;
use std::io::{self, Read};
use std::process::Command;

/// How the helper ended: all ids are mapped.
const MAPPED: i32 = 0;
/// Nothing was mapped.
const REFUSED: i32 = 1;
/// User ids are mapped, group ids are not: no way back.
const HALF: i32 = 2;

/// Moves this process, which must have one thread, into a new user namespace whose root it is.
pub(super) fn enter() -> Result<(), Error> {
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    let fail = |what: &str| {
        let what = what.to_owned();
        move |source: io::Error| Error::Sandbox { what, source }
    };
    let passwd = read_or_empty("/etc/passwd");
    let name = user_name(&passwd, uid);
    let uids = ranges(&read_or_empty("/etc/subuid"), name, uid);
    let gids = ranges(&read_or_empty("/etc/subgid"), name, uid);
    if uids.is_empty() || gids.is_empty() {
        new_namespace()?;
        return map_single(uid, gid);
    }
    // The helper stays outside: only there may a set-user-id program write our map.
    let (wait, ready) =
        pipe_with(PipeFlags::CLOEXEC).map_err(|errno| fail("make a pipe")(errno.into()))?;
    let target = getpid().as_raw_nonzero().get().unsigned_abs();
    let maps = [("newuidmap", uid, uids), ("newgidmap", gid, gids)];
    let helper = fork_single_threaded(|| {
        let mut byte = [0];
        match io::Read::read(&mut fs::File::from(wait), &mut byte) {
            Ok(1) => map_by_helpers(target, &maps),
            // The parent gave up.
            _ => REFUSED,
        }
    })
    .map_err(fail("start the helper that maps ids"))?;
    new_namespace()?;
    rustix::io::write(&ready, &[1]).map_err(|errno| fail("start mapping ids")(errno.into()))?;
    let status = waitpid(Some(helper), WaitOptions::empty())
        .map_err(|errno| fail("wait for the helper that maps ids")(errno.into()))?;
    match status.and_then(|(_, status)| status.exit_status()) {
        Some(MAPPED) => Ok(()),
        Some(REFUSED) => {
            tracing::warn!("newuidmap refused: only root's id exists in the sandbox");
            map_single(uid, gid)
        }
        _ => Err(fail("map group ids with newgidmap")(
            io::ErrorKind::PermissionDenied.into(),
        )),
    }
}

fn new_namespace() -> Result<(), Error> {
    unshare(UnshareFlags::NEWUSER).map_err(|errno| Error::UserNamespace {
        source: errno.into(),
    })
}

fn map_by_helpers(target: u32, maps: &[(&str, u32, Vec<Range>)]) -> i32 {
    for (done, (program, own, ranges)) in maps.iter().enumerate() {
        let status = Command::new(program)
            .args(arguments(target, *own, ranges))
            .status();
        if !status.is_ok_and(|status| status.success()) {
            return if done == 0 { REFUSED } else { HALF };
        }
    }
    MAPPED
}

/// Only root inside, who is the user outside. The kernel wants changing groups given up first.
fn map_single(uid: u32, gid: u32) -> Result<(), Error> {
    let files = [
        ("/proc/self/setgroups", "deny".to_owned()),
        ("/proc/self/uid_map", format!("0 {uid} 1")),
        ("/proc/self/gid_map", format!("0 {gid} 1")),
    ];
    for (path, text) in files {
        let what = format!("write `{path}`");
        fs::write(path, text).map_err(|source| Error::Sandbox { what, source })?;
    }
    Ok(())
}

/// What is missing or not text grants nothing.
fn read_or_empty(path: &str) -> String {
    let mut bytes = Vec::new();
    match fs::File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)) {
        Ok(_) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => {
            tracing::debug!(path, %error, "ids");
            String::new()
        }
    }
}
