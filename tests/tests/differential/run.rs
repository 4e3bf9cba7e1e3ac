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

#[test]
fn directories_of_the_base_are_renamed_emptied_and_made_anew() -> Result<()> {
    Comparison::new(
        "FROM {busybox}
        RUN mkdir -p /tree/a/b/c /tree/d && touch /tree/a/1 /tree/a/b/2 /tree/a/b/c/3 /tree/d/4
        RUN mv /tree/a /tree/e && mv /etc/group /tree/group
        RUN rm -r /tree/d && mkdir -m 711 /tree/d && touch /tree/d/5
        RUN rm -rf /tree/e/b/* && mv /tree /moved && mkdir /tree",
    )?
    .check()
}

#[test]
fn names_that_are_long_or_no_text() -> Result<()> {
    Comparison::new(
        r#"FROM {busybox}
        RUN n=$(printf 'n%.0s' $(seq 200)); mkdir -p /$n/$n/$n && echo x > /$n/$n/$n/$n && ln -s /$n/$n/$n /link
        RUN mkdir /odd && cd /odd && touch "$(printf 'bad\377name')" "$(printf 'new\nline')" 'back\slash' ' ' '*' '~'
        RUN n=$(printf 'n%.0s' $(seq 200)); rm -r /$n/$n/$n && rm /odd/'*'"#,
    )?
    .check()
}

#[test]
fn owners_that_are_large_and_links_with_owners() -> Result<()> {
    Comparison::new(
        "FROM {busybox}
        RUN touch /a /b /c && chown 65534:65534 /a && chown 1000000:3000000 /b && chown 4294967294:4294967294 /c
        RUN ln -s /a /link && chown -h 77:88 /link && mkdir /d && chown 3:0 /d
        RUN cp /bin/busybox /suid && chown 5:5 /suid && chmod 6755 /suid && chown 6:6 /suid",
    )?
    .check()
}

#[test]
fn files_with_holes_and_files_without_content() -> Result<()> {
    Comparison::new(
        "FROM {busybox}
        RUN dd if=/dev/zero of=/hole bs=1 count=1 seek=3000000 && echo end >> /hole && truncate -s 5M /all-hole
        RUN yes 0123456789 | head -c 9000000 > /large && : > /empty && mkdir /nothing
        RUN echo tail >> /large && truncate -s 1000 /all-hole",
    )?
    .check()
}

#[test]
fn what_is_written_again_as_it_was() -> Result<()> {
    Comparison::new(
        "FROM {busybox}
        RUN echo same > /same && echo mode > /mode && mkdir /dir && touch /dir/file
        RUN echo same > /same && chmod 600 /mode && chmod 644 /mode && rm /dir/file && touch /dir/file
        RUN true
        RUN cp /etc/passwd /tmp/p && cat /tmp/p > /etc/passwd && rm /tmp/p",
    )?
    .check()
}

#[test]
fn what_is_written_to_kernel_filesystems_is_in_no_layer() -> Result<()> {
    Comparison::new(
        "FROM {busybox}
        RUN echo x > /dev/shm/x; echo y > /tmp/y; mkdir -p /var/tmp/z
        RUN ls /dev/shm > /shm; test -e /tmp/y && echo kept > /kept",
    )?
    // buildah's /dev/shm lives as long as the build.
    .allow(|allowed| allowed.paths(&["shm"]))
    .check()
}

#[test]
fn the_umask_and_the_environment_of_a_run() -> Result<()> {
    Comparison::new(
        "FROM {busybox}
        ENV A=from-env
        ARG B=from-arg
        RUN umask > /umask; mkdir /made; touch /file; (umask 077; mkdir /private; touch /secret)
        RUN A=changed; export C=lost; echo $A $B $C > /first
        RUN echo \"$A $B [$C]\" > /second; pwd >> /second; cd /tmp
        RUN pwd > /third; echo $HOME >> /third",
    )?
    .check()
}

#[test]
fn users_and_groups_by_name_and_number() -> Result<()> {
    Comparison::new(
        "FROM {busybox}
        RUN chmod 1777 /tmp && echo 'app:x:500:600:App:/home/app:/bin/sh' >> /etc/passwd && echo 'apps:x:600:' >> /etc/group
        RUN mkdir -p /home/app && chown app:apps /home/app
        USER app
        RUN id -u > /home/app/id; id -g >> /home/app/id; echo $HOME >> /home/app/id
        USER app:users
        RUN id -g > /tmp/group && touch /tmp/file
        USER 500
        RUN id -g > /tmp/by-number; echo $HOME >> /tmp/by-number
        USER 0:600
        RUN touch /tmp/root-of-apps",
    )?
    .check()
}

#[test]
fn a_real_shell_with_pipefail_and_arrays() -> Result<()> {
    Comparison::new(
        r#"FROM {debian}
        SHELL ["/bin/bash", "-o", "pipefail", "-c"]
        RUN words=(one two three); echo "${words[1]}" > /word; false | true || echo caught > /caught
        RUN diff <(echo a) <(echo b) > /difference || true
        SHELL ["/bin/sh", "-c"]
        RUN false | true && echo 'not caught' > /sh"#,
    )?
    .with_docker_config()
    .check()
}

#[test]
fn pipes_and_devices_are_made() -> Result<()> {
    Comparison::new(
        "FROM {busybox}
        RUN mkfifo -m 600 /pipe /other && rm /other && mkdir /deep && mkfifo /deep/pipe
        RUN mv /pipe /deep/moved && chown 9:9 /deep/pipe && ln /deep/pipe /deep/again",
    )?
    .check()
}

#[test]
fn hard_links_are_made_broken_and_removed() -> Result<()> {
    Comparison::new(
        "FROM {busybox}
        RUN echo a > /a && ln /a /b && ln /a /c && mkdir /d && ln /a /d/e
        RUN rm /a && echo changed >> /b
        RUN cp /c /tmp/c && rm /c && mv /tmp/c /c && echo alone >> /c
        RUN ln /b /f && chmod 600 /d/e",
    )?
    .check()
}
