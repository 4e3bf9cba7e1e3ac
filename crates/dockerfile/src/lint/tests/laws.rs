//! What holds for every text.

use proptest::prelude::*;

use super::inputs;
use crate::lint::{Inputs, lint};
use crate::parse;

/// Pieces of Dockerfiles and of what RUN has in it.
const PIECES: [&str; 44] = [
    "FROM ",
    "scratch",
    "a:1",
    " AS b",
    "\n",
    "RUN ",
    "COPY ",
    "--from=b ",
    "ADD ",
    "ENV ",
    "ARG ",
    "A=",
    "$A",
    "${A:-x}",
    "${",
    "}",
    "\"",
    "'",
    "\\",
    "\\\n",
    " ",
    "# check=skip=all\n",
    "# hadolint ignore=DL3006\n",
    "USER ",
    "root",
    "WORKDIR ",
    "EXPOSE ",
    "80/TCP",
    "1:2:3",
    "ONBUILD ",
    "CMD ",
    "[\"a\"]",
    "&& ",
    "| ",
    "$(",
    ")",
    "`",
    "<<E\n",
    "E\n",
    "apt-get install ",
    "pip install -r ",
    "--mount=type=cache,target=/x ",
    "é",
    "\t",
];

fn lints(text: &str) {
    let all = Inputs {
        requested: vec!["all".to_owned()],
        trusted_registries: vec!["docker.io".to_owned()],
        restricted: true,
        ..inputs()
    };
    if let Ok(file) = parse(text, "Dockerfile") {
        for inputs in [inputs(), all] {
            let _ = lint(&file, &inputs);
        }
    }
}

proptest! {
    #[test]
    fn no_text_makes_a_rule_panic(text in "\\PC{0,200}") {
        lints(&format!("FROM a\n{text}"));
        lints(&format!("FROM a\nRUN {}", text.replace('\n', " ")));
    }

    #[test]
    fn no_dockerfile_makes_a_rule_panic(pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..40)) {
        lints(&format!("FROM a AS b\n{}", pieces.concat()));
    }

    #[test]
    fn findings_are_within_the_file_and_in_order(pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..40)) {
        let text = format!("FROM a AS b\n{}", pieces.concat());
        if let Ok(file) = parse(&text, "Dockerfile")
            && let Ok(report) = lint(&file, &inputs())
        {
            let lines = text.matches('\n').count() + 1;
            let mut last = 0;
            for finding in report.findings {
                prop_assert!(last <= finding.span.line && finding.span.end_line <= lines);
                last = finding.span.line;
            }
        }
    }
}

#[test]
fn a_value_that_doubles_does_not_fill_the_memory() {
    let doubling = "ENV a=$a$a$a$a$a$a$a$a\n".repeat(200);
    lints(&format!("FROM scratch\nENV a=xxxxxxxx\n{doubling}"));
}
