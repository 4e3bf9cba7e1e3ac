//! A program that answers while a test runs, in a container of its own.

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::{Lab, Output, tool};

/// A running container of an image in the plain registry; it ends when dropped.
#[derive(Debug)]
pub struct Service<'a> {
    lab: &'a Lab,
    name: String,
}

impl<'a> Service<'a> {
    /// Starts a command of an image (`repository:tag`); the network is this machine's.
    pub fn start(lab: &'a Lab, image: &str, command: &[&str]) -> Result<Self> {
        let name = Lab::container_name();
        let mut podman = lab.podman();
        podman.args(["run", "--detach", "--rm", "--name", &name]);
        podman.args(["--network=host", "--pull=always", "--tls-verify=false"]);
        tool::run(podman.arg(lab.destination(image)).args(command)).context("start a service")?;
        Ok(Self { lab, name })
    }

    /// Runs a command in it.
    pub fn exec(&self, command: &[&str]) -> Result<Output> {
        tool::run(self.lab.podman().args(["exec", &self.name]).args(command))
    }

    /// Copies a file of the container to this machine.
    pub fn fetch(&self, path: &str, to: &Path) -> Result<()> {
        let from = format!("{}:{path}", self.name);
        tool::run(self.lab.podman().args(["cp", &from]).arg(to))?;
        Ok(())
    }
}

impl Drop for Service<'_> {
    fn drop(&mut self) {
        // It may have ended by itself; a container that stays is found by `lab down`.
        drop(tool::attempt(
            self.lab
                .podman()
                .args(["rm", "--force", "--time=0", &self.name]),
        ));
    }
}
