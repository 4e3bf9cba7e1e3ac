//! A Node application: `npm ci` against a private registry that wants a token, and the public one.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use kigumi_tests::{Built, Context, Lab, Peer, Pod, Service};

const TOKEN: &str = "npm_t0ken-that-nobody-may-find";

/// Node, npm, and the private registry that the test starts from the same image.
const TOOLCHAIN: &str = r#"
RUN apt-get update && apt-get install -y --no-install-recommends nodejs ca-certificates curl && rm -rf /var/lib/apt/lists/*
RUN --mount=type=bind,source=trust.pem,target=/run/trust.pem mkdir -p /usr/lib/node_modules/npm && \
    curl --silent --show-error --fail --retry 5 --retry-all-errors --cacert /run/trust.pem --output /tmp/npm.tgz \
    https://registry.npmjs.org/npm/-/npm-10.9.2.tgz && \
    tar --extract --gzip --file /tmp/npm.tgz --directory /usr/lib/node_modules/npm --strip-components 1 && rm /tmp/npm.tgz && \
    ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/bin/npm
COPY <<"EOT" /registry/greeting/index.js
module.exports = (name) => `hello ${name}`;
EOT
COPY <<"EOT" /registry/greeting/package.json
{ "name": "@team/greeting", "version": "1.2.3", "main": "index.js" }
EOT
WORKDIR /registry
RUN npm pack ./greeting && rm -r /root/.npm
COPY server.js .
"#;

/// Serves one package to whoever has the token, and writes down on which port.
const SERVER: &str = r#"
const http = require("http"), fs = require("fs");
const [token] = process.argv.slice(2);
const tarball = fs.readFileSync("/registry/team-greeting-1.2.3.tgz");
const server = http.createServer((request, response) => {
  const known = request.headers.authorization === `Bearer ${token}`;
  fs.appendFileSync("/registry/log", `${known ? "known" : "unknown"} ${request.method} ${request.url}\n`);
  if (!known) return response.writeHead(401).end("who are you?");
  if (request.url.endsWith(".tgz")) return response.end(tarball);
  response.writeHead(404).end();
});
server.listen(0, "127.0.0.1", () => {
  fs.writeFileSync("/registry/new", `${server.address().port}`);
  fs.renameSync("/registry/new", "/registry/port");
});
"#;

const APPLICATION: &str = r#"
WORKDIR /app
COPY package.json package-lock.json ./
RUN --mount=type=secret,id=npmrc,target=/root/.npmrc,required --mount=type=cache,target=/root/.npm \
    --mount=type=bind,source=trust.pem,target=/run/trust.pem \
    NODE_EXTRA_CA_CERTS=/run/trust.pem npm ci --fetch-retries=5 --no-audit --no-fund
COPY index.js .
CMD ["node", "index.js"]
"#;

const INDEX: &str = r#"
console.log(require("@team/greeting")(require("is-number")(7) ? "numbers" : "nobody"));
"#;

/// T-MNT-06, T-MNT-10
#[test]
fn npm_ci_reads_its_token_from_a_secret_that_stays_out_of_the_image() -> Result<()> {
    let lab = Lab::get()?;
    let dockerfile = format!("FROM {}\n{TOOLCHAIN}", lab.debian()?);
    let context = Context::new(lab)?
        .file("Dockerfile", dockerfile)?
        .file("server.js", SERVER)?;
    let toolchain = Built::of(lab, super::with_trust(context)?, &[])?;

    let command = ["node", "/registry/server.js", TOKEN];
    let registry = Service::start(lab, &toolchain.name, &command)?;
    let wait = "until [ -e /registry/port ]; do sleep 0.1; done; cat /registry/port";
    let port = registry.exec(&["sh", "-c", wait])?.stdout;

    let secrets = lab.temp_dir()?;
    std::fs::write(
        secrets.path().join("npmrc"),
        format!("//127.0.0.1:{port}/:_authToken={TOKEN}\n"),
    )?;
    let built = build(lab, &toolchain.name, &port, secrets.path())?;

    let said = Peer::new(lab).podman_run(&built.name, &[])?;
    ensure!(said.stdout == "hello numbers\n", "{said:?}");
    let log = registry.exec(&["cat", "/registry/log"])?.stdout;
    ensure!(
        log.contains("known GET") && !log.contains("unknown"),
        "{log}"
    );
    for path in ["root/.npmrc", "root/.npm"] {
        let found = built.image.entries_below(path);
        ensure!(found.is_empty(), "in a layer: {found:?}");
    }
    let log = format!("{}{}", built.outcome.stdout, built.outcome.stderr);
    ensure!(!log.contains(TOKEN), "the token is in the log");
    Ok(())
}

fn build(lab: &Lab, toolchain: &str, port: &str, secrets: &Path) -> Result<Built> {
    let dockerfile = format!("FROM {}\n{APPLICATION}", lab.destination(toolchain));
    let context = Context::new(lab)?
        .file("Dockerfile", dockerfile)?
        .file("index.js", INDEX)?
        .file("package.json", PACKAGE)?
        .file("package-lock.json", lock(port)?)?;
    let pod = Pod::new(lab).mount(secrets, "/secrets");
    let arguments = ["--secret=id=npmrc,src=/secrets/npmrc"];
    Built::by(pod, lab, super::with_trust(context)?, &arguments)
}

const PACKAGE: &str = r#"{ "name": "app", "version": "1.0.0",
  "dependencies": { "@team/greeting": "1.2.3", "is-number": "7.0.0" } }
"#;

fn lock(port: &str) -> Result<String> {
    let lock = serde_json::json!({
        "name": "app", "version": "1.0.0", "lockfileVersion": 3, "requires": true,
        "packages": {
            "": {
                "name": "app", "version": "1.0.0",
                "dependencies": { "@team/greeting": "1.2.3", "is-number": "7.0.0" },
            },
            "node_modules/@team/greeting": {
                "version": "1.2.3",
                "resolved": format!("http://127.0.0.1:{port}/greeting-1.2.3.tgz"),
            },
            "node_modules/is-number": {
                "version": "7.0.0",
                "resolved": "https://registry.npmjs.org/is-number/-/is-number-7.0.0.tgz",
            },
        },
    });
    serde_json::to_string_pretty(&lock).context("write package-lock.json")
}
