//! Reading what `cargo test` says, for one summary at the end.

use std::fmt;
use std::time::Duration;

/// Counts of one run of `cargo test`.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) ignored: u64,
}

/// One line of the summary.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) counts: Counts,
    pub(crate) elapsed: Duration,
    /// Names of the tests that failed.
    pub(crate) failures: Vec<String>,
}

/// What all runs came to.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    entries: Vec<Entry>,
}

impl Counts {
    /// Adds what a line says, if it is a `test result:` line.
    pub(crate) fn read(&mut self, line: &str) {
        let Some((_, rest)) = line.split_once("test result: ") else {
            return;
        };
        for part in rest.split([';', '.']) {
            let mut words = part.split_whitespace();
            let (Some(count), Some(kind)) = (words.next(), words.next()) else {
                continue;
            };
            let Ok(count) = count.parse::<u64>() else {
                continue;
            };
            match kind {
                "passed" => self.passed += count,
                "failed" => self.failed += count,
                "ignored" => self.ignored += count,
                _ => {}
            }
        }
    }
}

/// The name of the test that a line reports as failed.
pub(crate) fn failed_test(line: &str) -> Option<String> {
    let name = line.strip_prefix("test ")?.strip_suffix(" ... FAILED")?;
    Some(name.to_owned())
}

impl Summary {
    pub(crate) fn add(&mut self, entry: Entry) {
        self.entries.push(entry);
    }

    pub(crate) fn totals(&self) -> Counts {
        self.entries
            .iter()
            .fold(Counts::default(), |sum, Entry { counts, .. }| Counts {
                passed: sum.passed + counts.passed,
                failed: sum.failed + counts.failed,
                ignored: sum.ignored + counts.ignored,
            })
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Entry {
            name,
            counts,
            elapsed,
            failures,
        } in &self.entries
        {
            let Counts { passed, failed, .. } = counts;
            let seconds = elapsed.as_secs();
            writeln!(
                formatter,
                "{name:<20} {passed:>5} passed {failed:>4} failed {seconds:>5} s"
            )?;
            for failure in failures {
                writeln!(formatter, "    FAILED {failure}")?;
            }
        }
        let Counts {
            passed,
            failed,
            ignored,
        } = self.totals();
        write!(
            formatter,
            "\n{passed} passed, {failed} failed, {ignored} skipped"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_lines_add_up_and_others_are_ignored() {
        let mut counts = Counts::default();
        counts.read("running 3 tests");
        counts.read("test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out");
        counts.read("test result: FAILED. 10 passed; 5 failed; 0 ignored; finished in 26.83s");
        assert_eq!(
            counts,
            Counts {
                passed: 13,
                failed: 5,
                ignored: 1
            }
        );
    }

    #[test]
    fn only_failed_tests_are_named() {
        assert_eq!(failed_test("test a::b ... FAILED").as_deref(), Some("a::b"));
        assert_eq!(failed_test("test a::b ... ok"), None);
    }
}
