//! Refusing what could not be bound as asked, before anything is made.

use super::{Bind, SandboxSpec};
use crate::Error;
use std::path::{Component, Path};

/// Directories that are file systems of the sandbox itself.
const RESERVED: [&str; 3] = ["/proc", "/sys", "/dev"];

pub(super) fn binds(binds: &[Bind]) -> Result<(), Error> {
    for (number, bind) in binds.iter().enumerate() {
        let refuse = |reason| Error::SandboxBind {
            inside: bind.inside.clone(),
            reason,
        };
        if let Some(reason) = fault(&bind.inside) {
            return Err(refuse(reason));
        }
        if binds
            .iter()
            .take(number)
            .any(|earlier| earlier.inside == bind.inside)
        {
            return Err(refuse("it is bound twice"));
        }
    }
    Ok(())
}

fn fault(inside: &Path) -> Option<&'static str> {
    let mut components = inside.components();
    if components.next() != Some(Component::RootDir) {
        return Some("it is not absolute");
    }
    // `components` drops single dots; a path that it changes was not clean.
    let clean: std::path::PathBuf = inside.components().collect();
    if clean.as_os_str() != inside.as_os_str() {
        return Some("it is not in its simplest form");
    }
    if components
        .clone()
        .any(|component| !matches!(component, Component::Normal(_)))
    {
        return Some("it holds `..`");
    }
    if components.next().is_none() {
        return Some("it is the root itself");
    }
    if RESERVED.iter().any(|reserved| inside.starts_with(reserved)) {
        return Some("it lies in a file system of the sandbox");
    }
    let own = [SandboxSpec::EXECUTOR, SandboxSpec::MARKER].map(Path::new);
    if own
        .iter()
        .any(|own| inside.starts_with(own) || own.starts_with(inside))
    {
        return Some("it would hide the executor or the marker of the root");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_inside_that_cannot_be_bound_is_refused_with_the_reason() {
        let table = [
            ("/workspace", None),
            ("/kaniko/.docker", None),
            ("/etc/hosts", None),
            ("workspace", Some("it is not absolute")),
            ("/a/../b", Some("it holds `..`")),
            ("/a/./b", Some("it is not in its simplest form")),
            ("/a/", Some("it is not in its simplest form")),
            ("/", Some("it is the root itself")),
            ("/proc/sys", Some("it lies in a file system of the sandbox")),
            (
                "/kaniko",
                Some("it would hide the executor or the marker of the root"),
            ),
            (
                "/kaniko/executor/x",
                Some("it would hide the executor or the marker of the root"),
            ),
        ];
        for (inside, expected) in table {
            assert_eq!(fault(Path::new(inside)), expected, "{inside}");
        }
    }

    #[test]
    fn two_binds_of_one_place_are_refused() {
        let bind = Bind {
            host: "/a".into(),
            inside: "/b".into(),
            writable: false,
        };
        binds(std::slice::from_ref(&bind)).unwrap();
        let error = binds(&[bind.clone(), bind]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "sandbox: cannot bind `/b`: it is bound twice"
        );
    }
}
