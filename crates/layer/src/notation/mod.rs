//! One line of text for one entry: debug output, golden files and fixtures are written in it.
//!
//! ```text
//! d 0755 0:0 /usr
//! f 0644 0:0 5 /usr/hello "world"
//! f 4755 0:0 70312 @1700000000.5 /usr/bin/su sha256:2cf2…
//! l 0:0 /bin -> usr/bin
//! h /usr/bin/cp = /usr/bin/busybox
//! c 0666 0:0 1,3 /dev/null
//! b 0660 0:6 8,0 /dev/sda
//! p 0600 0:0 /run/initctl
//! f 0755 0:0 0 /usr/bin/ping "" security.capability="\x01\x00"
//! - /etc/motd
//! ! /var/cache
//! ```
//!
//! A line is: kind, mode (links have none), `uid:gid`, what the kind needs (size of a file, numbers of a device), `@` and the time unless it is that
//! of 1970, the path, what the kind leads to (content, `->` text of a link, `=` target of a hard link), extended attributes. `-` is a whiteout and `!`
//! an opaque one. In text that is read, files with their content in quotes need no size. Empty lines and lines that start with `#` say nothing.
//!
//! Content is `"text"` when it is held in memory, else its digest, else `?` and the number that tells it from others; read again, the latter two
//! are contents whose bytes are nowhere ([`Origin::Live`](crate::Origin::Live)). Bytes that are not printable, white space and quotes are written `\xNN`.

mod parse;
mod print;
mod word;

#[cfg(test)]
mod tests;

pub use parse::{NotationError, parse_changes, parse_tree};
pub use print::print_changes;
