//! What a build is given besides the Dockerfile and the context.

use std::collections::BTreeSet;

use kigumi_oci::Platform;

use crate::Entitlement;
use crate::context::NamedContext;

/// The answers of the command line. Values are final: nothing here is expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildInputs {
    /// `--build-arg`, in order; of several with one name the last counts. Proxy and platform arguments may be among
    /// them.
    pub build_args: Vec<(String, String)>,
    /// `--target`; none or an empty text means the last stage.
    pub target: Option<String>,
    /// Further stages to build, by name; nothing of them is in the image unless it needs them.
    pub other_targets: Vec<String>,
    /// What the image is for.
    pub platform: Platform,
    /// Whether the user asked for that platform: the config says so then, whatever its base says.
    pub platform_is_given: bool,
    /// What the builder runs on.
    pub build_platform: Platform,
    /// `--label`, in order; the last of one name counts. Applied to the target stage after all its instructions.
    pub labels: Vec<(String, String)>,
    /// RFC 3339 time for `created` of the config and of new history entries, unless `SOURCE_DATE_EPOCH` is given as a
    /// build argument or a global ARG.
    pub created: String,
    /// Proxy variables (any letter case) for RUN that do not come as build arguments; those win over these.
    pub proxies: Vec<(String, String)>,
    /// `--allow`
    pub allowed: BTreeSet<Entitlement>,
    /// `--build-context`, in order; of several with one name the last counts.
    pub contexts: Vec<NamedContext>,
    /// What COPY and ADD take from the context belongs to the USER of their line, not to 0:0, unless they say otherwise.
    ///
    /// COMPAT(kaniko): its default.
    pub copies_as_user: bool,
}

impl BuildInputs {
    /// Inputs without arguments, target or labels, for one platform that is also the builder's.
    #[must_use]
    pub fn new(platform: Platform, created: impl Into<String>) -> Self {
        Self {
            build_args: Vec::new(),
            target: None,
            other_targets: Vec::new(),
            build_platform: platform.clone(),
            platform,
            platform_is_given: false,
            labels: Vec::new(),
            created: created.into(),
            proxies: Vec::new(),
            allowed: BTreeSet::new(),
            contexts: Vec::new(),
            copies_as_user: false,
        }
    }

    /// The value of a build argument.
    #[must_use]
    pub fn build_arg(&self, name: &str) -> Option<&str> {
        let mut matching = self.build_args.iter().rev();
        matching
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}
