//! Where the build context is: `--bucket`, `--git` and the variables about git, beside `--context` and `--context-sub-path`.

use std::path::{Path, PathBuf};

use clap::ArgAction;
use kigumi_context::git::{GitReference, MainRepository, Remote, UserInfo};
use kigumi_context::{DockerfilePlace, Location, Place, dockerfile_candidates};

use super::args::go_bool;
use super::{BuildFlags, ConfigError, Environment};

/// As typed.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ContextFlags {
    /// Archive in a bucket of Google Cloud Storage, or any context with a prefix; `--context` says the same
    #[arg(short = 'b', long, hide = true, default_value = "")]
    pub bucket: String,
    /// How a git context is fetched, repeatable: branch=NAME, recurse-submodules=true, insecure-skip-tls=true; single-branch and depth
    /// are accepted, for only one commit is ever fetched
    #[arg(long, value_name = "KEY=VALUE[,KEY=VALUE]", action = ArgAction::Append, allow_hyphen_values = true, help_heading = "Input")]
    pub git: Vec<String>,
}

/// What they mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContextSettings {
    /// Where the context is.
    pub location: Location,
    /// The repository, where it is one.
    pub repository: Option<Box<GitReference>>,
    /// The host whose certificate is not verified.
    pub unverified_host: Option<String>,
}

/// `--git`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct GitOptions {
    branch: Option<String>,
    submodules: bool,
    skip_tls_verify: bool,
}

/// The build argument that keeps `.git`. COMPAT(buildkit)
const KEEP_GIT_DIR: &str = "BUILDKIT_CONTEXT_KEEP_GIT_DIR";

impl ContextSettings {
    /// What the flags mean.
    ///
    /// # Errors
    /// [`ConfigError::Context`], [`ConfigError::Git`], [`ConfigError::Bucket`].
    pub fn new(
        flags: &BuildFlags,
        build_args: &[(String, String)],
        environment: &Environment,
    ) -> Result<Self, ConfigError> {
        let wrong = |reason: String| ConfigError::Context { reason };
        let options = git_options(&flags.context_flags.git)?;
        let context = named(&flags.context, &flags.context_flags.bucket)?;
        let working_directory = &environment.working_directory;
        let location = Location::parse(&context, &flags.context_sub_path, working_directory);
        let location = location.map_err(|error| wrong(error.to_string()))?;
        let Place::Git(text) = &location.place else {
            return Ok(Self {
                location,
                repository: None,
                unverified_host: None,
            });
        };
        let repository = repository(&options, build_args, environment)
            .reference(text)
            .map_err(|error| wrong(error.to_string()))?;
        let unverified_host = match &repository.remote {
            Remote::Http { url, .. } if options.skip_tls_verify => authority(url.as_str()),
            Remote::Http { .. } | Remote::Git { .. } | Remote::Ssh { .. } => None,
        };
        Ok(Self {
            location,
            repository: Some(Box::new(repository)),
            unverified_host,
        })
    }

    /// Where `--dockerfile` may be, most preferred first.
    pub fn dockerfiles(&self, text: &str, environment: &Environment) -> Vec<DockerfilePlace> {
        dockerfile_candidates(text, &environment.working_directory, &self.location)
    }

    /// The directory of this machine that is the context, if one is.
    pub fn directory(&self) -> Option<PathBuf> {
        self.location.directory()
    }

    /// The directory or file of this machine that is read for it.
    pub fn path(&self) -> Option<PathBuf> {
        self.location.path()
    }
}

/// `--bucket` in its place: COMPAT(kaniko), which looks at it only where `--context` is empty or has a prefix, and ignores it in silence elsewhere.
fn named(context: &str, bucket: &str) -> Result<String, ConfigError> {
    if bucket.is_empty() {
        return Ok(context.to_owned());
    }
    if !context.is_empty() && !context.contains("://") {
        return Err(ConfigError::Bucket {
            context: context.to_owned(),
            bucket: bucket.to_owned(),
        });
    }
    if bucket.contains("://") {
        return Ok(bucket.to_owned());
    }
    Ok(format!("gs://{bucket}"))
}

fn git_options(texts: &[String]) -> Result<GitOptions, ConfigError> {
    let mut options = GitOptions::default();
    for text in texts.iter().flat_map(|text| text.split(',')) {
        if text.is_empty() {
            continue;
        }
        let wrong = |reason: String| ConfigError::Git {
            text: text.to_owned(),
            reason,
        };
        let no_value = || wrong("it has no `=`: expected KEY=VALUE".to_owned());
        let (key, value) = text.split_once('=').ok_or_else(no_value)?;
        let switch = || match value {
            "" => Ok(false),
            value => go_bool(value).map_err(&wrong),
        };
        match key {
            "branch" => options.branch = (!value.is_empty()).then(|| value.to_owned()),
            "recurse-submodules" => options.submodules = switch()?,
            "insecure-skip-tls" => options.skip_tls_verify = switch()?,
            // One commit of one branch is fetched, whatever they say.
            "single-branch" => drop(switch()?),
            "depth" if value.is_empty() => {}
            "depth" => {
                let number = value.parse::<u32>();
                number.map_err(|_no_number| wrong(format!("`{value}` is not a number")))?;
            }
            _ => {
                let known =
                    "branch, single-branch, depth, recurse-submodules and insecure-skip-tls";
                return Err(wrong(format!("there is no `{key}`; there are {known}")));
            }
        }
    }
    Ok(options)
}

fn repository(
    options: &GitOptions,
    build_args: &[(String, String)],
    environment: &Environment,
) -> MainRepository {
    let variable = |name: &str| {
        let value = environment.variables.get(name).map(String::as_str);
        value.filter(|value| !value.is_empty())
    };
    // COMPAT(kaniko): a token is sent as the name of a user without a password.
    let user = match (
        variable("GIT_TOKEN"),
        variable("GIT_USERNAME"),
        variable("GIT_PASSWORD"),
    ) {
        (Some(token), _, _) => Some(UserInfo::new(token, "")),
        (None, None, None) => None,
        (None, name, password) => Some(UserInfo::new(
            name.unwrap_or_default(),
            password.unwrap_or_default(),
        )),
    };
    let mut arguments = build_args.iter().rev();
    let keep = arguments.find(|(name, _)| name == KEEP_GIT_DIR);
    MainRepository {
        plain_http: variable("GIT_PULL_METHOD") == Some("http"),
        branch: options.branch.clone(),
        submodules: options.submodules,
        keep_git_dir: keep.is_some_and(|(_, value)| go_bool(value) == Ok(true)),
        user,
    }
}

/// `host[:port]` of a URL without a user.
fn authority(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    rest.split(['/', '?', '#']).next().map(str::to_owned)
}

/// What stands in for `--context` where the user gave none and there is no such directory.
pub(crate) fn default_context(context: &str, working_directory: &Path) -> Option<String> {
    (context == DEFAULT_CONTEXT && !Path::new(context).is_dir())
        .then(|| working_directory.to_string_lossy().into_owned())
}

/// What `dir://PATH` means where `PATH` is relative, not below the working directory, and a directory below `/`: the one that is there.
///
/// COMPAT(kaniko): the pod of its tutorial says `dir://workspace` and mounts the context at `/workspace`. kaniko looks into
/// `/workspace/workspace` then, and nobody notices as long as nothing is copied.
pub(crate) fn context_below_root(
    context: &str,
    working_directory: &Path,
    is_dir: impl Fn(&Path) -> bool,
) -> Option<String> {
    let relative = context
        .strip_prefix("dir://")
        .filter(|path| !path.is_empty())?;
    let there = Path::new("/").join(relative);
    let is_meant = !is_dir(&working_directory.join(relative)) && is_dir(&there);
    is_meant.then(|| format!("dir://{}", there.display()))
}

/// The default of `--context`.
pub(crate) const DEFAULT_CONTEXT: &str = "/workspace/";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::parse;

    fn settings_in(
        variables: &[(&str, &str)],
        words: &[&str],
    ) -> Result<ContextSettings, ConfigError> {
        let environment = Environment {
            variables: variables
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            working_directory: "/start".into(),
            executable: "/kaniko/executor".into(),
            is_init: false,
        };
        let flags = parse(std::iter::once("executor").chain(words.iter().copied())).unwrap();
        let arguments: Vec<(String, String)> = flags
            .build
            .build_arg
            .iter()
            .filter_map(|text| text.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        ContextSettings::new(&flags.build, &arguments, &environment)
    }

    fn repository_of(variables: &[(&str, &str)], words: &[&str]) -> GitReference {
        let settings = settings_in(variables, words).unwrap();
        *settings.repository.unwrap()
    }

    // K-CLI-10
    #[test]
    fn a_directory_that_is_not_here_but_below_the_root_is_meant_k_cli_10() {
        let found = |context: &str, there: &[&str]| {
            context_below_root(context, Path::new("/workspace"), |path| {
                there.iter().any(|known| path == Path::new(known))
            })
        };
        let root = ["/workspace"];
        assert_eq!(
            found("dir://workspace", &root).as_deref(),
            Some("dir:///workspace")
        );
        for context in ["dir:///workspace", "workspace", "dir://", "dir://nowhere"] {
            assert_eq!(found(context, &root), None, "{context}");
        }
        let both = ["/workspace", "/workspace/workspace"];
        assert_eq!(found("dir://workspace", &both), None, "what is here wins");
    }

    // K-CTX-02
    #[test]
    fn git_options_stand_together_or_apart_k_cli_04() {
        for words in [
            &[
                "-c=git://h/r",
                "--git=branch=b,recurse-submodules=true,depth=1,single-branch=T",
            ][..],
            &[
                "-c=git://h/r",
                "--git",
                "branch=b",
                "--git",
                "recurse-submodules=1",
            ],
        ] {
            let found = repository_of(&[], words);
            assert_eq!(found.revision.as_deref(), Some("b"), "{words:?}");
            assert!(found.submodules);
        }
        // As kaniko's own default says it.
        let default =
            "--git=branch=,single-branch=false,recurse-submodules=false,depth=,insecure-skip-tls=";
        let found = repository_of(&[], &["-c=git://h/r", default]);
        assert!(found.revision.is_none() && !found.submodules);
    }

    #[test]
    fn only_the_host_of_the_repository_goes_without_a_verified_certificate() {
        let words = ["-c=git://h:8443/r#main", "--git=insecure-skip-tls=true"];
        let found = settings_in(&[], &words).unwrap();
        assert_eq!(found.unverified_host.as_deref(), Some("h:8443"));
        assert_eq!(settings_in(&[], &words[..1]).unwrap().unverified_host, None);
    }

    // K-CTX-02
    #[test]
    fn variables_say_who_asks_and_how() {
        type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, Option<UserInfo>);
        let user = |variables: &[(&str, &str)]| {
            let found = repository_of(variables, &["-c=git://h/r"]);
            let Remote::Http { url, user } = found.remote else {
                panic!("{found:?}")
            };
            (url.scheme().to_owned(), user)
        };
        let token = ("GIT_TOKEN", "t");
        let (name, password) = (("GIT_USERNAME", "u"), ("GIT_PASSWORD", "p"));
        let cases: [Case<'_>; 5] = [
            (&[], "https", None),
            (
                &[token, name, password],
                "https",
                Some(UserInfo::new("t", "")),
            ),
            (&[name, password], "https", Some(UserInfo::new("u", "p"))),
            (&[password], "https", Some(UserInfo::new("", "p"))),
            (
                &[("GIT_TOKEN", ""), ("GIT_PULL_METHOD", "http")],
                "http",
                None,
            ),
        ];
        for (variables, scheme, expected) in cases {
            assert_eq!(
                user(variables),
                (scheme.to_owned(), expected),
                "{variables:?}"
            );
        }
        let keep = [
            "-c=git://h/r",
            "--build-arg=BUILDKIT_CONTEXT_KEEP_GIT_DIR=1",
        ];
        assert_eq!(repository_of(&[], &keep).keep_git_dir, Some(true));
        assert_eq!(repository_of(&[], &keep[..1]).keep_git_dir, None);
    }

    #[test]
    fn a_credential_is_shown_by_nothing() {
        let variables = [("GIT_USERNAME", "u"), ("GIT_PASSWORD", "s3cret")];
        let shown = format!("{:?}", settings_in(&variables, &["-c=git://h/r"]));
        assert!(!shown.contains("s3cret"), "{shown}");
    }

    #[test]
    fn a_bucket_is_a_context_where_no_directory_is_given() {
        let place = |words: &[&str]| settings_in(&[], words).map(|found| found.location.place);
        let gcs = place(&["-c=", "-b=bucket/dir/c.tar.gz"]).unwrap();
        assert!(
            matches!(&gcs, Place::Gcs(name) if name.bucket == "bucket" && name.key == "dir/c.tar.gz")
        );
        let s3 = place(&["--context=gs://other", "--bucket=s3://bucket"]).unwrap();
        assert!(matches!(&s3, Place::S3(name) if name.key == "context.tar.gz"));
        let error = place(&["--bucket=b"]).unwrap_err().to_string();
        assert!(
            error.contains("--bucket `b`") && error.contains("/workspace/"),
            "{error}"
        );
    }

    #[test]
    fn what_means_nothing_is_refused_with_the_reason() {
        for (words, expected) in [
            (&["-c=git://h/r", "--git=branch"][..], "has no `=`"),
            (&["-c=git://h/r", "--git=depth=x"], "`x` is not a number"),
            (
                &["-c=git://h/r", "--git=recurse-submodules=maybe"],
                "neither true nor false",
            ),
            (&["-c=git://h/r", "--git=tag=v1"], "there is no `tag`"),
            (&["-c=git://h/r#main#abc"], "not a full commit id"),
            (&["-c=git:///r"], "not a git repository"),
            (&["-c=ftp://h/x"], "`ftp://` are not supported"),
            (&["-c="], "no build context"),
        ] {
            let error = settings_in(&[], words).unwrap_err().to_string();
            assert!(error.contains(expected), "{words:?}: {error}");
        }
    }
}
