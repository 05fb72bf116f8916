//! From a plan to a held model.

pub(crate) mod as_convolution;
pub(crate) mod choose;
pub(crate) mod discover;
pub(crate) mod plan;
pub(crate) mod selection;
pub(crate) mod stated;
