//! `~/.aws/config` and `~/.aws/credentials`, as far as a pod uses them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Credentials;
use super::sts::WebIdentity;
use crate::Secret;
use crate::cloud::surroundings::read_named;
use crate::cloud::{Error, Provider, Surroundings};

type Section = BTreeMap<String, String>;

/// The profile in use.
#[derive(Default)]
pub(super) struct Profiles {
    name: String,
    section: Section,
    secrets: Option<(Secret<String>, Option<Secret<String>>)>,
    origin: String,
}

impl std::fmt::Debug for Profiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Profiles({})", self.name)
    }
}

/// What says how to get credentials in a way that needs more than this program.
const UNSUPPORTED: [(&str, &str); 6] = [
    ("credential_process", "a program that prints credentials"),
    ("sso_session", "IAM Identity Center"),
    ("sso_start_url", "IAM Identity Center"),
    ("source_profile", "a role assumed from another profile"),
    ("credential_source", "a role assumed from the environment"),
    ("login_session", "a console login"),
];

impl Profiles {
    /// Files that are not there are empty, unless a variable names them.
    pub(super) fn read(surroundings: &Surroundings) -> Result<Self, Error> {
        let chosen = surroundings
            .variable("AWS_PROFILE")
            .or_else(|| surroundings.variable("AWS_DEFAULT_PROFILE"));
        let name = chosen.unwrap_or("default").to_owned();
        let config = file(surroundings, "AWS_CONFIG_FILE", ".aws/config")?;
        let keys = file(
            surroundings,
            "AWS_SHARED_CREDENTIALS_FILE",
            ".aws/credentials",
        )?;
        let mut section = Section::new();
        let mut origins = Vec::new();
        for (found, prefixed) in [(config, true), (keys, false)] {
            let Some((path, text)) = found else { continue };
            let wanted = if prefixed && name != "default" {
                format!("profile {name}")
            } else {
                name.clone()
            };
            if let Some(more) = sections(&text).remove(&wanted) {
                section.extend(more);
                origins.push(path.display().to_string());
            }
        }
        if origins.is_empty()
            && let Some(name) = chosen
        {
            return Err(Error::configuration(
                Provider::Aws,
                format!("there is no profile `{name}`, which AWS_PROFILE names"),
                "mount the files of ~/.aws, or unset AWS_PROFILE",
            ));
        }
        let secrets = section.get("aws_secret_access_key").map(|key| {
            let token = section.get("aws_session_token");
            (
                surroundings.secret(key.as_str()),
                token.map(|token| surroundings.secret(token.as_str())),
            )
        });
        Ok(Self {
            name,
            section,
            secrets,
            origin: origins.join(" and "),
        })
    }

    pub(super) fn setting(&self, name: &str) -> Option<String> {
        let value = self.section.get(name)?;
        (!value.is_empty()).then(|| value.clone())
    }

    pub(super) fn region(&self) -> Option<String> {
        self.setting("region")
    }

    /// The keys of the profile.
    pub(super) fn credentials(&self) -> Result<Option<Credentials>, Error> {
        if let (Some(id), Some((key, token))) = (self.setting("aws_access_key_id"), &self.secrets) {
            return Ok(Some(Credentials {
                access_key_id: id,
                secret_access_key: key.clone(),
                session_token: token.clone(),
                expires: None,
                source: format!("profile `{}` of {}", self.name, self.origin),
            }));
        }
        for (setting, what) in UNSUPPORTED {
            if self.setting(setting).is_some() {
                return Err(Error::configuration(
                    Provider::Aws,
                    format!(
                        "profile `{}` of {} has `{setting}` ({what}), which is not supported",
                        self.name, self.origin
                    ),
                    "use keys, role_arn with web_identity_token_file, or the role of the pod",
                ));
            }
        }
        Ok(None)
    }

    /// `role_arn` and `web_identity_token_file`.
    pub(super) fn web_identity(&self, surroundings: &Surroundings) -> Option<WebIdentity> {
        let role = self.setting("role_arn")?;
        let file = self.setting("web_identity_token_file")?;
        Some(WebIdentity::new(
            surroundings,
            role,
            self.setting("role_session_name"),
            (Path::new(&file), "web_identity_token_file of the profile"),
        ))
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
