//! The first two parts of a platform, as containerd reads it. This crate knows no images, and needs no more.

const SYSTEMS: [&str; 15] = [
    "aix",
    "android",
    "darwin",
    "dragonfly",
    "freebsd",
    "hurd",
    "illumos",
    "ios",
    "js",
    "linux",
    "nacl",
    "netbsd",
    "openbsd",
    "plan9",
    "windows",
];

const ARCHITECTURES: [&str; 14] = [
    "386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle", "ppc64",
    "ppc64le", "riscv64", "s390x", "wasm",
];

/// Operating system and architecture of `os`, `architecture`, `os/architecture` or `os/architecture/variant`; none if
/// it is none of them. What is not said is that of the `host`.
pub(super) fn parse(text: &str, host: &(String, String)) -> Option<(String, String)> {
    let parts: Vec<String> = text.split('/').map(str::to_lowercase).collect();
    let is_word = |part: &String| {
        !part.is_empty()
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '(' | ')'))
    };
    if !parts.iter().all(is_word) {
        return None;
    }
    match parts.as_slice() {
        [one] => {
            let system = system(one);
            let architecture = architecture(one);
            if SYSTEMS.contains(&system) {
                Some((system.to_owned(), host.1.clone()))
            } else if ARCHITECTURES.contains(&architecture) {
                Some((host.0.clone(), architecture.to_owned()))
            } else {
                None
            }
        }
        [os, arch] | [os, arch, _] => Some((system(os).to_owned(), architecture(arch).to_owned())),
        _ => None,
    }
}

fn system(text: &str) -> &str {
    match text {
        "macos" => "darwin",
        other => other,
    }
}

fn architecture(text: &str) -> &str {
    match text {
        "i386" => "386",
        "x86_64" | "x86-64" => "amd64",
        "aarch64" => "arm64",
        "armhf" | "armel" => "arm",
        other => other,
    }
}
