//! What RUN becomes.

use kigumi_dockerfile::instruction::MountSpec;

use super::Build;
use crate::{Entitlement, Script};

/// D 5.1
#[test]
fn a_script_is_started_by_its_path() {
    let run = &Build::of("FROM base\nRUN <<EOF\n#!/bin/awk -f\nBEGIN {}\nEOF").runs()[0];
    assert_eq!(run.argv, ["/bin/sh", "-c", "/dev/pipes/EOF"]);
    let script = Script {
        name: "EOF".into(),
        body: "#!/bin/awk -f\nBEGIN {}\n".into(),
    };
    assert_eq!(run.script, Some(script));
}

/// D 5.2
#[test]
fn a_run_has_the_state_of_its_place() {
    let file = "FROM base\nENV A=1\nRUN one\nUSER u:g\nWORKDIR /w/\nENV A=2\nRUN two";
    let runs = Build::of(file).runs();
    assert_eq!((runs[0].cwd.as_str(), runs[0].user.as_deref()), ("/", None));
    assert_eq!(
        (runs[1].cwd.as_str(), runs[1].user.as_deref()),
        ("/w", Some("u:g"))
    );
    let pairs = |a: &str| vec![("PATH".into(), "/bin".into()), ("A".into(), a.into())];
    assert_eq!((&runs[0].env, &runs[1].env), (&pairs("1"), &pairs("2")));
}

/// T-MNT-03, T-MNT-19: the default identity is the target as it was written.
#[test]
fn targets_are_absolute_and_a_cache_is_called_as_its_target_was_written() {
    let file = "FROM base\nWORKDIR /w\nARG T=c\n\
        RUN --mount=type=cache,target=$T --mount=type=cache,target=/w/c --mount=type=cache,id=i,target=../x/ true";
    let run = &Build::of(file).runs()[0];
    let caches: Vec<_> = run
        .mounts
        .iter()
        .filter_map(|mount| {
            let MountSpec::Cache { id, target, .. } = &mount.spec else {
                return None;
            };
            Some((id.as_deref(), target.as_str()))
        })
        .collect();
    let expected = [
        (Some("c"), "/w/c"),
        (Some("/w/c"), "/w/c"),
        (Some("i"), "/x"),
    ];
    assert_eq!(caches, expected);
}

#[test]
fn flags_that_need_no_permission_are_planned() {
    for flags in [
        "--network=none --security=sandbox --device=vendor.example/class,required",
        "--mount=type=secret,id=s --mount=type=ssh",
    ] {
        Build::of(&format!("FROM base\nRUN {flags} x")).plan();
    }
}

/// D 5.4, T-RUN-09
#[test]
fn what_needs_a_permission_is_refused_without_it_and_planned_with_it() {
    for (flag, entitlement) in [
        ("--network=host", Entitlement::NetworkHost),
        ("--security=insecure", Entitlement::SecurityInsecure),
    ] {
        let file = format!("FROM base\nRUN {flag} x");
        let problems = Build::of(&file).problems();
        assert!(problems.starts_with("Dockerfile:2: error: "), "{problems}");
        for word in [flag, entitlement.name()] {
            assert!(problems.contains(word), "{problems}");
        }
        let mut build = Build::of(&file);
        build.inputs.allowed.insert(entitlement);
        build.plan();
        // The other permission is of no use.
        let others = [Entitlement::NetworkHost, Entitlement::SecurityInsecure];
        let mut build = Build::of(&file);
        build
            .inputs
            .allowed
            .extend(others.iter().filter(|other| **other != entitlement));
        assert!(build.problems().contains(flag));
    }
}

/// D 5.4
#[test]
fn the_root_is_no_mount_point() {
    for mount in [
        "target=/",
        "target=.",
        "source=a",
        "type=tmpfs,target=/a/..",
    ] {
        let problems = Build::of(&format!("FROM base\nRUN --mount={mount} x")).problems();
        assert!(
            problems.contains("mount point of --mount is `/`"),
            "{problems}"
        );
    }
}

/// What is not needed is not refused: it is never executed.
#[test]
fn an_unneeded_stage_may_use_what_is_not_supported() {
    Build::of("FROM base AS unused\nRUN --network=host x\nFROM scratch").plan();
}
