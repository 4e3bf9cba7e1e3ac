//! How fast: this builder, Debian's buildah and plain tools, one after the other in every round, in an order that
//! changes from round to round.

mod alone;
mod app;
mod base;
mod limit;
mod machine;
mod measure;
mod report;
mod target;
mod workload;

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use kigumi_tests::Lab;

use measure::{Bench, Builder};
use report::Runs;
use workload::{Bases, Ground, Workload};

/// Fewer rounds say nothing about a machine whose speed varies.
const ROUNDS: usize = 5;

const USAGE: &str = "cargo xtask bench [WORKLOAD…] [--rounds N] [--results FILE]";

#[derive(Debug)]
struct Options {
    workloads: Vec<Workload>,
    rounds: usize,
    results: Option<PathBuf>,
}

fn options(arguments: &[String]) -> Result<Options> {
    let mut options = Options {
        workloads: Vec::new(),
        rounds: ROUNDS,
        results: None,
    };
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--rounds" => {
                let value = words.next().context(USAGE)?;
                options.rounds = value.parse().with_context(|| format!("--rounds {value}"))?;
            }
            "--results" => options.results = Some(words.next().context(USAGE)?.into()),
            name => {
                let found = workload::ALL.iter().find(|workload| workload.name == name);
                let Some(found) = found else {
                    let names: Vec<_> = workload::ALL.iter().map(|known| known.name).collect();
                    bail!(
                        "no workload is called `{name}`; there are {}\n{USAGE}",
                        names.join(", ")
                    );
                };
                options.workloads.push(*found);
            }
        }
    }
    if options.workloads.is_empty() {
        options.workloads = workload::ALL.to_vec();
    }
    if options.rounds == 0 {
        bail!("--rounds 0 measures nothing");
    }
    Ok(options)
}

/// `bench [WORKLOAD…] [--rounds N] [--results FILE]`
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let options = options(arguments)?;
    limit::ensure_tools()?;
    let lab = Lab::get()?;
    let warning = machine::warning(lab);
    if let Some(warning) = &warning {
        println!("{warning}");
    }
    let needs_big = options.workloads.iter().any(Workload::needs_big);
    let bases = base::bases(lab, needs_big)?;
    let mut results = match &options.results {
        Some(path) => {
            Some(File::create(path).with_context(|| format!("create {}", path.display()))?)
        }
        None => None,
    };
    let before = machine::state(lab);
    let mut table = String::from(report::HEAD);
    let mut targets = String::from(target::HEAD);
    for workload in &options.workloads {
        let runs = rounds(lab, &bases, workload, (options.rounds, &mut results))?;
        table.push_str(&report::rows(workload.name, &runs));
        let must_unpack = workload.ground != Ground::Nothing;
        targets.push_str(&target::rows(
            workload.name,
            workload.target,
            must_unpack,
            &runs,
        ));
    }
    println!(
        "\nBefore: {before}\n\nAfter: {}\n\n{}\n\n{} rounds\n\n{table}\n{targets}",
        machine::state(lab),
        machine::versions(),
        options.rounds
    );
    if let Some(warning) = warning {
        println!("{warning}");
    }
    Ok(())
}

/// The order of a round: a Latin square in which, over four rounds, each has each place once, and follows each other once. Whoever comes after somebody who
/// wrote and deleted much is worse off, so a mere rotation would not do.
fn order(round: usize) -> impl Iterator<Item = Builder> {
    let all = Builder::ALL;
    let places = [0, 1, 3, 2].into_iter();
    places.filter_map(move |place| all.get((place + round) % all.len()).copied())
}

fn rounds(
    lab: &Lab,
    bases: &Bases,
    workload: &Workload,
    (rounds, results): (usize, &mut Option<File>),
) -> Result<Runs> {
    println!("== {}", workload.name);
    let bench = Bench::new(lab, bases, workload)
        .with_context(|| format!("{}, before it is measured", workload.name))?;
    let mut runs = Runs::new();
    for round in 0..rounds {
        for builder in order(round).filter(|builder| bench.has(*builder)) {
            let sample = bench
                .run(builder, round)
                .with_context(|| format!("{} with {}", workload.name, builder.name()))?;
            let line = report::line(workload.name, round, builder, &sample);
            println!("{line}");
            if let Some(file) = results {
                writeln!(file, "{line}").context("write the results")?;
            }
            runs.entry(builder).or_default().push(sample);
        }
    }
    Ok(runs)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn parsed(words: &[&str]) -> Result<Options> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        options(&words)
    }

    #[test]
    fn workloads_are_chosen_by_name_and_all_are_run_otherwise() {
        let some = parsed(&["gig", "tiny", "--rounds", "2", "--results", "r"]).unwrap();
        let names: Vec<_> = some.workloads.iter().map(|known| known.name).collect();
        assert_eq!((names, some.rounds), (vec!["gig", "tiny"], 2));
        let all = parsed(&[]).unwrap();
        assert_eq!(all.workloads.len(), workload::ALL.len());
        assert_eq!(all.rounds, ROUNDS);
    }

    #[test]
    fn in_four_rounds_each_has_each_place_once_and_follows_each_other_once() {
        let rounds: Vec<Vec<Builder>> = (0..4).map(|round| order(round).collect()).collect();
        let pairs: BTreeSet<_> = rounds
            .iter()
            .flat_map(|round| round.windows(2).map(<[Builder]>::to_vec))
            .collect();
        assert_eq!(pairs.len(), 12);
        for place in 0..4 {
            let there: BTreeSet<_> = rounds.iter().map(|round| round[place]).collect();
            assert_eq!(there.len(), 4);
        }
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for words in [
            &["huge"][..],
            &["--rounds"],
            &["--rounds", "x"],
            &["--rounds", "0"],
            &["--results"],
        ] {
            parsed(words).unwrap_err();
        }
    }
}
