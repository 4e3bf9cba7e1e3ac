//! Builds in a non-privileged container on real base images.

mod big;
mod confinement;
mod mount_points;
mod outputs;
mod pod;
mod processes;
mod refusals;
mod registries;
mod snapshots;
