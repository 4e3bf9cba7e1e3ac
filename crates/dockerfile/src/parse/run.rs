//! RUN and its flags.

use crate::csv;
use crate::diagnostic::Diagnostic;
use crate::instruction::{CommandForm, Device, Mount, Network, Run, Security};
use crate::source::Spanned;
use crate::suggest::nearest;

use super::arguments::command;
use super::flags;
use super::numbers::parse_bool;
use super::parts::Parts;

pub(super) fn run(parts: &mut Parts<'_>) -> Option<Run> {
    let mut flags = parts.flags(flags::RUN);
    let mounts = flags
        .all("mount")
        .iter()
        .map(Mount::parse)
        .collect::<Vec<_>>();
    let network = flags
        .text("network")
        .map(|value| choose(&value, "network", &NETWORKS));
    let security = flags
        .text("security")
        .map(|value| choose(&value, "security", &SECURITIES));
    let devices = flags.all("device").iter().map(device).collect::<Vec<_>>();
    let form = command(parts);
    if form == Some(CommandForm::Exec(Vec::new())) {
        parts.missing("a command");
        return None;
    }
    Some(Run {
        mounts: report_errors(parts, mounts)?,
        network: report_errors(parts, network)?.into_iter().next(),
        security: report_errors(parts, security)?.into_iter().next(),
        devices: report_errors(parts, devices)?,
        form: form?,
        heredocs: std::mem::take(&mut parts.heredocs),
    })
}

const NETWORKS: [(&str, Network); 3] = [
    ("default", Network::Default),
    ("none", Network::None),
    ("host", Network::Host),
];
const SECURITIES: [(&str, Security); 2] = [
    ("sandbox", Security::Sandbox),
    ("insecure", Security::Insecure),
];

/// Keeps the good values; `None` if there are others, which are all reported.
fn report_errors<T>(
    parts: &mut Parts<'_>,
    results: impl IntoIterator<Item = Result<T, Diagnostic>>,
) -> Option<Vec<T>> {
    let mut good = Vec::new();
    let mut all_good = true;
    for result in results {
        match result {
            Ok(value) => good.push(value),
            Err(diagnostic) => {
                parts.report(diagnostic);
                all_good = false;
            }
        }
    }
    all_good.then_some(good)
}

fn choose<T: Copy>(
    value: &Spanned<String>,
    flag: &str,
    choices: &[(&'static str, T)],
) -> Result<Spanned<T>, Diagnostic> {
    let found = choices.iter().find(|(name, _)| *name == value.value);
    found
        .map(|(_, choice)| Spanned::new(*choice, value.span))
        .ok_or_else(|| {
            let message = format!("`--{flag}` has no value `{}`", value.value);
            let diagnostic = Diagnostic::error("InvalidFlagValue", value.span, message);
            let names = || choices.iter().map(|(name, _)| *name);
            let help = nearest(&value.value, names()).map_or_else(
                || {
                    let names: Vec<_> = names().map(|name| format!("`{name}`")).collect();
                    format!("it is one of {}", names.join(", "))
                },
                |near| format!("did you mean `{near}`?"),
            );
            diagnostic.with_help(help)
        })
}

/// `name`, `name,required`, `name=…,required=true`. A CDI name may contain `=` itself.
fn device(value: &Spanned<String>) -> Result<Spanned<Device>, Diagnostic> {
    let bad = |message: String| Diagnostic::error("InvalidDevice", value.span, message);
    let fields = csv::fields(&value.value)
        .map_err(|problem| bad(format!("`--device={}`: {problem}", value.value)))?;
    let mut device = Device {
        name: String::new(),
        required: false,
    };
    for (index, field) in fields.iter().enumerate() {
        let (key, rest) = match field.split_once('=') {
            Some((key, rest)) => (key, Some(rest)),
            None => (field.as_str(), None),
        };
        match (key.to_ascii_lowercase().as_str(), rest) {
            ("required", None) => device.required = true,
            ("required", Some(text)) => {
                let message = || bad(format!("`required={text}` of a device is not a boolean"));
                device.required = parse_bool(text).ok_or_else(message)?;
            }
            ("name", Some(name)) => name.clone_into(&mut device.name),
            _ if index == 0 => field.clone_into(&mut device.name),
            _ => return Err(bad(format!("`{field}` is no option of `--device`"))),
        }
    }
    if device.name.is_empty() {
        return Err(bad(format!("`--device={}` names no device", value.value)));
    }
    Ok(Spanned::new(device, value.span))
}
