//! Every hyper-parameter of the recipe, with where it comes from.

use std::f64::consts::PI;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::data::need::Need;
use crate::features::input::IMAGE_SIZE;
use crate::run::check::{
    ANY, MAX_BATCH, MAX_CHANNELS, MAX_FEATURES, MAX_IMAGES, MAX_STEPS, MAX_UNITS, MAX_WEIGHTS,
    Product, above_zero, below_one, check_shards, check_weights, check_widths, ensure, must_fit,
    parts, within, zero_or_more,
};
use crate::run::config::Config;
use crate::run::error::RunError;
use crate::run::training::Pace;

const MAX_STAGE_BLOCKS: u64 = 64;
/// The settings of batch normalization.
const NORM_VALUES: [&str; 2] = ["batch_norm_momentum", "batch_norm_epsilon"];

/// What is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Architecture {
    /// [`ResNet`](crate::classify::model::ResNet).
    Resnet,
    /// [`Mlp`](crate::classify::model::Mlp).
    Mlp,
    /// [`FeatureNet`](crate::features::network::FeatureNet), the network behind the feature distances.
    Features,
}

/// Hyper-parameters of `classify`. One step is one update of the network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClassifyConfig {
    /// What is trained: `resnet`, `mlp` or `features`.
    pub network: Architecture,
    /// Units of each hidden layer of the `mlp` (Zhang et al. 2017: one or three of 512).
    pub hidden_sizes: Vec<usize>,
    /// The layer of the `mlp`, counted from 1, whose initial weight is multiplied by `scaled_by`; `null` for none. One layer
    /// that starts too large is what a rule that decides layer by layer should find.
    pub scaled_layer: Option<usize>,
    /// The factor on the initial weight of `scaled_layer`.
    pub scaled_by: f64,
    /// Channels of each stage of the `resnet` (He et al. 2016, on CIFAR-10: 16, 32, 64).
    pub stage_channels: Vec<usize>,
    /// Residual blocks in each stage of the `resnet` (He et al. 2016: 3 and more).
    pub stage_blocks: usize,
    /// Whether batch normalization follows each convolution of the `resnet` (He et al. 2016: yes). It
    /// cancels any scale of a weight, so with it σ does not bound the function (see `README.md`).
    pub batch_norm: bool,
    /// Momentum of batch normalization's running values, in Burn's convention (PyTorch: 0.1).
    pub batch_norm_momentum: f64,
    /// ε of batch normalization (PyTorch: 1e-5).
    pub batch_norm_epsilon: f64,
    /// Part of the training labels that are replaced by a class drawn at random, which may be the
    /// right one (Zhang et al. 2017).
    pub label_noise: f64,
    /// How many training images are used, drawn by the seed; `null` takes all. Few images are
    /// memorized, which makes generalization gaps visible.
    pub train_images: Option<usize>,
    /// Chance that an image is mirrored: clothes have no left and right.
    pub mirror_chance: f64,
    /// Updates of the network.
    pub steps: u64,
    /// Images in a batch (He et al. 2016, on CIFAR-10: 128).
    pub batch_size: usize,
    /// Equal parts that a batch is cut into, for as many workers at most. A loss is the mean over those of the parts, and
    /// batch normalization takes its statistics within a part: the result depends on this, and never on the workers.
    pub shards: usize,
    /// Learning rate at the first update (Kingma and Ba 2015: 1e-3); it falls to 0 along half a cosine
    /// (Loshchilov and Hutter 2017, without restarts).
    pub learning_rate: f64,
    /// Adam's β₁ (Kingma and Ba 2015: 0.9).
    pub beta_1: f32,
    /// Adam's β₂ (Kingma and Ba 2015: 0.999).
    pub beta_2: f32,
    /// Adam's ε (Kingma and Ba 2015: 1e-8; Burn's own default is 1e-5).
    pub epsilon: f32,
    /// How far FGSM moves each pixel, where black is −1 and white is 1 (Goodfellow et al. 2015: 0.25 of
    /// a range of 1 on MNIST, which is 0.5 here). 0.1 is a twentieth of the range.
    pub fgsm_epsilon: f64,
    /// Steps between two log lines and two read-backs of σ.
    pub log_every: u64,
    /// Steps between two scorings, which also draw samples.
    pub eval_every: u64,
    /// Test images scored while training, and as many training images.
    pub eval_images: usize,
    /// Test images scored at the end, and as many training images; all where there are fewer.
    pub final_images: usize,
}

impl ClassifyConfig {
    /// A little over three minutes of one core.
    pub fn quick() -> Self {
        Self {
            network: Architecture::Resnet,
            hidden_sizes: vec![256, 256],
            scaled_layer: None,
            scaled_by: 1.0,
            stage_channels: vec![16, 32, 64],
            stage_blocks: 1,
            batch_norm: true,
            batch_norm_momentum: 0.1,
            batch_norm_epsilon: 1e-5,
            label_noise: 0.0,
            train_images: None,
            mirror_chance: 0.0,
            steps: 1_500,
            batch_size: 64,
            shards: 1,
            learning_rate: 1e-3,
            beta_1: 0.9,
            beta_2: 0.999,
            epsilon: 1e-8,
            fgsm_epsilon: 0.1,
            log_every: 10,
            eval_every: 300,
            eval_images: 1_000,
            final_images: 10_000,
        }
    }

    /// A wider and deeper network for longer, with mirrored images: about forty minutes of one core.
    pub fn standard() -> Self {
        Self {
            hidden_sizes: vec![512, 512, 512],
            stage_channels: vec![32, 64, 128],
            stage_blocks: 2,
            mirror_chance: 0.5,
            steps: 4_000,
            eval_every: 1_000,
            ..Self::quick()
        }
    }

    /// The training of the feature network: six epochs of the whole Fashion-MNIST.
    pub fn features() -> Self {
        Self {
            network: Architecture::Features,
            mirror_chance: 0.5,
            steps: 5_625,
            eval_every: 1_000,
            ..Self::quick()
        }
    }

    /// The name of the network, as a setting has it.
    fn name(&self) -> &'static str {
        match self.network {
            Architecture::Resnet => "resnet",
            Architecture::Mlp => "mlp",
            Architecture::Features => "features",
        }
    }

    /// The learning rate of the update `step`, counted from 1.
    pub(super) fn learning_rate_at(&self, step: u64) -> f64 {
        let progress = (step - 1) as f64 / self.steps as f64;
        self.learning_rate * f64::midpoint(1.0, (PI * progress).cos())
    }

    /// Whether weights and features fit, of images in three channels.
    fn check_memory(&self) -> Result<(), RunError> {
        let side = IMAGE_SIZE as u64;
        check_weights(3 * side * side, &self.hidden_sizes)?;
        let (channels, blocks) = (&self.stage_channels, self.stage_blocks as u64);
        let widest = channels.iter().copied().max().unwrap_or(0) as u64;
        // Two kernels a block, each from and to no more channels than its stage or the one before has.
        let kernels: Vec<_> = channels.iter().map(|&to| [18, blocks, to as u64, widest]).collect();
        let kernels: Vec<&[u64]> = kernels.iter().map(|sizes| &sizes[..]).collect();
        let key = "stage_channels";
        let weights = Product { key, with: "stage_blocks", sizes: &kernels };
        must_fit(MAX_WEIGHTS, "weights", &[weights])?;
        // The first convolution halves the image.
        let features: &[&[u64]] = &[&[self.batch_size as u64, widest, side / 2, side / 2]];
        let features = Product { key, with: "batch_size", sizes: features };
        must_fit(MAX_FEATURES, "numbers in the features of a batch", &[features])
    }
}

impl Config for ClassifyConfig {
    fn presets() -> Vec<Self> {
        vec![Self::quick(), Self::standard(), Self::features()]
    }

    fn idle(&self) -> Vec<(&'static str, String)> {
        let of_another = |network: &str| {
            format!("it is of network={network}, and this network is {}", self.name())
        };
        let (of_mlp, of_resnet) = (of_another("mlp"), of_another("resnet"));
        let plain = "batch_norm=false has no batch normalization".to_owned();
        let mut idle = Vec::new();
        if self.network != Architecture::Mlp {
            let keys = ["hidden_sizes", "scaled_layer", "scaled_by"];
            idle.extend(keys.map(|key| (key, of_mlp.clone())));
        } else if self.scaled_layer.is_none() {
            idle.push(("scaled_by", "no scaled_layer is given".to_owned()));
        }
        if self.network != Architecture::Resnet {
            let keys = ["stage_channels", "stage_blocks", "batch_norm"].into_iter();
            idle.extend(keys.chain(NORM_VALUES).map(|key| (key, of_resnet.clone())));
        } else if !self.batch_norm {
            idle.extend(NORM_VALUES.map(|key| (key, plain.clone())));
        }
        idle
    }

    fn need(&self) -> Need {
        Need::Images(IMAGE_SIZE)
    }

    fn shards(&self) -> usize {
        self.shards
    }

    fn pace(&self) -> Pace {
        Pace { steps: self.steps, log_every: self.log_every, eval_every: self.eval_every }
    }

    fn check(&self) -> Result<(), RunError> {
        within(&[
            ("stage_blocks", self.stage_blocks as u64, 1..=MAX_STAGE_BLOCKS),
            (
                "scaled_layer",
                self.scaled_layer.unwrap_or(1) as u64,
                1..=self.hidden_sizes.len() as u64 + 1,
            ),
            ("train_images", self.train_images.unwrap_or(20) as u64, 20..=MAX_IMAGES),
            ("steps", self.steps, 1..=MAX_STEPS),
            ("batch_size", self.batch_size as u64, 2..=MAX_BATCH),
            ("log_every", self.log_every, ANY),
            ("eval_every", self.eval_every, ANY),
            ("eval_images", self.eval_images as u64, 1..=MAX_IMAGES),
            ("final_images", self.final_images as u64, 1..=MAX_IMAGES),
        ])?;
        check_shards(self.shards, self.batch_size)?;
        check_widths("hidden_sizes", &self.hidden_sizes, MAX_UNITS)?;
        check_widths("stage_channels", &self.stage_channels, MAX_CHANNELS)?;
        ensure("stage_channels", !self.stage_channels.is_empty(), || {
            "must name at least one stage, such as 16,32".to_owned()
        })?;
        self.check_memory()?;
        parts(&[("label_noise", self.label_noise), ("mirror_chance", self.mirror_chance)])?;
        above_zero(&[
            ("learning_rate", self.learning_rate),
            ("scaled_by", self.scaled_by),
            ("batch_norm_epsilon", self.batch_norm_epsilon),
        ])?;
        zero_or_more(&[("epsilon", f64::from(self.epsilon)), ("fgsm_epsilon", self.fgsm_epsilon)])?;
        below_one(&[
            ("batch_norm_momentum", self.batch_norm_momentum),
            ("beta_1", f64::from(self.beta_1)),
            ("beta_2", f64::from(self.beta_2)),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_learning_rate_falls_to_nothing_along_half_a_cosine() {
        let config = ClassifyConfig { steps: 100, learning_rate: 2.0, ..ClassifyConfig::quick() };
        let rates = [1, 26, 51, 76, 101].map(|step| config.learning_rate_at(step));
        let root = 0.5_f64.sqrt();
        for (rate, expected) in rates.iter().zip([2.0, 1.0 + root, 1.0, 1.0 - root, 0.0]) {
            assert!((rate - expected).abs() < 1e-12, "{rates:?}");
        }
    }
}
