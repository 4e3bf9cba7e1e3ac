//! Running a script that the kernel must not run because of where it lies.

/// What the first line of a script says (execve(2) § Interpreter scripts).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shebang<'a> {
    interpreter: &'a str,
    /// All the rest of the line, as one argument.
    argument: Option<&'a str>,
}

impl<'a> Shebang<'a> {
    /// Reads the first line.
    pub(crate) fn parse(script: &'a str) -> Option<Self> {
        const BLANK: [char; 2] = [' ', '\t'];
        let line = script
            .strip_prefix("#!")?
            .lines()
            .next()?
            .trim_matches(BLANK);
        let (interpreter, argument) = line.split_once(BLANK).unwrap_or((line, ""));
        let argument = argument.trim_start_matches(BLANK);
        (!interpreter.is_empty()).then_some(Self {
            interpreter,
            argument: (!argument.is_empty()).then_some(argument),
        })
    }

    /// A command for a shell that does what the kernel would do with the script at `path`.
    pub(crate) fn command(&self, path: &str) -> String {
        let words = [Some(self.interpreter), self.argument, Some(path)];
        words
            .into_iter()
            .flatten()
            .map(quoted)
            .collect::<Vec<_>>()
            .join(" ")
    }
}

/// One word for a POSIX shell.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_is_told_what_the_kernel_would_do() {
        let cases = [
            ("#!/bin/sh\nls", Some("'/bin/sh' '/dev/pipes/EOF'")),
            ("#!/bin/sh", Some("'/bin/sh' '/dev/pipes/EOF'")),
            (
                "#! /bin/awk\t-f \nBEGIN",
                Some("'/bin/awk' '-f' '/dev/pipes/EOF'"),
            ),
            (
                "#!/usr/bin/env -S python3  -u\n",
                Some("'/usr/bin/env' '-S python3  -u' '/dev/pipes/EOF'"),
            ),
            ("#!/it's\n", Some(r"'/it'\''s' '/dev/pipes/EOF'")),
            ("#!\n/bin/sh", None),
            ("# !/bin/sh", None),
        ];
        for (script, expected) in cases {
            let command = Shebang::parse(script).map(|shebang| shebang.command("/dev/pipes/EOF"));
            assert_eq!(command.as_deref(), expected, "{script:?}");
        }
    }
}
