//! What enters a key and what does not, one statement each; `docs/cache.md` is the same as a table.

mod collisions;

use kigumi_dockerfile::parse;
use kigumi_oci::{ContainerConfig, DiffId, Digest, ImageConfig, Platform};

use super::{Framed, Identity, Lineage, Surroundings, inputs, instruction};
use crate::op::{CopySource, Op};
use crate::plan::{Base, StagePlan};
use crate::{BaseImage, BuildInputs, BuildPlan, CacheKey, Planner};

/// A build whose keys are compared.
#[derive(Clone)]
struct Build {
    text: String,
    inputs: BuildInputs,
    base: ImageConfig,
    /// What every source of files holds.
    content: Digest,
    surroundings: Surroundings,
}

impl Build {
    fn of(text: &str) -> Self {
        let platform = Platform::new("linux", "amd64", None);
        let mut base = ImageConfig {
            architecture: "amd64".into(),
            os: "linux".into(),
            config: ContainerConfig {
                env: Some(vec!["PATH=/bin".into()]),
                ..ContainerConfig::default()
            },
            ..ImageConfig::default()
        };
        base.rootfs.diff_ids = vec![DiffId(Digest::of(b"layer"))];
        Self {
            text: text.to_owned(),
            inputs: BuildInputs::new(platform, "2026-01-02T03:04:05Z"),
            base,
            content: Digest::of(b"content"),
            surroundings: Surroundings::default(),
        }
    }

    fn arg(mut self, name: &str, value: &str) -> Self {
        self.inputs.build_args.push((name.into(), value.into()));
        self
    }

    fn plan(&self) -> BuildPlan {
        let file = parse(&self.text, "Dockerfile").unwrap();
        let mut planner = Planner::new(&file, self.inputs.clone()).unwrap();
        while let Some(query) = planner.wanted().first().cloned() {
            let image = BaseImage {
                reference: query.reference.clone(),
                digest: Digest::of(query.reference.as_bytes()),
                config: self.base.clone(),
                sizes: Vec::new(),
            };
            planner.supply(&query, image);
        }
        planner.finish().unwrap()
    }

    /// The key of the last step of every stage that touches a file, in order of execution.
    fn ends(&self) -> Vec<CacheKey> {
        let plan = self.plan();
        let mut ends: Vec<(crate::StageId, CacheKey)> = Vec::new();
        for stage in &plan.stages {
            let end = self.end(&plan, stage, &ends);
            ends.push((stage.id, end));
        }
        ends.into_iter().map(|(_, end)| end).collect()
    }

    fn end(
        &self,
        plan: &BuildPlan,
        stage: &StagePlan,
        ends: &[(crate::StageId, CacheKey)],
    ) -> CacheKey {
        let of = |id| ends.iter().find(|(known, _)| *known == id).unwrap().1;
        let mut key = match &stage.base {
            Base::Scratch => super::scratch(&stage.platform),
            Base::Image(id) => {
                let config = &plan.image(*id).unwrap().config;
                super::image(&config.platform(), &config.rootfs.diff_ids)
            }
            Base::Stage(id) => of(*id),
            Base::Context(_) => super::files(&stage.platform, &self.content),
        };
        for step in &stage.steps {
            let inputs = inputs(&step.op);
            let identities = inputs.iter().map(|input| match input.source() {
                Some(CopySource::Stage(id)) => Identity::State(of(*id)),
                _ => Identity::Content(self.content),
            });
            let identities: Vec<Identity> = identities.collect();
            if let Some(digest) = instruction(&step.op, &identities, &self.surroundings) {
                key = super::step(&key, &digest);
            }
        }
        key
    }

    fn key(&self) -> CacheKey {
        *self.ends().last().unwrap()
    }
}

fn key(text: &str) -> CacheKey {
    Build::of(text).key()
}

fn same(one: &str, other: &str) {
    assert_eq!(key(one), key(other), "{one:?} {other:?}");
}

fn differ(texts: &[&str]) {
    let keys: Vec<CacheKey> = texts.iter().map(|text| key(text)).collect();
    for (index, key) in keys.iter().enumerate() {
        for (other, text) in keys.iter().zip(texts).skip(index + 1) {
            assert_ne!(key, other, "{:?} and {text:?}", texts[index]);
        }
    }
}

#[test]
fn a_key_is_printed_and_read_as_64_hexadecimal_digits() {
    let key = key("FROM base\nRUN x");
    let text = key.to_string();
    assert_eq!((text.len(), text.parse()), (64, Ok(key)));
    for wrong in ["", "abc", &text.to_uppercase(), &format!("sha256:{text}")] {
        let error = wrong.parse::<CacheKey>().unwrap_err();
        assert!(error.to_string().contains("64 lower-case"), "{error}");
    }
}

/// Entries that were made with another encoding must not be found by this one: whoever changes the encoding raises its version, and
/// then this constant.
#[test]
fn the_encoding_is_what_it_was() {
    let text = "FROM base\nRUN --mount=type=secret,id=a x\nCOPY --chmod=644 a /b/\nWORKDIR /c";
    let pinned = "7136ede4a4544eb94700bd318d2aaaa30d94f5520743b9a6086b2c11dd327a24";
    assert_eq!(key(text).to_string(), pinned);
}

// T-CACHE-01
#[test]
fn parts_do_not_run_into_each_other() {
    let key = |add: fn(Framed) -> Framed| add(Framed::new("test")).finish();
    let keys = [
        key(|framed| framed),
        key(|framed| framed.text("")),
        key(|framed| framed.text("ab").text("c")),
        key(|framed| framed.text("a").text("bc")),
        key(|framed| framed.text("abc")),
        key(|framed| framed.tag("abc")),
        key(|framed| framed.text("").text("abc")),
        key(|framed| framed.option(None::<&str>, Framed::text)),
        key(|framed| framed.option(Some(""), Framed::text)),
        key(|framed| framed.list(["a"], Framed::text)),
        key(|framed| framed.list(["a"], Framed::text).list([], Framed::text)),
        key(|framed| framed.list([], Framed::text).list(["a"], Framed::text)),
        key(|framed| framed.number(1)),
        key(|framed| framed.number(1 << 8)),
        key(|framed| framed.bytes(&1_u64.to_le_bytes())),
        Framed::new("other").finish(),
    ];
    for (index, one) in keys.iter().enumerate() {
        assert!(!keys[..index].contains(one), "{index}");
    }
}

#[test]
fn words_and_their_borders_are_in_the_key_of_a_run() {
    differ(&[
        "FROM base\nRUN [\"a\", \"b c\"]",
        "FROM base\nRUN [\"a b\", \"c\"]",
        "FROM base\nRUN [\"a\", \"b\", \"c\"]",
        "FROM base\nRUN a b c",
        "FROM base\nRUN a b  c",
    ]);
}

// T-CACHE-04
#[test]
fn bodies_of_heredocs_are_in_the_key() {
    differ(&[
        "FROM base\nRUN <<E\na\nE",
        "FROM base\nRUN <<E\nb\nE",
        "FROM base\nRUN <<E\n#!/bin/a\nE",
        "FROM base\nRUN <<E\n#!/bin/b\nE",
        "FROM base\nRUN <<F\n#!/bin/b\nF",
        "FROM base\nCOPY <<E /a\na\nE",
        "FROM base\nCOPY <<E /a\nb\nE",
        "FROM base\nCOPY <<E <<F /a/\na\nE\nF",
        "FROM base\nCOPY <<E <<F /a/\nE\na\nF",
        "FROM base\nADD <<E /a\nb\nE",
    ]);
}

// T-CACHE-05
#[test]
fn values_of_variables_are_in_the_keys_of_those_who_use_them() {
    for step in ["COPY $A /x", "ADD a /$A", "WORKDIR /$A", "RUN x"] {
        let build = Build::of(&format!("FROM base\nARG A\n{step}"));
        let keys = ["1", "2"].map(|value| build.clone().arg("A", value).key());
        assert_ne!(keys[0], keys[1], "{step}");
    }
    for step in ["COPY a /x", "WORKDIR /x"] {
        let build = Build::of(&format!("FROM base\nARG A\n{step}"));
        let keys = ["1", "2"].map(|value| build.clone().arg("A", value).key());
        assert_eq!(keys[0], keys[1], "{step}");
    }
    differ(&["FROM base\nENV A=1\nRUN x", "FROM base\nENV A=2\nRUN x"]);
}

// T-CACHE-03, T-CACHE-06: what a file is called and holds is in the digest of the content.
#[test]
fn the_content_of_sources_is_in_the_key() {
    for step in [
        "COPY a /",
        "ADD a /",
        "ADD https://h.test/a /",
        "ADD https://h.test/a.git /",
        "RUN --mount=type=bind,target=/m x",
        "COPY --from=other a /",
    ] {
        let one = Build::of(&format!("FROM base\n{step}"));
        let other = Build {
            content: Digest::of(b"other"),
            ..one.clone()
        };
        assert_ne!(one.key(), other.key(), "{step}");
    }
}

// T-CACHE-07
#[test]
fn what_is_said_about_a_base_is_not_in_the_key_and_its_layers_are() {
    let build = Build::of("FROM base\nRUN x");
    let mut told = build.clone();
    told.base.created = Some("2020-01-01T00:00:00Z".into());
    told.base.author = Some("somebody".into());
    told.base.config.labels = Some([("a".to_owned(), "b".to_owned())].into());
    told.inputs.labels = vec![("c".into(), "d".into())];
    told.inputs.created = "2027-01-01T00:00:00Z".into();
    assert_eq!(told.key(), build.key());
    let mut other = build.clone();
    other.base.rootfs.diff_ids.push(DiffId(Digest::of(b"more")));
    assert_ne!(other.key(), build.key());
}

// T-CACHE-08
#[test]
fn proxies_are_in_the_key_only_if_they_are_declared() {
    for (text, is_in_key) in [
        ("FROM base\nRUN x", false),
        ("FROM base\nARG HTTP_PROXY\nRUN x", true),
        ("FROM base\nENV http_proxy=p\nRUN x", false),
    ] {
        let build = Build::of(text);
        let mut proxied = build.clone().arg("HTTP_PROXY", "http://h.test");
        assert_eq!(proxied.key() != build.key(), is_in_key, "{text}");
        proxied.inputs.build_args.clear();
        proxied.inputs.proxies = vec![("HTTPS_PROXY".into(), "http://h.test".into())];
        assert_eq!(proxied.key(), build.key(), "{text}");
    }
}

// T-CACHE-09
#[test]
fn what_only_changes_the_config_is_not_in_the_keys_that_follow() {
    let plain = "FROM base\nRUN x";
    for line in [
        "LABEL a=b",
        "EXPOSE 80",
        "CMD a",
        "ENTRYPOINT a",
        "VOLUME /a",
        "STOPSIGNAL 9",
        "HEALTHCHECK NONE",
        "ONBUILD RUN y",
        "# a comment",
    ] {
        same(plain, &format!("FROM base\n{line}\nRUN x"));
    }
    same(plain, "FROM base AS named\n\nRUN   x");
    differ(&[
        plain,
        "FROM base\nUSER a\nRUN x",
        "FROM base\nWORKDIR /a\nRUN x",
        "FROM base\nSHELL [\"/bin/a\"]\nRUN x",
        "FROM base\nRUN y\nRUN x",
        "FROM base\nCOPY a /\nRUN x",
    ]);
}

// T-CACHE-10
#[test]
fn a_copy_from_a_stage_has_the_key_of_the_stage_in_its_own() {
    let from = |run: &str| format!("FROM base AS a\nRUN {run}\nFROM base\nCOPY --from=a x /");
    differ(&[&from("x"), &from("y")]);
    let mount =
        |run: &str| format!("FROM base AS a\nRUN {run}\nFROM base\nRUN --mount=from=a,target=/m x");
    differ(&[&mount("x"), &mount("y")]);
    let child = |run: &str| format!("FROM base AS a\nRUN {run}\nFROM a\nRUN z");
    differ(&[&child("x"), &child("y")]);
}

// T-CACHE-11
#[test]
fn which_stage_it_is_does_not_matter_where_its_content_is_known() {
    let digest = |text: &str| {
        let plan = Build::of(text).plan();
        let steps = plan.stages.last().unwrap().steps.clone();
        let content = [Identity::Content(Digest::of(b""))];
        instruction(&steps[0].op, &content, &Surroundings::default())
    };
    let one = digest("FROM base AS a\nRUN x\nFROM base\nCOPY --from=a x /");
    let other = digest("FROM base\nFROM base AS b\nRUN y\nFROM base\nCOPY --from=b x /");
    let image = digest("FROM base\nCOPY --from=other x /");
    assert!(one.is_some() && one == other && one == image);
    // Files of the context lose their owner.
    assert_ne!(one, digest("FROM base\nCOPY x /"));
}

// T-CACHE-12
#[test]
fn every_flag_of_a_copy_is_in_its_key() {
    differ(&[
        "FROM base\nCOPY a /d",
        "FROM base\nCOPY a /d/",
        "FROM base\nCOPY b /d",
        "FROM base\nCOPY a b /d/",
        "FROM base\nCOPY --chown=1 a /d",
        "FROM base\nCOPY --chown=1:1 a /d",
        "FROM base\nCOPY --chmod=644 a /d",
        "FROM base\nCOPY --chmod=u=r a /d",
        "FROM base\nCOPY --link a /d",
        "FROM base\nCOPY --parents a /d",
        "FROM base\nCOPY --exclude=x a /d",
        "FROM base\nCOPY --exclude=x --exclude=y a /d",
        "FROM base\nADD a /d",
        "FROM base\nADD --unpack=true a /d",
        "FROM base\nADD https://h.test/a /d",
        "FROM base\nADD https://h.test/b /d",
        "FROM base\nADD --keep-git-dir=true https://h.test/a.git /d",
        "FROM base\nADD https://h.test/a.git /d",
        "FROM base\nCOPY --from=other a /d",
        "FROM scratch\nCOPY a /d",
    ]);
    // ADD --unpack=false is a COPY.
    same("FROM base\nADD --unpack=false a /d", "FROM base\nCOPY a /d");
}

// T-CACHE-13
#[test]
fn triggers_of_a_base_are_in_the_key() {
    let mut build = Build::of("FROM base\nRUN x");
    let plain = build.key();
    build.base.config.on_build = Some(vec!["RUN trigger".into()]);
    assert_ne!(build.key(), plain);
}

// T-CACHE-14
#[test]
fn the_platform_is_in_the_key() {
    let mut build = Build::of("FROM scratch\nWORKDIR /x");
    let one = build.key();
    build.inputs.platform = Platform::new("linux", "arm64", None);
    build.inputs.platform_is_given = true;
    assert_ne!(build.key(), one);
}

// T-CACHE-21
#[test]
fn mounts_are_in_the_key_with_everything_but_what_is_in_secrets_and_caches() {
    let run = |mount: &str| format!("FROM base\nRUN --mount={mount} x");
    let texts = [
        "type=secret,id=a",
        "type=secret,id=b",
        "type=secret,id=a,target=/t",
        "type=secret,id=a,env=E",
        "type=secret,id=a,required",
        "type=secret,id=a,mode=0440",
        "type=secret,id=a,uid=5",
        "type=secret,id=a,gid=5",
        "type=ssh",
        "type=ssh,id=a",
        "type=ssh,target=/t",
        "type=cache,target=/t",
        "type=cache,target=/u",
        "type=cache,target=/t,id=a",
        "type=cache,target=/t,sharing=locked",
        "type=cache,target=/t,ro",
        "type=tmpfs,target=/t",
        "type=tmpfs,target=/t,size=1m",
        "type=bind,target=/t",
        "type=bind,target=/t,source=s",
        "type=bind,target=/t,rw",
        "type=bind,target=/t,from=other",
    ]
    .map(run);
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    differ(&texts);
}

#[test]
fn how_a_process_is_confined_is_in_its_key() {
    let mut build = Build::of("FROM base\nRUN --security=insecure x");
    build.inputs.allowed = [
        crate::Entitlement::SecurityInsecure,
        crate::Entitlement::NetworkHost,
    ]
    .into();
    let keys = [
        "FROM base\nRUN x",
        "FROM base\nRUN --network=none x",
        "FROM base\nRUN --network=host x",
        "FROM base\nRUN --security=insecure x",
    ]
    .map(|text| {
        build.text = text.to_owned();
        build.key()
    });
    for (index, one) in keys.iter().enumerate() {
        assert!(!keys[..index].contains(one), "{index}");
    }
    build.text = "FROM base\nRUN --network=default --security=sandbox x".to_owned();
    assert_eq!(build.key(), keys[0]);
}

#[test]
fn how_layers_are_written_is_in_all_keys_and_added_hosts_in_those_of_runs() {
    let surroundings = [
        Surroundings::default(),
        Surroundings {
            compression: "zstd".into(),
            ..Surroundings::default()
        },
        Surroundings {
            level: 9,
            ..Surroundings::default()
        },
        Surroundings {
            latest: Some(0),
            ..Surroundings::default()
        },
        Surroundings {
            hosts: vec![("h".into(), "127.0.0.1".into())],
            ..Surroundings::default()
        },
    ];
    let keys = |text: &str| {
        let build = Build::of(text);
        surroundings.clone().map(|surroundings| {
            let build = build.clone();
            Build {
                surroundings,
                ..build
            }
            .key()
        })
    };
    let [run, copy] = ["FROM base\nRUN x", "FROM base\nCOPY a /"].map(keys);
    for (index, one) in run.iter().enumerate() {
        assert!(!run[..index].contains(one), "{index}");
    }
    assert!(copy[0] == copy[4] && !copy[1..4].contains(&copy[0]));
}

// T-CACHE-19
#[test]
fn a_lineage_tells_two_results_of_the_same_step_apart() {
    let start = Lineage::of_state(&super::scratch(&Platform::new("linux", "amd64", None)));
    let (one, other) = (DiffId(Digest::of(b"1")), DiffId(Digest::of(b"2")));
    assert_ne!(start.ran(&one), start.ran(&other));
    assert_ne!(start.ran(&one), start.made(&one.0));
    assert_ne!(start.ran(&one).ran(&other), start.ran(&other).ran(&one));
}

#[test]
fn a_step_that_touches_no_file_has_no_key() {
    assert_eq!(
        instruction(&Op::Config, &[], &Surroundings::default()),
        None
    );
}
