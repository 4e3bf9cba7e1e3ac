//! Commands of CMD, ENTRYPOINT and HEALTHCHECK.

use kigumi_dockerfile::instruction::CommandForm;

use super::scope::Scope;

/// The words of a command, the shell in front if there is one.
pub(super) fn words(scope: &Scope, command: &CommandForm) -> Vec<String> {
    match command {
        CommandForm::Shell(text) => scope.in_shell(text),
        CommandForm::Exec(words) => words.clone(),
    }
}

/// What a health check stores: the runtime adds the shell by itself.
pub(super) fn test(command: &CommandForm) -> Vec<String> {
    match command {
        CommandForm::Shell(text) => vec!["CMD-SHELL".to_owned(), text.clone()],
        CommandForm::Exec(words) => {
            let mut test = vec!["CMD".to_owned()];
            test.extend(words.iter().cloned());
            test
        }
    }
}
