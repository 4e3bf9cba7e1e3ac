use super::*;
use crate::cli::parse;

fn settings_of(
    words: &[&str],
    push: bool,
    destinations: &[&str],
) -> Result<Option<CacheSettings>, ConfigError> {
    let args = parse(std::iter::once("executor").chain(words.iter().copied())).unwrap();
    let destinations: Vec<Reference> = destinations
        .iter()
        .map(|text| parse_reference(text).unwrap())
        .collect();
    CacheSettings::new(
        &args.build.cache,
        (push, &destinations),
        Path::new("/workspace"),
    )
}

fn settings(words: &[&str]) -> Result<CacheSettings, ConfigError> {
    let words = [&["--cache"], words].concat();
    settings_of(&words, true, &["r.test/app:1"]).map(|settings| settings.expect("a cache"))
}

fn repository(settings: &CacheSettings) -> String {
    match &settings.place {
        CachePlace::Repository(reference) => {
            format!("{}/{}", reference.registry(), reference.repository())
        }
        CachePlace::Directory(path) => path.display().to_string(),
    }
}

#[test]
fn without_the_flag_there_is_no_cache() {
    for words in [
        &[][..],
        &["--cache=false"],
        &["--cache-repo=r.test/c"],
        &["--cache", "--cache-mode=off"],
    ] {
        assert_eq!(
            settings_of(words, true, &["r.test/app"]),
            Ok(None),
            "{words:?}"
        );
    }
}

#[test]
fn the_defaults_are_those_of_kaniko() {
    let found = settings(&[]).unwrap();
    assert_eq!(repository(&found), "r.test/app/cache");
    assert_eq!(found.ttl, Duration::from_hours(336));
    assert!(found.writes && found.run_layers && !found.copy_layers);
    assert_eq!((found.trust, found.tamper), (Trust::Off, Tamper::Miss));
}

#[test]
fn a_cache_is_a_repository_or_a_directory_k_cache_02() {
    for (text, expected) in [
        ("other.test:5000/c", "other.test:5000/c"),
        ("oci:/var/cache", "/var/cache"),
        ("oci:cache", "/workspace/cache"),
        ("", "r.test/app/cache"),
    ] {
        let found = settings(&[&format!("--cache-repo={text}")]).unwrap();
        assert_eq!(repository(&found), expected, "{text}");
    }
    for text in ["r.test/c:tag", "r.test/UPPER", "oci:"] {
        let error = settings(&[&format!("--cache-repo={text}")]).unwrap_err();
        assert!(
            error
                .to_string()
                .contains(&format!("--cache-repo `{text}`"))
        );
    }
}

#[test]
fn several_places_are_one_cache_in_the_order_in_which_they_are_named() {
    let found = settings(&[
        "--cache-repo=r.test/c",
        "--cache-repo=oci:/var/cache",
        "--cache-repo=r.test/c",
        "--cache-repo=",
        "--cache-repo=oci:/var/cache",
    ])
    .unwrap();
    let places = found.places().map(|place| {
        repository(&CacheSettings {
            place: place.clone(),
            ..found.clone()
        })
    });
    let places: Vec<String> = places.collect();
    assert_eq!(places, ["r.test/c", "/var/cache", "r.test/app/cache"]);
    assert_eq!(found.registries().collect::<Vec<_>>(), ["r.test"; 2]);
    assert_eq!(
        found.directories().collect::<Vec<_>>(),
        [Path::new("/var/cache")]
    );
    let error = settings(&["--cache-repo=r.test/c", "--cache-repo=r.test/c:tag"]).unwrap_err();
    assert!(error.to_string().contains("r.test/c:tag"));
}

#[test]
fn of_several_places_the_caches_of_run_are_kept_in_the_first() {
    let words = [
        "executor",
        "--cache-mounts=registry",
        "--cache-repo=r.test/c",
        "--cache-repo=oci:/d",
    ];
    let args = parse(words).unwrap();
    let found = CacheSettings::for_mounts(&args.build.cache, (true, &[]), Path::new("/"));
    let found = found.unwrap().unwrap();
    assert_eq!(repository(&found), "r.test/c");
    assert_eq!(found.more, []);
}

/// Contract § 2, K-CACHE-03.
#[test]
fn without_a_push_the_cache_needs_a_name_unless_it_is_only_read() {
    let no_push = |words: &[&str]| settings_of(words, false, &["r.test/app"]);
    assert_eq!(no_push(&["--cache"]), Err(ConfigError::NoCacheRepo));
    let named = no_push(&["--cache", "--cache-repo=r.test/c"]).unwrap();
    assert!(named.unwrap().writes);
    let read = no_push(&["--cache", "--no-push-cache"]).unwrap().unwrap();
    assert_eq!(repository(&read), "r.test/app/cache");
    assert!(!read.writes);
}

#[test]
fn durations_are_gos() {
    for (text, expected) in [
        ("336h", Some(336 * 3_600_000)),
        ("1h30m", Some(5_400_000)),
        ("1.5h", Some(5_400_000)),
        (".5s", Some(500)),
        ("250ms", Some(250)),
        ("0", Some(0)),
        ("+1s", Some(1000)),
        ("", None),
        ("336", None),
        ("h", None),
        (".h", None),
        ("-1h", None),
        ("1d", None),
        ("1h ", None),
        ("9999999999999h", None),
        ("99999999999h", None),
    ] {
        let found = go_duration(text).ok();
        assert_eq!(found, expected.map(Duration::from_millis), "{text}");
    }
    let error = settings(&["--cache-ttl=2d"]).unwrap_err().to_string();
    assert!(error.contains("--cache-ttl `2d`"), "{error}");
}

#[test]
fn with_a_key_only_signed_entries_are_believed() {
    let reader = settings(&["--cache-verify-key=pub"]).unwrap();
    assert_eq!(reader.trust, Trust::Require);
    assert!(!reader.writes, "nobody would believe what it cannot sign");
    assert_eq!(reader.verify_keys, [PathBuf::from("/workspace/pub")]);
    let writer = settings(&["--cache-sign-key=/sec"]).unwrap();
    assert!(writer.writes);
    assert_eq!(writer.trust, Trust::Require);
    let both = settings(&["--cache-sign-key=/sec", "--cache-mode=ro"]).unwrap();
    assert!(!both.writes);
}

/// supply-chain.md § 4.3 rule 5.
#[test]
fn keys_and_trust_that_contradict_each_other_are_refused() {
    for (words, expected) in [
        (&["--cache-trust=require"][..], "needs a key"),
        (&["--cache-trust=prefer"], "needs a key"),
        (
            &["--cache-trust=off", "--cache-verify-key=k"],
            "does not look at signatures",
        ),
        (
            &["--cache-mode=rw", "--cache-verify-key=k"],
            "needs --cache-sign-key",
        ),
        (&["--cache-trust=maybe"], "require, prefer, off"),
        (&["--cache-mode=wo"], "ro, rw, off"),
        (&["--cache-tamper=warn"], "fail, miss"),
        (&["--cache-domain="], "--cache-domain"),
        (&["--cache-domain=a b"], "visible ASCII"),
        (&["--cache-not-before=yesterday"], "RFC 3339"),
    ] {
        let error = settings(words).unwrap_err().to_string();
        assert!(error.contains(expected), "{words:?}: {error}");
    }
}

#[test]
fn the_caches_of_run_are_kept_in_the_pod_a_directory_or_the_cache_repository() {
    let directory = |words: &[&str]| {
        let args = parse(std::iter::once("executor").chain(words.iter().copied())).unwrap();
        let flags = &args.build;
        flags.cache.mount_directory(flags.cache_mount_dir.as_ref())
    };
    let mounts = |words: &[&str]| {
        let args = parse(std::iter::once("executor").chain(words.iter().copied())).unwrap();
        let destinations = [parse_reference("r.test/app").unwrap()];
        CacheSettings::for_mounts(&args.build.cache, (true, &destinations), Path::new("/w"))
    };
    for words in [&[][..], &["--cache-mounts=off"], &["--cache-mounts="]] {
        assert_eq!(directory(words), Ok(None));
        assert_eq!(mounts(words), Ok(None));
    }
    let one = directory(&["--cache-mounts=/v"]).unwrap();
    assert_eq!(one.as_deref(), Some("/v"));
    assert_eq!(directory(&["--cache-mount-dir=/v"]), Ok(one));
    let both = directory(&["--cache-mounts=/v", "--cache-mount-dir=/w"]).unwrap_err();
    assert!(both.to_string().contains("names another directory, `/w`"));
    let with_both = directory(&["--cache-mounts=registry", "--cache-mount-dir=/w"]);
    assert_eq!(with_both.unwrap().as_deref(), Some("/w"));
    let kept = mounts(&["--cache-mounts=registry"]).unwrap().unwrap();
    assert_eq!(repository(&kept), "r.test/app/cache");
    let off = mounts(&["--cache-mounts=registry", "--cache-mode=off"]);
    assert_eq!(off, Ok(None));
}

#[test]
fn a_time_is_a_number_or_rfc_3339() {
    for text in [
        "1700000000",
        "2023-11-14T22:13:20Z",
        "2023-11-14T23:13:20+01:00",
    ] {
        let found = settings(&[&format!("--cache-not-before={text}")]).unwrap();
        assert_eq!(found.not_before, Some(1_700_000_000), "{text}");
    }
}
