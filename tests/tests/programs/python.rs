//! A Python application: pip with a cache mount on a volume.

use anyhow::{Result, ensure};
use kigumi_tests::{Built, Context, Lab, Outcome, Peer, Pod};

const DOCKERFILE: &str = r#"
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked rm -f /etc/apt/apt.conf.d/docker-clean && \
    apt-get update && apt-get install -y --no-install-recommends python3 python3-pip
WORKDIR /app
COPY requirements.txt .
RUN --mount=type=cache,target=/root/.cache/pip --mount=type=bind,source=trust.pem,target=/run/trust.pem \
    PIP_CERT=/run/trust.pem pip install --break-system-packages --root-user-action=ignore --progress-bar=off --retries=10 -r requirements.txt
COPY app.py .
CMD ["python3", "app.py"]
"#;

/// The last has no wheel: pip builds one, and keeps it whatever the index says of keeping downloads.
const REQUIREMENTS: &str = "flask==3.0.3\nrequests==2.32.3\ndocopt==0.6.2\n";

const APPLICATION: &str = r#"
import docopt, flask, requests

app = flask.Flask("app")

@app.get("/")
def root():
    return "hello from flask"

print(app.test_client().get("/").get_data(as_text=True))
"#;

/// T-MNT-02, T-MNT-05: what pip has made in one build serves the next, in another pod, and is in no layer.
#[test]
fn pip_finds_in_its_cache_mount_what_an_earlier_build_made() -> Result<()> {
    let lab = Lab::get()?;
    let volume = lab.temp_dir()?;
    let build = |file: &str| -> Result<Built> {
        let dockerfile = format!("FROM {}\n{DOCKERFILE}", lab.debian()?);
        let context = Context::new(lab)?
            .file("Dockerfile", dockerfile)?
            .file("requirements.txt", REQUIREMENTS)?
            .file("app.py", format!("# {file}{APPLICATION}"))?;
        let pod = Pod::new(lab).volume(volume.path(), "/cache-mounts");
        let arguments = ["--cache-mount-dir=/cache-mounts"];
        Built::by(pod, lab, super::with_trust(context)?, &arguments)
    };

    let first = build("first")?;
    ensure!(wheels(&first.outcome) == (true, false), "{}", first.outcome);
    let second = build("second")?;
    ensure!(
        wheels(&second.outcome) == (false, true),
        "{}",
        second.outcome
    );
    println!(
        "first build {:?}, second {:?}",
        first.outcome.elapsed, second.outcome.elapsed
    );

    for built in [&first, &second] {
        let mut found = built.image.entries_below("root/.cache");
        found.extend(built.image.entries_below("run/trust.pem"));
        let packages = built.image.entries_below("var/cache/apt").into_iter();
        found.extend(packages.filter(|name| name.contains(".deb")));
        ensure!(found.is_empty(), "in a layer: {found:?}");
        let said = Peer::new(lab).podman_run(&built.name, &[])?;
        ensure!(said.stdout == "hello from flask\n", "{said:?}");
    }
    Ok(())
}

/// Whether pip built a wheel, and whether it found one in its cache.
fn wheels(outcome: &Outcome) -> (bool, bool) {
    let said = format!("{}{}", outcome.stdout, outcome.stderr);
    let says = |words: &str| said.contains(words);
    (
        says("Building wheel for docopt"),
        says("Using cached docopt-0.6.2-py2.py3-none-any.whl"),
    )
}
