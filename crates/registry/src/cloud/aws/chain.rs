//! What a profile says of its credentials, as a value: where the first ones are from, and the roles that are assumed with them one after the other.

use std::path::Path;

use super::Credentials;
use super::assume::Role;
use super::process::Process;
use super::profile::{Files, Profile};
use super::sso::Sso;
use super::sts::WebIdentity;
use crate::cloud::{Error, Surroundings};

const ROLE_FIX: &str = "give it source_profile, credential_source or web_identity_token_file";

/// Credentials and what becomes of them.
#[derive(Debug)]
pub(super) struct Chain {
    pub(super) source: Source,
    /// The first one is assumed with the source's credentials.
    pub(super) roles: Vec<Role>,
}

/// Where credentials are from.
#[derive(Debug)]
pub(super) enum Source {
    /// `aws_access_key_id`
    Keys(Credentials),
    /// `web_identity_token_file`
    WebIdentity(WebIdentity),
    /// `sso_session`, `sso_start_url`
    Sso(Sso),
    /// `credential_process`
    Process(Process),
    /// `credential_source = Environment`
    Environment,
    /// `credential_source = EcsContainer`
    Container,
    /// `credential_source = Ec2InstanceMetadata`
    Instance,
}

/// Follows `source_profile` to its end. `None` when the profile says nothing of credentials.
pub(super) fn resolve(
    surroundings: &Surroundings,
    files: &Files,
    used: &Profile,
) -> Result<Option<Chain>, Error> {
    let mut roles = Vec::new();
    let mut visited: Vec<&str> = Vec::new();
    let mut profile = used;
    loop {
        let begins = visited.is_empty();
        // A profile with keys is an end, unless it is the one in use: that wants its role.
        let keys = if begins && profile.get("role_arn").is_some() {
            None
        } else {
            keys(surroundings, profile)?
        };
        let source = match keys {
            Some(keys) => Some(Source::Keys(keys)),
            None if is_role(profile) => {
                let role = Role::of(profile)?;
                match next(files, profile)? {
                    Next::Source(source) => {
                        roles.push(role);
                        Some(*source)
                    }
                    Next::Profile(next) => {
                        visited.push(profile.name());
                        let has_keys = next.get("aws_access_key_id").is_some();
                        if visited.contains(&next.name()) && !has_keys {
                            return Err(profile.wrong(
                                "has a source_profile that leads back to it",
                                "let the last profile have keys or another source",
                            ));
                        }
                        roles.push(role);
                        profile = next;
                        continue;
                    }
                }
            }
            None => own(surroundings, files, profile)?,
        };
        roles.reverse();
        return match source {
            Some(source) => Ok(Some(Chain { source, roles })),
            None if begins => Ok(None),
            None => Err(profile.wrong(
                "is a source_profile and has no credentials",
                "give it keys, credential_process or a role",
            )),
        };
    }
}

/// Whether it is a role that other credentials assume.
fn is_role(profile: &Profile) -> bool {
    profile.get("role_arn").is_some() && profile.get("web_identity_token_file").is_none()
}

enum Next<'a> {
    Source(Box<Source>),
    Profile(&'a Profile),
}

/// What a profile's role is assumed with.
fn next<'a>(files: &'a Files, profile: &Profile) -> Result<Next<'a>, Error> {
    match (
        profile.get("source_profile"),
        profile.get("credential_source"),
    ) {
        (Some(_), Some(_)) => Err(profile.wrong(
            "has source_profile and credential_source",
            "remove one of them",
        )),
        (None, None) => {
            Err(profile.wrong("has a role_arn and nothing to assume it with", ROLE_FIX))
        }
        (Some(name), None) => files.profile(name).map(Next::Profile).ok_or_else(|| {
            profile.wrong(
                format!("has the source_profile `{name}`, which is not there"),
                "correct the name, or mount the file that has it",
            )
        }),
        (None, Some("Environment")) => Ok(Next::Source(Box::new(Source::Environment))),
        (None, Some("EcsContainer")) => Ok(Next::Source(Box::new(Source::Container))),
        (None, Some("Ec2InstanceMetadata")) => Ok(Next::Source(Box::new(Source::Instance))),
        (None, Some(other)) => Err(profile.wrong(
            format!("has the credential_source `{other}`"),
            "it is Environment, EcsContainer or Ec2InstanceMetadata",
        )),
    }
}

/// The profile's own credentials but its keys.
fn own(
    surroundings: &Surroundings,
    files: &Files,
    profile: &Profile,
) -> Result<Option<Source>, Error> {
    if let (Some(role), Some(file)) = (
        profile.get("role_arn"),
        profile.get("web_identity_token_file"),
    ) {
        return Ok(Some(Source::WebIdentity(WebIdentity::new(
            surroundings,
            role.to_owned(),
            profile.get("role_session_name").map(str::to_owned),
            (Path::new(file), "web_identity_token_file of the profile"),
        ))));
    }
    if let Some(sso) = Sso::of(surroundings, files, profile)? {
        return Ok(Some(Source::Sso(sso)));
    }
    if let Some(process) = Process::of(surroundings, profile)? {
        return Ok(Some(Source::Process(process)));
    }
    if profile.get("login_session").is_some() {
        return Err(profile.wrong(
            "has `login_session` (a console login), which is not supported",
            "use keys, a role, credential_process, SSO, or the role of the pod",
        ));
    }
    Ok(None)
}

fn keys(surroundings: &Surroundings, profile: &Profile) -> Result<Option<Credentials>, Error> {
    match (
        profile.get("aws_access_key_id"),
        profile.get("aws_secret_access_key"),
    ) {
        (None, None) => Ok(None),
        (Some(id), Some(key)) => Ok(Some(Credentials {
            access_key_id: id.to_owned(),
            secret_access_key: surroundings.secret(key),
            session_token: profile
                .get("aws_session_token")
                .map(|token| surroundings.secret(token)),
            expires: None,
            source: profile.title(),
        })),
        _ => Err(profile.wrong(
            "has only one of aws_access_key_id and aws_secret_access_key",
            "set both, or neither",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ClientConfig;
    use crate::cloud::Http;

    /// The source and the roles in the order in which they are assumed, or the error.
    fn resolved(text: &str) -> Result<(String, Vec<String>), String> {
        let http = Http::new(&ClientConfig::default()).unwrap();
        let surroundings = Surroundings::new([].into(), http, |_| {});
        let files = Files::of_config(text);
        let used = files.profile("used").unwrap();
        let chain = resolve(&surroundings, &files, used).map_err(|error| error.to_string())?;
        let chain = chain.ok_or("nothing")?;
        let source = match chain.source {
            Source::Keys(keys) => keys.access_key_id,
            Source::Environment => "environment".to_owned(),
            Source::Container => "container".to_owned(),
            Source::Instance => "instance".to_owned(),
            Source::WebIdentity(_) => "web".to_owned(),
            Source::Sso(_) => "sso".to_owned(),
            Source::Process(_) => "process".to_owned(),
        };
        let roles = chain.roles.iter().map(|role| role.arn().to_owned());
        Ok((source, roles.collect()))
    }

    #[test]
    fn a_profile_leads_to_a_source_and_the_roles_on_the_way() {
        let keys = "aws_access_key_id = K\naws_secret_access_key = s\n";
        let cases = [
            (keys.to_owned(), "K", vec![]),
            (
                format!("role_arn = a\nsource_profile = b\n[profile b]\n{keys}"),
                "K",
                vec!["a"],
            ),
            (
                format!("role_arn = a\nsource_profile = b\n[profile b]\nrole_arn = c\nsource_profile = default\n[default]\n{keys}"),
                "K",
                vec!["c", "a"],
            ),
            // A profile may be its own source.
            (
                format!("role_arn = a\nsource_profile = used\n{keys}"),
                "K",
                vec!["a"],
            ),
            // Keys of a source are used, and not its role.
            (
                format!("role_arn = a\nsource_profile = b\n[profile b]\nrole_arn = c\nsource_profile = used\n{keys}"),
                "K",
                vec!["a"],
            ),
            (
                "role_arn = a\ncredential_source = Ec2InstanceMetadata\n".to_owned(),
                "instance",
                vec!["a"],
            ),
            (
                "role_arn = a\ncredential_source = EcsContainer\n".to_owned(),
                "container",
                vec!["a"],
            ),
            (
                "role_arn = a\ncredential_source = Environment\n".to_owned(),
                "environment",
                vec!["a"],
            ),
            (
                "role_arn = a\nsource_profile = b\n[profile b]\nrole_arn = c\nweb_identity_token_file = /no\n".to_owned(),
                "web",
                vec!["a"],
            ),
        ];
        for (text, source, roles) in cases {
            let found = resolved(&format!("[profile used]\n{text}"));
            let roles = roles.into_iter().map(str::to_owned).collect();
            assert_eq!(found, Ok((source.to_owned(), roles)), "{text}");
        }
        assert_eq!(
            resolved("[profile used]\nregion = r"),
            Err("nothing".into())
        );
    }

    #[test]
    fn a_profile_that_leads_nowhere_is_named_with_what_to_do() {
        for (text, parts) in [
            ("role_arn = a", ["`used`", ROLE_FIX]),
            (
                "role_arn = a\nsource_profile = no",
                ["`no`", "correct the name"],
            ),
            (
                "role_arn = a\nsource_profile = b\n[profile b]\nregion = r",
                ["`b`", "has no credentials"],
            ),
            (
                "role_arn = a\nsource_profile = b\n[profile b]\nrole_arn = c\nsource_profile = used",
                ["`b`", "leads back"],
            ),
            (
                "role_arn = a\nsource_profile = used",
                ["`used`", "leads back"],
            ),
            (
                "role_arn = a\nsource_profile = b\ncredential_source = Environment",
                ["`used`", "remove one"],
            ),
            (
                "role_arn = a\ncredential_source = Moon",
                ["`Moon`", "EcsContainer"],
            ),
            (
                "role_arn = a\nmfa_serial = m\nsource_profile = b",
                ["mfa_serial", "not supported"],
            ),
            (
                "role_arn = a\nduration_seconds = 5\nsource_profile = b",
                ["duration_seconds", "900"],
            ),
            (
                "aws_access_key_id = K",
                ["aws_secret_access_key", "set both"],
            ),
            ("login_session = x", ["login_session", "not supported"]),
        ] {
            let error = resolved(&format!("[profile used]\n{text}\n")).unwrap_err();
            for part in parts {
                assert!(error.contains(part), "{text}: {error}");
            }
        }
    }
}
