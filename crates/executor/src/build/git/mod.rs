//! Commits of git repositories, each fetched once in a build, however many steps add it.

#[cfg(feature = "git")]
mod fetching;
#[cfg(feature = "git")]
mod network;
#[cfg(not(feature = "git"))]
mod refusing;

#[cfg(feature = "git")]
pub(crate) use fetching::GitTrees;
#[cfg(not(feature = "git"))]
pub(crate) use refusing::GitTrees;

use kigumi_context::git::GitReference;
use kigumi_dockerfile::Source as File;
use kigumi_plan::{BuildPlan, CopyOp, Op, Source};

use crate::error::BuildError;

/// A git source of an ADD, with what its flags say.
pub(crate) fn reference(copy: &CopyOp, text: &str) -> Result<GitReference, BuildError> {
    GitReference::parse(text)
        .and_then(|reference| reference.with_flags(copy.keep_git_dir, copy.checksum.as_deref()))
        .map_err(|source| BuildError::Copy {
            message: "git source".to_owned(),
            source: Some(Box::new(source)),
        })
}

/// The git sources of a COPY or ADD, in their order.
pub(crate) fn references(copy: &CopyOp) -> Result<Vec<GitReference>, BuildError> {
    let texts = copy.sources.iter().filter_map(|source| match source {
        Source::Git(text) => Some(text),
        Source::Path(_) | Source::Url(_) | Source::Inline { .. } => None,
    });
    texts.map(|text| reference(copy, text)).collect()
}

/// Finds what is wrong with git sources before anything is pulled or run for their sake.
pub(crate) fn check(plan: &BuildPlan, file: &File) -> Result<(), BuildError> {
    for step in plan.stages.iter().flat_map(|stage| &stage.steps) {
        if let Op::Copy(copy) = &step.op {
            let checked =
                references(copy).and_then(|found| found.iter().try_for_each(GitTrees::check));
            checked.map_err(|error| error.at(file, step.span, &step.text))?;
        }
    }
    Ok(())
}
