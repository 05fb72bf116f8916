//! All that needs MPI.

pub(crate) mod ending;
mod launcher;
pub(crate) mod start;
mod watchdog;
pub(crate) mod workers;
