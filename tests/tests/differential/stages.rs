//! Several stages, and what goes from one to another.

use anyhow::Result;

use crate::Comparison;

#[test]
fn a_stage_is_copied_from_by_name_and_by_number() -> Result<()> {
    Comparison::new(
        "FROM {busybox} AS first
        RUN echo 1 > /one
        FROM {busybox} AS second
        COPY --from=first /one /from-first
        RUN echo 2 > /two
        FROM {busybox}
        COPY --from=0 /one /by-number
        COPY --from=second /two /from-first /by-name/",
    )?
    .check()
}

#[test]
fn two_stages_rest_on_one_and_meet_again() -> Result<()> {
    Comparison::new(
        "FROM {busybox} AS root
        RUN mkdir /shared && echo root > /shared/root && echo gone > /shared/gone
        ENV FROM_ROOT=yes
        FROM root AS left
        RUN rm /shared/gone && echo left > /shared/left
        FROM root AS right
        RUN echo right > /shared/gone && chmod 700 /shared
        FROM root
        COPY --from=left /shared /left
        COPY --from=right /shared /right
        RUN echo $FROM_ROOT > /environment",
    )?
    .check()
}

#[test]
fn a_chain_of_stages_adds_and_removes() -> Result<()> {
    Comparison::new(
        "FROM {busybox} AS a
        RUN mkdir /d && touch /d/1 /d/2 /d/3
        FROM a AS b
        RUN rm /d/1 && ln -s 2 /d/link
        FROM b AS c
        RUN rm -r /d && mkdir /d && touch /d/4
        FROM c AS d
        COPY --from=b /d /d
        FROM d
        RUN rm /d/link",
    )?
    .check()
}

#[test]
fn the_target_is_built_and_what_follows_is_not() -> Result<()> {
    Comparison::new(
        "FROM {busybox} AS one
        RUN echo one > /one
        FROM one AS two
        RUN echo two > /two
        CMD [\"two\"]
        FROM two AS three
        RUN exit 3",
    )?
    .option("--target=two")
    .check()
}

#[test]
fn a_config_is_inherited_by_the_stages_above() -> Result<()> {
    Comparison::new(
        r#"FROM {busybox} AS parent
        ENV A=parent B=parent
        LABEL a=parent b=parent
        WORKDIR /parent
        USER 12:34
        EXPOSE 1
        VOLUME /parent-volume
        ENTRYPOINT ["/parent"]
        CMD ["parent"]
        STOPSIGNAL SIGUSR1
        FROM parent AS child
        ENV B=child C=child
        LABEL b=child
        WORKDIR child
        EXPOSE 2
        VOLUME /child-volume
        CMD ["child"]
        FROM child
        USER root
        ENTRYPOINT ["/grandchild"]"#,
    )?
    // buildah makes a working directory for root, whatever USER says (T-USER).
    .allow(|allowed| allowed.paths(&["parent/child"]))
    .check()
}

#[test]
fn a_global_argument_is_declared_again_where_it_is_used() -> Result<()> {
    Comparison::new(
        "ARG VERSION=1
        ARG NAME=default
        FROM {busybox} AS one
        RUN echo \"[$VERSION] [$NAME]\" > /undeclared
        ARG VERSION
        ARG NAME=mine
        RUN echo \"[$VERSION] [$NAME]\" > /declared
        FROM {busybox}
        ARG VERSION=2
        RUN echo \"[$VERSION] [$NAME]\" > /again
        COPY --from=one /undeclared /declared /",
    )?
    .build_arg("NAME=given")
    .check()
}

#[test]
fn a_whole_image_is_put_together_from_scratch() -> Result<()> {
    Comparison::new(
        "FROM {busybox} AS source
        RUN mkdir -p /root-of/bin /root-of/etc /root-of/tmp && chmod 1777 /root-of/tmp
        RUN cp /bin/busybox /root-of/bin/ && ln -s busybox /root-of/bin/sh && ln /root-of/bin/busybox /root-of/bin/ls
        RUN echo 'me:x:5:6::/:/bin/sh' > /root-of/etc/passwd && echo 'us:x:6:' > /root-of/etc/group
        FROM scratch
        COPY --from=source /root-of /
        COPY --from=source --chown=me:us /etc/passwd /owned
        USER me
        ENTRYPOINT [\"/bin/sh\"]",
    )?
    // T-STAGE-13: a build from scratch has a PATH.
    .allow(|allowed| allowed.settings(&["config.Env"]))
    .check()
}

#[test]
fn an_image_is_copied_from_with_wildcards() -> Result<()> {
    Comparison::new(
        "FROM {busybox} AS parts
        RUN mkdir -p /p/a1 /p/a2 /p/b && touch /p/a1/x /p/a2/y /p/b/z /p/a.txt /p/b.txt
        FROM {busybox}
        COPY --from=parts /p/*.txt /texts/
        COPY --from=parts /p/a? /directories/
        COPY --from={busybox} /etc/pass* /etc/gr*p /etc/copied/",
    )?
    .check()
}
