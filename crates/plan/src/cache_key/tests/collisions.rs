//! No two instructions have one key (T-CACHE-01, supply-chain.md § 4.6).

use std::collections::HashMap;

use kigumi_dockerfile::Span;
use kigumi_dockerfile::instruction::{Device, MountSpec, Network, Owner, Security, Sharing};
use kigumi_oci::Digest;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestRunner};

use crate::cache_key::{Identity, Surroundings, instruction};
use crate::op::{
    Chmod, CopyOp, CopySource, MakeDirOp, Op, RunMount, RunOp, Script, Source, Unpack,
};
use crate::plan::{ImageId, StageId};

/// So many instructions make more than a million pairs.
const INSTRUCTIONS: usize = 1500;

/// Few letters and short words, so that what should not collide nearly does; with what other encodings join words by.
fn word() -> impl Strategy<Value = String> {
    "[a-]{0,2}|a,a|a=a|\\\\x00a|a\n"
}

fn words() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(word(), 0..4)
}

fn maybe() -> impl Strategy<Value = Option<String>> {
    prop::option::of(word())
}

fn owner() -> impl Strategy<Value = Owner> {
    let number = || prop::option::of(0_u32..2);
    (number(), number(), number()).prop_map(|(mode, uid, gid)| Owner { mode, uid, gid })
}

fn spec() -> impl Strategy<Value = MountSpec> {
    let sharing = prop::sample::select(&[Sharing::Shared, Sharing::Private, Sharing::Locked]);
    let cache = (maybe(), word(), any::<bool>(), sharing, word(), owner());
    prop_oneof![
        (word(), word(), any::<bool>()).prop_map(|(source, target, read_only)| {
            let from = None;
            MountSpec::Bind {
                from,
                source,
                target,
                read_only,
            }
        }),
        cache.prop_map(|(id, target, read_only, sharing, source, owner)| {
            let from = None;
            MountSpec::Cache {
                id,
                target,
                read_only,
                sharing,
                from,
                source,
                owner,
            }
        }),
        (word(), prop::option::of(0_u64..2), any::<bool>()).prop_map(
            |(target, size_bytes, read_only)| MountSpec::Tmpfs {
                target,
                size_bytes,
                read_only,
            }
        ),
        (word(), maybe(), maybe(), any::<bool>(), owner()).prop_map(
            |(id, target, env, required, owner)| MountSpec::Secret {
                id,
                target,
                env,
                required,
                owner,
            }
        ),
        (word(), maybe(), any::<bool>(), owner()).prop_map(|(id, target, required, owner)| {
            MountSpec::Ssh {
                id,
                target,
                required,
                owner,
            }
        }),
    ]
}

/// One stage and one image: which one it is, is no part of the instruction.
fn from() -> impl Strategy<Value = CopySource> {
    prop::sample::select(vec![
        CopySource::Context,
        CopySource::Scratch,
        CopySource::Stage(StageId(0)),
    ])
}

fn mount() -> impl Strategy<Value = RunMount> {
    (spec(), prop::option::of(from())).prop_map(|(spec, from)| RunMount {
        spec,
        from,
        span: Span::default(),
    })
}

fn run() -> impl Strategy<Value = Op> {
    let network = prop::sample::select(&[Network::Default, Network::None, Network::Host]);
    let security = prop::sample::select(&[Security::Sandbox, Security::Insecure]);
    let device = (word(), any::<bool>()).prop_map(|(name, required)| Device { name, required });
    let script = (word(), word()).prop_map(|(name, body)| Script { name, body });
    let env = prop::collection::vec((word(), word()), 0..3);
    let mounts = prop::collection::vec(mount(), 0..3);
    let first = (words(), env, word(), maybe(), mounts, network, security);
    let second = (
        prop::collection::vec(device, 0..2),
        prop::option::of(script),
    );
    (first, second).prop_map(|(first, (devices, script))| {
        let (argv, env, cwd, user, mounts, network, security) = first;
        Op::Run(RunOp {
            argv,
            env,
            proxies: Vec::new(),
            cwd,
            user,
            mounts,
            network,
            security,
            devices,
            script,
        })
    })
}

fn source() -> impl Strategy<Value = Source> {
    prop_oneof![
        word().prop_map(Source::Path),
        word().prop_map(Source::Url),
        word().prop_map(Source::Git),
        (word(), word()).prop_map(|(name, content)| Source::Inline { name, content }),
    ]
}

fn copy() -> impl Strategy<Value = Op> {
    let chmod = prop_oneof![
        (0_u32..3).prop_map(Chmod::Octal),
        word().prop_map(Chmod::Symbolic)
    ];
    let unpack = prop::sample::select(&[Unpack::Never, Unpack::LocalArchives, Unpack::Always]);
    let sources = prop::collection::vec(source(), 0..3);
    let first = (from(), sources, word(), any::<bool>(), maybe());
    let second = (
        prop::option::of(chmod),
        any::<bool>(),
        any::<bool>(),
        words(),
        unpack,
        maybe(),
        prop::option::of(any::<bool>()),
    );
    (first, second).prop_map(|(first, second)| {
        let (from, sources, destination, destination_is_directory, chown) = first;
        let (chmod, link, parents, exclude, unpack, checksum, keep_git_dir) = second;
        Op::Copy(CopyOp {
            from,
            sources,
            destination,
            destination_is_directory,
            chown,
            chmod,
            link,
            parents,
            exclude,
            unpack,
            checksum,
            keep_git_dir,
            user: None,
        })
    })
}

fn make_dir() -> impl Strategy<Value = Op> {
    let user = prop::option::of("[a-]{1,2}");
    (word(), user).prop_map(|(path, user)| Op::MakeDir(MakeDirOp { path, user }))
}

fn identity() -> impl Strategy<Value = Identity> {
    let digest = (0_u8..2).prop_map(|number| Digest::of(&[number]));
    (digest, any::<bool>()).prop_map(|(digest, is_content)| {
        if is_content {
            Identity::Content(digest)
        } else {
            Identity::State(crate::cache_key::Lineage::from_digest(digest).state())
        }
    })
}

fn surroundings() -> impl Strategy<Value = Surroundings> {
    let latest = prop::option::of(-1_i64..2);
    ("[gz]", 0_u32..2, latest).prop_map(|(compression, level, latest)| Surroundings {
        compression,
        level,
        latest,
        hosts: Vec::new(),
    })
}

type Instruction = (Op, Vec<Identity>, Surroundings);

fn any_instruction() -> impl Strategy<Value = Instruction> {
    let op = prop_oneof![3 => run(), 3 => copy(), 1 => make_dir()];
    let identities = prop::collection::vec(identity(), 0..3);
    (op, identities, surroundings())
}

#[test]
fn a_million_pairs_of_random_instructions_have_no_key_in_common() {
    let mut runner = TestRunner::new(Config::default());
    let strategy = any_instruction();
    let mut known: HashMap<Digest, Instruction> = HashMap::new();
    for _ in 0..INSTRUCTIONS {
        let one = strategy.new_tree(&mut runner).unwrap().current();
        let key = instruction(&one.0, &one.1, &one.2).unwrap();
        if let Some(other) = known.insert(key, one.clone()) {
            assert_eq!(one, other, "{key}");
        }
    }
    assert!(known.len() > INSTRUCTIONS / 2, "too many were the same");
}

proptest! {
    /// One change, whatever it is, is another key.
    #[test]
    fn instructions_that_differ_in_one_part_differ_in_their_keys(
        (op, identities, surroundings) in any_instruction(),
        other_op in any_instruction(),
    ) {
        let key = instruction(&op, &identities, &surroundings);
        prop_assert_eq!(key == instruction(&other_op.0, &identities, &surroundings), op == other_op.0);
        let more = [identities.clone(), vec![Identity::Content(Digest::of(b"more"))]].concat();
        prop_assert_ne!(key, instruction(&op, &more, &surroundings));
    }
}

/// An image and a stage with one content are one source; an unused number must not be.
#[test]
fn numbers_of_stages_and_images_are_no_part_of_an_instruction() {
    let mut runner = TestRunner::new(Config::default());
    let strategy = copy();
    for _ in 0..100 {
        let one = strategy.new_tree(&mut runner).unwrap().current();
        let Op::Copy(copy) = one else { unreachable!() };
        let keys = [
            CopySource::Stage(StageId(3)),
            CopySource::Image(ImageId(1)),
            CopySource::NamedContext("name".into()),
        ]
        .map(|from| {
            let op = Op::Copy(CopyOp {
                from,
                ..copy.clone()
            });
            instruction(&op, &[], &Surroundings::default())
        });
        assert!(keys[0] == keys[1] && keys[1] == keys[2]);
    }
}
