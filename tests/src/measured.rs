//! What a command costs: wall time, processor time, memory.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Seek as _};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::pod::anonymous_bytes;
use crate::tool;

/// How often the processes are looked at.
const TICK: Duration = Duration::from_millis(50);

/// The cost of something that has ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Measured {
    /// From start to end.
    pub elapsed: Duration,
    /// Processor time of it and of all that it started and waited for.
    pub cpu: Duration,
    /// Peak anonymous memory of all its processes together, sampled.
    pub memory: u64,
}

impl Measured {
    /// This, and then that.
    #[must_use]
    pub fn then(self, next: Self) -> Self {
        Self {
            elapsed: self.elapsed + next.elapsed,
            cpu: self.cpu + next.cpu,
            memory: self.memory.max(next.memory),
        }
    }
}

/// Runs a command to its successful end.
pub fn run_measured(command: &mut Command) -> Result<Measured> {
    let mut said = tempfile::tempfile().context("a file for what a command says")?;
    command.stdin(Stdio::null());
    command.stdout(said.try_clone()?).stderr(said.try_clone()?);
    let line = tool::shown(command);
    let started = Instant::now();
    let mut child = command.spawn().with_context(|| format!("start `{line}`"))?;
    let mut memory = 0;
    let mut cpu = Duration::ZERO;
    let status = loop {
        let (bytes, time) = of_tree(child.id());
        memory = memory.max(bytes);
        cpu = cpu.max(time);
        if let Some(status) = child
            .try_wait()
            .with_context(|| format!("wait for `{line}`"))?
        {
            break status;
        }
        thread::sleep(TICK);
    };
    if !status.success() {
        let mut text = String::new();
        said.rewind().context("read what a command says")?;
        said.read_to_string(&mut text)
            .context("read what a command says")?;
        bail!("`{line}`: {status}\n{}", tool::tail(&text));
    }
    Ok(Measured {
        elapsed: started.elapsed(),
        cpu,
        memory,
    })
}

/// Anonymous memory and processor time of a process and its descendants. Time of those that were waited for is in that of their parents.
fn of_tree(root: u32) -> (u64, Duration) {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    let mut times: BTreeMap<u32, u64> = BTreeMap::new();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    for entry in entries {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // The name in parentheses may hold anything.
        let Some((_, fields)) = stat.rsplit_once(')') else {
            continue;
        };
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let number = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok());
        let parent = number(1).and_then(|parent| u32::try_from(parent).ok());
        children.entry(parent.unwrap_or(0)).or_default().push(pid);
        // proc(5): utime, stime, cutime, cstime.
        times.insert(pid, (11..=14).filter_map(number).sum());
    }
    let mut pending = vec![root];
    let (mut memory, mut ticks) = (0, 0);
    while let Some(pid) = pending.pop() {
        memory += i32::try_from(pid).map_or(0, anonymous_bytes);
        ticks += times.get(&pid).copied().unwrap_or(0);
        pending.extend(children.get(&pid).into_iter().flatten());
    }
    // A tick of this clock is 10 ms on every Linux.
    (memory, Duration::from_millis(ticks * 10))
}
