//! Measuring on the device, and bringing it to the host.

pub(crate) mod catch_up;
mod growth;
mod measurements;
pub(crate) mod norms;
mod observe;
pub(crate) mod observed;
pub(crate) mod refresh;
mod remeasure;
pub(crate) mod report;
pub(crate) mod running_sum;
pub(crate) mod spectrum;
pub(crate) mod to_host;
