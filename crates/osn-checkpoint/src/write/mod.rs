//! Writes a checkpoint whose model has the wanted weights.

pub(crate) mod normalize;
pub(crate) mod outcome;
mod plan;
mod scaled;
