//! No secret of a build is found anywhere: layers, config, history, manifest, log, caches, left-over files.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use kigumi_tests::{Canaries, Image, Lab, Outcome, Pod, SshKey};
use rustix::process::Signal;
use tempfile::TempDir;

const FILE: &str = "file-canary-9Qz/Tk+3 \"quoted\" and long enough to be cut into several windows by whoever looks for it";
const VARIABLE: &str = "variable-canary-7Hw2";
const REGISTRY: &str = "registry-canary-4Lm8";

/// Every kind of secret is used, and most of them are printed.
const STEPS: &str = r#"
FROM {busybox} AS tools
ARG UNUSED=1
RUN --mount=type=secret,id=file,required set -x; cat /run/secrets/file; base64 /run/secrets/file | tr -d '\n'; \
    xxd -p /run/secrets/file | tr -d '\n'; echo "arguments $(cat /run/secrets/file)"; ls -lR /run
RUN --mount=type=secret,id=variable,env=TOKEN --mount=type=secret,id=file,env=OTHER set -x; echo "$TOKEN"; env | sort
RUN --mount=type=secret,id=file,target=/root/.config/token,mode=0444,uid=1 --mount=type=cache,target=/cache,id=leaks \
    cp /root/.config/token /tmp/used && test -s /tmp/used && rm /tmp/used && date > /cache/stamp
RUN --mount=type=ssh,required test -S "$SSH_AUTH_SOCK"
RUN --mount=type=ssh,id=key,target=/agent --mount=type=secret,id=key cat /run/secrets/key
RUN cat /kaniko/.docker/config.json
FROM {busybox}
COPY --from=tools /etc/passwd /from-tools
RUN --mount=type=secret,id=file,env=BOTH,target=/run/both test "${BOTH%?}" = "$(cat /run/both)"
"#;

/// The volumes of the pod, and what must not leave them.
struct Build {
    volume: TempDir,
    canaries: Canaries,
    docker_config: String,
}

impl Build {
    fn new(lab: &Lab) -> Result<Self> {
        let volume = lab.temp_dir()?;
        let key = SshKey::make(&["-t", "ed25519"])?;
        let private = key.private()?;
        fs::write(volume.path().join("file"), format!("{FILE}\n"))?;
        fs::copy(key.path(), volume.path().join("key"))?;
        let auth = BASE64_STANDARD.encode(format!("user:{REGISTRY}"));
        let body = private.lines().nth(2).context("a short key")?;
        let mut docker_config: serde_json::Value = serde_json::from_str(&lab.docker_config()?)?;
        let auths = docker_config
            .get_mut("auths")
            .and_then(serde_json::Value::as_object_mut)
            .context("no auths")?;
        auths.insert(
            "registry.invalid".to_owned(),
            serde_json::json!({ "auth": auth }),
        );
        let password = lab.secure().credentials().context("no credentials")?;
        Ok(Self {
            volume,
            canaries: Canaries::default()
                .and("file", FILE)
                .and("whole file", format!("{FILE}\n"))
                .and("variable", VARIABLE)
                .and("private key", &private)
                .and("line of the private key", body)
                .and("other registry", REGISTRY)
                .and("auth of the other registry", auth)
                .and("registry", &password.password),
            docker_config: docker_config.to_string(),
        })
    }

    fn pod<'a>(&self, lab: &'a Lab, last: &str, format: &str) -> Result<Pod<'a>> {
        let dockerfile = format!("{STEPS}{last}\n").replace("{busybox}", &lab.busybox()?);
        Ok(Pod::new(lab)
            .mount(self.volume.path(), "/volume")
            .mount(&lab.ca_file(), "/lab/ca.crt")
            .env("VARIABLE", VARIABLE)
            .docker_config(&self.docker_config)
            .dockerfile(dockerfile)
            .args([
                "--secret=id=file,src=/volume/file",
                "--secret=id=variable,env=VARIABLE",
            ])
            .args([
                "--secret=id=key,src=/volume/key",
                "--ssh=default=/volume/key",
            ])
            .args(["--ssh=key=/volume/key", "--verbosity=trace"])
            .args([format!("--log-format={format}")])
            .args([format!(
                "--registry-certificate={}=/lab/ca.crt",
                lab.secure().address()
            )]))
    }

    /// Everything but the image.
    fn check(&self, outcome: &Outcome) -> Result<()> {
        let canaries = &self.canaries;
        canaries.absent_from("the log", outcome.stderr.as_bytes())?;
        canaries.absent_from("standard output", outcome.stdout.as_bytes())?;
        canaries.absent_from("the termination log", outcome.termination_log.as_bytes())?;
        canaries.absent_below(&outcome.workspace())?;
        // Otherwise nothing was printed, and this proves nothing.
        ensure!(outcome.stderr.matches("***").count() >= 12, "{outcome}");
        Ok(())
    }
}

/// Something must have been there to be looked at.
fn look(canaries: &Canaries, root: &std::path::Path) -> Result<()> {
    let read = canaries.absent_below(root)?;
    ensure!(read > 10, "{read} files");
    Ok(())
}

// T-MNT-06, T-MNT-10; done-when 8 of the Dockerfile language
#[test]
fn no_secret_is_anywhere_after_a_build() -> Result<()> {
    let lab = Lab::get()?;
    for format in ["text", "json"] {
        let build = Build::new(lab)?;
        let name = Lab::unique_name("leaks");
        let destination = format!("{}/{name}", lab.secure().address());
        let outcome = build
            .pod(lab, "", format)?
            .args(["--destination", &destination])
            .args(["--oci-layout-path=/workspace/layout"])
            .start()?
            .wait_and_look(|root| look(&build.canaries, root))?;
        outcome.success()?;
        build.check(&outcome)?;
        let image = Image::pull(lab.secure(), &name)?;
        image.strict()?;
        build.canaries.absent_from_image(lab.secure(), &image)?;
    }
    Ok(())
}

// T-MNT-09
#[test]
fn no_secret_is_anywhere_after_a_step_that_failed_or_was_killed() -> Result<()> {
    let lab = Lab::get()?;
    let last = "RUN --mount=type=secret,id=file --mount=type=secret,id=variable,env=TOKEN --mount=type=ssh";
    for (command, format, code) in [
        ("cat /run/secrets/file; echo $TOKEN; exit 3", "json", 3),
        ("cat /run/secrets/file; kill -9 $$", "text", 137),
        ("cat /run/secrets/file; no-such-\"$TOKEN\"", "text", 127),
    ] {
        let build = Build::new(lab)?;
        let outcome = build
            .pod(lab, &format!("{last} {command}"), format)?
            .args(["--no-push"])
            .start()?
            .wait_and_look(|root| look(&build.canaries, root))?;
        outcome.exits_with(code)?;
        build.check(&outcome)?;
    }
    Ok(())
}

// T-MNT-09, T-PROC-04
#[test]
fn no_secret_is_anywhere_after_a_build_that_was_told_to_end() -> Result<()> {
    let lab = Lab::get()?;
    let build = Build::new(lab)?;
    let last = "RUN --mount=type=secret,id=file --mount=type=ssh cat /run/secrets/file; echo in-the-'middle'; sleep 1000";
    let running = build.pod(lab, last, "json")?.args(["--no-push"]).start()?;
    running.wait_for_line("in-the-middle")?;
    running.signal(Signal::TERM)?;
    let outcome = running.wait_and_look(|root| look(&build.canaries, root))?;
    outcome.exits_with(143)?;
    build.check(&outcome)
}
