//! What a hostile RUN finds of the credentials that the executor was given.

use std::fs;

use anyhow::{Result, ensure};
use kigumi_tests::{Lab, Outcome, Pod};

/// The letter in brackets: what looks for it does not find itself.
const PATTERN: &str = "shield-[c]anary|c2hpZWxkLWNh[b]mFyeS1v";
const CANARY: &str = "shield-canary-5Vw1";
/// A key that signs entries of the cache. Its seed is `shield-canary-of-the-signing-key`: found as bytes and in base64.
const KEY: &str = "main-1:c2hpZWxkLWNhbmFyeS1vZi10aGUtc2lnbmluZy1rZXmA4qeBp5+1JJb8XCz38v0wk9kNvKSOkACkZeGo57TT5Q==\n";

/// Looks through every file of the executor and of users, and what `/proc` shows of other processes. It prints what it found, without its content,
/// and how many executors it saw.
const LOOTER: &str = r#"
found=""; seen=0
for file in $(grep -rlE 'PATTERN' /kaniko /root /home /tmp /run /var/run /etc 2>/dev/null); do found="$found $file"; done
for process in /proc/[0-9]*; do
  case "$(cat $process/comm 2>/dev/null)" in executor*) seen=$((seen + 1));; *) continue;; esac
  for part in environ cmdline maps; do
    if tr '\0' '\n' < $process/$part 2>/dev/null | grep -qE 'PATTERN'; then found="$found $part"; fi
  done
  for part in environ maps auxv; do
    if head -c 1 $process/$part > /dev/null 2>&1; then found="$found readable-$part"; fi
  done
  if head -c 1 $process/mem 2>&1 | grep -q 'Permission denied'; then :; else found="$found open-mem"; fi
  for fd in $process/fd/*; do
    if readlink $fd > /dev/null 2>&1; then found="$found fd"; fi
    if timeout 1 grep -qE 'PATTERN' $fd 2>/dev/null; then found="$found read-fd"; fi
  done
  if readlink $process/root > /dev/null || readlink $process/cwd > /dev/null; then found="$found root"; fi
done
if env | grep -qE 'PATTERN'; then found="$found own-environment"; fi
echo "looted by $(id -u):${found:- nothing}, executors: $seen"
"#;

fn looter() -> String {
    LOOTER.replace("PATTERN", PATTERN)
}

/// A RUN as root and one as a user, each with the looter.
fn dockerfile(lab: &Lab, last: &str) -> Result<String> {
    let looter = looter();
    Ok(format!(
        "FROM {}\nRUN <<'LOOT'\n{looter}\nLOOT\nUSER 1000\nRUN <<'LOOT'\n{looter}\nLOOT\n{last}\n",
        lab.busybox()?,
    ))
}

fn config_json() -> String {
    format!(r#"{{"auths":{{"registry.invalid":{{"username":"u","password":"{CANARY}"}}}}}}"#)
}

/// Both RUNs have looked, at least one executor was there to be looked at, and this is what they found.
fn found(outcome: &Outcome, expected: &str) -> Result<()> {
    for user in [0, 1000] {
        let start = format!("looted by {user}:");
        let line = outcome
            .stderr
            .lines()
            .find_map(|line| line.split_once(&start));
        let (_, line) = line.ok_or_else(|| anyhow::anyhow!("{user} did not look\n{outcome}"))?;
        ensure!(!line.ends_with("executors: 0"), "{outcome}");
        ensure!(line.starts_with(expected), "{user} found{line}\n{outcome}");
    }
    Ok(())
}

// Supply chain § 3.9: the environment and the memory of the executor
#[test]
fn credentials_in_variables_are_out_of_the_reach_of_run() -> Result<()> {
    let lab = Lab::get()?;
    let outcome = Pod::new(lab)
        .dockerfile(dockerfile(lab, "")?)
        .env("KANIKO_REGISTRY_INVALID_USER", "me")
        .env("KANIKO_REGISTRY_INVALID_PASSWORD", CANARY)
        .env("DOCKER_AUTH_CONFIG", &config_json())
        .env("AWS_SECRET_ACCESS_KEY", CANARY)
        .env("AWS_ACCESS_KEY_ID", "AKIA")
        .args(["--no-push"])
        .run()?;
    outcome.success()?;
    found(&outcome, " nothing")?;
    ensure!(!outcome.stderr.contains("KX-CRED-001"), "{outcome}");
    Ok(())
}

// Supply chain § 3.1, § 3.3: a mounted Secret stays readable, and that is said. This is also what shows that the looter finds things.
#[test]
fn mounted_credentials_are_found_by_run_and_told() -> Result<()> {
    let lab = Lab::get()?;
    let volume = lab.temp_dir()?;
    fs::write(volume.path().join("config.json"), config_json())?;
    let outcome = Pod::new(lab)
        .dockerfile(dockerfile(lab, "")?)
        .mount(volume.path(), "/etc/registry")
        .env("DOCKER_CONFIG", "/etc/registry")
        .args(["--no-push"])
        .run()?;
    outcome.success()?;
    found(&outcome, " /etc/registry/config.json,")?;
    let warnings = outcome.stderr.matches("KX-CRED-001").count();
    ensure!(warnings == 1, "{outcome}");
    Ok(())
}

// A file that lies on the root filesystem itself, as a CI script writes it
#[test]
fn a_file_on_the_root_filesystem_is_away_during_run_and_back_however_the_build_ends() -> Result<()>
{
    let lab = Lab::get()?;
    for (last, code) in [
        ("", 0),
        ("RUN exit 3", 3),
        (
            "USER 0\nRUN kill -TERM $(pidof executor) && sleep 1000",
            143,
        ),
        (
            "USER 0\nRUN mkdir -p /kaniko/creds && echo theirs > /kaniko/creds/config.json",
            0,
        ),
    ] {
        let volume = lab.temp_dir()?;
        fs::write(volume.path().join("config.json"), config_json())?;
        // Moved, so that the volume does not hold it any more.
        let script = format!(
            "mkdir -p /kaniko/creds && mv /volume/config.json /kaniko/creds/ && chmod 640 /kaniko/creds/config.json
            look() {{ /busybox/stat -c '%a %u %g %Y %s' /kaniko/creds/config.json; /busybox/cat /kaniko/creds/config.json; }}
            before=$(look)
            DOCKER_CONFIG=/kaniko/creds /kaniko/executor --context=dir:///workspace --no-push --insecure-registry={}
            code=$?
            test \"$before\" = \"$(look)\" && echo back-as-it-was: $(/busybox/ls -A /kaniko/creds)
            exit $code",
            lab.plain().address()
        );
        let outcome = Pod::new(lab)
            .script(&script)
            .volume(volume.path(), "/volume")
            .dockerfile(dockerfile(lab, last)?)
            .run()?;
        outcome.exits_with(code)?;
        outcome.says("back-as-it-was: config.json\n")?;
        if code != 143 {
            found(&outcome, " nothing")?;
        }
        ensure!(!outcome.stderr.contains("KX-CRED-001"), "{outcome}");
    }
    Ok(())
}

// Supply chain § 3.3: consume mode
#[test]
fn consumed_credentials_are_gone_from_a_volume_and_from_a_read_only_one_they_cannot_be()
-> Result<()> {
    let lab = Lab::get()?;
    let volume = lab.temp_dir()?;
    let file = volume.path().join("config.json");
    fs::write(&file, config_json())?;
    let pod = || -> Result<Pod<'_>> {
        Ok(Pod::new(lab)
            .dockerfile(dockerfile(lab, "")?)
            .env("DOCKER_CONFIG", "/root/registry")
            .args(["--no-push", "--consume-credentials"]))
    };
    let outcome = pod()?.mount(volume.path(), "/root/registry").run()?;
    outcome.exits_with(1)?;
    ensure!(
        outcome.stderr.contains("--consume-credentials: remove"),
        "{outcome}"
    );
    let outcome = pod()?.volume(volume.path(), "/root/registry").run()?;
    outcome.success()?;
    found(&outcome, " nothing")?;
    ensure!(!file.exists(), "it is still there");
    Ok(())
}

/// The flags of a cache that signs, for layers and for the directories of RUN.
const SIGNING: [&str; 2] = ["--cache", "--cache-mounts=registry"];

// Supply chain § 3.9: who has the key signs layers that other builds believe.
#[test]
fn the_key_that_signs_the_cache_is_away_during_run_and_back_afterwards() -> Result<()> {
    let lab = Lab::get()?;
    for flag in SIGNING {
        let volume = lab.temp_dir()?;
        fs::write(volume.path().join("main.sec"), KEY)?;
        let repository = lab.destination(&Lab::unique_name("signed"));
        let script = format!(
            "mkdir -p /kaniko/keys && mv /volume/main.sec /kaniko/keys/ && chmod 600 /kaniko/keys/main.sec
            before=$(/busybox/cat /kaniko/keys/main.sec)
            /kaniko/executor --context=dir:///workspace --no-push --insecure-registry={} {flag} \
                --cache-repo={} --cache-sign-key=/kaniko/keys/main.sec || exit $?
            test \"$before\" = \"$(/busybox/cat /kaniko/keys/main.sec)\" && echo back-as-it-was: $(/busybox/ls -A /kaniko/keys)",
            lab.plain().address(),
            repository.trim_end_matches(":latest"),
        );
        let outcome = Pod::new(lab)
            .script(&script)
            .volume(volume.path(), "/volume")
            .dockerfile(dockerfile(lab, "")?)
            .run()?;
        outcome.success()?.says("back-as-it-was: main.sec\n")?;
        found(&outcome, " nothing")?;
        ensure!(!outcome.stderr.contains("KX-CRED-001"), "{outcome}");
    }
    Ok(())
}

// Supply chain § 3.3: that of a mounted Secret stays readable, and that is said.
#[test]
fn a_mounted_key_that_signs_the_cache_is_found_by_run_and_told() -> Result<()> {
    let lab = Lab::get()?;
    for flag in SIGNING {
        let volume = lab.temp_dir()?;
        fs::write(volume.path().join("main.sec"), KEY)?;
        let repository = lab.destination(&Lab::unique_name("signed"));
        let repository = repository.trim_end_matches(":latest");
        let outcome = Pod::new(lab)
            .dockerfile(dockerfile(lab, "")?)
            .mount(volume.path(), "/etc/keys")
            .args(["--no-push", flag, "--cache-sign-key=/etc/keys/main.sec"])
            .args([format!("--cache-repo={repository}")])
            .run()?;
        outcome.success()?;
        found(&outcome, " /etc/keys/main.sec,")?;
        outcome.says("`/etc/keys/main.sec`")?.says("KX-CRED-001")?;
    }
    Ok(())
}
