//! What is used of what the cache says, as values.

use kigumi_dockerfile::parse;
use kigumi_oci::{ImageConfig, Platform};
use kigumi_plan::{BaseImage, BuildInputs, BuildPlan, Planner};

use super::schedule::{after, read_stages, schedule};
use super::*;
use kigumi_oci::{DiffId, Digest};
use kigumi_plan::Base;
use kigumi_plan::cache_key::{self, Identity};

/// A build, and what its cache holds.
struct Case {
    plan: BuildPlan,
    keys: Keys,
    claims: BTreeMap<CacheKey, Claim>,
}

fn settings() -> CacheSettings {
    CacheSettings::of(crate::cli::CachePlace::Directory("/cache".into()))
}

impl Case {
    /// Nothing is in the cache.
    fn of(dockerfile: &str) -> Self {
        let inputs = BuildInputs::new(
            Platform::new("linux", "amd64", None),
            "2026-01-01T00:00:00Z",
        );
        let file = parse(dockerfile, "Dockerfile").unwrap();
        let mut planner = Planner::new(&file, inputs).unwrap();
        while let Some(query) = planner.wanted().first().cloned() {
            let image = BaseImage {
                reference: query.reference.clone(),
                digest: Digest::of(b""),
                config: ImageConfig::default(),
                sizes: Vec::new(),
            };
            planner.supply(&query, image);
        }
        let plan = planner.finish().unwrap();
        let keys = keys(&plan);
        Self {
            plan,
            keys,
            claims: BTreeMap::new(),
        }
    }

    /// What a build would keep whose RUNs make layers that are told apart by `run`, save in the stages and steps (by number) left out.
    fn built(mut self, run: &str, left_out: &[(usize, usize)]) -> Self {
        let surroundings = Surroundings::default();
        let mut lineages: BTreeMap<StageId, Lineage> = BTreeMap::new();
        for stage in &self.plan.stages {
            let keys = &self.keys[&stage.id];
            let mut lineage = match stage.base {
                Base::Stage(id) => lineages[&id],
                Base::Scratch | Base::Image(_) | Base::Context(_) => Lineage::of_state(&keys.start),
            };
            for (step, key) in stage.steps.iter().zip(&keys.steps) {
                let Some(key) = key else { continue };
                let layer = DiffId(Digest::of(format!("{run} {}", step.text).as_bytes()));
                let sources = read_stages(&step.op).into_iter();
                let sources = sources.map(|id| lineages[&id].digest());
                let claim = Claim {
                    lineage: std::iter::once(lineage.digest()).chain(sources).collect(),
                    layer,
                };
                if !left_out.contains(&(stage.id.0, step.number)) {
                    self.claims.insert(key.key, claim);
                }
                let known = (lineage, Some(layer));
                lineage = after(&step.op, key, known, &lineages, &surroundings).unwrap();
            }
            lineages.insert(stage.id, lineage);
        }
        self
    }

    fn schedule(&self) -> Schedule {
        schedule(
            &self.plan,
            &self.keys,
            &self.claims,
            &Surroundings::default(),
        )
    }

    /// The stages that are needed, and whether a RUN has to run.
    fn needed(&self) -> (Vec<usize>, bool) {
        let schedule = self.schedule();
        let needed = schedule.needed.iter().map(|id| id.0).collect();
        (needed, schedule.runs)
    }
}

/// Every file of the context is the same.
fn keys(plan: &BuildPlan) -> Keys {
    let mut keys = Keys::new();
    for stage in &plan.stages {
        let start = match stage.base {
            Base::Stage(id) => keys[&id].end.unwrap(),
            Base::Scratch | Base::Image(_) | Base::Context(_) => {
                cache_key::scratch(&stage.platform)
            }
        };
        let mut known = StageKeys {
            start,
            steps: Vec::new(),
            end: Some(start),
        };
        for step in &stage.steps {
            let inputs = cache_key::inputs(&step.op);
            let identities = inputs.iter().map(|input| match input.source() {
                Some(kigumi_plan::CopySource::Stage(id)) => Identity::State(keys[id].end.unwrap()),
                _ => Identity::Content(Digest::of(b"content")),
            });
            let parent = known.end.unwrap();
            let surroundings = Surroundings::default();
            let key = StepKey::new(
                &step.op,
                parent,
                identities.collect(),
                &settings(),
                &surroundings,
            );
            known.end = Some(key.as_ref().map_or(parent, |key| key.key));
            known.steps.push(key);
        }
        keys.insert(stage.id, known);
    }
    keys
}

const TWO: &str = "FROM base AS a\nRUN a\nFROM base\nCOPY --from=a /x /\nRUN b\n";

#[test]
fn without_entries_everything_has_to_be_made() {
    assert_eq!(Case::of(TWO).needed(), (vec![0, 1], true));
}

#[test]
fn with_all_entries_nothing_runs_and_stages_that_are_only_read_are_not_looked_at() {
    assert_eq!(Case::of(TWO).built("one", &[]).needed(), (vec![1], false));
}

#[test]
fn a_stage_that_nobody_needs_need_not_be_in_the_cache() {
    let case = Case::of(TWO).built("one", &[(0, 1)]);
    assert_eq!(case.needed(), (vec![1], false));
}

#[test]
fn a_stage_that_a_missing_copy_reads_is_needed_and_does_not_run_if_it_is_in_the_cache() {
    let case = Case::of(TWO).built("one", &[(1, 1)]);
    assert_eq!(case.needed(), (vec![0, 1], false));
}

// T-CACHE-19
#[test]
fn a_layer_that_was_made_on_another_one_does_not_fit() {
    let text = "FROM base\nRUN a\nRUN b\n";
    let one = Case::of(text).built("one", &[]);
    assert!(!one.schedule().runs);
    // Another build has made the first step again, and with another result.
    let mut mixed = Case::of(text).built("two", &[]);
    let second = mixed.keys[&StageId(0)].steps[1].clone().unwrap().key;
    mixed.claims.insert(second, one.claims[&second].clone());
    assert!(mixed.schedule().runs);
    // Nor does one where nobody knows what the first step will make.
    assert!(Case::of(text).built("one", &[(0, 1)]).schedule().runs);
}

// T-CACHE-10
#[test]
fn a_copy_of_another_result_of_the_same_stage_does_not_fit() {
    let one = Case::of(TWO).built("one", &[]);
    let mut mixed = Case::of(TWO).built("two", &[]);
    for key in mixed.keys[&StageId(1)].steps.iter().flatten() {
        mixed.claims.insert(key.key, one.claims[&key.key].clone());
    }
    assert_eq!(mixed.needed(), (vec![0, 1], true));
}

#[test]
fn layers_of_two_results_of_a_stage_are_not_mixed_when_it_is_not_in_the_cache() {
    let text = "FROM base AS a\nRUN a\nFROM base\nCOPY --from=a /x /\nCOPY --from=a /y /\n";
    let one = Case::of(text).built("one", &[(0, 1)]);
    assert_eq!(one.needed(), (vec![1], false));
    let two = Case::of(text).built("two", &[(0, 1)]);
    let mut mixed = Case::of(text).built("one", &[(0, 1)]);
    let second = mixed.keys[&StageId(1)].steps[1].clone().unwrap().key;
    let mut claim = two.claims[&second].clone();
    claim.lineage[0] = one.claims[&second].lineage[0];
    mixed.claims.insert(second, claim);
    assert_eq!(mixed.needed(), (vec![0, 1], true));
}

#[test]
fn a_stage_that_has_to_run_for_one_reader_is_taken_on_trust_by_none() {
    let text = "FROM base AS a\nRUN a\nFROM base\nCOPY --from=a /x /\nCOPY --from=a /y /\n";
    let case = Case::of(text).built("one", &[(0, 1), (1, 2)]);
    let schedule = case.schedule();
    assert!(schedule.runs && schedule.needed.len() == 2);
    assert!(!schedule.lineages.contains_key(&StageId(0)));
}

#[test]
fn copies_that_are_not_kept_do_not_keep_later_runs_from_the_cache() {
    // COMPAT(kaniko): without --cache-copy-layers only RUN is kept.
    let text = "FROM base\nCOPY a /\nRUN a\nCOPY b /\nRUN b\n";
    let case = Case::of(text).built("one", &[(0, 1), (0, 3)]);
    assert!(!case.schedule().runs);
}

#[test]
fn what_a_stage_stands_on_is_needed() {
    let text = "FROM base AS a\nRUN a\nFROM a AS unused\nRUN c\nFROM a\nRUN b\n";
    let case = Case::of(text).built("one", &[]);
    assert_eq!(case.needed(), (vec![0, 2], false));
}

#[test]
fn which_instructions_are_kept_the_flags_say() {
    let case = Case::of("FROM base\nRUN a\nCOPY a /\nWORKDIR /b\nLABEL a=b\n");
    let steps = case.plan.stages[0].steps.iter();
    let all: Vec<&Op> = steps.map(|step| &step.op).collect();
    for (run_layers, copy_layers, expected) in [
        (true, false, [true, false, true, false]),
        (false, true, [false, true, false, false]),
        (true, true, [true, true, true, false]),
    ] {
        let settings = CacheSettings {
            copy_layers,
            run_layers,
            ..settings()
        };
        let caches = all.iter().map(|op| keys::caches(op, &settings));
        assert_eq!(caches.collect::<Vec<_>>(), expected);
    }
}
