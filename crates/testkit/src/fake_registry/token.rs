//! Who may do what: Basic, and Docker's token server at `/token` of the same registry.

use std::collections::{HashMap, HashSet};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;

use super::http::{Request, Response};

/// Who may do what.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Authentication {
    /// Everybody everything.
    #[default]
    None,
    /// User and password with every request.
    Basic {
        /// The user.
        username: String,
        /// The password.
        password: String,
    },
    /// Tokens from `/token`, for what they were asked for.
    Token {
        /// The user.
        username: String,
        /// The password, which is a refresh token for `POST` as well.
        password: String,
        /// Whether anybody gets a token to pull.
        anonymous_pull: bool,
        /// The repositories that the user may pull and push; all when empty.
        repositories: Vec<String>,
    },
}

impl Authentication {
    /// User and password with every request.
    pub fn basic(username: &str, password: &str) -> Self {
        Self::Basic {
            username: username.to_owned(),
            password: password.to_owned(),
        }
    }

    /// Tokens for a user who may do everything; nobody else may do anything.
    pub fn token(username: &str, password: &str) -> Self {
        Self::Token {
            username: username.to_owned(),
            password: password.to_owned(),
            anonymous_pull: false,
            repositories: Vec::new(),
        }
    }

    /// The same, and everybody may pull.
    #[must_use]
    pub fn with_anonymous_pull(mut self) -> Self {
        if let Self::Token { anonymous_pull, .. } = &mut self {
            *anonymous_pull = true;
        }
        self
    }

    /// The same for some repositories only; a token for any other is refused altogether.
    #[must_use]
    pub fn only_for(mut self, names: &[&str]) -> Self {
        if let Self::Token { repositories, .. } = &mut self {
            *repositories = names.iter().map(|name| (*name).to_owned()).collect();
        }
        self
    }
}

/// The tokens that were given out, and their scopes.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    given: HashMap<String, HashSet<String>>,
    count: u64,
}

impl Tokens {
    pub(super) fn clear(&mut self) {
        self.given.clear();
    }

    fn give(&mut self, scopes: HashSet<String>) -> String {
        self.count += 1;
        let token = format!("token-{}", self.count);
        self.given.insert(token.clone(), scopes);
        token
    }
}

/// What a request needs: an action on a repository each.
pub(super) type Needs = Vec<(String, &'static str)>;

/// `None` when the request may pass, else the refusal.
pub(super) fn check(
    authentication: &Authentication,
    tokens: &Tokens,
    request: &Request,
    needs: &Needs,
    authority: &str,
) -> Option<Response> {
    let given = request.header("authorization").unwrap_or_default();
    let (allowed, challenge) = match authentication {
        Authentication::None => return None,
        Authentication::Basic { username, password } => (
            given == basic(username, password),
            "Basic realm=\"fake\"".to_owned(),
        ),
        Authentication::Token { .. } => {
            let scopes = given
                .strip_prefix("Bearer ")
                .and_then(|token| tokens.given.get(token));
            let allowed = scopes.is_some_and(|scopes| {
                let has = |(repository, action): &(String, &str)| {
                    scopes.contains(&format!("{repository}:{action}"))
                };
                needs.iter().all(has)
            });
            let challenge = format!("Bearer realm=\"http://{authority}/token\",service=\"fake\"");
            (allowed, challenge)
        }
    };
    if allowed {
        return None;
    }
    let refusal = super::serve::error(401, "UNAUTHORIZED", "authentication required");
    Some(refusal.header("WWW-Authenticate", challenge))
}

/// The token server.
pub(super) fn serve(
    authentication: &Authentication,
    tokens: &mut Tokens,
    request: &Request,
) -> Response {
    let Authentication::Token {
        username,
        password,
        anonymous_pull,
        repositories,
    } = authentication
    else {
        return Response::new(404);
    };
    let form: Vec<(String, String)> = if request.method == "POST" {
        url::form_urlencoded::parse(&request.body)
            .into_owned()
            .collect()
    } else {
        request.query.clone()
    };
    let refresh = super::find(&form, "refresh_token");
    let known = request.header("authorization") == Some(basic(username, password).as_str())
        || refresh == Some(password.as_str());
    let scopes = form.iter().filter(|(key, _)| key == "scope");
    let wanted: HashSet<String> = scopes
        .flat_map(|(_, value)| value.split(' '))
        .filter_map(|scope| scope.strip_prefix("repository:")?.rsplit_once(':'))
        .flat_map(|(name, actions)| {
            actions
                .split(',')
                .map(move |action| format!("{name}:{action}"))
        })
        .collect();
    let is_allowed = |scope: &String| {
        let (name, action) = scope.rsplit_once(':').unwrap_or_default();
        let own = known && (repositories.is_empty() || repositories.iter().any(|own| own == name));
        own || (*anonymous_pull && action == "pull")
    };
    let presented = request.header("authorization").is_some() || refresh.is_some();
    if (presented && !known) || !wanted.iter().all(is_allowed) {
        return super::serve::error(401, "UNAUTHORIZED", "no token for you");
    }
    let token = tokens.give(wanted);
    Response::new(200)
        .header("Content-Type", "application/json")
        .body(json!({"token": token, "expires_in": 300}).to_string())
}

fn basic(username: &str, password: &str) -> String {
    let encoded = BASE64_STANDARD.encode(format!("{username}:{password}"));
    format!("Basic {encoded}")
}
