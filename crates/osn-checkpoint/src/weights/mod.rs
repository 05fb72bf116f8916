//! What a file means: which tensors are weights, and what a model makes of them.

pub(crate) mod known;
pub(crate) mod roles;
pub(crate) mod stored_vectors;
pub(crate) mod used;
