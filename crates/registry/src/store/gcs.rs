use url::Url;

use super::{Error, NAME, below, encoded, endpoint};
use crate::cloud::Surroundings;
use crate::cloud::google::Google;
use crate::{Authentication, WebSource};

/// To read objects, and nothing else.
const SCOPE: &str = "https://www.googleapis.com/auth/devstorage.read_only";

/// An object of a bucket of Google Cloud Storage, with a token if this pod has an identity there. `STORAGE_EMULATOR_HOST` names a server that
/// stands in for Google's and gets no token, as for Google's own libraries.
///
/// # Errors
/// [`Error`] when the identity of the pod cannot be had, or the name or the emulator cannot be used.
pub async fn gcs_object(
    google: &Google,
    surroundings: &Surroundings,
    (bucket, key): (&str, &str),
) -> Result<WebSource, Error> {
    if let Some(text) = surroundings.variable("STORAGE_EMULATOR_HOST") {
        let base = endpoint("STORAGE_EMULATOR_HOST", text, "http")?;
        return Ok(WebSource::parse(
            object_url(&base, (bucket, key))?.as_str(),
        )?);
    }
    let base = endpoint(
        "the address of Google Cloud Storage",
        "storage.googleapis.com",
        "https",
    )?;
    let source = WebSource::parse(object_url(&base, (bucket, key))?.as_str())?;
    let Some(token) = google.access_token(SCOPE).await? else {
        tracing::debug!("Google Cloud: no identity; the object is asked for without");
        return Ok(source);
    };
    let authentication = Authentication::bearer(&token.token, &token.source)?;
    Ok(source.authenticated(Some(authentication)))
}

/// The JSON API, in which the name is one component of the path.
fn object_url(base: &Url, (bucket, key): (&str, &str)) -> Result<Url, Error> {
    let name = format!("{bucket}/{key}");
    let path = format!(
        "storage/v1/b/{}/o/{}",
        encoded(bucket, NAME),
        encoded(key, NAME)
    );
    let mut url = below(base, &path, &name)?;
    url.set_query(Some("alt=media"));
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_one_component_of_a_path() {
        let base = Url::parse("https://storage.googleapis.com").unwrap();
        let url = object_url(&base, ("b_1.x", "dir/c d.tar.gz")).unwrap();
        assert_eq!(
            url.as_str(),
            "https://storage.googleapis.com/storage/v1/b/b_1.x/o/dir%2Fc%20d.tar.gz?alt=media"
        );
        for (bucket, key) in [("..", "k"), ("b", "..")] {
            object_url(&base, (bucket, key)).unwrap_err();
        }
        assert_eq!(
            object_url(&base, ("b/../c", "k")).unwrap().path(),
            "/storage/v1/b/b%2F..%2Fc/o/k"
        );
    }
}
