//! Our own rules: what goes into an image that should not, and what only a builder in a pod can know.

mod kx001;
mod kx002;
mod kx003;
mod kx004;
mod kx005;
mod kx006;
mod kx007;
mod kx009;
mod kx010;
mod kx014;
mod kx101;
mod kx102;
mod kx103;
mod kx104;
mod kx105;
mod kx106;
mod kx107;
mod kx108;
mod kx109;
mod kx110;
mod kx111;
mod kx112;
mod kx113;

use super::rule::Rule;
use crate::instruction::{Mount, MountKey};

/// In the order of their numbers.
pub(super) static RULES: &[&Rule] = &[
    &kx001::RULE,
    &kx002::RULE,
    &kx003::RULE,
    &kx004::RULE,
    &kx005::RULE,
    &kx006::RULE,
    &kx007::RULE,
    &kx009::RULE,
    &kx010::RULE,
    &kx014::RULE,
    &kx101::RULE,
    &kx102::RULE,
    &kx103::RULE,
    &kx104::RULE,
    &kx105::RULE,
    &kx106::RULE,
    &kx107::RULE,
    &kx108::RULE,
    &kx109::RULE,
    &kx110::RULE,
    &kx111::RULE,
    &kx112::RULE,
    &kx113::RULE,
];

/// Whether a mount is of a type, as far as the text says it.
fn is_of(mount: &Mount, kind: &str) -> bool {
    let mut types = mount.options.iter().rev();
    let last = types.find(|option| option.key == MountKey::Type);
    let last = last.and_then(|option| option.value.as_ref());
    last.is_some_and(|word| word.raw == kind)
}
