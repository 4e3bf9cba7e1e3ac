//! Reading what `cargo test` says, for one summary at the end.

use std::fmt;
use std::time::Duration;

/// What the messages of all failed tests may take together, in lines: who sees only the end of the log sees them all.
const ROOM: usize = 70;
/// What one of them may take in any case.
const LEAST: usize = 6;

/// Counts of one run of `cargo test`.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) ignored: u64,
}

/// Something that failed, and what it said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) name: String,
    pub(crate) said: Vec<String>,
}

/// One line of the summary.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) counts: Counts,
    pub(crate) elapsed: Duration,
    pub(crate) failures: Vec<Failure>,
}

/// What all runs came to.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    entries: Vec<Entry>,
}

/// Reads what test programs print, line by line.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    pub(crate) counts: Counts,
    pub(crate) failures: Vec<Failure>,
    place: Place,
}

/// Where in the output of a test program we are.
#[derive(Debug, Default, Clone, Copy)]
enum Place {
    #[default]
    Elsewhere,
    /// Where failed tests are told of.
    Failures,
    /// In what this one has said.
    Said(usize),
}

impl Counts {
    /// Adds what a line says, if it is a `test result:` line.
    fn read(&mut self, line: &str) {
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

impl Reader {
    /// Reads the next line.
    pub(crate) fn read(&mut self, line: &str) {
        self.counts.read(line);
        if let Some(name) = failed_test(line) {
            self.failures.push(Failure::of(name));
        } else if line == "failures:" {
            self.place = Place::Failures;
        } else if line == "successes:" || line.starts_with("test result: ") {
            self.place = Place::Elsewhere;
        } else if let (Place::Failures | Place::Said(_), Some(name)) = (self.place, heading(line)) {
            self.place = Place::Said(self.failed(name));
        } else if let Place::Said(number) = self.place
            && let Some(failure) = self.failures.get_mut(number)
        {
            failure.said.push(line.to_owned());
        }
    }

    /// Adds a failure that no test program has told of.
    pub(crate) fn add(&mut self, name: &str, said: impl IntoIterator<Item = String>) {
        self.counts.failed += 1;
        self.failures.push(Failure {
            name: name.to_owned(),
            said: said.into_iter().collect(),
        });
    }

    /// The failure of this name that has not said anything yet. What a test or its programs print past the harness may have hidden the line
    /// that says that it failed.
    fn failed(&mut self, name: &str) -> usize {
        let is_it = |failure: &Failure| failure.name == name && failure.said.is_empty();
        if let Some(number) = self.failures.iter().position(is_it) {
            return number;
        }
        self.failures.push(Failure::of(name));
        self.failures.len() - 1
    }
}

impl Failure {
    fn of(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            said: Vec::new(),
        }
    }

    /// What it said, in so many lines: how it begins, and more of how it ends.
    fn shortened(&self, room: usize) -> Vec<&str> {
        let lines: Vec<&str> = self.said.iter().map(|line| line.trim_end()).collect();
        let lines: Vec<&str> = lines.into_iter().filter(|line| !line.is_empty()).collect();
        if lines.len() <= room {
            return lines;
        }
        let first = room / 3;
        let last = room.saturating_sub(first + 1);
        let (start, rest) = lines.split_at(first);
        let (_, end) = rest.split_at(rest.len() - last);
        [start, &["..."], end].concat()
    }
}

/// The name of the test that a line reports as failed.
fn failed_test(line: &str) -> Option<&str> {
    line.strip_prefix("test ")?.strip_suffix(" ... FAILED")
}

/// The name of the test whose output begins behind this line.
fn heading(line: &str) -> Option<&str> {
    line.strip_prefix("---- ")?.strip_suffix(" stdout ----")
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

    fn write_messages(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = || {
            let entries = self.entries.iter();
            entries.flat_map(|entry| entry.failures.iter().map(move |failure| (entry, failure)))
        };
        let room = (ROOM / all().count().max(1)).max(LEAST);
        for (entry, failure) in all() {
            writeln!(formatter, "---- {}: {}", entry.name, failure.name)?;
            for line in failure.shortened(room) {
                writeln!(formatter, "{line}")?;
            }
            writeln!(formatter)?;
        }
        Ok(())
    }
}

impl fmt::Display for Summary {
    /// What failed tests said, then the counts: the end of a log is what everybody sees.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_messages(formatter)?;
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
            for Failure { name, .. } in failures {
                writeln!(formatter, "    FAILED {name}")?;
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

    fn read(lines: &[&str]) -> Reader {
        let mut reader = Reader::default();
        for line in lines {
            reader.read(line);
        }
        reader
    }

    fn said(failures: &[Failure]) -> Vec<(&str, String)> {
        let said = failures.iter();
        said.map(|failure| (failure.name.as_str(), failure.said.join("|")))
            .collect()
    }

    #[test]
    fn result_lines_add_up_and_others_are_ignored() {
        let reader = read(&[
            "running 3 tests",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out",
            "test result: FAILED. 10 passed; 5 failed; 0 ignored; finished in 26.83s",
        ]);
        assert_eq!(
            reader.counts,
            Counts {
                passed: 13,
                failed: 5,
                ignored: 1
            }
        );
    }

    #[test]
    fn only_failed_tests_are_named() {
        assert_eq!(failed_test("test a::b ... FAILED"), Some("a::b"));
        assert_eq!(failed_test("test a::b ... ok"), None);
    }

    #[test]
    fn what_failed_tests_said_is_theirs_and_what_others_said_is_nobodys() {
        let reader = read(&[
            "test a::good ... ok",
            "test a::bad ... FAILED",
            "test a::worse ... FAILED",
            "successes:",
            "---- a::good stdout ----",
            "figures",
            "successes:",
            "    a::good",
            "failures:",
            "---- a::bad stdout ----",
            "Error: one",
            "Caused by: two",
            "---- a::worse stdout ----",
            "thread 'a::worse' panicked",
            "failures:",
            "    a::bad",
            "    a::worse",
            "test result: FAILED. 1 passed; 2 failed; 0 ignored",
            "     Running another program",
        ]);
        assert_eq!(
            said(&reader.failures),
            [
                ("a::bad", "Error: one|Caused by: two".to_owned()),
                ("a::worse", "thread 'a::worse' panicked".to_owned())
            ]
        );
    }

    #[test]
    fn a_test_whose_line_is_broken_and_one_of_the_same_name_are_told_as_well() {
        let program = [
            "test same ... something of a child",
            "FAILED",
            "failures:",
            "---- same stdout ----",
            "Error: one",
            "failures:",
            "    same",
            "test result: FAILED. 0 passed; 1 failed; 0 ignored",
        ];
        let reader = read(&[program, program].concat());
        let twice = ["same", "same"].map(|name| (name, "Error: one".to_owned()));
        assert_eq!(said(&reader.failures), twice);
    }

    #[test]
    fn the_end_of_a_long_message_is_kept_and_so_is_its_beginning() {
        let failure = Failure {
            name: "long".to_owned(),
            said: (0..100).map(|number| number.to_string()).collect(),
        };
        assert_eq!(failure.shortened(6), ["0", "1", "...", "97", "98", "99"]);
        assert_eq!(failure.shortened(100).len(), 100);
    }

    #[test]
    fn the_messages_of_many_failures_fit_in_the_end_of_a_log() {
        let said: Vec<String> = (0..300).map(|number| format!("line {number}")).collect();
        let failure = |number: usize| Failure {
            name: format!("test {number}"),
            said: said.clone(),
        };
        let entry = |failures: usize| Entry {
            name: "container".to_owned(),
            counts: Counts::default(),
            elapsed: Duration::ZERO,
            failures: (0..failures).map(failure).collect(),
        };
        for failures in [1, 3, 5] {
            let summary = Summary {
                entries: vec![entry(failures)],
            };
            let text = summary.to_string();
            assert!(text.lines().count() < 95, "{failures}:\n{text}");
            assert!(text.contains("line 0") && text.contains("line 299"));
        }
    }
}
