//! The small files that tell what was built.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kigumi_oci::{Digest, Reference};
use kigumi_registry::WebSource;

use super::Build;
use crate::cli::{Outputs, Place};
use crate::error::BuildError;
use crate::report::BuildEvent;

impl Build<'_> {
    /// Writes the digest files, or sends them (K-OUT-01 to K-OUT-05, K-OUT-09).
    pub(super) fn write_digests(&self, digest: Digest) -> Result<(), BuildError> {
        let (outputs, destinations) = (&self.config.outputs, &self.config.destinations);
        for (what, place, text) in digest_files(outputs, destinations, digest) {
            match place {
                Place::File(path) => self.write_file(what, path, &text)?,
                Place::Url(url) => self.send(what, url, &text)?,
            }
        }
        match &outputs.builder {
            Some(path) if self.config.push => {
                self.write_file("list of images", path, &builder_lines(destinations, digest))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn write_file(&self, what: &'static str, path: &Path, text: &str) -> Result<(), BuildError> {
        write(path, text).map_err(|source| BuildError::Output {
            what,
            path: path.to_owned(),
            source,
        })?;
        self.events.emit(BuildEvent::Written {
            what,
            path: path.to_owned(),
        });
        Ok(())
    }

    fn send(&self, what: &'static str, url: &str, text: &str) -> Result<(), BuildError> {
        let failed = |source| BuildError::Registry {
            operation: format!("send the {what}"),
            source: Arc::new(source),
        };
        let target = WebSource::parse(url).map_err(failed)?;
        let sent = async { self.client.put_text(&target, text).await.map_err(failed) };
        super::workshop::wait(self.runtime.handle(), self.cancel, &self.stopped, sent)?;
        self.events.emit(BuildEvent::Written {
            what,
            path: PathBuf::from(target.shown()),
        });
        Ok(())
    }
}

/// A JSON object for every image that was pushed. COMPAT(kaniko): the same members.
fn builder_lines(destinations: &[Reference], digest: Digest) -> String {
    let line = |destination: &Reference| {
        let image = serde_json::json!({"name": destination.whole(), "digest": digest.to_string()});
        format!("{image}\n")
    };
    destinations.iter().map(line).collect()
}

/// What is to be written where.
fn digest_files<'a>(
    outputs: &'a Outputs,
    destinations: &[Reference],
    digest: Digest,
) -> Vec<(&'static str, &'a Place, String)> {
    let lines = |tagged: bool| -> String {
        destinations
            .iter()
            .map(|destination| line(destination, digest, tagged))
            .collect()
    };
    // COMPAT(kaniko): with the tag file, both files have tags.
    let tagged = outputs.image_name_tag_with_digest.is_some();
    let files = [
        ("digest file", &outputs.digest, digest.to_string()),
        (
            "image name file",
            &outputs.image_name_with_digest,
            lines(tagged),
        ),
        (
            "image name file",
            &outputs.image_name_tag_with_digest,
            lines(true),
        ),
    ];
    files
        .into_iter()
        .filter_map(|(what, place, text)| place.as_ref().map(|place| (what, place, text)))
        .collect()
}

fn line(destination: &Reference, digest: Digest, tagged: bool) -> String {
    let repository = format!("{}/{}", destination.registry(), destination.repository());
    match destination.tag().filter(|_| tagged) {
        Some(tag) => format!("{repository}:{tag}@{digest}\n"),
        None => format!("{repository}@{digest}\n"),
    }
}

/// Opens and writes; never replaces, because the target may be a mount or a device (K-OUT-03). The text is small enough for one write, so
/// that nobody sees half of it.
fn write(path: &Path, text: &str) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(parent)?;
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o644)
        .open(path)?;
    file.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(outputs: &Outputs) -> Vec<String> {
        let destinations = ["r.test/a/b:1".parse().unwrap(), "r.test/c".parse().unwrap()];
        let digest = Digest::of(b"");
        digest_files(outputs, &destinations, digest)
            .into_iter()
            .map(|(_, _, text)| text.replace(&digest.to_string(), "DIGEST"))
            .collect()
    }

    #[test]
    fn the_digest_file_has_no_newline_k_out_01() {
        let outputs = Outputs {
            digest: Some(Place::File("/d".into())),
            ..Outputs::default()
        };
        assert_eq!(files(&outputs), ["DIGEST"]);
    }

    #[test]
    fn names_have_a_line_each_and_tags_where_asked_k_out_04_k_out_05() {
        let plain = Outputs {
            image_name_with_digest: Some(Place::File("/n".into())),
            ..Outputs::default()
        };
        assert_eq!(files(&plain), ["r.test/a/b@DIGEST\nr.test/c@DIGEST\n"]);
        let both = Outputs {
            image_name_tag_with_digest: Some(Place::File("/t".into())),
            ..plain
        };
        let tagged = "r.test/a/b:1@DIGEST\nr.test/c:latest@DIGEST\n";
        assert_eq!(files(&both), [tagged, tagged]);
    }

    #[test]
    fn cloud_build_gets_a_line_for_every_image_k_out_09() {
        let destinations = ["r.test/a:1".parse().unwrap(), "r.test/b".parse().unwrap()];
        let digest = Digest::of(b"");
        let lines = builder_lines(&destinations, digest).replace(&digest.to_string(), "DIGEST");
        let expected = [
            r#"{"name":"r.test/a:1","digest":"DIGEST"}"#,
            r#"{"name":"r.test/b:latest","digest":"DIGEST"}"#,
        ];
        assert_eq!(lines.lines().collect::<Vec<_>>(), expected);
    }

    /// K-OUT-01
    #[test]
    fn files_are_readable_for_all_and_new_directories_are_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        write(&directory.path().join("new/digest"), "x").unwrap();
        let mode = |name: &str| {
            let found = std::fs::metadata(directory.path().join(name)).unwrap();
            found.permissions().mode() & 0o777
        };
        // The umask of whoever runs the tests takes what is for others.
        assert_eq!((mode("new"), mode("new/digest") & 0o700), (0o700, 0o600));
    }

    #[test]
    fn missing_parents_are_made_and_existing_files_kept_in_place() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b/digest");
        write(&path, "sha256:long").unwrap();
        write(&path, "short").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "short");
    }
}
