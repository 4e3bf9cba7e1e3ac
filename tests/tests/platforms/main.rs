//! The manifests of `deploy` and kaniko's public examples, started as their platforms start them (kaniko-contract §8, K-DROP-01).
//!
//! Of the examples only the name of the image is replaced, and what every user has to fill in: where to push, and what the platform puts in the
//! place of its variables. The lab mounts its CA. No flag and no variable is added.
//!
//! Pods are played by `podman kube play`. Steps of Tekton, Argo and Shipwright are no pods until their controller has made some, and a GitLab job
//! is a script that the runner pipes into a shell: for these, `kigumi_tests::Pod` starts what the controller would.

mod argo;
mod gitlab;
mod jenkins;
mod kubernetes;
mod manifests;
mod shipped;
mod skaffold;
mod tekton;
