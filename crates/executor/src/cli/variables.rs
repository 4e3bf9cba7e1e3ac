//! The environment variables that mean something, in one list: for the reference, and for those that have no effect.

use super::features::{FEATURES, Fixed};

/// Whether a variable changes anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// It does.
    Some,
    /// It is accepted for kaniko's sake.
    None,
}

/// An environment variable.
#[derive(Debug, Clone, Copy)]
pub(super) struct Variable {
    /// Its name; a `*` stands for anything.
    pub(super) name: &'static str,
    pub(super) effect: Effect,
    /// What it means, or why it means nothing.
    pub(super) meaning: &'static str,
}

const fn variable(name: &'static str, meaning: &'static str) -> Variable {
    Variable {
        name,
        effect: Effect::Some,
        meaning,
    }
}

const fn idle(name: &'static str, meaning: &'static str) -> Variable {
    Variable {
        name,
        effect: Effect::None,
        meaning,
    }
}

const NO_TELEMETRY: &str = "no telemetry is sent";

/// By purpose.
pub(super) const VARIABLES: &[(&str, &[Variable])] = &[
    (
        "In place of flags",
        &[
            variable("KANIKO_NO_PUSH", "as `--no-push`; the flag wins"),
            variable("KANIKO_DIR", "as `--kaniko-dir`; the flag wins"),
            variable("KANIKO_PRINT_PLAN", "print the plan, then build"),
            variable("KANIKO_REGISTRY_MIRROR", "as `--registry-mirror`"),
            variable("KANIKO_REGISTRY_MAP", "as `--registry-map`"),
            variable("KANIKO_CLEANUP", "as `--cleanup`"),
            variable("KANIKO_PRE_CLEANUP", "as `--pre-cleanup`"),
            variable("KANIKO_PRESERVE_CONTEXT", "as `--preserve-context`"),
            variable(
                "SOURCE_DATE_EPOCH",
                "as `--source-date-epoch`, and a build argument",
            ),
        ],
    ),
    (
        "Registries and the network",
        &[
            variable(
                "DOCKER_CONFIG",
                "directory of the `config.json` with credentials",
            ),
            variable(
                "DOCKER_AUTH_CONFIG",
                "the content of a `config.json`; wins over the file",
            ),
            variable(
                "HOME",
                "`$HOME/.docker/config.json` is looked at after `DOCKER_CONFIG`",
            ),
            variable("REGISTRY_AUTH_FILE", "another file with credentials"),
            variable(
                "XDG_RUNTIME_DIR",
                "`$XDG_RUNTIME_DIR/containers/auth.json` is another",
            ),
            variable(
                "PATH",
                "where credential helpers (`docker-credential-*`) are",
            ),
            variable(
                "SSL_CERT_FILE",
                "a bundle of certificate authorities to trust as well",
            ),
            variable(
                "SSL_CERT_DIR",
                "directories of such bundles, with colons between them",
            ),
            variable(
                "HTTP_PROXY",
                "proxy for plain HTTP; RUN sees it too; lower case as well",
            ),
            variable(
                "HTTPS_PROXY",
                "proxy for HTTPS; RUN sees it too; lower case as well",
            ),
            variable(
                "NO_PROXY",
                "hosts that are spoken to directly; RUN sees it too; lower case as well",
            ),
            variable(
                "UPSTREAM_CLIENT_TYPE",
                "is added to the user agent, behind a comma",
            ),
        ],
    ),
    (
        "Credentials",
        &[
            variable(
                "KANIKO_<HOST>_USER",
                "user for the host, in upper case and with `_` for `.` and `-`",
            ),
            variable("KANIKO_<HOST>_PASSWORD", "the password of that user"),
            variable(
                "CI_REGISTRY",
                "GitLab's registry, to which the next two belong",
            ),
            variable("CI_REGISTRY_USER", "user for GitLab's registry"),
            variable("CI_REGISTRY_PASSWORD", "the password of that user"),
            variable(
                "AWS_*",
                "as in Amazon's tools: keys, profiles, web identity, container credentials, region",
            ),
            variable(
                "GOOGLE_APPLICATION_CREDENTIALS",
                "file with the credentials of a Google service account",
            ),
            variable(
                "AZURE_*",
                "as in Azure's tools: client, tenant, secret or federated token, environment",
            ),
        ],
    ),
    (
        "Contexts",
        &[
            variable("GIT_TOKEN", "token for a git context"),
            variable("GIT_USERNAME", "user for a git context"),
            variable("GIT_PASSWORD", "the password of that user"),
            variable(
                "GIT_PULL_METHOD",
                "`https` or `http`, how a `git://` context is fetched",
            ),
            variable(
                "S3_ENDPOINT",
                "another server than Amazon's for `s3://` contexts",
            ),
            variable(
                "S3_FORCE_PATH_STYLE",
                "the bucket is in the path there, not in the host",
            ),
            variable(
                "AZURE_STORAGE_ACCESS_KEY",
                "key of the storage account of an Azure blob context",
            ),
        ],
    ),
    (
        "Outputs",
        &[variable(
            "BUILDER_OUTPUT",
            "directory whose file `images` gets a line of JSON for every image that was pushed",
        )],
    ),
    (
        "Accepted, without effect",
        &[
            idle(
                "SNAPSHOT_TIMEOUT_DURATION",
                "looking for changes takes as long as it takes",
            ),
            idle(
                "SNAPSHOT_TIMEOUT",
                "looking for changes takes as long as it takes",
            ),
            idle(
                "KANIKO_IGNORE_ASSERTIONS",
                "there are no assertions to ignore",
            ),
            idle("KANIKO_TELEMETRY_ENDPOINT", NO_TELEMETRY),
            idle("KANIKO_TELEMETRY_OMIT_DOCKERFILE", NO_TELEMETRY),
            idle("OTEL_EXPORTER_OTLP_HEADERS", NO_TELEMETRY),
            idle("OTEL_RESOURCE_ATTRIBUTES", NO_TELEMETRY),
            idle("OTEL_SERVICE_NAME", NO_TELEMETRY),
            idle("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", NO_TELEMETRY),
            idle("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", NO_TELEMETRY),
            idle("BENCHMARK_FILE", "kaniko has removed it"),
            idle(
                "DOCKER_CREDENTIAL_GCR_CONFIG",
                "credentials of Google's registries are built in and need no file of settings",
            ),
        ],
    ),
];

/// The variable of this name.
pub(super) fn find(name: &str) -> Option<&'static Variable> {
    let mut all = VARIABLES.iter().flat_map(|(_, variables)| variables.iter());
    all.find(|variable| variable.name == name)
}

/// What `FF_KANIKO_…` does, in one word.
pub(super) const fn effect_of(fixed: Fixed) -> &'static str {
    match fixed {
        Fixed::On => "always on",
        Fixed::Absent => "not needed",
        Fixed::Switch => "a switch",
        Fixed::Removed => "accepted",
    }
}

/// The names of all features, with their prefix.
pub(super) fn features() -> impl Iterator<Item = (String, &'static str, &'static str)> {
    FEATURES.iter().map(|feature| {
        let name = format!("FF_KANIKO_{}", feature.name);
        (name, effect_of(feature.fixed), feature.meaning)
    })
}

#[cfg(test)]
mod tests {
    use super::super::remarks::{Loudness, remarks};
    use super::super::{Environment, parse};
    use super::*;

    #[test]
    fn what_has_no_effect_is_said_at_debug_level_only_k_drop_03() {
        let flags = parse(["executor"]).unwrap().build.accepted;
        for (_, variables) in VARIABLES {
            for variable in *variables {
                let said = remarks(&flags, &Environment::of([(variable.name, "1")], "/"));
                let quiet = said
                    .iter()
                    .all(|remark| remark.loudness == Loudness::Detail);
                let expected = usize::from(variable.effect == Effect::None);
                assert!(
                    quiet && said.len() == expected,
                    "{}: {said:?}",
                    variable.name
                );
            }
        }
    }
}
