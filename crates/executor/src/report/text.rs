use std::time::{Duration, SystemTime};

use super::{BuildEvent, LayerSummary, StepPosition, Transfer, bytes, duration};
use crate::secrets::Redactor;
use crate::time::rfc3339_milliseconds;

/// One event as lines for people, ends of line included.
pub(super) fn render(
    event: &BuildEvent,
    elapsed: Duration,
    clock: Option<SystemTime>,
    redactor: &Redactor,
) -> String {
    let prefix = match clock {
        Some(now) => format!("{} ", rfc3339_milliseconds(now)),
        None => format!(
            "[{:>5}.{}] ",
            elapsed.as_secs(),
            elapsed.subsec_millis() / 100
        ),
    };
    let mut rendered = String::new();
    for line in redactor.redact(&lines(event)).lines() {
        rendered.push_str(&prefix);
        rendered.push_str(line);
        rendered.push('\n');
    }
    rendered
}

#[expect(clippy::too_many_lines, reason = "one arm an event, each a line")]
fn lines(event: &BuildEvent) -> String {
    match event {
        BuildEvent::Started {
            dockerfile,
            platform,
        } => format!(
            "kigumi {}: {} for {platform}",
            env!("CARGO_PKG_VERSION"),
            dockerfile.display()
        ),
        BuildEvent::ContextFetched {
            context,
            entries,
            bytes: size,
            took,
        } => format!(
            "fetched the build context {context}: {entries} entries, {} in {}",
            bytes(*size),
            duration(*took)
        ),
        BuildEvent::PlatformStarted { platform } => format!("for {platform}"),
        BuildEvent::BaseResolved {
            reference,
            digest,
            layers,
            bytes: size,
        } => {
            format!(
                "base {reference} is {digest}: {}, {}",
                count(*layers, "layer"),
                bytes(*size)
            )
        }
        BuildEvent::StageStarted {
            number,
            of,
            name,
            base,
        } => {
            format!("stage {number}/{of} {name}: from {base}")
        }
        BuildEvent::Unpacked {
            layers,
            entries,
            took,
        } => format!(
            "unpacked {}, {} in {}",
            count(*layers, "layer"),
            count(*entries, "entry").replace("entrys", "entries"),
            duration(*took)
        ),
        BuildEvent::RolledBack {
            changes,
            restored,
            took,
        } => format!(
            "rolled the root filesystem back: {} undone, {} restored in {}",
            count(*changes, "change"),
            count(*restored, "file"),
            duration(*took)
        ),
        BuildEvent::StepStarted { step, text, line } => {
            format!("{} {text} (line {line})", position(step))
        }
        BuildEvent::Output { line, .. } => format!("    {line}"),
        BuildEvent::StepFinished { step, took, layer } => {
            let made = layer
                .as_ref()
                .map_or_else(String::new, |layer| format!(", {}", summary(layer)));
            format!("{} done in {}{made}", position(step), duration(*took))
        }
        BuildEvent::StepCached { step, digest, size } => {
            format!(
                "{} is in the cache: {digest} ({})",
                position(step),
                bytes(*size)
            )
        }
        BuildEvent::StageSkipped { number, of, name } => {
            format!("stage {number}/{of} {name} is not needed: what is taken of it is in the cache")
        }
        BuildEvent::LayerPushed {
            repository,
            digest,
            size,
            how,
        } => {
            let verb = match how {
                Transfer::Existed => "found",
                Transfer::Mounted => "mounted",
                Transfer::Uploaded => "pushed",
            };
            format!("{verb} {digest} ({}) in {repository}", bytes(*size))
        }
        BuildEvent::ImagePushed { reference, digest } => format!("pushed {reference} as {digest}"),
        BuildEvent::Written { what, path } => format!("wrote the {what} to {}", path.display()),
        BuildEvent::Warning { message } => format!("warning: {message}"),
        BuildEvent::Detail { message } => format!("debug: {message}"),
        BuildEvent::Finished { digest, took } => format!("built {digest} in {}", duration(*took)),
        BuildEvent::Note { message } | BuildEvent::Failed { message } => message.clone(),
    }
}

fn position(step: &StepPosition) -> String {
    format!("[{} {}/{}]", step.stage, step.number, step.of)
}

fn summary(layer: &LayerSummary) -> String {
    let entries = count(layer.entries, "entry").replace("entrys", "entries");
    // A stage that is only copied from has changes, and no layers of them.
    if layer.digest.is_none() {
        return entries;
    }
    format!(
        "{entries}, {} ({} compressed)",
        bytes(layer.uncompressed),
        bytes(layer.size)
    )
}

fn count(number: usize, noun: &str) -> String {
    if number == 1 {
        format!("1 {noun}")
    } else {
        format!("{number} {noun}s")
    }
}
