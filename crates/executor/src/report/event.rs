use std::path::PathBuf;
use std::time::Duration;

use kigumi_oci::Digest;

/// Something that happened in a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildEvent {
    /// The build begins.
    Started {
        /// The Dockerfile.
        dockerfile: PathBuf,
        /// `linux/amd64`; several with commas between them.
        platform: String,
    },
    /// The build context was fetched.
    ContextFetched {
        /// Where it was, without credentials.
        context: String,
        /// How many files, directories and links.
        entries: usize,
        /// Size of the files in bytes.
        bytes: u64,
        /// How long it took.
        took: Duration,
    },
    /// The build for one of several platforms begins.
    PlatformStarted {
        /// `linux/amd64`.
        platform: String,
    },
    /// A base image was found.
    BaseResolved {
        /// As the Dockerfile names it.
        reference: String,
        /// Its manifest.
        digest: Digest,
        /// How many layers it has.
        layers: usize,
        /// Size of the layers as stored, in bytes.
        bytes: u64,
    },
    /// A stage begins.
    StageStarted {
        /// Position among the stages that are built, from 1.
        number: usize,
        /// How many are built.
        of: usize,
        /// Its name.
        name: String,
        /// What it is built from.
        base: String,
    },
    /// The base of a stage lies on the root filesystem.
    Unpacked {
        /// How many layers.
        layers: usize,
        /// How many files, directories and links.
        entries: usize,
        /// How long it took.
        took: Duration,
    },
    /// What a stage did to the root filesystem was undone for the next one.
    RolledBack {
        /// How many entries were removed, made or dressed.
        changes: usize,
        /// How many files came back from their layers.
        restored: usize,
        /// How long it took.
        took: Duration,
    },
    /// An instruction begins.
    StepStarted {
        /// Which.
        step: StepPosition,
        /// The instruction as a log shows it.
        text: String,
        /// Its first line in the Dockerfile.
        line: usize,
    },
    /// A line that a RUN wrote.
    Output {
        /// Which step.
        step: StepPosition,
        /// The line without its end.
        line: String,
    },
    /// An instruction is done.
    StepFinished {
        /// Which.
        step: StepPosition,
        /// How long it took.
        took: Duration,
        /// The layer it made.
        layer: Option<LayerSummary>,
    },
    /// The layer of an instruction was in the cache, and is used as it is.
    StepCached {
        /// Which.
        step: StepPosition,
        /// The layer as stored.
        digest: Digest,
        /// Its stored size in bytes.
        size: u64,
    },
    /// A stage that nobody needs: everything that was to be taken of it is in the cache.
    StageSkipped {
        /// From 1.
        number: usize,
        /// How many there are.
        of: usize,
        /// Its name.
        name: String,
    },
    /// A blob is in the registry.
    LayerPushed {
        /// `host/repository`.
        repository: String,
        /// Which blob.
        digest: Digest,
        /// Its size in bytes.
        size: u64,
        /// How it got there.
        how: Transfer,
    },
    /// A manifest is in the registry.
    ImagePushed {
        /// The destination.
        reference: String,
        /// Its digest.
        digest: Digest,
    },
    /// An output file was written.
    Written {
        /// What it is.
        what: &'static str,
        /// Where it is.
        path: PathBuf,
    },
    /// Something is wrong, and the build goes on.
    Warning {
        /// What.
        message: String,
    },
    /// Something that was decided, and why.
    Note {
        /// What.
        message: String,
    },
    /// Something for those who look for a cause.
    Detail {
        /// What.
        message: String,
    },
    /// The build ended well.
    Finished {
        /// The digest of the image's manifest.
        digest: Digest,
        /// How long it took.
        took: Duration,
    },
    /// The build ended badly.
    Failed {
        /// What a person should read, with causes, excerpt and advice.
        message: String,
    },
}

/// Which step of which stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepPosition {
    /// Name of the stage.
    pub stage: String,
    /// Position of the step, from 1.
    pub number: usize,
    /// How many steps the stage has.
    pub of: usize,
}

/// What a step made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerSummary {
    /// Of the stored bytes; absent for a stage whose layers nobody needs.
    pub digest: Option<Digest>,
    /// Stored size in bytes.
    pub size: u64,
    /// Size of the tar in bytes.
    pub uncompressed: u64,
    /// How many entries.
    pub entries: usize,
}

/// How a blob got into a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transfer {
    /// It was there.
    Existed,
    /// It was mounted from another repository of the same registry.
    Mounted,
    /// Its bytes were sent.
    Uploaded,
}
