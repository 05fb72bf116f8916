//! Bounds on singular values that are certain in spite of rounding.

pub(crate) mod bidirectional;
pub(crate) mod cholesky;
pub(crate) mod gram_iteration;
pub(crate) mod gram_matrix;
pub(crate) mod interval;
pub(crate) mod operator_interval;
pub(crate) mod rounding;
pub(crate) mod sigma_interval;
