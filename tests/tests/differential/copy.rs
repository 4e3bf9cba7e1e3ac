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

#[test]
fn slashes_and_dots_at_the_ends_of_paths() -> Result<()> {
    Comparison::new(
        "FROM {busybox}
        COPY bin /a
        COPY bin/ /b/
        COPY bin/. /c
        COPY ./bin/../deep /d
        COPY bin/tool /e/
        COPY bin/tool /f
        COPY a.txt bin deep/ /g/
        COPY / /h/",
    )?
    .files(tree)?
    .check()
}

#[test]
fn destinations_below_the_working_directory() -> Result<()> {
    Comparison::new(
        "FROM {busybox}
        WORKDIR /work/here
        COPY a.txt .
        COPY a.txt renamed
        COPY a.txt ./sub/
        COPY a.txt ../above
        COPY bin ./bin
        WORKDIR further
        COPY --chown=3:4 deep deep
        COPY a.txt /absolute",
    )?
    .files(tree)?
    .check()
}

#[test]
fn paths_and_owners_from_variables() -> Result<()> {
    Comparison::new(
        "FROM {busybox}
        ARG NAME=a
        ENV TARGET=/to OWNER=7:8
        COPY ${NAME}.txt $TARGET/$NAME
        COPY --chown=$OWNER bin $TARGET/bin/
        ADD --chown=${OWNER} deep ${TARGET}/deep/
        COPY ${NAME:+bin}/tool ${UNSET:-$TARGET}/tool",
    )?
    .files(tree)?
    .check()
}

#[test]
fn special_bits_of_context_files_are_kept() -> Result<()> {
    Comparison::new("FROM {busybox}\nCOPY . /all/\nCOPY suid sgid /two/\nCOPY sticky /three")?
        .files(|context| {
            context
                .file_with_mode("suid", "s", 0o4755)?
                .file_with_mode("sgid", "s", 0o2751)?
                .file_with_mode("none", "n", 0o000)?
                .dir("sticky/in", 0o755)?
                .dir("sticky", 0o1777)?
                .dir("group", 0o2775)
        })?
        // This buildah takes the set-id bits of what comes from the context; BuildKit keeps them (case own-chown-from-stage).
        .allow(|allowed| {
            allowed.paths(&["all/suid", "all/sgid", "all/group", "two/suid", "two/sgid"])
        })
        .check()
}

#[test]
fn names_that_need_care() -> Result<()> {
    Comparison::new(
        r#"FROM {busybox}
        COPY ["two words", "-dash", "/list/"]
        COPY new* /wild/
        COPY . /all/"#,
    )?
    .files(|context| {
        context
            .file("two words", "1")?
            .file("-dash", "2")?
            .file("q\"uote", "3")?
            .file("back\\slash", "4")?
            .file("new\nline", "5")?
            .file("tab\tand 'quotes'", "6")?
            .file("ünï/✓", "7")?
            .file("#comment", "8")?
            .file("$HOME", "9")
    })?
    .check()
}

#[test]
fn long_names_deep_trees_and_many_empty_directories() -> Result<()> {
    Comparison::new("FROM {busybox}\nCOPY . /all/\nCOPY deep/d/d /part")?
        .files(|context| {
            let long = "n".repeat(250);
            let deep = format!("deep/{}end", "d/".repeat(120));
            let mut context = context
                .file(&format!("{long}/{long}/{long}"), "long")?
                .file(&deep, "deep")?
                .symlink("link", &format!("{long}/{long}"))?;
            for number in 0..300 {
                context = context.dir(&format!("empty/{number}"), 0o755)?;
            }
            Ok(context)
        })?
        .check()
}

#[test]
fn links_in_the_context() -> Result<()> {
    Comparison::new(
        "FROM {busybox}\nCOPY . /all/\nCOPY to-file /file\nCOPY to-directory /directory/",
    )?
    .files(|context| {
        context
            .file("d/target", "t")?
            .symlink("to-file", "d/target")?
            .symlink("to-directory", "d")?
            .symlink("dangling", "nothing")?
            .symlink("absolute", "/etc/passwd")?
            .symlink("loop", "loop")
    })?
    .check()
}

#[test]
fn files_are_root_s_whatever_user_says() -> Result<()> {
    Comparison::new(
        "FROM {busybox}
        USER www-data
        COPY a.txt /a.txt
        COPY bin /srv/bin
        ADD deep /srv/deep
        USER 12:34
        COPY --chown=www-data a.txt /owned",
    )?
    .files(tree)?
    .check()
}

#[test]
fn wildcards_that_meet_directories_and_classes() -> Result<()> {
    Comparison::new(
        "FROM {busybox}
        COPY d* /a/
        COPY */f /b/
        COPY f[0-9].txt f[^0-9].txt /c/
        COPY f?.txt d1/* /d/
        COPY d[12] x /e/",
    )?
    .files(|context| {
        context
            .file("d1/f", "1")?
            .file("d1/g", "1")?
            .file("d2/sub/h", "2")?
            .file("d2/f", "2")?
            .file("f1.txt", "3")?
            .file("fx.txt", "4")?
            .file("x", "5")
    })?
    .check()
}

#[test]
fn a_copy_into_a_volume_is_kept() -> Result<()> {
    Comparison::new(
        "FROM {busybox}
        RUN mkdir /data && echo before > /data/before
        VOLUME /data
        COPY a.txt /data/
        COPY bin /data/bin",
    )?
    .files(tree)?
    .check()
}

#[test]
fn a_copy_changes_the_mode_of_a_directory_that_is_there() -> Result<()> {
    Comparison::new(
        "FROM {busybox}
        RUN mkdir -p /there/bin && chmod 700 /there/bin && chown 5:5 /there/bin && echo x > /there/bin/tool
        RUN ln -s /there/bin/tool /link && mkdir /empty && chmod 711 /empty
        COPY bin /there/bin
        COPY a.txt /link
        COPY empty /empty",
    )?
    .files(tree)?
    // D 15.1: BuildKit writes through a link that is named as the destination, buildah replaces it.
    .allow(|allowed| allowed.paths(&["link", "there/bin/tool"]))
    .check()
}
