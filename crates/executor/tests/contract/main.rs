//! The contract with kaniko's manifests, row by row: every flag, variable and subcommand is given to the program, and its effect is observed, or that it
//! has none (K-DROP-02).

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "tests: a panic is a failed test"
)]

mod flags;
mod harness;
mod lists;
mod mistakes;
mod outlines;
mod outputs;
mod push;
mod registries;
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
    let elsewhere: Vec<&str> = lists::elsewhere().collect();
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

#[test]
fn what_is_observed_in_containers_has_a_test_there() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/tests");
    for (name, file, test) in lists::IN_CONTAINERS {
        let text = std::fs::read_to_string(format!("{directory}/{file}")).unwrap();
        assert!(
            text.contains(&format!("fn {test}(")),
            "{name}: {file} has no test `{test}`"
        );
    }
}
