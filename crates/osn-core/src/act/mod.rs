//! What is done to a weight: an action, and how it comes into force without a jump.

pub(crate) mod action;
pub(crate) mod actuator;
