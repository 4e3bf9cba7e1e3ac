//! Which host is whose: decided by the labels of the name, never by what it contains or ends with as text (T-AUTH-01).

use crate::Registry;
use crate::cloud::azure::AzureCloud;

/// A registry of Amazon.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum EcrHost {
    /// `<account>.dkr.ecr.<region>.amazonaws.com` and its kin.
    Private {
        region: String,
        /// The host of the ECR API.
        api: String,
    },
    /// `public.ecr.aws`
    Public,
}

/// Domains of AWS's partitions.
const AWS_DOMAINS: [&str; 7] = [
    "amazonaws.com",
    "amazonaws.com.cn",
    "amazonaws.eu",
    "c2s.ic.gov",
    "sc2s.sgov.gov",
    "cloud.adc-e.uk",
    "csp.hci.ic.gov",
];

/// The host of a registry on the standard port: another port is another service, and none of the clouds has one.
fn cloud_host(registry: &Registry) -> Option<&str> {
    let authority = registry.authority();
    let host = authority.strip_suffix(":443").unwrap_or(authority);
    let is_name = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-')
    };
    (host.bytes().all(is_name)).then_some(host)
}

/// Whether a label can be a region: it goes into the name of another host.
fn is_label(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('-')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// Amazon's registry of this name.
pub(crate) fn ecr(registry: &Registry) -> Option<EcrHost> {
    let host = cloud_host(registry)?;
    if host == "public.ecr.aws" {
        return Some(EcrHost::Public);
    }
    let (account, rest) = host.split_once('.')?;
    if account.len() != 12 || !account.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // The dual-stack names: `<account>.dkr-ecr[-fips].<region>.on.aws`.
    if let Some((kind, rest)) = rest
        .split_once('.')
        .filter(|(kind, _)| kind.starts_with("dkr-ecr"))
    {
        let fips = match kind {
            "dkr-ecr" => "ecr",
            "dkr-ecr-fips" => "ecr-fips",
            _ => return None,
        };
        let (region, domain) = rest.split_once('.')?;
        let api_domain = match domain {
            "on.aws" => "api.aws",
            "on.amazonwebservices.com.cn" => "api.amazonwebservices.com.cn",
            _ => return None,
        };
        return private(region, format!("{fips}.{region}.{api_domain}"));
    }
    let rest = rest.strip_prefix("dkr.")?;
    let (kind, rest) = rest.split_once('.')?;
    let prefix = match kind {
        "ecr" => "api.ecr",
        "ecr-fips" => "ecr-fips",
        _ => return None,
    };
    let (region, domain) = rest.split_once('.')?;
    AWS_DOMAINS.contains(&domain).then_some(())?;
    private(region, format!("{prefix}.{region}.{domain}"))
}

fn private(region: &str, api: String) -> Option<EcrHost> {
    is_label(region).then(|| EcrHost::Private {
        region: region.to_owned(),
        api,
    })
}

/// Whether it is Container Registry or Artifact Registry of Google.
pub(crate) fn is_google(registry: &Registry) -> bool {
    let Some(host) = cloud_host(registry) else {
        return false;
    };
    if host == "gcr.io" {
        return true;
    }
    match host.split_once('.') {
        Some((label, "gcr.io")) => is_label(label),
        Some((label, "pkg.dev")) => label.strip_suffix("-docker").is_some_and(is_label),
        _ => false,
    }
}

/// The cloud of an Azure Container Registry.
pub(crate) fn acr(registry: &Registry) -> Option<AzureCloud> {
    let (name, suffix) = cloud_host(registry)?.split_once('.')?;
    let cloud = match suffix {
        "azurecr.io" => AzureCloud::Public,
        "azurecr.cn" => AzureCloud::China,
        "azurecr.us" => AzureCloud::UsGovernment,
        _ => return None,
    };
    is_label(name).then_some(cloud)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Host; the host of ECR's API, whether it is Google's, Azure's cloud.
    const CASES: &[(&str, Option<&str>, bool, Option<AzureCloud>)] = &[
        (
            "123456789012.dkr.ecr.us-east-1.amazonaws.com",
            Some("api.ecr.us-east-1.amazonaws.com"),
            false,
            None,
        ),
        (
            "123456789012.DKR.ecr.us-east-1.amazonaws.com:443",
            Some("api.ecr.us-east-1.amazonaws.com"),
            false,
            None,
        ),
        (
            "123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com",
            Some("ecr-fips.us-gov-west-1.amazonaws.com"),
            false,
            None,
        ),
        (
            "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn",
            Some("api.ecr.cn-north-1.amazonaws.com.cn"),
            false,
            None,
        ),
        (
            "123456789012.dkr-ecr.eu-west-1.on.aws",
            Some("ecr.eu-west-1.api.aws"),
            false,
            None,
        ),
        ("public.ecr.aws", Some("public"), false, None),
        ("gcr.io", None, true, None),
        ("eu.gcr.io", None, true, None),
        ("europe-west1-docker.pkg.dev", None, true, None),
        (
            "registry1.azurecr.io",
            None,
            false,
            Some(AzureCloud::Public),
        ),
        (
            "registry1-hash.azurecr.io",
            None,
            false,
            Some(AzureCloud::Public),
        ),
        ("registry1.azurecr.cn", None, false, Some(AzureCloud::China)),
        (
            "registry1.azurecr.us",
            None,
            false,
            Some(AzureCloud::UsGovernment),
        ),
        // Look-alikes.
        (
            "123456789012.dkr.ecr.us-east-1.amazonaws.com.evil.com",
            None,
            false,
            None,
        ),
        (
            "123456789012.dkr.ecr.us-east-1.evilamazonaws.com",
            None,
            false,
            None,
        ),
        (
            "123456789012.dkr.ecr.evil.com.amazonaws.com",
            None,
            false,
            None,
        ),
        (
            "123456789012.dkr.ecr.us-east-1.amazonaws.com.cn.evil.com",
            None,
            false,
            None,
        ),
        (
            "evil.123456789012.dkr.ecr.us-east-1.amazonaws.com",
            None,
            false,
            None,
        ),
        (
            "1234567890123.dkr.ecr.us-east-1.amazonaws.com",
            None,
            false,
            None,
        ),
        (
            "123456789012.dkr.ecr.us-east-1.amazonaws.com:8443",
            None,
            false,
            None,
        ),
        (
            "123456789012.dkr.ecr.us_east_1.amazonaws.com",
            None,
            false,
            None,
        ),
        ("123456789012.dkr.ecr..amazonaws.com", None, false, None),
        ("123456789012.dkr.ecr.-x.amazonaws.com", None, false, None),
        ("123456789012.dkr-ecr-x.eu-west-1.on.aws", None, false, None),
        (
            "123456789012.dkr-ecr.eu-west-1.on.aws.evil.com",
            None,
            false,
            None,
        ),
        (
            "x@123456789012.dkr.ecr.us-east-1.amazonaws.com",
            None,
            false,
            None,
        ),
        ("public.ecr.aws.evil.com", None, false, None),
        ("xpublic.ecr.aws", None, false, None),
        ("a.public.ecr.aws", None, false, None),
        ("gcr.io.evil", None, false, None),
        ("evilgcr.io", None, false, None),
        ("a.b.gcr.io", None, false, None),
        (".gcr.io", None, false, None),
        ("gcr.io:5000", None, false, None),
        ("pkg.dev", None, false, None),
        ("-docker.pkg.dev", None, false, None),
        ("evil.pkg.dev", None, false, None),
        ("us-docker.pkg.dev.evil.com", None, false, None),
        ("us-docker.evilpkg.dev", None, false, None),
        ("evilazurecr.io", None, false, None),
        ("azurecr.io", None, false, None),
        (".azurecr.io", None, false, None),
        ("a.b.azurecr.io", None, false, None),
        ("registry1.azurecr.io.evil.com", None, false, None),
        ("registry1.azurecr.de", None, false, None),
        ("registry1.azurecr.io:5000", None, false, None),
        ("registry1.azurecr.io.", None, false, None),
        ("index.docker.io", None, false, None),
        ("localhost:5000", None, false, None),
    ];

    /// K-AUTH-04, T-AUTH-01.
    #[test]
    fn every_provider_knows_its_own_hosts_and_no_look_alike() {
        for (host, api, google, azure) in CASES {
            let registry = Registry::new(host);
            let found = ecr(&registry).map(|host| match host {
                EcrHost::Private { api, .. } => api,
                EcrHost::Public => "public".to_owned(),
            });
            assert_eq!(found.as_deref(), *api, "{host}");
            assert_eq!(is_google(&registry), *google, "{host}");
            assert_eq!(acr(&registry), *azure, "{host}");
        }
    }
}
