//! Medians and ratios.

use std::collections::BTreeMap;
use std::time::Duration;

use super::measure::{Builder, Sample};

/// All runs of one workload.
pub(super) type Runs = BTreeMap<Builder, Vec<Sample>>;

/// The middle of some values; of two middle ones the lower, so that it is one that was measured.
pub(super) fn median<T: Ord + Copy>(values: impl IntoIterator<Item = T>) -> Option<T> {
    let mut values: Vec<T> = values.into_iter().collect();
    values.sort_unstable();
    values.get(values.len().checked_sub(1)? / 2).copied()
}

pub(super) const HEAD: &str = "\
| workload | builder | seconds (min – max) | to buildah | to the limit | CPU s | peak MiB | MB pulled | MB pushed | requests |
|---|---|---|---|---|---|---|---|---|---|
";

/// The rows of one workload.
pub(super) fn rows(workload: &str, runs: &Runs) -> String {
    let seconds = |builder| {
        let of = runs.get(&builder)?;
        median(of.iter().map(|sample| sample.elapsed))
    };
    Builder::ALL
        .into_iter()
        .filter_map(|builder| {
            let samples = runs.get(&builder)?;
            let middle = seconds(builder)?;
            Some(row(
                (workload, builder),
                samples,
                [
                    ratio(middle, seconds(Builder::Buildah)),
                    ratio(middle, seconds(Builder::Limit)),
                ],
            ))
        })
        .collect()
}

fn row((workload, builder): (&str, Builder), samples: &[Sample], ratios: [String; 2]) -> String {
    let times = || samples.iter().map(|sample| sample.elapsed);
    let middle = |of: fn(&Sample) -> u64| median(samples.iter().map(of)).unwrap_or(0);
    let cpu = median(samples.iter().map(|sample| sample.cpu)).unwrap_or_default();
    let [to_buildah, to_limit] = ratios;
    format!(
        "| {workload} | {} | {} ({} – {}) | {to_buildah} | {to_limit} | {} | {} | {} | {} | {} |\n",
        builder.name(),
        shown(median(times())),
        shown(times().min()),
        shown(times().max()),
        shown(Some(cpu)),
        middle(|sample| sample.memory) >> 20,
        tenths(middle(|sample| sample.pulled)),
        tenths(middle(|sample| sample.pushed)),
        middle(|sample| sample.requests),
    )
}

fn shown(time: Option<Duration>) -> String {
    time.map_or_else(
        || "–".to_owned(),
        |time| format!("{:.2}", time.as_secs_f64()),
    )
}

fn ratio(time: Duration, to: Option<Duration>) -> String {
    match to {
        Some(to) if !to.is_zero() => format!("{:.2}", time.as_secs_f64() / to.as_secs_f64()),
        _ => "–".to_owned(),
    }
}

fn tenths(bytes: u64) -> String {
    format!("{}.{}", bytes / 1_000_000, bytes / 100_000 % 10)
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
            ..Sample::default()
        };
        let runs = Runs::from([
            (Builder::Kigumi, vec![sample(1), sample(9), sample(2)]),
            (Builder::Buildah, vec![sample(8), sample(8)]),
        ]);
        let expected = "\
| tiny | kigumi | 2.00 (1.00 – 9.00) | 0.25 | – | 0.00 | 0 | 1.2 | 0.0 | 0 |
| tiny | buildah | 8.00 (8.00 – 8.00) | 1.00 | – | 0.00 | 0 | 1.2 | 0.0 | 0 |
";
        assert_eq!(rows("tiny", &runs), expected);
    }
}
