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
