use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::*;

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn rendered(options: LogOptions, events: &[BuildEvent]) -> String {
    rendered_without(&Redactor::default(), options, events)
}

fn rendered_without(redactor: &Redactor, options: LogOptions, events: &[BuildEvent]) -> String {
    let sink = Sink::default();
    let mut renderer = Renderer::new(options, redactor.clone(), Box::new(sink.clone()));
    for event in events {
        renderer.event(event);
    }
    String::from_utf8(sink.0.lock().unwrap().clone()).unwrap()
}

fn step() -> StepPosition {
    StepPosition {
        stage: "app".into(),
        number: 2,
        of: 3,
    }
}

#[test]
fn a_step_is_shown_with_its_stage_its_line_and_what_it_made() {
    let layer = LayerSummary {
        digest: Some(kigumi_oci::Digest::of(b"")),
        size: 24_100_000,
        uncompressed: 78_300_000,
        entries: 1,
    };
    let events = [
        BuildEvent::StepStarted {
            step: step(),
            text: "RUN make".into(),
            line: 7,
        },
        BuildEvent::Output {
            step: step(),
            line: "cc -c a.c".into(),
        },
        BuildEvent::StepFinished {
            step: step(),
            took: Duration::from_millis(3210),
            layer: Some(layer),
        },
    ];
    let text = rendered(LogOptions::default(), &events);
    let without_clock: Vec<&str> = text
        .lines()
        .map(|line| line.split_once("] ").unwrap().1)
        .collect();
    assert_eq!(
        without_clock,
        [
            "[app 2/3] RUN make (line 7)",
            "    cc -c a.c",
            "[app 2/3] done in 3.2s, 1 entry, 78.3 MB (24.1 MB compressed)",
        ]
    );
}

#[test]
fn json_has_the_fields_that_collectors_know_and_one_object_a_line() {
    let options = LogOptions {
        format: LogFormat::Json,
        ..LogOptions::default()
    };
    let text = rendered(
        options,
        &[BuildEvent::Warning {
            message: "two\nlines".into(),
        }],
    );
    assert_eq!(text.lines().count(), 1);
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["level"], "warning");
    assert_eq!(value["msg"], "two\nlines");
    assert!(value["time"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn quieter_logs_leave_out_what_is_less_important() {
    let options = LogOptions {
        verbosity: Verbosity::Warn,
        ..LogOptions::default()
    };
    let events = [
        BuildEvent::Output {
            step: step(),
            line: "chatter".into(),
        },
        BuildEvent::Warning {
            message: "careful".into(),
        },
        BuildEvent::Failed {
            message: "error: it broke".into(),
        },
    ];
    let text = rendered(options, &events);
    assert!(!text.contains("chatter") && text.contains("careful") && text.contains("it broke"));
}

#[test]
fn a_message_of_several_lines_keeps_its_shape() {
    let text = rendered(
        LogOptions::default(),
        &[BuildEvent::Failed {
            message: "a\n  b".into(),
        }],
    );
    assert_eq!(text.lines().count(), 2);
    assert!(text.lines().all(|line| line.starts_with('[')));
}

#[test]
fn an_excerpt_points_at_the_line_of_the_dockerfile() {
    let source = kigumi_dockerfile::Source::new("Dockerfile", "FROM a\nRUN false\n");
    let span = kigumi_dockerfile::Span {
        start: 7,
        end: 16,
        line: 2,
        ..Default::default()
    };
    let text = excerpt(&source, span, "it broke");
    assert!(
        text.contains("Dockerfile:2:1") && text.contains("RUN false"),
        "{text}"
    );
}

// T-MNT-10
#[test]
fn no_event_shows_a_secret_in_either_form() {
    let redactor = Redactor::default();
    redactor.hide(b"hunter\"22\n");
    let secret = "hunter\"22".to_owned();
    let digest = kigumi_oci::Digest::of(b"");
    let events = [
        BuildEvent::StageStarted {
            number: 1,
            of: 1,
            name: secret.clone(),
            base: secret.clone(),
        },
        BuildEvent::StepStarted {
            step: StepPosition {
                stage: secret.clone(),
                ..step()
            },
            text: format!("RUN echo {secret}"),
            line: 7,
        },
        BuildEvent::Output {
            step: step(),
            line: secret.clone(),
        },
        BuildEvent::ImagePushed {
            reference: secret.clone(),
            digest,
        },
        BuildEvent::Failed {
            message: format!("error:\n  {secret}\n"),
        },
    ];
    for format in [LogFormat::Text, LogFormat::Json] {
        let options = LogOptions {
            format,
            ..LogOptions::default()
        };
        let text = rendered_without(&redactor, options, &events);
        assert!(!text.contains("hunter"), "{text}");
        assert!(text.matches("***").count() >= events.len(), "{text}");
    }
}
