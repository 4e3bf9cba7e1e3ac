//! A C project whose library comes from a private git server, over ssh with a forwarded key.

use std::fs;

use anyhow::{Result, ensure};
use kigumi_tests::{Built, Context, Lab, Peer, Pod, Service};

/// A git server, and the key that opens it. sshd does not look for a free port by itself: it gets one after the other, none of those that the
/// kernel gives away, until it stays.
const SERVER: &str = r#"
RUN apt-get update && apt-get install -y --no-install-recommends openssh-server && rm -rf /var/lib/apt/lists/*
RUN mkdir -p /run/sshd && useradd --create-home --shell /bin/sh git && usermod --password '*' git
RUN ssh-keygen -q -t ed25519 -N "" -C builder -f /key && \
    install -d -o git -g git -m 0700 /home/git/.ssh && \
    install -o git -g git -m 0600 /key.pub /home/git/.ssh/authorized_keys
COPY --chown=git:git <<"EOT" /home/git/library/joint.c
const char *joint(void) { return "a joint without nails"; }
EOT
USER git
WORKDIR /home/git/library
RUN git init -q --initial-branch=main && git add . && \
    git -c user.name=builder -c user.email=builder@example.com commit -q -m "library: a joint"
USER root
COPY <<"EOT" /serve
for port in $(seq 20022 20999); do
    echo "$port" > /port
    /usr/sbin/sshd -D -e -p "$port" -o ListenAddress=127.0.0.1
done
EOT
"#;

/// Says the port on which this very server answers, once it does.
const READY: &str = r#"
own=$(cut -d" " -f2 /etc/ssh/ssh_host_ed25519_key.pub)
until port=$(cat /port) && ssh-keyscan -t ed25519 -p "$port" 127.0.0.1 2>/dev/null | grep -qF "$own"; do sleep 0.1; done
printf %s "$port"
"#;

const APPLICATION: &str = r#"
RUN apt-get update && apt-get install -y --no-install-recommends openssh-client && rm -rf /var/lib/apt/lists/*
WORKDIR /src
ARG PORT
RUN --mount=type=ssh,required mkdir -p -m 0700 ~/.ssh && ssh-keyscan -p "$PORT" 127.0.0.1 > ~/.ssh/known_hosts && \
    git clone "ssh://git@127.0.0.1:$PORT/home/git/library" && rm -r ~/.ssh
COPY main.c .
RUN gcc -static -o /program main.c library/joint.c

FROM scratch
COPY --from=build /program /program
CMD ["/program"]
"#;

const MAIN: &str = r"#include <stdio.h>
const char *joint(void);
int main(void) { puts(joint()); return 0; }
";

/// T-MNT-17
#[test]
fn git_clones_over_ssh_with_a_key_that_the_step_never_sees() -> Result<()> {
    let lab = Lab::get()?;
    let base = lab.debian_build()?;
    let server = Built::of_dockerfile(lab, &format!("FROM {base}\n{SERVER}"))?;
    let daemon = Service::start(lab, &server.name, &["sh", "/serve"])?;
    let port = daemon.exec(&["sh", "-c", READY])?.stdout;
    let keys = lab.temp_dir()?;
    let key = keys.path().join("key");
    daemon.fetch("/key", &key)?;

    let context = Context::new(lab)?
        .file("Dockerfile", format!("FROM {base} AS build\n{APPLICATION}"))?
        .file("main.c", MAIN)?;
    let pod = Pod::new(lab).mount(keys.path(), "/keys");
    let port = format!("--build-arg=PORT={port}");
    let built = Built::by(pod, lab, context, &["--ssh=default=/keys/key", &port])?;

    let said = Peer::new(lab).podman_run(&built.name, &[])?;
    ensure!(said.stdout == "a joint without nails\n", "{said:?}");
    let secret = fs::read_to_string(&key)?;
    let line = secret.lines().nth(1).unwrap_or("nothing");
    let log = format!("{}{}", built.outcome.stdout, built.outcome.stderr);
    ensure!(!log.contains(line), "the key is in the log");
    Ok(())
}
