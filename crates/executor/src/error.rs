use std::error::Error as StdError;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use kigumi_dockerfile::{Diagnostics, Severity, Source, Span};
use kigumi_oci::{DiffId, Digest};

use crate::cache::CacheError;
use crate::cli::ConfigError;
use crate::login::LoginError;
use crate::report;
use crate::secrets::SecretError;
use crate::ssh::SshError;

/// The exit code of a build that could go on and must not.
const GATE_FAILED: u8 = 42;

/// Why a build ended without an image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The command line is wrong.
    #[error(transparent)]
    Config(ConfigError),
    /// The cache of layers.
    #[error(transparent)]
    LayerCache(CacheError),
    /// A secret that cannot be had.
    #[error(transparent)]
    Secret(SecretError),
    /// `executor login` cannot keep a password.
    #[error(transparent)]
    Login(LoginError),
    /// A file with credentials that was to be removed or put back.
    #[error("{operation} `{}`", .path.display())]
    CredentialFile {
        /// What was to be done.
        operation: &'static str,
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// An ssh agent that there cannot be.
    #[error(transparent)]
    Ssh(SshError),
    /// A secret that a RUN requires and nobody gave.
    #[error(
        "secret {id}: not found; give it with --secret id={id},src=FILE or --secret id={id},env=VARIABLE"
    )]
    NoSecret {
        /// Of the secret.
        id: String,
    },
    /// The file of a secret.
    #[error("secret {id}: {operation}")]
    SecretFile {
        /// Of the secret.
        id: String,
        /// What was to be done.
        operation: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A secret that would have stayed.
    #[error(
        "secret {id}: the step has moved or hard-linked the file of the secret to another place of the root filesystem; it was emptied there. A mount cannot be moved; if the image shall hold the secret, copy it"
    )]
    SecretMoved {
        /// Of the secret.
        id: String,
    },
    /// An agent that a RUN requires and nobody gave.
    #[error("ssh agent {id}: not found; give it with --ssh {id}=SOCKET or --ssh {id}=KEYFILE")]
    NoAgent {
        /// Of the agent.
        id: String,
    },
    /// A secret that no variable can hold.
    #[error(
        "secret {id}: it holds a zero byte, so that the variable `{variable}` cannot have it; mount it as a file"
    )]
    SecretVariable {
        /// Of the secret.
        id: String,
        /// Which.
        variable: String,
    },
    /// No Dockerfile where it should be.
    #[error("no Dockerfile: looked for {}", list(.looked_for))]
    NoDockerfile {
        /// Everywhere it was looked for.
        looked_for: Vec<String>,
    },
    /// A file of the executor's own input cannot be read.
    #[error("read {what} `{}`", .path.display())]
    Read {
        /// What it is.
        what: &'static str,
        /// Where it is.
        path: PathBuf,
        /// What the kernel says.
        #[source]
        source: io::Error,
    },
    /// The Dockerfile is wrong.
    #[error("the Dockerfile cannot be built")]
    Dockerfile(Box<Diagnostics>),
    /// Rules about the Dockerfile were violated, and that was to fail the build.
    #[error("lint violation found for rules: {}", .rules.join(", "))]
    Lint {
        /// Their ids, each once.
        rules: Vec<&'static str>,
    },
    /// The configuration of the rules makes no sense.
    #[error("{origin}")]
    LintOptions {
        /// Where it stands.
        origin: String,
        /// What is wrong with it.
        #[source]
        source: kigumi_dockerfile::lint::OptionsError,
    },
    /// The build context cannot be used.
    #[error("use the build context `{}`", .path.display())]
    Context {
        /// Where it is.
        path: PathBuf,
        /// Why not.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The build context is not there.
    #[error("--context: there is no directory `{}`", .path.display())]
    NoContext {
        /// Where it should be.
        path: PathBuf,
    },
    /// The build context cannot be had.
    #[error("fetch the build context `{context}`{hint}")]
    FetchContext {
        /// Where it is, without credentials.
        context: String,
        /// What to do about it; begins with a space where there is something.
        hint: String,
        /// Why not.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// This is no place to build.
    #[error(transparent)]
    UnsafeRoot(Box<kigumi_rootfs::Refusal>),
    /// Something about the root filesystem.
    #[error("{operation}")]
    Root {
        /// What was to be done.
        operation: String,
        /// Why it was not.
        #[source]
        source: kigumi_rootfs::Error,
    },
    /// Something about a registry, a layout or an archive.
    #[error("{operation}")]
    Registry {
        /// What was to be done.
        operation: String,
        /// Why it was not.
        #[source]
        source: Arc<kigumi_registry::Error>,
    },
    /// A file of the web cannot be had.
    #[error(transparent)]
    Web(Arc<kigumi_registry::Error>),
    /// A file whose time is to be that of the build has none.
    #[error(
        "`{url}` has no Last-Modified, so it gives the build no time; pass a number as SOURCE_DATE_EPOCH"
    )]
    NoTime {
        /// The file.
        url: String,
    },
    /// A layer cannot be read or written.
    #[error("{operation}")]
    Layer {
        /// What was to be done.
        operation: String,
        /// Why it was not.
        #[source]
        source: kigumi_layer::Error,
    },
    /// A layer that is not what the image's config promises.
    #[error("layer {layer}: its content is {actual}, the image config says {expected}")]
    DiffIdMismatch {
        /// The layer as stored.
        layer: Digest,
        /// What the config says.
        expected: DiffId,
        /// What it is.
        actual: DiffId,
    },
    /// An image whose parts contradict each other or that kigumi cannot build on.
    #[error("image `{reference}`: {reason}")]
    UnusableImage {
        /// The image.
        reference: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The content of a file cannot be had.
    #[error("read the content of `{path}`")]
    Content {
        /// The path in the image.
        path: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A work file.
    #[error("{operation} in the work directory `{}`", .directory.display())]
    Work {
        /// What was to be done.
        operation: &'static str,
        /// Where.
        directory: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// An output file.
    #[error("write the {what} to `{}`", .path.display())]
    Output {
        /// What it is.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A document of ours cannot be made.
    #[error("make the {what} of the image")]
    Document {
        /// Which.
        what: &'static str,
        /// Why not.
        #[source]
        source: kigumi_oci::Error,
    },
    /// COPY or ADD that cannot be done.
    #[error("{message}")]
    Copy {
        /// What is wrong, in the user's words.
        message: String,
        /// The cause below it.
        #[source]
        source: Option<Box<dyn StdError + Send + Sync>>,
    },
    /// A git repository that cannot be had.
    #[cfg(feature = "git")]
    #[error(transparent)]
    Git(Box<kigumi_context::git::GitError>),
    /// COPY, ADD or WORKDIR that contradicts the files there are.
    #[error(transparent)]
    CopyEngine(Box<kigumi_context::CopyError>),
    /// A COPY or ADD of something that the build context has not.
    #[error("{missing}{why}")]
    NotInContext {
        /// What is missing, and for whom.
        missing: Box<BuildError>,
        /// Why; to be read behind it.
        why: &'static str,
    },
    /// A user that the image does not know.
    #[error("process {command} did not complete successfully: {source}")]
    User {
        /// What was to be run.
        command: String,
        /// Who is missing.
        #[source]
        source: kigumi_rootfs::users::UserError,
    },
    /// An instruction that asks for what this pod does not have.
    #[error("{reason}")]
    Refused {
        /// What is missing.
        reason: String,
    },
    /// What a RUN expects to find cannot be made.
    #[error("{operation}")]
    Furnish {
        /// What was to be made.
        operation: String,
        /// Why it was not.
        #[source]
        source: io::Error,
    },
    /// The source of a mount is not there.
    #[error("mount `{path}`: there is no such file or directory in {place}")]
    MountSource {
        /// As written.
        path: String,
        /// Where it was looked for.
        place: String,
    },
    /// Something cannot be mounted.
    #[error("{operation} at `{target}`")]
    Mount {
        /// The mount point.
        target: String,
        /// What was to be done.
        operation: &'static str,
        /// Why it was not.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// A cache mount.
    #[error("cache `{id}`: {operation}")]
    Cache {
        /// As the Dockerfile names it.
        id: String,
        /// What was to be done.
        operation: &'static str,
        /// Why it was not.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// A RUN wrote where it must not.
    #[error(
        "`{path}` was changed, but what is mounted at `{mount}` is read-only; write elsewhere, or say `rw`: what is written is then discarded"
    )]
    ReadOnlyMount {
        /// What was written.
        path: String,
        /// The mount point.
        mount: String,
    },
    /// A command that cannot be started or watched.
    #[error("run {command}")]
    Run {
        /// What was to be run.
        command: String,
        /// Why not.
        #[source]
        source: kigumi_run::Error,
    },
    /// A command that failed.
    #[error("process {command} did not complete successfully: {how}")]
    Exit {
        /// What was run.
        command: String,
        /// `exit code: 3`, `killed by signal 9`.
        how: String,
        /// What the executor exits with.
        code: u8,
    },
    /// The build was told to end.
    #[error("the build was ended by signal {signal}")]
    Cancelled {
        /// Which.
        signal: i32,
    },
    /// The machine refuses something basic.
    #[error("{operation}")]
    Machine {
        /// What was to be done.
        operation: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Processes cannot be supervised.
    #[error("{operation}")]
    Supervise {
        /// What was to be done.
        operation: &'static str,
        /// Why not.
        #[source]
        source: kigumi_run::Error,
    },
    /// An entry of the layer cache that was believed, and whose layer cannot be had. The build begins again without it.
    #[error("the layer of the cache entry {key} cannot be had")]
    LostEntry {
        /// The key of the entry.
        key: kigumi_plan::CacheKey,
        /// Why not; none if that was told before.
        #[source]
        source: Option<Box<BuildError>>,
    },
    /// Any of the above, at an instruction.
    #[error("{text}")]
    Step {
        /// The instruction as a log shows it.
        text: String,
        /// The Dockerfile.
        file: Box<Source>,
        /// The instruction's place.
        span: Span,
        /// What happened.
        #[source]
        source: Box<BuildError>,
    },
}

fn list(places: &[String]) -> String {
    let mut shown: Vec<String> = places.iter().map(|place| format!("`{place}`")).collect();
    shown.dedup();
    shown.join(" and ")
}

impl BuildError {
    /// A thread that died while it did something.
    pub(crate) fn panicked(operation: &'static str) -> Self {
        Self::Machine {
            operation,
            source: std::io::Error::other(
                "it panicked; this is a defect of kigumi, please report it",
            ),
        }
    }

    /// What did not work out on the root filesystem, or in a directory like it.
    pub(crate) fn root(operation: impl Into<String>) -> impl Fn(kigumi_rootfs::Error) -> Self {
        let operation = operation.into();
        move |source| Self::Root {
            operation: operation.clone(),
            source,
        }
    }

    /// What did not work out with a cache mount.
    pub(crate) fn cache<E>(id: &str, operation: &'static str) -> impl Fn(E) -> Self + use<E>
    where
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        let id = id.to_owned();
        move |source| Self::Cache {
            id: id.clone(),
            operation,
            source: source.into(),
        }
    }

    /// The same error, at an instruction. Cancellation belongs to no instruction.
    #[must_use]
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "every other error can happen at an instruction"
    )]
    pub fn at(self, file: &Source, span: Span, text: &str) -> Self {
        match self {
            Self::Cancelled { .. } | Self::LostEntry { .. } | Self::Step { .. } => self,
            source => Self::Step {
                text: text.to_owned(),
                file: Box::new(file.clone()),
                span,
                source: Box::new(source),
            },
        }
    }

    /// The path that a COPY wants and that its source does not have.
    pub(crate) fn missing_source(&self) -> Option<&kigumi_layer::ImagePath> {
        let Self::CopyEngine(error) = self else {
            return None;
        };
        let kigumi_context::CopyError::SourceNotFound { path, .. } = error.as_ref() else {
            return None;
        };
        Some(path)
    }

    /// What the executor exits with: the code of a failed command, 128 + n after a signal, 42 when rules about the Dockerfile
    /// are to fail the build, else 1 (K-EXIT).
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "every other error is exit code 1"
    )]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Exit { code, .. } => *code,
            Self::Cancelled { signal } => kigumi_run::signals::exit_code_for(*signal),
            Self::Step { source, .. } => source.exit_code(),
            Self::Lint { .. } => GATE_FAILED,
            _ => 1,
        }
    }

    /// As [`BuildError::render`], with what to do about it at the end of the last line.
    pub(crate) fn render_with(&self, advice: Option<&str>) -> String {
        let text = self.render();
        match advice {
            Some(advice) => format!("{text}; {advice}"),
            None => text,
        }
    }

    /// What a person should read: the excerpt of the Dockerfile where there is one, the error, its causes. The last line says what failed (K-EXIT-07).
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "every other error is shown as its chain"
    )]
    pub fn render(&self) -> String {
        match self {
            Self::Dockerfile(diagnostics) => {
                format!(
                    "{}\nerror: {}",
                    report::render(diagnostics),
                    first(diagnostics)
                )
            }
            Self::Step {
                file, span, source, ..
            } => {
                let cause = chain(source.as_ref());
                let excerpt = report::excerpt(file, *span, &cause);
                // Causes may have several lines, the last line of a log has one.
                let cause = cause.lines().collect::<Vec<_>>().join(" ");
                format!("{excerpt}\nerror: {}:{}: {cause}", file.name(), span.line)
            }
            other => format!("error: {}", chain(other)),
        }
    }
}

/// The first error of a Dockerfile in one line, and how many there are.
fn first(diagnostics: &Diagnostics) -> String {
    let mut errors = diagnostics.items.iter();
    let is_error = |item: &&kigumi_dockerfile::Diagnostic| item.severity == Severity::Error;
    let others = errors.clone().filter(is_error).count().saturating_sub(1);
    let Some(item) = errors.find(is_error) else {
        return "the Dockerfile cannot be built".to_owned();
    };
    let others = match others {
        0 => String::new(),
        1 => " (and 1 other error)".to_owned(),
        others => format!(" (and {others} other errors)"),
    };
    let (file, line) = (diagnostics.file.name(), item.span.line);
    format!("{file}:{line}: {}{others}", item.message)
}

/// An error and its causes, one after the other, each said once.
pub fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        if !text.ends_with(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed() -> BuildError {
        BuildError::Exit {
            command: "\"/bin/sh -c exit 42\"".into(),
            how: "exit code: 42".into(),
            code: 42,
        }
    }

    #[test]
    fn the_code_of_a_failed_command_is_ours_k_exit_02() {
        let file = Source::new("Dockerfile", "FROM a\nRUN exit 42\n");
        let span = Span {
            start: 7,
            end: 18,
            line: 2,
            end_line: 2,
        };
        let error = failed().at(&file, span, "RUN exit 42");
        assert_eq!(error.exit_code(), 42);
        let text = error.render();
        assert!(text.contains("Dockerfile:2:1"), "{text}");
        assert!(
            text.contains("did not complete successfully: exit code: 42"),
            "{text}"
        );
    }

    #[test]
    fn everything_else_is_1_but_a_signal_is_128_and_more_k_exit_03_k_exit_06() {
        assert_eq!(
            BuildError::NoDockerfile { looked_for: vec![] }.exit_code(),
            1
        );
        assert_eq!(BuildError::Cancelled { signal: 15 }.exit_code(), 143);
    }

    #[test]
    fn causes_follow_the_error_on_one_line() {
        let error = BuildError::Read {
            what: "the Dockerfile",
            path: "/x".into(),
            source: io::Error::from(io::ErrorKind::PermissionDenied),
        };
        assert_eq!(
            error.render(),
            "error: read the Dockerfile `/x`: permission denied"
        );
    }

    #[test]
    fn a_place_that_was_looked_at_twice_is_named_once() {
        let error = BuildError::NoDockerfile {
            looked_for: vec!["/a".into(), "/a".into(), "/b".into()],
        };
        assert_eq!(error.to_string(), "no Dockerfile: looked for `/a` and `/b`");
    }
}
