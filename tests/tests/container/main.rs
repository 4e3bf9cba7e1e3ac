//! Builds in a non-privileged container on real base images.

mod big;
mod leaks;
mod outputs;
mod pod;
mod refusals;
mod registries;
mod secrets;
mod snapshots;
mod ssh;
