//! The other names that the image has for this program (kaniko-contract §7): what it is asked to be is told by its name.

use std::ffi::OsStr;
use std::path::Path;

/// Why a program of this name cannot be had yet; `None` for the executor, whatever it is called.
pub(crate) fn missing(argv0: Option<&OsStr>) -> Option<String> {
    let name = Path::new(argv0?).file_name()?.to_str()?;
    if name == "warmer" {
        return Some(
            "`warmer` is not implemented yet: keep the old image for the job that fills the cache"
                .to_owned(),
        );
    }
    let helper = name.strip_prefix("docker-credential-")?;
    Some(format!(
        "`{name}` is not implemented yet: take the helper `{helper}` out of config.json and give the registry credentials of its own"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_without_a_program_behind_them_are_named_and_any_other_is_the_executor() {
        for name in [
            "/kaniko/warmer",
            "warmer",
            "/kaniko/docker-credential-ecr-login",
        ] {
            let said = missing(Some(OsStr::new(name))).unwrap();
            assert!(said.contains(name.rsplit('/').next().unwrap()), "{said}");
        }
        for name in [
            "/kaniko/executor",
            "executor",
            "/proc/self/exe",
            "/kaniko/plugin",
        ] {
            assert_eq!(missing(Some(OsStr::new(name))), None, "{name}");
        }
        assert_eq!(missing(None), None);
    }
}
