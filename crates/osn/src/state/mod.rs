//! What is kept: u, v and σ in the module tree, and what a run is resumed from.

pub(crate) mod codes;
mod detach;
pub(crate) mod normalizer;
pub(crate) mod osn_state;
pub(crate) mod probe;
pub(crate) mod spectral_norm;
pub(crate) mod walks;
pub(crate) mod watched;
