//! HEALTHCHECK.

use crate::diagnostic::Diagnostic;
use crate::instruction::{Healthcheck, HealthcheckOptions};

use super::arguments::command;
use super::flags::{self, Flags};
use super::logical::trim;
use super::numbers::parse_duration;
use super::parts::Parts;

pub(super) fn healthcheck(parts: &mut Parts<'_>) -> Option<Healthcheck> {
    let mut flags = parts.flags(flags::HEALTHCHECK);
    let arguments = parts.arguments.clone();
    let text = parts.line.get(arguments.clone());
    let length = text.find(char::is_whitespace).unwrap_or(text.len());
    let kind = text.get(..length).unwrap_or_default().to_owned();
    let kind_range = arguments.start..arguments.start + length;
    parts.arguments = trim(parts.line.text(), kind_range.end..arguments.end);
    let options = healthcheck_options(parts, &mut flags)?;
    match kind.to_ascii_uppercase().as_str() {
        "" => {
            parts.missing("`CMD` and a command, or `NONE`");
            None
        }
        "NONE" if parts.text().is_empty() => {
            if options != HealthcheckOptions::default() {
                let message = "flags of HEALTHCHECK NONE have no effect";
                parts.report(Diagnostic::warning("UselessFlag", parts.span, message));
            }
            Some(Healthcheck::None)
        }
        "NONE" => {
            let span = parts.line.span(&parts.arguments);
            let message = "HEALTHCHECK NONE takes no arguments";
            parts.report(Diagnostic::error("TooManyArguments", span, message));
            None
        }
        "CMD" => {
            let command = command(parts)?;
            if command.is_empty() {
                parts.missing("a command after `CMD`");
                return None;
            }
            Some(Healthcheck::Check { options, command })
        }
        _ => {
            let span = parts.line.span(&kind_range);
            let message = format!("HEALTHCHECK has no type `{kind}`");
            let help = "write `HEALTHCHECK CMD command` or `HEALTHCHECK NONE`";
            parts.report(Diagnostic::error("HealthcheckType", span, message).with_help(help));
            None
        }
    }
}

fn healthcheck_options(parts: &mut Parts<'_>, flags: &mut Flags) -> Option<HealthcheckOptions> {
    let mut options = HealthcheckOptions::default();
    for (name, target) in [
        ("interval", &mut options.interval),
        ("timeout", &mut options.timeout),
        ("start-period", &mut options.start_period),
        ("start-interval", &mut options.start_interval),
    ] {
        let Some(value) = flags.text(name) else {
            continue;
        };
        match parse_duration(&value.value) {
            Some(duration) if duration.is_zero() || duration.as_millis() >= 1 => *target = duration,
            Some(_) => {
                let message = format!("`--{name}={}` is shorter than 1ms", value.value);
                parts.report(Diagnostic::error("InvalidDuration", value.span, message));
                return None;
            }
            None => {
                let message = format!("`--{name}={}` is no duration", value.value);
                let help = "a duration is a number with a unit: `500ms`, `30s`, `1m30s`";
                let diagnostic = Diagnostic::error("InvalidDuration", value.span, message);
                parts.report(diagnostic.with_help(help));
                return None;
            }
        }
    }
    if let Some(value) = flags.text("retries") {
        let parsed = value
            .value
            .parse::<i32>()
            .ok()
            .and_then(|count| u32::try_from(count).ok());
        let Some(retries) = parsed else {
            let message = format!("`--retries={}` is not a number from 0 up", value.value);
            parts.report(Diagnostic::error("InvalidFlagValue", value.span, message));
            return None;
        };
        options.retries = retries;
    }
    Some(options)
}
