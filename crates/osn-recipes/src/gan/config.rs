//! Every hyper-parameter of the recipe, with where it comes from.

use serde::{Deserialize, Serialize};

use crate::run::{RunError, TrainRequest, apply_settings};

/// Hyper-parameters of `gan`. One step is one update of the generator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// Slope of the leaky ReLU in the discriminator (SN-GAN: 0.1).
    pub leaky_slope: f64,
    /// Images of each kind in a batch. SN-GAN takes 64; on a few cores small batches reach a given
    /// distance in less time.
    pub batch_size: usize,
    /// Updates of the generator.
    pub steps: u64,
    /// Updates of the discriminator for each of the generator (SN-GAN, setting B: 1).
    pub n_dis: u64,
    /// Learning rate of both (SN-GAN: 1e-4 to 1e-3; setting C has 2e-4).
    pub learning_rate: f64,
    /// Adam's β₁ (SN-GAN, setting C: 0.5).
    pub beta_1: f32,
    /// Adam's β₂ (SN-GAN, setting C: 0.999).
    pub beta_2: f32,
    /// Adam's ε (Kingma and Ba 2015: 1e-8; Burn's own default is 1e-5).
    pub epsilon: f32,
    /// Momentum of batch normalization's running values, in Burn's convention (PyTorch: 0.1).
    pub batch_norm_momentum: f64,
    /// ε of batch normalization (PyTorch: 1e-5).
    pub batch_norm_epsilon: f64,
    /// Decay of the average of the generator that is judged; `null` judges the generator itself.
    pub ema: Option<f64>,
    /// Steps between two log lines and two read-backs of σ.
    pub log_every: u64,
    /// Steps between two scorings, which also draw samples.
    pub eval_every: u64,
    /// Generated images scored while training, against as many test images.
    pub eval_images: usize,
    /// Generated images scored at the end, against as many test images; all where there are fewer.
    pub final_images: usize,
}

impl GanConfig {
    /// Three to four minutes on two cores.
    pub fn quick() -> Self {
        Self {
            image_size: 28,
            latent_size: 64,
            g_channels: 32,
            d_channels: 16,
            leaky_slope: 0.1,
            batch_size: 16,
            steps: 5_000,
            n_dis: 1,
            learning_rate: 3e-4,
            beta_1: 0.5,
            beta_2: 0.999,
            epsilon: 1e-8,
            batch_norm_momentum: 0.1,
            batch_norm_epsilon: 1e-5,
            ema: Some(0.995),
            log_every: 10,
            eval_every: 1_000,
            eval_images: 2_000,
            final_images: 10_000,
        }
    }

    /// About twenty minutes on two cores: the setting for comparisons.
    pub fn standard() -> Self {
        Self {
            g_channels: 64,
            d_channels: 32,
            batch_size: 32,
            steps: 10_000,
            learning_rate: 2e-4,
            ema: Some(0.999),
            eval_every: 2_000,
            ..Self::quick()
        }
    }

    /// The preset that was asked for, with the settings that were asked for.
    pub(super) fn resolve(request: &TrainRequest) -> Result<Self, RunError> {
        let preset = match request.preset.as_deref() {
            None | Some("quick") => Self::quick(),
            Some("standard") => Self::standard(),
            Some(name) => {
                return Err(RunError::unknown_name("preset", name, super::DOC.presets));
            }
        };
        let config = apply_settings(&preset, &request.settings)?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), RunError> {
        let positive = [
            ("latent_size", self.latent_size as u64),
            ("g_channels", self.g_channels as u64),
            ("d_channels", self.d_channels as u64),
            ("steps", self.steps),
            ("n_dis", self.n_dis),
            ("log_every", self.log_every),
            ("eval_every", self.eval_every),
        ];
        for (key, value) in positive {
            ensure(key, value >= 1, || format!("must be at least 1, not {value}"))?;
        }
        ensure("batch_size", self.batch_size >= 2, || {
            format!("must be at least 2, not {}", self.batch_size)
        })?;
        ensure("image_size", self.image_size >= 8 && self.image_size.is_multiple_of(4), || {
            format!("must be a multiple of 4 from 8 up, not {}", self.image_size)
        })?;
        for (key, count) in [("eval_images", self.eval_images), ("final_images", self.final_images)]
        {
            ensure(key, count >= 100, || format!("must be at least 100, not {count}"))?;
        }
        self.check_rates()
    }

    fn check_rates(&self) -> Result<(), RunError> {
        let rate = self.learning_rate;
        ensure("learning_rate", rate.is_finite() && rate > 0.0, || {
            format!("must be above 0, not {rate}")
        })?;
        for (key, value) in [("beta_1", self.beta_1), ("beta_2", self.beta_2)] {
            ensure(key, (0.0..1.0).contains(&value), || {
                format!("must be from 0 to below 1, not {value}")
            })?;
        }
        let decay = self.ema.unwrap_or(0.5);
        ensure("ema", (0.0..1.0).contains(&decay), || {
            format!("must be null or from 0 to below 1, not {decay}")
        })
    }
}

fn ensure(key: &str, holds: bool, problem: impl Fn() -> String) -> Result<(), RunError> {
    if holds { Ok(()) } else { Err(RunError::Config { key: key.to_owned(), problem: problem() }) }
}
