//! Unconditional image generation in the style of SN-GAN (Miyato et al. 2018): hinge loss, no
//! batch normalization in the discriminator, whose every weight osn measures.

pub mod config;
pub mod game;
pub mod model;
pub mod networks;
