//! The unresolved state of a plan: asks for images until it has all, then decides.

use kigumi_dockerfile::{Diagnostics, Dockerfile, Span};
use kigumi_oci::{Digest, ImageConfig, Platform};

use crate::inputs::BuildInputs;
use crate::plan::BuildPlan;

/// A question: what is this image, for this platform?
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ImageQuery {
    /// Normalised: with registry, repository and tag or digest.
    pub reference: String,
    /// For which platform.
    pub platform: Platform,
    /// The first place that needs it.
    pub span: Span,
}

/// The answer to an [`ImageQuery`].
#[derive(Debug, Clone, PartialEq)]
pub struct BaseImage {
    /// The reference it was found under.
    pub reference: String,
    /// Digest of the manifest of the wanted platform.
    pub digest: Digest,
    /// Its config.
    pub config: ImageConfig,
}

/// A plan that still has questions.
///
/// ```text
/// let mut planner = Planner::new(&dockerfile, inputs)?;
/// loop {
///     let wanted = planner.wanted();
///     if wanted.is_empty() { break }
///     for query in wanted { planner.supply(&query, resolve(&query)?) }
/// }
/// let plan = planner.finish()?;
/// ```
#[derive(Debug, Clone)]
pub struct Planner {}

impl Planner {
    /// Evaluates everything that needs no image: global arguments, all FROM lines, the target.
    ///
    /// # Errors
    /// What is wrong with the file or the target, all of it.
    pub fn new(dockerfile: &Dockerfile, inputs: BuildInputs) -> Result<Self, Diagnostics> {
        let _ = (dockerfile, inputs);
        todo!()
    }

    /// The images that needed stages ask for and that were not supplied yet. Empty means [`Planner::finish`] may be
    /// called. Supplying an image may lead to new questions, because of its ONBUILD triggers.
    #[must_use]
    pub fn wanted(&self) -> Vec<ImageQuery> {
        todo!()
    }

    /// Answers a question.
    pub fn supply(&mut self, query: &ImageQuery, image: BaseImage) {
        let _ = (query, image);
        todo!()
    }

    /// Lowers the needed stages.
    ///
    /// # Errors
    /// What is wrong with the file, all of it.
    pub fn finish(self) -> Result<BuildPlan, Diagnostics> {
        todo!()
    }
}
