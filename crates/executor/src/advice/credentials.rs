//! What to do when a registry does not let us in.

use std::path::{Path, PathBuf};

use crate::cli::Environment;
use crate::credentials::credential_files;

/// What a Kubernetes secret calls it where the mount does not give it another name.
const KEY_OF_SECRET: &str = ".dockerconfigjson";

/// `credential` is what went with the request, as errors say it.
pub(super) fn about_refusal(
    credential: &str,
    status: Option<u16>,
    environment: &Environment,
) -> String {
    let has_none =
        credential.starts_with("no credentials") || credential == "sent without credentials";
    match (has_none, status) {
        (true, _) => about_none(environment),
        (false, Some(403)) => "the registry knows who that is and does not allow it: that user or token needs the right to it".to_owned(),
        (false, _) => "that user, password or token is wrong or has expired".to_owned(),
    }
}

/// Nothing was found: what is where something was looked for?
fn about_none(environment: &Environment) -> String {
    let files = credential_files(environment);
    if let Some(file) = files.iter().find(|file| file.is_file()) {
        return format!(
            "`{}` has no entry for this registry: its `auths` need the host just as the image name has it",
            file.display()
        );
    }
    if let Some(misnamed) = files.iter().find_map(|file| misnamed(file)) {
        return format!(
            "`{}` is not read; mount it as `config.json`: `items: [{{key: {KEY_OF_SECRET}, path: config.json}}]`",
            misnamed.display()
        );
    }
    let place = files.first().map_or_else(
        || "config.json".to_owned(),
        |file| format!("`{}`", file.display()),
    );
    format!("there is no {place}: mount or write it, or set DOCKER_AUTH_CONFIG")
}

/// A secret mounted beside the file's place under its own key.
fn misnamed(file: &Path) -> Option<PathBuf> {
    let other = file.parent()?.join(KEY_OF_SECRET);
    other.is_file().then_some(other)
}
