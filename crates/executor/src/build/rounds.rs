//! The rounds before anything is executed: the Dockerfile is read, the planner asks for images until it has no question left.

use std::path::Path;

use kigumi_context::DockerfilePlace;
use kigumi_dockerfile::{Diagnostics, Dockerfile, parse_bytes};
use kigumi_oci::Platform;
use kigumi_plan::{BuildInputs, BuildPlan, ImageId, ImageQuery, Planner, Remote, TimeQuery};
use kigumi_registry::{Client, WebSource};

use super::downloads;
use super::found::{self, FoundImage};
use super::git;
use super::workshop::Stop;
use crate::cli::{Config, ContextFlag, PlatformSource};
use crate::error::BuildError;
use crate::report::{BuildEvent, Events};
use crate::secrets::Secrets;

/// Longest Dockerfile that is read, in bytes. The longest generated ones have a few hundred kilobytes.
pub(crate) const LONGEST_DOCKERFILE: u64 = 64 << 20;

/// A plan, and the images it stands on.
#[derive(Debug)]
pub(crate) struct Planned {
    /// The plan.
    pub plan: BuildPlan,
    /// In the order of [`ImageId`].
    pub images: Vec<FoundImage>,
    /// The Dockerfile, for excerpts.
    pub dockerfile: Dockerfile,
    /// What rules about the Dockerfile need to know.
    pub lint: kigumi_dockerfile::lint::Inputs,
}

/// Reads what is no file of this machine; nothing where there is none.
pub(crate) type Elsewhere<'a> =
    dyn Fn(&DockerfilePlace) -> Result<Option<Vec<u8>>, BuildError> + 'a;

/// Finds and reads the Dockerfile. The first of the places where there is one counts; `elsewhere` reads what is no file of this machine.
///
/// # Errors
/// [`BuildError::NoDockerfile`], [`BuildError::Read`].
pub(crate) fn find_dockerfile(
    candidates: &[DockerfilePlace],
    elsewhere: &Elsewhere<'_>,
) -> Result<(DockerfilePlace, Vec<u8>), BuildError> {
    for place in candidates {
        let found = match place.disk() {
            Some(path) => read_if_there(path)?,
            None => elsewhere(place)?,
        };
        if let Some(bytes) = found {
            return Ok((place.clone(), bytes));
        }
    }
    Err(BuildError::NoDockerfile {
        looked_for: candidates.iter().map(ToString::to_string).collect(),
    })
}

/// Parses the Dockerfile.
///
/// # Errors
/// [`BuildError::Dockerfile`].
pub(crate) fn parse_dockerfile(
    place: &DockerfilePlace,
    bytes: &[u8],
) -> Result<Dockerfile, BuildError> {
    let name = match place {
        DockerfilePlace::Disk(path) => path
            .file_name()
            .unwrap_or(path.as_os_str())
            .to_string_lossy()
            .into_owned(),
        DockerfilePlace::Context(path) => {
            String::from_utf8_lossy(path.file_name().unwrap_or_default()).into_owned()
        }
        DockerfilePlace::Web(url) => WebSource::parse(url)
            .map(|source| String::from_utf8_lossy(&source.name()).into_owned())
            .unwrap_or_default(),
    };
    parse_bytes(bytes, &name).map_err(|found| BuildError::Dockerfile(Box::new(found)))
}

fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, BuildError> {
    use std::io::ErrorKind;
    match read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(source) => Err(BuildError::Read {
            what: "the Dockerfile",
            path: path.to_owned(),
            source,
        }),
    }
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?
        .take(LONGEST_DOCKERFILE)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What the flags mean for the planner.
pub(crate) fn inputs(
    config: &Config,
    platform: Platform,
    created: String,
    proxies: Vec<(String, String)>,
) -> BuildInputs {
    let build_platform = Platform::host();
    BuildInputs {
        build_args: config.build_args.clone(),
        target: config.target.clone(),
        labels: config.labels.clone(),
        build_platform,
        platform_is_given: config.platform_source == PlatformSource::Flag,
        proxies,
        allowed: config.run.allowed.clone(),
        contexts: config
            .contexts
            .iter()
            .map(|flag| flag.context.clone())
            .collect(),
        ..BuildInputs::new(platform, created)
    }
}

/// What answers the planner's questions.
#[derive(Clone, Copy)]
pub(crate) struct World<'a> {
    pub(crate) client: &'a Client,
    pub(crate) contexts: &'a [ContextFlag],
    pub(crate) secrets: &'a Secrets,
    pub(crate) events: &'a Events,
    /// How it is told to end.
    #[cfg_attr(not(feature = "git"), expect(dead_code, reason = "for git"))]
    pub(crate) stop: &'a Stop,
    /// Where work files may go.
    #[cfg_attr(not(feature = "git"), expect(dead_code, reason = "for git"))]
    pub(crate) work: &'a Path,
}

/// Answers the planner's questions until it has none.
///
/// # Errors
/// [`BuildError::Dockerfile`], and what registries say, at the line that names the image.
pub(crate) async fn plan(
    dockerfile: Dockerfile,
    inputs: BuildInputs,
    world: &World<'_>,
) -> Result<Planned, BuildError> {
    let wrong = |found: Diagnostics| BuildError::Dockerfile(Box::new(found));
    let mut planner = Planner::new(&dockerfile, inputs).map_err(wrong)?;
    let mut answers: Vec<(ImageQuery, FoundImage)> = Vec::new();
    if let Some(query) = planner.wanted_time().cloned() {
        let seconds = time(&query, world)
            .await
            .map_err(|error| error.at(&dockerfile.source, query.span, &query.shown))?;
        planner.supply_time(seconds);
    }
    loop {
        let wanted = planner.wanted();
        if wanted.is_empty() {
            break;
        }
        for query in wanted {
            let image = found::find(&query, world.contexts, world.client)
                .await
                .map_err(|error| error.at(&dockerfile.source, query.span, &query.reference))?;
            tell(&query, &image, world.events);
            planner.supply(&query, image.answer());
            answers.push((query, image));
        }
    }
    let lint = crate::lint::inputs(&planner);
    let plan = planner.finish().map_err(wrong)?;
    let images = (0..plan.images.len())
        .filter_map(|index| plan.image(ImageId(index)))
        .filter_map(|planned| {
            let same = |query: &ImageQuery| {
                query.reference == planned.reference && query.platform == planned.platform
            };
            answers
                .iter()
                .find(|(query, _)| same(query))
                .map(|(_, image)| image.clone())
        })
        .collect();
    Ok(Planned {
        plan,
        images,
        dockerfile,
        lint,
    })
}

/// When a file of the web was changed, or a commit made.
async fn time(query: &TimeQuery, world: &World<'_>) -> Result<i64, BuildError> {
    if query.kind == Remote::Git {
        return git::time(query, world);
    }
    let source = downloads::source(&query.url, None, world.secrets)?;
    let said = world.client.last_modified(&source).await;
    let said = said.map_err(downloads::web)?;
    let seconds = said.as_deref().and_then(downloads::http_date);
    seconds.ok_or_else(|| BuildError::NoTime {
        url: source.shown(),
    })
}

fn tell(query: &ImageQuery, image: &FoundImage, events: &Events) {
    let layers = &image.manifest.value().layers;
    events.emit(BuildEvent::BaseResolved {
        reference: query.reference.clone(),
        digest: image.descriptor.digest,
        layers: layers.len(),
        bytes: layers.iter().map(|layer| layer.size).sum(),
    });
}
