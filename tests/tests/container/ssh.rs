//! `RUN --mount=type=ssh`: OpenSSH's own clients with our agent.

use std::fs;
use std::process::Command;
use std::sync::Mutex;

use anyhow::{Context as _, Result, ensure};
use kigumi_tests::{Built, Canaries, Context, Lab, Pod, SshAgent, SshKey, run};
use rustix::process::Signal;

/// Debian with `ssh-add` and `ssh-keygen`, made once for this process.
fn base() -> Result<String> {
    static BASE: Mutex<Option<String>> = Mutex::new(None);
    let mut base = BASE.lock().ok().context("another test failed with it")?;
    if let Some(name) = &*base {
        return Ok(name.clone());
    }
    let lab = Lab::get()?;
    let dockerfile = format!(
        "FROM {}\nRUN apt-get -q update && apt-get -qy install --no-install-recommends openssh-client\n",
        lab.debian()?
    );
    let name = lab.destination(&Built::of_dockerfile(lab, &dockerfile)?.name);
    *base = Some(name.clone());
    Ok(name)
}

/// Signs with every key that the agent lists, and verifies.
const SIGN: &str = "echo data > /tmp/data && \
    ssh-add -L | while read -r key; do \
        echo \"$key\" > /tmp/key.pub && rm -f /tmp/data.sig && \
        ssh-keygen -q -Y sign -f /tmp/key.pub -n test /tmp/data && \
        ssh-keygen -q -Y check-novalidate -n test -s /tmp/data.sig < /tmp/data || exit 1; \
    done && ssh-add -L | cut -d' ' -f1,2 > /listed && rm -rf /tmp/*";

/// Whatever would change the agent fails.
const REFUSED: &str = "ssh-keygen -q -t ed25519 -N '' -f /tmp/own && \
    ! ssh-add -q /tmp/own && ! ssh-add -q -D && ! ssh-add -q -d /tmp/own.pub && \
    ! printf 'x\\nx\\n' | ssh-add -x && rm -rf /tmp/*";

// T-MNT-17
#[test]
fn keys_from_files_are_listed_and_sign_and_never_leave_the_executor() -> Result<()> {
    let lab = Lab::get()?;
    let keys = lab.temp_dir()?;
    let mut canaries = Canaries::default();
    let mut public = String::new();
    let mut paths = Vec::new();
    for (name, arguments) in [
        ("ed25519", &["-t", "ed25519"][..]),
        ("rsa", &["-t", "rsa", "-b", "2048"]),
        ("rsa4096", &["-t", "rsa", "-b", "4096"]),
        ("p256", &["-t", "ecdsa", "-b", "256"]),
        ("p384", &["-t", "ecdsa", "-b", "384"]),
        ("pkcs1", &["-t", "rsa", "-m", "PEM"]),
        ("pkcs8", &["-t", "ecdsa", "-m", "PKCS8"]),
    ] {
        let key = SshKey::make(arguments)?;
        fs::copy(key.path(), keys.path().join(name))?;
        let private = key.private()?;
        let line = private.lines().nth(2).context("a short key")?;
        canaries = canaries.and(name, &private).and(name, line);
        public.push_str(&key.public()?);
        public.push('\n');
        paths.push(format!("/keys/{name}"));
    }
    let dockerfile = format!(
        "FROM {}\nRUN --mount=type=ssh {SIGN}\nRUN --mount=type=ssh {REFUSED}\n\
         RUN test -z \"${{SSH_AUTH_SOCK+set}}\" && test ! -e /run/buildkit\n\
         COPY expected /\nRUN cmp /expected /listed\n",
        base()?
    );
    let context = Context::new(lab)?
        .file("Dockerfile", dockerfile)?
        .file("expected", &public)?;
    let pod = Pod::new(lab).mount(keys.path(), "/keys");
    let flag = format!("--ssh=default={}", paths.join(","));
    let built = Built::by(pod, lab, context, &[&flag, "--verbosity=trace"])?;
    canaries.absent_from("the log", built.outcome.stderr.as_bytes())?;
    canaries.absent_from_image(lab.plain(), &built.image)
}

// T-MNT-17
#[test]
fn an_agent_beside_the_pod_is_forwarded_and_cannot_be_changed() -> Result<()> {
    let lab = Lab::get()?;
    let agent = SshAgent::start()?;
    let dockerfile = format!(
        "FROM {}\nRUN --mount=type=ssh,id=deploy,required=true {SIGN}\n\
         RUN --mount=type=ssh,id=deploy,target=/agent {REFUSED}\n\
         COPY expected /\nRUN cmp /expected /listed\n",
        base()?
    );
    let context = Context::new(lab)?
        .file("Dockerfile", dockerfile)?
        .file("expected", format!("{}\n", agent.key().public()?))?;
    let pod = Pod::new(lab).mount(&agent.socket(), "/agents/socket");
    Built::by(pod, lab, context, &["--ssh=deploy=/agents/socket"])?;
    let mut list = Command::new("ssh-add");
    let left = run(list.arg("-L").env("SSH_AUTH_SOCK", agent.socket()))?;
    ensure!(left.stdout.starts_with(&agent.key().public()?), "{left:?}");
    Ok(())
}

#[test]
fn only_whom_the_mount_names_may_use_the_agent() -> Result<()> {
    let lab = Lab::get()?;
    let agent = SshAgent::start()?;
    let dockerfile = format!(
        "FROM {}\nUSER daemon\n\
         RUN --mount=type=ssh ! ssh-add -l\n\
         RUN --mount=type=ssh,uid=1,gid=1 ssh-add -l\n\
         RUN --mount=type=ssh,mode=0666 ssh-add -l\n\
         RUN --mount=type=ssh,target=/tmp/one --mount=type=ssh,uid=1 \
             test \"$SSH_AUTH_SOCK\" = /tmp/one && SSH_AUTH_SOCK=/run/buildkit/ssh_agent.1 ssh-add -l\n",
        base()?
    );
    let context = Context::new(lab)?.file("Dockerfile", dockerfile)?;
    let pod = Pod::new(lab)
        .mount(&agent.socket(), "/agent")
        .env("SSH_AUTH_SOCK", "/agent");
    Built::by(pod, lab, context, &["--ssh=default"]).map(drop)
}

// T-PROC-04
#[test]
fn the_socket_ends_with_a_build_that_is_told_to_end() -> Result<()> {
    let lab = Lab::get()?;
    let agent = SshAgent::start()?;
    let dockerfile = format!(
        "FROM {}\nRUN --mount=type=ssh test -S \"$SSH_AUTH_SOCK\" && echo in-the-'middle' && sleep 1000\n",
        lab.busybox()?
    );
    let running = Pod::new(lab)
        .dockerfile(dockerfile)
        .mount(&agent.socket(), "/agent")
        .args(["--ssh=default=/agent", "--no-push"])
        .start()?;
    running.wait_for_line("in-the-middle")?;
    running.signal(Signal::TERM)?;
    let outcome = running.wait_and_look(|root| {
        ensure!(!root.join("run/buildkit").exists(), "a trace is left");
        Ok(())
    })?;
    outcome.exits_with(143)?;
    Ok(())
}

#[test]
fn keys_that_cannot_be_used_are_named_before_anything_runs() -> Result<()> {
    let lab = Lab::get()?;
    for (arguments, flag, words) in [
        (
            &["-t", "ed25519", "-N", "passphrase"][..],
            "--ssh=default=/keys/key",
            "the key is encrypted",
        ),
        (
            &["-t", "ecdsa", "-b", "521"],
            "--ssh=default=/keys/key",
            "ecdsa-sha2-nistp521",
        ),
        (
            &["-t", "ed25519"],
            "--ssh=default=/keys/key.pub",
            "not a private key",
        ),
        (
            &["-t", "ed25519"],
            "--ssh=default=/keys/none",
            "--ssh `default`: read `/keys/none`",
        ),
        (&["-t", "ed25519"], "--ssh=default", "SSH_AUTH_SOCK"),
        (
            &["-t", "ed25519"],
            "--ssh=other=/keys/key",
            "ssh agent default: not found",
        ),
    ] {
        let key = SshKey::make(arguments)?;
        let directory = key.path();
        let directory = directory.parent().context("a key in a directory")?;
        let dockerfile = format!(
            "FROM {}\nRUN --mount=type=ssh,required echo was-'run'\n",
            lab.busybox()?
        );
        let outcome = Pod::new(lab)
            .dockerfile(dockerfile)
            .mount(directory, "/keys")
            .args([flag, "--no-push"])
            .run()?;
        outcome.exits_with(1)?.says(words)?;
        ensure!(!outcome.stderr.contains("was-run"), "{outcome}");
    }
    Ok(())
}
