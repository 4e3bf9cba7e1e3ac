//! What apt, pip and npm have downloaded in one pod serves the next, whose disk is empty: the caches lie in a registry.

use anyhow::{Result, ensure};
use kigumi_tests::{Built, Context, Lab, Pod};

/// With `KEPT` no program may download a package: apt and npm fail if they would have to, pip says what it does.
const DOCKERFILE: &str = r#"
ARG KEPT=
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked --mount=type=cache,target=/var/lib/apt,sharing=locked \
    rm -f /etc/apt/apt.conf.d/docker-clean && { test -n "$KEPT" || apt-get update; } && \
    apt-get install ${KEPT:+--no-download} -y --no-install-recommends ca-certificates curl nodejs python3-pip
RUN --mount=type=cache,target=/root/.cache/pip --mount=type=bind,source=trust.pem,target=/run/trust.pem \
    PIP_CERT=/run/trust.pem pip install --break-system-packages --root-user-action=ignore --progress-bar=off \
    --disable-pip-version-check --retries=10 --no-build-isolation docopt==0.6.2
WORKDIR /app
COPY package.json package-lock.json ./
RUN --mount=type=cache,target=/root/.npm --mount=type=bind,source=trust.pem,target=/run/trust.pem \
    { test -n "$KEPT" || curl --silent --show-error --fail --retry 5 --retry-all-errors --cacert /run/trust.pem --output /root/.npm/npm.tgz \
    https://registry.npmjs.org/npm/-/npm-10.9.2.tgz; } && \
    mkdir /npm && tar --extract --gzip --file /root/.npm/npm.tgz --directory /npm --strip-components 1 && \
    NODE_EXTRA_CA_CERTS=/run/trust.pem node /npm/bin/npm-cli.js ci ${KEPT:+--offline} --fetch-retries=5 --no-audit --no-fund && rm -r /npm
RUN python3 -c 'import docopt; print("docopt", docopt.__version__)' && \
    node -e 'console.log("is-number", require("is-number")(7))'
"#;

const PACKAGE: &str = r#"{ "name": "app", "version": "1.0.0", "dependencies": { "is-number": "7.0.0" } }
"#;

const LOCK: &str = r#"{ "name": "app", "version": "1.0.0", "lockfileVersion": 3, "requires": true, "packages": {
  "": { "name": "app", "version": "1.0.0", "dependencies": { "is-number": "7.0.0" } },
  "node_modules/is-number": {
    "version": "7.0.0", "resolved": "https://registry.npmjs.org/is-number/-/is-number-7.0.0.tgz",
    "integrity": "sha512-41Cifkg6e8TylSpdtTpeLVMqvSBEVzTttHvERD741+pnZ8ANv0004MRL43QKPDlK9cGvNp6NZWZUBlbGXYxxng=="
  }
} }
"#;

/// Every directory that the Dockerfile mounts a cache at.
const CACHES: [&str; 4] = [
    "/var/cache/apt",
    "/var/lib/apt",
    "/root/.cache/pip",
    "/root/.npm",
];

/// T-MNT-02, T-MNT-05, without a volume.
#[test]
fn apt_pip_and_npm_download_nothing_again_in_a_pod_with_an_empty_disk() -> Result<()> {
    let lab = Lab::get()?;
    let repository = lab.destination(&Lab::unique_name("program-caches"));
    let repository = repository.trim_end_matches(":latest");
    let repository = format!("--cache-repo={repository}");
    let build = |arguments: &[&str]| -> Result<Built> {
        let context = Context::new(lab)?
            .file(
                "Dockerfile",
                format!("FROM {}\n{DOCKERFILE}", lab.debian()?),
            )?
            .file("package.json", PACKAGE)?
            .file("package-lock.json", LOCK)?;
        let always = ["--cache-mounts=registry", &repository, "--verbosity=debug"];
        let arguments = [&always, arguments].concat();
        Built::by(Pod::new(lab), lab, super::with_trust(context)?, &arguments)
    };

    let first = build(&[])?;
    for words in ["Get:1 ", "Building wheel for docopt"] {
        first.outcome.says(words)?;
    }
    let restored = |built: &Built| {
        let log = format!("{}{}", built.outcome.stdout, built.outcome.stderr);
        let is_restored = |cache: &&str| log.contains(&format!("the cache `{cache}` was restored"));
        CACHES.iter().filter(|cache| is_restored(cache)).count()
    };
    ensure!(restored(&first) == 0, "there was one\n{}", first.outcome);

    // It only reads: what it finds is what the first has kept.
    let second = build(&["--build-arg=KEPT=1", "--cache-mode=ro"])?;
    ensure!(restored(&second) == CACHES.len(), "{}", second.outcome);
    second
        .outcome
        .says("Using cached docopt-0.6.2-py2.py3-none-any.whl")?;
    let log = format!("{}{}", second.outcome.stdout, second.outcome.stderr);
    for words in ["Get:1 ", "Downloading ", "Building wheel for"] {
        ensure!(!log.contains(words), "`{words}`\n{}", second.outcome);
    }
    for built in [&first, &second] {
        built.outcome.says("docopt 0.6.2")?.says("is-number true")?;
        let mut found = built.image.entries_below("root/.cache");
        found.extend(built.image.entries_below("root/.npm"));
        let packages = built.image.entries_below("var/cache/apt").into_iter();
        found.extend(packages.filter(|name| name.contains(".deb")));
        ensure!(found.is_empty(), "in a layer: {found:?}");
    }
    let (first, second) = (first.outcome.elapsed, second.outcome.elapsed);
    let saved = first.saturating_sub(second);
    println!("with empty caches {first:?}, with restored ones {second:?}: {saved:?} saved");
    Ok(())
}
