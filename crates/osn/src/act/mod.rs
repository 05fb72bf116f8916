//! Acting on the weight, and on its update.

pub(crate) mod ops;
mod optimize;
