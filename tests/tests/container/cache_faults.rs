//! Caches that several builds write at once, that fail, and that may not be written: whole builds, which end with the right image.

use std::collections::BTreeSet;
use std::path::Path;
use std::thread;

use anyhow::{Context as _, Result, ensure};
use kigumi_tests::{Asked, Built, Context, Front, Image, Lab, Outcome, Pod, Trouble};

use super::cached::{Case, EPOCH, reused, same_image};

/// How many builds race.
const RACERS: usize = 3;

/// A RUN that ends when all racers are in it: until then none of them can have kept it, so that each of them makes and keeps every step.
const TOGETHER: &str = "RUN busybox mktemp /race/XXXXXX; \
    while [ $(busybox ls /race | busybox wc -l) -lt 3 ]; do busybox usleep 10000; done";

/// A build in a pod of its own that shares a directory `/race` with others.
fn build(case: &Case, dockerfile: &str, together: &Path, arguments: &[&str]) -> Result<Built> {
    let pod = Pod::new(case.lab).volume(together, "/race");
    let arguments: Vec<&str> = arguments.iter().copied().chain([EPOCH]).collect();
    Built::by(
        pod,
        case.lab,
        case.context(dockerfile, "text\n")?,
        &arguments,
    )
}

/// Builds that share a cache repository as well, all at once.
fn race(case: &Case, dockerfile: &str, together: &Path) -> Result<Vec<Built>> {
    let cache = format!("--cache-repo={}", case.lab.destination(&case.cache));
    let arguments = ["--cache", &cache, "--cache-copy-layers"];
    thread::scope(|scope| {
        let racer = || build(case, dockerfile, together, &arguments);
        let racers: Vec<_> = (0..RACERS).map(|_| scope.spawn(racer)).collect();
        let ended = racers.into_iter().map(|racer| racer.join().ok());
        ended
            .map(|built| built.context("a racer panicked")?)
            .collect()
    })
}

// T-CACHE-24
#[test]
fn builds_that_race_on_a_cache_make_the_image_of_one_without_a_cache() -> Result<()> {
    let case = Case::new(&["--cache-copy-layers", EPOCH])?;
    let together = case.lab.temp_dir()?;
    let dockerfile = format!(
        "FROM BASE AS made\n{TOGETHER}; echo made > /x\n\
         FROM BASE\nWORKDIR /w\nCOPY file /w/\nRUN read line < file; echo $line > result\n\
         RUN busybox rm file\nCOPY --from=made /x /x\n"
    );
    let racers = race(&case, &dockerfile, together.path())?;
    // The directory is full now, and nobody waits any more.
    let after = race(&case, &dockerfile, together.path())?;
    let plain = build(&case, &dockerfile, together.path(), &[])?;
    plain.holds("/w/result", "text\n")?;
    for built in racers.iter().chain(&after) {
        same_image(built, &plain)?;
    }
    for built in &after {
        ensure!(reused(built).len() == 5, "{}", built.outcome);
    }
    Ok(())
}

// T-CACHE-19, T-CACHE-24: what each of them made differs, and no image is put together of two builds.
#[test]
fn layers_of_racing_builds_are_not_mixed() -> Result<()> {
    let case = Case::new(&["--cache-copy-layers", EPOCH])?;
    let together = case.lab.temp_dir()?;
    let dockerfile = format!(
        "FROM BASE AS made\n{TOGETHER}; read id < /proc/sys/kernel/random/uuid; echo $id > /id\n\
         RUN busybox cp /id /same\n\
         FROM BASE\nCOPY --from=made /id /id\nRUN busybox cp /id /copy\nCOPY --from=made /same /same\n"
    );
    let mut identities = BTreeSet::new();
    for built in race(&case, &dockerfile, together.path())? {
        identities.insert(identity(&built)?);
    }
    ensure!(
        identities.len() == RACERS,
        "they did not race: {identities:?}"
    );
    let racing = race(&case, &dockerfile, together.path())?;
    for built in &racing {
        ensure!(!reused(built).is_empty(), "{}", built.outcome);
        identity(built)?;
    }
    Ok(())
}

/// The digest of the files that a build made from one random number.
fn identity(built: &Built) -> Result<String> {
    let tree = built.image.flatten();
    let digest = |path: &str| {
        let described = tree.get(path).map(|node| node.describe(path));
        let described = described.unwrap_or_default();
        described
            .split(' ')
            .next_back()
            .unwrap_or_default()
            .to_owned()
    };
    let (id, copy, same) = (digest("id"), digest("copy"), digest("same"));
    ensure!(id.starts_with("sha256:"), "no id: {id}");
    ensure!(
        id == copy && id == same,
        "mixed: {id} {copy} {same}\n{}",
        built.outcome
    );
    Ok(id)
}

const STEPS: &str = "FROM BASE AS made\nRUN busybox mkdir /out && echo made > /out/x\n\
    FROM BASE\nCOPY file /w/\nRUN read line < /w/file; echo $line > /w/result\n\
    COPY --from=made /out /out\n";

/// A build whose base, cache and image are all behind the front.
fn build_behind(case: &Case, front: &Front) -> Result<(Image, Outcome)> {
    let name = Lab::unique_name("behind");
    let place = |name: &str| format!("{}/{name}", front.address());
    let dockerfile = STEPS.replace("BASE", &place(&case.base));
    let context = Context::new(case.lab)?
        .file("Dockerfile", dockerfile)?
        .file("file", "text\n")?;
    let outcome = Pod::new(case.lab)
        .context(context)
        .args(["--cache", "--cache-copy-layers", EPOCH])
        .args([
            format!("--insecure-registry={}", front.address()),
            format!("--cache-repo={}", place(&case.cache)),
            format!("--destination={}", place(&name)),
        ])
        .run()?;
    outcome.success()?;
    let image = Image::pull(case.lab.plain(), &name)?;
    image.strict()?;
    Ok((image, outcome))
}

/// Every third request, by a status and by the end of its connection in turn; but not one that was turned away when it came last: a
/// registry that never answers has no right image to end with.
fn every_third(method: &str, target: &str, before: &[Asked]) -> Option<Trouble> {
    let same = |asked: &&Asked| asked.method == method && kind(&asked.target) == kind(target);
    let was_refused = before
        .iter()
        .rev()
        .find(same)
        .is_some_and(|asked| asked.trouble.is_some());
    let due = before
        .iter()
        .rev()
        .take(2)
        .all(|asked| asked.trouble.is_none())
        && before.len() >= 2;
    let refused = before
        .iter()
        .filter(|asked| asked.trouble.is_some())
        .count();
    let trouble = if refused % 2 == 0 {
        Trouble::Status(503)
    } else {
        Trouble::Reset
    };
    (due && !was_refused).then_some(trouble)
}

/// The path; of uploads without what tells one from the other.
fn kind(target: &str) -> &str {
    let path = target.split('?').next().unwrap_or_default();
    let uploads = path.split_once("/uploads/");
    uploads.map_or(path, |(repository, _)| repository)
}

#[test]
fn a_registry_that_fails_every_third_request_ends_with_the_right_image() -> Result<()> {
    let case = Case::new(&["--cache-copy-layers", EPOCH])?;
    let plain = case.plain(STEPS, "text\n")?;
    let front = Front::start(case.lab.plain().address(), every_third)?;
    for is_kept in [false, true] {
        let before = front.asked().len();
        let (image, outcome) = build_behind(&case, &front)?;
        ensure!(
            image.digest() == plain.image.digest(),
            "another image\n{outcome}"
        );
        let asked = front.asked();
        let asked: Vec<&Asked> = asked.iter().skip(before).collect();
        let failed = asked.iter().filter(|asked| asked.trouble.is_some()).count();
        ensure!(
            failed * 5 > asked.len(),
            "{failed} of {}: {asked:#?}",
            asked.len()
        );
        let found = outcome.stderr.matches(" is in the cache: ").count()
            + outcome.stdout.matches(" is in the cache: ").count();
        ensure!(
            (found > 0) == is_kept,
            "{found} steps in the cache\n{outcome}"
        );
    }
    Ok(())
}

/// A front in which a repository may be read and not written.
fn read_only(case: &Case, status: u16) -> Result<Front> {
    let repository = format!("/v2/{}/", case.cache);
    Front::start(case.lab.plain().address(), move |method, target, _| {
        let writes = !matches!(method, "GET" | "HEAD");
        (writes && target.starts_with(&repository)).then_some(Trouble::Status(status))
    })
}

// T-CACHE-20, K-CACHE-04
#[test]
fn a_cache_that_may_only_be_read_is_read_and_told_of() -> Result<()> {
    let case = Case::new(&["--cache-copy-layers", EPOCH])?;
    let plain = case.plain(STEPS, "text\n")?;
    let (denied, no_method) = (read_only(&case, 403)?, read_only(&case, 405)?);
    for front in [&denied, &no_method] {
        let (image, outcome) = build_behind(&case, front)?;
        ensure!(
            image.digest() == plain.image.digest(),
            "another image\n{outcome}"
        );
        let place = format!("{}/{}", front.address(), case.cache);
        let told = outcome.stderr.lines().filter(|line| line.contains(&place));
        let told: Vec<&str> = told.filter(|line| line.contains("is not kept")).collect();
        ensure!(told.len() == 1, "{told:?}\n{outcome}");
    }
    // Somebody else keeps the steps, and they are found.
    case.cached(STEPS, "text\n", &[])?;
    let (image, outcome) = build_behind(&case, &denied)?;
    ensure!(
        image.digest() == plain.image.digest(),
        "another image\n{outcome}"
    );
    outcome.says(" is in the cache: ")?;
    Ok(())
}
