//! The text form of plans.

use super::Build;

#[test]
fn a_plan_prints_every_step_and_the_final_config() {
    let file = "FROM base AS build\nARG TOKEN\nWORKDIR /src\nCOPY --chown=1:2 package*.json a /src/\n\
        RUN --network=default npm ci\nUSER node\nRUN <<E\n#!/bin/x\nE\n\
        FROM scratch\nCOPY --from=build --link /src/out /srv\nADD --chmod=u+x a.tar <<F /\nx\nF\n\
        CMD [\"node\", \".\"]\nEXPOSE 8080\nLABEL b=2 a=1";
    let plan = Build::of(file).arg("TOKEN", "s3cret").plan();
    insta::assert_snapshot!(plan.to_string(), @r#"
    stage 0 "build"  from docker.io/library/base:latest@sha256:cae662172fd450bb0cd710a769079c05bfc5d8e35efa6576edc7d0377afdd4a2  platform linux/amd64
      1  config   ARG TOKEN
      2  workdir  /src
      3  copy     context [package*.json a] -> /src/  chown 1:2
      4  run      ["/bin/sh","-c","npm ci"]  cwd /src  env+1
      5  config   USER node
      6  run      ["/bin/sh","-c","/dev/pipes/E"]  user node  cwd /src  env+1  script E (9 bytes)
      =  config  User node  Env PATH=/bin  WorkingDir /src

    stage 1  from scratch  platform linux/amd64  target
      1  copy     stage 0 "build" [/src/out] -> /srv  link
      2  copy     context [a.tar <<F (2 bytes)] -> /  chmod u+x  unpack local
      3  config   CMD ["node", "."]
      4  config   EXPOSE 8080
      5  config   LABEL b=2 a=1
      =  config  ExposedPorts 8080/tcp  Env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin  Cmd ["node","."]  WorkingDir /  Labels a=1 b=2
    "#);
}

#[test]
fn a_stage_on_a_stage_prints_its_parent() {
    let plan =
        Build::of("FROM scratch AS a\nFROM a\nHEALTHCHECK CMD x\nONBUILD RUN y\nWORKDIR /").plan();
    insta::assert_snapshot!(plan.to_string(), @r#"
    stage 0 "a"  from scratch  platform linux/amd64
      =  config  Env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin  WorkingDir /

    stage 1  from stage 0 "a"  platform linux/amd64  target
      1  config   HEALTHCHECK CMD x
      2  config   ONBUILD RUN y
      3  config   WORKDIR /
      =  config  Env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin  Healthcheck ["CMD-SHELL","x"]  WorkingDir /  OnBuild ["RUN y"]
    "#);
}
