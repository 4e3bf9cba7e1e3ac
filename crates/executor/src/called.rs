//! The other names that the image has for this program (kaniko-contract §7): what it is asked to be is told by its name.

use std::ffi::OsStr;
use std::path::Path;

/// Why a program of this name cannot be had yet; `None` for the executor, whatever it is called.
pub(crate) fn missing(argv0: Option<&OsStr>) -> Option<String> {
    let name = Path::new(argv0?).file_name()?.to_str()?;
    let helper = name.strip_prefix("docker-credential-")?;
    Some(format!(
        "`{name}` is not implemented yet: take the helper `{helper}` out of config.json and give the registry credentials of its own"
    ))
}

/// Whether the program is to put base images into a directory (kaniko-contract §5).
pub(crate) fn is_warmer(argv0: Option<&OsStr>) -> bool {
    let name = argv0.and_then(|argv0| Path::new(argv0).file_name());
    name.is_some_and(|name| name == "warmer")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_without_a_program_behind_them_are_named_and_any_other_is_the_executor() {
        let said = missing(Some(OsStr::new("/kaniko/docker-credential-ecr-login"))).unwrap();
        assert!(said.contains("docker-credential-ecr-login"), "{said}");
        for name in [
            "/kaniko/executor",
            "/kaniko/warmer",
            "executor",
            "/proc/self/exe",
            "/kaniko/plugin",
        ] {
            assert_eq!(missing(Some(OsStr::new(name))), None, "{name}");
        }
        assert_eq!(missing(None), None);
    }

    #[test]
    fn the_warmer_is_known_by_its_name_wherever_it_is() {
        for (name, expected) in [
            ("/kaniko/warmer", true),
            ("warmer", true),
            ("/warmer/executor", false),
        ] {
            assert_eq!(is_warmer(Some(OsStr::new(name))), expected, "{name}");
        }
        assert!(!is_warmer(None));
    }
}
