//! What COPY and ADD put where.

use std::process::Command;

use anyhow::Result;
use kigumi_tests::Context;

use crate::Comparison;

fn tree(context: Context) -> Result<Context> {
    context
        .file("a.txt", "a")?
        .file_with_mode("bin/tool", "#!/bin/sh\n", 0o755)?
        .file_with_mode("bin/secret", "s", 0o600)?
        .dir("empty", 0o711)?
        .file("deep/er/file with spaces.txt", "x")?
        .file("deep/er/ünï.txt", "x")?
        .symlink("deep/link", "er")?
        .symlink("deep/dangling", "/nowhere")
}

#[test]
fn files_and_trees_of_the_context() -> Result<()> {
    Comparison::new(
        r#"FROM {busybox}
        COPY a.txt /
        COPY a.txt /renamed.txt
        COPY bin /opt/bin
        COPY bin/ empty deep /all/
        COPY ["deep/er/file with spaces.txt", "/"]
        COPY . /whole/"#,
    )?
    .files(tree)?
    .check()
}

#[test]
fn owners_and_modes_by_flag() -> Result<()> {
    Comparison::new(
        "FROM {busybox}
        COPY --chown=1000:2000 bin /by-number/
        COPY --chown=www-data:users deep /by-name/
        COPY --chown=www-data a.txt /by-user
        COPY --chmod=0640 a.txt /mode
        COPY --chmod=0750 --chown=8:8 bin/tool /both",
    )?
    .files(tree)?
    .check()
}

#[test]
fn wildcards_select_and_sort() -> Result<()> {
    Comparison::new(
        "FROM {busybox}
        COPY *.md /md/
        COPY part-?.bin /parts/
        COPY [ab].txt x*/y.c /mixed/",
    )?
    .files(|context| {
        context
            .file("one.md", "1")?
            .file("two.md", "2")?
            .file("part-1.bin", "p1")?
            .file("part-22.bin", "p22")?
            .file("a.txt", "a")?
            .file("b.txt", "b")?
            .file("c.txt", "c")?
            .file("xx/y.c", "y")
    })?
    .check()
}

// T-IGN-03
#[test]
fn dockerignore_hides_and_reveals() -> Result<()> {
    Comparison::new("FROM {busybox}\nCOPY . /all/")?
        .files(|context| {
            context
                .file(
                    ".dockerignore",
                    "# comment\n*.log\n**/cache\nkeep/*\n!keep/this\nDockerfile\n",
                )?
                .file("a.log", "")?
                .file("sub/b.log", "not at the top")?
                .file("cache/x", "")?
                .file("sub/cache/x", "")?
                .file("keep/this", "1")?
                .file("keep/not-this", "2")?
                .file("c.txt", "c")
        })?
        .check()
}

// T-COPY-02
#[test]
fn copies_from_a_stage_keep_owner_mode_and_links() -> Result<()> {
    Comparison::new(
        "FROM {busybox} AS build
        RUN mkdir -p /out/bin /out/lib && cp /bin/busybox /out/bin/su && chmod 4750 /out/bin/su
        RUN echo lib > /out/lib/one && ln -s one /out/lib/two && chown -R 33:33 /out/lib
        RUN mkfifo /out/pipe && chmod 1777 /out
        FROM {busybox}
        COPY --from=build /out /result
        COPY --from=build /out/bin/su /usr/bin/
        COPY --from=0 --chown=9:9 /out/lib /owned",
    )?
    .check()
}

#[test]
fn copies_from_another_image() -> Result<()> {
    Comparison::new(
        "FROM scratch
        COPY --from={busybox} /etc /etc
        COPY --from={busybox} /bin/busybox /bin/sh
        CMD [\"/bin/sh\"]",
    )?
    // T-STAGE-13: a build from scratch has a PATH.
    .allow(|allowed| allowed.settings(&["config.Env"]))
    .check()
}

#[test]
fn archives_are_unpacked_by_add_and_kept_by_copy() -> Result<()> {
    Comparison::new(
        "FROM {busybox}
        ADD plain.tar /plain/
        ADD packed.tar.gz /packed/
        ADD a.txt /a.txt
        COPY packed.tar.gz /kept.tar.gz",
    )?
    .files(|context| {
        let context = tree(context)?;
        for (name, flag) in [("plain.tar", "-cf"), ("packed.tar.gz", "-czf")] {
            let mut tar = Command::new("tar");
            tar.current_dir(context.path())
                .args(["--owner=7", "--group=8", "--sort=name"]);
            kigumi_tests::run(tar.args([flag, name, "bin", "deep", "empty"]))?;
        }
        Ok(context)
    })?
    .check()
}

// T-COPY-14, T-COPY-16
#[test]
fn symlinks_in_a_destination_are_followed_inside_the_root() -> Result<()> {
    Comparison::new(
        "FROM {busybox}
        RUN mkdir -p /real/inner && ln -s /real /absolute && ln -s real/inner /relative
        COPY a.txt /absolute/
        COPY a.txt /relative/renamed
        COPY bin /absolute/bin/",
    )?
    .files(tree)?
    .check()
}

#[test]
fn copies_over_what_is_there() -> Result<()> {
    Comparison::new(
        "FROM {busybox}
        RUN mkdir -p /target/bin && echo old > /target/a.txt && chmod 600 /target/a.txt
        RUN echo kept > /target/bin/kept && chmod 700 /target
        COPY a.txt /target/
        COPY bin /target/bin/
        RUN ls -R /target > /listing",
    )?
    .files(tree)?
    .check()
}
