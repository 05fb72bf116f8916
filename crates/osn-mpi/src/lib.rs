#![doc = include_str!("../README.md")]

#[cfg(feature = "mpi")]
mod mpi;

#[cfg(feature = "mpi")]
pub use mpi::ending::Ending;
#[cfg(feature = "mpi")]
pub use mpi::start::{WAIT_SECS, run, run_and_end};
#[cfg(feature = "mpi")]
pub use mpi::workers::MpiWorkers;
