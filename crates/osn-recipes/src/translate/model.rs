//! The two networks.

use burn::module::Module;
use burn::nn::BatchNorm;
use burn::nn::conv::{Conv2d, ConvTranspose2d};
use burn::tensor::activation::{leaky_relu, tanh};
use burn::tensor::{Device, Tensor};

use crate::convolution::{convolve, convolve_transpose};
use crate::layers::{batch_norm, doubling, halving, keeping};
use crate::normalization::normalize;
use crate::translate::config::TranslateConfig;

/// Images to images: two halvings, a convolution at a quarter of the size, and two doublings, each of
/// which also sees what came in at its size (Ronneberger et al. 2015; pix2pix, Isola et al. 2017, has
/// eight of each for 256×256). Batch normalization everywhere but at both ends.
#[derive(Module, Debug)]
pub struct UNet {
    down1: Conv2d,
    down2: Conv2d,
    norm_down2: BatchNorm,
    middle: Conv2d,
    norm_middle: BatchNorm,
    up1: ConvTranspose2d,
    norm_up1: BatchNorm,
    up2: ConvTranspose2d,
    norm_up2: BatchNorm,
    last: Conv2d,
    leaky_slope: f64,
}

impl UNet {
    /// A generator from images with `from` channels to images with `to` channels.
    pub fn new(config: &TranslateConfig, [from, to]: [usize; 2], device: &Device) -> Self {
        let c = config.g_channels;
        let norm = |features| batch_norm(features, config.training.batch_norm(), device);
        Self {
            down1: halving([from, c], device),
            down2: halving([c, 2 * c], device),
            norm_down2: norm(2 * c),
            middle: keeping([2 * c, 2 * c], device),
            norm_middle: norm(2 * c),
            up1: doubling([4 * c, c], device),
            norm_up1: norm(c),
            up2: doubling([2 * c, c], device),
            norm_up2: norm(c),
            last: keeping([c + from, to], device),
            leaky_slope: config.leaky_slope,
        }
    }

    /// Translates images.
    ///
    /// # Shapes
    ///
    /// `[batch, from, size, size]` → `[batch, to, size, size]` in [−1, 1].
    pub fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        let half = leaky_relu(convolve(&self.down1, images.clone()), self.leaky_slope);
        let quarter = convolve(&self.down2, half.clone());
        let quarter = normalize(&self.norm_down2, quarter, self.leaky_slope);
        let x = normalize(&self.norm_middle, convolve(&self.middle, quarter.clone()), 0.0);
        let x = convolve_transpose(&self.up1, Tensor::cat(vec![x, quarter], 1));
        let x = normalize(&self.norm_up1, x, 0.0);
        let x = convolve_transpose(&self.up2, Tensor::cat(vec![x, half], 1));
        let x = normalize(&self.norm_up2, x, 0.0);
        tanh(convolve(&self.last, Tensor::cat(vec![x, images], 1)))
    }
}

/// Input and image to one logit for each patch: two halvings and a 3×3 convolution, leaky ReLU between
/// them, so each logit sees 18×18 pixels (pix2pix: 70×70 of 256×256); no normalization but what osn
/// decides.
#[derive(Module, Debug)]
pub struct PatchDiscriminator {
    down1: Conv2d,
    down2: Conv2d,
    logits: Conv2d,
    leaky_slope: f64,
}

impl PatchDiscriminator {
    /// A discriminator of images with `to` channels, made from images with `from` channels.
    pub fn new(config: &TranslateConfig, [from, to]: [usize; 2], device: &Device) -> Self {
        let c = config.d_channels;
        Self {
            down1: halving([from + to, c], device),
            down2: halving([c, 2 * c], device),
            logits: keeping([2 * c, 1], device),
            leaky_slope: config.leaky_slope,
        }
    }

    /// How real each patch looks beside its input: above 0 is real.
    ///
    /// # Shapes
    ///
    /// `[batch, from, size, size]`, `[batch, to, size, size]` → `[batch, patches]`.
    pub fn forward(&self, inputs: Tensor<4>, images: Tensor<4>) -> Tensor<2> {
        let activate = |x| leaky_relu(x, self.leaky_slope);
        let x = activate(convolve(&self.down1, Tensor::cat(vec![inputs, images], 1)));
        let x = activate(convolve(&self.down2, x));
        convolve(&self.logits, x).flatten(1, 3)
    }
}
