//! Commits of git repositories, each fetched once in a build, however many steps add it.

#[cfg(feature = "git")]
mod fetching;
#[cfg(feature = "git")]
mod network;
#[cfg(not(feature = "git"))]
mod refusing;

#[cfg(feature = "git")]
pub(crate) use fetching::{GitTrees, main_context};
#[cfg(not(feature = "git"))]
pub(crate) use refusing::{GitTrees, main_context};

use kigumi_context::git::{GitReference, GitReferenceError};
use kigumi_dockerfile::Source as File;
use kigumi_plan::{BuildPlan, CopyOp, Op, Source, TimeQuery};

use super::rounds::World;

use crate::error::BuildError;

/// Reads a reference.
pub(crate) fn reference(text: &str) -> Result<GitReference, BuildError> {
    GitReference::parse(text).map_err(wrong)
}

/// When the commit was made that a stage adds only for its time.
pub(crate) fn time(query: &TimeQuery, world: &World<'_>) -> Result<i64, BuildError> {
    let reference = reference(&query.url)?;
    let reference = reference.with_flags(None, query.checksum.as_deref());
    GitTrees::time(&reference.map_err(wrong)?, world)
}

/// Joins what the flags of an ADD say.
pub(crate) fn with_flags(
    reference: GitReference,
    copy: &CopyOp,
) -> Result<GitReference, BuildError> {
    let checksum = copy.checksum.as_deref();
    reference
        .with_flags(copy.keep_git_dir, checksum)
        .map_err(wrong)
}

fn wrong(source: GitReferenceError) -> BuildError {
    BuildError::Copy {
        message: "git source".to_owned(),
        source: Some(Box::new(source)),
    }
}

/// Finds what is wrong with git sources before anything is pulled or run for their sake.
pub(crate) fn check(plan: &BuildPlan, file: &File) -> Result<(), BuildError> {
    for step in plan.stages.iter().flat_map(|stage| &stage.steps) {
        if let Op::Copy(copy) = &step.op {
            check_sources(copy).map_err(|error| error.at(file, step.span, &step.text))?;
        }
    }
    Ok(())
}

fn check_sources(copy: &CopyOp) -> Result<(), BuildError> {
    for source in &copy.sources {
        if let Source::Git(text) = source {
            GitTrees::check(&with_flags(reference(text)?, copy)?)?;
        }
    }
    Ok(())
}
