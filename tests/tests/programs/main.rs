//! Programs as people write them, built in a non-privileged container: an interpreter with a package cache, a package
//! manager with a private registry, a compiler over a mounted context, a clone with a forwarded key.

mod c;
mod caches;
mod go;
mod node;
mod python;

use std::fs;

use anyhow::{Context as _, Result};
use kigumi_tests::Context;

/// Certificates that this machine trusts: a company's proxy may sign what the package registries send.
fn with_trust(context: Context) -> Result<Context> {
    let path = std::env::var("SSL_CERT_FILE");
    let path = path
        .as_deref()
        .unwrap_or("/etc/ssl/certs/ca-certificates.crt");
    let bundle = fs::read(path).with_context(|| format!("read {path}"))?;
    context.file("trust.pem", bundle)
}
