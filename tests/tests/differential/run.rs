//! What RUN leaves behind.

use anyhow::Result;

use crate::Comparison;

#[test]
fn files_directories_modes_and_owners_made_by_run() -> Result<()> {
    Comparison::new(
        "FROM {busybox}
        RUN echo hello > /hello && chmod 600 /hello && mkdir -p /a/b/c && chmod 700 /a/b
        RUN echo worker:x:1234:33::/:/bin/sh >> /etc/passwd && chown -R worker:users /a
        RUN echo more >> /hello && touch '/name with spaces' '/näme-ünïcode-✓'
        RUN ln -s /hello /link && ln -s ../nowhere /a/dangling",
    )?
    .check()
}

#[test]
fn special_bits_fifos_hard_links_and_sticky_directories() -> Result<()> {
    Comparison::new(
        "FROM {busybox}
        RUN cp /bin/busybox /suid && chmod 4755 /suid && cp /suid /sgid && chmod 2755 /sgid
        RUN mkdir /sticky /group && chmod 1777 /sticky && chmod 2775 /group
        RUN mkfifo -m 640 /pipe && echo x > /one && ln /one /two && ln /one /sticky/three
        RUN ln /one /four",
    )?
    .check()
}

#[test]
fn deletions_of_files_trees_and_links_of_the_base() -> Result<()> {
    Comparison::new(
        "FROM {busybox}
        RUN mkdir -p /data/deep/er && touch /data/one /data/deep/two /data/deep/er/three
        RUN rm /data/one && rm -r /data/deep/er
        RUN rm -r /var/www /home && rm /usr/bin/env && rm /etc/group
        RUN rm -r /data && mkdir /data && touch /data/new",
    )?
    .check()
}

// T-SNAP-11
#[test]
fn every_change_of_type_between_file_directory_and_symlink() -> Result<()> {
    Comparison::new(
        "FROM {busybox}
        RUN mkdir /d1 /d2 /d3 && touch /d1/x /d2/x /d3/x /f1 /f2 /f3 && ln -s /d1 /l1 && ln -s /f1 /l2
        RUN rm -r /d1 && echo file > /d1
        RUN rm -r /d2 && ln -s /f2 /d2
        RUN rm -r /d3 && mkdir /d3
        RUN rm /f1 && mkdir /f1 && touch /f1/inside
        RUN rm /f3 && ln -s /tmp /f3
        RUN rm /l1 && mkdir /l1 && touch /l1/inside
        RUN rm /l2 && echo file > /l2",
    )?
    .check()
}

// T-RUN-01, T-META-05
#[test]
fn shell_form_exec_form_and_another_shell() -> Result<()> {
    Comparison::new(
        r#"FROM {busybox}
        RUN echo "$0 $PATH" > /shell-form
        RUN ["sh", "-c", "echo \"$PATH\" > /exec-form"]
        RUN ["touch", "/no $HOME expansion"]
        SHELL ["/bin/sh", "-e", "-c"]
        RUN false || true; echo "$-" > /options"#,
    )?
    .with_docker_config()
    .check()
}

// T-RUN-02, T-RUN-03
#[test]
fn user_group_home_and_supplementary_groups_of_run() -> Result<()> {
    Comparison::new(
        "FROM {busybox}
        RUN chmod 1777 /tmp && echo 'extra:x:4242:www-data' >> /etc/group
        USER www-data
        RUN id > /tmp/by-name && echo $HOME >> /tmp/by-name
        USER 33:8
        RUN id > /tmp/by-number
        USER 4321
        RUN id -u > /tmp/unknown && touch /tmp/file",
    )?
    .check()
}

#[test]
fn the_working_directory_is_made_and_used() -> Result<()> {
    Comparison::new(
        "FROM {busybox}
        WORKDIR /srv/app
        RUN pwd > where
        WORKDIR sub/dir
        RUN pwd > where
        ENV BASE=/opt
        WORKDIR $BASE/x
        RUN pwd > where
        WORKDIR /
        RUN pwd > /tmp/where",
    )?
    .check()
}

#[test]
fn two_thousand_small_files_half_of_them_deleted_again() -> Result<()> {
    Comparison::new(
        "FROM {busybox}
        RUN mkdir -p /many && i=0; while [ $i -lt 2000 ]; do echo $i > /many/f$i; i=$((i+1)); done
        RUN i=0; while [ $i -lt 2000 ]; do rm /many/f$i; i=$((i+2)); done
        RUN i=1; while [ $i -lt 2000 ]; do chmod 600 /many/f$i; i=$((i+4)); done",
    )?
    .check()
}

#[test]
fn continuations_comments_and_odd_white_space() -> Result<()> {
    Comparison::new(
        "# a comment
FROM {busybox} AS   base
RUN echo one > /one && \\
    # a comment inside
    echo two > /two && \\

    echo 'three  spaces' > /three
  run   echo lower-case instruction > /four # not a comment of ours
FROM base
ENV A=1 \\
    B=2",
    )?
    .check()
}
