//! Image-to-image translation from pairs in the style of pix2pix (Isola et al. 2017): a U-Net
//! generator and a discriminator of patches, whose every weight osn measures; the generator's too, if
//! wanted.

pub mod config;
pub(crate) mod game;
pub mod model;
