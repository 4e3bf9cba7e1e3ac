use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use kigumi_oci::Digest;

#[derive(Debug, Default)]
pub(super) struct Store {
    blobs: HashMap<Digest, Arc<[u8]>>,
    links: HashSet<(String, Digest)>,
    manifests: HashMap<(String, Digest), Stored>,
    tags: HashMap<(String, String), Digest>,
    uploads: HashMap<String, Upload>,
    opened: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) media_type: String,
    pub(super) bytes: Arc<[u8]>,
}

#[derive(Debug)]
pub(super) struct Upload {
    pub(super) repository: String,
    pub(super) bytes: Vec<u8>,
}

impl Store {
    pub(super) fn put_blob(&mut self, repository: &str, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        self.blobs.entry(digest).or_insert_with(|| bytes.into());
        self.links.insert((repository.to_owned(), digest));
        digest
    }

    pub(super) fn blob(&self, repository: &str, digest: Digest) -> Option<Arc<[u8]>> {
        if !self.links.contains(&(repository.to_owned(), digest)) {
            return None;
        }
        self.blobs.get(&digest).cloned()
    }

    /// False when the source does not have the blob.
    pub(super) fn mount(&mut self, from: &str, to: &str, digest: Digest) -> bool {
        let there = self.blob(from, digest).is_some();
        if there {
            self.links.insert((to.to_owned(), digest));
        }
        there
    }

    pub(super) fn put_manifest(
        &mut self,
        repository: &str,
        tag: Option<&str>,
        media_type: &str,
        bytes: &[u8],
    ) -> Digest {
        let digest = Digest::of(bytes);
        let stored = Stored {
            media_type: media_type.to_owned(),
            bytes: bytes.into(),
        };
        self.manifests
            .insert((repository.to_owned(), digest), stored);
        if let Some(tag) = tag {
            self.tags
                .insert((repository.to_owned(), tag.to_owned()), digest);
        }
        digest
    }

    /// By tag or digest.
    pub(super) fn manifest(&self, repository: &str, target: &str) -> Option<&Stored> {
        let digest = target.parse().ok().or_else(|| {
            self.tags
                .get(&(repository.to_owned(), target.to_owned()))
                .copied()
        })?;
        self.manifests.get(&(repository.to_owned(), digest))
    }

    pub(super) fn open_upload(&mut self, repository: &str) -> String {
        self.opened += 1;
        let id = format!("upload-{}", self.opened);
        let upload = Upload {
            repository: repository.to_owned(),
            bytes: Vec::new(),
        };
        self.uploads.insert(id.clone(), upload);
        id
    }

    pub(super) fn upload(&mut self, repository: &str, id: &str) -> Option<&mut Upload> {
        self.uploads
            .get_mut(id)
            .filter(|upload| upload.repository == repository)
    }

    pub(super) fn close_upload(&mut self, id: &str) -> Option<Upload> {
        self.uploads.remove(id)
    }
}
