//! What the crates below say through `tracing` becomes part of the log.

use std::fmt::{self, Write};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::Registry;

use super::{BuildEvent, Events};
use crate::cli::Verbosity;

/// Turns `tracing` events into build events.
struct Bridge {
    events: Events,
}

impl<S: Subscriber> Layer<S> for Bridge {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut message = Message::default();
        event.record(&mut message);
        let message = message.0;
        self.events.emit(match *event.metadata().level() {
            Level::ERROR | Level::WARN => BuildEvent::Warning { message },
            Level::INFO => BuildEvent::Note { message },
            Level::DEBUG | Level::TRACE => BuildEvent::Detail { message },
        });
    }
}

/// The text of an event: its message, then its fields.
#[derive(Default)]
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let separator = if self.0.is_empty() { "" } else { ", " };
        // Writing to a string does not fail.
        let _written = if field.name() == "message" {
            write!(self.0, "{separator}{value:?}")
        } else {
            write!(self.0, "{separator}{}: {value:?}", field.name())
        };
    }
}

/// Listens from now on. Our own crates are heard as far as the log shows it, others from warnings on: what HTTP libraries
/// say in detail may hold credentials.
pub(crate) fn listen(events: Events, verbosity: Verbosity) {
    let ours = match verbosity {
        Verbosity::Error => Level::ERROR,
        Verbosity::Warn => Level::WARN,
        Verbosity::Info => Level::INFO,
        Verbosity::Debug => Level::DEBUG,
        Verbosity::Trace => Level::TRACE,
    };
    let targets = Targets::new()
        .with_target("kigumi", ours)
        .with_default(Level::ERROR);
    let subscriber = Registry::default().with(Bridge { events }.with_filter(targets));
    // A second listener would be a test's; the first one serves as well.
    drop(tracing::subscriber::set_global_default(subscriber));
}

/// What crates below tell on this thread while `run` runs.
#[cfg(test)]
pub(crate) fn hear<T>(events: Events, run: impl FnOnce() -> T) -> T {
    let ours = Targets::new().with_target("kigumi", Level::TRACE);
    let subscriber = Registry::default().with(Bridge { events }.with_filter(ours));
    tracing::subscriber::with_default(subscriber, run)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn a_warning_of_a_crate_below_is_a_warning_of_the_build_with_its_fields() {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&heard);
        let events = Events::new(move |event| sink.lock().unwrap().push(event));
        let subscriber = Registry::default().with(Bridge { events });
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(path = "/var/run", "what lies there is not recorded");
            tracing::info!("decided");
        });
        let message = "what lies there is not recorded, path: \"/var/run\"".to_owned();
        let warning = BuildEvent::Warning { message };
        let message = "decided".to_owned();
        assert_eq!(
            *heard.lock().unwrap(),
            [warning, BuildEvent::Note { message }]
        );
    }
}
