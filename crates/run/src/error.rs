//! What can go wrong, by operation.

use std::io;
use std::path::PathBuf;

/// Why a process could not be run, or the place for it not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The process has no program.
    #[error("run: the command is empty")]
    EmptyCommand,
    /// A string that the kernel takes up to its first NUL holds one.
    #[error("run: a NUL byte in {what}")]
    NulByte {
        /// Which string.
        what: &'static str,
    },
    /// A variable whose name is empty or holds `=`.
    #[error("run: `{name}` is not a name for an environment variable")]
    VariableName {
        /// The name, lossily as text.
        name: String,
    },
    /// A pipe, event or `/dev/null` could not be had.
    #[error("run: open {what}")]
    Prepare {
        /// What was to be opened.
        what: &'static str,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// No new process.
    #[error("start `{program}`: fork")]
    Fork {
        /// The program.
        program: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A step between fork and exec that names nothing of the user's failed.
    #[error("start `{program}`: {step}")]
    Setup {
        /// The program.
        program: String,
        /// The step.
        step: &'static str,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The root directory of the process.
    #[error("change root to `{path}`")]
    Root {
        /// The directory.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The working directory of the process.
    #[error("change to working directory `{path}`")]
    WorkingDirectory {
        /// The directory, inside the root.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The user of the process.
    #[error("become user {uid}:{gid}")]
    Credentials {
        /// User id.
        uid: u32,
        /// Group id.
        gid: u32,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A resource limit.
    #[error(
        "set the limit {limit} (a hard limit cannot be raised above the container's own without CAP_SYS_RESOURCE)"
    )]
    Limit {
        /// `name=soft:hard`.
        limit: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The filter that takes the network away.
    #[error("take the network away from the process: install a seccomp filter")]
    NoNetwork {
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A name without `/` that no directory of PATH holds.
    #[error("executable `{program}` not found in PATH `{path}`")]
    NotInPath {
        /// The program.
        program: String,
        /// PATH of the process's environment.
        path: String,
    },
    /// A name without `/`, and no PATH to look in.
    #[error("executable `{program}` not found: the environment has no PATH")]
    NoPath {
        /// The program.
        program: String,
    },
    /// A name with `/` that does not exist.
    #[error("executable `{program}` does not exist")]
    NotFound {
        /// The program.
        program: String,
    },
    /// The file is there but may not be executed.
    #[error(
        "executable `{program}`: permission denied (not executable for this user, a directory, or on a file system mounted noexec)"
    )]
    NotExecutable {
        /// The file.
        program: String,
    },
    /// The file is there, but not what it needs to be loaded.
    #[error("executable `{program}` exists, but its interpreter {interpreter} does not")]
    InterpreterMissing {
        /// The file.
        program: String,
        /// What its first line names, quoted, or that it is the dynamic loader.
        interpreter: String,
    },
    /// The kernel refused the exec for another reason.
    #[error("execute `{program}`")]
    Exec {
        /// The file.
        program: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Waiting for the process or its output.
    #[error("wait for `{program}`")]
    Wait {
        /// The program.
        program: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The processes that it left could not be listed or killed: no snapshot would be right.
    #[error("kill what `{program}` left running")]
    Sweep {
        /// The program.
        program: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The build was cancelled; everything it ran is dead.
    #[error("cancelled by signal {signal}")]
    Cancelled {
        /// The signal that the executor got.
        signal: i32,
    },
    /// The executor could not protect itself.
    #[error("make the executor's memory unreadable")]
    Harden {
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Blocking or receiving signals.
    #[error("set up signals")]
    Signals {
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// As PID 1: the executor proper could not be started or waited for.
    #[error("as PID 1: {what}")]
    Init {
        /// The step.
        what: &'static str,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A bind that the sandbox refuses.
    #[error("sandbox: cannot bind `{inside}`: {reason}")]
    SandboxBind {
        /// The path inside.
        inside: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The sandbox could not be set up.
    #[error("sandbox: {what}")]
    Sandbox {
        /// The step.
        what: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// An ordinary user may not make a user namespace here.
    #[error(
        "sandbox: make a user namespace (as an ordinary user this needs a kernel that allows it: user.max_user_namespaces, kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns)"
    )]
    UserNamespace {
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Programs could not be executed in the root.
    #[error("sandbox: `{path}` is mounted noexec: programs of the image could not run")]
    SandboxNoexec {
        /// The directory.
        path: PathBuf,
    },
    /// The temporary root was left because something is mounted in it.
    #[error("sandbox: `{path}` is not removed: `{mount}` is a mount point")]
    SandboxMounted {
        /// The temporary directory.
        path: PathBuf,
        /// The mount point.
        mount: PathBuf,
    },
    /// The temporary root could not be removed.
    #[error("sandbox: remove `{path}`")]
    SandboxRemove {
        /// The temporary directory.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
}
