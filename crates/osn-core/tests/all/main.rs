//! The tests of the crate as one program: each links everything once.

#![expect(clippy::unwrap_used, reason = "a test may end at the first surprise")]

mod bad_numbers;
mod complexity;
mod convolutions;
mod estimates;
mod intervals;
mod layers;
mod maps;
mod sentences;
mod stream;
