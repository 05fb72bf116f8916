//! Convolutions: their geometry, their map without its matrix, and their exact spectrum on a torus.

pub(crate) mod circular;
pub(crate) mod geometry;
pub(crate) mod map;
pub(crate) mod patches;
