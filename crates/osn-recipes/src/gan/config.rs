//! Every hyper-parameter of the recipe, with where it comes from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::adversarial::settings::Settings;
use crate::data::need::Need;
use crate::run::check::{
    MAX_CHANNELS, MAX_LAYERS, MAX_UNITS, MAX_WEIGHTS, Product, check_image_size, must_fit, parts,
    within,
};
use crate::run::config::Config;
use crate::run::error::RunError;
use crate::run::training::Pace;

/// Hyper-parameters of `gan`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GanConfig {
    /// Rows and columns of the images; a multiple of 4. Fashion-MNIST's own 28: no border to
    /// generate, and a quarter of the arithmetic less than padded to 32.
    pub image_size: usize,
    /// Length of the latent vector. 128 in SN-GAN; 64 is enough for 28×28 grey.
    pub latent_size: usize,
    /// Channels of the generator's feature map at half the image's size; twice that at a quarter.
    pub g_channels: usize,
    /// Channels of the discriminator's first feature map; doubled at each layer.
    pub d_channels: usize,
    /// Convolutions 3×3 that keep half the image's size, each with batch normalization and ReLU, before the
    /// generator's last layer.
    pub g_extra_layers: usize,
    /// Convolutions 3×3 that keep size and channels, before the discriminator's last layer.
    pub d_extra_layers: usize,
    /// Whether the rules decide about the generator's weights too.
    pub hold_generator: bool,
    /// Slope of the leaky ReLU in the discriminator (SN-GAN: 0.1).
    pub leaky_slope: f64,
    /// What every adversarial recipe has.
    #[serde(flatten)]
    pub training: Settings,
}

impl GanConfig {
    /// Three to four minutes on two cores.
    pub fn quick() -> Self {
        Self {
            image_size: 28,
            latent_size: 64,
            g_channels: 32,
            d_channels: 16,
            g_extra_layers: 0,
            d_extra_layers: 0,
            hold_generator: false,
            leaky_slope: 0.1,
            training: Settings::quick(),
        }
    }

    /// About twenty minutes on two cores: the setting for comparisons.
    pub fn standard() -> Self {
        Self { g_channels: 64, d_channels: 32, training: Settings::standard(), ..Self::quick() }
    }

    /// Whether the largest weights and features fit.
    fn check_memory(&self) -> Result<(), RunError> {
        let [half, quarter] = [2, 4].map(|part| (self.image_size / part) as u64);
        let (g, d) = (self.g_channels as u64, self.d_channels as u64);
        let projection: &[&[u64]] = &[&[self.latent_size as u64, 2 * g, quarter, quarter]];
        let [g_extra, d_extra] = [self.g_extra_layers, self.d_extra_layers].map(|it| it as u64);
        let kernels: &[&[u64]] =
            &[&[9, 2 * d, 4 * d], &[9, d_extra, 4 * d, 4 * d], &[9, g_extra, g, g]];
        let with = "latent_size and g_channels";
        let weights = [
            Product { key: "image_size", with, sizes: projection },
            Product { key: "d_channels", with: "g_channels and the extra layers", sizes: kernels },
        ];
        must_fit(MAX_WEIGHTS, "weights", &weights)?;
        self.training.must_fit_features([g, half, half], [d, half, half])
    }
}

impl AsRef<Settings> for GanConfig {
    fn as_ref(&self) -> &Settings {
        &self.training
    }
}

impl Config for GanConfig {
    fn presets() -> Vec<Self> {
        vec![Self::quick(), Self::standard()]
    }

    fn idle(&self) -> Vec<(&'static str, String)> {
        self.training.idle()
    }

    fn need(&self) -> Need {
        Need::Images(self.image_size)
    }

    fn pace(&self) -> Pace {
        self.training.pace()
    }

    fn check(&self) -> Result<(), RunError> {
        within(&[
            ("latent_size", self.latent_size as u64, 1..=MAX_UNITS),
            ("g_channels", self.g_channels as u64, 1..=MAX_CHANNELS),
            ("d_channels", self.d_channels as u64, 1..=MAX_CHANNELS),
            ("g_extra_layers", self.g_extra_layers as u64, 0..=MAX_LAYERS),
            ("d_extra_layers", self.d_extra_layers as u64, 0..=MAX_LAYERS),
        ])?;
        parts(&[("leaky_slope", self.leaky_slope)])?;
        check_image_size(self.image_size)?;
        self.training.check()?;
        self.check_memory()
    }
}
