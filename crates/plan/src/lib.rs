//! Turns a Dockerfile and answers into a build plan.
//!
//! *Enters*: the tree of a Dockerfile, [`BuildInputs`] (build arguments, target, platforms, labels, the time), and the
//! configs of the images that [`Planner::wanted`] asks for. *Leaves*: a [`BuildPlan`]: the needed stages in the order of
//! execution, each with its steps, fully expanded, and with the image config and history that it ends with. The plan is
//! a value that can be printed ([`std::fmt::Display`]), compared and tested.
//!
//! *Never happens here*: reading a file, the network, the clock, the environment. What only a root file system or
//! the build context knows stays symbolic: names of users, wildcards of COPY, effects of RUN.
//!
//! Specification: the Dockerfile reference, with BuildKit as the arbiter wherever the two differ.

pub mod cache_key;
mod context;
mod created_by;
mod entitlement;
mod epoch;
mod inputs;
mod lower;
mod op;
mod order;
mod plan;
mod planner;
mod render;
mod unsupported;
mod variables;

pub use cache_key::{CacheKey, Framed, MalformedKey};
pub use context::{ContextKind, NamedContext};
pub use entitlement::Entitlement;
pub use epoch::rfc3339;
pub use inputs::BuildInputs;
pub use lower::{Remote, remote_kind};
pub use op::{Chmod, CopyOp, CopySource, MakeDirOp, Op, RunMount, RunOp, Script, Source, Unpack};
pub use order::{Moved, Reordered};
pub use plan::{Base, BuildPlan, ImageId, PlannedImage, StageId, StagePlan, Step};
pub use planner::{BaseImage, ImageQuery, Planner, TimeQuery};

#[cfg(test)]
mod tests;
