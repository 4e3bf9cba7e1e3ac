//! Azure: tokens of Microsoft Entra ID for this pod: workload identity, a client secret or certificate, or a managed identity.

mod certificate;
mod entra;
mod managed;

use std::sync::Arc;
use std::time::SystemTime;

use super::cache::{Cache, Leased};
use super::{Error, Provider, Surroundings};
use crate::Secret;
use entra::Application;
use managed::Managed;

/// Which of Microsoft's clouds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AzureCloud {
    /// The one for everybody.
    Public,
    /// Operated by 21Vianet.
    China,
    /// Of the United States' government.
    UsGovernment,
}

impl AzureCloud {
    pub(crate) const fn authority(self) -> &'static str {
        match self {
            Self::Public => "https://login.microsoftonline.com/",
            Self::China => "https://login.chinacloudapi.cn/",
            Self::UsGovernment => "https://login.microsoftonline.us/",
        }
    }
}

impl std::fmt::Display for AzureCloud {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Public => "AzurePublicCloud",
            Self::China => "AzureChinaCloud",
            Self::UsGovernment => "AzureUSGovernmentCloud",
        })
    }
}

/// A token for a resource.
#[derive(Clone)]
pub struct Token {
    /// What goes behind `Bearer`.
    pub token: Secret<String>,
    /// When it ends.
    pub expires: SystemTime,
    /// Where it is from, for people.
    pub source: String,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Token({})", self.source)
    }
}

/// This pod's identity at Azure. Cheap to clone; all clones share what was fetched.
#[derive(Clone, Debug)]
pub struct Azure(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    surroundings: Surroundings,
    cloud: Result<AzureCloud, Error>,
    application: Result<Option<Application>, Error>,
    managed: Result<Managed, Error>,
    cache: Cache<String, Token>,
}

impl Azure {
    /// Reads the variables and the files they name.
    pub fn new(surroundings: &Surroundings) -> Self {
        let cloud = cloud(surroundings);
        Self(Arc::new(Inner {
            application: cloud
                .clone()
                .and_then(|cloud| Application::of_variables(surroundings, cloud)),
            cloud,
            managed: Managed::of_variables(surroundings),
            cache: Cache::default(),
            surroundings: surroundings.clone(),
        }))
    }

    /// `AZURE_ENVIRONMENT`, else the one whose `AZURE_AUTHORITY_HOST` is set, else the public cloud.
    ///
    /// # Errors
    /// [`Error::Configuration`] for the name of none.
    pub fn cloud(&self) -> Result<AzureCloud, Error> {
        self.0.cloud.clone()
    }

    /// The tenant that `AZURE_TENANT_ID` names.
    pub fn tenant(&self) -> Option<&str> {
        self.0.surroundings.variable("AZURE_TENANT_ID")
    }

    pub(crate) fn surroundings(&self) -> &Surroundings {
        &self.0.surroundings
    }

    /// A token for a resource (`https://storage.azure.com`, without `/.default`), renewed before it ends; `None` when this pod has no identity at
    /// Azure.
    ///
    /// # Errors
    /// [`Error`] when it is said what the identity is, and it gives no token.
    pub async fn token(&self, resource: &str) -> Result<Option<Token>, Error> {
        let found = self
            .0
            .cache
            .get(resource.to_owned(), self.fetch(resource))
            .await?;
        Ok(found.map(|lease| lease.value))
    }

    async fn fetch(&self, resource: &str) -> Result<Option<Leased<Token>>, Error> {
        let surroundings = &self.0.surroundings;
        let application = self.0.application.as_ref().map_err(Clone::clone)?;
        let token = if let Some(application) = application {
            Some(application.token(surroundings, resource).await?)
        } else {
            let managed = self.0.managed.as_ref().map_err(Clone::clone)?;
            managed.token(surroundings, resource).await?
        };
        Ok(token.map(|token| Leased {
            until: Some(token.expires),
            value: token,
        }))
    }
}

fn cloud(surroundings: &Surroundings) -> Result<AzureCloud, Error> {
    let Some(name) = surroundings.variable("AZURE_ENVIRONMENT") else {
        // What workload identity's webhook sets.
        let authority = surroundings.variable("AZURE_AUTHORITY_HOST");
        let authority = authority.and_then(|text| url::Url::parse(text).ok());
        let host = authority.as_ref().and_then(url::Url::host_str);
        return Ok(match host {
            Some("login.chinacloudapi.cn" | "login.partner.microsoftonline.cn") => {
                AzureCloud::China
            }
            Some("login.microsoftonline.us") => AzureCloud::UsGovernment,
            Some(_) | None => AzureCloud::Public,
        });
    };
    match name.to_ascii_uppercase().as_str() {
        "AZUREPUBLICCLOUD" | "AZURECLOUD" => Ok(AzureCloud::Public),
        "AZURECHINACLOUD" => Ok(AzureCloud::China),
        "AZUREUSGOVERNMENTCLOUD" | "AZUREUSGOVERNMENT" => Ok(AzureCloud::UsGovernment),
        _ => Err(Error::configuration(
            Provider::Azure,
            format!("AZURE_ENVIRONMENT is `{name}`"),
            "it is AzurePublicCloud, AzureChinaCloud or AzureUSGovernmentCloud",
        )),
    }
}
