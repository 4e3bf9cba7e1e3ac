//! Processes as `/proc` shows them.

use rustix::process::Pid;
use std::io;

/// One process, from `/proc/PID/stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) parent: i32,
    pub(crate) session: i32,
}

/// All processes that `/proc` shows now; those that vanish meanwhile are left out.
pub(crate) fn all() -> io::Result<Vec<Process>> {
    let mut processes = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        processes.extend(read(pid)?);
    }
    Ok(processes)
}

/// One process; `None` when there is none.
pub(crate) fn read(pid: i32) -> io::Result<Option<Process>> {
    match std::fs::read(format!("/proc/{pid}/stat")) {
        Ok(stat) => Ok(parse(&stat)),
        Err(error) if vanished(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The direct children of this process from the kernel's own list: quick, but not always
/// complete while processes exit. `None` where the kernel has no such list
/// (`CONFIG_PROC_CHILDREN`, gVisor).
pub(crate) fn own_children() -> io::Result<Option<Vec<Pid>>> {
    let mut children = Vec::new();
    for task in std::fs::read_dir("/proc/self/task")? {
        match std::fs::read_to_string(task?.path().join("children")) {
            Ok(list) => {
                let numbers = list
                    .split_ascii_whitespace()
                    .filter_map(|word| word.parse().ok());
                children.extend(numbers.filter_map(Pid::from_raw));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // A thread that has ended leaves no directory; a kernel without the list keeps it.
                return Ok(None);
            }
            Err(error) if vanished(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Some(children))
}

fn vanished(error: &io::Error) -> bool {
    let gone = [libc::ENOENT, libc::ESRCH];
    error
        .raw_os_error()
        .is_some_and(|errno| gone.contains(&errno))
}

/// `pid (name) state ppid pgrp session …`; the name may hold anything, parentheses and line ends
/// included, so the fields are counted from the last `)`.
fn parse(stat: &[u8]) -> Option<Process> {
    let text = String::from_utf8_lossy(stat);
    let (head, tail) = text.rsplit_once(')')?;
    let (pid, _name) = head.split_once('(')?;
    let mut fields = tail.split_ascii_whitespace();
    let _state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    let _group = fields.next()?;
    let session = fields.next()?.parse().ok()?;
    Some(Process {
        pid: pid.trim().parse().ok()?,
        parent,
        session,
    })
}

/// The descendants of `roots`, parents before children.
pub(crate) fn descendants(all: &[Process], roots: &[i32]) -> Vec<Process> {
    let mut found: Vec<Process> = Vec::new();
    let mut front: Vec<i32> = roots.to_vec();
    while !front.is_empty() {
        let next: Vec<Process> = all
            .iter()
            .filter(|process| front.contains(&process.parent))
            .filter(|process| !found.contains(process))
            .copied()
            .collect();
        front = next.iter().map(|process| process.pid).collect();
        found.extend(next);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: i32, parent: i32) -> Process {
        Process {
            pid,
            parent,
            session: 1,
        }
    }

    #[test]
    fn a_process_name_may_hold_anything() {
        let stat = b"7 (a) S 9 9 9\n(b) S 5 6 4 0 -1 1";
        assert_eq!(
            parse(stat),
            Some(Process {
                pid: 7,
                parent: 5,
                session: 4
            })
        );
        assert_eq!(parse(b"7 (a) S"), None);
        assert_eq!(parse(b""), None);
    }

    #[test]
    fn descendants_are_found_at_any_depth_and_others_are_not() {
        let all = [
            process(4, 3),
            process(3, 2),
            process(2, 1),
            process(9, 1),
            process(5, 2),
        ];
        let found: Vec<i32> = descendants(&all, &[2])
            .iter()
            .map(|found| found.pid)
            .collect();
        assert_eq!(found, [3, 5, 4]);
    }

    #[test]
    fn we_see_ourselves_with_our_parent() {
        let own = rustix::process::getpid().as_raw_nonzero().get();
        let parent = rustix::process::getppid().map_or(0, |pid| pid.as_raw_nonzero().get());
        let found = all()
            .unwrap()
            .into_iter()
            .find(|process| process.pid == own)
            .unwrap();
        assert_eq!(found.parent, parent);
    }
}
