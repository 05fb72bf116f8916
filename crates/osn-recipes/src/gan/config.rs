//! Every hyper-parameter of the recipe, with where it comes from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::adversarial::settings::Settings;
use crate::data::need::Need;
use crate::run::check::{
    MAX_CHANNELS, MAX_LAYERS, MAX_UNITS, MAX_WEIGHTS, Product, check_image_size, ensure, must_fit,
    parts, within,
};
use crate::run::config::Config;
use crate::run::error::RunError;
use crate::run::training::Pace;

/// The presets of `gan` and `cgan`.
pub(crate) const PRESETS: &[&str] =
    &["quick", "standard", "sngan-a", "sngan-b", "sngan-c", "sngan-d", "sngan-e", "sngan-f"];

/// The settings A to F of Adam in SN-GAN (Miyato et al. 2018, table 1): α, β₁, β₂, and updates of D for each of G. A is
/// that of Gulrajani et al. 2017, B that of Warde-Farley and Bengio 2017, C that of Radford et al. 2016; D to F are for
/// trying large rates.
const SNGAN: [(f64, f32, f32, u64); 6] = [
    (1e-4, 0.5, 0.9, 5),
    (1e-4, 0.5, 0.999, 1),
    (2e-4, 0.5, 0.999, 1),
    (1e-3, 0.5, 0.9, 5),
    (1e-3, 0.5, 0.999, 5),
    (1e-3, 0.9, 0.999, 5),
];

/// What is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// [`model`](crate::gan::model), fast on a few cores.
    Small,
    /// The standard CNN of SN-GAN ([`cnn`](crate::gan::networks::cnn)).
    Cnn,
    /// The residual networks of SN-GAN ([`resnet`](crate::gan::networks::resnet)).
    Resnet,
}

/// Hyper-parameters of `gan`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GanConfig {
    /// What is trained: `small`, or the networks of SN-GAN (Miyato et al. 2018, appendix B.4), `cnn` or `resnet`.
    pub network: Network,
    /// Rows and columns of the images; a multiple of 4, of the networks of SN-GAN of 8. Fashion-MNIST's own 28: no
    /// border to generate, and a quarter of the arithmetic less than padded to 32.
    pub image_size: usize,
    /// Length of the latent vector. 128 in SN-GAN; 64 is enough for 28×28 grey.
    pub latent_size: usize,
    /// Channels of the generator's feature map at half the image's size, and twice that at a quarter (of the `cnn` at the
    /// whole size, doubled at each halving; SN-GAN: 64; of the `resnet` at every size; SN-GAN: 256).
    pub g_channels: usize,
    /// Channels of the discriminator's first feature map, doubled at each layer (of the `cnn` at each halving and at the
    /// last layer; SN-GAN: 64; of the `resnet` those of every layer; SN-GAN: 128).
    pub d_channels: usize,
    /// Of the `small` networks: convolutions 3×3 that keep half the image's size, each with batch normalization and ReLU, before the
    /// generator's last layer.
    pub g_extra_layers: usize,
    /// Of the `small` networks: convolutions 3×3 that keep size and channels, before the discriminator's last layer.
    pub d_extra_layers: usize,
    /// Whether the rules decide about the generator's weights too.
    pub hold_generator: bool,
    /// Slope of the leaky ReLU in the discriminator (SN-GAN: 0.1); the `resnet` has a plain ReLU.
    pub leaky_slope: f64,
    /// What every adversarial recipe has.
    #[serde(flatten)]
    pub training: Settings,
}

impl GanConfig {
    /// Three to four minutes on two cores.
    pub fn quick() -> Self {
        Self {
            network: Network::Small,
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

    /// The standard CNN of SN-GAN and its training (Miyato et al. 2018, section 4 and appendix B.4), under one of the
    /// settings of the optimizer in their table 1: α, β₁, β₂ and updates of D for each of G.
    fn sngan((learning_rate, beta_1, beta_2, n_dis): (f64, f32, f32, u64)) -> Self {
        let training = Settings {
            batch_size: 64,
            steps: 100_000,
            ema: None,
            log_every: 100,
            eval_every: 5_000,
            learning_rate,
            beta_1,
            beta_2,
            n_dis,
            ..Settings::quick()
        };
        Self {
            network: Network::Cnn,
            image_size: 32,
            latent_size: 128,
            g_channels: 64,
            d_channels: 64,
            training,
            ..Self::quick()
        }
    }

    /// The preset `sngan-c`.
    #[cfg(test)]
    pub(crate) fn sngan_c() -> Self {
        Self::sngan(SNGAN[2])
    }

    /// Whether the largest weights and features fit.
    fn check_memory(&self) -> Result<(), RunError> {
        let [full, half, quarter, eighth] =
            [1, 2, 4, 8].map(|part| (self.image_size / part) as u64);
        let (g, d) = (self.g_channels as u64, self.d_channels as u64);
        let [g_extra, d_extra] = [self.g_extra_layers, self.d_extra_layers].map(|it| it as u64);
        // Channels and size where G begins, the largest kernels of both, and the rows of the largest features.
        let (start, of_g, of_d, side) = match self.network {
            Network::Small => {
                let of_d = [[9, 2 * d, 4 * d], [9 * d_extra, 4 * d, 4 * d]];
                ([2 * g, quarter], [9 * g_extra, g, g], of_d, half)
            }
            Network::Cnn => {
                let of_d = [[9, 4 * d, 8 * d], [16, 4 * d, 4 * d]];
                ([8 * g, eighth], [16, 8 * g, 4 * g], of_d, full)
            }
            Network::Resnet => ([g, eighth], [9, g, g], [[9, d, d]; 2], full),
        };
        let projection: &[&[u64]] = &[&[self.latent_size as u64, start[0], start[1], start[1]]];
        let weights = [
            Product { key: "image_size", with: "latent_size and g_channels", sizes: projection },
            Product { key: "g_channels", with: "g_extra_layers", sizes: &[&of_g] },
            Product { key: "d_channels", with: "d_extra_layers", sizes: &[&of_d[0], &of_d[1]] },
        ];
        must_fit(MAX_WEIGHTS, "weights", &weights)?;
        self.training.must_fit_features([g, side, side], [d, side, side])
    }

    /// Settings of the small networks that another has not.
    fn idle_in_network(&self) -> Vec<(&'static str, String)> {
        let (name, idle): (_, &[&'static str]) = match self.network {
            Network::Small => return Vec::new(),
            Network::Cnn => ("cnn", &["g_extra_layers", "d_extra_layers"]),
            Network::Resnet => ("resnet", &["g_extra_layers", "d_extra_layers", "leaky_slope"]),
        };
        let why = format!("network={name} has no such layers");
        idle.iter().map(|&key| (key, why.clone())).collect()
    }
}

impl AsRef<Settings> for GanConfig {
    fn as_ref(&self) -> &Settings {
        &self.training
    }
}

impl Config for GanConfig {
    fn presets() -> Vec<Self> {
        let sngan = SNGAN.map(Self::sngan);
        [Self::quick(), Self::standard()].into_iter().chain(sngan).collect()
    }

    fn idle(&self) -> Vec<(&'static str, String)> {
        let mut idle = self.training.idle();
        idle.extend(self.idle_in_network());
        idle
    }

    fn need(&self) -> Need {
        Need::Images(self.image_size)
    }

    fn shards(&self) -> usize {
        self.training.shards
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
        let has_eighth = self.network == Network::Small || self.image_size.is_multiple_of(8);
        ensure("image_size", has_eighth, || {
            format!("must be a multiple of 8 for the networks of SN-GAN, not {}", self.image_size)
        })?;
        self.training.check()?;
        self.check_memory()
    }
}
