//! Acting on the weight, and on its update.

pub(crate) mod ops;
mod optimize;
pub(crate) mod running_values;
