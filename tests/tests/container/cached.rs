//! The layer cache: what is not made twice, what is made again, and that nobody sees the difference in the image.

use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};
use kigumi_tests::lab::Request;
use kigumi_tests::{Built, Context, ImageBuilder, Lab, LayerBuilder, Pod};

pub(crate) const EPOCH: &str = "--source-date-epoch=1700000000";

/// Builds that share a cache repository.
pub(crate) struct Case {
    pub(crate) lab: &'static Lab,
    /// The repository of a base that no other test asks for.
    pub(crate) base: String,
    /// Name of the cache repository.
    pub(crate) cache: String,
    arguments: Vec<String>,
}

impl Case {
    pub(crate) fn new(arguments: &[&str]) -> Result<Self> {
        let lab = Lab::get()?;
        let name = Lab::unique_name("own-base");
        let layer = LayerBuilder::with_shell(lab)?;
        ImageBuilder::new(lab)?
            .layer(layer)?
            .push(lab.plain(), &name)?;
        let repository = |name: &str| name.split(':').next().unwrap_or_default().to_owned();
        Ok(Self {
            lab,
            base: repository(&name),
            cache: repository(&Lab::unique_name("cache")),
            arguments: arguments.iter().map(|&text| text.to_owned()).collect(),
        })
    }

    pub(crate) fn context(&self, dockerfile: &str, file: &str) -> Result<Context> {
        let base = self.lab.destination(&self.base);
        let dockerfile = dockerfile.replace("BASE", &base);
        Context::new(self.lab)?
            .file("Dockerfile", dockerfile)?
            .file("file", file)
    }

    /// A build in a pod of its own that has the cache.
    pub(crate) fn cached(&self, dockerfile: &str, file: &str, more: &[&str]) -> Result<Built> {
        let cache = format!("--cache-repo={}", self.lab.destination(&self.cache));
        let mut arguments = vec!["--cache", &cache];
        arguments.extend(self.arguments.iter().map(String::as_str));
        arguments.extend(more);
        Built::of(self.lab, self.context(dockerfile, file)?, &arguments)
    }

    /// The same without a cache.
    pub(crate) fn plain(&self, dockerfile: &str, file: &str) -> Result<Built> {
        let arguments = self.arguments.iter().map(String::as_str);
        let arguments: Vec<&str> = arguments
            .filter(|argument| !argument.starts_with("--cache"))
            .collect();
        Built::of(self.lab, self.context(dockerfile, file)?, &arguments)
    }
}

/// Instructions that were not carried out, as the log shows them.
pub(crate) fn reused(built: &Built) -> Vec<String> {
    let lines = built
        .outcome
        .stdout
        .lines()
        .chain(built.outcome.stderr.lines());
    let lines = lines.filter_map(|line| {
        let (before, _) = line.split_once(" is in the cache: ")?;
        let (_, step) = before.rsplit_once('[')?;
        Some(step.trim_end_matches(']').to_owned())
    });
    lines.collect()
}

pub(crate) fn same_image(cached: &Built, plain: &Built) -> Result<()> {
    let layers = |built: &Built| -> Vec<String> {
        let layers = built.image.layers.iter();
        layers.map(|layer| layer.digest.clone()).collect()
    };
    ensure!(layers(cached) == layers(plain), "{cached:#?} {plain:#?}");
    ensure!(
        cached.image.digest() == plain.image.digest(),
        "the config or the manifest"
    );
    Ok(())
}

/// The blobs that were sent to or read from these repositories.
fn moved(requests: &[Request], repositories: &[&str]) -> Vec<String> {
    let mut moved = Vec::new();
    for request in requests {
        for repository in repositories {
            let Some(rest) = request
                .target
                .strip_prefix(&format!("/v2/{repository}/blobs/"))
            else {
                continue;
            };
            match request.method.as_str() {
                "GET" if request.status == 200 => moved.push(rest.to_owned()),
                "PUT" | "PATCH" if request.status < 300 => {
                    moved.push(format!("{} {rest}", request.method));
                }
                _ => {}
            }
        }
    }
    moved
}

// T-CACHE-15, T-CACHE-16, T-RES, T-BUG-20, T-BUG-22: a fully cached build pulls no layer and pushes a config and a manifest.
#[test]
fn a_second_build_in_a_fresh_container_moves_no_layer_and_makes_the_same_image() -> Result<()> {
    let case = Case::new(&["--cache-copy-layers", EPOCH])?;
    let dockerfile = "FROM BASE AS made\nRUN busybox mkdir /out && echo made > /out/x\n\
        FROM BASE\nWORKDIR /w\nCOPY file /w/\nRUN <<here\nread line < file\necho $line > result\nhere\n\
        RUN true\nRUN busybox rm file\nCOPY --from=made /out /out\nCMD [\"x\"]\n";
    let first = case.cached(dockerfile, "text\n", &[])?;
    ensure!(reused(&first).is_empty(), "{}", first.outcome);
    let second = case.cached(dockerfile, "text\n", &[])?;
    ensure!(reused(&second).len() == 6, "{}", second.outcome);
    second.outcome.says("stage 1/2 made is not needed")?;
    let (repository, _) = second.name.split_once(':').unwrap_or_default();
    let moved = moved(&second.requests, &[repository, &case.base, &case.cache]);
    for layer in &second.image.layers {
        let digest = &layer.digest;
        let touched = moved.iter().any(|blob| blob.contains(digest.as_str()));
        ensure!(!touched, "{digest}: {moved:#?}");
    }
    let sent = moved.iter().filter(|blob| blob.starts_with('P')).count();
    ensure!(sent <= 2, "more than the config: {moved:#?}");
    // Two for each of the seven entries, and what every build needs.
    let own = [repository, case.base.as_str(), case.cache.as_str()];
    let asked = second.requests.iter().filter(|request| {
        own.iter()
            .any(|name| request.target.starts_with(&format!("/v2/{name}/")))
    });
    let (asked, layers) = (asked.count(), second.image.layers.len());
    ensure!(
        asked <= 2 * 7 + 2 * layers + 12,
        "{asked}: {:#?}",
        second.requests
    );
    second.holds("/w/result", "text\n")?;
    second.has_not("w/file")?;
    same_image(&second, &first)?;
    same_image(&second, &case.plain(dockerfile, "text\n")?)
}

// T-CACHE-04, T-CACHE-12, T-CACHE-19
#[test]
fn what_changed_is_made_on_top_of_what_did_not() -> Result<()> {
    let case = Case::new(&["--cache-copy-layers", EPOCH])?;
    let dockerfile = "FROM BASE\nRUN echo 1 > /a; echo 1 > /b\nRUN busybox rm /b\nCOPY file /\n\
        RUN <<here\ncat=$(busybox cat /file /a)\necho $cat > /c\nhere\n";
    case.cached(dockerfile, "one", &[])?;
    let changed_file = case.cached(dockerfile, "two", &[])?;
    ensure!(
        reused(&changed_file) == ["stage-0 1/4", "stage-0 2/4"],
        "{}",
        changed_file.outcome
    );
    changed_file.holds("/c", "two1\n")?;
    changed_file.has_not("b")?;
    same_image(&changed_file, &case.plain(dockerfile, "two")?)?;
    let other = dockerfile.replace("> /c", "> /d");
    let changed_heredoc = case.cached(&other, "two", &[])?;
    ensure!(
        reused(&changed_heredoc) == ["stage-0 1/4", "stage-0 2/4", "stage-0 3/4"],
        "{}",
        changed_heredoc.outcome
    );
    same_image(&changed_heredoc, &case.plain(&other, "two")?)
}

// T-CACHE-10, T-CACHE-11
#[test]
fn a_stage_that_was_made_again_with_the_same_files_does_not_invalidate_those_who_copy_them()
-> Result<()> {
    let case = Case::new(&["--cache-copy-layers", EPOCH])?;
    let dockerfile = "FROM BASE AS made\nRUN mkdir=1; echo same > /x; echo VERSION > /y\n\
        FROM BASE\nCOPY --from=made /x /\nRUN busybox wc -c /x > /z\n";
    let of = |version: &str| dockerfile.replace("VERSION", version);
    let first = case.cached(&of("1"), "", &[])?;
    let second = case.cached(&of("2"), "", &[])?;
    ensure!(
        reused(&second) == ["stage-1 1/2", "stage-1 2/2"],
        "{}",
        second.outcome
    );
    same_image(&second, &first)?;
    let third = case.cached(&of("2").replace("echo same", "echo other"), "", &[])?;
    ensure!(reused(&third).is_empty(), "{}", third.outcome);
    third.holds("/x", "other\n")
}

// T-CACHE-05: as kaniko, COPY is carried out each time unless --cache-copy-layers is given, and RUN is not.
#[test]
fn a_run_after_a_copy_is_in_the_cache_as_long_as_files_and_arguments_are_the_same() -> Result<()> {
    let case = Case::new(&[])?;
    let dockerfile = "FROM BASE\nARG A\nCOPY file /\nRUN echo $A > /a\n";
    case.cached(dockerfile, "x", &["--build-arg=A=1"])?;
    let again = case.cached(dockerfile, "x", &["--build-arg=A=1"])?;
    ensure!(reused(&again) == ["stage-0 3/3"], "{}", again.outcome);
    let argument = case.cached(dockerfile, "x", &["--build-arg=A=2"])?;
    ensure!(reused(&argument).is_empty(), "{}", argument.outcome);
    argument.holds("/a", "2\n")
}

// T-CACHE-22
#[test]
fn a_file_that_the_ignore_list_lets_in_again_is_looked_at() -> Result<()> {
    let case = Case::new(&[])?;
    let cache = format!("--cache-repo={}", case.lab.destination(&case.cache));
    let build = |file: &str| {
        let context = case.context("FROM BASE\nCOPY . /c\n", file)?;
        let context = context.file(".dockerignore", "*\n!file\n")?;
        Built::of(
            case.lab,
            context,
            &["--cache", &cache, "--cache-copy-layers"],
        )
    };
    build("x")?;
    let again = build("x")?;
    ensure!(reused(&again) == ["stage-0 1/1"], "{}", again.outcome);
    let changed = build("y")?;
    ensure!(reused(&changed).is_empty(), "{}", changed.outcome);
    changed.holds("/c/file", "y")
}

// T-CACHE-17
#[test]
fn two_stages_may_need_and_make_the_same_entry() -> Result<()> {
    let case = Case::new(&[])?;
    let dockerfile =
        "FROM BASE AS a\nRUN echo 1 > /x\nFROM BASE\nRUN echo 1 > /x\nCOPY --from=a /x /y\n";
    for _ in 0..2 {
        let built = case.cached(dockerfile, "", &[])?;
        built.holds("/x", "1\n")?;
        built.holds("/y", "1\n")?;
    }
    Ok(())
}

/// Cuts the ends off all large blobs below a directory.
fn truncate_blobs(directory: &Path) -> Result<usize> {
    let mut count = 0;
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            count += truncate_blobs(&path)?;
            continue;
        }
        let bytes = fs::read(&path)?;
        // Of the blobs only layers are no text.
        if bytes.starts_with(&[0x1f, 0x8b]) {
            let half = bytes.get(..bytes.len() / 2).unwrap_or_default();
            fs::write(&path, half)?;
            count += 1;
        }
    }
    Ok(count)
}

// T-CACHE-18, K-CACHE-02
#[test]
fn an_entry_whose_layer_is_broken_is_as_none() -> Result<()> {
    let case = Case::new(&["--cache-copy-layers", EPOCH])?;
    let cache = case.lab.temp_dir()?;
    let dockerfile = "FROM BASE\nRUN echo 1 > /a\nCOPY file /\n";
    let build = || {
        let pod = Pod::new(case.lab).volume(cache.path(), "/layers");
        let context = case.context(dockerfile, "x")?;
        let arguments = [
            "--cache",
            "--cache-repo=oci:/layers",
            "--cache-copy-layers",
            EPOCH,
        ];
        Built::by(pod, case.lab, context, &arguments)
    };
    let first = build()?;
    let second = build()?;
    ensure!(reused(&second).len() == 2, "{}", second.outcome);
    same_image(&second, &first)?;
    ensure!(truncate_blobs(cache.path())? == 2);
    let third = build()?;
    third.outcome.says("the build begins again without it")?;
    same_image(&third, &first)
}
