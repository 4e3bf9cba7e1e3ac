//! Flags of `docker build` about the processes of RUN: what they may do, and what they find.

use std::collections::BTreeSet;
use std::net::IpAddr;

use clap::ArgAction;
use kigumi_plan::Entitlement;
use kigumi_run::Limit;

use super::ConfigError;

/// As typed.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct RunFlags {
    /// Permission that RUN may ask for: network.host, security.insecure or device, repeatable
    #[arg(long, value_name = "PERMISSION", action = ArgAction::Append, help_heading = "Run")]
    pub allow: Vec<String>,
    /// Line of /etc/hosts that RUN finds and the image does not get, repeatable
    #[arg(long, value_name = "NAME:ADDRESS", action = ArgAction::Append, help_heading = "Run")]
    pub add_host: Vec<String>,
    /// Resource limit of RUN, repeatable
    #[arg(long, value_name = "NAME=SOFT[:HARD]", action = ArgAction::Append, help_heading = "Run")]
    pub ulimit: Vec<String>,
}

/// What they mean.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunSettings {
    /// `--allow`
    pub allowed: BTreeSet<Entitlement>,
    /// `--add-host`, in order.
    pub hosts: Vec<ExtraHost>,
    /// `--ulimit`; of several with one name the last.
    pub limits: Vec<Limit>,
}

/// One `--add-host`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtraHost {
    /// The name.
    pub name: String,
    /// Its address.
    pub address: IpAddr,
}

impl RunSettings {
    /// What the flags mean.
    ///
    /// # Errors
    /// [`ConfigError::RunFlag`] for the first value that means nothing.
    pub fn new(flags: &RunFlags) -> Result<Self, ConfigError> {
        let mut settings = Self::default();
        for text in &flags.allow {
            let wrong = wrong("--allow", text);
            settings.allowed.extend(entitlement(text).map_err(wrong)?);
        }
        for text in &flags.add_host {
            let wrong = wrong("--add-host", text);
            settings.hosts.push(host(text).map_err(wrong)?);
        }
        for text in &flags.ulimit {
            let limit = limit(text).map_err(wrong("--ulimit", text))?;
            settings.limits.retain(|other| other.name != limit.name);
            settings.limits.push(limit);
        }
        Ok(settings)
    }
}

fn wrong(flag: &'static str, text: &str) -> impl FnOnce(String) -> ConfigError {
    let text = text.to_owned();
    move |reason| ConfigError::RunFlag { flag, text, reason }
}

/// Devices need no permission here: a pod has only those that were given to it.
fn entitlement(text: &str) -> Result<Option<Entitlement>, String> {
    let known = [Entitlement::NetworkHost, Entitlement::SecurityInsecure];
    match known.into_iter().find(|known| known.name() == text) {
        Some(found) => Ok(Some(found)),
        None if text == "device" || text.starts_with("device=") => Ok(None),
        None => Err("it is one of `network.host`, `security.insecure`, `device`".to_owned()),
    }
}

/// `name:address` or `name=address`, an IPv6 address in brackets or not.
fn host(text: &str) -> Result<ExtraHost, String> {
    let parts = text.split_once('=').or_else(|| text.split_once(':'));
    let (name, written) = parts.ok_or("expected NAME:ADDRESS")?;
    let is_name = |name: &str| {
        let mut bytes = name.bytes();
        !name.is_empty() && bytes.all(|byte| byte.is_ascii_graphic() && byte != b'#')
    };
    if !is_name(name) {
        return Err(format!("`{name}` is no name of a host"));
    }
    if written == "host-gateway" {
        return Err("a pod has no `host-gateway`; give an address".to_owned());
    }
    let bare = written
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(written);
    let address = bare
        .parse()
        .map_err(|_not_an_address| format!("`{written}` is no IP address"))?;
    Ok(ExtraHost {
        name: name.to_owned(),
        address,
    })
}

/// `name=soft[:hard]`; without a hard limit it is the soft one, `-1` is none.
fn limit(text: &str) -> Result<Limit, String> {
    let (name, values) = text.split_once('=').ok_or("expected NAME=SOFT[:HARD]")?;
    let (soft, hard) = values.split_once(':').unwrap_or((values, values));
    let (soft, hard) = (limit_value(soft)?, limit_value(hard)?);
    // No limit is the largest.
    if soft.unwrap_or(u64::MAX) > hard.unwrap_or(u64::MAX) {
        return Err("the soft limit is above the hard one".to_owned());
    }
    Limit::new(name, soft, hard).ok_or_else(|| {
        let names: Vec<&str> = Limit::names().collect();
        format!(
            "there is no limit `{name}`; it is one of {}",
            names.join(", ")
        )
    })
}

fn limit_value(text: &str) -> Result<Option<u64>, String> {
    if text == "-1" {
        return Ok(None);
    }
    let number = text.parse();
    number
        .map(Some)
        .map_err(|_no_number| format!("`{text}` is neither a number nor -1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(flag: &str, values: &[&str]) -> Result<RunSettings, ConfigError> {
        let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
        let mut flags = RunFlags::default();
        match flag {
            "allow" => flags.allow = values,
            "add-host" => flags.add_host = values,
            _ => flags.ulimit = values,
        }
        RunSettings::new(&flags)
    }

    #[test]
    fn a_host_is_a_name_and_an_address_of_either_kind() {
        for (text, name, address) in [
            ("a.example:10.1.2.3", "a.example", "10.1.2.3"),
            ("a=10.1.2.3", "a", "10.1.2.3"),
            ("a:::1", "a", "::1"),
            ("a:[2001:db8::1]", "a", "2001:db8::1"),
            ("a=[::1]", "a", "::1"),
            ("a=2001:db8::1", "a", "2001:db8::1"),
        ] {
            let found = settings("add-host", &[text]).unwrap().hosts;
            let wanted = ExtraHost {
                name: name.to_owned(),
                address: address.parse().unwrap(),
            };
            assert_eq!(found, [wanted], "{text}");
        }
    }

    #[test]
    fn a_host_that_would_make_another_line_is_refused_with_the_reason() {
        for (text, reason) in [
            ("a", "expected NAME:ADDRESS"),
            (":10.1.2.3", "no name of a host"),
            ("a b:10.1.2.3", "no name of a host"),
            ("a\n10.0.0.1 b:10.1.2.3", "no name of a host"),
            ("a#:10.1.2.3", "no name of a host"),
            ("a:10.1.2", "`10.1.2` is no IP address"),
            ("a:10.1.2.3 b", "is no IP address"),
            ("a:host-gateway", "host-gateway"),
        ] {
            let error = settings("add-host", &[text]).unwrap_err().to_string();
            assert!(error.contains("--add-host"), "{error}");
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn a_limit_is_one_number_or_two() {
        for (text, shown) in [
            ("nofile=1024", "nofile=1024:1024"),
            ("nofile=1024:4096", "nofile=1024:4096"),
            ("nofile=1024:-1", "nofile=1024:-1"),
            ("core=-1", "core=-1:-1"),
            ("nproc=0:0", "nproc=0:0"),
        ] {
            let found = settings("ulimit", &[text]).unwrap().limits;
            let found: Vec<String> = found.iter().map(ToString::to_string).collect();
            assert_eq!(found, [shown], "{text}");
        }
        let last = settings("ulimit", &["nofile=1", "core=2", "nofile=3"]).unwrap();
        let shown: Vec<String> = last.limits.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["core=2:2", "nofile=3:3"]);
    }

    #[test]
    fn a_limit_that_is_none_is_refused_with_the_reason() {
        for (text, reason) in [
            ("nofile", "expected NAME=SOFT[:HARD]"),
            ("nofile=", "neither a number nor -1"),
            ("nofile=a:1", "`a` is neither a number nor -1"),
            ("nofile=1:2:3", "`2:3` is neither a number nor -1"),
            ("nofile=2:1", "above the hard one"),
            ("nofile=-1:1", "above the hard one"),
            ("nofiles=1", "no limit `nofiles`; it is one of core, cpu"),
        ] {
            let error = settings("ulimit", &[text]).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn permissions_are_those_of_buildkit() {
        let found = settings("allow", &["network.host", "device", "device=a/b=c"]).unwrap();
        assert_eq!(found.allowed, BTreeSet::from([Entitlement::NetworkHost]));
        let error = settings("allow", &["network"]).unwrap_err().to_string();
        assert!(error.contains("--allow `network`") && error.contains("security.insecure"));
    }
}
