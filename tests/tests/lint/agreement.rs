//! The ids that hadolint and kigumi share: the same findings on the same lines, and the same levels.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use kigumi_tests::lab::hadolint;
use serde_json::Value;

use crate::{dockerfiles, executor, run};

/// An id and a line, with the level.
type Findings = BTreeMap<(String, u64), String>;

/// What both say about one file. `None`: the file is not understood.
#[derive(Default)]
struct Opinions {
    theirs: Option<Findings>,
    ours: Option<Findings>,
}

/// Every disagreement, with its reason: `FILE ID LINE (only hadolint|only kigumi)  reason`.
const EXPLAINED: &str = include_str!("../../lint/disagreements.txt");

#[test]
fn ninety_nine_of_a_hundred_findings_are_shared_and_every_other_is_explained() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let files = dockerfiles::all()?;
    for (name, text) in &files {
        fs::write(directory.path().join(name), text)?;
    }
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    let shared = shared_ids(directory.path())?;
    let mut opinions: BTreeMap<&str, Opinions> = BTreeMap::new();
    let mut ours = ask_executor(directory.path(), &names)?;
    for name in &names {
        let opinion = opinions.entry(name).or_default();
        opinion.ours = ours.remove(*name).flatten();
        opinion.theirs = ask_hadolint(directory.path(), name, &shared)?;
    }
    let comparison = Comparison::of(&opinions);
    println!("{comparison}");
    comparison.judge()
}

/// What the executor's own page calls by hadolint's ids.
fn shared_ids(directory: &Path) -> Result<BTreeSet<String>> {
    let page = executor(directory, &["lint", "--rules"])?.stdout;
    let headings = page.lines().filter_map(|line| line.strip_prefix("### DL"));
    let ids: BTreeSet<String> = headings.map(|number| format!("DL{number}")).collect();
    ensure!(ids.len() > 30, "the page has {} ids", ids.len());
    // An error here, and therefore no rule with a page.
    Ok(ids.into_iter().chain(["DL3061".to_owned()]).collect())
}

fn ask_executor(directory: &Path, names: &[&str]) -> Result<BTreeMap<String, Option<Findings>>> {
    let mut words = vec!["lint", "--offline", "--format=sarif", "--lint-rule=all"];
    words.extend(names);
    let output = executor(directory, &words)?;
    let log: Value = serde_json::from_str(&output.stdout).with_context(|| output.stderr.clone())?;
    let mut found: BTreeMap<String, Option<Findings>> = names
        .iter()
        .map(|name| ((*name).to_owned(), Some(Findings::new())))
        .collect();
    let results = log
        .pointer("/runs/0/results")
        .and_then(Value::as_array)
        .context("no results")?;
    let mut mistaken = BTreeSet::new();
    for result in results {
        let text = |path: &str| {
            result
                .pointer(path)
                .and_then(Value::as_str)
                .context("a field is missing")
        };
        let name = text("/locations/0/physicalLocation/artifactLocation/uri")?;
        let entry = found.get_mut(name).context("a file that nobody named")?;
        let id = text("/ruleId")?.to_owned();
        // Mistakes are results without a rule. A file that cannot be read has nothing else; one that can be read and not
        // be built has findings too.
        if result.get("ruleIndex").is_none() && !id.starts_with("DL") {
            mistaken.insert(name.to_owned());
        } else if let Some(findings) = entry
            && id.starts_with("DL")
        {
            let line = result.pointer("/locations/0/physicalLocation/region/startLine");
            let line = line.and_then(Value::as_u64).context("no line")?;
            let level = text("/level")?.to_owned();
            findings.insert((id, line), level);
        }
    }
    for name in mistaken {
        let is_empty =
            |findings: &Option<Findings>| findings.as_ref().is_some_and(BTreeMap::is_empty);
        if found.get(&name).is_some_and(is_empty) {
            found.insert(name, None);
        }
    }
    Ok(found)
}

/// `None` if hadolint does not understand the file, or crashes.
fn ask_hadolint(
    directory: &Path,
    name: &str,
    shared: &BTreeSet<String>,
) -> Result<Option<Findings>> {
    let mut command = Command::new(hadolint()?);
    command
        .args(["--format=json", "--no-fail", "--error=DL3057", name])
        .current_dir(directory)
        // No configuration of the machine.
        .env_clear()
        .env("HOME", directory)
        .env("LANG", "C.UTF-8");
    let output = run(&mut command)?;
    let Ok(Value::Array(found)) = serde_json::from_str(&output.stdout) else {
        return Ok(None);
    };
    let mut findings = Findings::new();
    for one in found {
        let text = |name: &str| one.get(name).and_then(Value::as_str);
        let id = text("code").context("no code")?.to_owned();
        if id == "DL1000" {
            return Ok(None);
        }
        let level = match text("level") {
            Some("info" | "style") => "note",
            Some(level) => level,
            None => "",
        };
        let line = one.get("line").and_then(Value::as_u64).context("no line")?;
        if shared.contains(&id) {
            findings.insert((id, line), level.to_owned());
        }
    }
    Ok(Some(findings))
}

#[derive(Default)]
struct Comparison {
    files: usize,
    not_understood_by_hadolint: usize,
    not_understood_by_kigumi: usize,
    agreed: usize,
    /// The same without DL3057, which fires on nearly every file.
    agreed_without_healthchecks: usize,
    disagreements: Vec<String>,
    levels: Vec<String>,
}

impl Comparison {
    fn of(opinions: &BTreeMap<&str, Opinions>) -> Self {
        let mut comparison = Self::default();
        for (name, opinion) in opinions {
            match (&opinion.theirs, &opinion.ours) {
                (None, _) => comparison.not_understood_by_hadolint += 1,
                (Some(_), None) => comparison.not_understood_by_kigumi += 1,
                (Some(theirs), Some(ours)) => comparison.add(name, theirs, ours),
            }
        }
        comparison
    }

    fn add(&mut self, name: &str, theirs: &Findings, ours: &Findings) {
        self.files += 1;
        for (place, level) in theirs {
            let (id, line) = place;
            match ours.get(place) {
                None => self
                    .disagreements
                    .push(format!("{name} {id} {line} only hadolint")),
                Some(own) => {
                    self.agreed += 1;
                    let is_healthcheck = id == "DL3057";
                    self.agreed_without_healthchecks += usize::from(!is_healthcheck);
                    // That one has no level of its own there.
                    if own != level && !is_healthcheck {
                        self.levels
                            .push(format!("{name} {id}: {own}, hadolint says {level}"));
                    }
                }
            }
        }
        for (id, line) in ours.keys().filter(|place| !theirs.contains_key(*place)) {
            self.disagreements
                .push(format!("{name} {id} {line} only kigumi"));
        }
    }

    fn judge(&self) -> Result<()> {
        ensure!(self.files > 900, "only {} files", self.files);
        ensure!(
            self.levels.is_empty(),
            "other levels:\n{}",
            self.levels.join("\n")
        );
        let explained: BTreeSet<&str> = EXPLAINED
            .lines()
            .filter(|line| !line.starts_with('#') && !line.is_empty())
            .filter_map(|line| line.split("  ").next())
            .collect();
        let found: BTreeSet<&str> = self.disagreements.iter().map(String::as_str).collect();
        let unexplained: Vec<_> = found.difference(&explained).collect();
        ensure!(
            unexplained.is_empty(),
            "not in tests/lint/disagreements.txt:\n{unexplained:#?}"
        );
        let stale: Vec<_> = explained.difference(&found).collect();
        ensure!(
            stale.is_empty(),
            "in tests/lint/disagreements.txt and no longer true:\n{stale:#?}"
        );
        for agreed in [self.agreed, self.agreed_without_healthchecks] {
            let all = agreed + self.disagreements.len();
            ensure!(
                agreed * 100 >= all * 99,
                "only {agreed} of {all} findings are shared"
            );
        }
        Ok(())
    }
}

impl std::fmt::Display for Comparison {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} files ({} not understood by hadolint, {} not by kigumi): {} findings shared ({} without DL3057), {} not",
            self.files,
            self.not_understood_by_hadolint,
            self.not_understood_by_kigumi,
            self.agreed,
            self.agreed_without_healthchecks,
            self.disagreements.len()
        )
    }
}
