//! Inputs to begin with: what the conformance cases and the tables of the parser hold, in the form that each target reads.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::{env, fs};

use kigumi_layer::{
    Change, Dialect, LayerEncoder, LayerReader, OutlineWriter, diff, keeps_content, notation,
};
use serde_json::Value;

/// Trees in the notation of trees, from which layers and archives are made.
const TREES: [&str; 4] = [
    "d 0755 0:0 /a\nf 0644 1:2 @1000000000.5 /a/b \"text\"\nl 0:0 /a/l -> b\nh /a/m = /a/b\np 0600 0:0 /p",
    "c 0666 0:0 1,3 /dev\nf 4755 0:0 /ping \"\" security.capability=\"\\x01\\x00\"\n- /gone\n! /a",
    "f 0644 0:0 /0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789/x \"y\"",
    "d 0755 0:0 /d\nl 0:0 /d/link -> /etc\nf 0644 0:0 /d/link/passwd \"p\"\nf 0644 0:0 /d/f/g \"below a file\"",
];

/// Copies: stage, source, options, patterns, destination.
const COPIES: [[&str; 5]; 8] = [
    [
        "d 0755 0:0 /w",
        "f 0644 1:1 /a \"a\"\nd 0750 1:1 /d\nf 0600 1:1 /d/x \"x\"",
        "00000",
        "a\nd",
        "/to/",
    ],
    [
        "d 0711 5:6 /w\nl 0:0 /w/l -> /real",
        "f 0644 1:1 /a \"a\"",
        "2",
        "*",
        "l/deep",
    ],
    [
        "",
        "d 0755 1:1 /p\nd 0700 1:1 /p/q\nf 0644 2:2 /p/q/y \"y\"\nf 0644 2:2 /p/q/x \"x\"",
        "0013",
        "p/./q/**",
        "/",
    ],
    [
        "f 0644 0:0 /w \"w\"",
        "f 0644 1:1 /a \"a\"",
        "",
        "a",
        "sub/",
    ],
    [
        "d 0755 0:0 /d\nd 0755 0:0 /d/x",
        "d 0755 1:1 /s\nf 0644 1:1 /s/x \"x\"",
        "1",
        "s",
        "/d",
    ],
    [
        "",
        "f 0644 1:1 /a \"a\"\nh /b = /a\nd 0755 0:0 /c\nh /c/d = /a",
        "1",
        "/",
        "/all",
    ],
    [
        "",
        "d 0755 1:1 /d\nl 1:1 /l -> d\nf 0644 1:1 /d/[x] \"x\"",
        "00001",
        "l/[[]x]\nl",
        ".",
    ],
    [
        "f 0644 0:0 /d \"file\"\nl 0:0 /l -> gone",
        "f 0644 1:1 /a \"a\"",
        "23",
        "a\na",
        "/l",
    ],
];

/// Writes the seeds of a target into the directory that `KIGUMI_FUZZ_SEEDS` names, if it names one: before libFuzzer reads it.
pub fn plant(target: &str) {
    let Some(directory) = env::var_os("KIGUMI_FUZZ_SEEDS").map(PathBuf::from) else {
        return;
    };
    for (number, seed) in seeds(target).into_iter().enumerate() {
        fs::write(directory.join(format!("seed-{number}")), seed).expect("write a seed");
    }
}

/// The seeds of a target; none for a name that is not one.
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    match target {
        "parse" => dockerfiles(),
        "plan" => plans(),
        "word" => words(),
        "ignore" => ignore_files(),
        "copy" => COPIES
            .iter()
            .map(|parts| parts.join("\0").into_bytes())
            .collect(),
        "tar" => layers(),
        "outline" => outlines(),
        "archive" => layers().into_iter().chain(archives()).collect(),
        _ => Vec::new(),
    }
}

fn repository() -> PathBuf {
    // This file lies in `fuzz/src`, whichever crate it is compiled into.
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut above = here.ancestors();
    above
        .find(|directory| directory.join("tests/conformance/cases").is_dir())
        .unwrap_or(here)
        .to_owned()
}

fn cases() -> Vec<Value> {
    let directory = repository().join("tests/conformance/cases");
    let mut paths: Vec<PathBuf> = fs::read_dir(&directory)
        .expect("the conformance cases")
        .map(|entry| entry.expect("a case").path().join("case.json"))
        .collect();
    paths.sort();
    let case = |path: &PathBuf| {
        let text = fs::read(path).expect("a case");
        serde_json::from_slice(&text).expect("JSON")
    };
    paths.iter().map(case).collect()
}

fn dockerfiles() -> Vec<Vec<u8>> {
    let text = |case: Value| Some(case.get("dockerfile")?.as_str()?.as_bytes().to_vec());
    cases().into_iter().filter_map(text).collect()
}

fn plans() -> Vec<Vec<u8>> {
    let options = ["0000", "1000", "0100", "0010", "0001", "1111"];
    let triggers = [
        "",
        "\0COPY --from=b /a /b",
        "\0RUN --mount=type=cache,target=/c x\0ARG a=1",
    ];
    dockerfiles()
        .into_iter()
        .enumerate()
        .map(|(number, text)| {
            let option = options.get(number % options.len()).unwrap_or(&"");
            let trigger = triggers.get(number % triggers.len()).unwrap_or(&"");
            [option.as_bytes(), b"\0", &text, trigger.as_bytes()].concat()
        })
        .collect()
}

fn words() -> Vec<Vec<u8>> {
    let table = fs::read_to_string(repository().join("crates/dockerfile/src/word/expand.table"));
    let table = table.expect("the table of words");
    let inputs = table.lines().filter_map(|line| line.split_once(" |"));
    inputs
        .map(|(input, _)| {
            let input = input.replace('·', " ").replace('⏎', "\n");
            [b"0\0a*b?c/d}e\0x y\0", input.as_bytes()].concat()
        })
        .collect()
}

fn ignore_files() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for case in cases() {
        let files = case.get("files").and_then(Value::as_array).cloned();
        let files = files.unwrap_or_default();
        let text = |file: &Value, name: &str| Some(file.get(name)?.as_str()?.to_owned());
        let is_ignore =
            |file: &&Value| text(file, "path").is_some_and(|path| path.ends_with(".dockerignore"));
        for ignore in files.iter().filter(is_ignore) {
            for file in &files {
                let (Some(content), Some(path)) = (text(ignore, "content"), text(file, "path"))
                else {
                    continue;
                };
                seeds.push(format!("{content}\0{path}").into_bytes());
            }
        }
    }
    seeds
}

fn encoded(changes: &[Change]) -> Vec<u8> {
    let mut encoder = LayerEncoder::new(Vec::new()).expect_changes(changes);
    for change in changes {
        let content: &[u8] = match change.file().map(|file| &file.origin) {
            Some(kigumi_layer::Origin::Inline(bytes)) => bytes,
            _ => &[],
        };
        let _ = encoder.entry(change, &mut &*content);
    }
    encoder.finish().expect("writing to memory")
}

fn layers() -> Vec<Vec<u8>> {
    let trees = TREES
        .iter()
        .filter_map(|text| notation::parse_changes(text).ok());
    let mut layers: Vec<_> = trees.map(|changes| encoded(&changes)).collect();
    let whole: Vec<_> = COPIES
        .iter()
        .filter_map(|[_, source, ..]| notation::parse_tree(source).ok())
        .map(|tree| encoded(&diff(&kigumi_layer::Tree::new(), &tree)))
        .collect();
    layers.extend(whole);
    layers
}

/// As they are stored, and unpacked: behind the checksum there is more to be found.
fn outlines() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    let users = "f 0644 0:0 /etc/passwd \"root:x:0:0::/:/bin/sh\"\nf 0644 0:0 /etc/group \"\"";
    let changes = TREES.iter().chain([&users]);
    let changes = changes.filter_map(|text| notation::parse_changes(text).ok());
    for layer in changes.map(|changes| encoded(&changes)) {
        let stored = outlined(&layer);
        let mut plain = Vec::new();
        let stream = kigumi_layer::decompress(stored.as_slice()).expect("an outline");
        let read = { stream }.read_to_end(&mut plain);
        read.expect("an outline");
        seeds.extend([stored, plain]);
    }
    seeds
}

fn outlined(layer: &[u8]) -> Vec<u8> {
    let mut reader = LayerReader::new(layer, Dialect::Layer, 0);
    let mut writer = OutlineWriter::new(Vec::new()).expect("writing to memory");
    while let Ok(Some(mut entry)) = reader.next_entry() {
        let mut kept = Vec::new();
        let keeps = keeps_content(&entry.change);
        if let (true, Some(content)) = (keeps, &mut entry.content) {
            content.read_to_end(&mut kept).expect("a layer in memory");
        }
        let put = writer.put(&entry.change, keeps.then_some(kept.as_slice()));
        put.expect("writing to memory");
    }
    let (stored, _) = writer.finish().expect("writing to memory");
    stored
}

fn archives() -> Vec<Vec<u8>> {
    // What `gzip` would do, without a crate for it: stored blocks.
    let stored = |data: &[u8]| {
        let mut gzip = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1];
        let length = u16::try_from(data.len()).unwrap_or(u16::MAX);
        let _ = gzip.write_all(&length.to_le_bytes());
        let _ = gzip.write_all(&(!length).to_le_bytes());
        gzip.extend(data.iter().take(length.into()));
        gzip
    };
    layers().iter().map(|layer| stored(layer)).collect()
}
