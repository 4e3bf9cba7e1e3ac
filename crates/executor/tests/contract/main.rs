//! The contract with kaniko's manifests, row by row: every flag, variable and subcommand is given to the program, and its effect is observed, or that it
//! has none (K-DROP-02).

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "tests: a panic is a failed test"
)]

mod caches;
mod contexts;
mod credentials;
mod flags;
mod harness;
mod lists;
mod lost_layers;
mod mistakes;
mod outlines;
mod outputs;
mod provenance;
mod push;
mod registries;
mod shadowed;
mod variables;

/// A row of the contract, by the name that a manifest uses, and the observation.
pub(crate) type Row = (&'static str, fn());

fn rows() -> impl Iterator<Item = Row> {
    let tables = [
        flags::ROWS,
        outputs::ROWS,
        registries::ROWS,
        push::ROWS,
        variables::ROWS,
        credentials::ROWS,
        caches::ROWS,
        contexts::ROWS,
    ];
    tables.into_iter().flatten().copied()
}

/// K-DROP-02, K-DROP-03
#[test]
fn every_row_is_observed() {
    // At once: what fails on purpose is tried again first, and waits.
    let running: Vec<_> = rows()
        .map(|(name, observe)| (name, std::thread::spawn(observe)))
        .collect();
    let failed: Vec<&str> = running
        .into_iter()
        .filter_map(|(name, observing)| observing.join().err().map(|_| name))
        .collect();
    assert!(failed.is_empty(), "{failed:?}: see above");
}

#[test]
fn no_row_of_the_contract_is_forgotten() {
    let observed: Vec<&str> = rows().map(|(name, _)| name).collect();
    let elsewhere: Vec<&str> = lists::ELSEWHERE.iter().map(|(name, _, _)| *name).collect();
    for name in lists::CONTRACT {
        let times = [&observed, &elsewhere]
            .into_iter()
            .flatten()
            .filter(|known| *known == name);
        assert_eq!(times.count(), 1, "{name}");
    }
    for name in observed.iter().chain(&elsewhere) {
        assert!(
            lists::CONTRACT.contains(name),
            "{name} is not in the contract"
        );
    }
}

/// The body of a test of a file; none if it is not there, is no test, or is left out of the runs.
fn test_of<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (before, after) = text.split_once(&format!("fn {name}("))?;
    let attributes = &before[before.rfind("\n\n").unwrap_or_default()..];
    let is_test = attributes.contains("#[test]") || attributes.contains("#[tokio::test");
    let is_in_a_module = before
        .lines()
        .last()
        .is_some_and(|line| line.starts_with(' '));
    let end = after.find(if is_in_a_module { "\n    }\n" } else { "\n}\n" });
    (is_test && !attributes.contains("#[ignore")).then(|| &after[..end.unwrap_or(after.len())])
}

#[test]
fn what_is_observed_elsewhere_has_a_test_there_that_is_about_it() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../");
    for (name, file, test) in lists::ELSEWHERE {
        let text = std::fs::read_to_string(format!("{root}{file}")).unwrap();
        let body = test_of(&text, test);
        let Some(body) = body else {
            panic!("{name}: {file} has no test `{test}`");
        };
        let plain = name.trim_start_matches("--").trim_end_matches('*');
        let is_about = body.contains(plain) || body.contains(&plain.replace('-', "_"));
        assert!(is_about, "{name}: `{test}` does not name it");
    }
}

#[test]
fn a_test_that_is_gone_or_does_not_run_would_be_missed() {
    let text = "use x;\n\n#[test]\nfn a() {\n    one();\n}\n\nfn b() {\n}\n\n#[test]\n#[ignore]\nfn c() {\n}\n";
    assert!(test_of(text, "a").is_some_and(|body| body.contains("one")));
    for name in ["b", "c", "d"] {
        assert_eq!(test_of(text, name), None, "{name}");
    }
}
