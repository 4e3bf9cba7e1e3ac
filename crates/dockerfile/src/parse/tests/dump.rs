//! A short notation of instructions for tests: `‹…›` is unexpanded text, `["…"]` an exec form.

use crate::instruction::{
    Add, Arg, CommandForm, Copy, Healthcheck, InstructionKind, KeyValues, Run, RunCommand,
    SourcesAndDestination,
};
use crate::source::Word;

pub(super) fn dump_kind(kind: &InstructionKind) -> String {
    let body = match kind {
        InstructionKind::Add(add) => dump_add(add),
        InstructionKind::Arg(arg) => dump_arg(arg),
        InstructionKind::Cmd(form) | InstructionKind::Entrypoint(form) => dump_form(form),
        InstructionKind::Copy(copy) => dump_copy(copy),
        InstructionKind::Env(values) | InstructionKind::Label(values) => dump_pairs(values),
        InstructionKind::Expose(expose) => dump_words(&expose.ports),
        InstructionKind::Healthcheck(healthcheck) => dump_healthcheck(healthcheck),
        InstructionKind::Maintainer(text) => format!("‹{}›", text.value),
        InstructionKind::Onbuild(onbuild) => format!("‹{}›", onbuild.trigger.value),
        InstructionKind::Run(run) => dump_run(run),
        InstructionKind::Shell(words) => format!("{words:?}"),
        InstructionKind::Stopsignal(word)
        | InstructionKind::User(word)
        | InstructionKind::Workdir(word) => dump_word(word),
        InstructionKind::Volume(volume) => dump_words(&volume.paths),
    };
    format!("{} {body}", kind.name())
}

fn dump_word(word: &Word) -> String {
    format!("‹{}›", word.raw)
}

fn dump_words(words: &[Word]) -> String {
    words.iter().map(dump_word).collect::<Vec<_>>().concat()
}

fn dump_arg(arg: &Arg) -> String {
    let declarations = arg.declarations.iter().map(|one| match &one.default {
        Some(default) => format!("{}={}", dump_word(&one.name), dump_word(default)),
        None => dump_word(&one.name),
    });
    declarations.collect::<Vec<_>>().join(" ")
}

fn dump_pairs(values: &KeyValues) -> String {
    let pairs = values.pairs.iter();
    let pairs = pairs.map(|pair| format!("{}={}", dump_word(&pair.key), dump_word(&pair.value)));
    pairs.collect::<Vec<_>>().join(" ")
}

fn dump_form(form: &CommandForm) -> String {
    match form {
        CommandForm::Shell(text) => format!("‹{text}›"),
        CommandForm::Exec(words) => format!("{words:?}"),
    }
}

fn dump_healthcheck(healthcheck: &Healthcheck) -> String {
    match healthcheck {
        Healthcheck::None => "NONE".to_owned(),
        Healthcheck::Check { options, command } => format!(
            "{:?} {:?} {:?} {:?} {} {}",
            options.interval,
            options.timeout,
            options.start_period,
            options.start_interval,
            options.retries,
            dump_form(command)
        ),
    }
}

fn dump_run(run: &Run) -> String {
    match run.command() {
        RunCommand::Exec(words) => format!("{words:?}"),
        RunCommand::Shell(text) => format!("‹{text}›"),
        RunCommand::Script { name, body } => format!("script {name} ‹{body}›"),
    }
}

fn dump_copy(copy: &Copy) -> String {
    let mut parts = Vec::new();
    parts.extend(
        copy.chown
            .iter()
            .map(|word| format!("chown={}", dump_word(word))),
    );
    parts.extend(
        copy.chmod
            .iter()
            .map(|word| format!("chmod={}", dump_word(word))),
    );
    parts.extend(copy.from.iter().map(|from| format!("from={}", from.value)));
    parts.extend(copy.link.then(|| "link".to_owned()));
    parts.extend(copy.parents.then(|| "parents".to_owned()));
    parts.extend(
        copy.exclude
            .iter()
            .map(|pattern| format!("exclude={}", pattern.value)),
    );
    parts.push(dump_paths(&copy.paths));
    parts.join(" ")
}

fn dump_add(add: &Add) -> String {
    let mut parts = Vec::new();
    parts.extend(
        add.checksum
            .iter()
            .map(|word| format!("checksum={}", dump_word(word))),
    );
    parts.extend(add.keep_git_dir.map(|set| format!("keep-git-dir={set}")));
    parts.extend(add.unpack.map(|set| format!("unpack={set}")));
    parts.push(dump_paths(&add.paths));
    parts.join(" ")
}

fn dump_paths(paths: &SourcesAndDestination) -> String {
    let mut parts: Vec<_> = paths.sources.iter().map(dump_word).collect();
    for heredoc in &paths.heredocs {
        let mark = if heredoc.expand { "expand" } else { "literal" };
        parts.push(format!("{}:{mark}:{:?}", heredoc.name, heredoc.body()));
    }
    parts.push(format!("-> {}", dump_word(&paths.destination)));
    parts.join(" ")
}
