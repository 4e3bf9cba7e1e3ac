//! What a RUN may do: `--network`, `--security`, `--device` of the instruction and `--ulimit` of the command line, in a pod.

use std::path::Path;

use kigumi_dockerfile::Source;
use kigumi_dockerfile::instruction::{Network, Security};
use kigumi_plan::{BuildPlan, Op, RunOp};
use kigumi_run::{
    CapabilityLimit, Confinement, Limit, NetworkAccess, ProcessSpec, missing_capabilities,
    parse_effective,
};

use super::devices::{DIRECTORIES, Devices};
use crate::error::BuildError;
use crate::report::Events;

/// What this pod has to give, found before anything is unpacked.
#[derive(Debug, Default)]
pub(crate) struct Grants {
    devices: Devices,
    /// Capabilities that a privileged container has and this one has not.
    missing: Vec<String>,
    limits: Vec<Limit>,
}

impl Grants {
    /// Looks at this pod.
    pub(crate) fn gather(limits: &[Limit]) -> Self {
        Self {
            devices: Devices::read(DIRECTORIES.map(Path::new)),
            missing: missing(),
            limits: limits.to_vec(),
        }
    }

    /// Refuses, at its line, the first RUN that asks for what is not there.
    pub(crate) fn check(
        &self,
        plan: &BuildPlan,
        file: &Source,
        events: &Events,
    ) -> Result<(), BuildError> {
        for step in plan.stages.iter().flat_map(|stage| &stage.steps) {
            if let Op::Run(run) = &step.op {
                self.check_run(run).map_err(|reason| {
                    BuildError::Refused { reason }.at(file, step.span, &step.text)
                })?;
                if run.security == Security::Insecure && !self.missing.is_empty() {
                    let (name, line) = (file.name(), step.span.line);
                    let missing = self.missing.join(", ");
                    events.warn(format!("{name}:{line}: RUN --security=insecure without {missing}, which this pod lacks"));
                }
            }
        }
        Ok(())
    }

    fn check_run(&self, run: &RunOp) -> Result<(), String> {
        let essential = |name: &String| ESSENTIAL.contains(&name.as_str());
        if run.security == Security::Insecure && self.missing.iter().any(essential) {
            return Err(format!(
                "RUN --security=insecure needs a privileged pod (`securityContext.privileged: true`): this one lacks {}",
                self.missing.join(", ")
            ));
        }
        for device in &run.devices {
            self.devices.environment(device)?;
        }
        Ok(())
    }

    /// Puts into a process what its RUN may do.
    pub(crate) fn confine(&self, run: &RunOp, process: &mut ProcessSpec) {
        process.confinement = Confinement {
            network: match run.network {
                // A pod has one network, its own.
                Network::Default | Network::Host => NetworkAccess::Executor,
                Network::None => NetworkAccess::None,
            },
            capabilities: match run.security {
                Security::Sandbox => CapabilityLimit::Container,
                Security::Insecure => CapabilityLimit::Executor,
            },
            limits: self.limits.clone(),
            ..process.confinement.clone()
        };
        for device in &run.devices {
            // What is wrong with a device was said before the build began.
            for (name, value) in self.devices.environment(device).unwrap_or_default() {
                process.env.retain(|(known, _)| *known != *name);
                process.env.push((name.into(), value.into()));
            }
        }
    }
}

/// What every privileged pod has and no other. What else is missing (nodes that are containers themselves hold some back) the pod
/// cannot get.
const ESSENTIAL: [&str; 4] = [
    "CAP_DAC_READ_SEARCH",
    "CAP_NET_ADMIN",
    "CAP_SYS_ADMIN",
    "CAP_SYS_PTRACE",
];

/// The last capability there was when this was written (Linux 5.9 to 6.17), for a kernel that does not tell.
const LAST: u32 = 40;

/// What cannot be read is missing, not there: the answer only ever gives less.
fn missing() -> Vec<String> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let effective = parse_effective(&read("/proc/self/status")).unwrap_or_default();
    let last = read("/proc/sys/kernel/cap_last_cap").trim().parse();
    missing_capabilities(effective, last.unwrap_or(LAST))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(security: Security) -> RunOp {
        RunOp {
            argv: vec!["x".to_owned()],
            env: Vec::new(),
            proxies: Vec::new(),
            cwd: "/".to_owned(),
            user: None,
            mounts: Vec::new(),
            network: Network::Default,
            security,
            devices: Vec::new(),
            script: None,
        }
    }

    #[test]
    fn only_a_privileged_pod_has_an_insecure_run_t_run_09() {
        for (missing, refused) in [
            (&[][..], false),
            (&["CAP_SYS_RESOURCE", "CAP_SYS_TIME"], false),
            (&["CAP_SYS_TIME", "CAP_SYS_ADMIN"], true),
            (&["CAP_NET_ADMIN"], true),
        ] {
            let grants = Grants {
                missing: missing.iter().map(|name| (*name).to_owned()).collect(),
                ..Grants::default()
            };
            grants.check_run(&run(Security::Sandbox)).unwrap();
            match grants.check_run(&run(Security::Insecure)) {
                Ok(()) => assert!(!refused, "{missing:?}"),
                Err(reason) => {
                    assert!(
                        refused && missing.iter().all(|name| reason.contains(name)),
                        "{reason}"
                    );
                }
            }
        }
    }
}
