//! How much of an input is believed. What the kernel prescribes is said so; the rest are design defaults.

/// Longest name of a directory entry, in bytes (Linux `NAME_MAX`).
pub const NAME_MAX: usize = 255;
/// Longest path, and longest target of a symbolic link, in bytes (Linux `PATH_MAX` less the final NUL).
pub const PATH_MAX: usize = 4095;
/// Longest PAX extended header or GNU long name, in bytes. Go's reader, by which every runtime reads layers, has the same limit:
/// a longer record would make a layer that we can read and they cannot.
pub const EXTENSION_MAX: u64 = 1024 * 1024;
/// Longest name of an extended attribute, in bytes (Linux `XATTR_NAME_MAX`).
pub const XATTR_NAME_MAX: usize = 255;
/// Longest value of an extended attribute, in bytes (Linux `XATTR_SIZE_MAX`).
pub const XATTR_VALUE_MAX: usize = 64 * 1024;
/// Largest device numbers (Linux keeps 12 and 20 bits of them).
pub const DEVICE_MAJOR_MAX: u32 = (1 << 12) - 1;
/// See [`DEVICE_MAJOR_MAX`].
pub const DEVICE_MINOR_MAX: u32 = (1 << 20) - 1;
/// Largest window that a zstd frame may ask for, as a power of two: 128 MiB, what `zstd --long` writes by default.
pub const ZSTD_WINDOW_LOG_MAX: u32 = 27;
