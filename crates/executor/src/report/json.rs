use std::borrow::Cow;
use std::time::SystemTime;

use serde_json::{Map, Value, json};

use super::{BuildEvent, Transfer};
use crate::secrets::Redactor;
use crate::time::rfc3339_milliseconds;

/// One event as a JSON object on a line. `level`, `msg` and `time` are the fields that log collectors know from kaniko.
pub(super) fn render(event: &BuildEvent, now: SystemTime, redactor: &Redactor) -> String {
    let (level, name, message, fields) = parts(event);
    let mut object = Map::new();
    object.insert("level".into(), level.into());
    object.insert("time".into(), rfc3339_milliseconds(now).into());
    object.insert("msg".into(), message.into());
    object.insert("event".into(), name.into());
    if let Value::Object(fields) = fields {
        object.extend(fields);
    }
    let mut value = Value::Object(object);
    redact(&mut value, redactor);
    let mut line = value.to_string();
    line.push('\n');
    line
}

/// Every string by itself: escaped, a value would not be found.
fn redact(value: &mut Value, redactor: &Redactor) {
    match value {
        Value::String(text) => {
            if let Cow::Owned(clean) = redactor.redact(text) {
                *text = clean;
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| redact(value, redactor)),
        Value::Object(fields) => fields
            .values_mut()
            .for_each(|value| redact(value, redactor)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[expect(clippy::too_many_lines, reason = "one arm an event, each a few fields")]
fn parts(event: &BuildEvent) -> (&'static str, &'static str, String, Value) {
    match event {
        BuildEvent::Started {
            dockerfile,
            platform,
        } => (
            "info",
            "started",
            format!("building {}", dockerfile.display()),
            json!({ "platform": platform, "version": env!("CARGO_PKG_VERSION") }),
        ),
        BuildEvent::ContextFetched {
            context,
            entries,
            bytes,
            took,
        } => (
            "info",
            "context_fetched",
            format!("fetched the build context {context}"),
            json!({ "context": context, "entries": entries, "bytes": bytes, "seconds": took.as_secs_f64() }),
        ),
        BuildEvent::PlatformStarted { platform } => (
            "info",
            "platform_started",
            format!("building for {platform}"),
            json!({ "platform": platform }),
        ),
        BuildEvent::BaseResolved {
            reference,
            digest,
            layers,
            bytes,
        } => (
            "info",
            "base_resolved",
            format!("base {reference}"),
            json!({ "reference": reference, "digest": digest, "layers": layers, "bytes": bytes }),
        ),
        BuildEvent::StageStarted {
            number,
            of,
            name,
            base,
        } => (
            "info",
            "stage_started",
            format!("stage {name} from {base}"),
            json!({ "stage": name, "number": number, "of": of, "base": base }),
        ),
        BuildEvent::Unpacked {
            layers,
            entries,
            took,
        } => (
            "info",
            "unpacked",
            "unpacked the base".to_owned(),
            json!({ "layers": layers, "entries": entries, "seconds": took.as_secs_f64() }),
        ),
        BuildEvent::RolledBack {
            changes,
            restored,
            took,
        } => (
            "info",
            "rolled_back",
            "rolled the root filesystem back".to_owned(),
            json!({ "changes": changes, "restored": restored, "seconds": took.as_secs_f64() }),
        ),
        BuildEvent::StepStarted { step, text, line } => (
            "info",
            "step_started",
            text.clone(),
            json!({ "stage": step.stage, "step": step.number, "of": step.of, "line": line }),
        ),
        BuildEvent::Output { step, line } => (
            "info",
            "output",
            line.clone(),
            json!({ "stage": step.stage, "step": step.number }),
        ),
        BuildEvent::StepFinished { step, took, layer } => (
            "info",
            "step_finished",
            format!("step {} of {} is done", step.number, step.stage),
            json!({
                "stage": step.stage, "step": step.number, "seconds": took.as_secs_f64(),
                "layer": layer.as_ref().map(|layer| json!({
                    "digest": layer.digest, "bytes": layer.size,
                    "uncompressed": layer.uncompressed, "entries": layer.entries,
                })),
            }),
        ),
        BuildEvent::StepCached { step, digest, size } => (
            "info",
            "step_cached",
            format!("step {} of {} is in the cache", step.number, step.stage),
            json!({ "stage": step.stage, "step": step.number, "digest": digest, "bytes": size }),
        ),
        BuildEvent::StageSkipped { number, of, name } => (
            "info",
            "stage_skipped",
            format!("stage {name} is not needed"),
            json!({ "number": number, "of": of, "stage": name }),
        ),
        BuildEvent::LayerPushed {
            repository,
            digest,
            size,
            how,
        } => (
            "info",
            "layer_pushed",
            format!("layer {digest}"),
            json!({ "repository": repository, "digest": digest, "bytes": size, "how": match how {
                Transfer::Existed => "existed",
                Transfer::Mounted => "mounted",
                Transfer::Uploaded => "uploaded",
            } }),
        ),
        BuildEvent::ImagePushed { reference, digest } => (
            "info",
            "image_pushed",
            format!("pushed {reference}"),
            json!({ "reference": reference, "digest": digest }),
        ),
        BuildEvent::Written { what, path } => (
            "info",
            "written",
            format!("wrote the {what}"),
            json!({ "path": path }),
        ),
        BuildEvent::Warning { message } => ("warning", "warning", message.clone(), Value::Null),
        BuildEvent::Note { message } => ("info", "note", message.clone(), Value::Null),
        BuildEvent::Detail { message } => ("debug", "detail", message.clone(), Value::Null),
        BuildEvent::Finished { digest, took } => (
            "info",
            "finished",
            "the image is built".to_owned(),
            json!({ "digest": digest, "seconds": took.as_secs_f64() }),
        ),
        BuildEvent::Failed { message } => ("error", "failed", message.clone(), Value::Null),
    }
}
