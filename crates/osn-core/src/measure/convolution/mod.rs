//! Convolutions: the same kernel is another map for each image size, stride and padding.
//!
//! | file | holds |
//! |---|---|
//! | `geometry.rs` | [`Convolution`], a convolution without its kernel, and [`Geometry`], the sizes of its map |
//! | `map.rs`, `patches.rs` | [`ConvMap`]: the map, applied without its matrix |
//! | `circular.rs` | [`circular_singular_values`]: the whole spectrum on a torus, by frequency |

pub(crate) mod circular;
pub(crate) mod geometry;
pub(crate) mod map;
pub(crate) mod patches;

pub use self::{
    circular::{CircularError, circular_singular_values},
    geometry::{Boundary, Convolution, Geometry, GeometryError},
    map::ConvMap,
};
