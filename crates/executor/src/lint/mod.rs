//! The rules for Dockerfiles, with what only the shell knows: flags, base images, the context.
//!
//! Rules run at the start of every build, after the images were asked for and before a byte of them is pulled. They never
//! change what is built; at most they end the build before it begins.

mod checkstyle;
mod command;
mod gitlab;
mod json;
mod page;
mod sarif;
mod text;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use kigumi_dockerfile::ignore::Patterns;
use kigumi_dockerfile::lint::{self, Base, Finding, Inputs, Report, Target};
use kigumi_dockerfile::{Diagnostic, Diagnostics, Dockerfile, Source};
use kigumi_oci::Platform;
use kigumi_plan::{BaseImage, ImageQuery, Planner};

use crate::cli::{Config, LintMode, LintSettings};
use crate::error::BuildError;
use crate::report::Events;

pub(crate) use command::run;

/// Most findings that a build tells. What follows does not become truer by being longer.
const MOST_TOLD: usize = 50;

/// What is known about the images of a planner.
pub(crate) fn inputs(planner: &Planner) -> Inputs {
    let host = Platform::host();
    let bases = planner.stage_images().into_iter();
    let bases = bases.map(|known| {
        let (query, image) = known?;
        image.map(|image| base(&query, image))
    });
    Inputs {
        predefined: planner.predefined(),
        host: (host.os, host.architecture),
        bases: bases.collect(),
        ..Inputs::default()
    }
}

fn base(query: &ImageQuery, image: &BaseImage) -> Base {
    let config = &image.config;
    let parts = |platform: &Platform| (platform.os.clone(), platform.architecture.clone());
    let says = !config.os.is_empty() && !config.architecture.is_empty();
    let shell = config.config.shell.as_ref();
    Base {
        env: config
            .config
            .env_pairs()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        has_shell: shell.is_some_and(|shell| !shell.is_empty()),
        triggers: config.config.on_build.clone().unwrap_or_default(),
        platform: says.then(|| parts(&config.platform())),
        wanted: Some(parts(&query.platform)),
    }
}

/// Whether a warning of the parser or the planner need not be told: a rule tells it, or it is a rule's and rules are off.
pub(crate) fn tells(warning: &str, mode: LintMode) -> bool {
    let is_rule = lint::rules().any(|rule| rule.id == warning);
    is_rule || mode != LintMode::Off && lint::replaces(warning)
}

/// Lets the rules look at a file, once for every platform that it is built for, and tells what they say.
///
/// # Errors
/// [`BuildError::LintOptions`], [`BuildError::Lint`].
pub(crate) fn before_build<'p>(
    files: impl Iterator<Item = (&'p Dockerfile, &'p Inputs)>,
    ignore: Option<&Patterns>,
    config: &Config,
    events: &Events,
) -> Result<(), BuildError> {
    if config.lint.mode == LintMode::Off {
        return Ok(());
    }
    let mut findings = Vec::new();
    let mut fails = false;
    let mut source = None;
    for (file, known) in files {
        let inputs = Inputs {
            build_args: config.build_args.clone(),
            target: config.target.clone().map_or(Target::Last, Target::Named),
            ignore: ignore.cloned(),
            ..known.clone()
        };
        let report = report(file, inputs, &config.lint)?;
        findings.extend(report.findings);
        fails |= report.fails;
        source = Some(&file.source);
    }
    if let Some(source) = source {
        tell(source, &findings, events);
    }
    judge(&findings, fails, &config.lint)
}

/// What the rules say.
///
/// # Errors
/// [`BuildError::LintOptions`].
fn report(
    file: &Dockerfile,
    inputs: Inputs,
    settings: &LintSettings,
) -> Result<Report, BuildError> {
    let inputs = Inputs {
        requested: settings.requested.clone(),
        trusted_registries: settings.trusted_registries.clone(),
        ..inputs
    };
    lint::lint(file, &inputs).map_err(|source| BuildError::LintOptions {
        origin: format!("configure the rules for {}", file.source.name()),
        source,
    })
}

/// One line a finding, rules about the text first.
fn tell(file: &Source, findings: &[Finding], events: &Events) {
    let mut sorted: Vec<&Finding> = findings.iter().collect();
    sorted.sort_by_key(|finding| (finding.rule.phase, finding.span.line));
    let mut lines: Vec<String> = sorted.iter().map(|one| one_line(file, one)).collect();
    let mut told = BTreeSet::new();
    lines.retain(|line| told.insert(line.clone()));
    let more = lines.len().saturating_sub(MOST_TOLD);
    for line in lines.into_iter().take(MOST_TOLD) {
        events.warn(line);
    }
    if more > 0 {
        events.warn(format!("{more} more findings: run `executor lint`"));
    }
}

fn one_line(file: &Source, finding: &Finding) -> String {
    let place = format!("{}:{}", file.name(), finding.span.line);
    match &finding.help {
        Some(help) => format!("{place}: {} ({}; {help})", finding.message, finding.rule.id),
        None => format!("{place}: {} ({})", finding.message, finding.rule.id),
    }
}

/// Whether the build may go on.
///
/// # Errors
/// [`BuildError::Lint`].
fn judge(findings: &[Finding], fails: bool, settings: &LintSettings) -> Result<(), BuildError> {
    let is_gate = settings.mode == LintMode::Error;
    let counts = |finding: &&Finding| fails || is_gate && finding.level() >= settings.threshold;
    let mut rules: Vec<&'static str> = findings
        .iter()
        .filter(counts)
        .map(|one| one.rule.id)
        .collect();
    rules.sort_unstable();
    rules.dedup();
    if rules.is_empty() {
        Ok(())
    } else {
        Err(BuildError::Lint { rules })
    }
}

/// A file that was looked at.
#[derive(Debug)]
struct Linted {
    /// As the user knows it.
    name: String,
    source: Source,
    findings: Vec<Finding>,
    /// `error=true`
    fails: bool,
    /// Why it cannot be built.
    errors: Option<Diagnostics>,
}

impl Linted {
    /// Why the file cannot be built.
    fn mistakes(&self) -> impl Iterator<Item = &Diagnostic> {
        self.errors.iter().flat_map(Diagnostics::errors)
    }
}

/// The id of a mistake. One of them is hadolint's: what stands before the first FROM.
fn id_of(mistake: &Diagnostic) -> &'static str {
    match mistake.name {
        "BeforeFrom" => "DL3061",
        name => name,
    }
}
