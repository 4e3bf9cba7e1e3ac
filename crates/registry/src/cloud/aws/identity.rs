use std::sync::Arc;

use super::Credentials;
use super::chain::{Chain, Source};
use super::container::Container;
use super::instance::Instance;
use super::profile::Profiles;
use super::sts::WebIdentity;
use crate::Secret;
use crate::cloud::cache::{Cache, Leased};
use crate::cloud::{Error, Provider, Surroundings};

/// This pod's identity at AWS. Cheap to clone; all clones share what was fetched.
#[derive(Clone, Debug)]
pub struct Aws(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    surroundings: Surroundings,
    profiles: Result<Profiles, Error>,
    web_identity: Option<WebIdentity>,
    container: Result<Option<Container>, Error>,
    cache: Cache<(), Credentials>,
}

impl Aws {
    /// Reads the variables and the files they name.
    pub fn new(surroundings: &Surroundings) -> Self {
        Self(Arc::new(Inner {
            profiles: Profiles::read(surroundings),
            web_identity: WebIdentity::of_variables(surroundings),
            container: Container::of_variables(surroundings),
            cache: Cache::default(),
            surroundings: surroundings.clone(),
        }))
    }

    /// The region that variables or the profile name.
    pub fn region(&self) -> Option<String> {
        let variable = |name| self.0.surroundings.variable(name).map(str::to_owned);
        variable("AWS_REGION")
            .or_else(|| variable("AWS_DEFAULT_REGION"))
            .or_else(|| self.0.profiles.as_ref().ok()?.region())
    }

    /// The endpoint that variables or the profile name for a service, such as `ECR`: `AWS_ENDPOINT_URL_<SERVICE>`, `AWS_ENDPOINT_URL`.
    ///
    /// # Errors
    /// [`Error::Configuration`] when it is no URL.
    pub fn endpoint(&self, service: &str) -> Result<Option<url::Url>, Error> {
        endpoint_of(&self.0.surroundings, self.0.profiles.as_ref().ok(), service)
    }

    pub(crate) fn surroundings(&self) -> &Surroundings {
        &self.0.surroundings
    }

    /// The credentials of this pod, renewed before they end; `None` when it has none.
    ///
    /// # Errors
    /// [`Error`] when it is said where they are, and they cannot be had from there.
    pub async fn credentials(&self) -> Result<Option<Credentials>, Error> {
        let found = self.0.cache.get((), self.find()).await?;
        Ok(found.map(|lease| lease.value))
    }

    async fn find(&self) -> Result<Option<Leased<Credentials>>, Error> {
        let inner = &*self.0;
        let surroundings = &inner.surroundings;
        if let Some(credentials) = of_variables(surroundings)? {
            return Ok(Some(leased(credentials)));
        }
        let region = self.region();
        if let Some(identity) = &inner.web_identity {
            let credentials = identity
                .assume(surroundings, self.sts(region.as_deref())?)
                .await?;
            return Ok(Some(leased(credentials)));
        }
        let profiles = inner.profiles.as_ref().map_err(Clone::clone)?;
        if let Some(chain) = profiles.chain()? {
            return Ok(Some(leased(self.follow(chain).await?)));
        }
        if let Some(container) = inner.container.as_ref().map_err(Clone::clone)? {
            return Ok(Some(leased(container.credentials(surroundings).await?)));
        }
        Ok(Instance::new(surroundings)?
            .credentials(surroundings)
            .await?
            .map(leased))
    }

    /// The source of a profile, and the roles one after the other.
    async fn follow(&self, chain: &Chain) -> Result<Credentials, Error> {
        let surroundings = &self.0.surroundings;
        let region = self.region();
        let sts = || self.sts(region.as_deref());
        let mut credentials = match &chain.source {
            Source::Keys(keys) => keys.clone(),
            Source::WebIdentity(identity) => identity.assume(surroundings, sts()?).await?,
            Source::Sso(sso) => sso.credentials(surroundings, self.endpoint("SSO")?).await?,
            Source::Process(process) => process.credentials(surroundings).await?,
            Source::Environment => of_variables(surroundings)?
                .ok_or_else(|| missing("Environment", "set AWS_ACCESS_KEY_ID"))?,
            Source::Container => {
                let container = self.0.container.as_ref().map_err(Clone::clone)?;
                let container = container.as_ref().ok_or_else(|| {
                    missing("EcsContainer", "it needs AWS_CONTAINER_CREDENTIALS_FULL_URI or _RELATIVE_URI, which ECS and EKS set")
                })?;
                container.credentials(surroundings).await?
            }
            Source::Instance => Instance::new(surroundings)?
                .credentials(surroundings)
                .await?
                .ok_or_else(|| missing("Ec2InstanceMetadata", "give the instance a role, and let its metadata service answer pods (hop limit 2)"))?,
        };
        for role in &chain.roles {
            let at = (sts()?, region.as_deref().unwrap_or("us-east-1"));
            credentials = role.assume(surroundings, at, &credentials).await?;
        }
        Ok(credentials)
    }

    fn sts(&self, region: Option<&str>) -> Result<url::Url, Error> {
        match self.endpoint("STS")? {
            Some(endpoint) => Ok(endpoint),
            None => super::sts::endpoint(region),
        }
    }
}

fn missing(source: &str, fix: &str) -> Error {
    Error::configuration(
        Provider::Aws,
        format!("the profile has credential_source = {source}, and there are no credentials"),
        fix,
    )
}

fn leased(credentials: Credentials) -> Leased<Credentials> {
    Leased {
        until: credentials.expires,
        value: credentials,
    }
}

fn of_variables(surroundings: &Surroundings) -> Result<Option<Credentials>, Error> {
    let id = surroundings.variable("AWS_ACCESS_KEY_ID");
    let key = surroundings.variable("AWS_SECRET_ACCESS_KEY");
    match (id, key) {
        (None, None) => Ok(None),
        (Some(id), Some(key)) => Ok(Some(Credentials {
            access_key_id: id.to_owned(),
            secret_access_key: surroundings.secret(key),
            session_token: surroundings
                .variable("AWS_SESSION_TOKEN")
                .map(|token| -> Secret<String> { surroundings.secret(token) }),
            expires: None,
            source: "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY".to_owned(),
        })),
        _ => Err(Error::configuration(
            Provider::Aws,
            "only one of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY is set",
            "set both, or neither to use the role of the pod",
        )),
    }
}

fn endpoint_of(
    surroundings: &Surroundings,
    profiles: Option<&Profiles>,
    service: &str,
) -> Result<Option<url::Url>, Error> {
    if surroundings.says_yes("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") {
        return Ok(None);
    }
    let own = format!("AWS_ENDPOINT_URL_{service}");
    let named = [own.as_str(), "AWS_ENDPOINT_URL"]
        .into_iter()
        .find_map(|name| Some((name.to_owned(), surroundings.variable(name)?.to_owned())));
    let named = named.or_else(|| {
        let url = profiles?.setting("endpoint_url")?;
        Some(("endpoint_url of the profile".to_owned(), url))
    });
    let Some((name, text)) = named else {
        return Ok(None);
    };
    let url = url::Url::parse(&text).ok();
    let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    url.map(Some).ok_or_else(|| {
        Error::configuration(
            Provider::Aws,
            format!("{name} is no URL of http or https"),
            "correct it, or remove it to use the endpoints of AWS",
        )
    })
}
