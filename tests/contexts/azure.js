// Azurite with one blob for whoever has the key of the account.
//
// Usage: node azure.js AZURITE ARCHIVE CERTIFICATE KEY. Prints one line of JSON when it is ready, and ends when its standard input does.
"use strict";

const { spawn } = require("node:child_process");
const crypto = require("node:crypto");
const fs = require("node:fs");
const https = require("node:https");

const [azurite, archive, certificate, key] = process.argv.slice(2);
const account = "devstoreaccount1";
const secret = crypto.randomBytes(32).toString("base64");
const version = "2020-10-02";

const server = spawn(
  process.execPath,
  [azurite, "--inMemoryPersistence", "--blobHost", "127.0.0.1", "--blobPort", "0", "--cert", certificate, "--key", key],
  { env: { ...process.env, AZURITE_ACCOUNTS: `${account}:${secret}` }, stdio: ["ignore", "pipe", "inherit"] },
);
// Gone with whoever started us, however that ended; Azurite would take its time to say goodbye.
for (const end of ["end", "close", "error"]) process.stdin.on(end, () => server.kill("SIGKILL"));
process.stdin.resume();
server.on("exit", (code) => process.exit(code ?? 0));

// Signed apart from the code under test, by the description of the protocol.
function put(port, path, query, headers, body) {
  const all = { ...headers, "x-ms-date": new Date().toUTCString(), "x-ms-version": version };
  const named = Object.keys(all).sort().map((name) => `${name}:${all[name]}\n`).join("");
  const length = body.length === 0 ? "" : String(body.length);
  const resource = `/${account}${path}` + Object.keys(query).sort().map((name) => `\n${name}:${query[name]}`).join("");
  const text = `PUT\n\n\n${length}\n\n\n\n\n\n\n\n\n${named}${resource}`;
  const signature = crypto.createHmac("sha256", Buffer.from(secret, "base64")).update(text, "utf8").digest("base64");
  const options = {
    host: "127.0.0.1", port, method: "PUT", rejectUnauthorized: false,
    path: path + (Object.keys(query).length ? `?${new URLSearchParams(query)}` : ""),
    headers: { ...all, Host: `${account}.blob.core.windows.net`, "Content-Length": body.length, Authorization: `SharedKey ${account}:${signature}` },
  };
  return new Promise((resolve, reject) => {
    const request = https.request(options, (response) => {
      response.resume();
      response.statusCode === 201 ? resolve() : reject(new Error(`PUT ${path}: ${response.statusCode} ${JSON.stringify(response.headers)}`));
    });
    request.on("error", reject);
    request.end(body);
  });
}

async function prepare(port) {
  await put(port, "/contexts", { restype: "container" }, {}, Buffer.alloc(0));
  await put(port, "/contexts/dir/context.tar.gz", {}, { "x-ms-blob-type": "BlockBlob" }, fs.readFileSync(archive));
  console.log(JSON.stringify({ port, key: secret }));
}

let said = "";
server.stdout.on("data", (text) => {
  said += text;
  const found = /listens on https:\/\/127\.0\.0\.1:(\d+)/.exec(said);
  if (found) {
    server.stdout.removeAllListeners("data");
    server.stdout.resume();
    prepare(Number(found[1])).catch((error) => {
      console.error(error);
      server.kill();
      process.exitCode = 1;
    });
  }
});
