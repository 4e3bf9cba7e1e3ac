//! The commands in the text of a RUN: a splitter of words, not a shell.
//!
//! It knows quotes, escapes, comments, the operators between commands, redirections, `$(…)` and backquotes, and the
//! words that introduce commands (`if`, `do`, …). It expands nothing and runs nothing. What it does not understand becomes a
//! command whose name no rule knows.

use std::iter::Peekable;
use std::str::Chars;

use crate::instruction::{CommandForm, Run, RunCommand};

/// How deep `$(…)` is followed; a hostile file must not exhaust the stack.
const MAX_DEPTH: usize = 16;

/// Words that stand in front of a command.
const INTRODUCTIONS: [&str; 13] = [
    "if", "then", "else", "elif", "fi", "while", "until", "do", "done", "esac", "!", "{", "}",
];

/// Words of the shell that run the command behind them.
const TRANSPARENT: [&str; 4] = ["builtin", "command", "exec", "time"];

/// Words that begin something whose words are no commands.
const HEADERS: [&str; 4] = ["for", "case", "select", "function"];

/// The commands of a text, those of substitutions among them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Script {
    pub(super) commands: Vec<Command>,
    /// Whether the output of a command goes into another.
    pub(super) has_pipe: bool,
}

/// One command.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Command {
    /// `NAME=value` in front of it.
    pub(super) assignments: Vec<String>,
    /// The first word.
    pub(super) name: String,
    /// The other words, quotes removed, substitutions as written.
    pub(super) arguments: Vec<String>,
}

impl Script {
    /// The commands of a RUN. Bodies of heredocs that are input of a command are not commands.
    pub(super) fn of(run: &Run) -> Self {
        match (&run.form, run.heredocs.is_empty()) {
            (CommandForm::Exec(words), _) => Self::parse(&words.join(" ")),
            (CommandForm::Shell(line), true) => Self::parse(line),
            (CommandForm::Shell(line), false) => match run.command() {
                RunCommand::Shell(text) if !text.starts_with(line.as_str()) => Self::parse(&text),
                RunCommand::Shell(_) | RunCommand::Exec(_) => Self::parse(line),
                RunCommand::Script { body, .. } => Self::parse(&body),
            },
        }
    }

    /// The commands of a text.
    pub(super) fn parse(text: &str) -> Self {
        let mut script = Self::default();
        Splitter::new(text, 0).run(&mut script);
        script
    }

    /// The commands of a name.
    pub(super) fn named<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'s Command> {
        self.commands
            .iter()
            .filter(move |command| command.name == name)
    }
}

impl Command {
    /// Whether it has one of the flags: `y` for `-y` and `-qy`, `yes` for `--yes` and `--yes=…`.
    pub(super) fn has_flag(&self, flags: &[&str]) -> bool {
        self.flags()
            .iter()
            .any(|flag| flags.contains(&flag.as_str()))
    }

    /// How often a flag of one letter is given.
    pub(super) fn count_flag(&self, flag: &str) -> usize {
        self.flags().iter().filter(|known| *known == flag).count()
    }

    /// Its flags, those of one letter apart.
    fn flags(&self) -> Vec<String> {
        let mut flags = Vec::new();
        for word in &self.arguments {
            if let Some(long) = word.strip_prefix("--") {
                flags.push(long.split('=').next().unwrap_or_default().to_owned());
            } else if let Some(short) = word.strip_prefix('-') {
                let letters = short.split('=').next().unwrap_or_default();
                flags.extend(letters.chars().map(String::from));
            }
        }
        flags
    }

    /// The words that are no flags and no value of the flags that take one in the next word.
    pub(super) fn operands(&self, with_value: &[&str]) -> Vec<&str> {
        let mut operands = Vec::new();
        let mut words = self.arguments.iter();
        while let Some(word) = words.next() {
            if with_value.contains(&word.as_str()) {
                words.next();
            } else if !word.starts_with('-') {
                operands.push(word.as_str());
            }
        }
        operands
    }

    /// What stands behind a subcommand; none if it is another one.
    pub(super) fn operands_of<'c>(
        &'c self,
        subcommands: &[&str],
        with_value: &[&str],
    ) -> Option<Vec<&'c str>> {
        let mut operands = self.operands(with_value);
        let at = operands
            .iter()
            .position(|word| subcommands.contains(word))?;
        Some(operands.split_off(at + 1))
    }
}

struct Splitter<'t> {
    characters: Peekable<Chars<'t>>,
    depth: usize,
    command: Command,
    /// The words up to the next operator are no command.
    in_header: bool,
    /// The next words are flags of `exec` or the command that it runs.
    is_behind_transparent: bool,
    /// The next word is the value of such a flag.
    skips_word: bool,
}

impl<'t> Splitter<'t> {
    fn new(text: &'t str, depth: usize) -> Self {
        Self {
            characters: text.chars().peekable(),
            depth,
            command: Command::default(),
            in_header: false,
            is_behind_transparent: false,
            skips_word: false,
        }
    }

    fn run(mut self, script: &mut Script) {
        while let Some(character) = self.characters.peek().copied() {
            match character {
                '\n' | ';' | '(' | ')' => {
                    self.characters.next();
                    self.finish(script);
                }
                '&' | '|' => self.operator(character, script),
                '<' | '>' => self.redirection(script),
                '#' => while self.characters.next_if(|c| *c != '\n').is_some() {},
                blank if blank.is_whitespace() => {
                    self.characters.next();
                }
                _ => self.word_of_command(script),
            }
        }
        self.finish(script);
    }

    fn finish(&mut self, script: &mut Script) {
        self.in_header = false;
        self.is_behind_transparent = false;
        self.skips_word = false;
        let command = std::mem::take(&mut self.command);
        if !command.name.is_empty() || !command.assignments.is_empty() {
            script.commands.push(command);
        }
    }

    fn operator(&mut self, character: char, script: &mut Script) {
        self.characters.next();
        if self.characters.next_if_eq(&character).is_none() && character == '|' {
            self.characters.next_if_eq(&'&');
            script.has_pipe = true;
        }
        self.finish(script);
    }

    /// A redirection and the word that it goes to.
    fn redirection(&mut self, script: &mut Script) {
        while self
            .characters
            .next_if(|c| matches!(c, '<' | '>' | '&' | '|' | '-'))
            .is_some()
        {}
        while self
            .characters
            .next_if(|c| matches!(c, ' ' | '\t'))
            .is_some()
        {}
        if self.characters.peek() == Some(&'(') {
            return;
        }
        self.word(script);
    }

    fn word_of_command(&mut self, script: &mut Script) {
        let (word, is_plain) = self.word(script);
        let is_descriptor = !word.is_empty() && word.chars().all(|c| c.is_ascii_digit());
        if is_descriptor && matches!(self.characters.peek(), Some('<' | '>')) {
            return;
        }
        if self.in_header {
            return;
        }
        if !self.command.name.is_empty() {
            self.command.arguments.push(word);
        } else if self.is_behind_transparent && word.starts_with('-') {
            // A flag of `exec` or `command`; that of a name takes one.
            self.skips_word = word == "-a";
        } else if std::mem::take(&mut self.skips_word) {
        } else if is_plain && TRANSPARENT.contains(&word.as_str()) {
            self.is_behind_transparent = true;
            // `time` makes a command more.
            if word == "time" {
                script.commands.push(Command {
                    name: word,
                    ..Command::default()
                });
            }
        } else if is_plain && INTRODUCTIONS.contains(&word.as_str()) {
        } else if is_plain && HEADERS.contains(&word.as_str()) {
            self.in_header = true;
        } else if is_assignment(&word) {
            self.command.assignments.push(word);
        } else {
            self.command.name = word;
        }
    }

    /// Reads a word and says whether it has no quotes.
    fn word(&mut self, script: &mut Script) -> (String, bool) {
        let mut word = String::new();
        let mut is_plain = true;
        while let Some(character) = self.characters.peek().copied() {
            let ends = character.is_whitespace()
                || matches!(character, ';' | '&' | '|' | '<' | '>' | '(' | ')');
            if ends {
                break;
            }
            self.characters.next();
            match character {
                '\\' => self.escaped(&mut word),
                '\'' => {
                    is_plain = false;
                    word.extend(self.characters.by_ref().take_while(|c| *c != '\''));
                }
                '"' => {
                    is_plain = false;
                    self.double_quoted(&mut word, script);
                }
                '$' | '`' => self.substitution(character, &mut word, script),
                other => word.push(other),
            }
        }
        (word, is_plain)
    }

    fn escaped(&mut self, word: &mut String) {
        if let Some(escaped) = self.characters.next().filter(|c| *c != '\n') {
            word.push(escaped);
        }
    }

    fn double_quoted(&mut self, word: &mut String, script: &mut Script) {
        while let Some(character) = self.characters.next() {
            match character {
                '"' => return,
                '\\' => self.escaped(word),
                '$' | '`' => self.substitution(character, word, script),
                other => word.push(other),
            }
        }
    }

    /// `$(…)`, `` `…` ``, `${…}` or just a dollar sign, which has been read.
    fn substitution(&mut self, first: char, word: &mut String, script: &mut Script) {
        word.push(first);
        if first == '`' {
            let inner: String = self.characters.by_ref().take_while(|c| *c != '`').collect();
            word.push_str(&inner);
            word.push('`');
            self.nested(&inner, script);
        } else if self.characters.next_if_eq(&'(').is_some() {
            let inner = self.until_closed('(', ')');
            word.push('(');
            word.push_str(&inner);
            word.push(')');
            self.nested(&inner, script);
        } else if self.characters.next_if_eq(&'{').is_some() {
            word.push('{');
            word.push_str(&self.until_closed('{', '}'));
            word.push('}');
        }
    }

    fn nested(&self, inner: &str, script: &mut Script) {
        // `$((1 + 2))` has no commands.
        if self.depth < MAX_DEPTH && !inner.starts_with('(') {
            Splitter::new(inner, self.depth + 1).run(script);
        }
    }

    /// The text up to the closing bracket; quotes are not looked at.
    fn until_closed(&mut self, open: char, close: char) -> String {
        let mut inner = String::new();
        let mut depth = 0_usize;
        for character in self.characters.by_ref() {
            if character == open {
                depth += 1;
            } else if character == close {
                if depth == 0 {
                    break;
                }
                depth -= 1;
            }
            inner.push(character);
        }
        inner
    }
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty()
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `text | commands, words between blanks, commands between " ; "`.
    #[test]
    fn a_text_is_cut_into_commands() {
        for (text, wanted) in [
            ("a b", "a b"),
            ("a && b || c ; d & e", "a ; b ; c ; d ; e"),
            ("a 'b c' \"d e\" f\\ g", "a b c d e f g"),
            ("A=1 B=2 a b", "a b"),
            ("a # b && c\nd", "a ; d"),
            ("if a; then b; else c; fi", "a ; b ; c"),
            ("for x in a b; do c $x; done", "c $x"),
            ("(cd /x && b)", "cd /x ; b"),
            ("{ a; b; }", "a ; b"),
            ("a >b 2>&1 c <d", "a c"),
            ("x=$(a b) c", "a b ; c"),
            ("a $(b c) d", "b c ; a $(b c) d"),
            ("a `b c`", "b c ; a `b c`"),
            ("a ${x:-b c}", "a ${x:-b c}"),
            ("a $((1 + 2))", "a $((1 + 2))"),
            ("a 'unfinished", "a unfinished"),
            ("! a", "a"),
            ("exec -a x b c", "b c"),
            ("command -p a", "a"),
            ("time a", "time ; a"),
            ("\"if\" a", "if a"),
        ] {
            let script = Script::parse(text);
            let commands = script
                .commands
                .iter()
                .filter(|command| !command.name.is_empty());
            let found: Vec<String> = commands
                .map(|command| {
                    let words = std::iter::once(&command.name).chain(&command.arguments);
                    words.cloned().collect::<Vec<_>>().join(" ")
                })
                .collect();
            assert_eq!(found.join(" ; "), wanted, "{text}");
        }
    }

    #[test]
    fn a_pipe_is_told_from_an_alternative() {
        for (text, wanted) in [
            ("a | b", true),
            ("a |& b", true),
            ("a || b", false),
            ("a '|' b", false),
            ("x=$(a | b)", true),
        ] {
            assert_eq!(Script::parse(text).has_pipe, wanted, "{text}");
        }
    }

    #[test]
    fn flags_are_found_wherever_they_stand() {
        let script = Script::parse("apt-get -qy install --no-x=1 -t stable a b");
        let command = script.commands.first().unwrap();
        assert!(command.has_flag(&["y"]) && command.has_flag(&["no-x"]));
        assert!(!command.has_flag(&["yes", "z"]));
        assert_eq!(
            command.operands_of(&["install"], &["-t"]),
            Some(vec!["a", "b"])
        );
        assert_eq!(command.operands_of(&["update"], &[]), None);
    }

    #[test]
    fn depth_is_bounded() {
        Script::parse(&"$(".repeat(100_000));
    }
}
