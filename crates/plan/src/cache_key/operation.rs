//! What of an operation decides its result.
//!
//! Every struct is taken apart field by field, so that a field that is added later does not compile before somebody has decided about it.

use kigumi_dockerfile::instruction::{Device, MountSpec, Network, Owner, Security, Sharing};
use kigumi_oci::Digest;

use super::{CacheKey, Framed};
use crate::op::{
    Chmod, CopyOp, CopySource, MakeDirOp, Op, RunMount, RunOp, Script, Source, Unpack,
};

/// What a source of an operation holds: what the plan does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// The digest of what is taken: paths, mode bits, link targets and bytes, but no times.
    Content(Digest),
    /// It is taken from what has this key.
    State(CacheKey),
}

/// A source of an operation, in the order in which [`instruction`] wants them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input<'a> {
    /// All paths of a COPY or ADD.
    Paths(&'a CopyOp),
    /// A URL of an ADD.
    Url(&'a CopyOp, &'a str),
    /// A git repository of an ADD.
    Git(&'a CopyOp, &'a str),
    /// The files that a mount shows, or that a new cache begins with.
    Mount(&'a RunMount, &'a CopySource),
}

impl Input<'_> {
    /// The stage that it is taken from, if it is one.
    #[must_use]
    pub fn source(&self) -> Option<&CopySource> {
        match self {
            Self::Paths(copy) => Some(&copy.from),
            Self::Mount(_, from) => Some(from),
            Self::Url(..) | Self::Git(..) => None,
        }
    }
}

/// How layers are written, and what else of the build a step sees.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// Name of the compression of new layers.
    pub compression: String,
    /// Its level.
    pub level: u32,
    /// The time that no file of a new layer exceeds, in seconds since 1970.
    pub latest: Option<i64>,
    /// Names and addresses that the builder adds to those that RUN knows.
    pub hosts: Vec<(String, String)>,
}

/// The sources of an operation whose content enters its key.
#[must_use]
pub fn inputs(op: &Op) -> Vec<Input<'_>> {
    match op {
        Op::Run(run) => {
            let from = |mount| Some(Input::Mount(mount, mount.from.as_ref()?));
            run.mounts.iter().filter_map(from).collect()
        }
        Op::Copy(copy) => {
            let has_paths = copy
                .sources
                .iter()
                .any(|one| matches!(one, Source::Path(_)));
            let elsewhere = copy.sources.iter().filter_map(|source| match source {
                Source::Url(url) => Some(Input::Url(copy, url)),
                Source::Git(reference) => Some(Input::Git(copy, reference)),
                Source::Path(_) | Source::Inline { .. } => None,
            });
            let paths = has_paths.then_some(Input::Paths(copy));
            paths.into_iter().chain(elsewhere).collect()
        }
        Op::MakeDir(_) | Op::Config => Vec::new(),
    }
}

/// The digest of an instruction with everything that it reads, save the state that it is applied to; none for one that touches no file.
///
/// `identities` are those of [`inputs`], in that order.
#[must_use]
pub fn instruction(
    op: &Op,
    identities: &[Identity],
    surroundings: &Surroundings,
) -> Option<Digest> {
    let framed = Framed::new("instruction");
    let framed = match op {
        Op::Run(op) => run(framed, op, &surroundings.hosts),
        Op::Copy(op) => copy(framed, op),
        Op::MakeDir(op) => make_dir(framed, op),
        Op::Config => return None,
    };
    let framed = framed.list(identities, |framed, identity| match identity {
        Identity::Content(digest) => framed.tag("content").digest(digest),
        Identity::State(key) => framed.tag("state").key(key),
    });
    let Surroundings {
        compression,
        level,
        latest,
        // Said of RUN only.
        hosts: _,
    } = surroundings;
    let framed = framed.tag(compression).number(u64::from(*level));
    let framed = framed.option(*latest, signed);
    Some(framed.finish().digest())
}

fn signed(framed: Framed, number: i64) -> Framed {
    framed.number(number.cast_unsigned())
}

fn text(framed: Framed, text: &str) -> Framed {
    framed.text(text)
}

fn pair(framed: Framed, (name, value): &(String, String)) -> Framed {
    framed.text(name).text(value)
}

fn run(framed: Framed, op: &RunOp, hosts: &[(String, String)]) -> Framed {
    let RunOp {
        argv,
        env,
        proxies,
        cwd,
        user,
        mounts,
        network,
        security,
        devices,
        script,
    } = op;
    // T-CACHE-08: how the network is reached from here is not what the step is.
    let env: Vec<_> = env
        .iter()
        .filter(|(name, _)| !proxies.contains(name))
        .collect();
    let framed = framed
        .tag("run")
        .list(argv, |framed, word| framed.text(word))
        .list(env, pair)
        .text(cwd)
        .option(user.as_deref(), text)
        .list(mounts, mount)
        .tag(match network {
            Network::Default => "default",
            Network::None => "none",
            Network::Host => "host",
        })
        .tag(match security {
            Security::Sandbox => "sandbox",
            Security::Insecure => "insecure",
        })
        .list(devices, |framed, Device { name, required }| {
            framed.text(name).flag(*required)
        });
    let framed = framed.option(script.as_ref(), |framed, Script { name, body }| {
        framed.text(name).text(body)
    });
    framed.list(hosts, pair)
}

fn mount(framed: Framed, mount: &RunMount) -> Framed {
    let RunMount {
        spec,
        from,
        // Where it is written changes nothing.
        span: _,
    } = mount;
    let framed = framed.option(from.as_ref(), source);
    match spec {
        MountSpec::Bind {
            // What it means is in `from`.
            from: _,
            source,
            target,
            read_only,
        } => framed
            .tag("bind")
            .text(source)
            .text(target)
            .flag(*read_only),
        MountSpec::Cache {
            id,
            target,
            read_only,
            sharing,
            from: _,
            source,
            owner: of,
        } => owner(framed.tag("cache"), of)
            .option(id.as_deref(), text)
            .text(target)
            .flag(*read_only)
            .text(source)
            .tag(match sharing {
                Sharing::Shared => "shared",
                Sharing::Private => "private",
                Sharing::Locked => "locked",
            }),
        MountSpec::Tmpfs {
            target,
            size_bytes,
            read_only,
        } => framed
            .tag("tmpfs")
            .text(target)
            .option(*size_bytes, Framed::number)
            .flag(*read_only),
        // T-CACHE-21: the name of the secret and its place, never what it is.
        MountSpec::Secret {
            id,
            target,
            env,
            required,
            owner: of,
        } => owner(framed.tag("secret"), of)
            .text(id)
            .option(target.as_deref(), text)
            .option(env.as_deref(), text)
            .flag(*required),
        MountSpec::Ssh {
            id,
            target,
            required,
            owner: of,
        } => owner(framed.tag("ssh"), of)
            .text(id)
            .option(target.as_deref(), text)
            .flag(*required),
    }
}

fn owner(framed: Framed, owner: &Owner) -> Framed {
    let Owner { mode, uid, gid } = owner;
    [mode, uid, gid].into_iter().fold(framed, |framed, number| {
        framed.option(number.map(u64::from), Framed::number)
    })
}

/// What kind of thing files are from: those of the main context lose their owners. Which stage or image it is, its identity says; its name
/// and number may change (T-CACHE-11).
fn source(framed: Framed, source: &CopySource) -> Framed {
    framed.tag(match source {
        CopySource::Context => "context",
        CopySource::Scratch => "scratch",
        CopySource::Stage(_) | CopySource::Image(_) | CopySource::NamedContext(_) => "files",
    })
}

fn copy(framed: Framed, op: &CopyOp) -> Framed {
    let CopyOp {
        from,
        sources,
        destination,
        destination_is_directory,
        chown,
        chmod,
        link,
        parents,
        exclude,
        unpack,
        checksum,
        keep_git_dir,
        // Files of the context belong to root whoever USER is.
        user: _,
    } = op;
    let framed = source(framed.tag("copy"), from).list(sources, |framed, source| match source {
        Source::Path(path) => framed.tag("path").text(path),
        Source::Url(url) => framed.tag("url").text(url),
        Source::Git(reference) => framed.tag("git").text(reference),
        Source::Inline { name, content } => framed.tag("inline").text(name).text(content),
    });
    framed
        .text(destination)
        .flag(*destination_is_directory)
        .option(chown.as_deref(), text)
        .option(chmod.as_ref(), |framed, chmod| match chmod {
            Chmod::Octal(bits) => framed.number(u64::from(*bits)),
            Chmod::Symbolic(change) => framed.text(change),
        })
        .flag(*link)
        .flag(*parents)
        .list(exclude, |framed, pattern| framed.text(pattern))
        .tag(match unpack {
            Unpack::Never => "files",
            Unpack::LocalArchives => "local archives",
            Unpack::Always => "archives",
        })
        .option(checksum.as_deref(), text)
        .option(*keep_git_dir, Framed::flag)
}

fn make_dir(framed: Framed, op: &MakeDirOp) -> Framed {
    let MakeDirOp { path, user } = op;
    // No user and an empty one are root.
    let user = user.as_deref().filter(|user| !user.is_empty());
    framed.tag("make directory").text(path).option(user, text)
}
