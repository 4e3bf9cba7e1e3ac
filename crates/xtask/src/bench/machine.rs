//! What the figures were taken on: nobody can read them without.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;

use kigumi_tests::{Lab, attempt};

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// Processors, memory, kernel, disk, and how busy it is now.
pub(super) fn state(lab: &Lab) -> String {
    let cpus = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let info = read("/proc/cpuinfo");
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let memory = read("/proc/meminfo");
    let memory = memory.lines().next().unwrap_or_default().to_owned();
    let load = read("/proc/loadavg");
    let load: Vec<&str> = load.split_whitespace().take(3).collect();
    format!(
        "{cpus} processors ({}), {}, Linux {}; the lab on {}; load average {}; {}",
        model
            .unwrap_or_default()
            .trim_start_matches([' ', '\t', ':']),
        memory
            .split_whitespace()
            .skip(1)
            .collect::<Vec<_>>()
            .join(" "),
        read("/proc/sys/kernel/osrelease").trim(),
        disk(lab).map_or_else(|| "an unknown filesystem".to_owned(), |disk| disk.shown()),
        load.join(" "),
        first_line(Command::new("date").args(["-u", "+%F %R UTC"])),
    )
}

/// Versions of everything that was measured or that measured.
pub(super) fn versions() -> String {
    let here = env!("CARGO_MANIFEST_DIR");
    let commit =
        first_line(Command::new("git").args(["-C", here, "describe", "--always", "--dirty"]));
    let executor = std::env::var("KIGUMI_EXECUTOR").map_or_else(
        |_| "built with the profile `lab`".to_owned(),
        |_| "the one that KIGUMI_EXECUTOR names".to_owned(),
    );
    let tools = ["buildah", "podman", "runc", "pigz", "curl", "tar"];
    let tools = tools.map(|tool| first_line(Command::new(tool).arg("--version")));
    format!("kigumi {commit}, executor {executor}; {}", tools.join("; "))
}

fn first_line(command: &mut Command) -> String {
    let said = attempt(command).map(|said| said.stdout + &said.stderr);
    let said = said.unwrap_or_default();
    said.lines().next().unwrap_or("(unknown)").to_owned()
}

/// A reason why figures from here mislead, for people to read before they wait for them.
pub(super) fn warning(lab: &Lab) -> Option<String> {
    let disk = disk(lab)?;
    (disk.kind == "ext4" && !disk.has_journal).then(|| {
        "warning: the lab lies on an ext4 without a journal. There a file is created several times slower shortly after others were deleted, and every \
         measurement deletes what the one before it made: who writes many files looks slow. docs/benchmarks.md says how to give the lab a disk of its own."
            .to_owned()
    })
}

/// A filesystem.
#[derive(Debug, PartialEq, Eq)]
struct Disk {
    kind: String,
    /// Of ext4; others keep their own.
    has_journal: bool,
}

impl Disk {
    fn shown(&self) -> String {
        let without = if self.kind == "ext4" && !self.has_journal {
            " without a journal"
        } else {
            ""
        };
        format!("{}{without}", self.kind)
    }
}

/// The filesystem that the lab lies on.
fn disk(lab: &Lab) -> Option<Disk> {
    let place = lab.temp_dir().ok()?;
    let device = fs::metadata(place.path()).ok()?.dev();
    let number = format!("{}:{}", major(device), minor(device));
    let kind = filesystem(&read("/proc/self/mountinfo"), &number)?;
    let device = fs::read_link(format!("/sys/dev/block/{number}")).ok();
    let device = device.as_deref().and_then(Path::file_name);
    let name = device.unwrap_or_default().to_string_lossy().into_owned();
    // jbd2 names its threads, and this directory, after the device and the inode of the journal.
    let journals = fs::read_dir("/proc/fs/jbd2")
        .into_iter()
        .flatten()
        .flatten();
    let has_journal = journals
        .filter_map(|entry| entry.file_name().into_string().ok())
        .any(|journal| is_journal_of(&journal, &name));
    Some(Disk { kind, has_journal })
}

/// Type of the filesystem with this device number, by proc(5) `mountinfo`.
fn filesystem(mounts: &str, number: &str) -> Option<String> {
    let line = mounts
        .lines()
        .find(|line| line.split(' ').nth(2) == Some(number))?;
    let (_, kind) = line.split_once(" - ")?;
    kind.split(' ').next().map(str::to_owned)
}

fn is_journal_of(journal: &str, device: &str) -> bool {
    journal
        .strip_prefix(device)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// makedev(3), as glibc packs it.
const fn major(device: u64) -> u64 {
    ((device >> 32) & 0xffff_f000) | ((device >> 8) & 0xfff)
}

const fn minor(device: u64) -> u64 {
    ((device >> 12) & 0xffff_ff00) | (device & 0xff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filesystem_is_found_by_its_device() {
        let mounts = "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n31 23 0:29 / /sys rw shared:1 - tmpfs tmpfs rw\n";
        assert_eq!(filesystem(mounts, "254:0").as_deref(), Some("ext4"));
        assert_eq!(filesystem(mounts, "0:29").as_deref(), Some("tmpfs"));
        assert_eq!(filesystem(mounts, "0:2"), None);
    }

    #[test]
    fn a_journal_is_that_of_its_device_only() {
        assert!(is_journal_of("loop1-8", "loop1"));
        assert!(!is_journal_of("loop10-8", "loop1"));
        assert!(!is_journal_of("dm-1-8", "vda"));
    }

    #[test]
    fn numbers_of_devices_are_taken_apart_as_the_kernel_writes_them() {
        assert_eq!((major(0xfe00), minor(0xfe00)), (254, 0));
        assert_eq!((major(0x0701), minor(0x0701)), (7, 1));
    }
}
