//! Every way to be somebody at a cloud: that it opens its registry, is renewed, and tells nobody else.

use std::os::unix::fs::PermissionsExt;

use kigumi_testkit::{FakeService, ServiceAnswer};
use serde_json::{Value, json};

use crate::clouds::{
    ACR, CERTIFICATE, ECR, ENTRA, GAR, IRSA, KEY, World, metadata_host, probe, refused,
};
use crate::support::chain;

type Variables = Vec<(&'static str, String)>;

/// One identity: its name, its registry, the pod's variables, what counts how often it was asked, and the secrets on the way.
struct Identity {
    name: &'static str,
    registry: &'static str,
    variables: Variables,
    counter: &'static str,
    secrets: &'static [&'static str],
}

const OURS: &[&str] = &["secret/key+1", "session==", "ecr-password"];
/// The SHA-1 of `corp`, as the AWS CLI names the file.
const LOGIN: &str = "home/.aws/sso/cache/ee0bfd2552fbd840c02cc48b6e823320543c450f.json";

fn aws_config(world: &World, name: &str, text: &str) -> Variables {
    let path = world.file(name, text);
    let used = ("AWS_PROFILE", "used".to_owned());
    vec![
        ("AWS_CONFIG_FILE", path),
        used,
        ("AWS_REGION", "eu-central-1".to_owned()),
    ]
}

/// Keys that may have roles and nothing else.
const BASE: &str =
    "[profile base]\naws_access_key_id = AKIABASE\naws_secret_access_key = base-secret-key\n";
const ROLE: &str = "[profile used]\nrole_arn = arn:aws:iam::123456789012:role/builder\n";

fn process(world: &World) -> Variables {
    let script = world.file(
        "get.sh",
        "test -z \"$DOCKER_AUTH_CONFIG$KANIKO_R_TEST_PASSWORD\" || exit 3\n\
         test \"$1\" = 'of two words' || exit 4\n\
         echo x >> \"$0.runs\"\n\
         test $(wc -l < \"$0.runs\") -gt 1 && end=2099-01-01T00:00:00Z || end=2020-01-01T00:00:00Z\n\
         echo '{\"Version\":1,\"AccessKeyId\":\"ASIA1\",\"SecretAccessKey\":\"secret/key+1\",\"SessionToken\":\"session==\",\"Expiration\":\"'$end'\"}'\n",
    );
    let line = format!("[profile used]\ncredential_process = /bin/sh {script} 'of two words'\n");
    let mut variables = aws_config(world, "process", &line);
    variables.push(("DOCKER_AUTH_CONFIG", "{}".to_owned()));
    variables.push(("KANIKO_R_TEST_PASSWORD", "hunter2".to_owned()));
    variables
}

fn aws(world: &World) -> Vec<Identity> {
    let identity = |name, variables, counter, secrets| Identity {
        name,
        registry: ECR,
        variables,
        counter,
        secrets,
    };
    let hop = format!(
        "{ROLE}source_profile = hop\nexternal_id = shared id\nduration_seconds = 900\n\
         [profile hop]\nrole_arn = arn:aws:iam::123456789012:role/hop\nsource_profile = base\n{BASE}"
    );
    // The tests' SSO session is called `corp`.
    let sso = "[profile used]\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = builder\n\
               [sso-session corp]\nsso_region = eu-central-1\nsso_start_url = https://corp.awsapps.com/start\n";
    vec![
        identity(
            "source_profile",
            aws_config(
                world,
                "one",
                &format!("{ROLE}source_profile = base\n{BASE}"),
            ),
            "role",
            OURS,
        ),
        identity(
            "two roles",
            aws_config(world, "two", &hop),
            "role",
            &["base-secret-key", "hop-secret-key", "hop-session"],
        ),
        identity("credential_process", process(world), "ecr", OURS),
        identity(
            "sso",
            aws_config(world, "sso", sso),
            "sso",
            &["sso-access-token", "secret/key+1"],
        ),
    ]
}

fn google_file(world: &World, name: &str, value: &Value) -> Variables {
    let path = world.file(name, &value.to_string());
    vec![("GOOGLE_APPLICATION_CREDENTIALS", path)]
}

fn google(world: &World) -> Vec<Identity> {
    let identity = |name, variables, counter, secrets| Identity {
        name,
        registry: GAR,
        variables,
        counter,
        secrets,
    };
    let account = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/builder@p.iam:generateAccessToken";
    let user = json!({
        "type": "authorized_user", "client_id": "gcloud-client",
        "client_secret": "gcloud-secret-of-client", "refresh_token": "refresh-token-of-user",
    });
    let token = world.file("subject", "pod-token");
    let federated = json!({
        "type": "external_account", "audience": "//iam.googleapis.com/pool/provider",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": "https://sts.googleapis.com/v1/token",
        "credential_source": { "file": token }, "service_account_impersonation_url": account,
    });
    let impersonated = json!({
        "type": "impersonated_service_account", "service_account_impersonation_url": account,
        "source_credentials": user, "delegates": ["hop@p.iam"],
    });
    let key =
        json!({ "type": "service_account", "client_email": "builder@p.iam", "private_key": KEY });
    vec![
        identity(
            "key",
            google_file(world, "key.json", &key),
            "google",
            &["google-token"],
        ),
        identity(
            "authorized_user",
            google_file(world, "user.json", &user),
            "google",
            &[
                "gcloud-secret-of-client",
                "refresh-token-of-user",
                "google-token",
            ],
        ),
        identity(
            "impersonated_service_account",
            google_file(world, "impersonated.json", &impersonated),
            "impersonated",
            &["refresh-token-of-user", "google-token"],
        ),
        identity(
            "external_account with impersonation",
            google_file(world, "federated.json", &federated),
            "impersonated",
            &["pod-token", "federated-token", "google-token"],
        ),
    ]
}

fn azure(world: &World) -> Vec<Identity> {
    let entra = |name: &'static str, value: String| -> Variables {
        let own = ENTRA.map(|(name, value)| (name, value.to_owned()));
        own.into_iter().chain([(name, value)]).collect()
    };
    let identity = |name, variables, secrets| Identity {
        name,
        registry: ACR,
        variables,
        counter: "entra",
        secrets,
    };
    let pem = world.file("client.pem", &format!("{KEY}{CERTIFICATE}"));
    vec![
        identity(
            "certificate",
            entra("AZURE_CLIENT_CERTIFICATE_PATH", pem),
            &["entra-token", "acr-refresh"],
        ),
        identity(
            "client secret",
            entra("AZURE_CLIENT_SECRET", "client-secret-value".to_owned()),
            &["client-secret-value", "entra-token", "acr-refresh"],
        ),
    ]
}

fn all(world: &World) -> Vec<Identity> {
    let login = json!({ "accessToken": "sso-access-token", "expiresAt": "2099-01-01T00:00:00Z" });
    world.file(LOGIN, &login.to_string());
    [aws(world), google(world), azure(world)]
        .into_iter()
        .flatten()
        .collect()
}

fn borrowed<'a>(variables: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    let pair = |(name, value): &'a (&'static str, String)| (*name, value.as_str());
    variables.iter().map(pair).collect()
}

/// K-AUTH-05. Nothing secret is learnt that the log would not hide.
#[tokio::test]
async fn every_identity_opens_its_registry_and_its_secrets_are_told_to_the_log() {
    let world = World::new();
    for identity in all(&world) {
        world.learnt.lock().unwrap().clear();
        let client = world.pod(&borrowed(&identity.variables)).await;
        let found = probe(&client, identity.registry).await;
        assert_eq!(found.unwrap(), Some(1), "{}", identity.name);
        let learnt = world.learnt.lock().unwrap();
        for secret in identity.secrets {
            let is_known = learnt.iter().any(|known| known.starts_with(secret));
            assert!(is_known, "{}: {secret}", identity.name);
        }
    }
}

/// K-AUTH-05: builds last longer than tokens.
#[tokio::test]
async fn every_identity_is_asked_again_before_what_it_gave_ends() {
    let world = World::new().short_lived();
    for identity in all(&world) {
        let client = world.pod(&borrowed(&identity.variables)).await;
        let mut counts = vec![world.given(identity.counter)];
        for _ in 0..2 {
            probe(&client, identity.registry).await.unwrap();
            counts.push(world.given(identity.counter));
        }
        assert!(
            counts.is_sorted_by(|before, after| before < after),
            "{}: {counts:?}",
            identity.name
        );
    }
}

/// T-AUTH-01, K-AUTH-04: whoever answers for a provider cannot send its credentials on.
#[tokio::test]
async fn no_identity_follows_a_redirect_and_no_error_holds_a_secret() {
    let world = World::new().redirecting();
    for identity in all(&world) {
        let client = world.pod(&borrowed(&identity.variables)).await;
        let error = probe(&client, identity.registry).await.unwrap_err();
        let text = chain(&error);
        assert!(text.contains("HTTP 307"), "{}: {text}", identity.name);
        let learnt = world.learnt.lock().unwrap();
        for secret in learnt.iter().filter(|secret| !secret.is_empty()) {
            assert!(!text.contains(secret), "{}: {text}", identity.name);
        }
    }
    let asked = world.tunnel.hosts();
    assert!(
        !asked.iter().any(|host| host.contains("evil.test")),
        "{asked:?}"
    );
}

/// K-AUTH-04: a look-alike of a registry gets nothing, whoever the pod is.
#[tokio::test]
async fn no_identity_is_told_to_a_look_alike() {
    let world = World::new();
    for identity in all(&world) {
        let client = world.pod(&borrowed(&identity.variables)).await;
        for registry in ["myregistry.azurecr.io.evil.test", "gcr.io.evil.test"] {
            let error = probe(&client, registry).await.unwrap_err().to_string();
            assert!(
                error.contains("no credentials for"),
                "{}: {error}",
                identity.name
            );
        }
    }
    let told = world.service.log();
    assert!(
        told.iter()
            .all(|request| request.header("authorization").is_empty())
    );
}

/// K-AUTH-05: ECS says only the path; its agent may want a token, as that of EKS does.
#[tokio::test]
async fn the_agent_of_a_container_is_asked_by_a_path_or_a_whole_address() {
    let keys = r#"{"AccessKeyId":"ASIA1","SecretAccessKey":"secret/key+1","Token":"session==","Expiration":"2099-01-01T00:00:00Z"}"#;
    let agent = FakeService::start(move |request| {
        let given = (request.path.as_str(), request.header("authorization"));
        match given {
            ("/v2/credentials/x", "" | "agent-token") | ("/v1/credentials", "agent-token") => {
                ServiceAnswer::new(200, keys)
            }
            _ => refused("the agent"),
        }
    });
    let at = format!("http://{}", agent.address());
    let full = format!("{at}/v1/credentials");
    let world = World::new();
    let file = world.file("agent-token", "agent-token\n");
    let role = world.file(
        "config",
        &format!("{ROLE}credential_source = EcsContainer\nregion = eu-central-1\n"),
    );
    let cases: &[&[(&str, &str)]] = &[
        &[
            (
                "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
                "/v2/credentials/x",
            ),
            ("AWS_CONTAINER_SERVICE_ENDPOINT", &at),
        ],
        &[
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &full),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &file),
        ],
        &[
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &full),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "agent-token"),
        ],
        &[
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &full),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "agent-token"),
            ("AWS_CONFIG_FILE", &role),
            ("AWS_PROFILE", "used"),
        ],
    ];
    for variables in cases {
        let client = world.pod(variables).await;
        let found = probe(&client, ECR).await;
        assert_eq!(found.unwrap(), Some(1), "{variables:?}");
    }
    assert_eq!(world.given("role"), 1);
}

/// K-AUTH-05: App Service and Container Apps, with the identity that is named or the only one.
#[tokio::test]
async fn the_managed_identity_of_an_app_is_asked_with_its_header() {
    let app = FakeService::start(|request| {
        let given = (
            request.header("x-identity-header"),
            request.parameter("resource"),
            request.parameter("api-version"),
        );
        let wanted = (
            "app-header",
            "https://containerregistry.azure.net",
            "2019-08-01",
        );
        match request.parameter("client_id") {
            "" | "my-client" if given == wanted => ServiceAnswer::new(
                200,
                r#"{"access_token":"entra-token","expires_on":"4102444800"}"#,
            ),
            _ => ServiceAnswer::new(400, ""),
        }
    });
    let url = format!("http://{}/msi/token", app.address());
    let world = World::new();
    let own = [
        ("IDENTITY_ENDPOINT", url.as_str()),
        ("IDENTITY_HEADER", "app-header"),
    ];
    for more in [None, Some(("AZURE_CLIENT_ID", "my-client"))] {
        let variables: Vec<_> = own.into_iter().chain(more).collect();
        let client = world.pod(&variables).await;
        assert_eq!(probe(&client, ACR).await.unwrap(), Some(1), "{more:?}");
    }
    let other = [own[0], own[1], ("AZURE_CLIENT_ID", "other")];
    let error = chain(&probe(&world.pod(&other).await, ACR).await.unwrap_err());
    assert!(
        error.contains("HTTP 400") && error.contains("AZURE_CLIENT_ID"),
        "{error}"
    );
}

/// Variables of the pod, its registry, parts of the message.
type Refusal = (Variables, &'static str, [&'static str; 2]);

fn refusals(world: &World) -> Vec<Refusal> {
    let used =
        |name: &str, text: &str| aws_config(world, name, &format!("[profile used]\n{text}\n"));
    let sso = "sso_account_id = 1\nsso_role_name = r\nsso_region = eu-central-1\nsso_start_url =";
    let old = json!({ "accessToken": "sso-access-token", "expiresAt": "2020-01-01T00:00:00UTC" });
    world.file(LOGIN, &old.to_string());
    let corp = format!("{sso} corp");
    let certificate = |name: &str, text: &str| -> Variables {
        let path = world.file(name, text);
        vec![("AZURE_CLIENT_CERTIFICATE_PATH", path)]
    };
    let pfx = world.file("c.pfx", "");
    std::fs::write(&pfx, [0x30, 0x82, 0xff, 0xfe]).unwrap();
    let nested = json!({
        "type": "impersonated_service_account", "service_account_impersonation_url": "x",
        "source_credentials": { "type": "impersonated_service_account" },
    });
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nhunter2x\n-----END ENCRYPTED PRIVATE KEY-----\n";
    vec![
        (
            used("a", "credential_process = /bin/false"),
            ECR,
            ["ended with exit status: 1", "run it by hand"],
        ),
        (
            used("b", "credential_process = /bin/echo hunter2"),
            ECR,
            ["something else than credentials", "Version 1"],
        ),
        (
            used("c", "sso_session = no"),
            ECR,
            ["sso_session `no`", "[sso-session no]"],
        ),
        (
            used("d", &format!("{sso} https://x.test/start")),
            ECR,
            ["there is no login", "aws sso login"],
        ),
        (used("e", &corp), ECR, ["has ended", "IRSA"]),
        (
            used("f", "role_arn = a\nmfa_serial = m\nsource_profile = b"),
            ECR,
            ["mfa_serial", "not supported"],
        ),
        (
            certificate("k.pem", KEY),
            ACR,
            ["no certificate for its private key", "both PEM"],
        ),
        (
            certificate("e.pem", encrypted),
            ACR,
            ["encrypted private key", "openssl pkey"],
        ),
        (
            vec![("AZURE_CLIENT_CERTIFICATE_PATH", pfx)],
            ACR,
            ["PKCS#12 is not supported", "openssl pkcs12"],
        ),
        (
            google_file(world, "n.json", &nested),
            GAR,
            ["impersonated themselves", "delegates"],
        ),
    ]
}

#[tokio::test]
async fn what_cannot_be_used_is_refused_by_name_with_what_to_do() {
    let world = World::new();
    for (variables, registry, parts) in refusals(&world) {
        let client = world.pod(&borrowed(&variables)).await;
        let text = chain(&probe(&client, registry).await.unwrap_err());
        for part in parts {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("hunter2"), "{text}");
    }
}

/// A RUN or a base image could have put anything there.
#[tokio::test]
async fn a_credential_process_that_was_replaced_is_not_run() {
    let world = World::new();
    let program = world.file("get", "#!/bin/sh\n");
    let mark = world.file("mark", "");
    std::fs::remove_file(&mark).unwrap();
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    let variables = aws_config(
        &world,
        "config",
        &format!("[profile used]\ncredential_process = {program}\n"),
    );
    let client = world.pod(&borrowed(&variables)).await;
    std::fs::remove_file(&program).unwrap();
    world.file("get", &format!("#!/bin/sh\ntouch {mark}\n"));
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    let text = chain(&probe(&client, ECR).await.unwrap_err());
    assert!(text.contains("not what it was at the start"), "{text}");
    assert!(!std::path::Path::new(&mark).exists());
}

/// Several sources say who the pod is: the order is that of the providers' own libraries.
#[tokio::test]
async fn a_certificate_goes_before_a_federated_token_and_a_file_before_the_metadata_service() {
    let world = World::new();
    let pem = world.file("client.pem", &format!("{KEY}{CERTIFICATE}"));
    let mut variables = [IRSA, ENTRA].concat();
    variables.push(("AZURE_CLIENT_CERTIFICATE_PATH", &pem));
    variables.push(("AZURE_FEDERATED_TOKEN", "not-the-token-of-the-pod"));
    assert_eq!(
        probe(&world.pod(&variables).await, ACR).await.unwrap(),
        Some(1)
    );
    let metadata = FakeService::start(|_| ServiceAnswer::new(500, ""));
    let host = metadata_host(&metadata);
    let key =
        json!({ "type": "service_account", "client_email": "builder@p.iam", "private_key": KEY });
    let mut variables = google_file(&world, "key.json", &key);
    variables.push(("GCE_METADATA_HOST", host));
    assert_eq!(
        probe(&world.pod(&borrowed(&variables)).await, GAR)
            .await
            .unwrap(),
        Some(1)
    );
    assert_eq!(metadata.log(), []);
}
