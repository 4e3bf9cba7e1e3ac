//! Medians and ratios.

use std::collections::BTreeMap;
use std::time::Duration;

use super::measure::{Builder, Sample};

/// All runs of one workload, in the order of the rounds.
pub(super) type Runs = BTreeMap<Builder, Vec<Sample>>;

/// The middle of some values; of two middle ones the lower, so that it is one that was measured.
pub(super) fn median<T: Ord + Copy>(values: impl IntoIterator<Item = T>) -> Option<T> {
    let mut values: Vec<T> = values.into_iter().collect();
    values.sort_unstable();
    values.get(values.len().checked_sub(1)? / 2).copied()
}

/// What a builder took in each round, less what the RUN commands took by themselves in the same round.
pub(super) fn overheads(runs: &Runs, builder: Builder) -> Option<Vec<Duration>> {
    let alone = match builder {
        Builder::Kigumi | Builder::Buildah => runs.get(&Builder::Alone),
        // Plain tools run nothing.
        Builder::Limit | Builder::Alone => None,
    };
    let alone = alone.into_iter().flatten().map(|sample| sample.elapsed);
    let alone = alone.chain(std::iter::repeat(Duration::ZERO));
    let samples = runs.get(&builder)?.iter();
    let less = samples.zip(alone);
    Some(
        less.map(|(sample, alone)| sample.elapsed.saturating_sub(alone))
            .collect(),
    )
}

pub(super) const HEAD: &str = "\
| workload | builder | seconds (min – max) | to buildah | to the limit | overhead, seconds (min – max) | overhead to buildah | overhead × limit | CPU s \
| peak MiB, median | largest | MB pulled | MB pushed | requests |
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|
";

/// The rows of one workload.
pub(super) fn rows(workload: &str, runs: &Runs) -> String {
    let builders = Builder::ALL.into_iter();
    builders
        .filter_map(|builder| row(workload, builder, runs))
        .collect()
}

fn row(workload: &str, builder: Builder, runs: &Runs) -> Option<String> {
    let samples = runs.get(&builder)?;
    let times = |builder| {
        let samples = runs.get(&builder)?.iter();
        Some(samples.map(|sample| sample.elapsed).collect::<Vec<_>>())
    };
    let middle = |of: fn(&Sample) -> u64| median(samples.iter().map(of)).unwrap_or(0);
    let cpu = median(samples.iter().map(|sample| sample.cpu)).unwrap_or_default();
    let largest = samples.iter().map(|sample| sample.memory).max();
    let name = builder.name();
    let compared = if builder == Builder::Alone {
        format!("{} | – | – | – | – | –", spread(times(builder)))
    } else {
        format!(
            "{} | {} | {} | {} | {} | {}",
            spread(times(builder)),
            ratio(times(builder), times(Builder::Buildah)),
            ratio(times(builder), times(Builder::Limit)),
            spread(overheads(runs, builder)),
            ratio(overheads(runs, builder), overheads(runs, Builder::Buildah)),
            ratio(overheads(runs, builder), overheads(runs, Builder::Limit)),
        )
    };
    Some(format!(
        "| {workload} | {name} | {compared} | {} | {} | {} | {} | {} | {} |\n",
        seconds(Some(cpu)),
        mebibytes(middle(|sample| sample.memory)),
        mebibytes(largest.unwrap_or(0)),
        megabytes(middle(|sample| sample.pulled)),
        megabytes(middle(|sample| sample.pushed)),
        middle(|sample| sample.requests),
    ))
}

fn seconds(time: Option<Duration>) -> String {
    time.map_or_else(
        || "–".to_owned(),
        |time| format!("{:.2}", time.as_secs_f64()),
    )
}

fn spread(times: Option<Vec<Duration>>) -> String {
    let times = times.unwrap_or_default();
    let times = || times.iter().copied();
    format!(
        "{} ({} – {})",
        seconds(median(times())),
        seconds(times().min()),
        seconds(times().max())
    )
}

fn ratio(of: Option<Vec<Duration>>, to: Option<Vec<Duration>>) -> String {
    let middle = |times: Option<Vec<Duration>>| median(times?);
    shown_ratio(
        middle(of)
            .zip(middle(to))
            .filter(|(_, to)| !to.is_zero())
            .map(|(of, to)| of.as_secs_f64() / to.as_secs_f64()),
    )
}

pub(super) fn shown_ratio(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}"))
}

fn megabytes(bytes: u64) -> String {
    format!("{}.{}", bytes / 1_000_000, bytes / 100_000 % 10)
}

pub(super) fn mebibytes(bytes: u64) -> String {
    format!("{}.{}", bytes >> 20, ((bytes * 10) >> 20) % 10)
}

/// One run as a line of JSON.
pub(super) fn line(workload: &str, round: usize, builder: Builder, sample: &Sample) -> String {
    serde_json::json!({
        "workload": workload,
        "round": round,
        "builder": builder.name(),
        "seconds": sample.elapsed.as_secs_f64(),
        "cpu_seconds": sample.cpu.as_secs_f64(),
        "peak_anonymous": sample.memory,
        "pulled": sample.pulled,
        "pushed": sample.pushed,
        "old_layers": sample.old_layers,
        "requests": sample.requests,
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_a_value_that_was_measured() {
        assert_eq!(median([3, 1, 2]), Some(2));
        assert_eq!(median([4, 1, 2, 3]), Some(2));
        assert_eq!(median(Vec::<u8>::new()), None);
    }

    #[test]
    fn a_table_has_a_row_for_each_builder_with_ratios_of_medians() {
        let sample = |seconds| Sample {
            elapsed: Duration::from_secs(seconds),
            pulled: 1_250_000,
            memory: seconds << 19,
            ..Sample::default()
        };
        let runs = Runs::from([
            (Builder::Kigumi, vec![sample(3), sample(9), sample(2)]),
            (Builder::Buildah, vec![sample(8), sample(8), sample(9)]),
            (Builder::Alone, vec![sample(2), sample(2), sample(1)]),
        ]);
        let expected = "\
| tiny | kigumi | 3.00 (2.00 – 9.00) | 0.38 | – | 1.00 (1.00 – 7.00) | 0.17 | – | 0.00 | 1.5 | 4.5 | 1.2 | 0.0 | 0 |
| tiny | buildah | 8.00 (8.00 – 9.00) | 1.00 | – | 6.00 (6.00 – 8.00) | 1.00 | – | 0.00 | 4.0 | 4.5 | 1.2 | 0.0 | 0 |
| tiny | RUN alone | 2.00 (1.00 – 2.00) | – | – | – | – | – | 0.00 | 1.0 | 1.0 | 1.2 | 0.0 | 0 |
";
        assert_eq!(rows("tiny", &runs), expected);
    }

    #[test]
    fn a_run_that_was_slower_by_itself_leaves_no_overhead() {
        let sample = |seconds| Sample {
            elapsed: Duration::from_secs(seconds),
            ..Sample::default()
        };
        let runs = Runs::from([
            (Builder::Kigumi, vec![sample(3)]),
            (Builder::Alone, vec![sample(4)]),
        ]);
        assert_eq!(
            overheads(&runs, Builder::Kigumi),
            Some(vec![Duration::ZERO])
        );
    }
}
