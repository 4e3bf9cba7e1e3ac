//! The acceptance build: a real distribution, a compiler, every property that a file can have.

use anyhow::{Result, ensure};
use kigumi_tests::{Built, Context, Lab, Peer};

const PROGRAM: &str = r#"#include <stdio.h>
int main(void) { puts("compiled in one stage, run in another"); return 0; }
"#;

const DOCKERFILE: &str = r#"
RUN apt-get update && apt-get install -y --no-install-recommends \
    ca-certificates curl python3-minimal gcc libc6-dev libcap2-bin
WORKDIR /src
COPY program.c .
RUN gcc -O1 -o /usr/local/bin/program program.c

FROM {debian} AS final
RUN apt-get update && apt-get install -y --no-install-recommends \
    ca-certificates curl python3-minimal gcc libc6-dev libcap2-bin
COPY --from=compile /usr/local/bin/program /usr/local/bin/program
RUN useradd --create-home --uid 4000 --shell /bin/bash worker
RUN mkdir -p /props/dir /props/to-file/sub /props/deep/er && touch /props/to-file/sub/x && \
    echo one > /props/one && ln /props/one /props/two && \
    echo old > /props/to-symlink && echo gone > /props/gone && \
    mkfifo -m 0640 /props/pipe && \
    cp /bin/true /props/suid && chmod 4755 /props/suid && \
    cp /usr/bin/python3 /props/capable && setcap cap_net_bind_service=+ep /props/capable && \
    echo x > "/props/name with spaces" && echo x > "/props/näme-ünïcode-✓" && \
    chown -R worker:worker /props/dir /props/deep && chmod 2775 /props/deep/er && \
    chmod 1777 /props/dir
RUN rm /props/gone && rm -r /props/to-file && echo file > /props/to-file && \
    rm /props/to-symlink && ln -s one /props/to-symlink && \
    rm /etc/debian_version && rm -r /usr/share/doc/curl
USER worker
WORKDIR /home/worker
RUN id -un > whoami && echo "$HOME" >> whoami
ENV GREETING="hello there"
CMD ["/usr/local/bin/program"]
"#;

/// What a shell in the finished image sees, line by line.
const SEEN: &[(&str, &str)] = &[
    ("program", "compiled in one stage, run in another"),
    ("tr '\\n' ' ' < whoami", "worker /home/worker "),
    ("stat -c '%U %u %a' /home/worker", "worker 4000 755"),
    ("stat -c '%h %a' /props/one", "2 644"),
    ("test /props/one -ef /props/two && echo same", "same"),
    ("stat -c '%F %a' /props/pipe", "fifo 640"),
    ("stat -c '%a %u' /props/suid", "4755 0"),
    ("stat -c '%a %U' /props/dir", "1777 worker"),
    ("stat -c '%a %U' /props/deep/er", "2775 worker"),
    ("cat /props/to-file", "file"),
    ("readlink /props/to-symlink", "one"),
    (
        "cat '/props/name with spaces' '/props/näme-ünïcode-✓' | tr -d '\\n'",
        "xx",
    ),
    (
        "ls /props/gone /etc/debian_version /usr/share/doc/curl 2>/dev/null | wc -l",
        "0",
    ),
    (
        "/sbin/getcap /props/capable",
        "/props/capable cap_net_bind_service=ep",
    ),
    (
        "/props/capable -c 'import socket; s = socket.socket(); s.bind((str(), 79)); print(1)'",
        "1",
    ),
    ("curl --version | cut -c1-4 | head -n1", "curl"),
    (
        "test -s /etc/ssl/certs/ca-certificates.crt && echo roots",
        "roots",
    ),
    ("echo $GREETING", "hello there"),
];

#[test]
fn a_real_dockerfile_on_debian_keeps_every_property_of_every_file() -> Result<()> {
    let lab = Lab::get()?;
    let debian = lab.debian()?;
    let dockerfile = format!("FROM {debian} AS compile{DOCKERFILE}").replace("{debian}", &debian);
    let context = Context::new(lab)?
        .file("Dockerfile", dockerfile)?
        .file("program.c", PROGRAM)?;
    let built = Built::of(lab, context, &[])?;

    let lines = SEEN
        .iter()
        .map(|(command, _)| format!("echo \"$({command})\""));
    let script = lines.collect::<Vec<_>>().join("\n");
    let said = Peer::new(lab).podman_run(&built.name, &["sh", "-c", &script])?;
    let lines: Vec<&str> = said.stdout.lines().collect();
    for (index, (command, wanted)) in SEEN.iter().enumerate() {
        let found = lines.get(index).copied().unwrap_or("nothing");
        ensure!(
            found == *wanted,
            "`{command}` says `{found}`, not `{wanted}`\n{said:#?}"
        );
    }
    let said = Peer::new(lab).podman_run(&built.name, &[])?;
    ensure!(
        said.stdout == "compiled in one stage, run in another\n",
        "{said:?}"
    );
    Ok(())
}

// T-RES-01: what one such build costs
#[test]
fn a_distribution_is_built_upon_in_little_memory() -> Result<()> {
    let lab = Lab::get()?;
    let dockerfile = format!("FROM {}\nRUN touch /x\n", lab.debian()?);
    let pod = kigumi_tests::Pod::new(lab).memory("256m");
    let context = Context::new(lab)?.file("Dockerfile", dockerfile)?;
    let built = Built::by(pod, lab, context, &[])?;
    println!(
        "peak anonymous memory: {} MiB",
        built.outcome.peak_anonymous >> 20
    );
    Ok(())
}
