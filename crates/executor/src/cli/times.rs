//! Which time an image and its new files bear: the flags, the environment, and what they mean together.

use clap::ArgAction;
use kigumi_layer::Timestamp;

use super::Environment;
use super::args::go_bool;

/// The variable of the environment, and the build argument.
const SOURCE_DATE_EPOCH: &str = "SOURCE_DATE_EPOCH";

/// The flags of reproducible builds.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct TimeFlags {
    /// Time of the image, in seconds since 1970; nothing in its new layers is newer. `SOURCE_DATE_EPOCH` in the environment says the same
    #[arg(
        long,
        visible_alias = "timestamp",
        value_name = "SECONDS",
        action = ArgAction::Set,
        allow_hyphen_values = true,
        help_heading = "Output"
    )]
    source_date_epoch: Option<String>,
    /// Nothing in the new layers is newer than `SOURCE_DATE_EPOCH`, wherever that is set; where it is not, all times are 1970
    #[arg(long, value_parser = go_bool, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_default_value = true, help_heading = "Output")]
    reproducible: bool,
}

/// What they mean.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Times {
    /// Files of new layers are no newer than the image, if that has an epoch.
    ///
    /// COMPAT(buildkit): a build argument alone only sets the times of the config.
    clamp: bool,
    /// And 1970 is the epoch of an image that has none.
    reproducible: bool,
}

impl Times {
    /// Reads the flags and the environment; the epoch that they say becomes a build argument, so that a Dockerfile that declares it sees it: one
    /// of the environment gives way to `--build-arg`, as with `docker build`, and the flag to nothing.
    pub(super) fn new(
        flags: &TimeFlags,
        environment: &Environment,
        build_args: &mut Vec<(String, String)>,
    ) -> Self {
        let variable = environment.variables.get(SOURCE_DATE_EPOCH);
        let variable = variable.filter(|value| !value.is_empty());
        let argument = |value: &String| (SOURCE_DATE_EPOCH.to_owned(), value.clone());
        if let Some(value) = variable {
            build_args.insert(0, argument(value));
        }
        if let Some(value) = &flags.source_date_epoch {
            build_args.push(argument(value));
        }
        let given = flags.source_date_epoch.as_ref().or(variable);
        Self {
            clamp: given.is_some_and(|value| !value.is_empty()),
            reproducible: flags.reproducible,
        }
    }

    /// The time of an image without an epoch, if it is not to be that of its build.
    #[must_use]
    pub fn without_epoch(&self) -> Option<Timestamp> {
        self.reproducible.then(|| Timestamp::from_seconds(0))
    }

    /// The latest time that a file of a new layer may have, for an image of this epoch.
    #[must_use]
    pub fn latest(&self, epoch: Option<i64>) -> Option<Timestamp> {
        let asked = self.clamp || self.reproducible;
        let epoch = epoch.filter(|_| asked).map(Timestamp::from_seconds);
        epoch.or(self.without_epoch())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Config, parse};

    /// The epoch that the planner is given, and what files are clamped to if it takes that.
    fn meaning(variable: Option<&str>, words: &[&str]) -> (Option<String>, Option<i64>) {
        let mut environment = Environment {
            working_directory: "/workspace".into(),
            ..Environment::default()
        };
        let variable = variable.map(|value| (SOURCE_DATE_EPOCH.to_owned(), value.to_owned()));
        environment.variables.extend(variable);
        let words = ["executor", "--no-push"].iter().chain(words);
        let config = Config::new(&parse(words).unwrap().build, &environment).unwrap();
        let epoch = config.build_args.last().map(|(_, value)| value.clone());
        let seconds = epoch.as_ref().and_then(|text| text.parse().ok());
        let latest = config.times.latest(seconds);
        (epoch, latest.map(|time| time.seconds))
    }

    /// Variable, flags; epoch, latest time.
    type Case<'a> = (Option<&'a str>, &'a [&'a str], Option<&'a str>, Option<i64>);

    /// T-FMT-05, T-FMT-06
    #[test]
    fn the_flag_wins_over_the_argument_and_the_argument_over_the_environment() {
        let argument = "--build-arg=SOURCE_DATE_EPOCH=2";
        let cases: &[Case<'_>] = &[
            (None, &[], None, None),
            (None, &[argument], Some("2"), None),
            (Some("1"), &[], Some("1"), Some(1)),
            (Some(""), &[], None, None),
            (Some("1"), &[argument], Some("2"), Some(2)),
            (
                Some("1"),
                &["--source-date-epoch=3", argument],
                Some("3"),
                Some(3),
            ),
            (None, &["--timestamp", "3"], Some("3"), Some(3)),
            (
                None,
                &["--timestamp=3", "--source-date-epoch=4"],
                Some("4"),
                Some(4),
            ),
            (Some("1"), &["--source-date-epoch="], Some(""), None),
            (Some("context"), &[], Some("context"), None),
            (None, &["--reproducible"], None, Some(0)),
            (None, &["--reproducible", "--timestamp="], Some(""), Some(0)),
            (None, &["--reproducible", argument], Some("2"), Some(2)),
            (None, &["--reproducible=false", argument], Some("2"), None),
        ];
        for (variable, words, epoch, latest) in cases {
            let expected = (epoch.map(str::to_owned), *latest);
            assert_eq!(
                meaning(*variable, words),
                expected,
                "{variable:?} {words:?}"
            );
        }
    }
}
