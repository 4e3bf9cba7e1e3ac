//! The manifests as values: what their schemas say, and how far they are from kaniko's public examples.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use kigumi_tests::lab::{judge_manifest, read_yaml};
use serde_json::{Value, json};

use crate::shipped::{document, path, text};

/// kaniko's public example, what we ship in its place, and where its image is named.
const PAIRS: [(&str, &str, &str); 7] = [
    (
        "kubernetes.yaml",
        "kubernetes/job.yaml",
        "/spec/template/spec/containers/0/image",
    ),
    ("gitlab.yaml", "gitlab/.gitlab-ci.yml", "/build/image/name"),
    ("tekton.yaml", "tekton/task.yaml", "/spec/params/4/default"),
    (
        "argo.yaml",
        "argo/workflow-template.yaml",
        "/spec/templates/0/container/image",
    ),
    (
        "jenkins.yaml",
        "jenkins/pod.yaml",
        "/spec/containers/0/image",
    ),
    (
        "skaffold.yaml",
        "skaffold/skaffold.yaml",
        "/build/artifacts/0/kaniko/image",
    ),
    (
        "shipwright.yaml",
        "shipwright/strategy.yaml",
        "/spec/steps/0/image",
    ),
];

/// What is said about the pod around the build, and changes nothing of the build: how much it may take, and what it may not.
const AROUND: [&str; 15] = [
    "resources",
    "computeResources",
    "securityContext",
    "seccompProfile",
    "allowPrivilegeEscalation",
    "capabilities",
    "automountServiceAccountToken",
    "readOnly",
    "backoffLimit",
    "ttlSecondsAfterFinished",
    "executor",
    "variables",
    "labels",
    "annotations",
    "description",
];

/// Every place where two values are not the same, as a JSON pointer; what only the second has if its name is not in [`AROUND`].
fn differences(example: &Value, ours: &Value, at: &str, found: &mut Vec<String>) {
    match (example, ours) {
        (Value::Object(example), Value::Object(ours)) => {
            for (name, value) in example {
                let there = ours.get(name).unwrap_or(&Value::Null);
                if name != "resources" {
                    differences(value, there, &format!("{at}/{name}"), found);
                }
            }
            let new = ours.keys().filter(|name| !example.contains_key(*name));
            let new = new.filter(|name| !AROUND.contains(&name.as_str()));
            found.extend(new.map(|name| format!("{at}/{name}")));
        }
        (Value::Array(example), Value::Array(ours)) => {
            for (index, value) in example.iter().enumerate() {
                let there = ours.get(index).unwrap_or(&Value::Null);
                differences(value, there, &format!("{at}/{index}"), found);
            }
            let new = ours.iter().enumerate().skip(example.len());
            // Memory for the secrets of RUN: kaniko has no such mounts.
            let new = new.filter(|(_, value)| {
                value.pointer("/name").and_then(Value::as_str) != Some("secrets")
            });
            found.extend(new.map(|(index, _)| format!("{at}/{index}")));
        }
        (example, ours) if example == ours => {}
        _ => found.push(at.to_owned()),
    }
}

#[test]
fn each_manifest_differs_from_kanikos_public_example_by_the_image_name_alone() -> Result<()> {
    for (example, ours, image) in PAIRS {
        let place = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("platforms/examples")
            .join(example);
        let example = read_yaml(&place)?.pop().context("an example")?;
        let shipped = document(ours)?;
        let mut found = Vec::new();
        differences(&example, &shipped, "", &mut found);
        ensure!(found == [image], "deploy/{ours} differs at {found:?}");
        ensure!(
            text(&example, image)?.starts_with("gcr.io/kaniko-project/executor:"),
            "the example is of kaniko"
        );
        ensure!(
            text(&shipped, image)?.starts_with("registry.example.com/kigumi/executor:"),
            "ours is of kigumi"
        );
    }
    Ok(())
}

#[test]
fn a_difference_that_is_not_the_image_would_be_found() {
    let example = json!({"image": "a", "args": ["--x"], "env": []});
    for (ours, expected) in [
        (
            json!({"image": "b", "args": ["--x"], "env": []}),
            vec!["/image"],
        ),
        (
            json!({"image": "a", "args": ["--x", "--y"], "env": []}),
            vec!["/args/1"],
        ),
        (
            json!({"image": "a", "args": [], "env": []}),
            vec!["/args/0"],
        ),
        (json!({"image": "a", "args": ["--x"]}), vec!["/env"]),
        (
            json!({"image": "a", "args": ["--x"], "env": [], "command": ["c"]}),
            vec!["/command"],
        ),
        (
            json!({"image": "a", "args": ["--x"], "env": [], "resources": {}}),
            vec![],
        ),
    ] {
        let mut found = Vec::new();
        differences(&example, &ours, "", &mut found);
        assert_eq!(found, expected, "{ours}");
    }
}

/// The container of a manifest that Kubernetes itself has no schema of, in a pod of its own.
fn pod_of(container: &Value) -> Value {
    let mut container = container.clone();
    if let Some(fields) = container.as_object_mut() {
        if let Some(resources) = fields.remove("computeResources") {
            fields.insert("resources".to_owned(), resources);
        }
        // Tekton's own.
        fields.remove("script");
        fields.entry("name").or_insert_with(|| "build".into());
    }
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": "build" },
        "spec": { "containers": [container] },
    })
}

#[test]
fn kubernetes_own_schemas_know_every_field() -> Result<()> {
    let job = document("kubernetes/job.yaml")?;
    judge_manifest(&job)?;
    judge_manifest(&document("jenkins/pod.yaml")?)?;
    let task = document("tekton/task.yaml")?;
    let strategy = document("shipwright/strategy.yaml")?;
    let template = document("argo/workflow-template.yaml")?;
    for container in [
        &task["spec"]["steps"][0],
        &task["spec"]["steps"][1],
        &strategy["spec"]["steps"][0],
        &template["spec"]["templates"][0]["container"],
    ] {
        judge_manifest(&pod_of(container)).with_context(|| container.to_string())?;
    }
    let mut wrong = job;
    wrong["spec"]["template"]["spec"]["containers"][0]["imagee"] = json!("x");
    ensure!(judge_manifest(&wrong).is_err(), "the judge judges");
    Ok(())
}

/// Names of custom resources, and what in them refers to what.
#[test]
fn custom_resources_hold_together() -> Result<()> {
    for (file, version, kind) in [
        ("tekton/task.yaml", "tekton.dev/v1", "Task"),
        (
            "argo/workflow-template.yaml",
            "argoproj.io/v1alpha1",
            "WorkflowTemplate",
        ),
        ("skaffold/skaffold.yaml", "skaffold/v4beta11", "Config"),
        (
            "shipwright/strategy.yaml",
            "shipwright.io/v1beta1",
            "ClusterBuildStrategy",
        ),
    ] {
        let document = document(file)?;
        ensure!(
            document["apiVersion"] == version && document["kind"] == kind,
            "{file}"
        );
    }
    let names = |list: &Value| -> Vec<String> {
        let list = list.as_array().into_iter().flatten();
        list.filter_map(|one| Some(one["name"].as_str()?.to_owned()))
            .collect()
    };
    let task = document("tekton/task.yaml")?;
    for variable in variables(&task["spec"]["steps"].to_string(), "$(", ")") {
        let parts: Vec<&str> = variable.split('.').collect();
        let declared = match parts.as_slice() {
            ["params", name] => names(&task["spec"]["params"]).contains(&(*name).to_owned()),
            ["results", name, "path"] => {
                names(&task["spec"]["results"]).contains(&(*name).to_owned())
            }
            ["workspaces", name, "path"] => {
                names(&task["spec"]["workspaces"]).contains(&(*name).to_owned())
            }
            _ => false,
        };
        ensure!(declared, "tekton/task.yaml: `{variable}` is not declared");
    }
    let strategy = document("shipwright/strategy.yaml")?;
    for variable in variables(&strategy["spec"]["steps"].to_string(), "$(params.", ")") {
        let declared = names(&strategy["spec"]["parameters"]).contains(&variable);
        ensure!(
            declared || variable.starts_with("shp-"),
            "shipwright/strategy.yaml: `{variable}`"
        );
    }
    let template = document("argo/workflow-template.yaml")?;
    let spec = &template["spec"];
    ensure!(
        spec["entrypoint"] == spec["templates"][0]["name"],
        "the entrypoint is a template"
    );
    for mount in names(&spec["templates"][0]["container"]["volumeMounts"]) {
        ensure!(
            names(&spec["volumes"]).contains(&mount),
            "argo: the volume `{mount}`"
        );
    }
    Ok(())
}

/// What stands between the marks.
fn variables(text: &str, open: &str, close: &str) -> Vec<String> {
    let parts = text.split(open).skip(1);
    parts
        .filter_map(|part| Some(part.split_once(close)?.0.to_owned()))
        .collect()
}

#[test]
fn every_container_says_what_it_needs_and_asks_for_no_more_than_a_container_has() -> Result<()> {
    for (_, file, _) in PAIRS {
        let text = fs::read_to_string(path(file))?;
        ensure!(
            text.contains("requests:") || text.contains("KUBERNETES_MEMORY_REQUEST"),
            "deploy/{file} has no resource requests"
        );
        for grant in [
            "privileged: true",
            "hostPath",
            "hostPID",
            "hostNetwork",
            "Unconfined",
        ] {
            ensure!(!text.contains(grant), "deploy/{file}: {grant}");
        }
        let readme = fs::read_to_string(path("README.md"))?;
        ensure!(
            readme.contains(file),
            "deploy/README.md says nothing about {file}"
        );
    }
    Ok(())
}
