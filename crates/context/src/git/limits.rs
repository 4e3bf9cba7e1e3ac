//! What a repository may ask for. A hostile one is a few kilobytes that claim to be more than any machine has.

/// Most entries of a checkout, submodules included. The largest repositories have about a million; git trees that share subtrees can
/// claim 2^60 with a hundred objects.
pub(super) const ENTRIES: usize = 4_000_000;

/// Longest target of a symbolic link, in bytes: Linux's `PATH_MAX` less its NUL.
pub(super) const LARGEST_LINK: usize = 4095;

/// Largest object, in bytes: one is held in memory while its pack is checked. git's own packs do not delta-compress anything larger than half
/// of this.
pub(super) const LARGEST_OBJECT: usize = 1 << 30;

/// Longest `.gitmodules` that is read, in bytes.
pub(super) const LARGEST_GITMODULES: usize = 1 << 20;

/// Longest `.gitattributes` that is read, in bytes; git leaves longer ones out too.
pub(super) const LARGEST_ATTRIBUTES: usize = 100 << 20;

/// How deep submodules may lie inside one another.
pub(super) const SUBMODULE_DEPTH: usize = 16;

/// How many submodules a checkout may have in all.
pub(super) const SUBMODULES: usize = 512;

/// How many tags may point to one another.
pub(super) const TAG_DEPTH: usize = 8;

/// How many redirects are followed.
pub(super) const REDIRECTS: usize = 10;

/// Most references that are taken from a server that cannot be asked for a few, and wanted from one that gives no single commit.
pub(super) const WANTS: usize = 100_000;
