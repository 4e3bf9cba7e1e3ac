//! Where the build context and the Dockerfile are, as far as that is a matter of names.

use std::path::{Path, PathBuf};

use crate::Error;

/// A build context as it is given on the command line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Location {
    /// A directory of the host.
    Directory(PathBuf),
}

impl Location {
    /// Reads `--context`: a plain directory, or one after `dir://`. `working_directory` is the one the executor was started in; a relative
    /// directory is meant there (K-CLI-10). `sub_path` is `--context-sub-path`, which applies to contexts with a prefix only.
    ///
    /// # Errors
    /// [`Error::UnsupportedContext`] names any other prefix; [`Error::NoContext`] for the empty string.
    pub fn parse(context: &str, sub_path: &str, working_directory: &Path) -> Result<Self, Error> {
        if context.is_empty() {
            return Err(Error::NoContext);
        }
        let Some((scheme, rest)) = context.split_once("://") else {
            return Ok(Self::Directory(working_directory.join(context)));
        };
        if scheme != "dir" {
            return Err(Error::UnsupportedContext {
                context: context.to_owned(),
                scheme: format!("{scheme}://"),
            });
        }
        let directory = working_directory.join(rest);
        let below = sub_path.trim_start_matches('/');
        Ok(Self::Directory(if below.is_empty() {
            directory
        } else {
            directory.join(below)
        }))
    }
}

/// The places where the Dockerfile may be, best first (K-CLI-11): as given below the working directory, then below the context. Next to each
/// the lower-case name, where the given one is `Dockerfile` (dockerfile.md § 7, name fallback).
pub fn dockerfile_candidates(
    dockerfile: &Path,
    working_directory: &Path,
    context: &Path,
) -> Vec<PathBuf> {
    let mut candidates = Vec::new();
    let lower_case = (dockerfile.file_name() == Some("Dockerfile".as_ref()))
        .then(|| dockerfile.with_file_name("dockerfile"));
    for name in [Some(dockerfile.to_owned()), lower_case]
        .into_iter()
        .flatten()
    {
        for base in [working_directory, context] {
            let candidate = base.join(&name);
            if !candidates.contains(&candidate) {
                candidates.push(candidate);
            }
        }
    }
    candidates
}

/// The places where the ignore file of the main context may be, best first (K-CLI-12): next to the Dockerfile under its name, then in the
/// context.
pub fn ignore_file_candidates(dockerfile: &Path, context: &Path) -> Vec<PathBuf> {
    let mut own = dockerfile.as_os_str().to_owned();
    own.push(".dockerignore");
    vec![PathBuf::from(own), context.join(".dockerignore")]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_is_a_directory_with_or_without_its_prefix() {
        let cases = [
            ("/workspace", "", "/workspace"),
            ("dir:///workspace", "", "/workspace"),
            (".", "", "/start/."),
            ("app", "", "/start/app"),
            ("dir://app", "", "/start/app"),
            ("dir:///w", "services/a", "/w/services/a"),
            ("dir:///w", "/services/a", "/w/services/a"),
            ("/w", "services/a", "/w"),
        ];
        for (context, sub_path, expected) in cases {
            let location = Location::parse(context, sub_path, Path::new("/start")).unwrap();
            assert_eq!(location, Location::Directory(expected.into()), "{context}");
        }
    }

    #[test]
    fn other_kinds_of_context_are_refused_by_name() {
        for scheme in ["tar", "gs", "s3", "git", "https", "http", "oci", "Dir"] {
            let error =
                Location::parse(&format!("{scheme}://x/y"), "", Path::new("/")).unwrap_err();
            assert!(
                error.to_string().contains(&format!("`{scheme}://`")),
                "{error}"
            );
        }
        assert!(matches!(
            Location::parse("", "", Path::new("/")),
            Err(Error::NoContext)
        ));
    }

    #[test]
    fn a_dockerfile_is_looked_for_below_the_working_directory_and_then_in_the_context_k_cli_11() {
        let candidates = |dockerfile: &str| -> Vec<String> {
            dockerfile_candidates(dockerfile.as_ref(), "/start".as_ref(), "/context".as_ref())
                .iter()
                .map(|path| path.display().to_string())
                .collect()
        };
        assert_eq!(
            candidates("a/build.df"),
            ["/start/a/build.df", "/context/a/build.df"]
        );
        assert_eq!(candidates("/abs/build.df"), ["/abs/build.df"]);
        assert_eq!(
            candidates("a/Dockerfile"),
            [
                "/start/a/Dockerfile",
                "/context/a/Dockerfile",
                "/start/a/dockerfile",
                "/context/a/dockerfile"
            ]
        );
    }

    #[test]
    fn the_ignore_file_of_a_dockerfile_wins_over_the_contexts_t_ign_01() {
        assert_eq!(
            ignore_file_candidates("/d/App.Dockerfile".as_ref(), "/context".as_ref()),
            [
                PathBuf::from("/d/App.Dockerfile.dockerignore"),
                PathBuf::from("/context/.dockerignore")
            ]
        );
    }
}
