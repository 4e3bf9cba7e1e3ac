//! Looks into the archives that an ADD names.

use std::io::BufWriter;

use kigumi_context::{Archive, Candidate, Spool, read_archive};
use kigumi_layer::ImagePath;

use super::contents::Contents;
use crate::error::BuildError;

/// What is in a file that an ADD names; `None` when it is no archive. Contents go into a file of their own.
pub(crate) fn read(
    candidate: &Candidate,
    contents: &mut Contents,
) -> Result<Option<Archive>, BuildError> {
    let file = contents.scratch_file()?;
    let copy =
        |message: String, source: Box<dyn std::error::Error + Send + Sync>| BuildError::Copy {
            message,
            source: Some(source),
        };
    let sink = file
        .try_clone()
        .map_err(|source| copy("keep the content of an archive".into(), source.into()))?;
    let mut spool = Spool::new(BufWriter::new(sink), contents.next_number());
    let archive = {
        let reader = contents.open(&ImagePath::root(), &candidate.content)?;
        read_archive(reader, &candidate.written, &mut spool)
            .map_err(|source| copy(format!("ADD `{}`", candidate.written), source.into()))?
    };
    let sink = spool.into_inner().into_inner();
    sink.map_err(|error| {
        copy(
            "keep the content of an archive".into(),
            Box::new(error.into_error()),
        )
    })?;
    if archive.is_some() {
        contents.add_file(file);
    }
    Ok(archive)
}
