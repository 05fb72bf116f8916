//! The networks of SN-GAN (Miyato et al. 2018, appendix B.4), for `gan` and `cgan`.

pub mod cnn;
pub mod judge;
pub mod network;
pub mod normalized;
pub mod resnet;
