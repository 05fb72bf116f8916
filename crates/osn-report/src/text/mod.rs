//! Numbers and names as a person reads them.

pub(crate) mod escape;
pub(crate) mod number;
