//! The tests of the crate as one program: each links everything once.

#![expect(clippy::unwrap_used, reason = "a test may end at the first surprise")]

#[cfg(feature = "wgpu")]
mod backends;
mod bad_numbers;
#[cfg(feature = "wgpu")]
#[path = "../../examples/digits/mod.rs"]
#[allow(dead_code, reason = "it is the examples', which use all of it")]
mod digits;
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
