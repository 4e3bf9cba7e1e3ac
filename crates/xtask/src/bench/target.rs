//! What a workload is to reach, and whether it did.

use std::time::Duration;

use super::measure::{Builder, Sample};
use super::report::{Runs, mebibytes, median, overheads, shown_ratio};

/// Anonymous memory of the executor stays below this in every workload.
const MEMORY: u64 = 64 << 20;

/// Who must unpack takes so many times as long as plain tools, at most.
const OF_LIMIT: f64 = 1.2;

/// What of a builder's time is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Time {
    /// All of it.
    Wall,
    /// What the RUN commands do not take by themselves.
    Overhead,
}

/// The part of buildah's time that kigumi may take, as numerator and denominator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) time: Time,
    pub(super) part: (u32, u32),
    /// Whether no layer may be moved that existed before.
    pub(super) no_layers: bool,
}

impl Target {
    pub(super) const fn wall(numerator: u32, denominator: u32) -> Self {
        Self {
            time: Time::Wall,
            part: (numerator, denominator),
            no_layers: false,
        }
    }

    pub(super) const fn overhead(denominator: u32) -> Self {
        Self {
            time: Time::Overhead,
            part: (1, denominator),
            no_layers: false,
        }
    }

    pub(super) const fn without_layers(mut self) -> Self {
        self.no_layers = true;
        self
    }

    fn shown(self) -> String {
        let what = match self.time {
            Time::Wall => "time",
            Time::Overhead => "overhead",
        };
        match self.part {
            (1, 1) => format!("{what} ≤ buildah's"),
            (numerator, denominator) => format!("{what} ≤ {numerator}/{denominator} of buildah's"),
        }
    }
}

pub(super) const HEAD: &str = "\
| workload | target | measured (least – most of a round) | |
|---|---|---|---|
";

/// One line for each thing that the workload is to reach.
pub(super) fn rows(workload: &str, target: Target, must_unpack: bool, runs: &Runs) -> String {
    let mut rows = Vec::new();
    let mut row = |target: &str, measured: &str, is_met: bool| {
        let verdict = if is_met { "met" } else { "**missed**" };
        rows.push(format!(
            "| {workload} | {target} | {measured} | {verdict} |\n"
        ));
    };
    let times = |builder, time| match time {
        Time::Overhead => overheads(runs, builder),
        Time::Wall => runs
            .get(&builder)
            .map(|samples| samples.iter().map(|sample| sample.elapsed).collect()),
    };
    let compared = |time, peer| Compared::of(&times(Builder::Kigumi, time)?, &times(peer, time)?);
    if let Some(compared) = compared(target.time, Builder::Buildah) {
        let most = f64::from(target.part.0) / f64::from(target.part.1);
        row(&target.shown(), &compared.shown(), compared.middle <= most);
    }
    if must_unpack && let Some(compared) = compared(Time::Overhead, Builder::Limit) {
        row(
            &format!("overhead ≤ {OF_LIMIT} × the limit"),
            &compared.shown(),
            compared.middle <= OF_LIMIT,
        );
    }
    let largest = |of: fn(&Sample) -> u64| {
        let samples = runs.get(&Builder::Kigumi);
        samples.and_then(|samples| samples.iter().map(of).max())
    };
    if let Some(peak) = largest(|sample| sample.memory) {
        let measured = format!("{} MiB", mebibytes(peak));
        row("anonymous memory < 64 MiB", &measured, peak < MEMORY);
    }
    if target.no_layers
        && let Some(bytes) = largest(|sample| sample.old_layers)
    {
        row(
            "no byte of a layer moved",
            &format!("{bytes} bytes"),
            bytes == 0,
        );
    }
    rows.concat()
}

/// The ratio of two medians, and the ratios of the rounds.
#[derive(Debug)]
struct Compared {
    middle: f64,
    rounds: Vec<f64>,
}

impl Compared {
    fn of(ours: &[Duration], theirs: &[Duration]) -> Option<Self> {
        let ratio = |ours: Duration, theirs: Duration| {
            (!theirs.is_zero()).then(|| ours.as_secs_f64() / theirs.as_secs_f64())
        };
        let middle = ratio(
            median(ours.iter().copied())?,
            median(theirs.iter().copied())?,
        )?;
        let rounds = ours.iter().zip(theirs);
        let rounds = rounds.filter_map(|(ours, theirs)| ratio(*ours, *theirs));
        Some(Self {
            middle,
            rounds: rounds.collect(),
        })
    }

    fn shown(&self) -> String {
        let least = self.rounds.iter().copied().reduce(f64::min);
        let most = self.rounds.iter().copied().reduce(f64::max);
        format!(
            "{} ({} – {})",
            shown_ratio(Some(self.middle)),
            shown_ratio(least),
            shown_ratio(most)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(seconds: &[u64]) -> Vec<Sample> {
        let sample = |seconds: &u64| Sample {
            elapsed: Duration::from_secs(*seconds),
            memory: 63 << 20,
            ..Sample::default()
        };
        seconds.iter().map(sample).collect()
    }

    #[test]
    fn what_runs_take_by_themselves_is_nobodys_overhead() {
        let runs = Runs::from([
            (Builder::Kigumi, samples(&[14, 12, 13])),
            (Builder::Buildah, samples(&[20, 18, 19])),
            (Builder::Limit, samples(&[3, 2, 3])),
            (Builder::Alone, samples(&[10, 10, 10])),
        ]);
        let expected = "\
| gig | overhead ≤ 1/3 of buildah's | 0.33 (0.25 – 0.40) | met |
| gig | overhead ≤ 1.2 × the limit | 1.00 (1.00 – 1.33) | met |
| gig | anonymous memory < 64 MiB | 63.0 MiB | met |
";
        assert_eq!(rows("gig", Target::overhead(3), true, &runs), expected);
        let missed = rows("gig", Target::wall(1, 2), false, &runs);
        let first = "| gig | time ≤ 1/2 of buildah's | 0.68 (0.67 – 0.70) | **missed** |\n";
        assert!(missed.starts_with(first), "{missed}");
    }

    #[test]
    fn a_build_from_the_cache_that_moves_a_layer_in_one_round_has_moved_one() {
        let mut ours = samples(&[1, 1]);
        ours.push(Sample {
            old_layers: 7,
            ..Sample::default()
        });
        let runs = Runs::from([(Builder::Kigumi, ours)]);
        let rows = rows("x", Target::wall(1, 1).without_layers(), false, &runs);
        let last = "| x | no byte of a layer moved | 7 bytes | **missed** |\n";
        assert!(rows.ends_with(last), "{rows}");
    }
}
