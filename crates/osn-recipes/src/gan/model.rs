//! The two networks.

use burn::module::Module;
use burn::nn::conv::{Conv2d, ConvTranspose2d};
use burn::nn::{BatchNorm, Linear, LinearConfig};
use burn::tensor::activation::{leaky_relu, tanh};
use burn::tensor::{Device, Tensor};

use crate::convolution::{convolve, convolve_transpose};
use crate::gan::config::GanConfig;
use crate::gan::networks::network::{DiscriminatorNetwork, GeneratorNetwork, Sizes};
use crate::layers::{batch_norm, doubling, halving, keeping};
use crate::normalization::normalize;

/// Latent vectors to images: a linear layer to a quarter of the size, batch normalization and ReLU,
/// and two transposed convolutions that double the size, with the same between them, as many extra
/// convolutions as the config asks for, and tanh at the end (DCGAN, Radford et al. 2016, at two doublings less).
#[derive(Module, Debug)]
pub struct Generator {
    project: Linear,
    norm1: BatchNorm,
    up1: ConvTranspose2d,
    norm2: BatchNorm,
    extra: Vec<Extra>,
    up2: ConvTranspose2d,
    start_size: usize,
}

/// A convolution that keeps the size, and batch normalization.
#[derive(Module, Debug)]
struct Extra {
    conv: Conv2d,
    norm: BatchNorm,
}

impl Generator {
    /// A generator of images with `channels` channels.
    pub fn new(config: &GanConfig, channels: usize, device: &Device) -> Self {
        let (c, start_size) = (config.g_channels, config.image_size / 4);
        let start = 2 * c * start_size * start_size;
        Self {
            project: LinearConfig::new(config.latent_size, start).init(device),
            norm1: batch_norm(2 * c, config.training.batch_norm(), device),
            up1: doubling([2 * c, c], device),
            norm2: batch_norm(c, config.training.batch_norm(), device),
            extra: (0..config.g_extra_layers)
                .map(|_| Extra {
                    conv: keeping([c, c], device),
                    norm: batch_norm(c, config.training.batch_norm(), device),
                })
                .collect(),
            up2: doubling([c, channels], device),
            start_size,
        }
    }

    /// Generates images.
    ///
    /// # Shapes
    ///
    /// `[batch, latent_size]` → `[batch, channels, size, size]` in [−1, 1].
    pub fn forward(&self, latents: Tensor<2>) -> Tensor<4> {
        let [batch, _] = latents.dims();
        let x = self.project.forward(latents);
        let [_, features] = x.dims();
        let channels = features / (self.start_size * self.start_size);
        let x = x.reshape([batch, channels, self.start_size, self.start_size]);
        let x = normalize(&self.norm1, x, 0.0);
        let x = normalize(&self.norm2, convolve_transpose(&self.up1, x), 0.0);
        let deeper = |x, layer: &Extra| normalize(&layer.norm, convolve(&layer.conv, x), 0.0);
        let x = self.extra.iter().fold(x, deeper);
        tanh(convolve_transpose(&self.up2, x))
    }
}

impl GeneratorNetwork for Generator {
    type Condition = ();

    fn build(config: &GanConfig, sizes: Sizes, device: &Device) -> Self {
        Self::new(config, sizes.channels, device)
    }

    fn generate(&self, latents: Tensor<2>, (): &()) -> Tensor<4> {
        self.forward(latents)
    }
}

/// Images to logits: two convolutions that halve the size, one that keeps it and as many more as the
/// config asks for, leaky ReLU after each, a linear layer; no normalization but what osn decides (after SN-GAN).
#[derive(Module, Debug)]
pub struct Discriminator {
    down1: Conv2d,
    down2: Conv2d,
    keep: Conv2d,
    extra: Vec<Conv2d>,
    logit: Linear,
    leaky_slope: f64,
}

impl Discriminator {
    /// A discriminator of images with `channels` channels.
    pub fn new(config: &GanConfig, channels: usize, device: &Device) -> Self {
        let (c, end_size) = (config.d_channels, config.image_size / 4);
        Self {
            down1: halving([channels, c], device),
            down2: halving([c, 2 * c], device),
            keep: keeping([2 * c, 4 * c], device),
            extra: (0..config.d_extra_layers).map(|_| keeping([4 * c, 4 * c], device)).collect(),
            logit: LinearConfig::new(4 * c * end_size * end_size, 1).init(device),
            leaky_slope: config.leaky_slope,
        }
    }

    /// How real each image looks: above 0 is real.
    ///
    /// # Shapes
    ///
    /// `[batch, channels, size, size]` → `[batch, 1]`.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let activate = |x| leaky_relu(x, self.leaky_slope);
        let x = activate(convolve(&self.down1, images));
        let x = activate(convolve(&self.down2, x));
        let x = activate(convolve(&self.keep, x));
        let x = self.extra.iter().fold(x, |x, layer| activate(convolve(layer, x)));
        self.logit.forward(x.flatten(1, 3))
    }
}

impl DiscriminatorNetwork for Discriminator {
    type Condition = ();

    fn build(config: &GanConfig, sizes: Sizes, device: &Device) -> Self {
        Self::new(config, sizes.channels, device)
    }

    fn judge(&self, images: Tensor<4>, (): &()) -> Tensor<2> {
        self.forward(images)
    }
}
