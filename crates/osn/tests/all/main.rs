//! The tests of the crate as one program: each links everything once.

#![expect(clippy::unwrap_used, reason = "a test may end at the first surprise")]

mod bad_numbers;
mod examples;
mod gradients;
mod growth;
mod invariants;
mod lazy;
mod needed_calls;
mod normalizer;
mod observe;
mod peers;
mod plan;
mod sentences;
mod support;
mod switching;
mod torch;
mod views;
mod whole;
mod workers;
