//! What is accepted for kaniko's sake and has no effect, and how that is said: once, and never as an error (K-DROP-03).

use super::args::AcceptedFlags;
use super::variables::{self, Effect};
use super::{Environment, features};

/// Something to say about the command line or the environment before the build starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// Who needs to hear it.
    pub loudness: Loudness,
    /// What.
    pub message: String,
}

/// Who needs to hear something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loudness {
    /// Everybody: it is likely a mistake.
    Warning,
    /// Whoever reads the log.
    Note,
    /// Whoever looks for a cause.
    Detail,
}

impl Remark {
    pub(super) fn warning(message: String) -> Self {
        let loudness = Loudness::Warning;
        Self { loudness, message }
    }

    pub(crate) fn note(message: String) -> Self {
        let loudness = Loudness::Note;
        Self { loudness, message }
    }

    fn detail(message: String) -> Self {
        let loudness = Loudness::Detail;
        Self { loudness, message }
    }
}

/// Everything that is to be said.
pub(super) fn remarks(flags: &AcceptedFlags, environment: &Environment) -> Vec<Remark> {
    let mut remarks = features::remarks(environment);
    let accepted = flags.given().into_iter();
    remarks
        .extend(accepted.map(|(flag, why)| Remark::detail(format!("{flag} has no effect: {why}"))));
    let idle = environment
        .variables
        .keys()
        .filter_map(|name| variables::find(name));
    let idle = idle.filter(|variable| variable.effect == Effect::None);
    remarks.extend(idle.map(|variable| {
        let (name, meaning) = (variable.name, variable.meaning);
        Remark::detail(format!("{name} has no effect: {meaning}"))
    }));
    remarks
}
