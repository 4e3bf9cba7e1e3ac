//! Running tests: everything once, in order of cost, with one summary at the end.

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead as _, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use kigumi_tests::Lab;
use kigumi_tests::lab::{build_executor, ensure_prerequisites};

use crate::cargo::{cargo, shown, workspace};
use crate::summary::{Counts, Entry, Reader, Summary};

/// The container tests, cheap ones first, with the number of tests that run at once.
const CONTAINER_TESTS: &[(&str, u32)] = &[
    ("lab", 2),
    ("conformance_tools", 2),
    ("lint", 2),
    ("interlock", 2),
    ("differential", 2),
    ("conformance", 1),
    ("conformance_cached", 1),
    ("self_build", 1),
    ("container", 2),
    ("contexts", 2),
    ("platforms", 2),
    ("programs", 2),
    ("counters", 2),
    ("kill", 1),
    ("large", 1),
];

/// Crates whose tests need neither root nor network nor a file.
const PURE: &[&str] = &[
    "kigumi-oci",
    "kigumi-dockerfile",
    "kigumi-plan",
    "kigumi-layer",
];

/// How long the last words of tests that have ended are waited for.
const FAREWELL: Duration = Duration::from_secs(10);

pub(crate) fn unit(_arguments: &[String]) -> Result<()> {
    let mut command = cargo(["test", "--no-fail-fast"]);
    for name in PURE {
        command.args(["--package", name]);
    }
    let mut summary = Summary::default();
    summary.add(run("pure crates", &mut command));
    conclude(&summary)
}

/// All tests, or the container tests that the arguments name.
pub(crate) fn all(arguments: &[String]) -> Result<()> {
    ensure_nothing_is_forgotten()?;
    let wanted = wanted(arguments)?;
    ensure_prerequisites()?;
    println!("== building the static executor");
    let executor = build_executor()?;
    println!("== starting the lab: {}", Lab::up()?);
    let summary = run_all(arguments.is_empty(), &wanted, &executor);
    let stopped = Lab::down();
    if let Ok(stopped) = &stopped {
        println!("== stopping the lab: {stopped}");
    }
    // Whatever becomes of the lab: this is what everybody waits for.
    conclude(&summary)?;
    stopped.map(drop)
}

fn run_all(with_crates: bool, wanted: &[(&str, u32)], executor: &Path) -> Summary {
    let mut summary = Summary::default();
    if with_crates {
        let arguments = [
            "test",
            "--workspace",
            "--exclude",
            "kigumi-tests",
            "--no-fail-fast",
        ];
        summary.add(run("crates", &mut cargo(arguments)));
    }
    for (name, threads) in wanted {
        let threads = format!("--test-threads={threads}");
        let mut command = cargo(["test", "--package", "kigumi-tests", "--test", name]);
        command.args(["--", "--show-output", &threads]);
        command.env("KIGUMI_EXECUTOR", executor);
        // The chain of an error says enough; a backtrace of the harness hides it.
        command.env("RUST_BACKTRACE", "0");
        summary.add(run(name, &mut command));
    }
    summary
}

/// The summary is the last thing said, in success and in failure.
fn conclude(summary: &Summary) -> Result<()> {
    let Counts {
        passed,
        failed,
        ignored,
    } = summary.totals();
    if failed == 0 && ignored == 0 && passed > 0 {
        println!("\n== summary\n{summary}");
        return Ok(());
    }
    let reason = if failed > 0 {
        "tests failed"
    } else if passed == 0 {
        "no test ran"
    } else {
        "tests were skipped; a test runs or does not exist"
    };
    bail!("{reason}\n{summary}")
}

fn wanted(arguments: &[String]) -> Result<Vec<(&'static str, u32)>> {
    if arguments.is_empty() {
        return Ok(CONTAINER_TESTS.to_vec());
    }
    let find = |name: &String| {
        let found = CONTAINER_TESTS
            .iter()
            .find(|(known, _)| known == name)
            .copied();
        found.with_context(|| format!("no container test is called `{name}`"))
    };
    arguments.iter().map(find).collect()
}

/// A new test target that nobody put into the table would never run.
fn ensure_nothing_is_forgotten() -> Result<()> {
    for entry in fs::read_dir(workspace().join("tests/tests")).context("list test targets")? {
        let path = entry?.path();
        let name = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if !CONTAINER_TESTS.iter().any(|(known, _)| *known == name) {
            bail!("tests/tests/{name} is not in the table of `cargo xtask test`");
        }
    }
    Ok(())
}

/// Runs one `cargo test`. What keeps it from running is a failure like any other: the next ones run, and the summary tells.
fn run(name: &str, command: &mut Command) -> Entry {
    let line = shown(command);
    println!("\n== {name}: {line}");
    let start = Instant::now();
    let mut reader = Reader::default();
    if let Err(error) = run_and_read(command, &line, &mut reader) {
        reader.add(&line, [format!("{error:#}")]);
    }
    Entry {
        name: name.to_owned(),
        counts: reader.counts,
        elapsed: start.elapsed(),
        failures: reader.failures,
    }
}

/// Shows the output of a command as it comes and reads the results in it.
fn run_and_read(command: &mut Command, line: &str, reader: &mut Reader) -> Result<()> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("start it")?;
    let errors = child.stderr.take().context("its errors")?;
    let (heard, ended) = hear(errors);
    let output = child.stdout.take().context("its output")?;
    each_line(output, |text| {
        println!("{text}");
        reader.read(&text);
    })?;
    let status = child.wait().context("wait for it")?;
    // Whoever was left behind by a test may hold the other end open for ever.
    let _left_behind = ended.recv_timeout(FAREWELL);
    let mut errors = heard.lock().unwrap_or_else(PoisonError::into_inner);
    // It does not compile, or a test program ended before it could say what became of its tests.
    let is_broken =
        reader.counts.failed == 0 || errors.iter().any(|text| text.contains("(signal: "));
    if !status.success() && is_broken {
        reader.add(&format!("{line}: {status}"), errors.drain(..));
    }
    Ok(())
}

/// Shows what comes and keeps the last of it; the channel tells its end.
fn hear(pipe: impl Read + Send + 'static) -> (Arc<Mutex<VecDeque<String>>>, Receiver<()>) {
    const LINES: usize = 200;
    let last = Arc::new(Mutex::new(VecDeque::new()));
    let (own, (end, ended)) = (Arc::clone(&last), mpsc::channel());
    let keep = move |text: String| {
        let mut last = own.lock().unwrap_or_else(PoisonError::into_inner);
        if last.len() == LINES {
            last.pop_front();
        }
        last.push_back(text);
    };
    thread::spawn(move || {
        let shown = each_line(pipe, |text| {
            eprintln!("{text}");
            keep(text);
        });
        if let Err(error) = shown {
            keep(format!("{error:#}"));
        }
        // Nobody waits any more for one that came too late.
        end.send(()).ok();
    });
    (last, ended)
}

/// Whatever the tests print is shown, also what is no text.
fn each_line(pipe: impl Read, mut take: impl FnMut(String)) -> Result<()> {
    let mut pipe = BufReader::new(pipe);
    let mut line = Vec::new();
    while pipe
        .read_until(b'\n', &mut line)
        .context("read cargo's output")?
        > 0
    {
        let text = String::from_utf8_lossy(&line);
        take(text.trim_end_matches(['\n', '\r']).to_owned());
        line.clear();
    }
    Ok(())
}
