//! What the recipes ask of a generator and of a discriminator.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use crate::gan::config::GanConfig;

/// What the data ask of a network.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Channels of an image.
    pub channels: usize,
    /// Classes of images; 1 where nobody asks for one.
    pub classes: usize,
}

/// Latent vectors to images.
pub trait GeneratorNetwork: Module {
    /// What is asked for beside: nothing, or classes, `[batch]`.
    type Condition;

    /// A new network.
    fn build(config: &GanConfig, sizes: Sizes, device: &Device) -> Self;

    /// Generates images.
    ///
    /// # Shapes
    ///
    /// `[batch, latent_size]` → `[batch, channels, size, size]` in [−1, 1].
    fn generate(&self, latents: Tensor<2>, condition: &Self::Condition) -> Tensor<4>;
}

/// Images to logits.
pub trait DiscriminatorNetwork: Module {
    /// What the images should be: nothing, or classes, `[batch]`.
    type Condition;

    /// A new network.
    fn build(config: &GanConfig, sizes: Sizes, device: &Device) -> Self;

    /// How real each image looks: above 0 is real.
    ///
    /// # Shapes
    ///
    /// `[batch, channels, size, size]` → `[batch, 1]`.
    fn judge(&self, images: Tensor<4>, condition: &Self::Condition) -> Tensor<2>;
}
