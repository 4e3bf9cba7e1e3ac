//! What was on the root filesystem before a build is there again after it, for whoever uses the container next (ADR 21).

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use kigumi_layer::ImagePath;
use kigumi_rootfs::{
    DisposableRoot, Exclusions, Facts, Former, Placer, Policy, Protection, assess,
};

use super::own_paths;
use crate::cli::{BUILD_ID, Config, Environment};
use crate::credentials::credential_files;
use crate::error::BuildError;
use crate::report::Events;

/// Its name in the executor's own directory.
const IN_OUR_DIRECTORY: &str = "former";
/// Its name at the top of the root, where the executor's own directory is on a volume of the pod.
pub(super) const AT_THE_TOP: &str = "/.kigumi-former";

/// Makes the place where the former root will wait, and takes the root for this build alone.
pub(super) fn begin(
    root: &DisposableRoot,
    kaniko_dir: &Path,
    work: &Path,
    doorstep: Option<&Doorstep>,
) -> Result<Former, BuildError> {
    let failed = BuildError::root("prepare to give the root filesystem back");
    let opened = root.open().map_err(&failed)?;
    let place = if Placer::is_backstage(&opened, kaniko_dir) {
        kaniko_dir.join(IN_OUR_DIRECTORY)
    } else {
        opened.host_path().join(AT_THE_TOP.trim_start_matches('/'))
    };
    let former = Former::begin(&place, &opened, work).map_err(&failed)?;
    if let Some(doorstep) = doorstep {
        doorstep.keep(&place);
    }
    Ok(former)
}

/// The directory that whoever started us stands in, and that the next build of the same script begins in.
fn standing_place(environment: &Environment) -> Option<PathBuf> {
    let here = &environment.working_directory;
    (!environment.is_init).then(|| here.clone())
}

/// What of the root is not to be touched.
pub(super) fn protection(
    ours: Vec<PathBuf>,
    config: &Config,
    environment: &Environment,
) -> Protection {
    let ignored = config.ignore_paths.iter();
    let ignored = ignored
        .filter_map(|path| ImagePath::clamp(path.as_os_str().as_encoded_bytes()).ok())
        .collect();
    // A credential file that is kept from RUN goes back into the very directory that it was in.
    let homes = credential_files(environment);
    let homes = homes
        .iter()
        .filter_map(|file| file.parent().map(PathBuf::from));
    Protection {
        ours,
        ignored,
        anchors: standing_place(environment)
            .into_iter()
            .chain(homes)
            .collect(),
    }
}

/// Whether the root may be destroyed; what is suspicious is told.
pub(super) fn disposable_root(
    config: &Config,
    ours: &[PathBuf],
    events: &Events,
) -> Result<DisposableRoot, BuildError> {
    let facts = Facts::gather(BUILD_ID, ours);
    let policy = Policy {
        force: config.force,
        strict: false,
    };
    let root =
        assess(&facts, policy).map_err(|refusal| BuildError::UnsafeRoot(Box::new(refusal)))?;
    for warning in root.warnings() {
        events.warn(warning.clone());
    }
    Ok(root)
}

/// Gives back what a build that was killed had moved aside. Do this before any file of the root is read.
///
/// # Errors
/// [`BuildError::Root`] when a build is still at work, or when what was left is not of this root and this boot.
pub fn repair(
    config: &Config,
    environment: &Environment,
    events: &Events,
) -> Result<(), BuildError> {
    let own = environment
        .executable
        .parent()
        .unwrap_or(Path::new("/kaniko"));
    let places = [
        config.kaniko_dir.join(IN_OUR_DIRECTORY),
        own.join(IN_OUR_DIRECTORY),
        PathBuf::from(AT_THE_TOP),
    ];
    for place in places {
        if place.symlink_metadata().is_ok() {
            repair_from(&place, config, environment, events)?;
        }
    }
    Ok(())
}

fn repair_from(
    place: &Path,
    config: &Config,
    environment: &Environment,
    events: &Events,
) -> Result<(), BuildError> {
    let failed = BuildError::root(
        "give back what was on the root filesystem before a build that was killed",
    );
    let ours = own_paths(config, environment);
    let root = disposable_root(config, &ours, events)?;
    let opened = root.open().map_err(&failed)?;
    let Some(former) = Former::left_over(place, &opened).map_err(&failed)? else {
        return Ok(());
    };
    let protection = protection(ours, config, environment);
    let mut exclusions = Exclusions::new(&opened, &protection).map_err(&failed)?;
    if former.is_away() {
        events.warn("a build in this container was killed: what it left on the root filesystem is removed, and what was there before is put back. A config.json that did not lie on a volume was in the memory of that build: write it again");
    }
    let _doorstep = Doorstep::kept(place);
    former.remove_work().map_err(&failed)?;
    former.give_back(&opened, &mut exclusions).map_err(&failed)
}

/// The time of the executor's own directory: work files come and go there.
#[derive(Debug)]
pub(super) struct Doorstep {
    directory: PathBuf,
    modified: Option<SystemTime>,
}

impl Doorstep {
    pub(super) fn new(directory: &Path) -> Self {
        let metadata = directory.metadata();
        Self {
            directory: directory.to_owned(),
            modified: metadata.and_then(|metadata| metadata.modified()).ok(),
        }
    }

    /// Writes the time down as that of the place where the former root waits, should this process be killed. Nothing comes or goes directly there.
    pub(super) fn keep(&self, place: &Path) {
        if place.parent() == Some(&self.directory) {
            self.give_to(place);
        }
    }

    /// What a build that was killed has written down.
    fn kept(place: &Path) -> Option<Self> {
        let directory = place.parent()?;
        (place.file_name()? == IN_OUR_DIRECTORY).then(|| Self {
            directory: directory.to_owned(),
            modified: Self::new(place).modified,
        })
    }

    fn give_to(&self, directory: &Path) {
        // A directory that is gone, or that is not ours, has no time to give back.
        let (Some(modified), Ok(directory)) = (self.modified, std::fs::File::open(directory))
        else {
            return;
        };
        let now = directory
            .metadata()
            .and_then(|metadata| metadata.modified());
        // A build that was refused has written nothing, and this must not be the exception.
        if now.is_ok_and(|now| now != modified) {
            drop(directory.set_modified(modified));
        }
    }
}

impl Drop for Doorstep {
    fn drop(&mut self) {
        self.give_to(&self.directory);
    }
}
