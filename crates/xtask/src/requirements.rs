//! Every statement about correct behaviour has a test, or a reason why it has none.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::cargo::workspace;

const LIST: &str = "docs/requirements.txt";
const DEVIATIONS: &str = "docs/deviations.md";
const STATEMENTS: &str = "tests/conformance/statements.txt";
const CASES: &str = "tests/conformance/cases";

pub(crate) fn run(_arguments: &[String]) -> Result<()> {
    let told = check(&workspace())?;
    println!("{told}");
    Ok(())
}

/// What [`LIST`] says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Required {
    all: BTreeSet<String>,
    pending: BTreeSet<String>,
}

fn check(root: &Path) -> Result<String> {
    let read =
        |name: &str| fs::read_to_string(root.join(name)).with_context(|| format!("read {name}"));
    let required = required(&read(LIST)?)?;
    let statements = read(STATEMENTS)?;
    let pinned = pinned(&statements);
    let mut faults = Vec::new();
    for (id, cases) in &pinned {
        let missing = cases
            .iter()
            .filter(|case| !root.join(CASES).join(case).is_dir());
        faults.extend(missing.map(|case| format!("{STATEMENTS}: {id}: no case `{case}`")));
    }
    let mut tested: BTreeSet<String> = pinned.into_keys().collect();
    for directory in ["crates", "tests/src", "tests/tests"] {
        collect(root, &root.join(directory), &mut tested)?;
    }
    let explained = ids(&read(DEVIATIONS)?);
    faults.extend(compare(&required, &tested, &explained));
    if faults.is_empty() {
        return Ok(format!(
            "requirements: {} statements, {} of them in tests, {} pending",
            required.all.len(),
            required.all.intersection(&tested).count(),
            required.pending.len()
        ));
    }
    bail!(
        "statements and tests do not agree:\n  {}",
        faults.join("\n  ")
    )
}

fn compare(
    required: &Required,
    tested: &BTreeSet<String>,
    explained: &BTreeSet<String>,
) -> Vec<String> {
    let groups: BTreeSet<&str> = required.all.iter().map(|id| group(id)).collect();
    let mut faults = Vec::new();
    for id in &required.all {
        match (required.pending.contains(id), tested.contains(id)) {
            (true, true) => faults.push(format!("{id} has a test: it is not pending any more")),
            (false, false) if !explained.contains(id) => faults.push(format!(
                "{id} has neither a test that cites it nor a reason in {DEVIATIONS}"
            )),
            _ => {}
        }
    }
    let unknown = tested.union(explained).chain(&required.pending);
    let unknown = unknown.filter(|id| groups.contains(group(id)) && !required.all.contains(*id));
    faults.extend(unknown.map(|id| format!("{id} is cited and there is no such statement")));
    faults
}

fn group(id: &str) -> &str {
    id.rsplit_once('-').map_or(id, |(group, _)| group)
}

/// `GROUP COUNT words`, and `pending ID words`.
fn required(text: &str) -> Result<Required> {
    let mut required = Required::default();
    for line in lines(text) {
        let mut words = line.split_whitespace();
        let (first, second) = (words.next(), words.next());
        let (Some(first), Some(second)) = (first, second) else {
            bail!("{LIST}: `{line}` says too little");
        };
        if first == "pending" {
            required.pending.insert(second.to_owned());
            continue;
        }
        let count: u32 = second
            .parse()
            .with_context(|| format!("{LIST}: `{line}`"))?;
        let numbered = (1..=count).map(|number| format!("{first}-{number:02}"));
        required.all.extend(numbered);
    }
    Ok(required)
}

fn pinned(text: &str) -> BTreeMap<String, Vec<&str>> {
    lines(text)
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            Some((words.next()?.to_owned(), words.collect()))
        })
        .collect()
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// What the tests below a directory cite.
fn collect(root: &Path, directory: &Path, cited: &mut BTreeSet<String>) -> Result<()> {
    let entries =
        fs::read_dir(directory).with_context(|| format!("list {}", directory.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            collect(root, &path, cited)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text =
                fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
            let name = path.strip_prefix(root).unwrap_or(&path);
            cited.extend(ids(test_part(name, &text)));
        }
    }
    Ok(())
}

/// Where tests are: a comment of the product that names a statement is no test of it.
fn test_part<'a>(path: &Path, text: &'a str) -> &'a str {
    let in_tests = path.components().any(|part| part.as_os_str() == "tests");
    let is_harness = path.starts_with("tests/src");
    if !is_harness && (in_tests || path.ends_with("tests.rs")) {
        return text;
    }
    text.split_once("#[cfg(test)]")
        .map_or("", |(_, tests)| tests)
}

/// `T-GROUP-01`, and `t_group_01` in the name of a test.
fn ids(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (mark, dash) in [("T-", '-'), ("t_", '_')] {
        for (start, _) in text.match_indices(mark) {
            let rest = text.get(start + mark.len()..).unwrap_or_default();
            found.extend(id(rest, dash));
        }
    }
    found
}

fn id(rest: &str, dash: char) -> Option<String> {
    let (name, rest) = rest.split_once(dash)?;
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphabetic());
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    (is_name && digits.len() == 2).then(|| format!("T-{}-{digits}", name.to_ascii_uppercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_statement_has_a_test_or_a_reason() {
        check(&workspace()).unwrap();
    }

    #[test]
    fn statements_are_found_in_comments_and_in_names_of_tests() {
        let text = "// T-AAA-01, T-BBB-02; T-CCC, T-DDD-3, XT-EEE-04\nfn x_t_fff_05() {}";
        let found: Vec<String> = ids(text).into_iter().collect();
        assert_eq!(found, ["T-AAA-01", "T-BBB-02", "T-EEE-04", "T-FFF-05"]);
    }

    #[test]
    fn only_what_is_in_a_test_counts() {
        let text = "//! T-AAA-01\n#[cfg(test)]\nmod tests { // T-AAA-02\n}";
        for (path, expected) in [
            ("crates/x/src/lib.rs", &["T-AAA-02"][..]),
            ("crates/x/src/tests/y.rs", &["T-AAA-01", "T-AAA-02"]),
            ("crates/x/src/y/tests.rs", &["T-AAA-01", "T-AAA-02"]),
            ("crates/x/tests/it/y.rs", &["T-AAA-01", "T-AAA-02"]),
            ("tests/src/y.rs", &["T-AAA-02"]),
            ("tests/tests/y.rs", &["T-AAA-01", "T-AAA-02"]),
        ] {
            let found: Vec<String> = ids(test_part(Path::new(path), text)).into_iter().collect();
            assert_eq!(found, expected, "{path}");
        }
    }

    #[test]
    fn what_is_missing_superfluous_or_unknown_is_told() {
        let required =
            required("# x\nT-A 4  words\npending T-A-02 later\npending T-A-04 later\n").unwrap();
        let set = |ids: &[&str]| {
            ids.iter()
                .map(|id| (*id).to_owned())
                .collect::<BTreeSet<_>>()
        };
        let faults = compare(
            &required,
            &set(&["T-A-04", "T-A-05", "T-B-01"]),
            &set(&["T-A-03"]),
        );
        let wanted = [
            "T-A-01 has neither",
            "T-A-04 has a test",
            "T-A-05 is cited and there is no such",
        ];
        assert_eq!(faults.len(), wanted.len(), "{faults:?}");
        for (fault, wanted) in faults.iter().zip(wanted) {
            assert!(fault.starts_with(wanted), "{fault}");
        }
    }
}
