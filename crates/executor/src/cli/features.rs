//! `FF_KANIKO_*`: variables that switch behaviours of kaniko. Here each has one fixed behaviour, told apart by [`Fixed`] (K-FF).

use kigumi_dockerfile::nearest;

use super::Environment;
use super::args::go_bool;
use super::remarks::Remark;

const PREFIX: &str = "FF_KANIKO_";

/// Files copied from the context belong to 0:0; explicitly false, to the USER of their line (K-DROP-07).
const COPY_AS_ROOT: &str = "COPY_AS_ROOT";

/// What the value of a variable changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fixed {
    /// Nothing: kigumi behaves as if it were true.
    On,
    /// Nothing: what it is about does not exist here.
    Absent,
    /// It is a switch here too.
    Switch,
    /// Nothing: kaniko has removed it.
    Removed,
}

/// A variable of kaniko.
#[derive(Debug, Clone, Copy)]
pub(super) struct Feature {
    /// Without `FF_KANIKO_`.
    pub(super) name: &'static str,
    pub(super) fixed: Fixed,
    /// What holds, for people.
    pub(super) meaning: &'static str,
}

const fn on(name: &'static str, meaning: &'static str) -> Feature {
    Feature {
        name,
        fixed: Fixed::On,
        meaning,
    }
}

const fn absent(name: &'static str, meaning: &'static str) -> Feature {
    Feature {
        name,
        fixed: Fixed::Absent,
        meaning,
    }
}

const fn removed(name: &'static str) -> Feature {
    Feature {
        name,
        fixed: Fixed::Removed,
        meaning: "removed by kaniko",
    }
}

pub(super) const FEATURES: &[Feature] = &[
    on(
        "BUILDKIT_ARG_ENV_PRECEDENCE",
        "the later of ARG and ENV wins",
    ),
    absent(
        "CACHE_LOOKAHEAD",
        "keys are known before the build by construction",
    ),
    on(
        "CACHE_PROBE_AFTER_MISS",
        "the cache is asked again after a miss where that is safe",
    ),
    on(
        "CHOWN_ON_IMPLICIT_DIRS",
        "every directory that WORKDIR creates belongs to the USER",
    ),
    on(
        "CLEAN_KANIKO_DIR",
        "work files are removed when the build ends, also after a failure",
    ),
    Feature {
        name: COPY_AS_ROOT,
        fixed: Fixed::Switch,
        meaning: "files from the context belong to 0:0; explicitly `false`: to the current USER, as in kaniko",
    },
    on(
        "COPY_CHMOD_ON_IMPLICIT_DIRS",
        "--chmod applies to directories that COPY creates",
    ),
    on(
        "CROSS_REPO_MOUNT",
        "blobs that the registry has in another repository are mounted",
    ),
    on(
        "DEPRECATE_INTER_STAGE_RESTORE",
        "nothing is restored between stages",
    ),
    on(
        "DISABLE_HTTP2",
        "registries are spoken to over several HTTP/1.1 connections",
    ),
    on(
        "EXPAND_HEREDOC",
        "variables in unquoted heredocs of COPY and ADD are expanded",
    ),
    on(
        "HASH_DIR_FRAMING",
        "the parts of a cache key cannot run into each other",
    ),
    absent("IGNORE_CACHED_MANIFEST", "the manifest is always asked for"),
    on(
        "INFER_CROSS_STAGE_CACHE_KEY",
        "COPY --from is keyed by what it copies from",
    ),
    on("NATIVE_COPY", "copies keep hard links and capabilities"),
    on(
        "NO_PROPAGATE_ANNOTATIONS",
        "annotations of the base image are about the base image",
    ),
    on(
        "OCI_SCRATCH_BASE",
        "FROM scratch makes an OCI image; --image-format=docker asks for the other",
    ),
    on("OCI_WARMER", "the base image cache is made of OCI layouts"),
    on(
        "PATH_SCOPED_REGISTRY_AUTH",
        "credentials of a namespace win over those of its registry",
    ),
    on(
        "POOL_REGISTRY_CONNECTIONS",
        "every registry has one pool of connections",
    ),
    on("PRECOMPILE_DOCKERIGNORE", "patterns are compiled once"),
    on("PRESERVE_HARDLINKS", "COPY --from keeps hard links"),
    on(
        "PRESERVE_MOUNTED_PATHS",
        "a directory that holds a mount is never deleted",
    ),
    on(
        "RELATIVE_LINK_TARGETS",
        "hard links in layers name their targets relative to the root",
    ),
    on(
        "REPRODUCIBLE_PRESERVE_BASE_LAYERS",
        "base layers are never rewritten",
    ),
    on(
        "RESOLVE_CACHE_KEY",
        "cache keys are made of expanded instructions",
    ),
    on(
        "ROLLING_CACHE_KEY",
        "every cache key holds the one before it",
    ),
    on("RUN_HONOR_GROUP", "the group of USER counts in RUN"),
    on("RUN_MOUNT_BIND", "RUN --mount=type=bind works"),
    on("RUN_VIA_TINI", "what a RUN leaves behind is reaped"),
    on(
        "SCOPED_DOCKERIGNORE",
        ".dockerignore is about the context only",
    ),
    on(
        "SECUREJOIN_EXTRACTION",
        "nothing is unpacked outside of the root",
    ),
    on(
        "SHARED_BASE_CACHE",
        "a base image that several stages share is fetched once",
    ),
    on("SKIP_CACHED_STAGES", "stages that nobody needs are skipped"),
    on(
        "SKIP_RELABEL_RECOMPRESS",
        "media types change without compressing again",
    ),
    on("SKIP_WRITE_WHITEOUTS", "whiteouts are in layers only"),
    on(
        "UNTAR_SKIP_ROOT",
        "the `.` of an archive does not change the directory it is unpacked to",
    ),
    on("VOLUME_SKIP_MKDIR", "VOLUME makes no directory"),
    on("WARMER_CACHE_LOCK", "two warmers do not disturb each other"),
    removed("SQUASH_STAGES"),
    removed("OCI_STAGES"),
    removed("RUN_MOUNT_SECRET"),
    removed("RUN_MOUNT_CACHE"),
];

/// Whether what is copied from the context belongs to 0:0.
pub(super) fn copies_as_root(environment: &Environment) -> bool {
    let name = format!("{PREFIX}{COPY_AS_ROOT}");
    let value = environment.variables.get(&name);
    value.and_then(|text| go_bool(text).ok()) != Some(false)
}

/// What is to be said about the variables that are set.
pub(super) fn remarks(environment: &Environment) -> Vec<Remark> {
    let set = environment.variables.iter();
    let set = set.filter_map(|(name, value)| Some((name.strip_prefix(PREFIX)?, value)));
    set.filter_map(|(name, value)| remark(name, go_bool(value).ok()))
        .collect()
}

/// `value` is none when it does not parse: it counts as unset (K-FF-04).
fn remark(name: &str, value: Option<bool>) -> Option<Remark> {
    let Some(feature) = FEATURES.iter().find(|feature| feature.name == name) else {
        let names = FEATURES.iter().map(|feature| feature.name);
        let meant = nearest(name, names).map(|meant| format!("; did you mean {PREFIX}{meant}?"));
        let meant = meant.unwrap_or_default();
        return Some(Remark::warning(format!(
            "there is no variable {PREFIX}{name}{meant}"
        )));
    };
    match (feature.fixed, value) {
        (Fixed::On, Some(false)) => Some(Remark::note(format!(
            "{PREFIX}{name}=false has no effect: {}",
            feature.meaning
        ))),
        (Fixed::On, Some(true) | None) | (Fixed::Absent | Fixed::Removed | Fixed::Switch, _) => {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::remarks::Loudness;
    use super::*;

    fn said(name: &str, value: &str) -> Vec<(Loudness, String)> {
        let environment = Environment::of([(name, value)], "/");
        let remarks = remarks(&environment).into_iter();
        remarks
            .map(|remark| (remark.loudness, remark.message))
            .collect()
    }

    #[test]
    fn no_variable_is_listed_twice() {
        let mut names: Vec<&str> = FEATURES.iter().map(|feature| feature.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn a_known_variable_that_asks_for_what_holds_is_silent_k_ff_01_k_ff_02() {
        for feature in FEATURES {
            let name = format!("{PREFIX}{}", feature.name);
            assert_eq!(said(&name, "true"), [], "{name}");
        }
        assert_eq!(said("FF_KANIKO_SQUASH_STAGES", "false"), []);
        assert_eq!(said("FF_KANIKO_CACHE_LOOKAHEAD", "true"), []);
    }

    #[test]
    fn an_unknown_variable_gives_one_warning_with_the_nearest_name_k_ff_03() {
        let said = said("FF_KANIKO_PRESERVE_HARDLINK", "1");
        let [(Loudness::Warning, message)] = said.as_slice() else {
            panic!("{said:?}");
        };
        assert!(
            message.contains("FF_KANIKO_PRESERVE_HARDLINKS?"),
            "{message}"
        );
    }

    #[test]
    fn a_value_that_does_not_parse_counts_as_unset_k_ff_04() {
        assert_eq!(said("FF_KANIKO_RUN_MOUNT_BIND", "off"), []);
        let environment = Environment::of([("FF_KANIKO_COPY_AS_ROOT", "no")], "/");
        assert!(copies_as_root(&environment));
    }

    #[test]
    fn a_value_that_asks_for_what_does_not_exist_is_told_once_k_ff_05() {
        let said = said("FF_KANIKO_RUN_MOUNT_BIND", "0");
        let [(Loudness::Note, message)] = said.as_slice() else {
            panic!("{said:?}");
        };
        assert!(
            message.contains("FF_KANIKO_RUN_MOUNT_BIND=false"),
            "{message}"
        );
    }

    #[test]
    fn the_owner_of_copies_is_a_switch_k_drop_07() {
        for (value, as_root) in [("false", false), ("F", false), ("true", true), ("", true)] {
            let environment = Environment::of([("FF_KANIKO_COPY_AS_ROOT", value)], "/");
            assert_eq!(copies_as_root(&environment), as_root, "{value}");
            assert_eq!(remarks(&environment).len(), 0);
        }
        assert!(copies_as_root(&Environment::default()));
    }
}
