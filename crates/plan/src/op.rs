//! What a step does: four operations for eighteen instructions.

use kigumi_dockerfile::Span;
use kigumi_dockerfile::instruction::{Device, MountSpec, Network, Security};

use crate::plan::{ImageId, StageId};

/// What executing a step means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// RUN
    Run(RunOp),
    /// COPY and ADD
    Copy(CopyOp),
    /// WORKDIR other than `/`
    MakeDir(MakeDirOp),
    /// An instruction that changes nothing but the config, which the plan already holds.
    Config,
}

impl Op {
    /// Whether the step yields a layer.
    #[must_use]
    pub fn touches_rootfs(&self) -> bool {
        match self {
            Self::Run(_) | Self::Copy(_) | Self::MakeDir(_) => true,
            Self::Config => false,
        }
    }

    /// What COPY or the mounts of a RUN take files from, in order.
    #[must_use]
    pub fn sources(&self) -> Vec<&CopySource> {
        match self {
            Self::Copy(copy) => vec![&copy.from],
            Self::Run(run) => {
                let mounts = run.mounts.iter();
                mounts.filter_map(|mount| mount.from.as_ref()).collect()
            }
            Self::MakeDir(_) | Self::Config => Vec::new(),
        }
    }

    /// Whether files of the main build context are read.
    #[must_use]
    pub fn reads_context(&self) -> bool {
        match self {
            Self::Run(run) => run
                .mounts
                .iter()
                .any(|mount| mount.from == Some(CopySource::Context)),
            Self::Copy(copy) => {
                copy.from == CopySource::Context
                    && copy
                        .sources
                        .iter()
                        .any(|source| matches!(source, Source::Path(_)))
            }
            Self::MakeDir(_) | Self::Config => false,
        }
    }

    /// Whether paths of the root file system can disappear, so that its layer may need whiteouts.
    ///
    /// True for RUN only: COPY replaces entries, which needs no whiteout.
    #[must_use]
    pub fn may_delete(&self) -> bool {
        match self {
            Self::Run(_) => true,
            Self::Copy(_) | Self::MakeDir(_) | Self::Config => false,
        }
    }
}

/// A process to run in the root file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunOp {
    /// The words to execute; a SHELL is already in front. Empty only for `RUN []`.
    pub argv: Vec<String>,
    /// PATH, ENV, ARG and proxies, in order, each name once. HOME is missing unless the image sets it: its default is
    /// in the passwd file of the root file system.
    pub env: Vec<(String, String)>,
    /// Names of those in `env` that are the builder's proxies, which neither the file nor the image declares. They are how
    /// the network is reached from here, and no part of what the step is.
    pub proxies: Vec<String>,
    /// WORKDIR, absolute and clean.
    pub cwd: String,
    /// USER as stored in the config; none is root.
    pub user: Option<String>,
    /// `--mount`, in order.
    pub mounts: Vec<RunMount>,
    /// `--network`
    pub network: Network,
    /// `--security`
    pub security: Security,
    /// `--device`, in order.
    pub devices: Vec<Device>,
    /// A file that has to exist while the process runs.
    pub script: Option<Script>,
}

/// `RUN --mount=`, its values expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunMount {
    /// What is mounted where; targets are absolute and clean, never `/`.
    pub spec: MountSpec,
    /// What `from` means; none if the type has no `from` (the default of a bind mount is the context).
    pub from: Option<CopySource>,
    /// The flag.
    pub span: Span,
}

/// The body of a lone heredoc that starts with `#!`, to be put at `/dev/pipes/<name>` with mode 0755.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// The delimiter of the heredoc.
    pub name: String,
    /// Content of the file.
    pub body: String,
}

/// COPY or ADD, expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyOp {
    /// What `Source::Path` entries are relative to.
    pub from: CopySource,
    /// The sources in the order of copying; paths first, heredocs last.
    pub sources: Vec<Source>,
    /// Absolute and clean, without a trailing slash (`/` itself excepted).
    pub destination: String,
    /// The destination was written with a trailing slash, or as `.` or nothing: it is a directory.
    pub destination_is_directory: bool,
    /// `--chown`, `user[:group]`.
    pub chown: Option<String>,
    /// `--chmod`
    pub chmod: Option<Chmod>,
    /// `--link`
    pub link: bool,
    /// `--parents`
    pub parents: bool,
    /// `--exclude`, `.dockerignore` syntax, relative to each source.
    pub exclude: Vec<String>,
    /// What happens to archives.
    pub unpack: Unpack,
    /// `--checksum`
    pub checksum: Option<String>,
    /// `--keep-git-dir`, if given.
    pub keep_git_dir: Option<bool>,
    /// USER at this point, which owns what is copied from the context if [`BuildInputs::copies_as_user`](crate::BuildInputs) says so.
    pub user: Option<String>,
}

/// Where the paths of a COPY come from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum CopySource {
    /// The main build context.
    Context,
    /// Nothing: an empty root, from `--from=scratch`.
    Scratch,
    /// The end of an earlier stage.
    Stage(StageId),
    /// An image.
    Image(ImageId),
    /// The files of a `--build-context`, by the name it was given.
    NamedContext(String),
}

/// One source of COPY or ADD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A path with wildcards; empty is the root. As written, save expansion: `/./` and `..` are still in it.
    Path(String),
    /// `http://` or `https://`, ADD only.
    Url(String),
    /// A git repository, ADD only.
    Git(String),
    /// A heredoc.
    Inline {
        /// Name of the file: the delimiter.
        name: String,
        /// The body, expanded unless the delimiter was quoted.
        content: String,
    },
}

/// A checked value of `--chmod`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chmod {
    /// At most `0o7777`; implicit directories get it as well.
    Octal(u32),
    /// BSD form, well-formed: `u=rwX,go=rX`.
    Symbolic(String),
}

/// What happens to archives among the sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unpack {
    /// COPY, and ADD with `--unpack=false`: they are files.
    Never,
    /// ADD: local ones are unpacked, downloaded ones are files.
    LocalArchives,
    /// ADD with `--unpack=true`: downloaded ones too.
    Always,
}

/// A directory to create, with its missing parents, all 0755.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MakeDirOp {
    /// Absolute and clean, never `/`.
    pub path: String,
    /// USER at this point: the owner of every directory that is created; none is root.
    pub user: Option<String>,
}
