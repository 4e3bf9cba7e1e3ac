use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kigumi_layer::{Change, FileContent, ImagePath, Origin, decompress};
use kigumi_registry::Spool;
use kigumi_rootfs::RootDir;

use crate::error::BuildError;

/// Where the bytes behind every [`Origin`] are.
///
/// Layers are kept as they were fetched or written, compressed; nothing can be read from their middle. What is needed of them is extracted
/// once, in one pass, into a scratch file that has no name and vanishes with us.
#[derive(Debug)]
pub(crate) struct Contents {
    work: PathBuf,
    scratch: u32,
    scratch_length: u64,
    blobs: Vec<Blob>,
    stores: Vec<Arc<RootDir>>,
    /// Where files of layers are in the scratch file, by layer and offset there.
    extracted: BTreeMap<(u32, u64), u64>,
}

#[derive(Debug)]
enum Blob {
    /// Compressed.
    Layer(Spool),
    /// A scratch file: contents one after the other.
    Plain(File),
    /// Its bytes were not kept.
    Gone,
}

/// The bytes of one file in the scratch file.
struct Slice<'a> {
    file: &'a File,
    at: u64,
    left: u64,
}

impl Read for Slice<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer
            .len()
            .min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let count = self
            .file
            .read_at(buffer.get_mut(..wanted).unwrap_or_default(), self.at)?;
        self.at += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}

impl Contents {
    /// Nothing yet; scratch files go into `work`.
    pub(crate) fn new(work: &Path) -> Result<Self, BuildError> {
        let mut contents = Self {
            work: work.to_owned(),
            scratch: 0,
            scratch_length: 0,
            blobs: Vec::new(),
            stores: Vec::new(),
            extracted: BTreeMap::new(),
        };
        let scratch = contents.scratch_file()?;
        contents.scratch = contents.add(Blob::Plain(scratch));
        Ok(contents)
    }

    /// A file without a name.
    pub(crate) fn scratch_file(&self) -> Result<File, BuildError> {
        tempfile::tempfile_in(&self.work)
            .map_err(|source| self.failed("create a scratch file", source))
    }

    /// Numbers a layer, for [`Origin::Blob`]. Without a spool its bytes cannot be had later.
    pub(crate) fn add_layer(&mut self, spool: Option<Spool>) -> u32 {
        self.add(spool.map_or(Blob::Gone, Blob::Layer))
    }

    /// Says where the bytes of a numbered layer are from now on.
    pub(crate) fn set_layer(&mut self, number: u32, spool: Option<Spool>) {
        if let Some(blob) = self.blobs.get_mut(number as usize) {
            *blob = spool.map_or(Blob::Gone, Blob::Layer);
        }
    }

    /// The bytes of a numbered layer, as stored, if they are kept.
    pub(crate) fn layer(&self, number: u32) -> Option<&Spool> {
        match self.blobs.get(number as usize) {
            Some(Blob::Layer(spool)) => Some(spool),
            Some(Blob::Plain(_) | Blob::Gone) | None => None,
        }
    }

    /// The number that the next file or layer will get.
    pub(crate) fn next_number(&self) -> u32 {
        u32::try_from(self.blobs.len()).unwrap_or(u32::MAX)
    }

    /// Numbers a file of contents one after the other.
    pub(crate) fn add_file(&mut self, file: File) -> u32 {
        self.add(Blob::Plain(file))
    }

    fn add(&mut self, blob: Blob) -> u32 {
        let number = self.next_number();
        self.blobs.push(blob);
        number
    }

    fn plain(&self, number: u32) -> Option<&File> {
        match self.blobs.get(number as usize) {
            Some(Blob::Plain(file)) => Some(file),
            Some(Blob::Layer(_) | Blob::Gone) | None => None,
        }
    }

    /// Numbers a directory, for [`Origin::Stored`].
    pub(crate) fn add_store(&mut self, directory: Arc<RootDir>) -> u32 {
        self.stores.push(directory);
        u32::try_from(self.stores.len() - 1).unwrap_or(u32::MAX)
    }

    /// The bytes of a file, wherever they are but on the live root.
    pub(crate) fn open<'a>(
        &'a self,
        path: &ImagePath,
        content: &FileContent,
    ) -> Result<Box<dyn Read + 'a>, BuildError> {
        let failed = |source| BuildError::Content {
            path: path.to_string(),
            source,
        };
        match &content.origin {
            Origin::Inline(bytes) => Ok(Box::new(io::Cursor::new(Arc::clone(bytes)))),
            Origin::Blob { blob, offset } => {
                let file = self.plain(*blob).ok_or_else(|| failed(not_kept()))?;
                Ok(Box::new(Slice {
                    file,
                    at: *offset,
                    left: content.size,
                }))
            }
            Origin::Stored {
                store,
                path: stored,
            } => {
                let missing = || failed(io::Error::from(io::ErrorKind::NotFound));
                let directory = self.stores.get(*store as usize).ok_or_else(missing)?;
                let stored =
                    ImagePath::parse(stored).map_err(|error| failed(io::Error::other(error)))?;
                let file = directory
                    .open_content(&stored)
                    .map_err(|source| BuildError::Root {
                        operation: format!("read `{stored}` for `{path}`"),
                        source,
                    })?;
                Ok(Box::new(file))
            }
            Origin::Live => Err(failed(not_kept())),
        }
    }

    /// The layers that bytes of files in `changes` have to be extracted from.
    pub(crate) fn layers_behind(&self, changes: &[Change]) -> BTreeSet<u32> {
        let behind = changes.iter().filter_map(Change::file);
        let behind = behind.filter_map(|content| match content.origin {
            Origin::Blob { blob, offset } => Some((blob, offset)),
            Origin::Inline(_) | Origin::Stored { .. } | Origin::Live => None,
        });
        let behind = behind.filter(|place| !self.extracted.contains_key(place));
        let layers = behind.map(|(blob, _)| blob);
        layers.filter(|blob| self.plain(*blob).is_none()).collect()
    }

    /// Makes the bytes of every file in `changes` that lies inside a layer readable, in one pass over each layer.
    pub(crate) fn extract(&mut self, changes: &mut [Change]) -> Result<(), BuildError> {
        let mut wanted: BTreeMap<u32, BTreeMap<u64, u64>> = BTreeMap::new();
        for content in changes.iter_mut().filter_map(Change::file_mut) {
            if let Origin::Blob { blob, offset } = content.origin
                && self.plain(blob).is_none()
                && !self.extracted.contains_key(&(blob, offset))
            {
                wanted.entry(blob).or_default().insert(offset, content.size);
            }
        }
        for (blob, files) in wanted {
            for (offset, place) in self.extract_from(blob, &files)? {
                self.extracted.insert((blob, offset), place);
            }
        }
        for content in changes.iter_mut().filter_map(Change::file_mut) {
            if let Origin::Blob { blob, offset } = content.origin
                && let Some(place) = self.extracted.get(&(blob, offset))
            {
                content.origin = Origin::Blob {
                    blob: self.scratch,
                    offset: *place,
                };
            }
        }
        Ok(())
    }

    fn extract_from(
        &mut self,
        number: u32,
        files: &BTreeMap<u64, u64>,
    ) -> Result<Vec<(u64, u64)>, BuildError> {
        let Some(Blob::Layer(spool)) = self.blobs.get(number as usize) else {
            return Err(self.failed("read a layer", not_kept()));
        };
        let mut stream = decompress(spool.reader()).map_err(|source| BuildError::Layer {
            operation: "decompress a layer to copy from it".to_owned(),
            source,
        })?;
        let mut position = 0;
        let mut places = Vec::new();
        for (&offset, &size) in files {
            let skipped = io::copy(&mut (&mut stream).take(offset - position), &mut io::sink());
            skipped.map_err(|source| self.failed("read a layer", source))?;
            places.push((offset, self.append(&mut (&mut stream).take(size), size)?));
            position = offset + size;
        }
        Ok(places)
    }

    /// Copies bytes to the end of the scratch file and says where they begin.
    fn append(&mut self, reader: &mut dyn Read, size: u64) -> Result<u64, BuildError> {
        let start = self.scratch_length;
        let Some(mut sink) = self.plain(self.scratch) else {
            return Err(self.failed("copy the content of a file", not_kept()));
        };
        let copied = sink
            .seek(SeekFrom::Start(start))
            .and_then(|_| io::copy(reader, &mut sink))
            .map_err(|source| self.failed("copy the content of a file", source))?;
        if copied != size {
            let source = io::Error::from(io::ErrorKind::UnexpectedEof);
            return Err(self.failed("copy the content of a file", source));
        }
        self.scratch_length += copied;
        Ok(start)
    }

    fn failed(&self, operation: &'static str, source: io::Error) -> BuildError {
        BuildError::Work {
            operation,
            directory: self.work.clone(),
            source,
        }
    }
}

fn not_kept() -> io::Error {
    io::Error::other("its bytes were not kept; this is a defect of kigumi, please report it")
}
