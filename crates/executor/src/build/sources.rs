//! What the sources of a COPY or ADD are for the copy engine.

use std::sync::Arc;

use kigumi_context::CopyItem;
use kigumi_context::git::GitReference;
use kigumi_layer::{Mode, Tree};
use kigumi_oci::Digest;
use kigumi_plan::{CopyOp, Source, Unpack};

use super::copying;
use super::git;
use super::stage::Stages;
use crate::error::BuildError;

/// The mode of a file that comes from the web. COMPAT(buildkit)
const FETCHED: u32 = 0o600;

/// The sources of one COPY or ADD.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) items: Vec<CopyItem>,
    /// The trees of git repositories, which items name by their number from 1 on.
    pub(super) git: Vec<Arc<Tree>>,
}

impl Gathered {
    /// Whether files of the context, of a stage or of an image are among them.
    pub(super) fn reads_paths(&self) -> bool {
        let reads = |item: &CopyItem| matches!(item, CopyItem::Path { source: 0, .. });
        self.items.iter().any(reads)
    }
}

impl Stages<'_> {
    /// One item for each source, in order; what lies elsewhere is fetched.
    pub(super) fn gather(&mut self, copy: &CopyOp) -> Result<Gathered, BuildError> {
        let mut gathered = Gathered::default();
        for source in &copy.sources {
            let item = match source {
                Source::Url(url) => self.web_item(url, copy)?,
                Source::Git(text) => {
                    let reference = git::reference(text)?;
                    let reference = git::with_flags(reference, copy)?;
                    gathered.git.push(self.git_tree(&reference)?);
                    // The files of the repository, not a directory of its name. The first tree is that of the paths.
                    CopyItem::Path {
                        source: gathered.git.len(),
                        pattern: "/".to_owned(),
                        unpack: false,
                    }
                }
                Source::Path(_) | Source::Inline { .. } => copying::item(source, copy.unpack)?,
            };
            gathered.items.push(item);
        }
        Ok(gathered)
    }

    /// The files of a git repository.
    pub(super) fn git_tree(&mut self, reference: &GitReference) -> Result<Arc<Tree>, BuildError> {
        let secrets = &self.entrusted.secrets;
        let (workshop, contents) = (self.workshop, &mut self.contents);
        self.git
            .get(reference, secrets, workshop, contents, self.now)
    }

    fn web_item(&mut self, url: &str, copy: &CopyOp) -> Result<CopyItem, BuildError> {
        let checksum = copy.checksum.as_deref().map(str::parse::<Digest>);
        let checksum = checksum.transpose().map_err(|source| BuildError::Copy {
            message: "--checksum".to_owned(),
            source: Some(Box::new(source)),
        })?;
        let secrets = &self.entrusted.secrets;
        let (workshop, contents) = (self.workshop, &mut self.contents);
        let file = self
            .downloads
            .get(url, checksum, secrets, workshop, contents)?;
        Ok(CopyItem::File {
            name: file.name,
            content: file.content,
            mode: Mode::new(FETCHED),
            mtime: file.mtime,
            unpack: copy.unpack == Unpack::Always,
        })
    }
}
