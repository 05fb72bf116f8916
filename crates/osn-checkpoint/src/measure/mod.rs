//! How large one weight is.

pub(crate) mod error;
mod panels;
pub(crate) mod weight;
