#![doc = include_str!("../README.md")]

#[cfg(feature = "mpi")]
mod mpi;

#[cfg(feature = "mpi")]
pub use mpi::start::{WAIT_SECS, run};
#[cfg(feature = "mpi")]
pub use mpi::workers::MpiWorkers;
