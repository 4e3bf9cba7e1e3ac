//! Where the build context and the Dockerfile are, as far as that is a matter of names.

use std::path::{Path, PathBuf};

use kigumi_layer::ImagePath;
use url::Url;

use crate::git::GitReference;
use crate::{Error, subdirectory};

/// A build context as it is given on the command line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Location {
    /// Where it is.
    pub place: Place,
    /// What of it is meant: `--context-sub-path`, which applies to contexts with a prefix only.
    pub sub_path: ImagePath,
}

/// Where a build context is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// A directory of the host.
    Directory(PathBuf),
    /// An archive on the host.
    Archive(PathBuf),
    /// An archive that comes in through standard input.
    Stdin,
    /// A git repository: a URL, perhaps with a fragment.
    Git(String),
    /// An archive of the web.
    Web(String),
    /// An archive in an S3 bucket.
    S3(ObjectName),
    /// An archive in a bucket of Google Cloud Storage.
    Gcs(ObjectName),
    /// An archive in Azure Blob Storage.
    Azure(String),
}

/// An object of a store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ObjectName {
    /// The bucket.
    pub bucket: String,
    /// Its name there.
    pub key: String,
}

/// What a bucket's archive is called where only the bucket is named. COMPAT(kaniko)
const CONTEXT_TAR: &str = "context.tar.gz";

/// Hosts of Azure Blob Storage, behind the name of the account.
const AZURE_HOSTS: [&str; 4] = [
    ".blob.core.windows.net",
    ".blob.core.chinacloudapi.cn",
    ".blob.core.usgovcloudapi.net",
    ".blob.core.cloudapi.de",
];

impl Location {
    /// Reads `--context` and `--context-sub-path`. `working_directory` is the one the executor was started in; relative paths are meant
    /// there (K-CLI-10).
    ///
    /// # Errors
    /// [`Error::UnsupportedContext`] names a prefix that nobody knows; [`Error::NoContext`] for the empty string, [`Error::Nameless`] for a
    /// prefix alone, [`Error::SubPath`] for one that leads outside.
    pub fn parse(context: &str, sub_path: &str, working_directory: &Path) -> Result<Self, Error> {
        if context.is_empty() {
            return Err(Error::NoContext);
        }
        let Some((scheme, rest)) = context.split_once("://") else {
            return Ok(Self {
                place: Place::Directory(working_directory.join(context)),
                sub_path: ImagePath::root(),
            });
        };
        let path = |scheme, expected| match rest {
            "" => Err(Error::Nameless { scheme, expected }),
            rest => Ok(working_directory.join(rest)),
        };
        let place = match scheme {
            "dir" => Place::Directory(working_directory.join(rest)),
            "tar" if rest == "stdin" => Place::Stdin,
            "tar" => Place::Archive(path("tar://", "a file, or tar://stdin")?),
            "git" => Place::Git(context.to_owned()),
            "https" if is_azure(context) => Place::Azure(context.to_owned()),
            "http" | "https" if GitReference::parse(context).is_ok() => {
                Place::Git(context.to_owned())
            }
            "http" | "https" => Place::Web(context.to_owned()),
            "s3" => Place::S3(object("s3://", rest)?),
            "gs" => Place::Gcs(object("gs://", rest)?),
            _ => {
                return Err(Error::UnsupportedContext {
                    scheme: format!("{scheme}://"),
                });
            }
        };
        let sub_path = subdirectory::clean(sub_path).map_err(|reason| Error::SubPath {
            written: sub_path.to_owned(),
            reason,
        })?;
        Ok(Self { place, sub_path })
    }

    /// The directory of the host that is the context, if one is.
    pub fn directory(&self) -> Option<PathBuf> {
        use std::os::unix::ffi::OsStrExt as _;
        match &self.place {
            Place::Directory(path) if self.sub_path.is_root() => Some(path.clone()),
            Place::Directory(path) => {
                let below = std::ffi::OsStr::from_bytes(self.sub_path.as_relative());
                Some(path.join(below))
            }
            Place::Archive(_)
            | Place::Stdin
            | Place::Git(_)
            | Place::Web(_)
            | Place::S3(_)
            | Place::Gcs(_)
            | Place::Azure(_) => None,
        }
    }

    /// The file or directory of the host that is read for it.
    pub fn path(&self) -> Option<PathBuf> {
        match &self.place {
            Place::Archive(path) => Some(path.clone()),
            Place::Directory(_)
            | Place::Stdin
            | Place::Git(_)
            | Place::Web(_)
            | Place::S3(_)
            | Place::Gcs(_)
            | Place::Azure(_) => self.directory(),
        }
    }
}

/// `BUCKET[/KEY]`
fn object(scheme: &'static str, rest: &str) -> Result<ObjectName, Error> {
    let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.is_empty() {
        return Err(Error::Nameless {
            scheme,
            expected: "a bucket and the name of the archive in it",
        });
    }
    let key = if key.is_empty() { CONTEXT_TAR } else { key };
    Ok(ObjectName {
        bucket: bucket.to_owned(),
        key: key.to_owned(),
    })
}

/// Whether a URL is one of Azure Blob Storage. A host that only looks like one gets no credential.
fn is_azure(text: &str) -> bool {
    let url = Url::parse(text).ok();
    let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
    AZURE_HOSTS.iter().any(|suffix| {
        host.strip_suffix(suffix)
            .is_some_and(|account| !account.is_empty() && !account.contains('.'))
    })
}

/// Where a Dockerfile may be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DockerfilePlace {
    /// A file of the host.
    Disk(PathBuf),
    /// A file of a build context that is no directory of the host.
    Context(ImagePath),
    /// A file of the web.
    Web(String),
}

impl DockerfilePlace {
    /// The file of the host.
    pub fn disk(&self) -> Option<&Path> {
        match self {
            Self::Disk(path) => Some(path),
            Self::Context(_) | Self::Web(_) => None,
        }
    }
}

impl std::fmt::Display for DockerfilePlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Disk(path) => path.display().fmt(f),
            Self::Context(path) => write!(
                f,
                "{} of the context",
                String::from_utf8_lossy(path.as_relative())
            ),
            Self::Web(url) => f.write_str(url),
        }
    }
}

/// Where kaniko unpacks a build context that is no directory. COMPAT(kaniko): a Dockerfile may be named there.
const BUILD_CONTEXT: &str = "/kaniko/buildcontext";

/// The places where the Dockerfile may be, best first (K-CLI-11): as given below the working directory, then below the context. Next to each
/// the lower-case name, where the given one is `Dockerfile` (dockerfile.md § 7, name fallback). A URL is the only place.
pub fn dockerfile_candidates(
    dockerfile: &str,
    working_directory: &Path,
    context: &Location,
) -> Vec<DockerfilePlace> {
    if dockerfile.starts_with("https://") || dockerfile.starts_with("http://") {
        return vec![DockerfilePlace::Web(dockerfile.to_owned())];
    }
    let dockerfile = Path::new(dockerfile);
    let lower_case = (dockerfile.file_name() == Some("Dockerfile".as_ref()))
        .then(|| dockerfile.with_file_name("dockerfile"));
    let mut candidates = Vec::new();
    for name in [Some(dockerfile.to_owned()), lower_case]
        .into_iter()
        .flatten()
    {
        let below = match context.directory() {
            Some(directory) => Some(DockerfilePlace::Disk(directory.join(&name))),
            None => inside(&name).map(DockerfilePlace::Context),
        };
        let given = DockerfilePlace::Disk(working_directory.join(&name));
        for candidate in [Some(given), below].into_iter().flatten() {
            if !candidates.contains(&candidate) {
                candidates.push(candidate);
            }
        }
    }
    candidates
}

fn inside(name: &Path) -> Option<ImagePath> {
    let name = name.strip_prefix(BUILD_CONTEXT).unwrap_or(name);
    // What leads out of the context is not in it.
    ImagePath::parse(name.as_os_str().as_encoded_bytes()).ok()
}

/// The places where the ignore file of the main context may be, best first (K-CLI-12): next to the Dockerfile under its name, then in the
/// context.
pub fn ignore_file_candidates(dockerfile: Option<&Path>, context: Option<&Path>) -> Vec<PathBuf> {
    let own = dockerfile.map(|dockerfile| {
        let mut own = dockerfile.as_os_str().to_owned();
        own.push(".dockerignore");
        PathBuf::from(own)
    });
    let general = context.map(|context| context.join(".dockerignore"));
    own.into_iter().chain(general).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(context: &str, sub_path: &str) -> Result<Location, Error> {
        Location::parse(context, sub_path, Path::new("/start"))
    }

    #[test]
    fn a_context_is_a_directory_with_or_without_its_prefix() {
        let cases = [
            ("/workspace", "", "/workspace"),
            ("dir:///workspace", "", "/workspace"),
            (".", "", "/start/."),
            ("app", "", "/start/app"),
            ("dir://app", "", "/start/app"),
            ("dir:///w", "services/a", "/w/services/a"),
            ("dir:///w", "/services/a", "/w/services/a"),
            ("/w", "services/a", "/w"),
        ];
        for (context, sub_path, expected) in cases {
            let location = parse(context, sub_path).unwrap();
            assert_eq!(location.directory(), Some(expected.into()), "{context}");
        }
    }

    // K-CTX-01
    #[test]
    fn a_prefix_says_of_which_kind_a_context_is() {
        let name = |bucket: &str, key: &str| ObjectName {
            bucket: bucket.into(),
            key: key.into(),
        };
        let git = |text: &str| Place::Git(text.into());
        let web = |text: &str| Place::Web(text.into());
        let azure = "https://a1.blob.core.windows.net/c/b.tar.gz";
        let cases = [
            ("tar://c.tar.gz", Place::Archive("/start/c.tar.gz".into())),
            ("tar:///c.tar", Place::Archive("/c.tar".into())),
            ("tar://stdin", Place::Stdin),
            ("git://h/r#main", git("git://h/r#main")),
            ("https://h/r.git", git("https://h/r.git")),
            ("https://h/c.tar.gz", web("https://h/c.tar.gz")),
            ("http://h/c.tar.zst?x=y", web("http://h/c.tar.zst?x=y")),
            ("s3://b/k/c.tar.gz", Place::S3(name("b", "k/c.tar.gz"))),
            ("s3://b", Place::S3(name("b", "context.tar.gz"))),
            ("gs://b/", Place::Gcs(name("b", "context.tar.gz"))),
            (azure, Place::Azure(azure.into())),
        ];
        for (context, place) in cases {
            assert_eq!(parse(context, "").unwrap().place, place, "{context}");
        }
    }

    // K-AUTH-04
    #[test]
    fn a_host_that_looks_like_azure_is_any_other_host() {
        for context in [
            "https://blob.core.windows.net/c/b",
            "https://a.blob.core.windows.net.evil.test/c/b",
            "https://a.b.blob.core.windows.net/c/b",
            "https://evil.test/a.blob.core.windows.net/b",
            "http://a.blob.core.windows.net/c/b",
        ] {
            let place = parse(context, "").unwrap().place;
            assert_eq!(place, Place::Web(context.into()), "{context}");
        }
    }

    #[test]
    fn what_names_no_context_is_said_with_its_name() {
        for (context, sub_path, expected) in [
            ("oci://x/y", "", "`oci://` are not supported"),
            ("Dir://x", "", "`Dir://` are not supported"),
            ("", "", "no build context"),
            ("tar://", "", "`tar://` is followed by nothing"),
            ("s3://", "", "`s3://` is followed by nothing"),
            ("gs:///k", "", "`gs://` is followed by nothing"),
            ("dir:///w", "../x", "--context-sub-path `../x`"),
            ("s3://b/k", "a/../../x", "leads outside"),
        ] {
            let error = parse(context, sub_path).unwrap_err().to_string();
            assert!(error.contains(expected), "{context}: {error}");
        }
    }

    fn candidates(dockerfile: &str, context: &str) -> Vec<String> {
        let context = parse(context, "").unwrap();
        let found = dockerfile_candidates(dockerfile, "/start".as_ref(), &context);
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_dockerfile_is_looked_for_below_the_working_directory_and_then_in_the_context_k_cli_11() {
        assert_eq!(
            candidates("a/build.df", "/context"),
            ["/start/a/build.df", "/context/a/build.df"]
        );
        assert_eq!(candidates("/abs/build.df", "/context"), ["/abs/build.df"]);
        assert_eq!(
            candidates("a/Dockerfile", "/context"),
            [
                "/start/a/Dockerfile",
                "/context/a/Dockerfile",
                "/start/a/dockerfile",
                "/context/a/dockerfile"
            ]
        );
        assert_eq!(
            candidates("https://h/Dockerfile", "/context"),
            ["https://h/Dockerfile"]
        );
    }

    #[test]
    fn of_a_context_that_is_fetched_the_dockerfile_is_a_file_of_it_k_cli_11() {
        assert_eq!(
            candidates("a/build.df", "s3://b"),
            ["/start/a/build.df", "a/build.df of the context"]
        );
        assert_eq!(
            candidates("/kaniko/buildcontext/a.df", "s3://b"),
            ["/kaniko/buildcontext/a.df", "a.df of the context"]
        );
        assert_eq!(candidates("../a.df", "s3://b"), ["/start/../a.df"]);
    }

    #[test]
    fn the_ignore_file_of_a_dockerfile_wins_over_the_contexts_t_ign_01() {
        let own = PathBuf::from("/d/App.Dockerfile.dockerignore");
        let general = PathBuf::from("/context/.dockerignore");
        let (dockerfile, context) = (Path::new("/d/App.Dockerfile"), Path::new("/context"));
        assert_eq!(
            ignore_file_candidates(Some(dockerfile), Some(context)),
            [own, general.clone()]
        );
        assert_eq!(ignore_file_candidates(None, Some(context)), [general]);
    }
}
