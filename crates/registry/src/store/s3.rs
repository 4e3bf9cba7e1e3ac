use std::time::SystemTime;

use url::{Host, Url};

use super::{Error, PATH, below, encoded, endpoint};
use crate::cloud::Surroundings;
use crate::cloud::aws::{Aws, SigningRequest, sign};
use crate::{Authentication, Secret, WebSource};

/// Where buckets are when nobody says where.
const REGION: &str = "us-east-1";

/// An object of an S3 bucket, signed for if this pod has keys. `S3_ENDPOINT` names a server that is not AWS, `S3_FORCE_PATH_STYLE` puts the
/// bucket into the path there.
///
/// # Errors
/// [`Error`] when the identity of the pod cannot be had, or the name or the endpoint cannot be used.
pub async fn s3_object(
    aws: &Aws,
    surroundings: &Surroundings,
    (bucket, key): (&str, &str),
    now: SystemTime,
) -> Result<WebSource, Error> {
    let region = aws.region().unwrap_or_else(|| REGION.to_owned());
    let own = match surroundings.variable("S3_ENDPOINT") {
        Some(text) => Some(endpoint("S3_ENDPOINT", text, "https")?),
        None => aws.endpoint("S3")?,
    };
    let path_style = surroundings
        .variable("S3_FORCE_PATH_STYLE")
        .is_some_and(|text| text.eq_ignore_ascii_case("true") || text == "1");
    let url = object_url(own.as_ref(), path_style, &region, (bucket, key))?;
    let source = WebSource::parse(url.as_str())?;
    let Some(credentials) = aws.credentials().await? else {
        tracing::debug!("AWS: no credentials; the object is asked for without");
        return Ok(source);
    };
    let request = SigningRequest {
        method: "GET",
        url: &url,
        headers: &[],
        body: None,
        service: "s3",
        region: &region,
    };
    let signed = sign(&request, &credentials, now);
    let mut authentication = None;
    let mut headers = Vec::new();
    for (name, value) in &signed {
        // What is not text was left out by the signature.
        let value = value.to_str().unwrap_or_default();
        if name.as_str() == "authorization" {
            let value = Secret::new(value.to_owned());
            authentication = Some(Authentication::header_text(&value, &credentials.source)?);
        } else {
            headers.push((name.as_str(), value));
        }
    }
    Ok(source.authenticated(authentication).with_headers(headers)?)
}

/// Where an object is: with the bucket in front of the host, or in the path.
fn object_url(
    own: Option<&Url>,
    path_style: bool,
    region: &str,
    (bucket, key): (&str, &str),
) -> Result<Url, Error> {
    let name = format!("{bucket}/{key}");
    let wrong = || Error::Name { name: name.clone() };
    let aws = || {
        let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
        Url::parse(&format!("https://s3.{region}.amazonaws.com{suffix}/")).map_err(|_| {
            Error::Variable {
                variable: "AWS_REGION",
                reason: "not the name of a region",
            }
        })
    };
    let is_named_so = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if bucket.is_empty() || !bucket.bytes().all(is_named_so) {
        return Err(wrong());
    }
    let base = own.map_or_else(aws, |own| Ok(own.clone()))?;
    // Certificates cover one label in front of the host, and an address has none in front of it.
    let in_path = match (own, base.host()) {
        (Some(_), Some(Host::Domain(_))) => path_style,
        (Some(_), _) => true,
        (None, _) => false,
    };
    if in_path || bucket.contains('.') {
        return below(&base, &encoded(&name, PATH), &name);
    }
    let mut url = base.clone();
    let host = base.host_str().unwrap_or_default();
    url.set_host(Some(&format!("{bucket}.{host}")))
        .map_err(|_| wrong())?;
    below(&url, &encoded(key, PATH), &name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bucket_is_in_the_host_unless_that_cannot_be() {
        let cases = [
            (
                None,
                false,
                "eu-central-1",
                "b",
                "https://b.s3.eu-central-1.amazonaws.com/k/c.tar.gz",
            ),
            (
                None,
                true,
                "us-east-1",
                "b",
                "https://b.s3.us-east-1.amazonaws.com/k/c.tar.gz",
            ),
            (
                None,
                false,
                "cn-north-1",
                "b",
                "https://b.s3.cn-north-1.amazonaws.com.cn/k/c.tar.gz",
            ),
            (
                None,
                false,
                "us-east-1",
                "b.c",
                "https://s3.us-east-1.amazonaws.com/b.c/k/c.tar.gz",
            ),
            (
                Some("https://minio.test:9000"),
                true,
                "us-east-1",
                "b",
                "https://minio.test:9000/b/k/c.tar.gz",
            ),
            (
                Some("https://minio.test:9000"),
                false,
                "us-east-1",
                "b",
                "https://b.minio.test:9000/k/c.tar.gz",
            ),
            (
                Some("http://10.0.0.1:9000/"),
                false,
                "us-east-1",
                "b",
                "http://10.0.0.1:9000/b/k/c.tar.gz",
            ),
        ];
        for (own, path_style, region, bucket, expected) in cases {
            let own = own.map(|own| Url::parse(own).unwrap());
            let url = object_url(own.as_ref(), path_style, region, (bucket, "k/c.tar.gz"));
            assert_eq!(url.unwrap().as_str(), expected);
        }
        let url = object_url(None, false, "us-east-1", ("b", "a b/ü+?#%.tar")).unwrap();
        assert_eq!(url.path(), "/a%20b/%C3%BC%2B%3F%23%25.tar");
    }

    #[test]
    fn no_name_leads_to_another_bucket_or_host() {
        for (bucket, key) in [
            ("b", "../other/key"),
            ("b", "a/./b"),
            ("b@evil.test", "k"),
            ("evil.test#", "../k"),
            ("b:c", "k"),
        ] {
            let url = object_url(None, false, "us-east-1", (bucket, key));
            assert!(
                matches!(url, Err(Error::Name { .. })),
                "{bucket} {key}: {url:?}"
            );
        }
        let error = object_url(None, false, "x/evil.test?", ("b", "k"));
        let host = error.map(|url| url.host_str().map(str::to_owned));
        assert!(host.is_err() || host.is_ok_and(|host| host != Some("evil.test".into())));
    }
}
