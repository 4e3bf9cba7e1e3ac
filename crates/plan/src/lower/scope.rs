//! What an instruction sees and changes: the config so far, variables, declared arguments. Dockerfile reference § ARG
//! scope.

use kigumi_dockerfile::{Diagnostic, Word};
use kigumi_oci::{HistoryEntry, ImageConfig, Platform, RootFs};

use super::path;
use crate::variables::Variables;

/// The PATH of an image that sets none.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Top-level fields of a config that belong to the platform and have no field in [`ImageConfig`].
const PLATFORM_FIELDS: [&str; 2] = ["os.version", "os.features"];

/// The state between two instructions.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    /// The image config so far, without `diff_ids`.
    pub(crate) config: ImageConfig,
    /// ENV and ARG in one list: of two with one name the later instruction wins (T-ARG-03). Both RUN and
    /// expansion see this list; the config has only the ENV part.
    pub(crate) variables: Variables,
    /// The declared arguments in order, each once, with the value they got by themselves.
    pub(crate) arguments: Vec<(String, Option<String>)>,
    /// CMD was used in this stage, so ENTRYPOINT keeps it.
    pub(crate) cmd_is_own: bool,
}

impl Scope {
    /// `FROM scratch`. The platform is that of the build: `--platform` of an empty base describes nothing.
    pub(crate) fn scratch(platform: &Platform) -> Self {
        let mut config = ImageConfig {
            architecture: platform.architecture.clone(),
            os: platform.os.clone(),
            variant: platform.variant.clone(),
            ..ImageConfig::default()
        };
        config.config.working_dir = Some("/".to_owned());
        Self::begin(config)
    }

    /// FROM an image: its config, save what describes that image alone.
    pub(crate) fn on_image(image: &ImageConfig, platform: &Platform) -> Self {
        let mut config = image.clone();
        config.history = consistent(config.history, config.rootfs.diff_ids.len());
        config.rootfs = RootFs::default();
        // COMPAT(buildkit): fields that nobody knows (Docker's `container`, an inline cache …) tell about the base, not
        // about what is built on it.
        config
            .extra
            .retain(|field, _| PLATFORM_FIELDS.contains(&field.as_str()));
        config.config.extra.clear();
        // As if WORKDIR had been written: relative ones and `..` in it are of no use to a process.
        let directory = config.config.working_dir.as_deref();
        if let Some(directory) = directory.filter(|directory| !directory.is_empty()) {
            config.config.working_dir = Some(path::working_dir("/", directory));
        }
        if config.architecture.is_empty() {
            config.architecture.clone_from(&platform.architecture);
            config.variant.clone_from(&platform.variant);
        }
        if config.os.is_empty() {
            config.os.clone_from(&platform.os);
        }
        Self::begin(config)
    }

    /// `FROM stage`: everything of the parent, its arguments included, but not its triggers.
    pub(crate) fn child(&self) -> Self {
        let mut scope = self.clone();
        scope.cmd_is_own = false;
        scope.start_stage();
        scope
    }

    fn begin(config: ImageConfig) -> Self {
        let mut scope = Self {
            config,
            variables: Variables::default(),
            arguments: Vec::new(),
            cmd_is_own: false,
        };
        scope.start_stage();
        scope
    }

    fn start_stage(&mut self) {
        self.config.created = None;
        self.config.config.on_build = None;
        let config = &mut self.config.config;
        if config.env_lookup("PATH").is_none() {
            config.set_env("PATH", DEFAULT_PATH);
        }
        // COMPAT(buildkit): at the start of a stage the config's variables are set again, so that an ARG of the parent
        // stage no longer shadows its ENV.
        for (name, value) in self.config.config.env_pairs() {
            self.variables.set(name, value);
        }
    }

    /// Adds what a step leaves in the history.
    pub(crate) fn remember(&mut self, entry: HistoryEntry) {
        self.config.history.push(entry);
    }

    /// WORKDIR, absolute.
    pub(crate) fn working_dir(&self) -> &str {
        match self.config.config.working_dir.as_deref() {
            None | Some("") => "/",
            Some(directory) => directory,
        }
    }

    /// USER; none is root.
    pub(crate) fn user(&self) -> Option<String> {
        let user = self.config.config.user.as_ref();
        user.filter(|user| !user.is_empty()).cloned()
    }

    /// SHELL, or the default.
    pub(crate) fn shell(&self) -> Vec<String> {
        let shell = self.config.config.shell.as_ref();
        match shell.filter(|shell| !shell.is_empty()) {
            Some(shell) => shell.clone(),
            None => vec!["/bin/sh".to_owned(), "-c".to_owned()],
        }
    }

    /// The shell with a text as its last argument.
    pub(crate) fn in_shell(&self, text: &str) -> Vec<String> {
        let mut words = self.shell();
        words.push(text.to_owned());
        words
    }

    /// The value of a variable.
    pub(crate) fn lookup(&self, name: &str) -> Option<String> {
        self.variables.value(name).map(str::to_owned)
    }

    /// A word as one text.
    pub(crate) fn expand(&self, word: &Word, escape: char) -> Result<String, Diagnostic> {
        word.expand(&|name| self.lookup(name), escape)
            .map(|expanded| expanded.text)
            .map_err(|error| error.diagnostic(word.span))
    }

    /// A word as the words it splits into.
    pub(crate) fn expand_words(
        &self,
        word: &Word,
        escape: char,
    ) -> Result<Vec<String>, Diagnostic> {
        word.expand(&|name| self.lookup(name), escape)
            .map(|expanded| expanded.words)
            .map_err(|error| error.diagnostic(word.span))
    }
}

/// The history of a base, made to agree with its layers: the number of entries with a layer must equal the number of
/// layers (T-HIST-02), which builders other than Docker do not always see to. Without need nothing is changed.
// DEVIATION: BuildKit adds what is missing behind our own entries; here it stands where those layers are.
fn consistent(mut history: Vec<HistoryEntry>, layers: usize) -> Vec<HistoryEntry> {
    let with_layer = history.iter().filter(|entry| !entry.empty_layer).count();
    let superfluous = with_layer.saturating_sub(layers);
    let oldest = history.iter_mut().filter(|entry| !entry.empty_layer);
    for entry in oldest.take(superfluous) {
        entry.empty_layer = true;
    }
    for _ in with_layer..layers {
        history.push(HistoryEntry {
            comment: Some("layer of the base image without history".to_owned()),
            ..HistoryEntry::default()
        });
    }
    history
}
