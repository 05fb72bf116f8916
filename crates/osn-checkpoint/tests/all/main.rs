//! The tests of the crate as one program: each links everything once.

#![expect(clippy::unwrap_used, reason = "a test may end at the first surprise")]

mod hostile;
mod inspect;
mod normalize;
mod readers;
mod sentences;
mod support;
mod used;
