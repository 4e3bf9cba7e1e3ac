//! Files that a build leaves behind: where they go.

use std::path::{Path, PathBuf};

use super::{BuildFlags, ConfigError, Environment};

/// The variable of Cloud Build: its directory gets a file `images` (K-OUT-09).
const BUILDER_OUTPUT: &str = "BUILDER_OUTPUT";

/// Files that a build leaves behind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outputs {
    /// docker-save archive.
    pub tar: Option<PathBuf>,
    /// OCI image layout.
    pub oci_layout: Option<PathBuf>,
    /// `sha256:…` without newline.
    pub digest: Option<Place>,
    /// `repository@sha256:…`, a line each.
    pub image_name_with_digest: Option<Place>,
    /// `repository:tag@sha256:…`, a line each.
    pub image_name_tag_with_digest: Option<Place>,
    /// A JSON object with name and digest for every image that was pushed, a line each.
    pub builder: Option<PathBuf>,
}

/// Where a small text goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Into a file.
    File(PathBuf),
    /// To a server, by HTTP PUT (K-OUT-02). The URL may hold a signature.
    Url(String),
}

impl Outputs {
    /// What the flags and the environment say.
    pub(super) fn new(
        flags: &BuildFlags,
        environment: &Environment,
        absolute: &impl Fn(&Path) -> PathBuf,
    ) -> Result<Self, ConfigError> {
        let nameless = flags.destination.is_empty();
        let path = |flag: &'static str, text: &str| match place(flag, text, absolute)? {
            None => Ok(None),
            Some(Place::File(path)) => Ok(Some(path)),
            Some(Place::Url(_)) => Err(ConfigError::OutputUrl {
                flag,
                text: text.to_owned(),
            }),
        };
        let named = |flag: &'static str, text: &str| match place(flag, text, absolute)? {
            Some(_) if nameless => Err(ConfigError::NameWithoutDestination { flag }),
            other => Ok(other),
        };
        let builder = environment.variables.get(BUILDER_OUTPUT);
        let builder = builder.filter(|text| !text.is_empty());
        Ok(Self {
            tar: path("--tar-path", &flags.tar_path)?,
            oci_layout: path("--oci-layout-path", &flags.oci_layout_path)?,
            digest: place("--digest-file", &flags.digest_file, absolute)?,
            image_name_with_digest: named(
                "--image-name-with-digest-file",
                &flags.image_name_with_digest_file,
            )?,
            image_name_tag_with_digest: named(
                "--image-name-tag-with-digest-file",
                &flags.image_name_tag_with_digest_file,
            )?,
            builder: builder.map(|text| absolute(Path::new(text)).join("images")),
        })
    }

    /// Every file or directory that will be written.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        let places = [
            &self.digest,
            &self.image_name_with_digest,
            &self.image_name_tag_with_digest,
        ];
        let files = places.into_iter().filter_map(|place| match place {
            Some(Place::File(path)) => Some(path),
            Some(Place::Url(_)) | None => None,
        });
        let paths = [&self.tar, &self.oci_layout, &self.builder];
        let paths = paths.into_iter().flatten();
        paths.chain(files).map(PathBuf::as_path)
    }

    /// The URLs that texts are sent to.
    pub fn urls(&self) -> impl Iterator<Item = &str> {
        let places = [
            &self.digest,
            &self.image_name_with_digest,
            &self.image_name_tag_with_digest,
        ];
        places.into_iter().filter_map(|place| match place {
            Some(Place::Url(url)) => Some(url.as_str()),
            Some(Place::File(_)) | None => None,
        })
    }
}

fn place(
    flag: &'static str,
    text: &str,
    absolute: &impl Fn(&Path) -> PathBuf,
) -> Result<Option<Place>, ConfigError> {
    match text {
        "" => Ok(None),
        url if url.starts_with("https://") => Ok(Some(Place::Url(url.to_owned()))),
        other if other.contains("://") => Err(ConfigError::OutputUrl {
            flag,
            text: other.to_owned(),
        }),
        path => Ok(Some(Place::File(absolute(Path::new(path))))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Config, parse};

    fn outputs(variables: &[(&str, &str)], words: &[&str]) -> Result<Outputs, ConfigError> {
        let variables = variables.iter().map(|(name, value)| (*name, *value));
        let environment = Environment::of(variables, "/workspace");
        let words = ["executor", "--no-push"].iter().chain(words);
        Config::new(&parse(words).unwrap().build, &environment).map(|config| config.outputs)
    }

    #[test]
    fn small_texts_go_to_files_or_by_https_k_out_02() {
        let found = outputs(&[], &["--digest-file=https://x.test/d?sig=1", "-d", "r/x"]).unwrap();
        assert_eq!(
            found.digest,
            Some(Place::Url("https://x.test/d?sig=1".to_owned()))
        );
        assert_eq!(found.paths().count(), 0);
        let found = outputs(&[], &["--digest-file=out/d"]).unwrap();
        assert_eq!(found.digest, Some(Place::File("/workspace/out/d".into())));
    }

    #[test]
    fn other_urls_and_images_by_url_are_refused() {
        for word in [
            "--digest-file=http://x/d",
            "--tar-path=https://x/t",
            "--digest-file=s3://b/d",
        ] {
            let error = outputs(&[], &[word]).unwrap_err().to_string();
            assert!(
                error.contains("https://") && error.contains("name a file"),
                "{error}"
            );
        }
    }

    #[test]
    fn cloud_build_gets_its_list_of_images_k_out_09() {
        let found = outputs(&[("BUILDER_OUTPUT", "/builder/outputs")], &[]).unwrap();
        assert_eq!(found.builder, Some("/builder/outputs/images".into()));
        assert_eq!(found.paths().count(), 1);
        assert_eq!(
            outputs(&[("BUILDER_OUTPUT", "")], &[]).unwrap().builder,
            None
        );
    }
}
