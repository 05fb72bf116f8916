//! A discriminator of features and a linear layer.

use burn::module::{Module, ModuleDisplay};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

use crate::gan::config::GanConfig;
use crate::gan::networks::network::{DiscriminatorNetwork, Sizes};

/// φ, what a discriminator sees in an image before its linear layer.
pub trait Features: Module + ModuleDisplay {
    /// A new network for images with `channels` channels.
    fn build(config: &GanConfig, channels: usize, device: &Device) -> Self;

    /// How many numbers φ has.
    fn count(config: &GanConfig) -> usize;

    /// φ of each image.
    ///
    /// # Shapes
    ///
    /// `[batch, channels, size, size]` → `[batch, count]`.
    fn features(&self, images: Tensor<4>) -> Tensor<2>;
}

/// `D(x) = ψ(φ(x))`, ψ linear.
#[derive(Module, Debug)]
pub struct Judge<F: Module> {
    body: F,
    logit: Linear,
}

impl<F: Features> DiscriminatorNetwork for Judge<F> {
    type Condition = ();

    fn build(config: &GanConfig, sizes: Sizes, device: &Device) -> Self {
        let logit = LinearConfig::new(F::count(config), 1).init(device);
        Self { body: F::build(config, sizes.channels, device), logit }
    }

    fn judge(&self, images: Tensor<4>, (): &()) -> Tensor<2> {
        self.logit.forward(self.body.features(images))
    }
}
