//! The workers as processes: the same files for every number of them, and how each failure ends all.
//!
//! Skipped, with a line, where there is no `mpirun`.

#![expect(clippy::unwrap_used, reason = "a test may end at the first surprise")]
#![expect(clippy::print_stderr, reason = "a test that is skipped says so")]

mod failures;
mod hosts;
mod osn_train;
mod program;
mod same_bits;
