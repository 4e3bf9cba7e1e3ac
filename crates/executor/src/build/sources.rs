//! What the sources of a COPY or ADD are for the copy engine.

use kigumi_context::CopyItem;
use kigumi_layer::Mode;
use kigumi_oci::Digest;
use kigumi_plan::{CopyOp, Source, Unpack};

use super::copying;
use super::stage::Stages;
use crate::error::BuildError;

/// The mode of a file that comes from the web. COMPAT(buildkit)
const FETCHED: u32 = 0o600;

impl Stages<'_> {
    /// One item for each source, in order; what lies elsewhere is fetched.
    pub(super) fn items(&mut self, copy: &CopyOp) -> Result<Vec<CopyItem>, BuildError> {
        let sources = copy.sources.iter();
        sources.map(|source| self.item(source, copy)).collect()
    }

    fn item(&mut self, source: &Source, copy: &CopyOp) -> Result<CopyItem, BuildError> {
        match source {
            Source::Url(url) => self.web_item(url, copy),
            Source::Path(_) | Source::Inline { .. } | Source::Git(_) => {
                copying::item(source, copy.unpack)
            }
        }
    }

    fn web_item(&mut self, url: &str, copy: &CopyOp) -> Result<CopyItem, BuildError> {
        let checksum = copy.checksum.as_deref().map(str::parse::<Digest>);
        let checksum = checksum.transpose().map_err(|source| BuildError::Copy {
            message: "--checksum".to_owned(),
            source: Some(Box::new(source)),
        })?;
        let secrets = &self.grants.secrets;
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
