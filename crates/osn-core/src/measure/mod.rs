//! How large a linear map is: estimates, exact values, certain bounds, and convolutions as maps.

pub(crate) mod bounds;
pub(crate) mod complexity;
pub(crate) mod convolution;
pub(crate) mod estimate;
pub(crate) mod exact;
pub(crate) mod golub_kahan;
pub(crate) mod initial_size;
pub(crate) mod leading;
pub(crate) mod operator;
pub(crate) mod power;
pub(crate) mod vector;
