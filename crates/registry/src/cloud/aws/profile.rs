//! `~/.aws/config` and `~/.aws/credentials`: their profiles, and which one is in use.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::chain::{Chain, resolve};
use crate::cloud::surroundings::read_named;
use crate::cloud::{Error, Provider, Surroundings};

/// Settings by their names.
pub(super) type Section = BTreeMap<String, String>;

/// What both files say of a profile.
#[derive(Default)]
pub(super) struct Profile {
    name: String,
    section: Section,
    origins: Vec<String>,
}

/// All profiles of both files.
#[derive(Default)]
pub(super) struct Files {
    profiles: BTreeMap<String, Profile>,
    /// `[sso-session …]`
    sessions: BTreeMap<String, Section>,
}

/// The profile in use.
pub(super) struct Profiles {
    used: Profile,
    chain: Result<Option<Chain>, Error>,
}

impl std::fmt::Debug for Profiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Profiles({})", self.used.name)
    }
}

impl Profile {
    /// A setting that is set to something.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let value = self.section.get(name)?;
        (!value.is_empty()).then_some(value)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// ``profile `ci` of /root/.aws/config``
    pub(super) fn title(&self) -> String {
        format!("profile `{}` of {}", self.name, self.origins.join(" and "))
    }

    /// An error that names the profile.
    pub(super) fn wrong(&self, what: impl std::fmt::Display, fix: impl Into<String>) -> Error {
        Error::configuration(Provider::Aws, format!("{} {what}", self.title()), fix)
    }
}

impl Files {
    fn read(surroundings: &Surroundings) -> Result<Self, Error> {
        let config = file(surroundings, "AWS_CONFIG_FILE", ".aws/config")?;
        let keys = file(
            surroundings,
            "AWS_SHARED_CREDENTIALS_FILE",
            ".aws/credentials",
        )?;
        let mut files = Self::default();
        if let Some((path, text)) = config {
            files.add(&path, &text, config_name);
        }
        if let Some((path, text)) = keys {
            files.add(&path, &text, |header| Some(Header::Profile(header)));
        }
        Ok(files)
    }

    /// What a later file says wins.
    fn add(&mut self, path: &Path, text: &str, kind: impl Fn(&str) -> Option<Header<'_>>) {
        for (header, section) in sections(text) {
            match kind(&header) {
                Some(Header::Profile(name)) => {
                    let profile = self.profiles.entry(name.to_owned()).or_default();
                    name.clone_into(&mut profile.name);
                    profile.section.extend(section);
                    profile.origins.push(path.display().to_string());
                }
                Some(Header::Session(name)) => {
                    self.sessions.insert(name.to_owned(), section);
                }
                None => {}
            }
        }
    }

    pub(super) fn profile(&self, name: &str) -> Option<&Profile> {
        self.profiles.get(name)
    }

    pub(super) fn session(&self, name: &str) -> Option<&Section> {
        self.sessions.get(name)
    }

    #[cfg(test)]
    pub(super) fn of_config(text: &str) -> Self {
        let mut files = Self::default();
        files.add(Path::new("config"), text, config_name);
        files
    }
}

/// What a header of a file names.
enum Header<'a> {
    Profile(&'a str),
    Session(&'a str),
}

/// In `config`, profiles but the default one have a prefix; there are sections of other things, too.
fn config_name(header: &str) -> Option<Header<'_>> {
    if header == "default" {
        return Some(Header::Profile(header));
    }
    match header.split_once(' ')? {
        ("profile", name) => Some(Header::Profile(name)),
        ("sso-session", name) => Some(Header::Session(name)),
        _ => None,
    }
}

impl Profiles {
    /// Files that are not there are empty, unless a variable names them.
    pub(super) fn read(surroundings: &Surroundings) -> Result<Self, Error> {
        let chosen = surroundings
            .variable("AWS_PROFILE")
            .or_else(|| surroundings.variable("AWS_DEFAULT_PROFILE"));
        let name = chosen.unwrap_or("default").to_owned();
        let mut files = Files::read(surroundings)?;
        if chosen.is_some() && files.profile(&name).is_none() {
            return Err(Error::configuration(
                Provider::Aws,
                format!("there is no profile `{name}`, which AWS_PROFILE names"),
                "mount the files of ~/.aws, or unset AWS_PROFILE",
            ));
        }
        let chain = match files.profile(&name) {
            Some(profile) => resolve(surroundings, &files, profile),
            None => Ok(None),
        };
        Ok(Self {
            used: files.profiles.remove(&name).unwrap_or_default(),
            chain,
        })
    }

    pub(super) fn setting(&self, name: &str) -> Option<String> {
        self.used.get(name).map(str::to_owned)
    }

    pub(super) fn region(&self) -> Option<String> {
        self.setting("region")
    }

    /// How the profile's credentials are had; `None` when it says nothing of them.
    pub(super) fn chain(&self) -> Result<Option<&Chain>, Error> {
        self.chain
            .as_ref()
            .map(Option::as_ref)
            .map_err(Clone::clone)
    }
}

fn file(
    surroundings: &Surroundings,
    variable: &str,
    at_home: &str,
) -> Result<Option<(PathBuf, String)>, Error> {
    if let Some(path) = surroundings.variable(variable).map(PathBuf::from) {
        let text = read_named(Provider::Aws, &path, variable)?;
        return Ok(Some((path, text)));
    }
    let Some(path) = surroundings.at_home(at_home) else {
        return Ok(None);
    };
    if !path.exists() {
        return Ok(None);
    }
    let text = read_named(Provider::Aws, &path, "the AWS SDKs' default")?;
    Ok(Some((path, text)))
}

/// Sections of `name = value` lines. Nested settings (indented) belong to other services and are left out.
fn sections(text: &str) -> BTreeMap<String, Section> {
    let mut sections: BTreeMap<String, Section> = BTreeMap::new();
    let mut current: Option<String> = None;
    for line in text.lines() {
        let bare = line.trim();
        if bare.is_empty() || bare.starts_with(['#', ';']) || line.starts_with([' ', '\t']) {
            continue;
        }
        if let Some(name) = bare.strip_prefix('[') {
            let name = name.split(']').next().unwrap_or_default();
            let words: Vec<&str> = name.split_ascii_whitespace().collect();
            let name = words.join(" ");
            sections.entry(name.clone()).or_default();
            current = Some(name);
        } else if let (Some((key, value)), Some(name)) = (bare.split_once('='), &current) {
            let value = value.split(" #").next().unwrap_or_default().trim();
            sections
                .entry(name.clone())
                .or_default()
                .insert(key.trim().to_ascii_lowercase(), value.to_owned());
        }
    }
    sections
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_read_as_the_sdks_read_them() {
        let text = "junk=1\n[default]\nRegion = eu-west-1 # here\n; no\n[profile  a b]\nx=y=z\ns3 =\n  addressing_style = path\n[default]\nq =\n";
        let found = sections(text);
        let default = &found["default"];
        assert_eq!(default["region"], "eu-west-1");
        assert_eq!(default["q"], "");
        assert_eq!(found["profile a b"]["x"], "y=z");
        assert!(!found["profile a b"].contains_key("addressing_style"));
        assert_eq!(found.len(), 2);
    }
}
