//! What a RUN sees through its mounts, and what is left of it.
//!
//! This buildah removes a mount point after the RUN even where it was there before, so no case mounts over what is there.

use anyhow::Result;
use kigumi_tests::{Context, Lab};

use crate::Comparison;

fn tree(context: Context) -> Result<Context> {
    context
        .file("data/one", "1")?
        .file_with_mode("data/tool", "#!/bin/sh\necho tool\n", 0o755)?
        .file("data/deep/er", "deep")
}

#[test]
fn a_bind_mount_of_the_context_is_read_and_leaves_nothing() -> Result<()> {
    Comparison::new(
        "FROM {busybox}
        RUN --mount=type=bind,target=/mnt cat /mnt/data/one > /all && ls /mnt/data > /list
        RUN --mount=type=bind,source=data,target=/mnt sh /mnt/tool > /tool; cp -r /mnt/deep /copied
        RUN --mount=type=bind,source=data/one,target=/one cat /one > /single
        RUN test ! -e /mnt && test ! -e /one && echo gone > /after",
    )?
    .files(tree)?
    .check()
}

#[test]
fn a_bind_mount_of_a_stage_and_of_an_image() -> Result<()> {
    Comparison::new(
        "FROM {busybox} AS build
        RUN mkdir -p /out/sub && echo made > /out/sub/file && chmod 700 /out/sub && chown -R 5:6 /out
        FROM {busybox}
        RUN --mount=type=bind,from=build,source=/out,target=/from stat -c '%a %u:%g %n' /from/sub /from/sub/file > /seen
        RUN --mount=from=build,source=/out/sub/file,target=/single-file,type=bind cat /single-file > /single
        RUN --mount=type=bind,from={busybox},source=/etc,target=/from cp /from/passwd /passwd",
    )?
    .check()
}

#[test]
fn a_cache_is_kept_between_steps_and_is_in_no_layer() -> Result<()> {
    let id = Lab::unique_name("cache").replace(':', "-");
    Comparison::new(&format!(
        "FROM {{busybox}}
        RUN --mount=type=cache,id={id},target=/cache echo kept > /cache/file && mkdir /cache/deep
        RUN --mount=type=cache,id={id},target=/cache cat /cache/file > /second; ls /cache >> /second
        RUN test ! -e /cache && echo gone > /without"
    ))?
    .check()
}

#[test]
fn a_tmpfs_forgets() -> Result<()> {
    Comparison::new(
        "FROM {busybox}
        RUN --mount=type=tmpfs,target=/t echo x > /t/x; ls -A /t > /during
        RUN --mount=type=tmpfs,target=/t ls -A /t > /again
        RUN test ! -e /t && echo gone > /after",
    )?
    .check()
}
