//! The rule of trust held against its text (design §3): sentence by sentence, attack by attack, as
//! properties, and against a second implementation that is slow and obvious.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    clippy::expect_used,
    reason = "a test that panics has failed, as it should"
)]

mod attacks;
mod case;
mod lab;
mod properties;
mod random;
mod reference;
mod rules;
mod sheet;
