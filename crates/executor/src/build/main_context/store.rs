//! Objects of stores, which this pod's identity at a cloud opens.

use std::time::SystemTime;

use kigumi_context::{ObjectName, Place};
use kigumi_registry::cloud::aws::Aws;
use kigumi_registry::cloud::azure::Azure;
use kigumi_registry::cloud::google::Google;
use kigumi_registry::cloud::{Http, Surroundings};
use kigumi_registry::store::{self, azure_blob, gcs_object, s3_object};
use kigumi_registry::{ClientConfig, WebSource};

use crate::cli::Environment;
use crate::secrets::Redactor;

/// A store, and who we are there.
#[derive(Debug)]
pub(super) struct Store<'a> {
    surroundings: Surroundings,
    object: Object<'a>,
}

#[derive(Debug)]
enum Object<'a> {
    S3(Aws, &'a ObjectName),
    Gcs(Google, &'a ObjectName),
    Azure(Azure, &'a str),
}

impl<'a> Store<'a> {
    /// The store that a context is in, if it is in one.
    pub(super) fn of(
        place: &'a Place,
        environment: &Environment,
        config: &ClientConfig,
        redactor: &Redactor,
    ) -> Result<Option<Self>, kigumi_registry::Error> {
        if !matches!(place, Place::S3(_) | Place::Gcs(_) | Place::Azure(_)) {
            return Ok(None);
        }
        let redactor = redactor.clone();
        let hide = move |secret: &str| redactor.hide(secret.as_bytes());
        let variables = environment.variables.clone();
        let surroundings = Surroundings::new(variables, Http::new(config)?, hide);
        let object = match place {
            Place::S3(name) => Object::S3(Aws::new(&surroundings), name),
            Place::Gcs(name) => Object::Gcs(Google::new(&surroundings), name),
            Place::Azure(url) => Object::Azure(Azure::new(&surroundings), url),
            Place::Directory(_)
            | Place::Archive(_)
            | Place::Stdin
            | Place::Git(_)
            | Place::Web(_) => return Ok(None),
        };
        Ok(Some(Self {
            surroundings,
            object,
        }))
    }

    /// The object with what proves that we may read it, for a request that is made now.
    pub(super) async fn source(&self) -> Result<WebSource, store::Error> {
        let now = SystemTime::now();
        match &self.object {
            Object::S3(aws, name) => {
                s3_object(aws, &self.surroundings, (&name.bucket, &name.key), now).await
            }
            Object::Gcs(google, name) => {
                gcs_object(google, &self.surroundings, (&name.bucket, &name.key)).await
            }
            Object::Azure(azure, url) => azure_blob(azure, &self.surroundings, url, now).await,
        }
    }

    /// What to look at when the store refuses.
    pub(super) const fn hint(&self) -> &'static str {
        match &self.object {
            Object::S3(..) => {
                "s3:GetObject is needed; keys are found as by the AWS SDKs, the region is AWS_REGION, other servers are S3_ENDPOINT"
            }
            Object::Gcs(..) => {
                "storage.objects.get is needed; the identity is GOOGLE_APPLICATION_CREDENTIALS or that of the pod"
            }
            Object::Azure(..) => {
                "give AZURE_STORAGE_ACCESS_KEY, a URL with a signature, or an identity with the role Storage Blob Data Reader"
            }
        }
    }
}
