//! Builds in a non-privileged container on real base images.

mod big;
mod cache_mounts;
mod cached;
mod confinement;
mod copies;
mod faults;
mod former;
mod git;
mod kaniko_bugs;
mod kaniko_flags;
mod leaks;
mod mount_points;
mod mounts;
mod outputs;
mod platforms;
mod pod;
mod processes;
mod refusals;
mod registries;
mod remote;
mod reproducible;
mod secrets;
mod shield;
mod snapshots;
mod ssh;
mod warmed;
