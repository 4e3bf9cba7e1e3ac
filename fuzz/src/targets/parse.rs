use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use kigumi_dockerfile::instruction::Run;
use kigumi_dockerfile::{
    Diagnostic, Dockerfile, Instruction, InstructionKind, Source, Span, parse_bytes,
    parse_onbuild_trigger,
};
use serde_json::Value;

/// The parser: places are inside the text, findings can be shown, and what is printed reads as the same file.
pub fn parse(data: &[u8]) {
    match parse_bytes(data, "Dockerfile") {
        Err(problems) => {
            assert!(problems.errors().count() > 0, "refused without a reason");
            show(&problems.file, &problems.items);
        }
        Ok(file) => {
            show(&file.source, &file.warnings);
            assert!(!file.stages.is_empty(), "a file without a stage");
            for instruction in instructions(&file) {
                check_instruction(&file, instruction);
            }
            check_printed(&file);
        }
    }
}

fn instructions(file: &Dockerfile) -> impl Iterator<Item = &Instruction> {
    let staged = file.stages.iter().flat_map(|stage| &stage.instructions);
    file.global_args.iter().chain(staged)
}

fn check_span(file: &Source, span: Span) {
    assert!(
        span.start <= span.end && span.end <= file.text().len(),
        "{span:?}"
    );
    assert!(
        file.text().get(span.start..span.end).is_some(),
        "{span:?} cuts a character"
    );
    assert!(1 <= span.line && span.line <= span.end_line, "{span:?}");
}

fn show(file: &Source, items: &[Diagnostic]) {
    for item in items.iter().take(8) {
        check_span(file, item.span);
        // As the executor shows it.
        let snippet = Snippet::source(file.text())
            .path(file.name())
            .fold(true)
            .annotation(AnnotationKind::Primary.span(item.span.start..item.span.end));
        let report = [Level::ERROR
            .primary_title(item.message.as_str())
            .element(snippet)];
        assert!(!Renderer::plain().render(&report).is_empty());
    }
}

fn check_instruction(file: &Dockerfile, instruction: &Instruction) {
    check_span(&file.source, instruction.span);
    check_span(&file.source, instruction.keyword.span);
    let keyword = file.source.slice(instruction.keyword.span);
    assert!(
        keyword.eq_ignore_ascii_case(instruction.kind.name()),
        "{keyword}"
    );
    match &instruction.kind {
        InstructionKind::Run(run) => check_run(run, file.escape),
        InstructionKind::Onbuild(onbuild) => {
            let _ = parse_onbuild_trigger(&onbuild.trigger.value);
        }
        _ => {}
    }
}

fn check_run(run: &Run, escape: char) {
    let _ = run.command();
    let lookup = |name: &str| (name == "v").then(|| "V".to_owned());
    for mount in &run.mounts {
        let _ = mount.resolve(&mut |word| Ok(word.expand(&lookup, escape)?.text));
    }
}

fn check_printed(file: &Dockerfile) {
    let printed = file.to_string();
    let again = match kigumi_dockerfile::parse(&printed, "Dockerfile") {
        Ok(again) => again,
        Err(problems) => panic!("{problems}\n{printed:?}"),
    };
    assert_eq!(shape(&again), shape(file), "{printed:?}");
    assert_eq!(again.to_string(), printed);
}

/// The tree as data, without the places.
fn shape(file: &Dockerfile) -> Value {
    fn strip(value: Value) -> Value {
        match value {
            Value::Object(map) => {
                let kept = map.into_iter().filter(|(key, _)| key != "span");
                Value::Object(kept.map(|(key, value)| (key, strip(value))).collect())
            }
            Value::Array(values) => Value::Array(values.into_iter().map(strip).collect()),
            other => other,
        }
    }
    strip(serde_json::to_value(file).expect("a tree of strings and numbers"))
}
