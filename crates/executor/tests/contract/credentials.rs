//! Where credentials of a registry come from.

use kigumi_testkit::{Authentication, FakeRegistry, Identity};

use crate::Row;
use crate::harness::Invocation;

pub(crate) const ROWS: &[Row] = &[
    ("DOCKER_CONFIG", docker_config),
    ("DOCKER_AUTH_CONFIG", docker_auth_config),
    ("HOME", || {
        in_a_file("home/.docker", "config.json", "HOME", "home");
    }),
    ("REGISTRY_AUTH_FILE", || {
        in_a_file("auths", "any.json", "REGISTRY_AUTH_FILE", "auths/any.json");
    }),
    ("XDG_RUNTIME_DIR", || {
        in_a_file("run/containers", "auth.json", "XDG_RUNTIME_DIR", "run");
    }),
    ("KANIKO_<HOST>_USER", || {
        needs(OF_KANIKO, "KANIKO_127_0_0_1_USER");
    }),
    ("KANIKO_<HOST>_PASSWORD", || {
        needs(OF_KANIKO, "KANIKO_127_0_0_1_PASSWORD");
    }),
    ("CI_REGISTRY", || needs(OF_GITLAB, "CI_REGISTRY")),
    ("CI_REGISTRY_USER", || needs(OF_GITLAB, "CI_REGISTRY_USER")),
    ("CI_REGISTRY_PASSWORD", || {
        needs(OF_GITLAB, "CI_REGISTRY_PASSWORD");
    }),
    ("--credential-helpers", credential_helpers),
    ("executor login", login),
    ("--registry-client-cert", registry_client_cert),
];

const COPY: &str = "FROM scratch\nCOPY a /\n";
const USER: &str = "me";
const PASSWORD: &str = "s3cr3t-password";

/// `REGISTRY` is the registry.
const OF_KANIKO: &[(&str, &str)] = &[
    ("KANIKO_127_0_0_1_USER", USER),
    ("KANIKO_127_0_0_1_PASSWORD", PASSWORD),
];
const OF_GITLAB: &[(&str, &str)] = &[
    ("CI_REGISTRY", "REGISTRY"),
    ("CI_REGISTRY_USER", USER),
    ("CI_REGISTRY_PASSWORD", PASSWORD),
];

/// A registry that nobody may use without the password.
fn guarded() -> FakeRegistry {
    FakeRegistry::builder()
        .authentication(Authentication::basic(USER, PASSWORD))
        .start()
}

/// A `config.json` with this password.
fn config(registry: &FakeRegistry, password: &str) -> String {
    let entry = serde_json::json!({ "username": USER, "password": password });
    serde_json::json!({ "auths": { registry.authority(): entry } }).to_string()
}

/// A build that is pushed there.
fn build(registry: &FakeRegistry) -> Invocation {
    Invocation::build(COPY).args(&["-d", &registry.reference("a:1")])
}

fn opens(registry: &FakeRegistry, build: Invocation) {
    build.run().succeeds().is_silent_about(PASSWORD);
    assert!(registry.manifest("a", "1").is_some());
}

fn stays_shut(registry: &FakeRegistry, build: Invocation) {
    let outcome = build.run();
    outcome
        .fails(registry.authority())
        .is_silent_about(PASSWORD);
    assert!(registry.manifest("a", "1").is_none());
}

/// A file in a directory, to which the variable points.
fn in_a_file(directory: &str, file: &str, variable: &str, value: &str) {
    let registry = guarded();
    let with_file = || {
        let build = build(&registry);
        std::fs::create_dir_all(build.path(directory)).unwrap();
        build.file(&format!("{directory}/{file}"), &config(&registry, PASSWORD))
    };
    stays_shut(&registry, with_file());
    let build = with_file();
    let value = build.path(value).display().to_string();
    opens(&registry, build.env(variable, &value));
}

fn docker_config() {
    in_a_file("docker", "config.json", "DOCKER_CONFIG", "docker");
}

/// Contract § 6.2: it wins over the file (K-GL-04).
fn docker_auth_config() {
    let registry = guarded();
    let beside = |of_file: &str, of_variable: &str| {
        let build = build(&registry).file("config.json", &config(&registry, of_file));
        let directory = build.path("").display().to_string();
        build
            .env("DOCKER_CONFIG", &directory)
            .env("DOCKER_AUTH_CONFIG", &config(&registry, of_variable))
    };
    let both = beside(PASSWORD, PASSWORD).run();
    both.succeeds()
        .says("of DOCKER_AUTH_CONFIG")
        .is_silent_about("config.json");
    opens(&registry, beside("an-old-password", PASSWORD));
}

/// All of the variables are enough, and without the one in question they are none.
fn needs(variables: &[(&str, &str)], one: &str) {
    let registry = guarded();
    let with = |wanted: &dyn Fn(&str) -> bool| {
        let given = variables.iter().filter(|(name, _)| wanted(name));
        given.fold(build(&registry), |build, (name, value)| {
            build.env(name, &value.replace("REGISTRY", registry.authority()))
        })
    };
    stays_shut(&registry, with(&|name| name != one));
    opens(&registry, with(&|_| true));
}

/// K-CLI-09
fn credential_helpers() {
    let registry = guarded();
    let with = |words: &[&str]| {
        let variables = OF_KANIKO.iter();
        let build = variables.fold(build(&registry), |build, (name, value)| {
            build.env(name, value)
        });
        build.args(words)
    };
    for words in [
        &["--credential-helpers="][..],
        &["--credential-helpers=gitlab"],
    ] {
        stays_shut(&registry, with(words));
    }
    with(&["--credential-helpers=vault"]).run().fails("vault");
    opens(
        &registry,
        with(&["--credential-helpers=gitlab", "--credential-helpers", "env"]),
    );
}

/// K-GL-04 for who logs in by hand.
fn login() {
    let registry = guarded();
    let words = ["login", registry.authority(), "-u", USER, "-p", PASSWORD];
    let login = Invocation::of(&words);
    let directory = login.path("docker").display().to_string();
    let logged_in = login.env("DOCKER_CONFIG", &directory).run();
    logged_in.succeeds().is_silent_about(PASSWORD);
    opens(&registry, build(&registry).env("DOCKER_CONFIG", &directory));
    Invocation::of(&["login", registry.authority(), "-u", USER])
        .run()
        .fails("password");
}

fn registry_client_cert() {
    let identity = Identity::new("client.test");
    let registry = FakeRegistry::builder()
        .tls(&["127.0.0.1"])
        .only_for_clients_of(&identity.certificate)
        .start();
    let build = || {
        let build = build(&registry)
            .file("ca.pem", registry.certificate())
            .file("client.pem", &identity.certificate)
            .file("client.key", &identity.key);
        let authority = format!("{}=ca.pem", registry.authority());
        build.args(&["--push-retry=0", "--registry-certificate", &authority])
    };
    let own = format!(
        "--registry-client-cert={}=client.pem,client.key",
        registry.authority()
    );
    let others = own.replace(registry.authority(), "other.test");
    stays_shut(&registry, build().args(&[&others]));
    opens(&registry, build().args(&[&own]));
}
