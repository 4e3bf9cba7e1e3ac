//! All Dockerfiles of the repository: files, conformance cases, examples of the rules, and texts in the tests.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use kigumi_tests::conformance::Suite;

/// Texts by a name that tells where they are.
pub(crate) fn all() -> Result<BTreeMap<String, Vec<u8>>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = BTreeMap::new();
    for (name, text) in Suite::load()?.dockerfiles()? {
        found.insert(format!("case.{name}"), text);
    }
    for file in ["Dockerfile.executor", "tests/lab/demo/Dockerfile"] {
        let text = fs::read(root.join(file)).with_context(|| format!("read {file}"))?;
        found.insert(file.replace('/', "."), text);
    }
    let page = fs::read_to_string(root.join("docs/lint.md")).context("read docs/lint.md")?;
    found.extend(examples(&page));
    let recorded = root.join("crates/dockerfile/src/lint/tests/hadolint.txt");
    let recorded = fs::read_to_string(&recorded).context("read the recordings")?;
    for (number, line) in (1..).zip(recorded.lines()) {
        let text = line.split(" =>").next().unwrap_or_default();
        let text = text.split(" !>").next().unwrap_or_default();
        let text = text.replace('⏎', "\n") + "\n";
        found.insert(format!("recorded.{number:03}"), text.into_bytes());
    }
    for file in sources(&root.join("tests/tests"))? {
        let name = file.strip_prefix(root.join("tests/tests")).unwrap_or(&file);
        let name = name.display().to_string().replace('/', ".");
        let text = fs::read_to_string(&file)?;
        for (number, literal) in (1..).zip(dockerfiles_in(&text)) {
            found.insert(format!("{name}.{number:02}"), literal.into_bytes());
        }
    }
    Ok(found)
}

/// The examples of a page, by rule.
fn examples(page: &str) -> Vec<(String, Vec<u8>)> {
    let mut examples = Vec::new();
    let mut rule = "";
    let blocks = page.split("```");
    for (number, block) in blocks.enumerate() {
        if let Some(text) = block.strip_prefix("dockerfile\n") {
            examples.push((format!("page.{rule}.{number}"), text.into()));
        } else {
            let mut headings = block.lines().rev();
            let heading = headings.find_map(|line| line.strip_prefix("### "));
            rule = heading.unwrap_or(rule);
        }
    }
    examples
}

fn sources(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(sources(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn is_dockerfile(text: &str) -> bool {
    let begins = ["FROM ", "ARG ", "# "]
        .iter()
        .any(|start| text.starts_with(start));
    begins && text.contains("FROM ") && text.contains('\n')
}

fn dockerfiles_in(source: &str) -> impl Iterator<Item = String> {
    let literals = literals(source).into_iter();
    literals.filter(|text| is_dockerfile(text))
}

/// The string literals of a Rust file, escapes carried out as far as Dockerfiles have them.
fn literals(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = source;
    while let Some(at) = rest.find('"') {
        let (before, after) = rest.split_at(at);
        let hashes = before.len() - before.trim_end_matches('#').len();
        let is_raw = before.trim_end_matches('#').ends_with('r');
        let after = after.get(1..).unwrap_or_default();
        if is_raw {
            let end = format!("\"{}", "#".repeat(hashes));
            let (text, behind) = after.split_once(end.as_str()).unwrap_or((after, ""));
            found.push(text.to_owned());
            rest = behind;
        } else {
            let (text, behind) = plain(after);
            found.push(text);
            rest = behind;
        }
    }
    found
}

/// The literal that begins here, and what follows its closing quote.
fn plain(source: &str) -> (String, &str) {
    let mut text = String::new();
    let mut characters = source.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (text, source.get(at + 1..).unwrap_or_default()),
            '\\' => match characters.next() {
                Some((_, 'n')) => text.push('\n'),
                Some((_, 't')) => text.push('\t'),
                // A line that goes on: its indentation does not count.
                Some((at, '\n')) => {
                    let rest = source.get(at..).unwrap_or_default();
                    let blank = rest.len() - rest.trim_start().len();
                    for _ in 1..blank {
                        characters.next();
                    }
                }
                Some((_, other)) => text.push(other),
                None => {}
            },
            other => text.push(other),
        }
    }
    (text, "")
}
