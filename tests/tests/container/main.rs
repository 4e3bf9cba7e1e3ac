//! Builds in a non-privileged container on real base images.

mod big;
mod confinement;
mod mounts;
mod outputs;
mod platforms;
mod pod;
mod refusals;
mod registries;
mod reproducible;
mod snapshots;
