use std::path::PathBuf;

use crate::cli::Environment;

/// Where credentials may be, most preferred first, each once (contract § 6.2).
pub(crate) fn credential_files(environment: &Environment) -> Vec<PathBuf> {
    let below = |name: &str, file: &str| {
        let value = environment.variables.get(name);
        let value = value.filter(|text| !text.is_empty())?;
        let path = environment.working_directory.join(value);
        Some(if file.is_empty() {
            path
        } else {
            path.join(file)
        })
    };
    let all = [
        below("DOCKER_CONFIG", "config.json"),
        below("REGISTRY_AUTH_FILE", ""),
        below("XDG_RUNTIME_DIR", "containers/auth.json"),
        below("HOME", ".docker/config.json"),
    ];
    let mut files = Vec::new();
    for file in all.into_iter().flatten() {
        if !files.contains(&file) {
            files.push(file);
        }
    }
    files
}

/// Where programs are looked for.
pub(crate) fn program_path(environment: &Environment) -> Vec<PathBuf> {
    let path = environment.variables.get("PATH");
    let path = path.map(String::as_str).unwrap_or_default();
    path.split(':')
        .filter(|part| !part.is_empty())
        .map(PathBuf::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_looked_for_in_the_order_of_the_contract_and_each_once() {
        let environment = |pairs: &[(&str, &str)]| Environment {
            variables: pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            working_directory: "/work".into(),
            ..Environment::default()
        };
        let all = environment(&[
            ("HOME", "/root"),
            ("XDG_RUNTIME_DIR", "/run/user/0"),
            ("REGISTRY_AUTH_FILE", "auth.json"),
            ("DOCKER_CONFIG", "/kaniko/.docker/"),
        ]);
        let expected = [
            "/kaniko/.docker/config.json",
            "/work/auth.json",
            "/run/user/0/containers/auth.json",
            "/root/.docker/config.json",
        ]
        .map(PathBuf::from);
        assert_eq!(credential_files(&all), expected);
        let same = environment(&[("HOME", "/root"), ("DOCKER_CONFIG", "/root/.docker")]);
        assert_eq!(credential_files(&same).len(), 1);
        assert!(credential_files(&environment(&[("HOME", "")])).is_empty());
    }
}
