//! Every hyper-parameter of the recipe, with where it comes from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::adversarial::settings::Settings;
use crate::data::need::Need;
use crate::run::check::{MAX_CHANNELS, check_image_size, parts, within, zero_or_more};
use crate::run::config::Config;
use crate::run::error::RunError;
use crate::run::training::Pace;

/// Hyper-parameters of `translate`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TranslateConfig {
    /// Rows and columns of the images; a multiple of 4.
    pub image_size: usize,
    /// Channels of the generator at half the images' size; twice that at a quarter (pix2pix: 64 at
    /// half of 256).
    pub g_channels: usize,
    /// Channels of the discriminator at half the images' size; twice that at a quarter (pix2pix: 64).
    pub d_channels: usize,
    /// Slope of the leaky ReLU in both networks (pix2pix: 0.2).
    pub leaky_slope: f64,
    /// Weight of the mean absolute difference to the target beside the adversarial loss (pix2pix: 100,
    /// beside a cross-entropy).
    pub l1_weight: f64,
    /// Whether the rules decide about the generator's weights too.
    pub hold_generator: bool,
    /// What every adversarial recipe has.
    #[serde(flatten)]
    pub training: Settings,
}

impl TranslateConfig {
    /// A few minutes on two cores.
    pub fn quick() -> Self {
        Self {
            image_size: 28,
            g_channels: 16,
            d_channels: 16,
            leaky_slope: 0.2,
            l1_weight: 10.0,
            hold_generator: false,
            training: Settings { steps: 3_000, ..Settings::quick() },
        }
    }

    /// The setting for comparisons.
    pub fn standard() -> Self {
        Self { g_channels: 32, d_channels: 32, training: Settings::standard(), ..Self::quick() }
    }
}

impl AsRef<Settings> for TranslateConfig {
    fn as_ref(&self) -> &Settings {
        &self.training
    }
}

impl Config for TranslateConfig {
    fn presets() -> Vec<Self> {
        vec![Self::quick(), Self::standard()]
    }

    fn idle(&self) -> Vec<(&'static str, String)> {
        self.training.idle()
    }

    fn need(&self) -> Need {
        Need::Pairs(self.image_size)
    }

    fn shards(&self) -> usize {
        self.training.shards
    }

    fn pace(&self) -> Pace {
        self.training.pace()
    }

    fn check(&self) -> Result<(), RunError> {
        within(&[
            ("g_channels", self.g_channels as u64, 1..=MAX_CHANNELS),
            ("d_channels", self.d_channels as u64, 1..=MAX_CHANNELS),
        ])?;
        parts(&[("leaky_slope", self.leaky_slope)])?;
        zero_or_more(&[("l1_weight", self.l1_weight)])?;
        check_image_size(self.image_size)?;
        self.training.check()?;
        let (size, half) = (self.image_size as u64, self.image_size as u64 / 2);
        // The last features of the generator stand beside its input, of up to three channels.
        let generated = [self.g_channels as u64 + 3, size, size];
        self.training.must_fit_features(generated, [self.d_channels as u64, half, half])
    }
}
