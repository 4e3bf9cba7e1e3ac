//! COPY and ADD.

use kigumi_dockerfile::instruction::{Add, Copy, Heredoc, SourcesAndDestination};
use kigumi_dockerfile::{Diagnostic, Word, word};
use kigumi_oci::Digest;

use super::remote::{Remote, remote_kind, without_password};
use super::scope::Scope;
use super::stage::{Context, Effect, Outcome};
use super::{chmod, path, run};
use crate::created_by;
use crate::op::{Chmod, CopyOp, CopySource, Op, Source, Unpack};
use crate::planner::FromName;

/// COPY
pub(super) fn copy(context: &Context<'_>, scope: &Scope, copy: &Copy) -> Outcome {
    let mut problems = Vec::new();
    let from = match &copy.from {
        None => Ok(CopySource::Context),
        Some(name) => {
            let mut name = name.clone();
            name.span = context.at(name.span);
            run::source(context, &FromName::of_copy(name))
        }
    };
    let from = keep(from, &mut problems);
    let flags = Flags {
        chown: copy.chown.as_ref(),
        chmod: copy.chmod.as_ref(),
        parents: copy.parents,
    };
    let lowered = lower(context, scope, "COPY", &flags, &copy.paths, &mut problems);
    let (Some(from), Some(lowered), true) = (from, lowered, problems.is_empty()) else {
        return Err(problems);
    };
    let exclude = copy.exclude.iter().map(|pattern| pattern.value.clone());
    Ok(lowered.effect(
        context,
        CopyOp {
            from,
            link: copy.link,
            exclude: exclude.collect(),
            ..blank(scope)
        },
    ))
}

/// ADD
pub(super) fn add(context: &Context<'_>, scope: &Scope, add: &Add) -> Outcome {
    let mut problems = Vec::new();
    let checksum = add
        .checksum
        .as_ref()
        .map(|word| scope.expand(word, context.escape()));
    let checksum = keep(checksum.transpose(), &mut problems).flatten();
    // A variable that expands to nothing is like no flag.
    let checksum = checksum.filter(|text| !text.is_empty());
    let flags = Flags {
        chown: add.chown.as_ref(),
        chmod: add.chmod.as_ref(),
        parents: false,
    };
    let lowered = lower(context, scope, "ADD", &flags, &add.paths, &mut problems);
    if let (Some(checksum), Some(word), Some(lowered)) = (&checksum, &add.checksum, &lowered) {
        problems.extend(checksum_problem(&lowered.sources, checksum, word));
    }
    let (Some(lowered), true) = (lowered, problems.is_empty()) else {
        return Err(problems);
    };
    let exclude = add.exclude.iter().map(|pattern| pattern.value.clone());
    Ok(lowered.effect(
        context,
        CopyOp {
            link: add.link,
            exclude: exclude.collect(),
            unpack: match add.unpack {
                None => Unpack::LocalArchives,
                Some(true) => Unpack::Always,
                Some(false) => Unpack::Never,
            },
            checksum,
            keep_git_dir: add.keep_git_dir,
            ..blank(scope)
        },
    ))
}

/// A copy of nothing to nowhere, to be filled.
fn blank(scope: &Scope) -> CopyOp {
    CopyOp {
        from: CopySource::Context,
        sources: Vec::new(),
        destination: "/".to_owned(),
        destination_is_directory: false,
        chown: None,
        chmod: None,
        link: false,
        parents: false,
        exclude: Vec::new(),
        unpack: Unpack::Never,
        checksum: None,
        keep_git_dir: None,
        user: scope.user(),
    }
}

fn keep<T>(result: Result<T, Diagnostic>, problems: &mut Vec<Diagnostic>) -> Option<T> {
    result.map_err(|problem| problems.push(problem)).ok()
}

fn checksum_problem(sources: &[Source], checksum: &str, word: &Word) -> Option<Diagnostic> {
    let message = match sources {
        [Source::Git(_)] => return None,
        [Source::Url(_)] => {
            let problem = checksum.parse::<Digest>().err()?;
            format!("--checksum of a URL has to be `sha256:` and 64 digits: {problem}")
        }
        [_] => "--checksum needs a source behind http, https or git".to_owned(),
        _ => "--checksum needs exactly one source".to_owned(),
    };
    Some(Diagnostic::error("InvalidChecksum", word.span, message))
}

/// What COPY and ADD have in common, unexpanded.
struct Flags<'a> {
    chown: Option<&'a Word>,
    chmod: Option<&'a Word>,
    parents: bool,
}

/// The same, expanded, with the text for the history.
struct LoweredPaths {
    sources: Vec<Source>,
    destination: String,
    destination_is_directory: bool,
    chown: Option<String>,
    chmod: Option<Chmod>,
    parents: bool,
    history: String,
}

impl LoweredPaths {
    /// Completes what the instruction itself knows.
    fn effect(self, context: &Context<'_>, rest: CopyOp) -> Effect {
        let as_user = context.ground.planner.inputs().copies_as_user;
        let by_default = as_user && rest.from == CopySource::Context;
        let owner = || rest.user.clone().filter(|_| by_default);
        let op = CopyOp {
            sources: self.sources,
            destination: self.destination,
            destination_is_directory: self.destination_is_directory,
            chown: self.chown.or_else(owner),
            parents: self.parents,
            // COMPAT(buildkit): a mode switches --link off.
            link: rest.link && self.chmod.is_none(),
            chmod: self.chmod,
            ..rest
        };
        Effect {
            op: Op::Copy(op),
            history: Some(self.history),
        }
    }
}

fn lower(
    context: &Context<'_>,
    scope: &Scope,
    name: &str,
    flags: &Flags<'_>,
    paths: &SourcesAndDestination,
    problems: &mut Vec<Diagnostic>,
) -> Option<LoweredPaths> {
    let escape = context.escape();
    let mut value = |word: Option<&Word>| {
        let expanded = word.map(|word| scope.expand(word, escape)).transpose();
        // A variable that expands to nothing is like no flag.
        keep(expanded, problems)
            .flatten()
            .filter(|text| !text.is_empty())
    };
    let (chown, mode) = (value(flags.chown), value(flags.chmod));
    let destination = value(Some(&paths.destination)).unwrap_or_default();
    let parsed = mode.as_deref().map(chmod::parse).transpose();
    let chmod = match (parsed, flags.chmod) {
        (Ok(chmod), _) => chmod,
        (Err(message), word) => {
            let span = word.map(|word| word.span).unwrap_or_default();
            problems.push(Diagnostic::error("InvalidChmod", span, message));
            None
        }
    };
    let mut shown = Vec::new();
    let mut sources = Vec::new();
    for word in &paths.sources {
        let source = scope
            .expand(word, escape)
            .and_then(|text| Ok((source(name, &text, word)?, text)));
        let (source, text) = keep(source, problems)?;
        shown.push(match source {
            // What opens a door stays out of the image (T-ADD-10).
            Source::Url(_) | Source::Git(_) => without_password(&text),
            Source::Path(_) | Source::Inline { .. } => text,
        });
        sources.push(source);
    }
    for heredoc in &paths.heredocs {
        sources.push(keep(inline(scope, heredoc), problems)?);
        shown.push(format!("<<{}", heredoc.name));
    }
    shown.push(destination.clone());
    Some(LoweredPaths {
        history: history(
            name,
            flags.parents,
            chown.as_deref(),
            mode.as_deref(),
            &shown,
        ),
        sources,
        destination_is_directory: path::is_directory(&destination),
        destination: path::join(scope.working_dir(), &destination),
        chown,
        chmod,
        parents: flags.parents,
    })
}

/// A path, or for ADD what lies elsewhere.
fn source(instruction: &str, text: &str, word: &Word) -> Result<Source, Diagnostic> {
    match remote_kind(text) {
        None => Ok(Source::Path(text.to_owned())),
        Some(remote) if instruction == "COPY" => {
            let what = match remote {
                Remote::Url => "a URL",
                Remote::Git => "a git repository",
            };
            let message = format!("source `{}` of COPY is {what}", word.raw);
            Err(Diagnostic::error("RemoteCopySource", word.span, message).with_help("use ADD"))
        }
        Some(Remote::Url) => Ok(Source::Url(text.to_owned())),
        Some(Remote::Git) => Ok(Source::Git(text.to_owned())),
    }
}

fn inline(scope: &Scope, heredoc: &Heredoc) -> Result<Source, Diagnostic> {
    let body = heredoc.body();
    let content = if heredoc.expand {
        let expanded = word::expand_heredoc(&body, &|name| scope.lookup(name));
        let expanded = expanded.map_err(|error| error.diagnostic(heredoc.span))?;
        expanded.text
    } else {
        body.into_owned()
    };
    Ok(Source::Inline {
        name: heredoc.name.clone(),
        content,
    })
}

fn history(
    name: &str,
    parents: bool,
    chown: Option<&str>,
    chmod: Option<&str>,
    paths: &[String],
) -> String {
    let mut words = Vec::new();
    words.extend(parents.then(|| "--parents".to_owned()));
    words.extend(chown.map(|chown| format!("--chown={chown}")));
    words.extend(chmod.map(|chmod| format!("--chmod={chmod}")));
    words.extend(paths.iter().cloned());
    created_by::words(name, words.iter().map(String::as_str)) + created_by::ON_STATE
}
