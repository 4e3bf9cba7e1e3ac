//! `executor lint`: no build, no root, nothing written.

use std::path::PathBuf;

use kigumi_context::{
    DockerfilePlace, dockerfile_candidates, ignore_file_candidates, read_ignore_file,
};
use kigumi_dockerfile::lint::{Inputs, Target};
use kigumi_dockerfile::{Diagnostic, Diagnostics, DirectiveKind, Dockerfile, parse_bytes};
use kigumi_plan::{BuildInputs, Planner};
use kigumi_registry::Client;

use super::{Linted, checkstyle, gitlab, json, page, sarif, text};
use crate::build::{client_config, find_dockerfile, find_image, planner_inputs, proxies, runtime};
use crate::cli::{Config, ContextFlag, Environment, LintCommand, LintFormat, default_context};
use crate::error::{BuildError, chain};
use crate::report::Events;

/// Nothing reaches the threshold.
const CLEAN: u8 = 0;

/// Something does.
const FOUND: u8 = 1;

/// A file cannot be read, or not be built.
const UNUSABLE: u8 = 2;

/// The report, and what to exit with.
///
/// # Errors
/// When no file can be looked at at all.
pub(crate) fn run(
    command: &LintCommand,
    environment: &Environment,
    events: &Events,
) -> Result<(String, u8), BuildError> {
    if command.rules {
        return Ok((page::render(), CLEAN));
    }
    let config = config(command, environment)?;
    let check = Check {
        command,
        config: &config,
        images: Images::new(command, &config, environment, events)?,
        events,
    };
    let files = files(command, &config, environment)?;
    let linted: Vec<Linted> = files.iter().map(|file| check.look_at(file)).collect();
    let shown = match command.format {
        LintFormat::Text => text::render(&linted),
        LintFormat::Json => json::render(&linted),
        LintFormat::Sarif => sarif::render(&linted),
        LintFormat::Gitlab => gitlab::render(&linted),
        LintFormat::Checkstyle => checkstyle::render(&linted),
    };
    Ok((shown, exit_code(&linted, &config)))
}

fn exit_code(linted: &[Linted], config: &Config) -> u8 {
    let fails = |file: &Linted| {
        let mut findings = file.findings.iter();
        findings.any(|finding| file.fails || finding.level() >= config.lint.threshold)
    };
    if linted.iter().any(|file| file.errors.is_some()) {
        UNUSABLE
    } else if linted.iter().any(fails) {
        FOUND
    } else {
        CLEAN
    }
}

/// The flags of a build, of which a check needs less.
fn config(command: &LintCommand, environment: &Environment) -> Result<Config, BuildError> {
    let mut flags = command.build.clone();
    flags.no_push = Some(true);
    // Outside of a pod the default does not exist.
    if let Some(here) = default_context(&flags.context, &environment.working_directory) {
        flags.context = here;
    }
    Config::new(&flags, environment).map_err(BuildError::Config)
}

/// A file to look at.
struct File {
    /// As the user knows it.
    name: String,
    path: PathBuf,
    bytes: Vec<u8>,
}

/// The files that are named, else the one that a build would take.
fn files(
    command: &LintCommand,
    config: &Config,
    environment: &Environment,
) -> Result<Vec<File>, BuildError> {
    let here = &environment.working_directory;
    let mut files = Vec::new();
    for name in &command.files {
        let candidates = dockerfile_candidates(name, here, &config.context.location);
        let (path, bytes) = on_disk(&candidates)?;
        let name = name.clone();
        files.push(File { name, path, bytes });
    }
    if files.is_empty() {
        let (path, bytes) = on_disk(&config.dockerfile)?;
        let name = path
            .strip_prefix(here)
            .unwrap_or(&path)
            .display()
            .to_string();
        files.push(File { name, path, bytes });
    }
    Ok(files)
}

/// A check fetches nothing but what it is told about base images.
fn on_disk(candidates: &[DockerfilePlace]) -> Result<(PathBuf, Vec<u8>), BuildError> {
    let elsewhere = |_: &DockerfilePlace| Ok(None);
    let (place, bytes) = find_dockerfile(candidates, &elsewhere)?;
    let path = place.disk().map(PathBuf::from).unwrap_or_default();
    Ok((path, bytes))
}

/// What all files are looked at with.
struct Check<'a> {
    command: &'a LintCommand,
    config: &'a Config,
    images: Images,
    events: &'a Events,
}

impl Check<'_> {
    fn look_at(&self, file: &File) -> Linted {
        let parsed = match parse_bytes(&file.bytes, &file.name) {
            Ok(parsed) => parsed,
            Err(errors) => {
                return Linted {
                    name: file.name.clone(),
                    source: errors.file.clone(),
                    findings: Vec::new(),
                    fails: false,
                    errors: Some(errors),
                };
            }
        };
        let config = self.config;
        let (known, errors) = match Planner::new(&parsed, self.images.inputs(config)) {
            Ok(mut planner) => {
                let contexts = &config.contexts;
                self.images
                    .answer(&mut planner, &parsed, contexts, self.events);
                (super::inputs(&planner), None)
            }
            // The rules have something to say nevertheless; what needs the images is silent.
            Err(errors) => (Inputs::default(), Some(errors)),
        };
        let context = config.context.directory();
        let ignore = ignore_file_candidates(Some(&file.path), context.as_deref());
        let inputs = Inputs {
            build_args: config.build_args.clone(),
            target: config.target.clone().map_or(Target::All, Target::Named),
            ignore: read_ignore_file(&ignore).ok(),
            restricted: self.command.tier == "restricted",
            ..known
        };
        let report = match super::report(&parsed, inputs, &config.lint) {
            Ok(report) => report,
            // One file that makes no sense does not hide the others.
            Err(error) => return unconfigured(file, &parsed, &error),
        };
        Linted {
            name: file.name.clone(),
            source: parsed.source.clone(),
            findings: report.findings,
            fails: report.fails,
            errors,
        }
    }
}

/// The `check` directive, or the build argument that replaces it, makes no sense.
fn unconfigured(file: &File, parsed: &Dockerfile, error: &BuildError) -> Linted {
    let mut directives = parsed.directives.iter();
    let directive = directives.find(|one| one.kind == DirectiveKind::Check);
    let span = directive.map_or_else(|| parsed.source.span(0, 0), |one| one.value.span);
    let mistake = Diagnostic::error("InvalidCheckOption", span, chain(error));
    Linted {
        name: file.name.clone(),
        source: parsed.source.clone(),
        findings: Vec::new(),
        fails: false,
        errors: Some(Diagnostics {
            file: parsed.source.clone(),
            items: vec![mistake],
        }),
    }
}

/// Who is asked for base images.
struct Images {
    runtime: tokio::runtime::Runtime,
    /// None with `--offline`.
    client: Option<Client>,
    created: String,
    proxies: Vec<(String, String)>,
}

impl Images {
    fn new(
        command: &LintCommand,
        config: &Config,
        environment: &Environment,
        events: &Events,
    ) -> Result<Self, BuildError> {
        let runtime = runtime()?;
        let client = if command.offline {
            None
        } else {
            let start = Client::start(client_config(config, environment, events.redactor())?);
            let client = runtime
                .block_on(start)
                .map_err(|source| BuildError::Registry {
                    operation: "prepare to speak to registries".to_owned(),
                    source: source.into(),
                })?;
            Some(client)
        };
        Ok(Self {
            runtime,
            client,
            // No image is made; nobody sees the time.
            created: "1970-01-01T00:00:00Z".to_owned(),
            proxies: proxies(environment),
        })
    }

    fn inputs(&self, config: &Config) -> BuildInputs {
        let host = kigumi_oci::Platform::host();
        let platform = config.platforms.first().cloned().unwrap_or(host);
        planner_inputs(config, platform, self.created.clone(), self.proxies.clone())
    }

    /// Asks for the images that stages stand on. One that cannot be had silences the rules that need it.
    fn answer(
        &self,
        planner: &mut Planner,
        file: &Dockerfile,
        contexts: &[ContextFlag],
        events: &Events,
    ) {
        let Some(client) = &self.client else {
            return;
        };
        let queries = planner.stage_images().into_iter().flatten();
        let queries: Vec<_> = queries.map(|(query, _)| query).collect();
        for (index, query) in queries.iter().enumerate() {
            let is_known = queries
                .iter()
                .take(index)
                .any(|known| known.is_same_image(query));
            if is_known {
                continue;
            }
            let finding = find_image(query, contexts, client);
            match self.runtime.block_on(finding) {
                Ok(image) => planner.supply(query, image.answer()),
                Err(error) => events.warn(format!(
                    "{}:{}: the base image cannot be looked at, variables that it may set are not judged: {}",
                    file.source.name(),
                    query.span.line,
                    chain(&error)
                )),
            }
        }
    }
}
