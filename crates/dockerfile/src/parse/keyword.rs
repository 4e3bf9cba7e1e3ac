//! Names of instructions.

use crate::suggest::nearest;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keyword {
    Add,
    Arg,
    Cmd,
    Copy,
    Entrypoint,
    Env,
    Expose,
    From,
    Healthcheck,
    Label,
    Maintainer,
    Onbuild,
    Run,
    Shell,
    Stopsignal,
    User,
    Volume,
    Workdir,
}

const NAMES: [(Keyword, &str); 18] = [
    (Keyword::Add, "ADD"),
    (Keyword::Arg, "ARG"),
    (Keyword::Cmd, "CMD"),
    (Keyword::Copy, "COPY"),
    (Keyword::Entrypoint, "ENTRYPOINT"),
    (Keyword::Env, "ENV"),
    (Keyword::Expose, "EXPOSE"),
    (Keyword::From, "FROM"),
    (Keyword::Healthcheck, "HEALTHCHECK"),
    (Keyword::Label, "LABEL"),
    (Keyword::Maintainer, "MAINTAINER"),
    (Keyword::Onbuild, "ONBUILD"),
    (Keyword::Run, "RUN"),
    (Keyword::Shell, "SHELL"),
    (Keyword::Stopsignal, "STOPSIGNAL"),
    (Keyword::User, "USER"),
    (Keyword::Volume, "VOLUME"),
    (Keyword::Workdir, "WORKDIR"),
];

impl Keyword {
    /// Recognises a name in any case.
    pub(super) fn read(word: &str) -> Option<Self> {
        let found = NAMES
            .iter()
            .find(|(_, name)| name.eq_ignore_ascii_case(word));
        found.map(|(keyword, _)| *keyword)
    }

    /// The instruction that a wrong name probably means.
    pub(super) fn nearest(word: &str) -> Option<&'static str> {
        nearest(word, NAMES.iter().map(|(_, name)| *name))
    }

    pub(super) fn name(self) -> &'static str {
        let found = NAMES.iter().find(|(keyword, _)| *keyword == self);
        found.map_or("", |(_, name)| name)
    }

    /// Whether words of the instruction can announce inline files.
    pub(super) fn takes_heredocs(self) -> bool {
        matches!(self, Self::Add | Self::Copy | Self::Run)
    }
}
