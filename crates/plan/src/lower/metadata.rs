//! Instructions that change the config alone, and WORKDIR.

use kigumi_dockerfile::instruction::{
    CommandForm, Healthcheck, HealthcheckOptions, KeyValues, Volume,
};
use kigumi_dockerfile::{Diagnostic, Word};

use super::scope::Scope;
use super::stage::{Context, Effect};
use super::{command, path, signal};
use crate::created_by;
use crate::op::{MakeDirOp, Op};

/// ENV. All values see the variables from before the instruction (T-EXP-07).
pub(super) fn env(
    context: &Context<'_>,
    scope: &mut Scope,
    env: &KeyValues,
) -> Result<Effect, Diagnostic> {
    let pairs = pairs(context, scope, env)?;
    for (name, value) in &pairs {
        scope.config.config.set_env(name, value);
        scope.variables.set(name, value);
    }
    Ok(Effect::config(created_by::pairs("ENV", &pairs)))
}

/// LABEL
pub(super) fn label(
    context: &Context<'_>,
    scope: &mut Scope,
    label: &KeyValues,
) -> Result<Effect, Diagnostic> {
    let pairs = pairs(context, scope, label)?;
    let labels = scope.config.config.labels.get_or_insert_default();
    labels.extend(pairs.iter().cloned());
    Ok(Effect::config(created_by::pairs("LABEL", &pairs)))
}

fn pairs(
    context: &Context<'_>,
    scope: &Scope,
    written: &KeyValues,
) -> Result<Vec<(String, String)>, Diagnostic> {
    let escape = context.escape();
    let pairs = written.pairs.iter();
    pairs
        .map(|pair| {
            Ok((
                scope.expand(&pair.key, escape)?,
                scope.expand(&pair.value, escape)?,
            ))
        })
        .collect()
}

/// CMD. `CMD []` is an empty command, not an inherited one.
pub(super) fn cmd(scope: &mut Scope, form: &CommandForm) -> Effect {
    let words = command::words(scope, form);
    let history = created_by::quoted_list("CMD", &words);
    let config = &mut scope.config.config;
    config.cmd = Some(words);
    config.args_escaped = Some(true);
    scope.cmd_is_own = true;
    Effect::config(history)
}

/// ENTRYPOINT. An inherited CMD was meant for another program (T-META-04).
pub(super) fn entrypoint(scope: &mut Scope, form: &CommandForm) -> Effect {
    let words = command::words(scope, form);
    let history = created_by::quoted_list("ENTRYPOINT", &words);
    let config = &mut scope.config.config;
    config.entrypoint = Some(words);
    if !scope.cmd_is_own {
        config.cmd = None;
    }
    Effect::config(history)
}

/// HEALTHCHECK
pub(super) fn healthcheck(scope: &mut Scope, check: &Healthcheck) -> Effect {
    let (test, options) = match check {
        Healthcheck::None => (vec!["NONE".to_owned()], HealthcheckOptions::default()),
        Healthcheck::Check { options, command } => (command::test(command), *options),
    };
    let history = format!(
        "HEALTHCHECK {{Test:[{}] Interval:{} Timeout:{} StartPeriod:{} StartInterval:{} Retries:{}}}",
        test.join(" "),
        created_by::duration(options.interval),
        created_by::duration(options.timeout),
        created_by::duration(options.start_period),
        created_by::duration(options.start_interval),
        options.retries,
    );
    // The parser refuses durations that do not fit.
    let nanoseconds =
        |duration: std::time::Duration| i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
    scope.config.config.healthcheck = Some(kigumi_oci::Healthcheck {
        test,
        interval: nanoseconds(options.interval),
        timeout: nanoseconds(options.timeout),
        start_period: nanoseconds(options.start_period),
        start_interval: nanoseconds(options.start_interval),
        retries: i64::from(options.retries),
    });
    Effect::config(history)
}

/// MAINTAINER
pub(super) fn maintainer(scope: &mut Scope, name: &str) -> Effect {
    scope.config.author = Some(name.to_owned());
    Effect::config(created_by::words("MAINTAINER", [name]))
}

/// ONBUILD: stored as written, and no history.
pub(super) fn onbuild(scope: &mut Scope, trigger: &str) -> Effect {
    let triggers = scope.config.config.on_build.get_or_insert_default();
    triggers.push(trigger.to_owned());
    Effect {
        op: Op::Config,
        history: None,
    }
}

/// SHELL
pub(super) fn shell(scope: &mut Scope, words: &[String]) -> Effect {
    scope.config.config.shell = Some(words.to_vec());
    Effect::config(created_by::list("SHELL", words))
}

/// STOPSIGNAL
pub(super) fn stopsignal(
    context: &Context<'_>,
    scope: &mut Scope,
    word: &Word,
) -> Result<Effect, Diagnostic> {
    let text = scope.expand(word, context.escape())?;
    if !signal::is_signal(&text) {
        let shown = if text.is_empty() { &word.raw } else { &text };
        let message = format!("`{shown}` is neither the name nor the number of a signal");
        return Err(Diagnostic::error("InvalidStopSignal", word.span, message));
    }
    let effect = Effect::config(created_by::words("STOPSIGNAL", [text.as_str()]));
    scope.config.config.stop_signal = Some(text);
    Ok(effect)
}

/// USER
pub(super) fn user(
    context: &Context<'_>,
    scope: &mut Scope,
    word: &Word,
) -> Result<Effect, Diagnostic> {
    let text = scope.expand(word, context.escape())?;
    let effect = Effect::config(created_by::words("USER", [text.as_str()]));
    scope.config.config.user = Some(text).filter(|text| !text.is_empty());
    Ok(effect)
}

/// VOLUME. COMPAT(buildkit): unlike those of EXPOSE, its words are not split where a value has blanks.
pub(super) fn volume(
    context: &Context<'_>,
    scope: &mut Scope,
    volume: &Volume,
) -> Result<Effect, Diagnostic> {
    let mut paths = Vec::new();
    for word in &volume.paths {
        let path = scope.expand(word, context.escape())?;
        if path.is_empty() {
            let message = format!("path `{}` of VOLUME is empty", word.raw);
            return Err(Diagnostic::error("BlankVolume", word.span, message));
        }
        paths.push(path);
    }
    let history = created_by::list("VOLUME", &paths);
    let volumes = scope.config.config.volumes.get_or_insert_default();
    volumes.extend(paths);
    volumes.sort();
    volumes.dedup();
    Ok(Effect::config(history))
}

/// WORKDIR: creates the directory, save `/` (T-META-02).
pub(super) fn workdir(
    context: &Context<'_>,
    scope: &mut Scope,
    word: &Word,
) -> Result<Effect, Diagnostic> {
    let text = scope.expand(word, context.escape())?;
    let directory = path::working_dir(scope.working_dir(), &text);
    let history = created_by::words("WORKDIR", [directory.as_str()]);
    let path = path::clean(&directory);
    scope.config.config.working_dir = Some(directory);
    let op = if path == "/" {
        Op::Config
    } else {
        Op::MakeDir(MakeDirOp {
            path,
            user: scope.user(),
        })
    };
    Ok(Effect {
        op,
        history: Some(history),
    })
}
