//! Answers to the challenges of registries. Decides from the *actual* 401, not from a ping of `/v2/`: some registries
//! answer that one with 200 and want credentials all the same.
//!
//! One token server conversation at a time per registry, so that a dozen blobs do not ask for a dozen tokens.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use oci_client::token_cache::{RegistryToken, RegistryTokenType};
use reqwest::header::HeaderValue;
use serde::Deserialize;
use tokio::sync::Mutex;
use url::Url;

use crate::challenge::{self, Challenge};
use crate::client::{Endpoint, answer};
use crate::cloud::{self, cache::Leased};
use crate::keychain::{Credential, Keychain, Sourced, Turn};
use crate::transport::{Direction, Timeouts};
use crate::{Error, Operation, Repository, Secret, limits};

/// A token without `expires_in` lives this long (Docker registry v2 token specification).
const DEFAULT_LIFETIME: u64 = 60;
/// A program that looks up credentials has this long to answer.
const KEYCHAIN_TIMEOUT: Duration = Duration::from_mins(1);

/// What a token must allow.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Scopes {
    pub(crate) target: Repository,
    direction: Direction,
    /// Repositories of the same registry that blobs are mounted from.
    sources: BTreeSet<String>,
}

impl Scopes {
    pub(crate) fn new(target: &Repository, direction: Direction) -> Self {
        Self {
            target: target.clone(),
            direction,
            sources: BTreeSet::new(),
        }
    }

    /// A mount needs leave to pull from its source as well.
    pub(crate) fn and_pull(mut self, source: &Repository) -> Self {
        if *source != self.target {
            self.sources.insert(source.name().to_owned());
        }
        self
    }

    fn texts(&self) -> Vec<String> {
        let actions = match self.direction {
            Direction::Pull => "pull",
            Direction::Push => "pull,push",
        };
        let target = format!("repository:{}:{actions}", self.target.name());
        let sources = self
            .sources
            .iter()
            .map(|name| format!("repository:{name}:pull"));
        std::iter::once(target).chain(sources).collect()
    }
}

/// What goes with one request.
#[derive(Clone)]
pub(crate) struct Authorization {
    pub(crate) header: HeaderValue,
    /// Where the credential behind it came from, for people.
    pub(crate) label: String,
    /// What must not appear in a message.
    secret: Secret<String>,
    /// The user, for Basic; the secret is a token otherwise.
    username: Option<String>,
    /// Whether it was made for this very request: refused, it is the credential that is refused.
    fresh: bool,
}

impl Authorization {
    /// `text` without the secret, should a registry echo it.
    pub(crate) fn redact(&self, text: &str) -> String {
        text.replace(self.secret.expose().as_str(), "…")
    }

    /// The same for `oci-client`.
    pub(crate) fn for_oci_client(&self) -> RegistryTokenType {
        match &self.username {
            Some(username) => {
                RegistryTokenType::Basic(username.clone(), self.secret.expose().clone())
            }
            None => RegistryTokenType::Bearer(RegistryToken::Token {
                token: self.secret.expose().clone(),
            }),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Authenticator {
    keychain: Arc<dyn Keychain>,
    timeouts: Timeouts,
    user_agent_id: &'static str,
    sessions: StdMutex<HashMap<String, Arc<Mutex<Session>>>>,
}

#[derive(Default)]
struct Session {
    challenge: Option<Challenge>,
    tokens: HashMap<Scopes, Token>,
    sources: HashMap<Repository, Sources>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("challenge", &self.challenge)
            .finish_non_exhaustive()
    }
}

struct Token {
    value: Secret<String>,
    label: String,
    expires: Instant,
}

/// The credentials of a repository, and which of them is in use.
#[derive(Default)]
struct Sources {
    /// What the place of this turn knows.
    list: Vec<Sourced>,
    current: usize,
    turn: usize,
    /// Places that know nothing.
    empty: Vec<String>,
    /// Why places that should know something do not.
    failed: Vec<String>,
}

impl Sources {
    fn current(&self) -> Option<&Sourced> {
        self.list.get(self.current)
    }

    /// Whether the credential in use is about to end.
    fn is_stale(&self) -> bool {
        self.current().is_some_and(|sourced| {
            let lease = Leased {
                value: (),
                until: sourced.until,
            };
            lease.is_stale(SystemTime::now())
        })
    }

    fn label(&self, repository: &Repository) -> String {
        let mut label = self.current().map_or_else(
            || format!("no credentials for `{}`", repository.registry()),
            |sourced| format!("credentials: {}", sourced.source),
        );
        for reason in &self.failed {
            label.push_str("; ");
            label.push_str(reason);
        }
        label
    }

    /// Says which one is used and why, and of none its value.
    fn tell(&self, repository: &Repository) {
        let Some(sourced) = self.current() else {
            tracing::debug!(
                "no credentials for {repository}: nothing in {}",
                self.empty.join(", ")
            );
            return;
        };
        let nothing = if self.empty.is_empty() {
            String::new()
        } else {
            format!(" (nothing in {})", self.empty.join(", "))
        };
        tracing::info!("credentials for {repository}: {}{nothing}", sourced.source);
    }
}

/// Who asks: one request's endpoint, name and needs.
#[derive(Clone, Copy)]
pub(crate) struct Asker<'a> {
    pub(crate) endpoint: &'a Endpoint,
    pub(crate) operation: &'a Operation,
    pub(crate) scopes: &'a Scopes,
}

impl Authenticator {
    pub(crate) fn new(keychain: Arc<dyn Keychain>, timeouts: Timeouts) -> Self {
        Self {
            keychain,
            timeouts,
            user_agent_id: "kigumi",
            sessions: StdMutex::default(),
        }
    }

    fn session(&self, endpoint: &Endpoint) -> Arc<Mutex<Session>> {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let key = endpoint.base().as_str().to_owned();
        Arc::clone(sessions.entry(key).or_default())
    }

    /// What to send along, as far as the registry has asked for anything yet.
    pub(crate) async fn authorize(&self, asker: Asker<'_>) -> Result<Option<Authorization>, Error> {
        let session = self.session(asker.endpoint);
        let mut session = session.lock().await;
        self.renew(&mut session, asker).await?;
        match session.challenge.clone() {
            None => Ok(None),
            Some(Challenge::Basic) => self.basic(&mut session, asker).await,
            Some(Challenge::Bearer { realm, service, .. }) => {
                let server = TokenServer { realm, service };
                self.bearer(&mut session, asker, &server).await
            }
        }
    }

    /// Learns from a 401. Whether the request is worth another try.
    pub(crate) async fn reject(
        &self,
        asker: Asker<'_>,
        used: Option<&Authorization>,
        headers: &[String],
    ) -> Result<bool, Error> {
        let session = self.session(asker.endpoint);
        let mut session = session.lock().await;
        let Some(mut challenge) = challenge::choose(headers.iter().map(String::as_str)) else {
            return Ok(false);
        };
        // The scope is of this one request; ours say what we need.
        if let Challenge::Bearer { scope, .. } = &mut challenge {
            *scope = None;
        }
        let known = session.challenge.replace(challenge);
        let Some(used) = used else {
            return Ok(true);
        };
        if known != session.challenge {
            session.tokens.clear();
            return Ok(true);
        }
        let current = session.tokens.get(asker.scopes);
        let renewed = current.is_some_and(|token| token.value != used.secret);
        if renewed {
            return Ok(true);
        }
        session.tokens.remove(asker.scopes);
        if !used.fresh {
            return Ok(true);
        }
        // With mount sources in the scope, it may be those that are refused: the caller tries without them.
        if !asker.scopes.sources.is_empty() {
            return Ok(false);
        }
        let sources = self.sources(&mut session, asker).await?;
        self.advance(sources, asker).await
    }

    /// Forgets a token that a registry stopped taking in the middle of something.
    pub(crate) async fn forget(&self, endpoint: &Endpoint, scopes: &Scopes) {
        let session = self.session(endpoint);
        session.lock().await.tokens.remove(scopes);
    }

    /// The credentials for what is asked, looked up once.
    async fn sources<'a>(
        &self,
        session: &'a mut Session,
        asker: Asker<'_>,
    ) -> Result<&'a mut Sources, Error> {
        let repository = &asker.scopes.target;
        if !session.sources.contains_key(repository) {
            let mut sources = Sources::default();
            self.look_from(0, &mut sources, asker).await?;
            sources.tell(repository);
            session.sources.insert(repository.clone(), sources);
        }
        Ok(session.sources.entry(repository.clone()).or_default())
    }

    /// Asks again for a credential that is about to end.
    async fn renew(&self, session: &mut Session, asker: Asker<'_>) -> Result<(), Error> {
        let Some(sources) = session.sources.get_mut(&asker.scopes.target) else {
            return Ok(());
        };
        if !sources.is_stale() {
            return Ok(());
        }
        let current = sources.current;
        if self.look_from(sources.turn, sources, asker).await? {
            sources.current = current.min(sources.list.len().saturating_sub(1));
        }
        Ok(())
    }

    /// Goes on to the next credential; false when there is none.
    async fn advance(&self, sources: &mut Sources, asker: Asker<'_>) -> Result<bool, Error> {
        if let Some(refused) = sources.current() {
            tracing::debug!(source = %refused.source, "{}: refused", asker.scopes.target);
        }
        let more = if sources.current + 1 < sources.list.len() {
            sources.current += 1;
            true
        } else {
            self.look_from(sources.turn + 1, sources, asker).await?
        };
        if more {
            sources.tell(&asker.scopes.target);
        }
        Ok(more)
    }

    /// Asks one place after the other until one knows something; false, and nothing is changed, when none does.
    async fn look_from(
        &self,
        first: usize,
        sources: &mut Sources,
        asker: Asker<'_>,
    ) -> Result<bool, Error> {
        for turn in first.. {
            let Some(asked) = self.look_up(turn, asker).await? else {
                break;
            };
            match asked.outcome {
                Ok(list) if !list.is_empty() => {
                    sources.list = list;
                    sources.current = 0;
                    sources.turn = turn;
                    return Ok(true);
                }
                Ok(_) => sources.empty.push(asked.place),
                // The image may be public, or another place may know better.
                Err(Error::Identity { source, .. }) => {
                    let reason = chain(&*source);
                    if matches!(*source, cloud::Error::NoIdentity { .. }) {
                        tracing::debug!("{reason}");
                    } else {
                        tracing::warn!("{reason}");
                    }
                    sources.failed.push(reason);
                    sources.empty.push(asked.place);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    async fn look_up(&self, turn: usize, asker: Asker<'_>) -> Result<Option<Turn>, Error> {
        let keychain = Arc::clone(&self.keychain);
        let repository = asker.scopes.target.clone();
        let looking = tokio::task::spawn_blocking(move || keychain.turn(turn, &repository));
        match tokio::time::timeout(KEYCHAIN_TIMEOUT, looking).await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(_)) | Err(_) => Err(Error::Unauthenticated {
                operation: asker.operation.clone(),
                reason: "looking up the credentials did not come to an end".to_owned(),
                credential: "no credentials".to_owned(),
            }),
        }
    }

    async fn basic(
        &self,
        session: &mut Session,
        asker: Asker<'_>,
    ) -> Result<Option<Authorization>, Error> {
        let sources = self.sources(session, asker).await?;
        let label = sources.label(&asker.scopes.target);
        let refused = |reason: &str| Error::Unauthenticated {
            operation: asker.operation.clone(),
            reason: reason.to_owned(),
            credential: label.clone(),
        };
        match sources.current().map(|sourced| &sourced.credential) {
            None => Err(refused("the registry asks for user and password")),
            Some(Credential::Basic { username, password }) => {
                let encoded = encode_basic(username, password);
                Ok(Some(Authorization {
                    header: sensitive("Basic", &encoded)
                        .ok_or_else(|| refused("user or password cannot be sent in a header"))?,
                    label,
                    secret: password.clone(),
                    username: Some(username.clone()),
                    fresh: true,
                }))
            }
            Some(Credential::RegistryToken(token)) => bearer_header(token, label.clone(), true)
                .map(Some)
                .ok_or_else(|| refused("the token cannot be sent in a header")),
            Some(Credential::IdentityToken(_)) => Err(refused(
                "the registry asks for user and password, and there is only an identity token",
            )),
        }
    }

    async fn bearer(
        &self,
        session: &mut Session,
        asker: Asker<'_>,
        server: &TokenServer,
    ) -> Result<Option<Authorization>, Error> {
        if let Some(token) = session.tokens.get(asker.scopes)
            && Instant::now() < token.expires
        {
            return Ok(bearer_header(&token.value, token.label.clone(), false));
        }
        loop {
            let sources = self.sources(session, asker).await?;
            let label = sources.label(&asker.scopes.target);
            let credential = sources.current().map(|sourced| sourced.credential.clone());
            match self.token(asker, server, credential.as_ref(), &label).await {
                Ok(token) => {
                    let authorization = bearer_header(&token.value, label, true);
                    session.tokens.insert(asker.scopes.clone(), token);
                    return Ok(authorization);
                }
                // T-AUTH-04: after a 401 the next source is tried.
                Err(Error::TokenStatus { answer, realm, .. })
                    if matches!(answer.status, 401 | 403) && asker.scopes.sources.is_empty() =>
                {
                    if !self.advance(sources, asker).await? {
                        return Err(Error::TokenStatus {
                            operation: asker.operation.clone(),
                            realm,
                            answer,
                        });
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn token(
        &self,
        asker: Asker<'_>,
        server: &TokenServer,
        credential: Option<&Credential>,
        label: &str,
    ) -> Result<Token, Error> {
        if let Some(Credential::RegistryToken(token)) = credential {
            return Ok(Token {
                value: token.clone(),
                label: label.to_owned(),
                expires: Instant::now() + Duration::from_secs(DEFAULT_LIFETIME),
            });
        }
        let url = challenge::realm_url(&server.realm, asker.endpoint.base())
            .map_err(|reason| refused_realm(asker, &server.realm, reason))?;
        let request = self
            .token_request(asker, server, credential, url.clone())
            .await?;
        let response = answer::within(self.timeouts.stall, asker.operation, request.send()).await?;
        let realm = url.origin().ascii_serialization();
        let secret = credential.map(secret_of);
        if !response.status().is_success() {
            let mut answer =
                answer::error_answer(response, label.to_owned(), self.timeouts.stall).await;
            if let Some(secret) = secret {
                answer.message = answer.message.replace(secret.expose().as_str(), "…");
            }
            return Err(Error::TokenStatus {
                operation: asker.operation.clone(),
                realm,
                answer: Box::new(answer),
            });
        }
        let body =
            answer::body(response, limits::JSON, self.timeouts.stall, asker.operation).await?;
        read_token(&body, label).ok_or_else(|| Error::Protocol {
            operation: asker.operation.clone(),
            what: format!("the token server {realm} answered without a usable token"),
        })
    }

    async fn token_request(
        &self,
        asker: Asker<'_>,
        server: &TokenServer,
        credential: Option<&Credential>,
        mut url: Url,
    ) -> Result<reqwest::RequestBuilder, Error> {
        let client = asker
            .endpoint
            .client_for(&url)
            .await
            .map_err(|reason| refused_realm(asker, &server.realm, reason))?;
        let scopes = asker.scopes.texts();
        if let Some(Credential::IdentityToken(token)) = credential {
            // OAuth2 in Docker's form: POST with a refresh token.
            let mut form = url::form_urlencoded::Serializer::new(String::new());
            form.append_pair("grant_type", "refresh_token")
                .append_pair("client_id", self.user_agent_id)
                .append_pair("service", server.service.as_deref().unwrap_or_default())
                .append_pair("scope", &scopes.join(" "))
                .append_pair("refresh_token", token.expose());
            return Ok(client
                .post(url)
                .header(
                    reqwest::header::CONTENT_TYPE,
                    "application/x-www-form-urlencoded",
                )
                .body(form.finish()));
        }
        {
            let mut query = url.query_pairs_mut();
            if let Some(service) = &server.service {
                query.append_pair("service", service);
            }
            for scope in &scopes {
                query.append_pair("scope", scope);
            }
        }
        let mut request = client.get(url);
        if let Some(Credential::Basic { username, password }) = credential
            && let Some(header) = sensitive("Basic", &encode_basic(username, password))
        {
            request = request.header(reqwest::header::AUTHORIZATION, header);
        }
        Ok(request)
    }
}

struct TokenServer {
    realm: String,
    service: Option<String>,
}

/// An error and its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

fn refused_realm(asker: Asker<'_>, realm: &str, reason: &str) -> Error {
    let shown: String = realm
        .chars()
        .filter(|c| !c.is_control())
        .take(200)
        .collect();
    Error::RefusedUrl {
        operation: asker.operation.clone(),
        url: format!("the token server `{shown}`"),
        reason: reason.to_owned(),
    }
}

fn secret_of(credential: &Credential) -> &Secret<String> {
    match credential {
        Credential::Basic { password, .. } => password,
        Credential::IdentityToken(token) | Credential::RegistryToken(token) => token,
    }
}

fn encode_basic(username: &str, password: &Secret<String>) -> String {
    BASE64_STANDARD.encode(format!("{username}:{}", password.expose()))
}

fn bearer_header(token: &Secret<String>, label: String, fresh: bool) -> Option<Authorization> {
    Some(Authorization {
        header: sensitive("Bearer", token.expose())?,
        label,
        secret: token.clone(),
        username: None,
        fresh,
    })
}

fn sensitive(scheme: &str, value: &str) -> Option<HeaderValue> {
    let mut header = HeaderValue::from_str(&format!("{scheme} {value}")).ok()?;
    header.set_sensitive(true);
    Some(header)
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

fn read_token(body: &[u8], label: &str) -> Option<Token> {
    let answer: TokenAnswer = serde_json::from_slice(body).ok()?;
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let value = given(answer.token).or(given(answer.access_token))?;
    // A token is sent in a header: one with a newline would be two headers.
    if !value.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    // Longer than a day is renewed after a day; a quarter of a short life is kept as margin.
    let lifetime = answer.expires_in.unwrap_or(DEFAULT_LIFETIME).min(86_400);
    let margin = (lifetime / 4).min(30);
    Some(Token {
        value: Secret::new(value),
        label: label.to_owned(),
        expires: Instant::now() + Duration::from_secs(lifetime - margin),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_name_the_target_and_the_sources_of_mounts() {
        let repository = |text: &str| Repository::of(&text.parse().unwrap());
        let target = repository("r.test/app");
        let scopes = Scopes::new(&target, Direction::Push)
            .and_pull(&repository("r.test/base"))
            .and_pull(&target);
        assert_eq!(
            scopes.texts(),
            ["repository:app:pull,push", "repository:base:pull"]
        );
        assert_eq!(
            Scopes::new(&target, Direction::Pull).texts(),
            ["repository:app:pull"]
        );
    }

    #[test]
    fn tokens_are_read_in_both_spellings_and_refused_when_they_cannot_be_sent() {
        let read = |text: &str| read_token(text.as_bytes(), "x").map(|t| t.value.expose().clone());
        let cases = [
            (r#"{"token":"a","expires_in":300}"#, Some("a")),
            (r#"{"access_token":"b"}"#, Some("b")),
            (r#"{"token":"","access_token":"b"}"#, Some("b")),
            (r#"{"token":"a\nX-Evil: 1"}"#, None),
            (r#"{"token":""}"#, None),
            (r#"{"token":7}"#, None),
            ("{}", None),
            ("<html>", None),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn what_a_registry_echoes_is_shown_without_the_secret() {
        let token = Secret::new("hunter2".to_owned());
        let authorization = bearer_header(&token, "x".to_owned(), true).unwrap();
        assert_eq!(authorization.redact("bad token hunter2!"), "bad token …!");
        assert!(!format!("{:?}", authorization.header).contains("hunter2"));
    }
}
