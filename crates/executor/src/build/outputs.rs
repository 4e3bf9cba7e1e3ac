//! The small files that tell what was built.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use kigumi_oci::{Digest, Reference};

use crate::cli::Outputs;
use crate::error::BuildError;
use crate::report::{BuildEvent, Events};

/// Writes the digest files (K-OUT-01 to K-OUT-05).
pub(crate) fn write_digests(
    outputs: &Outputs,
    destinations: &[Reference],
    digest: Digest,
    events: &Events,
) -> Result<(), BuildError> {
    for (what, path, text) in digest_files(outputs, destinations, digest) {
        write(path, &text).map_err(|source| BuildError::Output {
            what,
            path: path.to_owned(),
            source,
        })?;
        events.emit(BuildEvent::Written {
            what,
            path: path.to_owned(),
        });
    }
    Ok(())
}

/// What is to be written where.
fn digest_files<'a>(
    outputs: &'a Outputs,
    destinations: &[Reference],
    digest: Digest,
) -> Vec<(&'static str, &'a Path, String)> {
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
        .filter_map(|(what, path, text)| path.as_deref().map(|path| (what, path, text)))
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
            digest: Some("/d".into()),
            ..Outputs::default()
        };
        assert_eq!(files(&outputs), ["DIGEST"]);
    }

    #[test]
    fn names_have_a_line_each_and_tags_where_asked_k_out_04_k_out_05() {
        let plain = Outputs {
            image_name_with_digest: Some("/n".into()),
            ..Outputs::default()
        };
        assert_eq!(files(&plain), ["r.test/a/b@DIGEST\nr.test/c@DIGEST\n"]);
        let both = Outputs {
            image_name_tag_with_digest: Some("/t".into()),
            ..plain
        };
        let tagged = "r.test/a/b:1@DIGEST\nr.test/c:latest@DIGEST\n";
        assert_eq!(files(&both), [tagged, tagged]);
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
