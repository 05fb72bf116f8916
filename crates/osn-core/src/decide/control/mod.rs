//! What several rules share.

pub(crate) mod adversarial;
pub(crate) mod generalization;
pub(crate) mod gradient_flow;
pub(crate) mod relative_to_init;
pub(crate) mod target_action;
