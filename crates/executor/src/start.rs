//! What `main` does, in the order in which it has to be done.

use std::io::Write;
use std::path::Path;

use kigumi_run::{Cancel, avoid_huge_pages, harden_self, init, keep_no_spare_memory, signals};

use crate::advice;
use crate::build::{self, Entrusted};
use crate::called;
use crate::cli::{
    self, BUILD_ID, BuildFlags, Command, Config, ConfigError, Environment, LintCommand, LogOptions,
    LoginCommand, Remark, WarmCommand,
};
use crate::error::{BuildError, chain};
use crate::lint;
use crate::login;
use crate::report::{self, BuildEvent, Events};
use crate::sandbox;
use crate::secrets::Secrets;
use crate::ssh::Agents;

/// `executor lint` could not look at a file.
const LINT_UNUSABLE: u8 = 2;

/// Runs the program and gives its exit code.
pub fn start() -> u8 {
    avoid_huge_pages();
    keep_no_spare_memory();
    if let Some(message) = called::missing(std::env::args_os().next().as_deref()) {
        // A credential helper is asked by a program, which reads its output.
        print(&format!("error: {message}\n"));
        drop(writeln!(std::io::stderr(), "error: {message}"));
        return 1;
    }
    if called::is_warmer(std::env::args_os().next().as_deref()) {
        return warmer();
    }
    let args = match cli::parse(std::env::args_os()) {
        Ok(args) => args,
        // Help and version are no errors; a wrong command line is exit code 1 (K-CLI-03).
        Err(error) => {
            tell(&error, &cli::command());
            let is_lint = std::env::args_os()
                .nth(1)
                .is_some_and(|word| word == "lint");
            let wrong = if is_lint { LINT_UNUSABLE } else { 1 };
            return if error.use_stderr() { wrong } else { 0 };
        }
    };
    match &args.command {
        Some(Command::Version) => print(&format!("{BUILD_ID}\n")),
        Some(Command::Completions { shell }) => print(&completions(*shell)),
        Some(Command::Reference) => print(&cli::reference_page()),
        Some(Command::Push(command)) => {
            with_log(&command.as_build(args.build.clone()), |flags, events| {
                push(&command.path, flags, events)
            })
        }
        Some(Command::Plan(flags)) => with_log(flags, plan),
        Some(Command::Lint(command)) => with_log_or(
            &command.build,
            |_, events| lint_files(command, events),
            |_| LINT_UNUSABLE,
        ),
        Some(Command::Login(command)) => logging(
            LogOptions::new(&command.log),
            |events| log_in(command, events),
            BuildError::exit_code,
        ),
        None => with_log(&args.build, build_image),
    }
}

/// The program of that name.
fn warmer() -> u8 {
    match WarmCommand::read(std::env::args_os()) {
        Ok(command) => logging(
            LogOptions::new(&command.log),
            |events| warm(&command, events),
            BuildError::exit_code,
        ),
        Err(error) => {
            tell(&error, &WarmCommand::usage());
            u8::from(error.use_stderr())
        }
    }
}

fn warm(command: &WarmCommand, events: &Events) -> Result<u8, BuildError> {
    let environment = environment()?;
    let settings = command.settings(&environment).map_err(BuildError::Config)?;
    let cancel = match supervision()? {
        Supervision::Over(code) => return Ok(code),
        Supervision::Begun(cancel) => cancel,
    };
    install_crypto();
    build::warm(&settings, &environment, events, &cancel)
}

/// Help goes to where it was asked for; the last line about a wrong command line says what is wrong (K-EXIT-07).
fn tell(error: &clap::Error, command: &clap::Command) {
    if error.use_stderr() {
        let message = cli::usage_error(error, command);
        drop(writeln!(std::io::stderr(), "{message}"));
    } else {
        drop(error.print());
    }
}

fn with_log(
    flags: &BuildFlags,
    run: impl FnOnce(&BuildFlags, &Events) -> Result<u8, BuildError>,
) -> u8 {
    with_log_or(flags, run, BuildError::exit_code)
}

fn with_log_or(
    flags: &BuildFlags,
    run: impl FnOnce(&BuildFlags, &Events) -> Result<u8, BuildError>,
    exit_code: impl FnOnce(&BuildError) -> u8,
) -> u8 {
    logging(
        LogOptions::new(&flags.log),
        |events| run(flags, events),
        exit_code,
    )
}

fn logging(
    options: Result<LogOptions, ConfigError>,
    run: impl FnOnce(&Events) -> Result<u8, BuildError>,
    exit_code: impl FnOnce(&BuildError) -> u8,
) -> u8 {
    let (options, wrong) = match options {
        Ok(options) => (options, None),
        Err(error) => (LogOptions::default(), Some(BuildError::Config(error))),
    };
    let events = Events::to_stderr(options);
    report::listen(events.clone(), options.verbosity);
    let result = wrong.map_or_else(|| run(&events), Err);
    match result {
        Ok(code) => code,
        Err(error) => {
            // Without a working directory there is no environment; that error says enough.
            let environment = environment().ok();
            let advice = environment.and_then(|environment| advice::advice(&error, &environment));
            events.emit(BuildEvent::Failed {
                message: error.render_with(advice.as_deref()),
            });
            exit_code(&error)
        }
    }
}

fn log_in(command: &LoginCommand, events: &Events) -> Result<u8, BuildError> {
    harden_self().map_err(|source| BuildError::Supervise {
        operation: "protect our memory from other processes",
        source,
    })?;
    let environment = environment()?;
    let path = login::run(command, &environment, std::io::stdin(), events.redactor())
        .map_err(BuildError::Login)?;
    events.emit(BuildEvent::Written {
        what: "credentials",
        path,
    });
    Ok(0)
}

fn lint_files(command: &LintCommand, events: &Events) -> Result<u8, BuildError> {
    let environment = environment()?;
    install_crypto();
    let (report, code) = lint::run(command, &environment, events)?;
    match print(&report) {
        0 => Ok(code),
        _ => Ok(LINT_UNUSABLE),
    }
}

fn plan(flags: &BuildFlags, events: &Events) -> Result<u8, BuildError> {
    let environment = environment()?;
    let config = planning(flags, &environment)?;
    let environment = rebased(&environment, &config);
    let cancel = cancel()?;
    install_crypto();
    Ok(print(&build::plan(&config, &environment, events, &cancel)?))
}

/// A plan has no destination: nothing is pushed.
fn planning(flags: &BuildFlags, environment: &Environment) -> Result<Config, BuildError> {
    let mut flags = flags.clone();
    if flags.destination.is_empty() {
        flags.no_push = Some(true);
    }
    settled(&flags, environment)
}

/// What the flags mean on this machine, of which some is looked at.
fn settled(flags: &BuildFlags, environment: &Environment) -> Result<Config, BuildError> {
    let here = &environment.working_directory;
    let Some(meant) = cli::context_below_root(&flags.context, here, Path::is_dir) else {
        return Config::new(flags, environment).map_err(BuildError::Config);
    };
    let mut flags = flags.clone();
    let given = std::mem::replace(&mut flags.context, meant);
    let mut config = Config::new(&flags, environment).map_err(BuildError::Config)?;
    config.remarks.push(Remark::note(format!(
        "--context={given} is not in {}; taking {}",
        here.display(),
        flags.context
    )));
    Ok(config)
}

fn build_image(flags: &BuildFlags, events: &Events) -> Result<u8, BuildError> {
    let environment = environment()?;
    let config = settled(flags, &environment)?;
    if config.sandbox {
        return sandbox::enter(&config, &environment);
    }
    let environment = rebased(&environment, &config);
    let cancel = match supervision()? {
        Supervision::Over(code) => return Ok(code),
        Supervision::Begun(cancel) => cancel,
    };
    install_crypto();
    build::repair(&config, &environment, events)?;
    let entrusted = entrusted(&config, &environment, events)?;
    let mut printed = 0;
    let show = |plan: &str| printed = print(plan);
    build::run(&config, &environment, &entrusted, events, &cancel, show)?;
    Ok(printed)
}

/// Pushes an image that is already there.
fn push(path: &str, flags: &BuildFlags, events: &Events) -> Result<u8, BuildError> {
    let environment = environment()?;
    let config = Config::new(flags, &environment).map_err(BuildError::Config)?;
    let environment = rebased(&environment, &config);
    let path = environment.working_directory.join(path);
    let cancel = match supervision()? {
        Supervision::Over(code) => return Ok(code),
        Supervision::Begun(cancel) => cancel,
    };
    install_crypto();
    build::push_stored(&path, &config, &environment, events, &cancel)?;
    Ok(0)
}

fn rebased(environment: &Environment, config: &Config) -> Environment {
    environment.rebased(&config.kaniko_dir, Path::exists)
}

fn completions(shell: clap_complete::Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut cli::command(), "executor", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// Who does the work.
enum Supervision {
    /// A child did, and ended so.
    Over(u8),
    /// This process, told to end by signals.
    Begun(Cancel),
}

/// Makes this process one that ends when it is told to, also as PID 1.
fn supervision() -> Result<Supervision, BuildError> {
    let supervised = |operation| move |source| BuildError::Supervise { operation, source };
    // As PID 1 everything below happens in a child; nothing with threads may have been started yet.
    if let Some(code) =
        init::supervise_if_pid1().map_err(supervised("be the init of this container"))?
    {
        return Ok(Supervision::Over(code));
    }
    // What we make ourselves is readable by the users of the image, whatever the platform's shell had set.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let guard = signals::block().map_err(supervised("wait for signals"))?;
    harden_self().map_err(supervised("protect our memory from the processes of RUN"))?;
    let cancel = cancel()?;
    guard
        .forward_to(cancel.clone())
        .map_err(supervised("wait for signals"))?;
    Ok(Supervision::Begun(cancel))
}

/// Before anything else: what is read later may have been moved or wiped, and what is not known yet is not hidden (T-MNT-08).
fn entrusted(
    config: &Config,
    environment: &Environment,
    events: &Events,
) -> Result<Entrusted, BuildError> {
    let redactor = events.redactor();
    let secrets =
        Secrets::load(&config.secrets, environment, redactor).map_err(BuildError::Secret)?;
    for id in secrets.too_short_to_hide() {
        events.warn(format!(
            "the secret `{id}` is too short to be hidden in the log"
        ));
    }
    let agents = Agents::load(&config.ssh, redactor).map_err(BuildError::Ssh)?;
    Ok(Entrusted { secrets, agents })
}

fn cancel() -> Result<Cancel, BuildError> {
    Cancel::new(Cancel::DEFAULT_GRACE).map_err(|source| BuildError::Supervise {
        operation: "prepare to be told to end",
        source,
    })
}

/// One provider for every TLS connection; with none, the first connection would panic.
fn install_crypto() {
    // An error says that there is one already, which serves as well.
    drop(rustls::crypto::ring::default_provider().install_default());
}

fn environment() -> Result<Environment, BuildError> {
    let failed = |operation| move |source| BuildError::Machine { operation, source };
    Ok(Environment {
        variables: std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect(),
        working_directory: std::env::current_dir().map_err(failed("find the working directory"))?,
        executable: std::env::current_exe().map_err(failed("find the executor's own file"))?,
        is_init: init::is_served(),
    })
}

/// Prints what was asked for. A reader that has gone away is no error.
fn print(text: &str) -> u8 {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            drop(writeln!(
                std::io::stderr(),
                "error: print: {}",
                chain(&error)
            ));
            1
        }
        _ => 0,
    }
}
