//! The identities of a pod at three clouds, from its variables and files to a request that their registries take. The services have their real
//! names: a proxy leads them all to one server of the test.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use kigumi_oci::Digest;
use kigumi_registry::cloud::aws::{Credentials, SigningRequest, sign};
use kigumi_registry::cloud::{Http, Surroundings};
use kigumi_registry::keychain::{
    DockerConfig, Helpers, Keychain, Keychains, NativeProvider, Natives,
};
use kigumi_registry::{Client, ClientConfig, Error, Pem, Proxies, Repository, Secret};
use kigumi_testkit::{FakeService, ServiceAnswer, ServiceRequest, Tunnel};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use ring::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{chain, config};

/// Made for this test, and trusted by nobody.
pub(crate) const KEY: &str = include_str!("service-account.pem");
/// A certificate of it.
pub(crate) const CERTIFICATE: &str = include_str!("service-account.crt.pem");

pub(crate) const ECR: &str = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";
pub(crate) const GAR: &str = "europe-west1-docker.pkg.dev";
pub(crate) const ACR: &str = "myregistry.azurecr.io";

/// Every name that the world of a test has.
const NAMES: [&str; 16] = [
    ECR,
    GAR,
    ACR,
    "public.ecr.aws",
    "gcr.io",
    "sts.eu-central-1.amazonaws.com",
    "sts.amazonaws.com",
    "portal.sso.eu-central-1.amazonaws.com",
    "api.ecr.eu-central-1.amazonaws.com",
    "api.ecr-public.us-east-1.amazonaws.com",
    "oauth2.googleapis.com",
    "sts.googleapis.com",
    "iamcredentials.googleapis.com",
    "login.microsoftonline.com",
    "myregistry.azurecr.io.evil.test",
    "gcr.io.evil.test",
];

/// What differs from test to test.
#[derive(Default)]
struct Rules {
    /// How many seconds tokens live.
    lifetime: Option<i64>,
    /// How often each token was given out.
    given: BTreeMap<&'static str, u32>,
    /// STS and Microsoft refuse.
    refuse: bool,
    /// Every identity service answers with a redirect to somebody else.
    redirect: bool,
}

/// Three clouds with their registries, and the pod.
pub(crate) struct World {
    pub(crate) service: FakeService,
    pub(crate) tunnel: Tunnel,
    rules: Arc<Mutex<Rules>>,
    files: TempDir,
    pub(crate) learnt: Arc<Mutex<Vec<String>>>,
}

impl World {
    pub(crate) fn new() -> Self {
        let rules: Arc<Mutex<Rules>> = Arc::default();
        let own = Arc::clone(&rules);
        let service = FakeService::start_tls(&NAMES, move |request| {
            answer(request, &mut own.lock().unwrap())
        });
        Self {
            tunnel: Tunnel::start(service.address()),
            service,
            rules,
            files: tempfile::tempdir().unwrap(),
            learnt: Arc::default(),
        }
    }

    pub(crate) fn short_lived(self) -> Self {
        self.rules.lock().unwrap().lifetime = Some(60);
        self
    }

    pub(crate) fn redirecting(self) -> Self {
        self.rules.lock().unwrap().redirect = true;
        self
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.files.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    fn config(&self) -> ClientConfig {
        ClientConfig {
            roots: vec![Pem {
                origin: "the test".to_owned(),
                bytes: self.service.certificate().as_bytes().to_vec(),
            }],
            proxies: Proxies {
                https: Some(self.tunnel.url()),
                ..Proxies::default()
            },
            ..config()
        }
    }

    fn natives(&self, variables: &[(&str, &str)]) -> Natives {
        let mut all: BTreeMap<String, String> = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let home = self.files.path().join("home").display().to_string();
        all.entry("HOME".to_owned()).or_insert(home);
        // Nobody is at the metadata services of the machine that the test runs on.
        for (name, value) in [
            ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:9"),
            ("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:9"),
        ] {
            all.entry(name.to_owned()).or_insert(value.to_owned());
        }
        let learnt = Arc::clone(&self.learnt);
        let http = Http::new(&self.config()).unwrap();
        let hide = move |secret: &str| learnt.lock().unwrap().push(secret.to_owned());
        Natives::new(&Surroundings::new(all, http, hide))
    }

    /// A client of a pod with these variables, and all built-in providers.
    pub(crate) async fn pod(&self, variables: &[(&str, &str)]) -> Client {
        let natives = self.natives(variables);
        let all = [
            NativeProvider::Google,
            NativeProvider::Ecr,
            NativeProvider::Acr,
        ];
        let keychains = all.map(|one| Box::new(natives.keychain(one)) as Box<dyn Keychain>);
        self.client(Keychains::new(keychains.into())).await
    }

    async fn client(&self, keychain: impl Keychain + 'static) -> Client {
        let keychain = Arc::new(keychain);
        Client::start(ClientConfig {
            keychain,
            ..self.config()
        })
        .await
        .unwrap()
    }

    pub(crate) fn given(&self, token: &str) -> u32 {
        let rules = self.rules.lock().unwrap();
        rules.given.get(token).copied().unwrap_or_default()
    }
}

/// Asks a registry for something that needs a credential.
pub(crate) async fn probe(client: &Client, registry: &str) -> Result<Option<u64>, Error> {
    let reference = format!("{registry}/team/app:1").parse().unwrap();
    client
        .blob_size(&Repository::of(&reference), Digest::of(b"x"))
        .await
}

fn json_answer(status: u16, value: &Value) -> ServiceAnswer {
    ServiceAnswer::new(status, value.to_string()).header("Content-Type", "application/json")
}

pub(crate) fn refused(why: &str) -> ServiceAnswer {
    ServiceAnswer::new(403, format!("refused: {why}"))
}

/// All services of the three clouds.
fn answer(request: &ServiceRequest, rules: &mut Rules) -> ServiceAnswer {
    let is_registry = [ECR, GAR, ACR].contains(&request.header("host"));
    if rules.redirect && (!is_registry || request.path == "/oauth2/exchange") {
        return ServiceAnswer::new(307, "").header("Location", "https://gcr.io.evil.test/token");
    }
    match (request.header("host"), request.path.as_str()) {
        ("sts.eu-central-1.amazonaws.com" | "sts.amazonaws.com", "/") => sts(request, rules),
        ("portal.sso.eu-central-1.amazonaws.com", "/federation/credentials") => sso(request, rules),
        ("api.ecr.eu-central-1.amazonaws.com", "/") => ecr(request, rules, "ecr"),
        ("api.ecr-public.us-east-1.amazonaws.com", "/") => ecr(request, rules, "ecr-public"),
        ("oauth2.googleapis.com", "/token") => google_token(request, rules),
        ("sts.googleapis.com", "/v1/token") => google_exchange(request, rules),
        ("iamcredentials.googleapis.com", _) => google_impersonate(request, rules),
        ("login.microsoftonline.com", "/my-tenant/oauth2/v2.0/token") => entra(request, rules),
        (ACR, "/oauth2/exchange") => acr_exchange(request, rules),
        (ACR, "/oauth2/token") => {
            if request.field("refresh_token").starts_with("acr-refresh.") {
                let lifetime = rules.lifetime.map_or(60, |_| 0);
                json_answer(
                    200,
                    &json!({ "access_token": "acr-access", "expires_in": lifetime }),
                )
            } else {
                refused("the refresh token")
            }
        }
        (ACR, _) => registry(
            request,
            "Bearer acr-access",
            "Bearer realm=\"https://myregistry.azurecr.io/oauth2/token\",service=\"myregistry.azurecr.io\"",
        ),
        (ECR | "public.ecr.aws", _) => registry(
            request,
            &basic("AWS", "ecr-password"),
            "Basic realm=\"ecr\"",
        ),
        (GAR | "gcr.io", _) => registry(
            request,
            &basic("oauth2accesstoken", "google-token"),
            "Basic realm=\"gar\"",
        ),
        _ => ServiceAnswer::new(401, "").header("WWW-Authenticate", "Basic realm=\"evil\""),
    }
}

fn basic(user: &str, password: &str) -> String {
    let encoded = BASE64_STANDARD.encode(format!("{user}:{password}"));
    format!("Basic {encoded}")
}

fn registry(request: &ServiceRequest, wanted: &str, challenge: &str) -> ServiceAnswer {
    if request.header("authorization") == wanted {
        ServiceAnswer::new(200, "x")
    } else {
        ServiceAnswer::new(401, "").header("WWW-Authenticate", challenge)
    }
}

fn end(rules: &Rules) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(now.as_secs()).unwrap() + rules.lifetime.unwrap_or(3600)
}

fn end_text(rules: &Rules) -> String {
    let end = DateTime::<Utc>::from_timestamp(end(rules), 0).unwrap();
    end.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn sts(request: &ServiceRequest, rules: &mut Rules) -> ServiceAnswer {
    if request.field("Action") == "AssumeRole" {
        return sts_role(request, rules);
    }
    let fields =
        ["Action", "Version", "RoleArn", "WebIdentityToken"].map(|name| request.field(name));
    let expected = [
        "AssumeRoleWithWebIdentity",
        "2011-06-15",
        "arn:aws:iam::123456789012:role/builder",
        "pod-token",
    ];
    if rules.refuse || fields != expected {
        let text = format!(
            "<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>{}",
            request.field("WebIdentityToken")
        );
        return ServiceAnswer::new(403, text);
    }
    *rules.given.entry("sts").or_default() += 1;
    sts_answer(rules, "AssumeRoleWithWebIdentity", OURS)
}

/// Id, key and session of who ECR knows, and of who may have the roles.
const OURS: [&str; 3] = ["ASIA1", "secret/key+1", "session=="];
const BASE: [&str; 3] = ["AKIABASE", "base-secret-key", ""];
const HOP: [&str; 3] = ["ASIAHOP", "hop-secret-key", "hop-session"];

fn sts_answer(rules: &Rules, action: &str, [id, key, session]: [&str; 3]) -> ServiceAnswer {
    ServiceAnswer::new(
        200,
        format!(
            "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{action}Result>\
             <Credentials><AccessKeyId>{id}</AccessKeyId><SecretAccessKey>{key}</SecretAccessKey>\
             <SessionToken>{session}</SessionToken><Expiration>{}</Expiration></Credentials>\
             </{action}Result></{action}Response>",
            end_text(rules)
        ),
    )
}

/// `AssumeRole`: who has keys may have `hop` and `builder`, and `hop` may have `builder` with its external id.
fn sts_role(request: &ServiceRequest, rules: &mut Rules) -> ServiceAnswer {
    let content = [("content-type", "application/x-www-form-urlencoded")];
    let is = |who| is_signed(request, who, &content, ("sts", "eu-central-1"));
    let role = request.field("RoleArn");
    let role = role.strip_prefix("arn:aws:iam::123456789012:role/");
    *rules.given.entry("role").or_default() += 1;
    match role {
        Some("hop") if is(BASE) => sts_answer(rules, "AssumeRole", HOP),
        Some("builder") if is(BASE) || is(OURS) => sts_answer(rules, "AssumeRole", OURS),
        Some("builder") if is(HOP) && request.field("ExternalId") == "shared id" => {
            sts_answer(rules, "AssumeRole", OURS)
        }
        _ => refused("the role"),
    }
}

fn sso(request: &ServiceRequest, rules: &mut Rules) -> ServiceAnswer {
    let given = (
        request.header("x-amz-sso_bearer_token"),
        request.parameter("account_id"),
        request.parameter("role_name"),
    );
    if given != ("sso-access-token", "123456789012", "builder") {
        return refused("the login");
    }
    *rules.given.entry("sso").or_default() += 1;
    let [id, key, session] = OURS;
    let credentials = json!({ "accessKeyId": id, "secretAccessKey": key, "sessionToken": session, "expiration": end(rules) * 1000 });
    json_answer(200, &json!({ "roleCredentials": credentials }))
}

/// Recomputes the signature from what came.
fn is_signed(
    request: &ServiceRequest,
    [id, key, session]: [&str; 3],
    headers: &[(&str, &str)],
    (service, region): (&str, &str),
) -> bool {
    let temporary = request.header("x-amz-security-token");
    let credentials = Credentials {
        access_key_id: id.to_owned(),
        secret_access_key: Secret::new(key.to_owned()),
        session_token: (!temporary.is_empty()).then(|| Secret::new(temporary.to_owned())),
        expires: None,
        source: String::new(),
    };
    let date = DateTime::parse_from_str(
        &request.header("x-amz-date").replace('Z', "+0000"),
        "%Y%m%dT%H%M%S%z",
    );
    let url = format!("https://{}{}", request.header("host"), request.path);
    let signed = sign(
        &SigningRequest {
            method: &request.method,
            url: &url.parse().unwrap(),
            headers,
            body: Some(&request.body),
            service,
            region,
        },
        &credentials,
        date.unwrap().into(),
    );
    let expected = signed.iter().find(|(name, _)| name == "authorization");
    let session_is_right = temporary.is_empty() || temporary == session;
    session_is_right && request.header("authorization") == expected.unwrap().1
}

/// The API of ECR.
fn ecr(request: &ServiceRequest, rules: &mut Rules, service: &str) -> ServiceAnswer {
    let (target, region) = if service == "ecr" {
        (
            "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken",
            "eu-central-1",
        )
    } else {
        ("SpencerFrontendService.GetAuthorizationToken", "us-east-1")
    };
    let headers = [
        ("content-type", "application/x-amz-json-1.1"),
        ("x-amz-target", target),
    ];
    if !is_signed(request, OURS, &headers, (service, region)) {
        return refused("SignatureDoesNotMatch");
    }
    *rules.given.entry("ecr").or_default() += 1;
    let data = json!({
        "authorizationToken": BASE64_STANDARD.encode("AWS:ecr-password"),
        "expiresAt": end(rules),
    });
    let data = if service == "ecr" {
        json!([data])
    } else {
        data
    };
    json_answer(200, &json!({ "authorizationData": data }))
}

fn google_token(request: &ServiceRequest, rules: &mut Rules) -> ServiceAnswer {
    if request.field("grant_type") == "refresh_token" {
        let given = ["client_id", "client_secret", "refresh_token"].map(|name| request.field(name));
        return if given
            == [
                "gcloud-client",
                "gcloud-secret-of-client",
                "refresh-token-of-user",
            ] {
            google_token_answer(rules)
        } else {
            refused("the refresh token")
        };
    }
    let Some((_, claims)) = verified(&request.field("assertion")) else {
        return refused("the assertion");
    };
    let claim = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
    if (claim("iss"), claim("aud")) != ("builder@p.iam", "https://oauth2.googleapis.com/token")
        || request.field("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer"
        || !claim("scope").contains("cloud-platform")
    {
        return refused("the claims");
    }
    google_token_answer(rules)
}

/// The header and the claims of an assertion that our key has signed.
fn verified(assertion: &str) -> Option<(Value, Value)> {
    let parts: Vec<&str> = assertion.split('.').collect();
    let [header, claims, signature] = parts.as_slice() else {
        return None;
    };
    let key = PrivatePkcs8KeyDer::from_pem_slice(KEY.as_bytes()).unwrap();
    let key = RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).unwrap();
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public_key().as_ref());
    let decode = |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part).ok();
    public
        .verify(format!("{header}.{claims}").as_bytes(), &decode(signature)?)
        .ok()?;
    let json = |part: &str| serde_json::from_slice(&decode(part)?).ok();
    Some((json(header)?, json(claims)?))
}

fn google_token_answer(rules: &mut Rules) -> ServiceAnswer {
    *rules.given.entry("google").or_default() += 1;
    let lifetime = rules.lifetime.unwrap_or(3600);
    json_answer(
        200,
        &json!({ "access_token": "google-token", "expires_in": lifetime, "token_type": "Bearer" }),
    )
}

fn google_exchange(request: &ServiceRequest, rules: &mut Rules) -> ServiceAnswer {
    let fields = [
        "grant_type",
        "subject_token",
        "audience",
        "subject_token_type",
    ]
    .map(|name| request.field(name));
    let expected = [
        "urn:ietf:params:oauth:grant-type:token-exchange",
        "pod-token",
        "//iam.googleapis.com/pool/provider",
        "urn:ietf:params:oauth:token-type:jwt",
    ];
    if fields != expected {
        return refused("the exchange");
    }
    let _ = rules;
    json_answer(
        200,
        &json!({ "access_token": "federated-token", "expires_in": 3600 }),
    )
}

fn google_impersonate(request: &ServiceRequest, rules: &mut Rules) -> ServiceAnswer {
    let who = request.header("authorization");
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    let is_whole = body.get("lifetime").is_some() && body.get("scope").is_some();
    if !matches!(who, "Bearer federated-token" | "Bearer google-token")
        || !request.path.ends_with("builder@p.iam:generateAccessToken")
        || !is_whole
    {
        return refused("impersonation");
    }
    *rules.given.entry("impersonated").or_default() += 1;
    json_answer(
        200,
        &json!({ "accessToken": "google-token", "expireTime": end_text(rules) }),
    )
}

/// As Microsoft checks an assertion that a certificate has signed.
fn is_of_certificate(request: &ServiceRequest) -> bool {
    let Some((header, claims)) = verified(&request.field("client_assertion")) else {
        return false;
    };
    let certificate = CertificateDer::from_pem_slice(CERTIFICATE.as_bytes()).unwrap();
    let sha1 = digest(&SHA1_FOR_LEGACY_USE_ONLY, &certificate);
    let of = |value: &Value, name: &str| {
        let text = value.get(name).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    let audience = format!("https://{}{}", request.header("host"), request.path);
    let claims_are = ["iss", "sub", "aud"].map(|name| of(&claims, name));
    claims_are == ["my-client", "my-client", &audience]
        && of(&header, "x5t") == BASE64_URL_SAFE_NO_PAD.encode(sha1)
        && of(&header, "alg") == "RS256"
        && of(&claims, "jti").len() == 32
}

fn entra(request: &ServiceRequest, rules: &mut Rules) -> ServiceAnswer {
    let federated = request.field("client_assertion") == "pod-token"
        && request.field("client_assertion_type")
            == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    let secret =
        request.field("client_secret") == "client-secret-value" || is_of_certificate(request);
    let rest = ["client_id", "grant_type", "scope"].map(|name| request.field(name));
    let expected = [
        "my-client",
        "client_credentials",
        "https://containerregistry.azure.net/.default",
    ];
    if rules.refuse || rest != expected || !(federated || secret) {
        let words = json!({ "error": "invalid_client", "error_description": "AADSTS700211: no matching federated identity" });
        return json_answer(401, &words);
    }
    *rules.given.entry("entra").or_default() += 1;
    json_answer(
        200,
        &json!({ "access_token": "entra-token", "expires_in": rules.lifetime.unwrap_or(3600) }),
    )
}

fn acr_exchange(request: &ServiceRequest, rules: &mut Rules) -> ServiceAnswer {
    if request.field("service") != ACR
        || request.field("access_token") != "entra-token"
        || request.field("grant_type") != "access_token"
    {
        return refused("the exchange");
    }
    *rules.given.entry("acr").or_default() += 1;
    let claims = BASE64_URL_SAFE_NO_PAD.encode(json!({ "exp": end(rules) }).to_string());
    json_answer(
        200,
        &json!({ "refresh_token": format!("acr-refresh.{claims}.signature") }),
    )
}

pub(crate) const IRSA: [(&str, &str); 2] = [
    ("AWS_REGION", "eu-central-1"),
    ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/builder"),
];
pub(crate) const ENTRA: [(&str, &str); 2] = [
    ("AZURE_CLIENT_ID", "my-client"),
    ("AZURE_TENANT_ID", "my-tenant"),
];

/// K-AUTH-05.
#[tokio::test]
async fn a_service_account_of_eks_opens_both_registries_of_amazon() {
    let world = World::new();
    let token = world.file("token", "pod-token\n");
    let mut variables = IRSA.to_vec();
    variables.push(("AWS_WEB_IDENTITY_TOKEN_FILE", &token));
    let client = world.pod(&variables).await;
    for registry in [ECR, "public.ecr.aws"] {
        for _ in 0..3 {
            assert_eq!(
                probe(&client, registry).await.unwrap(),
                Some(1),
                "{registry}"
            );
        }
    }
    // Everything once: tokens are kept.
    assert_eq!((world.given("sts"), world.given("ecr")), (1, 2));
    let learnt = world.learnt.lock().unwrap();
    for secret in ["pod-token", "secret/key+1", "session==", "ecr-password"] {
        assert!(learnt.iter().any(|known| known == secret), "{secret}");
    }
}

/// K-AUTH-05.
#[tokio::test]
async fn every_source_of_keys_signs_for_ecr() {
    let world = World::new();
    let keys = r#"{"AccessKeyId":"ASIA1","SecretAccessKey":"secret/key+1","Token":"session==","Expiration":"2099-01-01T00:00:00Z","Code":"Success"}"#;
    let agent = FakeService::start(move |request| {
        match (request.path.as_str(), request.header("authorization")) {
            ("/v1/credentials", "agent-token") => ServiceAnswer::new(200, keys),
            _ => refused("the agent's token"),
        }
    });
    let instance = FakeService::start(move |request| {
        let roles = "/latest/meta-data/iam/security-credentials/";
        let session = request.header("x-aws-ec2-metadata-token") == "imds-session";
        match (request.method.as_str(), request.path.as_str()) {
            ("PUT", "/latest/api/token") => ServiceAnswer::new(200, "imds-session"),
            ("GET", path) if session && path == roles => ServiceAnswer::new(200, "node-role"),
            ("GET", path) if session && path == format!("{roles}node-role") => {
                ServiceAnswer::new(200, keys)
            }
            _ => ServiceAnswer::new(401, ""),
        }
    });
    let agent_url = format!("http://{}/v1/credentials", agent.address());
    let instance_url = format!("http://{}", instance.address());
    let agent_token = world.file("agent-token", "agent-token\n");
    let pod_token = world.file("pod-token", "pod-token");
    let shared = world.file("credentials", "[other]\naws_access_key_id=x\n[ci]\naws_access_key_id = ASIA1\naws_secret_access_key = secret/key+1\naws_session_token = session==\n");
    let role = world.file("config", &format!("[profile web]\nregion = eu-central-1\nrole_arn = arn:aws:iam::123456789012:role/builder\nweb_identity_token_file = {pod_token}\n"));
    let cases: &[&[(&str, &str)]] = &[
        &[
            ("AWS_ACCESS_KEY_ID", "ASIA1"),
            ("AWS_SECRET_ACCESS_KEY", "secret/key+1"),
        ],
        &[
            ("AWS_SHARED_CREDENTIALS_FILE", &shared),
            ("AWS_PROFILE", "ci"),
        ],
        &[("AWS_CONFIG_FILE", &role), ("AWS_PROFILE", "web")],
        &[
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &agent_url),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &agent_token),
        ],
        &[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &instance_url)],
    ];
    for variables in cases {
        let client = world.pod(variables).await;
        let found = probe(&client, ECR).await;
        assert_eq!(found.unwrap(), Some(1), "{variables:?}");
    }
}

#[tokio::test]
async fn the_instance_is_not_asked_when_its_metadata_is_disabled() {
    let world = World::new();
    let instance = FakeService::start(|_| ServiceAnswer::new(200, "x"));
    let url = format!("http://{}", instance.address());
    let client = world
        .pod(&[
            ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &url),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ])
        .await;
    let error = probe(&client, ECR).await.unwrap_err().to_string();
    assert!(error.contains("this pod has no identity there"), "{error}");
    assert!(error.contains("IRSA"), "{error}");
    assert_eq!(instance.log(), []);
}

#[tokio::test]
async fn what_is_about_to_end_is_fetched_again_and_the_token_file_read_again() {
    let world = World::new().short_lived();
    let token = world.file("token", "pod-token");
    let mut variables = IRSA.to_vec();
    variables.push(("AWS_WEB_IDENTITY_TOKEN_FILE", &token));
    let client = world.pod(&variables).await;
    probe(&client, ECR).await.unwrap();
    let first = (world.given("sts"), world.given("ecr"));
    probe(&client, ECR).await.unwrap();
    let second = (world.given("sts"), world.given("ecr"));
    assert!(
        second.0 > first.0 && second.1 > first.1,
        "{first:?} {second:?}"
    );
    world.file("token", "rotated");
    probe(&client, ECR).await.unwrap();
    let tokens = world.service.log();
    let tokens = tokens
        .iter()
        .map(|request| request.field("WebIdentityToken"));
    assert!(tokens.into_iter().any(|token| token == "rotated"));
}

/// K-AUTH-05.
#[tokio::test]
async fn every_identity_of_google_opens_its_registries() {
    let world = World::new();
    let key = json!({ "type": "service_account", "client_email": "builder@p.iam", "private_key": KEY, "private_key_id": "k1", "token_uri": "https://oauth2.googleapis.com/token" });
    let key = world.file("key.json", &key.to_string());
    let token = world.file("token", "pod-token");
    let json_token = world.file("token.json", r#"{"id":"pod-token"}"#);
    let source = FakeService::start(|request| match request.header("x-source") {
        "yes" => ServiceAnswer::new(200, r#"{"value":"pod-token"}"#),
        _ => refused("the header"),
    });
    let source_url = format!("http://{}/token", source.address());
    let external = |source: Value, impersonate: Option<&str>| {
        json!({
            "type": "external_account", "audience": "//iam.googleapis.com/pool/provider",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": "https://sts.googleapis.com/v1/token",
            "credential_source": source, "service_account_impersonation_url": impersonate,
        })
        .to_string()
    };
    let account = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/builder@p.iam:generateAccessToken";
    let of_file = world.file(
        "e1.json",
        &external(json!({ "file": token }), Some(account)),
    );
    let of_json = world.file("e2.json", &external(json!({ "file": json_token, "format": { "type": "json", "subject_token_field_name": "id" } }), Some(account)));
    let of_url = world.file("e3.json", &external(json!({ "url": source_url, "headers": { "X-Source": "yes" }, "format": { "type": "json", "subject_token_field_name": "value" } }), Some(account)));
    let metadata = FakeService::start(|request| {
        let path = "/computeMetadata/v1/instance/service-accounts/default/token";
        if request.path == path && request.header("metadata-flavor") == "Google" {
            ServiceAnswer::new(200, r#"{"access_token":"google-token","expires_in":3000}"#)
        } else {
            ServiceAnswer::new(404, "")
        }
    });
    let metadata = metadata_host(&metadata);
    for variables in [
        [("GOOGLE_APPLICATION_CREDENTIALS", key.as_str())],
        [("GOOGLE_APPLICATION_CREDENTIALS", of_file.as_str())],
        [("GOOGLE_APPLICATION_CREDENTIALS", of_json.as_str())],
        [("GOOGLE_APPLICATION_CREDENTIALS", of_url.as_str())],
        [("GCE_METADATA_HOST", metadata.as_str())],
    ] {
        let client = world.pod(&variables).await;
        for registry in [GAR, "gcr.io"] {
            let found = probe(&client, registry).await;
            assert_eq!(found.unwrap(), Some(1), "{variables:?}");
        }
    }
    // Once for two registries.
    assert_eq!(world.given("google"), 1);
}

pub(crate) fn metadata_host(service: &FakeService) -> String {
    service.address().to_string()
}

/// K-AUTH-05.
#[tokio::test]
async fn every_identity_of_azure_opens_its_registry() {
    let world = World::new();
    let token = world.file("token", "pod-token");
    let instance = FakeService::start(|request| {
        let wanted = ("true", "https://containerregistry.azure.net", "2018-02-01");
        let given = (
            request.header("metadata"),
            request.parameter("resource"),
            request.parameter("api-version"),
        );
        if given == wanted {
            ServiceAnswer::new(
                200,
                r#"{"access_token":"entra-token","expires_in":"3599","expires_on":"4102444800"}"#,
            )
        } else {
            ServiceAnswer::new(400, "")
        }
    });
    let instance = format!("http://{}", instance.address());
    for more in [
        ("AZURE_FEDERATED_TOKEN_FILE", token.as_str()),
        ("AZURE_FEDERATED_TOKEN", "pod-token"),
        ("AZURE_CLIENT_SECRET", "client-secret-value"),
        ("AZURE_POD_IDENTITY_AUTHORITY_HOST", &instance),
    ] {
        let mut variables = ENTRA.to_vec();
        variables.push(more);
        let client = world.pod(&variables).await;
        for _ in 0..2 {
            assert_eq!(probe(&client, ACR).await.unwrap(), Some(1), "{more:?}");
        }
    }
    assert_eq!((world.given("entra"), world.given("acr")), (3, 4));
}

/// Registry, variables of the pod, parts of the message.
type Refusal<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [&'a str]);

/// Errors name the provider, what was tried and what to do, and no value.
#[tokio::test]
async fn a_refusal_says_who_refused_what_and_what_to_do() {
    let world = World::new();
    world.rules.lock().unwrap().refuse = true;
    let token = world.file("token", "pod-token-of-some-length");
    let mut aws = IRSA.to_vec();
    aws.push(("AWS_WEB_IDENTITY_TOKEN_FILE", &token));
    let mut azure = ENTRA.to_vec();
    azure.push(("AZURE_FEDERATED_TOKEN_FILE", &token));
    let mut certificate = ENTRA.to_vec();
    certificate.push(("AZURE_CLIENT_CERTIFICATE_PATH", &token));
    let missing: &[(&str, &str)] = &[("GOOGLE_APPLICATION_CREDENTIALS", "/no/such/key.json")];
    let odd = world.file("odd.json", r#"{"type":"gdch_service_account"}"#);
    let half: &[(&str, &str)] = &[("AWS_ACCESS_KEY_ID", "AKIA")];
    let process = world.file("config", "[default]\ncredential_process = /no/bin/x\n");
    let cases: &[Refusal<'_>] = &[
        (
            ECR,
            &aws,
            &[
                "AWS: assume the role `arn:aws:iam::123456789012:role/builder`",
                "HTTP 403",
                "trust policy",
            ],
        ),
        (
            ACR,
            &azure,
            &[
                "Azure: get a token for the workload identity",
                "HTTP 401",
                "AADSTS700211",
                "federated credential",
            ],
        ),
        (
            ACR,
            &certificate,
            &["AZURE_CLIENT_CERTIFICATE_PATH", "has no RSA private key"],
        ),
        (
            GAR,
            missing,
            &[
                "Google Cloud",
                "/no/such/key.json",
                "GOOGLE_APPLICATION_CREDENTIALS",
            ],
        ),
        (
            GAR,
            &[("GOOGLE_APPLICATION_CREDENTIALS", &odd)],
            &["gdch_service_account", "not supported"],
        ),
        (ECR, half, &["AWS_SECRET_ACCESS_KEY", "set both"]),
        (
            ECR,
            &[("AWS_CONFIG_FILE", &process)],
            &["credential_process `/no/bin/x`", "no program here"],
        ),
        (
            ECR,
            &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://evil.test/x")],
            &["AWS_CONTAINER_CREDENTIALS_FULL_URI", "169.254.170.23"],
        ),
        (
            ACR,
            &[("AZURE_ENVIRONMENT", "AzureChinaCloud")],
            &["AzurePublicCloud", "AZURE_ENVIRONMENT"],
        ),
    ];
    for (registry, variables, expected) in cases {
        let client = world.pod(variables).await;
        let text = chain(&probe(&client, registry).await.unwrap_err());
        for part in *expected {
            assert!(text.contains(part), "{variables:?}: {text}");
        }
        assert!(!text.contains("pod-token"), "{text}");
    }
}

/// T-AUTH-01, K-AUTH-04: whoever looks like a registry of a cloud is asked for nothing and told nothing.
#[tokio::test]
async fn a_look_alike_never_gets_a_credential_and_no_provider_is_even_asked() {
    let world = World::new();
    let token = world.file("token", "pod-token");
    let mut variables = [IRSA, ENTRA].concat();
    variables.push(("AWS_WEB_IDENTITY_TOKEN_FILE", &token));
    variables.push(("AZURE_FEDERATED_TOKEN_FILE", &token));
    let client = world.pod(&variables).await;
    for registry in ["myregistry.azurecr.io.evil.test", "gcr.io.evil.test"] {
        let error = probe(&client, registry).await.unwrap_err();
        assert!(error.to_string().contains("no credentials for"), "{error}");
    }
    let log = world.service.log();
    assert!(
        log.iter()
            .all(|request| request.header("authorization").is_empty())
    );
    let asked: Vec<String> = world.tunnel.hosts();
    assert!(
        asked.iter().all(|host| host.contains("evil.test")),
        "{asked:?}"
    );
}

/// K-AUTH-02.
#[tokio::test]
async fn helpers_of_a_config_json_are_built_in_when_there_is_no_program() {
    let world = World::new();
    let token = world.file("token", "pod-token");
    let mut variables = [IRSA, ENTRA].concat();
    variables.push(("AWS_WEB_IDENTITY_TOKEN_FILE", &token));
    variables.push(("AZURE_FEDERATED_TOKEN_FILE", &token));
    let metadata = FakeService::start(|_| {
        ServiceAnswer::new(200, r#"{"access_token":"google-token","expires_in":3000}"#)
    });
    let metadata = metadata_host(&metadata);
    variables.push(("GCE_METADATA_HOST", &metadata));
    for (registry, helper) in [
        (ECR, "ecr-login"),
        (GAR, "gcr"),
        (GAR, "gcloud"),
        (ACR, "acr-env"),
        (ACR, "acr"),
    ] {
        for text in [
            json!({ "credHelpers": { registry: helper } }),
            json!({ "credsStore": helper }),
        ] {
            let helpers = Helpers::none().with_natives(world.natives(&variables));
            let text = text.to_string();
            let config = DockerConfig::parse("config.json", text.as_bytes(), helpers).unwrap();
            let client = world.client(config).await;
            assert_eq!(probe(&client, registry).await.unwrap(), Some(1), "{text}");
        }
    }
    // A store that is asked for everything knows nothing of others.
    let helpers = Helpers::none().with_natives(world.natives(&variables));
    let config = DockerConfig::parse("x", br#"{"credsStore":"ecr-login"}"#, helpers).unwrap();
    let client = world.client(config).await;
    let error = probe(&client, "gcr.io.evil.test").await.unwrap_err();
    assert!(error.to_string().contains("no credentials for"), "{error}");
}

/// K-AUTH-02, K-IMG-01: the image has the names of the helpers beside the executor.
#[tokio::test]
async fn a_name_of_ours_does_not_stand_in_the_way_of_what_is_built_in() {
    let world = World::new();
    let token = world.file("token", "pod-token");
    let mut variables = IRSA.to_vec();
    variables.push(("AWS_WEB_IDENTITY_TOKEN_FILE", &token));
    let own = TempDir::new().unwrap();
    std::fs::write(own.path().join("docker-credential-ecr-login"), "").unwrap();
    let helpers = || Helpers::new(vec![own.path().to_owned()]);
    for (helpers, works) in [
        (helpers().with_names_in(own.path().to_owned()), true),
        (helpers(), false),
    ] {
        let helpers = helpers.with_natives(world.natives(&variables));
        let text = br#"{"credsStore":"ecr-login"}"#;
        let config = DockerConfig::parse("config.json", text, helpers).unwrap();
        let client = world.client(config).await;
        assert_eq!(probe(&client, ECR).await.is_ok(), works);
    }
}

/// T-AUTH-04: a provider that fails is not the end while another source is left, nor for a public image.
#[tokio::test]
async fn a_provider_is_asked_only_when_nothing_before_it_was_taken() {
    let world = World::new();
    let token = world.file("token", "pod-token");
    let mut variables = IRSA.to_vec();
    variables.push(("AWS_WEB_IDENTITY_TOKEN_FILE", &token));
    let entry = |password: &str| {
        let auth = BASE64_STANDARD.encode(format!("AWS:{password}"));
        let text = json!({ "auths": { ECR: { "auth": auth } } }).to_string();
        let config = DockerConfig::parse("config.json", text.as_bytes(), Helpers::none());
        Box::new(config.unwrap()) as Box<dyn Keychain>
    };
    for (password, asked) in [("ecr-password", 0), ("stale", 1)] {
        let native = Box::new(world.natives(&variables).keychain(NativeProvider::Ecr));
        let keychains = Keychains::new(vec![entry(password), native]);
        let client = world.client(keychains).await;
        assert_eq!(probe(&client, ECR).await.unwrap(), Some(1));
        assert_eq!(world.given("sts"), asked, "{password}");
    }
}

#[tokio::test]
async fn a_pause_between_attempts_is_not_taken_for_an_answer() {
    let world = World::new();
    let calls: Arc<Mutex<u32>> = Arc::default();
    let counted = Arc::clone(&calls);
    let metadata = FakeService::start(move |_| {
        let mut calls = counted.lock().unwrap();
        *calls += 1;
        if *calls < 3 {
            ServiceAnswer::new(503, "warming up")
        } else {
            ServiceAnswer::new(200, r#"{"access_token":"google-token","expires_in":3000}"#)
        }
    });
    let host = metadata_host(&metadata);
    let client = world.pod(&[("GCE_METADATA_HOST", &host)]).await;
    assert_eq!(probe(&client, GAR).await.unwrap(), Some(1));
}
