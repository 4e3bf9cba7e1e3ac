//! `--sandbox`: on a workstation the executor makes itself a private root and does there what it does in a pod.
//!
//! The command line goes inside as it is, with the paths of the host replaced by the places where they are mounted; of a flag given twice the last one
//! counts.

use std::ffi::OsString;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use kigumi_context::DockerfilePlace;
use kigumi_run::sandbox::{self, Bind, SandboxSpec};
use tempfile::NamedTempFile;

use crate::cli::{BaseCacheSettings, Config, Environment, Place, SecretSource};
use crate::credentials::credential_files;
use crate::error::BuildError;

/// Where the context is inside.
const CONTEXT: &str = "/workspace";
/// Where an archive is inside that is the context.
const ARCHIVE: &str = "/kaniko/context.tar";
/// Where credentials are inside.
const CREDENTIALS: &str = "/kaniko/.docker";
/// Where caches of mounts are inside.
const CACHE_MOUNTS: &str = "/kaniko/cache-mounts";
/// Where the directory for the list of images is inside.
const BUILDER_OUTPUT: &str = "/kaniko/output/builder";
const HOSTS: &str = "/etc/hosts";

/// Runs the build inside and gives its exit code.
pub(crate) fn enter(config: &Config, environment: &Environment) -> Result<u8, BuildError> {
    let mut spec = spec(
        config,
        environment,
        std::env::args_os().collect(),
        std::env::temp_dir(),
    );
    // Dropped, and so removed, when everything inside is gone.
    let hosts = hosts(config).map_err(|source| BuildError::Machine {
        operation: "copy /etc/hosts for the sandbox",
        source,
    })?;
    spec.binds.extend(hosts.as_ref().map(|copy| Bind {
        host: copy.path().to_owned(),
        inside: HOSTS.into(),
        writable: true,
    }));
    sandbox::enter(&spec, remove).map_err(|source| BuildError::Supervise {
        operation: "build in a sandbox",
        source,
    })
}

/// Inside, `--add-host` writes to the hosts file, which must not be this machine's own.
fn hosts(config: &Config) -> io::Result<Option<NamedTempFile>> {
    if config.run.hosts.is_empty() {
        return Ok(None);
    }
    let copy = tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o644))
        .tempfile()?;
    std::fs::copy(HOSTS, copy.path())?;
    Ok(Some(copy))
}

/// Empties the sandbox's root when everything inside is gone.
fn remove(root: &Path) -> io::Result<()> {
    kigumi_rootfs::remove_sandbox(root).map_err(io::Error::other)
}

fn spec(
    config: &Config,
    environment: &Environment,
    mut argv: Vec<OsString>,
    temporary: PathBuf,
) -> SandboxSpec {
    let mut binds = Vec::new();
    argv.push("--sandbox=false".into());
    argv.extend(context(config, &mut binds));
    argv.push("--kaniko-dir=/kaniko".into());
    let dockerfile = dockerfile(config, &mut binds);
    argv.extend(dockerfile.map(|path| flag("--dockerfile", &path)));
    argv.extend(outputs(config, &mut binds));
    argv.extend(contexts(config, &mut binds));
    argv.extend(grants(config, &mut binds));
    if let Some(directory) = &config.cache_mount_dir {
        argv.push(flag("--cache-mount-dir", Path::new(CACHE_MOUNTS)));
        if config.mount_cache.is_none() {
            // It may name the directory, too.
            argv.push("--cache-mounts=".into());
        }
        binds.push(Bind {
            host: directory.clone(),
            inside: CACHE_MOUNTS.into(),
            writable: true,
        });
    }
    for (_, file) in &config.registry.certificates {
        binds.push(readable(file, file));
    }
    for cache in config.cache.iter().chain(&config.mount_cache) {
        binds.extend(cache.key_files().map(|file| readable(file, file)));
        binds.extend(cache.directories().map(|directory| Bind {
            host: directory.to_owned(),
            inside: directory.to_owned(),
            writable: true,
        }));
    }
    let bases = config
        .base_cache
        .iter()
        .filter_map(BaseCacheSettings::named);
    binds.extend(
        bases
            .filter(|path| path.is_dir())
            .map(|path| readable(path, path)),
    );
    let mut env: Vec<(OsString, OsString)> = environment
        .variables
        .iter()
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    if let Some(file) = credential_files(environment)
        .iter()
        .find(|file| file.is_file())
    {
        env.retain(|(name, _)| name != "DOCKER_CONFIG");
        binds.push(readable(file, Path::new(CREDENTIALS).join("config.json")));
        env.push(("DOCKER_CONFIG".into(), CREDENTIALS.into()));
    }
    for name in ["SSL_CERT_FILE", "SSL_CERT_DIR"] {
        let path = environment.variables.get(name).map(PathBuf::from);
        binds.extend(
            path.filter(|path| path.exists())
                .map(|path| readable(&path, &path)),
        );
    }
    if let Some(directory) = config.outputs.builder.as_deref().and_then(Path::parent) {
        env.retain(|(name, _)| name != "BUILDER_OUTPUT");
        env.push(("BUILDER_OUTPUT".into(), BUILDER_OUTPUT.into()));
        binds.push(Bind {
            host: directory.to_owned(),
            inside: BUILDER_OUTPUT.into(),
            writable: true,
        });
    }
    SandboxSpec {
        executor: "/proc/self/exe".into(),
        argv,
        env,
        binds,
        directory: temporary,
    }
}

fn readable(host: impl AsRef<Path>, inside: impl AsRef<Path>) -> Bind {
    Bind {
        host: host.as_ref().to_owned(),
        inside: inside.as_ref().to_owned(),
        writable: false,
    }
}

fn flag(name: &str, path: &Path) -> OsString {
    let mut word = OsString::from(name);
    word.push("=");
    word.push(path);
    word
}

/// What is of this machine of the context; the rest is fetched from inside.
fn context(config: &Config, binds: &mut Vec<Bind>) -> Vec<OsString> {
    if let Some(directory) = config.context.directory() {
        binds.push(readable(directory, CONTEXT));
        // With the bucket that may have named it.
        let flags = [
            &format!("--context={CONTEXT}"),
            "--context-sub-path=",
            "--bucket=",
        ];
        return flags.map(OsString::from).into();
    }
    match config.context.path() {
        Some(archive) => {
            binds.push(readable(archive, ARCHIVE));
            vec![
                format!("--context=tar://{ARCHIVE}").into(),
                "--bucket=".into(),
            ]
        }
        None => Vec::new(),
    }
}

/// The Dockerfile's path inside: below the context, or beside it with its own ignore file. None for one that is not of this machine.
fn dockerfile(config: &Config, binds: &mut Vec<Bind>) -> Option<PathBuf> {
    let mut places = config.dockerfile.iter().filter_map(DockerfilePlace::disk);
    let found = places.clone().find(|path| path.is_file());
    let directory = config.context.directory();
    let found = found.or_else(|| places.next().filter(|_| directory.is_some()))?;
    let below = directory.and_then(|directory| found.strip_prefix(directory).ok());
    if let Some(below) = below {
        return Some(Path::new(CONTEXT).join(below));
    }
    let name = found.file_name().unwrap_or_default();
    let inside = Path::new("/kaniko/dockerfile").join(name);
    binds.push(readable(found, &inside));
    let ignore = |path: &Path| {
        let mut name = path.as_os_str().to_owned();
        name.push(".dockerignore");
        PathBuf::from(name)
    };
    if ignore(found).is_file() {
        binds.push(readable(ignore(found), ignore(&inside)));
    }
    Some(inside)
}

/// The directories of output files, writable inside, and the flags that name the files there.
fn outputs(config: &Config, binds: &mut Vec<Bind>) -> Vec<OsString> {
    let outputs = &config.outputs;
    let file = |place: &'_ Option<Place>| match place {
        Some(Place::File(path)) => Some(path.clone()),
        Some(Place::Url(_)) | None => None,
    };
    let files = [
        ("--tar-path", outputs.tar.clone()),
        ("--oci-layout-path", outputs.oci_layout.clone()),
        ("--digest-file", file(&outputs.digest)),
        (
            "--image-name-with-digest-file",
            file(&outputs.image_name_with_digest),
        ),
        (
            "--image-name-tag-with-digest-file",
            file(&outputs.image_name_tag_with_digest),
        ),
    ];
    let mut flags = Vec::new();
    for (number, (name, path)) in files.into_iter().enumerate() {
        let Some(path) = path else { continue };
        let (Some(parent), Some(file)) = (path.parent(), path.file_name()) else {
            continue;
        };
        let inside = PathBuf::from(format!("/kaniko/output/{number}"));
        flags.push(flag(name, &inside.join(file)));
        binds.push(Bind {
            host: parent.to_owned(),
            inside,
            writable: true,
        });
    }
    flags
}

/// The directories of named contexts, and the flags that name them there: of two with one name the later counts.
fn contexts(config: &Config, binds: &mut Vec<Bind>) -> Vec<OsString> {
    let mut flags = Vec::new();
    for flag in &config.contexts {
        let inside = PathBuf::from(format!("/kaniko/contexts/{}", binds.len()));
        if let (Some(path), Some(text)) = (flag.path(), flag.moved_to(&inside)) {
            binds.push(readable(path, &inside));
            flags.push(format!("--build-context={text}").into());
        }
    }
    flags
}

/// The files of secrets and agents, and the flags that name them there: of two with one id the later counts.
fn grants(config: &Config, binds: &mut Vec<Bind>) -> Vec<OsString> {
    let mut inside = |path: &Path| {
        let inside = PathBuf::from(format!("/kaniko/grants/{}", binds.len()));
        binds.push(readable(path, &inside));
        inside
    };
    let mut flags = Vec::new();
    for secret in &config.secrets {
        if let SecretSource::File(path) = &secret.source {
            let place = inside(path);
            // CSV: a quote is written twice.
            let id = secret.id.replace('"', "\"\"");
            flags.push(format!("--secret=\"id={id}\",src={}", place.display()).into());
        }
    }
    for agent in &config.ssh {
        let places: Vec<String> = agent
            .paths
            .iter()
            .map(|path| inside(path).display().to_string())
            .collect();
        flags.push(format!("--ssh={}={}", agent.id, places.join(",")).into());
    }
    flags
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::parse;

    fn spec_of(words: &[&str]) -> SandboxSpec {
        let environment = Environment {
            working_directory: "/home/me".into(),
            executable: "/bin/executor".into(),
            ..Environment::default()
        };
        let args = parse(std::iter::once("executor").chain(words.iter().copied())).unwrap();
        let config = Config::new(&args.build, &environment).unwrap();
        let argv = std::iter::once("executor")
            .chain(words.iter().copied())
            .map(OsString::from)
            .collect();
        spec(&config, &environment, argv, "/tmp".into())
    }

    #[test]
    fn inside_the_same_flags_name_the_places_inside() {
        let spec = spec_of(&[
            "--sandbox",
            "-c",
            "src",
            "--no-push",
            "--tar-path=out/x.tar",
            "--build-arg=A=1",
        ]);
        let inner =
            Config::new(&parse(&spec.argv).unwrap().build, &Environment::default()).unwrap();
        assert!(!inner.sandbox);
        assert_eq!(inner.context.directory(), Some("/workspace".into()));
        assert_eq!(inner.build_args, [("A".to_owned(), "1".to_owned())]);
        let tar = inner.outputs.tar.unwrap();
        let bind = spec
            .binds
            .iter()
            .find(|bind| tar.starts_with(&bind.inside))
            .unwrap();
        assert_eq!(
            (bind.host.as_path(), bind.writable),
            (Path::new("/home/me/out"), true)
        );
    }

    #[test]
    fn secrets_and_agents_are_mounted_where_the_flags_inside_name_them() {
        let spec = spec_of(&[
            "--sandbox",
            "--no-push",
            "--secret=\"id=a\"\",b\",src=s",
            "--ssh=git=/k,l",
        ]);
        let inner =
            Config::new(&parse(&spec.argv).unwrap().build, &Environment::default()).unwrap();
        let host = |inside: &Path| {
            let mut binds = spec.binds.iter();
            let bind = binds.find(|bind| bind.inside == inside).unwrap();
            assert!(!bind.writable);
            bind.host.clone()
        };
        let secret = inner.secrets.last().unwrap();
        assert_eq!(secret.id, "a\",b");
        let SecretSource::File(file) = &secret.source else {
            panic!("{secret:?}")
        };
        assert_eq!(host(file), Path::new("/home/me/s"));
        let agent = inner.ssh.last().unwrap();
        let hosts: Vec<PathBuf> = agent.paths.iter().map(|path| host(path)).collect();
        assert_eq!(hosts, [PathBuf::from("/k"), "/home/me/l".into()]);
    }

    #[test]
    fn the_context_cannot_be_written_from_inside() {
        let spec = spec_of(&["--sandbox", "--no-push"]);
        assert!(
            spec.binds
                .iter()
                .all(|bind| bind.inside != Path::new(CONTEXT) || !bind.writable)
        );
    }
}
