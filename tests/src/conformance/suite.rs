//! All cases: loaded, built several at a time, judged, counted.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Context as _, Result, ensure};

use super::build::{Build, Prepared};
use super::cached::{Compared, Comparison, compare};
use super::case::Case;
use super::expect::Expected;
use super::judge::{Difference, judge};
use super::not_yet::{NotYet, is_refusal};

/// Where cases are: those that BuildKit was recorded with, and those of our own.
const HOMES: [&str; 2] = ["cases", "own"];

/// The cases of this repository.
#[derive(Debug)]
pub struct Suite {
    cases: Vec<(Case, Expected)>,
    not_yet: NotYet,
}

/// What became of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// As expected.
    Passed,
    /// Refused as the list of missing features says.
    Refused,
    /// Neither.
    Failed(Vec<String>),
}

/// What became of all of them.
#[derive(Debug, Default)]
pub struct Report {
    verdicts: BTreeMap<String, (String, Verdict)>,
}

/// Cases in which kigumi does what their `quirk` allows: what it does instead, as `deviations/CASE.json`.
struct Deviations {
    files: BTreeMap<String, PathBuf>,
    /// Where each of them has to be explained.
    page: String,
}

impl Deviations {
    fn find(root: &Path) -> Result<Self> {
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(root.join("deviations")).context("list the deviations")? {
            let path = entry?.path();
            let name = path
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            files.insert(name, path);
        }
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/deviations.md");
        let page = fs::read_to_string(page).context("read docs/deviations.md")?;
        Ok(Self { files, page })
    }

    fn of(&self, case: &Case) -> Result<Option<PathBuf>> {
        let Some(path) = self.files.get(&case.name) else {
            return Ok(None);
        };
        ensure!(
            case.quirk.is_some(),
            "{} may not deviate: it is no quirk",
            case.name
        );
        let explained = self.page.contains(&format!("`{}`", case.name));
        ensure!(
            explained,
            "docs/deviations.md does not explain `{}`",
            case.name
        );
        Ok(Some(path.clone()))
    }

    fn cases(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }
}

impl Suite {
    /// Reads all cases.
    pub fn load() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance");
        let not_yet = NotYet::load(&root.join("not-yet.txt"))?;
        let mut directories = Vec::new();
        for home in HOMES {
            for entry in fs::read_dir(root.join(home)).context("list the cases")? {
                directories.push(entry?.path());
            }
        }
        directories.sort();
        let deviations = Deviations::find(&root)?;
        let load = |path: &PathBuf| {
            let case = Case::load(path)?;
            let expected = deviations
                .of(&case)?
                .unwrap_or_else(|| path.join("expect.json"));
            Ok((case, Expected::load(&expected)?))
        };
        let cases: Vec<_> = directories.iter().map(load).collect::<Result<_>>()?;
        let names: BTreeSet<&str> = cases.iter().map(|(case, _)| case.name.as_str()).collect();
        ensure!(names.len() == cases.len(), "two cases have one name");
        for name in not_yet.cases().chain(deviations.cases()) {
            let known = cases.iter().any(|(case, _)| case.name == name);
            ensure!(known, "`{name}` is listed and is no case");
        }
        Ok(Self { cases, not_yet })
    }

    /// The Dockerfile of every case.
    pub fn dockerfiles(&self) -> Result<Vec<(String, Vec<u8>)>> {
        let cases = self.cases.iter();
        cases
            .map(|(case, _)| Ok((case.name.clone(), case.dockerfile()?)))
            .collect()
    }

    /// Builds the cases that the filter takes, several at a time.
    pub fn run(&self, threads: usize, how: Build<'_>, takes: impl Fn(&Case) -> bool) -> Report {
        let mut report = Report::default();
        let verdict = |case: &Case, expected: &Expected| {
            (case.section.clone(), self.verdict(case, expected, how))
        };
        report.verdicts = self.each(threads, takes, verdict);
        report
    }

    /// Builds the cases that the filter takes without a cache, with an empty one and with a full one, several at a time.
    pub fn compare(
        &self,
        threads: usize,
        how: Build<'_>,
        takes: impl Fn(&Case) -> bool,
    ) -> Comparison {
        let work = |case: &Case, _: &Expected| {
            let compared = compare(case, how);
            compared.unwrap_or_else(|error| Compared::Differs(format!("broken: {error:#}")))
        };
        Comparison {
            cases: self.each(threads, takes, work),
        }
    }

    /// Does something with the cases that the filter takes, several at a time, and gives what came of it by their names.
    fn each<T: Send>(
        &self,
        threads: usize,
        takes: impl Fn(&Case) -> bool,
        work: impl Fn(&Case, &Expected) -> T + Sync,
    ) -> BTreeMap<String, T> {
        let queue: VecDeque<_> = self.cases.iter().filter(|(case, _)| takes(case)).collect();
        let queue = Mutex::new(queue);
        let results = Mutex::new(BTreeMap::new());
        let next = || {
            queue
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pop_front()
        };
        let work = || {
            while let Some((case, expected)) = next() {
                let result = work(case, expected);
                let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
                results.insert(case.name.clone(), result);
            }
        };
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(work);
            }
        });
        results.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// A case and what is expected of it.
    pub fn case(&self, name: &str) -> Result<&(Case, Expected)> {
        let found = self.cases.iter().find(|(case, _)| case.name == name);
        found.with_context(|| format!("no case is called `{name}`"))
    }

    fn verdict(&self, case: &Case, expected: &Expected, how: Build<'_>) -> Verdict {
        let judged = self.try_case(case, expected, how);
        judged.unwrap_or_else(|error| Verdict::Failed(vec![format!("broken: {error:#}")]))
    }

    fn try_case(&self, case: &Case, expected: &Expected, how: Build<'_>) -> Result<Verdict> {
        let prepared = Prepared::make(case, how).context("prepare")?;
        let finished = prepared.build(case, how)?;
        let complaint = finished.complaint();
        if let Some(refusal) = self.not_yet.refusal(&case.name) {
            if finished.code != 0 && refusal.is_in(&complaint) {
                return Ok(Verdict::Refused);
            }
            let text = format!(
                "listed in not-yet.txt, but: exit code {}: {complaint}",
                finished.code
            );
            return Ok(Verdict::Failed(vec![text]));
        }
        if finished.code != 0 && finished.errors().all(is_refusal) {
            let text = format!("refused, and not listed in not-yet.txt: {complaint}");
            return Ok(Verdict::Failed(vec![text]));
        }
        let differences = judge(case, expected, &finished, &prepared.images).context("judge")?;
        Ok(if differences.is_empty() {
            Verdict::Passed
        } else {
            Verdict::Failed(differences.iter().map(Difference::to_string).collect())
        })
    }
}

impl Report {
    /// The number of failures.
    pub fn failures(&self) -> usize {
        self.verdicts
            .values()
            .filter(|(_, verdict)| matches!(verdict, Verdict::Failed(_)))
            .count()
    }

    /// The number of cases.
    pub fn total(&self) -> usize {
        self.verdicts.len()
    }
}

impl fmt::Display for Report {
    /// A line for each failure, then a line for each group.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, (_, verdict)) in &self.verdicts {
            if let Verdict::Failed(reasons) = verdict {
                writeln!(formatter, "FAILED {name}: {}", reasons.join("; "))?;
            }
        }
        let mut groups: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
        for (section, verdict) in self.verdicts.values() {
            let [passed, refused, failed] = groups.entry(section).or_default();
            match verdict {
                Verdict::Passed => *passed += 1,
                Verdict::Refused => *refused += 1,
                Verdict::Failed(_) => *failed += 1,
            }
        }
        let mut all = [0; 3];
        for (section, counts) in &groups {
            line(formatter, section, *counts)?;
            for (sum, count) in all.iter_mut().zip(counts) {
                *sum += count;
            }
        }
        line(formatter, "all", all)
    }
}

fn line(formatter: &mut fmt::Formatter<'_>, name: &str, counts: [usize; 3]) -> fmt::Result {
    let [passed, refused, failed] = counts;
    writeln!(
        formatter,
        "{name:24} {passed:4} passed {refused:4} not yet {failed:4} failed"
    )
}
