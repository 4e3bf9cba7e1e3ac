//! Whether the root filesystem is given back as it was: three flags of kaniko, their variables, and what they mean together.

use super::Environment;
use super::args::go_bool;

const CLEANUP: &str = "KANIKO_CLEANUP";
const PRESERVE_CONTEXT: &str = "KANIKO_PRESERVE_CONTEXT";

/// The flags about what a build leaves on the root filesystem.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct CleanupFlags {
    /// Leave the root filesystem as it was, also after a failure or a signal; `KANIKO_CLEANUP` says the same [default: true, unless the executor is the container's first process; then what is on it is abandoned, which `--cleanup=false` prevents]
    #[arg(long, value_parser = go_bool, num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = "Root filesystem")]
    cleanup: Option<bool>,
    /// Begin on an empty root filesystem, as every build does; `KANIKO_PRE_CLEANUP` says the same
    #[arg(long, value_parser = go_bool, num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = "Root filesystem")]
    pub pre_cleanup: Option<bool>,
    /// Give the root filesystem back as it was, as --cleanup does; `KANIKO_PRESERVE_CONTEXT` says the same
    #[arg(long, value_parser = go_bool, num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = "Root filesystem")]
    preserve_context: Option<bool>,
}

/// What they mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cleanup {
    /// What was on the root filesystem before the build is there again after it.
    pub gives_back: bool,
    /// What is on the root filesystem after the build is nobody's business, because the container ends with it.
    pub abandons: bool,
}

impl Cleanup {
    /// Reads the flags and the environment; a flag wins over its variable.
    ///
    /// COMPAT(kaniko): there `--cleanup` empties the root and `--preserve-context` restores it afterwards. Here both give it back, which is what one wants who
    /// uses the container again. `--pre-cleanup` asks for what always holds: a stage with a RUN begins on an emptied root.
    ///
    /// `stays`: the files of the image are wanted on the root filesystem (`--materialize`), so that only who asks has them taken away.
    pub(super) fn new(flags: &CleanupFlags, environment: &Environment, stays: bool) -> Self {
        let asked = |flag: Option<bool>, name| flag.or_else(|| environment.truth(name));
        let preserves = asked(flags.preserve_context, PRESERVE_CONTEXT) == Some(true);
        let cleans = asked(flags.cleanup, CLEANUP);
        // Somebody started us, and goes on in this container when we are done.
        let otherwise = !environment.is_init && !stays;
        let gives_back = preserves || cleans.unwrap_or(otherwise);
        Self {
            gives_back,
            // Who says that nothing be cleaned may want to look at it from outside.
            abandons: environment.is_init && !stays && !gives_back && cleans.is_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Config, parse};

    fn gives_back(is_init: bool, variables: &[(&str, &str)], words: &[&str]) -> bool {
        cleanup(is_init, variables, words).gives_back
    }

    fn cleanup(is_init: bool, variables: &[(&str, &str)], words: &[&str]) -> Cleanup {
        let owned = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        let environment = Environment {
            variables: variables.iter().map(owned).collect(),
            is_init,
            ..Environment::default()
        };
        let words = ["executor", "--no-push"].iter().chain(words);
        let config = Config::new(&parse(words).unwrap().build, &environment).unwrap();
        config.cleanup
    }

    #[test]
    fn only_a_first_process_of_which_nothing_is_asked_abandons_what_is_on_the_root() {
        assert!(cleanup(true, &[], &[]).abandons);
        assert!(!cleanup(false, &[], &[]).abandons);
        assert!(!cleanup(false, &[], &["--cleanup=false"]).abandons);
        for words in [
            "--cleanup=false",
            "--cleanup",
            "--materialize",
            "--preserve-context",
        ] {
            assert!(!cleanup(true, &[], &[words]).abandons, "{words}");
        }
    }

    /// K-GL-02, K-JEN-01
    #[test]
    fn whoever_was_started_by_somebody_gives_the_root_back_and_a_first_process_need_not() {
        assert!(gives_back(false, &[], &[]));
        assert!(!gives_back(true, &[], &[]));
        assert!(!gives_back(false, &[], &["--cleanup=false"]));
    }

    #[test]
    fn an_image_that_is_wanted_on_the_root_stays_unless_cleaning_is_asked_for() {
        assert!(!gives_back(false, &[], &["--materialize"]));
        assert!(gives_back(false, &[], &["--materialize", "--cleanup"]));
    }

    #[test]
    fn each_flag_and_its_variable_say_the_same_and_the_flag_wins() {
        for (flag, variable) in [
            ("--cleanup", "KANIKO_CLEANUP"),
            ("--preserve-context", "KANIKO_PRESERVE_CONTEXT"),
        ] {
            assert!(gives_back(true, &[], &[flag]), "{flag}");
            assert!(gives_back(true, &[(variable, "1")], &[]), "{variable}");
            let off = format!("{flag}=false");
            assert!(!gives_back(true, &[(variable, "1")], &[&off]), "{off}");
            assert!(
                !gives_back(true, &[(variable, "yes")], &[]),
                "unparsable is unset"
            );
        }
        assert!(!gives_back(false, &[("KANIKO_CLEANUP", "false")], &[]));
    }

    #[test]
    fn an_empty_root_to_begin_with_is_no_wish_for_the_end() {
        assert!(!gives_back(true, &[], &["--pre-cleanup"]));
        assert!(!gives_back(true, &[("KANIKO_PRE_CLEANUP", "1")], &[]));
    }
}
