//! The stable text form of a plan. Golden tests and bug reports contain it, so a change of it is a change people see.
//!
//! Values of build arguments do not occur, save where an instruction puts them into the image (T-ARG-11): texts of
//! instructions are as written, and of an environment only the number of variables is told.

use std::fmt::{self, Display, Formatter, Write as _};

use kigumi_dockerfile::instruction::{MountSpec, Network, Security};
use kigumi_oci::ContainerConfig;

use crate::lower::without_password;
use crate::op::{Chmod, CopyOp, CopySource, MakeDirOp, Op, RunMount, RunOp, Source, Unpack};
use crate::plan::{Base, BuildPlan, ImageId, StageId, StagePlan, Step};

/// One block per stage in the order of execution, one line per step, and the config it ends with. Above them, if that is not the order of the file, why.
impl Display for BuildPlan {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(reordered) = &self.reordered {
            let stages: Vec<String> = self.stages.iter().map(title).collect();
            writeln!(f, "order  {}  {reordered}\n", stages.join(", "))?;
        }
        for (index, stage) in self.stages.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            let target = if stage.id == self.target {
                "  target"
            } else {
                ""
            };
            writeln!(
                f,
                "{}  from {}  platform {}{target}",
                title(stage),
                self.base(&stage.base),
                stage.platform
            )?;
            for step in &stage.steps {
                writeln!(f, "  {:<3}{}", step.number, self.step(step))?;
            }
            writeln!(f, "  =  {}", config(&stage.config.config))?;
        }
        Ok(())
    }
}

impl BuildPlan {
    fn base(&self, base: &Base) -> String {
        match base {
            Base::Scratch => "scratch".to_owned(),
            Base::Image(id) => self.image_text(*id),
            Base::Stage(id) => self.stage_text(*id),
            Base::Context(name) => format!("context {name:?}"),
        }
    }

    fn image_text(&self, id: ImageId) -> String {
        match self.image(id) {
            Some(image) if image.reference.contains('@') => image.reference.clone(),
            Some(image) => format!("{}@{}", image.reference, image.digest),
            None => format!("image {}", id.0),
        }
    }

    fn stage_text(&self, id: StageId) -> String {
        match self.stage(id) {
            Some(stage) => title(stage),
            None => format!("stage {}", id.0),
        }
    }

    fn source_text(&self, source: &CopySource) -> String {
        match source {
            CopySource::Context => "context".to_owned(),
            CopySource::Scratch => "scratch".to_owned(),
            CopySource::Stage(id) => self.stage_text(*id),
            CopySource::Image(id) => self.image_text(*id),
            CopySource::NamedContext(name) => format!("context {name:?}"),
        }
    }

    fn step(&self, step: &Step) -> String {
        match &step.op {
            Op::Run(run) => format!("run      {}", self.run(run)),
            Op::Copy(copy) => format!("copy     {}", self.copy(copy)),
            Op::MakeDir(directory) => format!("workdir  {}", make_dir(directory)),
            Op::Config => format!("config   {}", step.text),
        }
    }

    fn run(&self, run: &RunOp) -> String {
        let mut text = words(&run.argv);
        push_user(&mut text, run.user.as_deref());
        let beyond_path = run.env.iter().filter(|(name, _)| name != "PATH").count();
        push(
            &mut text,
            format_args!("  cwd {}  env+{beyond_path}", run.cwd),
        );
        if let Some(script) = &run.script {
            let bytes = script.body.len();
            push(
                &mut text,
                format_args!("  script {} ({bytes} bytes)", script.name),
            );
        }
        match run.network {
            Network::Default => {}
            Network::None => text.push_str("  network none"),
            Network::Host => text.push_str("  network host"),
        }
        match run.security {
            Security::Sandbox => {}
            Security::Insecure => text.push_str("  insecure"),
        }
        for device in &run.devices {
            push(&mut text, format_args!("  device {}", device.name));
        }
        for mount in &run.mounts {
            push(&mut text, format_args!("  mount {}", self.mount(mount)));
        }
        text
    }

    fn mount(&self, mount: &RunMount) -> String {
        let from = mount.from.as_ref().map(|from| self.source_text(from));
        let from = from.map(|from| format!(" from {from}")).unwrap_or_default();
        match &mount.spec {
            MountSpec::Bind { source, target, .. } => format!("bind {target}{from} [{source}]"),
            MountSpec::Cache { id, target, .. } => {
                format!(
                    "cache {target} id {}{from}",
                    id.as_deref().unwrap_or(target)
                )
            }
            MountSpec::Tmpfs { target, .. } => format!("tmpfs {target}"),
            MountSpec::Secret { id, .. } => format!("secret {id}"),
            MountSpec::Ssh { id, .. } => format!("ssh {id}"),
        }
    }

    fn copy(&self, copy: &CopyOp) -> String {
        let sources: Vec<String> = copy.sources.iter().map(source).collect();
        let slash = if copy.destination_is_directory && copy.destination != "/" {
            "/"
        } else {
            ""
        };
        let mut text = format!(
            "{} [{}] -> {}{slash}",
            self.source_text(&copy.from),
            sources.join(" "),
            copy.destination
        );
        if let Some(chown) = &copy.chown {
            push(&mut text, format_args!("  chown {chown}"));
        }
        match &copy.chmod {
            None => {}
            Some(Chmod::Octal(mode)) => push(&mut text, format_args!("  chmod {mode:04o}")),
            Some(Chmod::Symbolic(mode)) => push(&mut text, format_args!("  chmod {mode}")),
        }
        text.push_str(match copy.unpack {
            Unpack::Never => "",
            Unpack::LocalArchives => "  unpack local",
            Unpack::Always => "  unpack",
        });
        if copy.link {
            text.push_str("  link");
        }
        if copy.parents {
            text.push_str("  parents");
        }
        for pattern in &copy.exclude {
            push(&mut text, format_args!("  exclude {pattern}"));
        }
        if let Some(checksum) = &copy.checksum {
            push(&mut text, format_args!("  checksum {checksum}"));
        }
        if copy.keep_git_dir == Some(true) {
            text.push_str("  keep .git");
        }
        text
    }
}

fn push(text: &mut String, part: fmt::Arguments<'_>) {
    let written = text.write_fmt(part);
    debug_assert!(written.is_ok(), "a String takes everything");
}

fn push_user(text: &mut String, user: Option<&str>) {
    if let Some(user) = user {
        push(text, format_args!("  user {user}"));
    }
}

fn title(stage: &StagePlan) -> String {
    match &stage.name {
        Some(name) => format!("stage {} {name:?}", stage.id.0),
        None => format!("stage {}", stage.id.0),
    }
}

fn make_dir(directory: &MakeDirOp) -> String {
    let mut text = directory.path.clone();
    push_user(&mut text, directory.user.as_deref());
    text
}

fn source(source: &Source) -> String {
    match source {
        Source::Path(path) if path.is_empty() => "\"\"".to_owned(),
        Source::Path(path) => path.clone(),
        Source::Url(url) | Source::Git(url) => without_password(url),
        Source::Inline { name, content } => format!("<<{name} ({} bytes)", content.len()),
    }
}

fn words(words: &[String]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
    format!("[{}]", quoted.join(","))
}

/// The fields that are set, in the order of the image specification.
fn config(config: &ContainerConfig) -> String {
    let mut text = "config".to_owned();
    let mut field = |name: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            push(&mut text, format_args!("  {name} {value}"));
        }
    };
    let list = |words: &Option<Vec<String>>| words.as_ref().map(|words| words.join(" "));
    let command = |command: &Option<Vec<String>>| {
        let command = command.as_ref().filter(|command| !command.is_empty());
        command.map(|command| words(command))
    };
    field("User", config.user.clone());
    field("ExposedPorts", list(&config.exposed_ports));
    field("Env", list(&config.env));
    field("Entrypoint", command(&config.entrypoint));
    field("Cmd", command(&config.cmd));
    let test = config.healthcheck.as_ref().map(|check| words(&check.test));
    field("Healthcheck", test);
    field("Volumes", list(&config.volumes));
    field("WorkingDir", config.working_dir.clone());
    field("OnBuild", command(&config.on_build));
    let labels = config.labels.as_ref().map(|labels| {
        let pairs: Vec<String> = labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
        pairs.join(" ")
    });
    field("Labels", labels);
    field("StopSignal", config.stop_signal.clone());
    field("Shell", command(&config.shell));
    text
}
