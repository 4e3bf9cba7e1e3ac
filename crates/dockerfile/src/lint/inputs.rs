//! What a file is linted with besides its text.

use crate::ignore::Patterns;

/// What the shell knows and this crate must not ask for: flags, images, the context.
///
/// Everything is optional. What is missing silences the rules that need it; it never makes one fire.
#[derive(Debug, Clone, Default)]
pub struct Inputs {
    /// `--build-arg`, in order; of several with one name the last counts.
    pub build_args: Vec<(String, String)>,
    /// The predefined arguments (`TARGETPLATFORM` …) with their values.
    pub predefined: Vec<(String, String)>,
    /// The operating system and the architecture of the builder, for platforms that name one of both.
    pub host: (String, String),
    /// Which stages are to be built; rules about building look at those that it needs.
    pub target: Target,
    /// What is known about the base image of a stage, by position of the stage.
    pub bases: Vec<Option<Base>>,
    /// The patterns of `.dockerignore`, if there is a context.
    pub ignore: Option<Patterns>,
    /// Rules that run although they are not on by themselves; `all` means all of them.
    pub requested: Vec<String>,
    /// Registries that base images may come from; empty allows all.
    pub trusted_registries: Vec<String>,
    /// The pod has only what the restricted Pod Security Standard allows.
    pub restricted: bool,
}

/// Which stages are to be built.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Target {
    /// All of them: a check without a target.
    #[default]
    All,
    /// The last one: a build without a target.
    Last,
    /// The one of this name.
    Named(String),
}

/// What a base image brings along.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Base {
    /// Its environment.
    pub env: Vec<(String, String)>,
    /// Whether it sets SHELL.
    pub has_shell: bool,
    /// Its ONBUILD triggers.
    pub triggers: Vec<String>,
    /// The operating system and architecture it is for, if it says so.
    pub platform: Option<(String, String)>,
    /// The operating system and architecture that were asked for.
    pub wanted: Option<(String, String)>,
}
