//! The manifests as values: what their schemas say, and how far they are from kaniko's public examples.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use kigumi_tests::lab::judge_manifest;
use serde_json::{Value, json};

use crate::shipped::{document, example, path, text};

/// kaniko's public example, what we ship in its place, and how far apart they are.
struct Pair {
    example: &'static str,
    ours: &'static str,
    /// What is compared: the same place in both, unless the example is a pod and ours the Job of one.
    place: (&'static str, &'static str),
    /// Where the image is named.
    image: &'static str,
    /// What else is not the same, and why nobody has to change it.
    more: &'static [(&'static str, &'static str)],
}

/// The scheduler's and the kubelet's affair: the builder is not told.
const SET_ASIDE: &str = "what is set aside for the pod; it builds the same without";
/// What `RuntimeDefault` forbids, the builder does not do; many clusters have it as the default.
const CONFINED: &str = "what the pod may not do; the builder never does it";
/// Nothing is asked of the cluster.
const NO_TOKEN: &str = "a token that is not used";
/// It is read and never written.
const READ_ONLY: &str = "nothing is written there";
/// A placeholder.
const YOURS: &str = "each names its own";

const PAIRS: [Pair; 7] = [
    Pair {
        example: "kubernetes.yaml",
        ours: "kubernetes/job.yaml",
        place: ("/spec", "/spec/template/spec"),
        image: "/containers/0/image",
        more: &[
            ("/automountServiceAccountToken", NO_TOKEN),
            ("/containers/0/args/2", YOURS),
            (
                "/containers/0/args/3",
                "the digest for who reads the Job's status",
            ),
            ("/containers/0/resources", SET_ASIDE),
            ("/containers/0/securityContext", CONFINED),
            ("/containers/0/volumeMounts/0/readOnly", READ_ONLY),
            ("/containers/0/volumeMounts/1/readOnly", READ_ONLY),
            (
                "/containers/0/volumeMounts/2",
                "memory for secrets of RUN, of which kaniko has none",
            ),
            (
                "/volumes/2",
                "memory for secrets of RUN, of which kaniko has none",
            ),
        ],
    },
    Pair {
        example: "gitlab.yaml",
        ours: "gitlab/.gitlab-ci.yml",
        place: ("", ""),
        image: "/build/image/name",
        more: &[("/build/variables", SET_ASIDE)],
    },
    Pair {
        example: "tekton.yaml",
        ours: "tekton/task.yaml",
        place: ("/spec", "/spec"),
        image: "/params/4/default",
        more: &[
            ("/steps/0/computeResources", SET_ASIDE),
            ("/steps/0/securityContext/seccompProfile", CONFINED),
            ("/steps/1/computeResources", SET_ASIDE),
            ("/steps/1/securityContext", "another program's step"),
        ],
    },
    Pair {
        example: "argo.yaml",
        ours: "argo/workflow-template.yaml",
        place: ("", ""),
        image: "/spec/templates/0/container/image",
        more: &[
            ("/spec/automountServiceAccountToken", NO_TOKEN),
            (
                "/spec/executor",
                "who reports for Argo where the pod has no token",
            ),
            ("/spec/templates/0/container/resources", SET_ASIDE),
            ("/spec/templates/0/container/securityContext", CONFINED),
            (
                "/spec/templates/0/container/volumeMounts/1/readOnly",
                READ_ONLY,
            ),
        ],
    },
    Pair {
        example: "jenkins.yaml",
        ours: "jenkins/pod.yaml",
        place: ("", ""),
        image: "/spec/containers/0/image",
        more: &[
            ("/spec/automountServiceAccountToken", NO_TOKEN),
            ("/spec/containers/0/resources", SET_ASIDE),
            ("/spec/containers/0/securityContext", CONFINED),
        ],
    },
    Pair {
        example: "skaffold.yaml",
        ours: "skaffold/skaffold.yaml",
        place: ("", ""),
        // Skaffold names kaniko's own where nothing is said.
        image: "/build/artifacts/0/kaniko/image",
        more: &[
            ("/build/artifacts/0/image", YOURS),
            ("/build/cluster/resources", SET_ASIDE),
        ],
    },
    Pair {
        example: "shipwright.yaml",
        ours: "shipwright/strategy.yaml",
        place: ("", ""),
        image: "/spec/steps/0/image",
        more: &[
            (
                "/spec/steps/0/resources/limits/cpu",
                "half a processor is a slow build, not another one",
            ),
            ("/spec/steps/0/resources/limits/memory", SET_ASIDE),
            ("/spec/steps/0/resources/requests/memory", SET_ASIDE),
            ("/spec/steps/0/securityContext/seccompProfile", CONFINED),
        ],
    },
];

/// Every place where two values are not the same, as a JSON pointer. Descriptions are for people.
fn differences(example: &Value, ours: &Value, at: &str, found: &mut Vec<String>) {
    match (example, ours) {
        (Value::Object(example), Value::Object(ours)) => {
            for (name, value) in example {
                let there = ours.get(name).unwrap_or(&Value::Null);
                differences(value, there, &format!("{at}/{name}"), found);
            }
            let new = ours.keys().filter(|name| !example.contains_key(*name));
            let new = new.filter(|name| *name != "description");
            found.extend(new.map(|name| format!("{at}/{name}")));
        }
        (Value::Array(example), Value::Array(ours)) => {
            for (index, value) in example.iter().enumerate() {
                let there = ours.get(index).unwrap_or(&Value::Null);
                differences(value, there, &format!("{at}/{index}"), found);
            }
            found.extend((example.len()..ours.len()).map(|index| format!("{at}/{index}")));
        }
        (example, ours) if example == ours => {}
        _ => found.push(at.to_owned()),
    }
}

// K-DROP-01. That the difference makes none is shown by running the examples themselves: the other modules.
#[test]
fn each_manifest_differs_from_kanikos_public_example_by_the_image_name_and_what_is_listed()
-> Result<()> {
    for pair in PAIRS {
        let (example, shipped) = (example(pair.example)?, document(pair.ours)?);
        let (at_example, at_ours) = pair.place;
        let of = |whole: &Value, place: &str| whole.pointer(place).cloned();
        let theirs = of(&example, at_example).context(pair.example)?;
        let ours = of(&shipped, at_ours).context(pair.ours)?;
        let mut found = Vec::new();
        differences(&theirs, &ours, "", &mut found);
        found.sort_unstable();
        let listed = pair.more.iter().map(|(place, _)| *place);
        let mut expected: Vec<&str> = listed.chain([pair.image]).collect();
        expected.sort_unstable();
        ensure!(
            found == expected,
            "deploy/{} differs at {found:?}, and {expected:?} is listed",
            pair.ours
        );
        let image = theirs.pointer(pair.image).and_then(Value::as_str);
        ensure!(
            image.is_none_or(|name| name.starts_with("gcr.io/kaniko-project/executor:")),
            "the example is of kaniko: {image:?}"
        );
        ensure!(
            text(&ours, pair.image)?.starts_with("registry.example.com/kigumi/executor:"),
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
            vec!["/resources"],
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
    for public in ["kubernetes.yaml", "jenkins.yaml"] {
        judge_manifest(&example(public)?).context("kaniko's own")?;
    }
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
    for Pair { ours: file, .. } in PAIRS {
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
