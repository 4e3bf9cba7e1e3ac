use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use kigumi_registry::ClientConfig;
use kigumi_registry::cloud::{Http, Surroundings};
use kigumi_registry::keychain::{
    DockerConfig, GitLabVariables, Helpers, KanikoVariables, Keychain, Keychains, NativeProvider,
    Natives,
};

use super::{credential_files, program_path};
use crate::cli::{CredentialHelper, CredentialSettings, Environment};
use crate::error::BuildError;
use crate::secrets::Redactor;

/// `DOCKER_AUTH_CONFIG`, the files, then the helpers (contract § 6.2). Everything of the filesystem is read here and now, but tokens that
/// somebody renews. `client` says how clouds are reached.
pub(crate) fn keychain(
    settings: &CredentialSettings,
    environment: &Environment,
    client: &ClientConfig,
    redactor: &Redactor,
) -> Result<Keychains, BuildError> {
    let http = Http::new(client).map_err(failed)?;
    let hide = {
        let redactor = redactor.clone();
        move |secret: &str| redactor.hide(secret.as_bytes())
    };
    let variables = &environment.variables;
    let natives = Natives::new(&Surroundings::new(variables.clone(), http, hide));
    let mut helpers = Helpers::new(program_path(environment)).with_natives(natives.clone());
    if let Some(own) = environment.executable.parent() {
        helpers = helpers.with_names_in(own.to_owned());
    }
    let mut keychains = files(environment, &helpers, redactor)?;
    for helper in &settings.helpers {
        keychains.push(of_helper(*helper, variables, &natives, redactor));
    }
    Ok(Keychains::new(keychains))
}

fn failed(source: kigumi_registry::Error) -> BuildError {
    BuildError::Registry {
        operation: "read the registry credentials".to_owned(),
        source: Arc::new(source),
    }
}

fn files(
    environment: &Environment,
    helpers: &Helpers,
    redactor: &Redactor,
) -> Result<Vec<Box<dyn Keychain>>, BuildError> {
    let mut keychains: Vec<Box<dyn Keychain>> = Vec::new();
    let mut add = |origin: &str, bytes: &[u8]| {
        let config = DockerConfig::parse(origin, bytes, helpers.clone()).map_err(failed)?;
        // RUN may be able to read the file that they are from.
        for credential in config.own_credentials() {
            redactor.hide(credential.secret().expose().as_bytes());
        }
        keychains.push(Box::new(config));
        Ok(())
    };
    let inline = environment.variables.get("DOCKER_AUTH_CONFIG");
    if let Some(inline) = inline.filter(|text| !text.is_empty()) {
        add("DOCKER_AUTH_CONFIG", inline.as_bytes())?;
    }
    for file in credential_files(environment) {
        match std::fs::read(&file) {
            Ok(bytes) => add(&file.display().to_string(), &bytes)?,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                tracing::debug!("there are no registry credentials at {}", file.display());
            }
            Err(source) => {
                return Err(BuildError::Read {
                    what: "the registry credentials",
                    path: file,
                    source,
                });
            }
        }
    }
    Ok(keychains)
}

fn of_helper(
    helper: CredentialHelper,
    variables: &BTreeMap<String, String>,
    natives: &Natives,
    redactor: &Redactor,
) -> Box<dyn Keychain> {
    let hide = |secret: &kigumi_registry::Secret<String>| redactor.hide(secret.expose().as_bytes());
    match helper {
        CredentialHelper::Env => {
            let keychain = KanikoVariables::new(variables);
            keychain.secrets().for_each(hide);
            Box::new(keychain)
        }
        CredentialHelper::Gitlab => {
            let keychain = GitLabVariables::new(variables);
            keychain.secrets().for_each(hide);
            Box::new(keychain)
        }
        CredentialHelper::Google => Box::new(natives.keychain(NativeProvider::Google)),
        CredentialHelper::Ecr => Box::new(natives.keychain(NativeProvider::Ecr)),
        CredentialHelper::Acr => Box::new(natives.keychain(NativeProvider::Acr)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use kigumi_registry::keychain::Credential;
    use kigumi_registry::{Client, Repository};
    use kigumi_testkit::{Authentication, FakeRegistry};

    use super::*;
    use crate::report::{BuildEvent, Events, hear};

    /// T-AUTH-03
    #[test]
    fn the_log_says_which_source_was_used_and_why_and_no_value() {
        let registry = FakeRegistry::builder()
            .authentication(Authentication::token("me", "hunter2-right"))
            .start();
        let directory = tempfile::tempdir().unwrap();
        let auths = |host: &str, password: &str| {
            format!(r#"{{"auths":{{"{host}":{{"username":"me","password":"{password}"}}}}}}"#)
        };
        let path = directory.path().join("config.json");
        std::fs::write(&path, auths(registry.authority(), "hunter2-right")).unwrap();
        let file = format!("entry `{}` of {}", registry.authority(), path.display());
        let inline = format!("entry `{}` of DOCKER_AUTH_CONFIG", registry.authority());
        for (variable, expected) in [
            (
                auths(registry.authority(), "hunter2-right"),
                vec![inline.clone()],
            ),
            (
                auths("other.test", "hunter2-wrong"),
                vec![format!("{file} (nothing in DOCKER_AUTH_CONFIG)")],
            ),
            // T-AUTH-04
            (
                auths(registry.authority(), "hunter2-wrong"),
                vec![inline, file.clone()],
            ),
        ] {
            let heard = Arc::new(Mutex::new(Vec::new()));
            let sink = Arc::clone(&heard);
            let events = Events::new(move |event| sink.lock().unwrap().push(event));
            let variables = [
                ("DOCKER_AUTH_CONFIG".to_owned(), variable),
                (
                    "DOCKER_CONFIG".to_owned(),
                    directory.path().display().to_string(),
                ),
            ];
            let environment = Environment {
                variables: variables.into(),
                working_directory: "/".into(),
                ..Environment::default()
            };
            let client = ClientConfig::default();
            let settings = CredentialSettings::default();
            let redactor = Redactor::default();
            let keychain = keychain(&settings, &environment, &client, &redactor).unwrap();
            let client = ClientConfig {
                keychain: Arc::new(keychain),
                ..client
            };
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            let destination = registry.reference("app:1").parse().unwrap();
            hear(events, || {
                runtime.block_on(async {
                    let client = Client::start(client).await.unwrap();
                    client.check_push_permission(&destination).await.unwrap();
                });
            });
            let heard = heard.lock().unwrap();
            let start = format!("credentials for {}: ", registry.reference("app"));
            let notes: Vec<&str> = heard
                .iter()
                .filter_map(|event| {
                    let BuildEvent::Note { message } = event else {
                        return None;
                    };
                    message.strip_prefix(&start)
                })
                .collect();
            assert_eq!(notes, expected);
            assert!(!format!("{heard:?}").contains("hunter2"), "{heard:?}");
        }
    }

    fn users(
        settings: &CredentialSettings,
        variables: &[(&str, &str)],
        redactor: &Redactor,
    ) -> Vec<String> {
        let environment = Environment {
            variables: variables
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            working_directory: "/".into(),
            ..Environment::default()
        };
        let client = ClientConfig::default();
        let keychain = keychain(settings, &environment, &client, redactor).unwrap();
        let repository = Repository::of(&"r.test/group/app".parse().unwrap());
        let turns = (0..).map_while(|turn| keychain.turn(turn, &repository));
        turns
            .flat_map(|turn| turn.outcome.unwrap())
            .filter_map(|found| match found.credential {
                Credential::Basic { username, .. } => Some(username),
                Credential::IdentityToken(_) | Credential::RegistryToken(_) => None,
            })
            .collect()
    }

    /// T-AUTH-03, contract § 6.2
    #[test]
    fn variables_win_over_files_and_files_over_helpers_in_their_order() {
        let directory = tempfile::tempdir().unwrap();
        let auths = |user: &str| {
            format!(r#"{{"auths":{{"r.test":{{"username":"{user}","password":"pw-of-{user}"}}}}}}"#)
        };
        let file = |name: &str, user: &str| {
            let path = directory.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, auths(user)).unwrap();
            path.parent().unwrap().display().to_string()
        };
        let docker = file("docker/config.json", "file");
        let home = file("home/.docker/config.json", "home");
        let home = home.trim_end_matches("/.docker").to_owned();
        let runtime = file("run/containers/auth.json", "runtime");
        let runtime = runtime.trim_end_matches("/containers").to_owned();
        let auth_file = file("podman/auth.json", "podman") + "/auth.json";
        let inline = auths("inline");
        let variables = [
            ("DOCKER_AUTH_CONFIG", inline.as_str()),
            ("DOCKER_CONFIG", &docker),
            ("HOME", &home),
            ("XDG_RUNTIME_DIR", &runtime),
            ("REGISTRY_AUTH_FILE", &auth_file),
            ("KANIKO_R_TEST_USER", "env"),
            ("KANIKO_R_TEST_PASSWORD", "pw-of-env"),
            ("CI_REGISTRY", "r.test"),
            ("CI_REGISTRY_USER", "gitlab"),
            ("CI_REGISTRY_PASSWORD", "pw-of-gitlab"),
        ];
        let redactor = Redactor::default();
        let of = |helpers: &[CredentialHelper]| CredentialSettings {
            helpers: helpers.to_vec(),
            consume: false,
        };
        let with = |helpers: &[&'static str]| {
            let files = ["inline", "file", "podman", "runtime", "home"];
            [&files, helpers].concat()
        };
        for (settings, expected) in [
            (CredentialSettings::default(), with(&["env", "gitlab"])),
            (
                of(&[CredentialHelper::Gitlab, CredentialHelper::Env]),
                with(&["gitlab", "env"]),
            ),
            (of(&[]), with(&[])),
        ] {
            assert_eq!(users(&settings, &variables, &redactor), expected);
        }
        for user in with(&["env", "gitlab"]) {
            assert_eq!(redactor.redact(&format!("<pw-of-{user}>")), "<***>");
        }
    }
}
