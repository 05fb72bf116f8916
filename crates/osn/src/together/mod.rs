//! Several processes that train one network: what they send, and the sums that no order changes.

mod digest;
mod fixed;
mod leaves;
pub(crate) mod signals;
pub(crate) mod step_with;
pub(crate) mod sum;
pub(crate) mod team;
pub(crate) mod threads;
pub(crate) mod transport;
