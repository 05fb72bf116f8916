//! All that needs MPI.

mod ending;
mod launcher;
pub(crate) mod start;
mod watchdog;
pub(crate) mod workers;
