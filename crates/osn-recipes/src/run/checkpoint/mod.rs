//! Everything that the rest of a run depends on, in one file that is written atomically.
//!
//! `checkpoints/step-000500.safetensors` holds named parts: the tensors of every network and of its
//! optimizer by their paths, and other values as bytes. Two runs of one seed have the same bytes in
//! every part but [`ABOUT`](contents::ABOUT), [`CLOCK`](contents::CLOCK) and
//! [`RECORD`](contents::RECORD), so that checkpoints can be compared.

pub mod contents;
pub mod directory;
pub mod error;
pub mod schedule;
