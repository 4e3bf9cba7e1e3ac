//! A variable that hides the file.

use kigumi_testkit::{Authentication, FakeRegistry};

use crate::harness::{Invocation, Outcome};

/// A push with this as `DOCKER_AUTH_CONFIG`, to a registry that wants another password.
fn refused_with(registry: &FakeRegistry, variable: &str) -> Outcome {
    let outcome = Invocation::build("FROM scratch\nCOPY a /\n")
        .args(&["-d", &registry.reference("a:1")])
        .env("DOCKER_AUTH_CONFIG", variable)
        .run();
    assert!(!outcome.stderr.contains("hunter2"), "{}", outcome.stderr);
    outcome
}

/// K-AUTH-06, K-GL-04
#[test]
fn who_is_refused_with_a_variable_is_told_that_it_wins_over_the_file() {
    let registry = FakeRegistry::builder()
        .authentication(Authentication::token("me", "hunter2-right"))
        .start();
    let entry = r#"{"username":"me","password":"hunter2-other"}"#;
    let variable = format!(r#"{{"auths":{{"{}":{entry}}}}}"#, registry.authority());
    let hint = "DOCKER_AUTH_CONFIG is set: its entries win over those of";
    refused_with(&registry, &variable).fails(hint);
    let without = refused_with(&registry, "");
    without.fails("a:1");
    assert!(!without.stderr.contains(hint), "{}", without.stderr);
}
