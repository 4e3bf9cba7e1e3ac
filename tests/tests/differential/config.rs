//! What ends in the image's config.

use anyhow::Result;

use crate::Comparison;

#[test]
fn labels_ports_volumes_entrypoint_command_and_stop_signal() -> Result<()> {
    Comparison::new(
        r#"FROM {busybox}
        LABEL one=1 "two words"="a \"quoted\" value" three='$literal'
        LABEL one=again multi="first \
second"
        EXPOSE 80 443/tcp 53/udp
        VOLUME /data ["/cache"]
        VOLUME ["/json", "/form"]
        ENTRYPOINT ["/bin/echo", "start"]
        CMD ["with", "arguments"]
        STOPSIGNAL SIGINT
        USER www-data:users
        WORKDIR /srv"#,
    )?
    .check()
}

#[test]
fn environment_and_arguments_in_every_spelling() -> Result<()> {
    Comparison::new(
        r#"ARG GLOBAL=outside
        FROM {busybox}
        ARG GLOBAL
        ARG GIVEN=default
        ARG UNSET
        ENV A=1 B="two words" C=three\ words D='single $A'
        ENV LEGACY form with  spaces
        ENV E=${A}x F=$B G=${UNSET:-fallback} H=${A:+alternative} I=\$A
        ENV A=changed J=$A
        RUN env | grep -E '^([A-J]|GLOBAL|GIVEN|LEGACY)=' | sort > /environment
        ENV GIVEN=from-env
        RUN echo $GIVEN > /given
        LABEL expanded="$GIVEN-${GLOBAL}""#,
    )?
    .build_arg("GIVEN=on the command line")
    .check()
}

#[test]
fn healthcheck_and_onbuild_are_stored() -> Result<()> {
    Comparison::new(
        r#"FROM {busybox}
        HEALTHCHECK --interval=30s --timeout=3s --start-period=5s --retries=2 CMD ["true"]
        ONBUILD RUN echo triggered > /triggered
        ONBUILD COPY . /app
        MAINTAINER Someone <someone@example.org>"#,
    )?
    .with_docker_config()
    .check()
}

#[test]
fn healthcheck_none_and_a_command_in_shell_form() -> Result<()> {
    Comparison::new(
        r"FROM {busybox}
        HEALTHCHECK NONE
        ENTRYPOINT exec top -b",
    )?
    .with_docker_config()
    .check()
}

// A stage that is named by an argument and the platform arguments are unknown to this buildah;
// `container` tests them.
#[test]
fn stages_and_an_argument_in_from() -> Result<()> {
    Comparison::new(
        "ARG BASE={busybox}
        FROM ${BASE} AS first
        RUN echo first > /stage
        FROM first AS second
        RUN echo second >> /stage
        ENV FROM_SECOND=yes
        FROM second AS final
        RUN echo final $FROM_SECOND >> /stage
        LABEL stage=final",
    )?
    .check()
}

#[test]
fn nothing_but_metadata() -> Result<()> {
    Comparison::new("FROM {busybox}\nLABEL a=b\nENV C=d\nCMD []\nEXPOSE 8080")?.check()
}

#[test]
fn labels_in_every_spelling() -> Result<()> {
    Comparison::new(
        r#"FROM {busybox}
        ENV V=value
        LABEL a=1 b="2 3" c='4 5' "d e"=6 f=7\ 8 g=
        LABEL expanded=$V quoted="<$V>" single='$V' escaped=\$V default=${X:-none} alternative=${V:+some}
        LABEL legacy many words here
        LABEL com.example.json="{\"k\": [1, 2]}" unicode="grüße ✓" \
            continued=yes \
            equals=a=b=c
        LABEL a=last"#,
    )?
    .check()
}

#[test]
fn environment_with_quotes_escapes_and_modifiers() -> Result<()> {
    Comparison::new(
        r#"FROM {busybox}
        ENV EMPTY= QUOTED="" SET=set
        ENV A=${EMPTY:-default} C=${SET:+alternative} D=${EMPTY:+none} E=${UNSET:+none}
        ENV F="a\"b" G='c"d' H="e'f" I=a\ b\ c J=x=y=z K="$SET-${SET}_$SET"
        ENV L=\$SET M='$SET' N="\$SET" O=$SET/$SET
        ENV legacy   spaces  inside and "quotes"
        ENV LONGER=$PATH:/opt/bin
        RUN env | grep -E '^[A-Z]=|^legacy|^LONGER' | sort > /environment"#,
    )?
    .check()
}

#[test]
fn ports_volumes_and_signals_with_variables() -> Result<()> {
    Comparison::new(
        r#"FROM {busybox}
        ARG PORT=8080
        ENV DIRECTORY=/var/data SIGNAL=SIGQUIT
        EXPOSE $PORT ${PORT}/udp 53/udp 53 80/tcp 80
        VOLUME $DIRECTORY ${DIRECTORY}/sub
        VOLUME ["/with space", "/plain"]
        STOPSIGNAL $SIGNAL"#,
    )?
    .build_arg("PORT=9090")
    .check()
}

#[test]
fn a_signal_by_number_and_a_user_by_variable() -> Result<()> {
    Comparison::new(
        "FROM {busybox}
        ENV WHO=12:34
        STOPSIGNAL 9
        USER $WHO
        CMD top -b $WHO && true",
    )?
    .check()
}

#[test]
fn a_shell_is_written_into_what_has_shell_form() -> Result<()> {
    Comparison::new(
        r#"FROM {busybox}
        SHELL ["/bin/busybox", "sh", "-e", "-c"]
        RUN echo $0 > /shell
        HEALTHCHECK --interval=1m30s --timeout=500ms CMD test -f /shell
        ENTRYPOINT exec sleep 1
        CMD echo "$HOME" | cat"#,
    )?
    .with_docker_config()
    // This buildah puts /bin/sh before them, whatever SHELL says (T-META-05).
    .allow(|allowed| allowed.settings(&["config.Cmd", "config.Entrypoint"]))
    .check()
}

#[test]
fn a_later_entrypoint_command_and_healthcheck_replace_an_earlier_one() -> Result<()> {
    Comparison::new(
        r#"FROM {busybox}
        ENTRYPOINT ["one", "two"]
        CMD ["three"]
        HEALTHCHECK CMD ["first"]
        CMD ["four", "five \" six"]
        HEALTHCHECK --retries=7 --start-period=1h CMD second
        ENTRYPOINT ["seven", "$NOT_EXPANDED"]"#,
    )?
    .with_docker_config()
    .check()
}

#[test]
fn another_escape_character() -> Result<()> {
    // This buildah knows it at the end of a line only, not within words.
    Comparison::new(
        r#"# escape=`
        FROM {busybox}
        ENV A=one B="two" `
            C=three
        LABEL path='c:\dir\' `
            d=e
        RUN echo "$A" `
            "$B" > /said"#,
    )?
    .check()
}

#[test]
fn empty_lists_clear_what_the_base_says() -> Result<()> {
    Comparison::new(
        r#"FROM {busybox} AS base
        ENTRYPOINT ["/entry"]
        CMD ["command"]
        FROM base
        ENTRYPOINT []
        CMD []"#,
    )?
    .check()
}
