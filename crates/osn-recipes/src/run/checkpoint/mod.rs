//! Everything that decides the future of a run, as one file that is there whole or not at all.
//!
//! `checkpoints/step-000500.safetensors` holds named parts: the tensors of every network and of its
//! optimizer by their paths, and what is no tensor as bytes. Two runs of one seed have the same bytes in
//! every part but [`ABOUT`], [`CLOCK`] and [`RECORD`], so that checkpoints can be compared.

mod error;
mod parts;
mod shelf;

pub use error::CheckpointError;
pub(crate) use parts::Part;
pub(crate) use parts::hex;
pub use parts::{Parts, PartsError};
pub(super) use shelf::read_parts;
pub use shelf::{Checkpoints, Shelf};

/// The part that says which run it is, as `run.json` does.
pub const ABOUT: &str = "about";
/// The part that says how long the run took so far.
pub const CLOCK: &str = "clock";
/// The part that says how far the record goes.
pub const RECORD: &str = "record";
/// The part that the loop itself goes on from.
pub const SESSION: &str = "session";
