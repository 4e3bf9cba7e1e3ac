//! The executor does without huge pages, and what it runs does not notice. Alone in its process: the setting is the whole process's.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panic")]

use kigumi_run::{Cancel, Exit, InPlace, ProcessSpec, Runner, Stream, avoid_huge_pages};

fn of_run() -> String {
    let mut spec = ProcessSpec::new(["/bin/sh", "-c", "grep THP_enabled /proc/self/status"]);
    spec.env.push(("PATH".into(), "/usr/bin:/bin".into()));
    let mut text = String::new();
    let mut output = |_: Stream, bytes: &[u8]| text.push_str(&String::from_utf8_lossy(bytes));
    let cancel = Cancel::new(Cancel::DEFAULT_GRACE).unwrap();
    let exit = InPlace.run(&spec, &mut output, &cancel).unwrap();
    assert_eq!(exit, Exit::Code(0));
    text
}

fn of_us() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("THP_enabled"));
    format!("{}\n", line.unwrap())
}

#[test]
fn a_run_has_the_pages_that_we_were_started_with_and_we_have_small_ones() {
    let given = of_us();
    avoid_huge_pages();
    assert_eq!(of_us(), "THP_enabled:\t0\n");
    assert_eq!(of_run(), given);
    // A second time changes nothing: what was given is still known.
    avoid_huge_pages();
    assert_eq!(of_run(), given);
}
