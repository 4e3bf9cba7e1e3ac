//! `WWW-Authenticate`, and which token server a registry may send us to. Pure. RFC 9110 § 11.6.1,
//! distribution-spec v1.1 § Authentication, Docker registry v2 authentication via central service.

use url::Url;

use crate::limits;

/// How a registry wants to be convinced.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Challenge {
    /// User and password with every request.
    Basic,
    /// A token from a token server.
    Bearer {
        /// The URL of the token server, as written.
        realm: String,
        /// The name the registry has there.
        service: Option<String>,
        /// What the registry thinks we need.
        scope: Option<String>,
    },
}

/// The challenge to answer out of all that were sent: a token is preferred, since it can be scoped.
pub fn choose<'a>(headers: impl IntoIterator<Item = &'a str>) -> Option<Challenge> {
    let mut challenges: Vec<Challenge> = headers.into_iter().flat_map(parse).collect();
    let bearer = challenges
        .iter()
        .position(|challenge| matches!(challenge, Challenge::Bearer { .. }));
    match bearer {
        Some(position) => Some(challenges.swap_remove(position)),
        None => challenges.pop(),
    }
}

/// The challenges of one header that we can answer. What is malformed gives none.
pub fn parse(header: &str) -> Vec<Challenge> {
    if header.len() > limits::CHALLENGE {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut rest = header.trim_start_matches([' ', '\t', ',']);
    while !rest.is_empty() {
        let Some((scheme, after)) = token(rest) else {
            break;
        };
        let Some((parameters, after)) = parameters(after) else {
            break;
        };
        found.extend(challenge(scheme, &parameters));
        rest = after.trim_start_matches([' ', '\t', ',']);
    }
    found
}

fn challenge(scheme: &str, parameters: &[(String, String)]) -> Option<Challenge> {
    let value = |name: &str| {
        parameters
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.clone())
    };
    match scheme.to_ascii_lowercase().as_str() {
        "basic" => Some(Challenge::Basic),
        "bearer" => Some(Challenge::Bearer {
            realm: value("realm")?,
            service: value("service").filter(|service| !service.is_empty()),
            scope: value("scope").filter(|scope| !scope.is_empty()),
        }),
        _ => None,
    }
}

/// `name=value` pairs up to the next scheme; `None` when they are malformed.
fn parameters(mut rest: &str) -> Option<(Vec<(String, String)>, &str)> {
    let mut found = Vec::new();
    loop {
        let trimmed = rest.trim_start_matches([' ', '\t', ',']);
        let Some((name, after)) = token(trimmed) else {
            return trimmed.is_empty().then_some((found, trimmed));
        };
        // A word without `=` is the next scheme.
        let Some(after) = after.trim_start_matches([' ', '\t']).strip_prefix('=') else {
            return Some((found, trimmed));
        };
        let after = after.trim_start_matches([' ', '\t']);
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted_string(quoted)?,
            None => token(after).map(|(value, after)| (value.to_owned(), after))?,
        };
        found.push((name.to_ascii_lowercase(), value));
        rest = after;
    }
}

fn token(text: &str) -> Option<(&str, &str)> {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~/:".contains(c);
    let end = text.find(|c| !is_token(c)).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

fn quoted_string(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return text.get(at + 1..).map(|rest| (value, rest)),
            '\\' => value.push(characters.next()?.1),
            _ => value.push(character),
        }
    }
    None
}

/// The token server's URL, if it is one that may get credentials of a registry whose base is `registry`.
///
/// # Errors
/// The rule it breaks (hostile inputs: realm rules). Addresses are checked when the connection is made.
pub fn realm_url(realm: &str, registry: &Url) -> Result<Url, &'static str> {
    if realm.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err("a token server's URL has no spaces or control characters");
    }
    let url = Url::parse(realm).map_err(|_| "a token server's URL is absolute")?;
    if url.host_str().is_none_or(str::is_empty) {
        return Err("a token server's URL has a host");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a token server's URL has no user in it");
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if registry.scheme() == "http" => Ok(url),
        "http" => Err("a registry on HTTPS may not ask for credentials over plain HTTP"),
        _ => Err("a token server is on HTTPS"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Challenge {
        Challenge::Bearer {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
            scope: scope.map(str::to_owned),
        }
    }

    #[test]
    fn challenges_of_the_field_are_read() {
        let hub = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#;
        let cases = [
            (
                hub,
                vec![bearer(
                    "https://auth.docker.io/token",
                    Some("registry.docker.io"),
                    Some("repository:a/b:pull,push"),
                )],
            ),
            (r#"Basic realm="Registry Realm""#, vec![Challenge::Basic]),
            ("basic", vec![Challenge::Basic]),
            (
                r#"BEARER  REALM = "https://a/t" , error="invalid_token""#,
                vec![bearer("https://a/t", None, None)],
            ),
            (
                "Bearer realm=https://a/t",
                vec![bearer("https://a/t", None, None)],
            ),
            (
                r#"Basic realm="x", Bearer realm="https://a/t",service="s""#,
                vec![Challenge::Basic, bearer("https://a/t", Some("s"), None)],
            ),
            (
                r#"Negotiate, Bearer realm="https://a/\"t""#,
                vec![bearer("https://a/\"t", None, None)],
            ),
        ];
        for (header, expected) in cases {
            assert_eq!(parse(header), expected, "{header}");
        }
    }

    #[test]
    fn malformed_challenges_give_nothing() {
        let long = format!("Bearer realm=\"{}\"", "a".repeat(1024 * 1024));
        for header in [
            "",
            ",",
            "Bearer",
            "Bearer realm",
            "Bearer realm=",
            "Bearer realm=\"unterminated",
            "Bearer realm=\"x\\",
            "=\"x\"",
            "Digest realm=\"x\"",
            &long,
        ] {
            assert_eq!(parse(header), [], "{header:.40}");
        }
    }

    #[test]
    fn a_token_is_preferred_wherever_it_is_offered() {
        let bearer = bearer("https://a/t", None, None);
        for headers in [
            ["Basic realm=x", "Bearer realm=\"https://a/t\""],
            ["Bearer realm=\"https://a/t\"", "Basic realm=x"],
        ] {
            assert_eq!(choose(headers), Some(bearer.clone()));
        }
        assert_eq!(choose(["Basic realm=x"]), Some(Challenge::Basic));
        assert_eq!(choose([]), None);
    }

    #[test]
    fn hostile_realms_are_refused() {
        let https = Url::parse("https://registry.test/").unwrap();
        let http = Url::parse("http://registry.test/").unwrap();
        for realm in [
            "",
            "/token",
            "registry.test/token",
            "http://auth.test/token",
            "http://registry.test/token",
            "ftp://auth.test/token",
            "file:///etc/passwd",
            "https://user@auth.test/",
            "https://user:secret@auth.test/",
            "https://auth.test/\ntoken",
            "https://auth.test/ token",
            "https://",
            "javascript:1",
        ] {
            assert!(realm_url(realm, &https).is_err(), "{realm:?}");
        }
        realm_url("https://auth.test/token?x=1", &https).unwrap();
        realm_url("http://auth.test/token", &http).unwrap();
        realm_url("https://auth.test/token", &http).unwrap();
    }

    proptest! {
        #[test]
        fn no_header_makes_the_parser_panic_or_hang(header in ".{0,200}") {
            parse(&header);
        }

        #[test]
        fn what_is_quoted_is_read_back(realm in "[ -~]{1,40}") {
            let quoted = realm.replace('\\', "\\\\").replace('"', "\\\"");
            let header = format!("Bearer realm=\"{quoted}\"");
            prop_assert_eq!(parse(&header), vec![bearer(&realm, None, None)]);
        }
    }
}
