//! The cases of `tests/conformance/cases`, whose results BuildKit gave, and what they rest on.

use std::env;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use kigumi_tests::Lab;
use kigumi_tests::conformance::{
    Build, Expected, Facts, Found, Prepared, PublicExecutor, Report, Suite, judge,
};
use kigumi_tests::image::Kind;
use kigumi_tests::lab::build_executor;
use serde_json::{Value, json};

/// `KIGUMI_CASES` takes the cases whose name contains one of these words: for work on one of them.
fn wanted(name: &str) -> bool {
    let words = env::var("KIGUMI_CASES").unwrap_or_default();
    words.is_empty() || words.split_whitespace().any(|word| name.contains(word))
}

fn conclude(report: &Report) -> Result<()> {
    ensure!(report.total() > 0, "no case is called so");
    ensure!(report.failures() == 0, "{} cases failed", report.failures());
    Ok(())
}

#[test]
fn cases_without_run_give_what_buildkit_gives_and_need_no_privilege() -> Result<()> {
    let suite = Suite::load()?;
    let executor = PublicExecutor::new(&build_executor()?)?;
    let how = Build::Process {
        executor: &executor.path(),
    };
    let report = suite.run(4, how, |case| !case.needs_run && wanted(&case.name));
    println!("{report}");
    conclude(&report)
}

#[test]
fn cases_with_run_give_in_an_ordinary_pod_what_buildkit_gives() -> Result<()> {
    let suite = Suite::load()?;
    let how = Build::Pod { lab: Lab::get()? };
    let report = suite.run(2, how, |case| case.needs_run && wanted(&case.name));
    println!("{report}");
    conclude(&report)
}

#[test]
fn the_base_image_is_the_one_that_the_cases_were_recorded_with() -> Result<()> {
    // Without a base, `Found` takes these for the mount points of a sandbox.
    const MOUNT_POINTS: [&str; 3] = ["dev", "proc", "sys"];
    let suite = Suite::load()?;
    let (case, _) = suite.case("config-busybox-bare")?;
    let executor = PublicExecutor::new(&build_executor()?)?;
    let how = Build::Process {
        executor: &executor.path(),
    };
    let image = Prepared::make(case, how)?.build(case, how)?.image()?;
    let tree = Found::of(&image, 0)?.rootfs;
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance/base/tree.json");
    let recorded: Vec<Facts> = serde_json::from_slice(&fs::read(file)?)?;
    for path in MOUNT_POINTS {
        let found = image.flatten().get(path).map(|node| (node.kind, node.mode));
        ensure!(
            found == Some((Kind::Directory, 0o755)),
            "/{path}: {found:?}"
        );
    }
    // The applets and their bytes are those of the machine's busybox.
    let fixed = |facts: &&Facts| {
        let path = facts.path.as_str();
        !path.starts_with("bin/") && path != "." && !MOUNT_POINTS.contains(&path)
    };
    let wanted: Vec<&Facts> = recorded.iter().filter(fixed).collect();
    let given: Vec<&Facts> = tree.iter().filter(fixed).collect();
    ensure!(wanted.len() == given.len(), "{given:?}");
    for (wanted, given) in wanted.into_iter().zip(given) {
        ensure!(given.meets(wanted), "{given}, recorded {wanted}");
    }
    let applets = tree.iter().filter(|facts| facts.path.starts_with("bin/"));
    let names: Vec<&str> = applets.map(|facts| facts.path.as_str()).collect();
    for needed in ["bin/sh", "bin/busybox", "bin/stat", "bin/id", "bin/awk"] {
        ensure!(names.contains(&needed), "no {needed}");
    }
    Ok(())
}

/// What a recorded result is turned into, and the facet that must notice.
const FORGERIES: &[(&str, &str, &str)] = &[
    ("/config/config/Env", r#"["PATH=/bin"]"#, "config"),
    ("/config/config/Labels", r#"{"a":"b"}"#, "config"),
    ("/config/architecture", r#""arm64""#, "config"),
    ("/base_layers", "2", "layers"),
    ("/history/0/created_by", r#""COPY other""#, "history"),
    ("/history/0/empty_layer", "true", "history"),
    ("/history", "[]", "history"),
    ("/layers", "[]", "layers"),
    ("/layers/0/entries/2/mode", r#""0600""#, "layers"),
    ("/layers/0/entries/2/uid", "7", "layers"),
    ("/layers/0/entries/2/mtime", "7", "layers"),
    ("/layers/0/entries/2/size", "7", "layers"),
    ("/layers/0/entries/2/type", r#""fifo""#, "layers"),
    ("/layers/0/entries/2/path", r#""other""#, "layers"),
    ("/rootfs", "[]", "rootfs"),
    ("/rootfs/1/sha256", r#""00""#, "rootfs"),
    ("/rootfs/1/linkgroup", r#""x""#, "rootfs"),
    ("/rootfs/1/xattrs", r#"{"user.a":""}"#, "rootfs"),
];

/// The same for a build that fails.
const FORGED_COMPLAINTS: &[(&str, &str, &str)] = &[
    ("/error/line", "3", "message"),
    ("/error/names", r#"["elsewhere"]"#, "message"),
];

#[test]
fn the_judge_notices_every_forgery() -> Result<()> {
    notices("copy-into-var-run-link", FORGERIES)?;
    notices("error-copy-missing", FORGED_COMPLAINTS)
}

fn notices(name: &str, forgeries: &[(&str, &str, &str)]) -> Result<()> {
    let suite = Suite::load()?;
    let (case, expected) = suite.case(name)?;
    let executor = PublicExecutor::new(&build_executor()?)?;
    let how = Build::Process {
        executor: &executor.path(),
    };
    let prepared = Prepared::make(case, how)?;
    let finished = prepared.build(case, how)?;
    let facets = |expected: &Expected| -> Result<Vec<String>> {
        let differences = judge(case, expected, &finished, &prepared.images)?;
        let texts = differences.iter().map(ToString::to_string);
        Ok(texts
            .map(|text| text.split(':').next().unwrap_or_default().to_owned())
            .collect())
    };
    ensure!(facets(expected)?.is_empty(), "{:?}", facets(expected)?);
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR"));
    let recorded = recorded
        .join("conformance/cases")
        .join(name)
        .join("expect.json");
    let recorded: Value = serde_json::from_slice(&fs::read(recorded)?)?;
    for (place, value, facet) in forgeries {
        let mut forged = recorded.clone();
        let (parent, field) = place.rsplit_once('/').context("a place")?;
        let parent = forged
            .pointer_mut(parent)
            .with_context(|| format!("no {place}"))?;
        let object = parent
            .as_object_mut()
            .with_context(|| format!("no {place}"))?;
        object.insert(field.to_owned(), serde_json::from_str(value)?);
        let found = facets(&serde_json::from_value(forged)?)?;
        ensure!(
            found.iter().any(|found| found == facet),
            "{place} = {value}: {found:?}"
        );
    }
    let other = if finished.code == 0 {
        json!({ "error": { "names": [] } })
    } else {
        json!({
            "base": "scratch", "base_layers": 0, "config": {}, "history": [], "layers": [],
            "rootfs": [],
        })
    };
    let found = facets(&serde_json::from_value(other)?)?;
    ensure!(found == ["status"], "{found:?}");
    Ok(())
}
