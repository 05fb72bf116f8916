//! Images, recordings and sentences to train on and to score against: what is embedded, what is installed, what the user has.

pub mod error;
pub mod fashion_mnist;
pub(crate) mod folder;
pub mod idx;
pub mod image_set;
pub mod images;
pub mod list;
pub mod names;
pub mod need;
pub mod openmoji;
pub(crate) mod pair_folder;
pub mod pair_set;
pub mod pairs;
mod picture_faults;
pub mod sampler;
mod sobel;
pub mod sound;
pub mod svg;
pub mod text;
