//! How large weights are: one of them, or all of a checkpoint.

pub(crate) mod error;
pub(crate) mod inspect;
mod panels;
pub(crate) mod weight;
