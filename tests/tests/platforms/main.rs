//! The manifests of `deploy`, and builds started as their platforms start them (kaniko-contract §8).
//!
//! Of what is shipped only the image, the registry and the source of the context are replaced.

mod argo;
mod gitlab;
mod jenkins;
mod kubernetes;
mod manifests;
mod shipped;
mod skaffold;
mod tekton;
