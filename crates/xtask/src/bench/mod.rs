//! How fast: this builder, Debian's buildah and plain tools, one after the other in every round, in an order that rotates.

mod base;
mod measure;
mod report;
mod workload;

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use kigumi_tests::Lab;

use measure::{Bench, Builder};
use report::Runs;
use workload::{Bases, Workload};

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
    measure::ensure_tools()?;
    let lab = Lab::get()?;
    let needs_big = options.workloads.iter().any(Workload::needs_big);
    let bases = base::bases(lab, needs_big)?;
    let mut results = match &options.results {
        Some(path) => {
            Some(File::create(path).with_context(|| format!("create {}", path.display()))?)
        }
        None => None,
    };
    let mut table = String::from(report::HEAD);
    for workload in &options.workloads {
        let runs = rounds(lab, &bases, workload, (options.rounds, &mut results))?;
        table.push_str(&report::rows(workload.name, &runs));
    }
    println!(
        "\n{}\n{} rounds\n\n{table}",
        measure::machine(),
        options.rounds
    );
    Ok(())
}

fn rounds(
    lab: &Lab,
    bases: &Bases,
    workload: &Workload,
    (rounds, results): (usize, &mut Option<File>),
) -> Result<Runs> {
    println!("== {}", workload.name);
    let bench = Bench::new(lab, bases, workload)?;
    let mut runs = Runs::new();
    for round in 0..rounds {
        let order = (0..Builder::ALL.len()).map(|place| (place + round) % Builder::ALL.len());
        for builder in order.filter_map(|place| Builder::ALL.get(place).copied()) {
            let sample = bench
                .run(builder)
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
