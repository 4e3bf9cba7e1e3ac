//! What the client says in the log, test by test.

use std::cell::RefCell;
use std::fmt::{self, Write};
use std::sync::Once;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::Registry;

thread_local! {
    // A test has a thread of its own, and its client runs on it.
    static HEARD: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

struct Listener;

impl<S: Subscriber> Layer<S> for Listener {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let ours = event.metadata().target().starts_with("kigumi");
        // What a build shows without being asked for more.
        if !ours || *event.metadata().level() > Level::INFO {
            return;
        }
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        HEARD.with_borrow_mut(|heard| heard.push(line.0));
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, _: &Field, value: &dyn fmt::Debug) {
        write!(self.0, " {value:?}").unwrap();
    }
}

/// Listens from now on; what this test has said before is forgotten.
pub(crate) fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let subscriber = Registry::default().with(Listener);
        tracing::subscriber::set_global_default(subscriber).unwrap();
    });
    // What another test was about to say for the first time, just when nobody was listening yet, would be taken for something that nobody wants
    // to hear: for ever, and from everybody.
    tracing::callsite::rebuild_interest_cache();
    HEARD.take();
}

/// What was said since.
pub(crate) fn heard() -> String {
    HEARD.with_borrow(|heard| heard.join("\n"))
}
