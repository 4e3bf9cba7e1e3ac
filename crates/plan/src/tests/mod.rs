//! Whole plans: a Dockerfile and answers in, a value out.

mod args;
mod contexts;
mod copy;
mod history;
mod metadata;
mod order;
mod printing;
mod run;
mod stages;

use std::collections::BTreeMap;

use kigumi_dockerfile::{Diagnostics, parse};
use kigumi_oci::{ContainerConfig, DiffId, Digest, HistoryEntry, ImageConfig, Platform};

use crate::{
    BaseImage, BuildInputs, BuildPlan, ContextKind, ImageQuery, NamedContext, Op, Planner, RunOp,
    StagePlan,
};

pub(super) const CREATED: &str = "2026-01-02T03:04:05Z";

/// A build to be planned.
#[derive(Debug)]
pub(super) struct Build {
    text: String,
    pub(super) inputs: BuildInputs,
    images: Vec<(String, ImageConfig)>,
    /// Of layers of images that are not of one size.
    sizes: BTreeMap<String, Vec<u64>>,
}

impl Build {
    /// For linux/amd64 on linux/amd64. An image called `base` (PATH only) exists.
    pub(super) fn of(text: &str) -> Self {
        let base = ContainerConfig {
            env: Some(vec!["PATH=/bin".into()]),
            ..ContainerConfig::default()
        };
        Self {
            text: text.to_owned(),
            inputs: BuildInputs::new(Platform::new("linux", "amd64", None), CREATED),
            images: Vec::new(),
            sizes: BTreeMap::new(),
        }
        .image("base", base)
    }

    /// A `--build-arg`.
    pub(super) fn arg(mut self, name: &str, value: &str) -> Self {
        self.inputs.build_args.push((name.into(), value.into()));
        self
    }

    /// A `--build-context`.
    pub(super) fn context(mut self, name: &str, kind: ContextKind) -> Self {
        self.inputs
            .contexts
            .push(NamedContext::new(name, kind).unwrap());
        self
    }

    /// `--target`
    pub(super) fn target(mut self, name: &str) -> Self {
        self.inputs.target = Some(name.into());
        self
    }

    /// `--platform`
    pub(super) fn platform(mut self, platform: &str) -> Self {
        self.inputs.platform = platform.parse().unwrap();
        self.inputs.platform_is_given = true;
        self
    }

    /// An image of Docker Hub with one layer.
    pub(super) fn image(self, name: &str, config: ContainerConfig) -> Self {
        let config = ImageConfig {
            created: Some("2001-02-03T04:05:06Z".into()),
            architecture: "amd64".into(),
            os: "linux".into(),
            config,
            history: vec![HistoryEntry {
                created_by: Some("base layer".into()),
                ..HistoryEntry::default()
            }],
            ..ImageConfig::default()
        };
        self.image_config(name, config, 1)
    }

    /// An image with the whole of its config, and a number of layers.
    pub(super) fn image_config(mut self, name: &str, mut config: ImageConfig, layers: u8) -> Self {
        config.rootfs.diff_ids = (0..layers).map(|n| DiffId(Digest::of(&[n]))).collect();
        self.images.push((name.into(), config));
        self
    }

    /// An image whose layers have these names and sizes.
    pub(super) fn layered(mut self, name: &str, layers: &[(&str, u64)]) -> Self {
        let mut config = ImageConfig {
            architecture: "amd64".into(),
            os: "linux".into(),
            ..ImageConfig::default()
        };
        let ids = layers
            .iter()
            .map(|(layer, _)| DiffId(Digest::of(layer.as_bytes())));
        config.rootfs.diff_ids = ids.collect();
        self.images.push((name.into(), config));
        let sizes = layers.iter().map(|(_, size)| *size).collect();
        self.sizes.insert(name.into(), sizes);
        self
    }

    /// The plan, with what was asked on the way.
    pub(super) fn plan_and_queries(self) -> Result<(BuildPlan, Vec<ImageQuery>), Diagnostics> {
        let file = parse(&self.text, "Dockerfile")?;
        let mut planner = Planner::new(&file, self.inputs)?;
        let mut asked = Vec::new();
        loop {
            let wanted = planner.wanted();
            if wanted.is_empty() {
                return Ok((planner.finish()?, asked));
            }
            for query in wanted {
                let name = query.reference.trim_start_matches("docker.io/library/");
                let name = name.trim_end_matches(":latest");
                let mut images = self.images.iter().rev();
                let (_, config) = images
                    .find(|(known, _)| known == name)
                    .unwrap_or_else(|| panic!("nobody should ask for {name}"));
                let image = BaseImage {
                    reference: query.reference.clone(),
                    digest: Digest::of(name.as_bytes()),
                    config: config.clone(),
                    sizes: self.sizes.get(name).cloned().unwrap_or_default(),
                };
                planner.supply(&query, image);
                asked.push(query);
            }
        }
    }

    pub(super) fn plan(self) -> BuildPlan {
        match self.plan_and_queries() {
            Ok((plan, _)) => plan,
            Err(problems) => panic!("{problems}"),
        }
    }

    /// The problems, one per line.
    pub(super) fn problems(self) -> String {
        match self.plan_and_queries() {
            Ok((plan, _)) => panic!("this was planned:\n{plan}"),
            Err(problems) => problems.to_string(),
        }
    }

    /// The target stage.
    pub(super) fn result(self) -> StagePlan {
        let plan = self.plan();
        plan.stage(plan.target).unwrap().clone()
    }

    /// The config of the target stage.
    pub(super) fn config(self) -> ContainerConfig {
        self.result().config.config
    }

    /// One label of the target stage: how tests look at a value.
    pub(super) fn label(self, name: &str) -> String {
        self.config().labels.unwrap_or_default()[name].clone()
    }

    /// The texts of the target stage's history; what made a layer has a `+` in front.
    pub(super) fn history(self) -> Vec<String> {
        let history = self.result().config.history;
        let texts = history.into_iter().map(|entry| {
            let mark = if entry.empty_layer { "" } else { "+" };
            format!("{mark}{}", entry.created_by.unwrap_or_default())
        });
        texts.collect()
    }

    /// The RUNs of the target stage.
    pub(super) fn runs(self) -> Vec<RunOp> {
        let steps = self.result().steps.into_iter();
        steps
            .filter_map(|step| match step.op {
                Op::Run(run) => Some(run),
                Op::Copy(_) | Op::MakeDir(_) | Op::Config => None,
            })
            .collect()
    }
}

/// `name=value` of a variable of a RUN, or nothing.
pub(super) fn variable<'a>(run: &'a RunOp, name: &str) -> Option<&'a str> {
    let mut pairs = run.env.iter();
    pairs
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.as_str())
}
