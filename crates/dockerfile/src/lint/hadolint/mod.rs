//! hadolint's rules: ids and meanings, compared with the program itself by a test.

mod dl3002;
mod dl3003;
mod dl3004;
mod dl3006;
mod dl3007;
mod dl3008;
mod dl3009;
mod dl3011;
mod dl3013;
mod dl3014;
mod dl3015;
mod dl3016;
mod dl3018;
mod dl3019;
mod dl3020;
mod dl3021;
mod dl3022;
mod dl3023;
mod dl3024;
mod dl3025;
mod dl3026;
mod dl3027;
mod dl3029;
mod dl3042;
mod dl3044;
mod dl3045;
mod dl3047;
mod dl3057;
mod dl3059;
mod dl3062;
mod dl3066;
mod dl3067;
mod dl4001;
mod dl4003;
mod dl4004;
mod dl4006;

use super::rule::Rule;

/// In the order of their numbers.
pub(super) static RULES: &[&Rule] = &[
    &dl3002::RULE,
    &dl3003::RULE,
    &dl3004::RULE,
    &dl3006::RULE,
    &dl3007::RULE,
    &dl3008::RULE,
    &dl3009::RULE,
    &dl3011::RULE,
    &dl3013::RULE,
    &dl3014::RULE,
    &dl3015::RULE,
    &dl3016::RULE,
    &dl3018::RULE,
    &dl3019::RULE,
    &dl3020::RULE,
    &dl3021::RULE,
    &dl3022::RULE,
    &dl3023::RULE,
    &dl3024::RULE,
    &dl3025::RULE,
    &dl3026::RULE,
    &dl3027::RULE,
    &dl3029::RULE,
    &dl3042::RULE,
    &dl3044::RULE,
    &dl3045::RULE,
    &dl3047::RULE,
    &dl3057::RULE,
    &dl3059::RULE,
    &dl3062::RULE,
    &dl3066::RULE,
    &dl3067::RULE,
    &dl4001::RULE,
    &dl4003::RULE,
    &dl4004::RULE,
    &dl4006::RULE,
];
