use std::collections::BTreeMap;

use kigumi_layer::ImagePath;

/// Why something of the tree is not on the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WhyVirtual {
    /// The path, or one above it, is a mount or protected.
    Excluded,
    /// A mount or something protected lies below the path, and the entry is not a directory.
    Pinned,
    /// The kernel does not let this user make it.
    Refused,
    /// The directory that should hold it, or the target of the hard link, is not on the disk.
    Detached,
}

/// What an entry on the disk lacks, because the kernel does not let this user set it.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Refused {
    /// User and group.
    pub owner: bool,
    /// Permissions.
    pub mode: bool,
    /// Extended attributes, by name.
    pub xattrs: Vec<Box<[u8]>>,
}

impl Refused {
    /// Whether nothing was refused.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// How far the disk differs from the tree at one path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Virtual {
    /// Not on the disk at all, or something else is.
    Absent(WhyVirtual),
    /// On the disk, with something missing.
    Partial(Refused),
}

/// Where the disk is not as the tree says. The tree is right: it is what goes into images (hostile-input rules D5, X7).
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Virtuals(BTreeMap<ImagePath, Virtual>);

impl Virtuals {
    /// What is said about exactly this path.
    pub fn get(&self, path: &ImagePath) -> Option<&Virtual> {
        self.0.get(path)
    }

    /// All of them, in order of their paths.
    pub fn iter(&self) -> impl Iterator<Item = (&ImagePath, &Virtual)> {
        self.0.iter()
    }

    /// Whether the disk is as the tree says everywhere.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `path` or a directory above it is not on the disk.
    pub fn is_absent(&self, path: &ImagePath) -> bool {
        let mut at = Some(path.clone());
        while let Some(path) = at {
            if matches!(self.0.get(&path), Some(Virtual::Absent(_))) {
                return true;
            }
            at = path.parent();
        }
        false
    }

    pub(crate) fn insert(&mut self, path: ImagePath, entry: Virtual) {
        self.0.insert(path, entry);
    }

    pub(crate) fn remove(&mut self, path: &ImagePath) {
        self.0.remove(path);
    }

    /// Forgets `path` and all below.
    pub(crate) fn remove_below(&mut self, path: &ImagePath) {
        let doomed: Vec<ImagePath> = self
            .0
            .range::<ImagePath, _>(path..)
            .map(|(below, _)| below)
            .take_while(|below| below.starts_with(path))
            .cloned()
            .collect();
        for path in doomed {
            self.0.remove(&path);
        }
    }
}
