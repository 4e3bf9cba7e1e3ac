//! The executor as a program: a context in a directory of its own, flags and variables, and what is left behind. Nothing here has a RUN, so nothing
//! needs a container.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use kigumi_layer::{Change, Dialect, LayerReader, decompress};
use serde_json::Value;
use tempfile::TempDir;

/// An invocation to be made.
pub(crate) struct Invocation {
    directory: TempDir,
    words: Vec<String>,
    variables: Vec<(String, String)>,
    name: &'static str,
}

/// What became of it.
pub(crate) struct Outcome {
    pub(crate) directory: TempDir,
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// An image in a layout.
#[derive(Debug)]
pub(crate) struct Image {
    pub(crate) digest: String,
    pub(crate) manifest: Value,
    pub(crate) config: Value,
    /// Of each layer what it holds: `path uid:gid mtime`, or `-path`.
    pub(crate) layers: Vec<Vec<String>>,
}

impl Invocation {
    /// Of these words, in an empty directory.
    pub(crate) fn of(words: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("context")).unwrap();
        let kaniko_dir = directory.path().join("kaniko").display().to_string();
        Self {
            directory,
            words: Vec::new(),
            variables: vec![("KANIKO_DIR".to_owned(), kaniko_dir)],
            name: "executor",
        }
        .args(words)
    }

    /// A build of this Dockerfile, with two files in its context.
    pub(crate) fn build(dockerfile: &str) -> Self {
        Self::of(&["--context=context"])
            .file("context/Dockerfile", dockerfile)
            .file("context/a", "a")
            .file("context/b", "b")
    }

    pub(crate) fn args(mut self, words: &[&str]) -> Self {
        self.words
            .extend(words.iter().map(|word| (*word).to_owned()));
        self
    }

    /// Starts the program by another of its names.
    pub(crate) fn called(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn file(self, path: &str, content: &str) -> Self {
        fs::write(self.path(path), content).unwrap();
        self
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    pub(crate) fn run(self) -> Outcome {
        let mut command = Command::new(env!("CARGO_BIN_EXE_executor"));
        command.arg0(self.name);
        command.args(&self.words).current_dir(self.directory.path());
        command.env_clear().envs(self.variables);
        let output = command.output().unwrap();
        Outcome {
            directory: self.directory,
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Builds into a layout and gives what is in it.
    pub(crate) fn image(self) -> Image {
        let outcome = self.args(&["--no-push", "--oci-layout-path=out"]).run();
        outcome.succeeds().image()
    }
}

impl Outcome {
    pub(crate) fn succeeds(&self) -> &Self {
        assert_eq!(self.code, 0, "{}", self.stderr);
        self
    }

    /// Fails with exit code 1, and the last line says `text`.
    pub(crate) fn fails(&self, text: &str) -> &Self {
        let last = self.last_line();
        assert!(
            self.code == 1 && last.contains(text),
            "{}: {}",
            self.code,
            self.stderr
        );
        self
    }

    pub(crate) fn last_line(&self) -> &str {
        self.stderr.lines().last().unwrap_or_default()
    }

    pub(crate) fn says(&self, text: &str) -> &Self {
        assert!(
            self.stderr.contains(text),
            "`{text}` is not in {}",
            self.stderr
        );
        self
    }

    pub(crate) fn is_silent_about(&self, text: &str) -> &Self {
        assert!(!self.stderr.contains(text), "{}", self.stderr);
        self
    }

    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.directory.path().join(path)).unwrap_or_default()
    }

    pub(crate) fn image(&self) -> Image {
        let layout = self.directory.path().join("out");
        let index = json(&layout.join("index.json"));
        let digest = text(&index["manifests"][0]["digest"]);
        let manifest = json(&blob(&layout, &digest));
        let config = json(&blob(&layout, &text(&manifest["config"]["digest"])));
        let layers = manifest["layers"].as_array().unwrap().iter();
        let layers = layers.map(|layer| entries(&blob(&layout, &text(&layer["digest"]))));
        Image {
            layers: layers.collect(),
            digest,
            manifest,
            config,
        }
    }
}

impl Image {
    /// The names in the layers.
    pub(crate) fn names(&self) -> Vec<Vec<&str>> {
        let name = |entry: &'_ String| entry.split(' ').next().map(str::len);
        let names = self.layers.iter().map(|layer| {
            let names = layer
                .iter()
                .map(|entry| &entry[..name(entry).unwrap_or_default()]);
            names.collect()
        });
        names.collect()
    }

    pub(crate) fn label(&self, name: &str) -> String {
        text(&self.config["config"]["Labels"][name])
    }

    /// Whether the history tells of as many layers as there are.
    pub(crate) fn has_consistent_history(&self) -> bool {
        let history = self.config["history"].as_array().unwrap().iter();
        let makers = history.filter(|entry| entry["empty_layer"] != Value::Bool(true));
        let diff_ids = self.config["rootfs"]["diff_ids"].as_array().map(Vec::len);
        makers.count() == self.layers.len() && diff_ids == Some(self.layers.len())
    }
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn blob(layout: &Path, digest: &str) -> PathBuf {
    layout.join("blobs").join(digest.replace(':', "/"))
}

pub(crate) fn entries(path: &Path) -> Vec<String> {
    let stream = decompress(fs::File::open(path).unwrap()).unwrap();
    let mut reader = LayerReader::new(stream, Dialect::Layer, 0);
    let mut entries = Vec::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        entries.push(match &entry.change {
            Change::Put { path, metadata, .. } => {
                let (uid, gid) = (metadata.uid, metadata.gid);
                let path = path.to_string();
                let path = path.trim_start_matches('/');
                let seconds = metadata.mtime.seconds;
                format!("{path} {uid}:{gid} {seconds}")
            }
            Change::Link { path, .. } | Change::Delete { path } | Change::ClearDir { path } => {
                format!("-{path}")
            }
        });
    }
    entries
}
