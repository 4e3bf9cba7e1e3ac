//! What a build tells: it emits [`BuildEvent`]s, and a renderer turns them into lines for people or JSON for machines.

mod diagnostics;
mod event;
mod json;
mod lines;
mod text;
mod trace;
mod units;

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

pub use diagnostics::{excerpt, one_line, render, render_finding};
pub use event::{BuildEvent, LayerSummary, StepPosition, Transfer};
pub use lines::LineSplitter;
#[cfg(test)]
pub(crate) use trace::hear;
pub(crate) use trace::listen;
pub use units::{bytes, duration};

use crate::cli::{LogFormat, LogOptions, Loudness, Remark, Verbosity};
use crate::secrets::Redactor;

/// Where a build tells what it does. Cheap to clone; may be used from any thread.
#[derive(Clone)]
pub struct Events {
    listener: Arc<dyn Fn(BuildEvent) + Send + Sync>,
    redactor: Redactor,
}

impl Events {
    /// Hands every event to `listener`.
    pub fn new(listener: impl Fn(BuildEvent) + Send + Sync + 'static) -> Self {
        Self {
            listener: Arc::new(listener),
            redactor: Redactor::default(),
        }
    }

    /// Writes every event to standard error, as the log flags ask, without what [`Events::redactor`] hides.
    pub fn to_stderr(options: LogOptions) -> Self {
        let redactor = Redactor::default();
        let out = Box::new(std::io::stderr());
        let renderer = Mutex::new(Renderer::new(options, redactor.clone(), out));
        let listener = move |event| {
            renderer
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .event(&event);
        };
        Self {
            listener: Arc::new(listener),
            redactor,
        }
    }

    /// Tells.
    pub fn emit(&self, event: BuildEvent) {
        (self.listener)(event);
    }

    /// What keeps secrets out of the log. Whoever gets hold of one hides it here before anything else is done with it.
    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// Tells what was found out about the command line.
    pub(crate) fn remark(&self, remark: &Remark) {
        let message = remark.message.clone();
        self.emit(match remark.loudness {
            Loudness::Warning => BuildEvent::Warning { message },
            Loudness::Note => BuildEvent::Note { message },
            Loudness::Detail => BuildEvent::Detail { message },
        });
    }

    /// Tells a warning.
    pub fn warn(&self, message: impl Into<String>) {
        self.emit(BuildEvent::Warning {
            message: message.into(),
        });
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Events")
    }
}

/// Turns events into bytes.
struct Renderer {
    options: LogOptions,
    redactor: Redactor,
    started: Instant,
    out: Box<dyn Write + Send>,
}

impl Renderer {
    fn new(options: LogOptions, redactor: Redactor, out: Box<dyn Write + Send>) -> Self {
        Self {
            options,
            redactor,
            started: Instant::now(),
            out,
        }
    }

    fn event(&mut self, event: &BuildEvent) {
        if level(event) > self.options.verbosity {
            return;
        }
        let rendered = match self.options.format {
            LogFormat::Json => json::render(event, std::time::SystemTime::now(), &self.redactor),
            LogFormat::Text | LogFormat::Color => {
                let clock = self.options.timestamps.then(std::time::SystemTime::now);
                text::render(event, self.started.elapsed(), clock, &self.redactor)
            }
        };
        // A log that cannot be written must not end the build: nobody would learn why.
        drop(
            self.out
                .write_all(rendered.as_bytes())
                .and_then(|()| self.out.flush()),
        );
    }
}

fn level(event: &BuildEvent) -> Verbosity {
    match event {
        BuildEvent::Failed { .. } => Verbosity::Error,
        BuildEvent::Warning { .. } => Verbosity::Warn,
        BuildEvent::Detail { .. } => Verbosity::Debug,
        BuildEvent::Started { .. }
        | BuildEvent::ContextFetched { .. }
        | BuildEvent::PlatformStarted { .. }
        | BuildEvent::BaseResolved { .. }
        | BuildEvent::StageStarted { .. }
        | BuildEvent::Unpacked { .. }
        | BuildEvent::RolledBack { .. }
        | BuildEvent::StepStarted { .. }
        | BuildEvent::Output { .. }
        | BuildEvent::StepFinished { .. }
        | BuildEvent::StepCached { .. }
        | BuildEvent::StageSkipped { .. }
        | BuildEvent::LayerPushed { .. }
        | BuildEvent::ImagePushed { .. }
        | BuildEvent::Written { .. }
        | BuildEvent::Note { .. }
        | BuildEvent::Finished { .. } => Verbosity::Info,
    }
}

#[cfg(test)]
mod tests;
