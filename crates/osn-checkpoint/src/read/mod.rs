//! What lies in a file: one file or folder for each format, and what they are all made of.
//!
//! A format's reader lists [`tensor::Tensor`]s and has errors of its own; only `checkpoint.rs` knows them
//! all.

pub(crate) mod byte_source;
pub(crate) mod dtype;
pub(crate) mod foreign;
pub(crate) mod index;
pub(crate) mod names;
mod pairs;
pub(crate) mod pickle;
pub(crate) mod safetensors;
mod stream;
pub(crate) mod strided_layout;
pub(crate) mod tensor;
pub(crate) mod torch;
