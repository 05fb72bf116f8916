//! Every hyper-parameter of the recipe, with where it comes from.

use serde::{Deserialize, Serialize};

use crate::adversarial::Settings;
use crate::run::{Config, RunError, at_least, check_image_size};

/// Hyper-parameters of `cgan`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CganConfig {
    /// Rows and columns of the images; a multiple of 4.
    pub image_size: usize,
    /// Length of the latent vector (Miyato and Koyama 2018: 128); 64 is enough for 28×28 grey.
    pub latent_size: usize,
    /// Channels of the generator's feature map at half the image's size; twice that at a quarter.
    pub g_channels: usize,
    /// Channels of the discriminator's first feature map; doubled at each layer.
    pub d_channels: usize,
    /// Slope of the leaky ReLU in the discriminator (SN-GAN: 0.1).
    pub leaky_slope: f64,
    /// What every adversarial recipe has.
    #[serde(flatten)]
    pub training: Settings,
}

impl CganConfig {
    /// A few minutes on two cores.
    pub fn quick() -> Self {
        Self {
            image_size: 28,
            latent_size: 64,
            g_channels: 32,
            d_channels: 16,
            leaky_slope: 0.1,
            training: Settings::quick(),
        }
    }

    /// The setting for comparisons.
    pub fn standard() -> Self {
        Self { g_channels: 64, d_channels: 32, training: Settings::standard(), ..Self::quick() }
    }
}

impl Config for CganConfig {
    fn presets() -> Vec<Self> {
        vec![Self::quick(), Self::standard()]
    }

    fn check(&self) -> Result<(), RunError> {
        at_least(
            1,
            &[
                ("latent_size", self.latent_size as u64),
                ("g_channels", self.g_channels as u64),
                ("d_channels", self.d_channels as u64),
            ],
        )?;
        check_image_size(self.image_size)?;
        self.training.check()
    }
}
