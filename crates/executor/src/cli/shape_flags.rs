//! Flags about what a build does on the whole: annotations, one layer or many, what is left behind, whether anything is done at all.

use clap::ArgAction;

use super::args::go_bool;
use super::config::pairs;
use super::{ConfigError, Environment, features};

/// As typed.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ShapeFlags {
    /// Annotation of the image's manifest, repeatable
    #[arg(long, value_name = "KEY=VALUE", action = ArgAction::Append, help_heading = "Output")]
    annotation: Vec<String>,
    /// Put everything that the build adds to its base image into one layer
    #[arg(long, value_parser = go_bool, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_default_value = true, help_heading = "Output")]
    single_snapshot: bool,
    /// Print the plan and end: nothing is built, nothing is pushed. `KANIKO_PRINT_PLAN` prints it and goes on
    #[arg(long, value_parser = go_bool, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_default_value = true, help_heading = "Output")]
    dryrun: bool,
    /// Leave the files of the image on the root filesystem at the end, also of one without a RUN
    #[arg(long, value_parser = go_bool, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_default_value = true, help_heading = "Root filesystem")]
    pub(super) materialize: bool,
}

#[expect(
    clippy::struct_excessive_bools,
    reason = "one field a flag, independent of each other"
)]
/// What they mean.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Shape {
    /// `--annotation`, in order; the last of one key counts.
    pub annotations: Vec<(String, String)>,
    /// `--single-snapshot`
    pub single_snapshot: bool,
    /// `--materialize`
    pub materialize: bool,
    /// `--dryrun`
    pub dryrun: bool,
    /// The plan is printed.
    pub prints_plan: bool,
    /// Files copied from the context belong to the USER of their line, not to 0:0.
    pub copies_as_user: bool,
}

impl Shape {
    /// What the flags and the environment say, for a build of so many platforms and targets.
    pub(super) fn new(
        flags: &ShapeFlags,
        environment: &Environment,
        (platforms, targets): (usize, usize),
    ) -> Result<Self, ConfigError> {
        // One root filesystem holds one image.
        let several = [(platforms, "platforms"), (targets, "targets")];
        if let (true, Some((count, what))) = (
            flags.materialize,
            several.into_iter().find(|(count, _)| *count > 1),
        ) {
            return Err(ConfigError::MaterializeSeveral { count, what });
        }
        Ok(Self {
            annotations: pairs("--annotation", "KEY=VALUE", &flags.annotation)?,
            single_snapshot: flags.single_snapshot,
            materialize: flags.materialize,
            dryrun: flags.dryrun,
            copies_as_user: !features::copies_as_root(environment),
            prints_plan: flags.dryrun || environment.is_set("KANIKO_PRINT_PLAN"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Config, parse};

    fn shape(variables: &[(&str, &str)], words: &[&str]) -> Result<Shape, ConfigError> {
        let environment = Environment::of(variables.iter().copied(), "/workspace");
        let words = ["executor", "--no-push"].iter().chain(words);
        Config::new(&parse(words).unwrap().build, &environment).map(|config| config.shape)
    }

    #[test]
    fn annotations_split_at_the_first_equals_sign_k_cli_08() {
        let found = shape(&[], &["--annotation=a=b=c", "--annotation", "x="]).unwrap();
        let expected = [("a", "b=c"), ("x", "")];
        assert_eq!(
            found.annotations,
            expected.map(|(key, value)| (key.to_owned(), value.to_owned()))
        );
        let error = shape(&[], &["--annotation=a"]).unwrap_err().to_string();
        assert!(error.contains("--annotation `a` has no `=`"), "{error}");
    }

    #[test]
    fn the_plan_is_printed_by_the_flag_and_by_the_variable_and_only_the_flag_ends_there() {
        let found = |variables: &[(&str, &str)], words: &[&str]| {
            let shape = shape(variables, words).unwrap();
            (shape.prints_plan, shape.dryrun)
        };
        assert_eq!(found(&[], &[]), (false, false));
        assert_eq!(found(&[], &["--dryrun"]), (true, true));
        assert_eq!(found(&[("KANIKO_PRINT_PLAN", "1")], &[]), (true, false));
        assert_eq!(
            found(&[("KANIKO_PRINT_PLAN", "maybe")], &[]),
            (false, false)
        );
    }

    #[test]
    fn one_root_filesystem_holds_one_image() {
        for (word, what) in [
            ("--platform=linux/amd64,linux/arm64", "2 platforms"),
            ("--target=a,b", "2 targets"),
        ] {
            let error = shape(&[], &["--materialize", word])
                .unwrap_err()
                .to_string();
            assert!(
                error.contains("--materialize") && error.contains(what),
                "{error}"
            );
        }
        assert!(
            shape(&[], &["--materialize", "--target=a"])
                .unwrap()
                .materialize
        );
    }
}
