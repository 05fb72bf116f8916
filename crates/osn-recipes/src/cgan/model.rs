//! The two networks, and batch normalization that knows the class.

use burn::module::{Module, Param};
use burn::nn::conv::{Conv2d, ConvTranspose2d};
use burn::nn::{BatchNorm, Embedding, EmbeddingConfig, Linear, LinearConfig};
use burn::tensor::activation::{leaky_relu, relu, tanh};
use burn::tensor::{Device, Int, Tensor};

use crate::adversarial::settings::Settings;
use crate::cgan::projection::projected;
use crate::convolution::{convolve, convolve_transpose};
use crate::gan::config::GanConfig;
use crate::gan::networks::network::{DiscriminatorNetwork, GeneratorNetwork, Sizes};
use crate::gan::networks::normalized::Normalization;
use crate::layers::{batch_norm, doubling, halving, keeping};
use crate::normalization::normalize;

/// Conditional batch normalization: `y = γ_c·x̂ + β_c`, where `x̂` is normalized over the batch and
/// each class `c` has its own gain and offset (Dumoulin et al. 2017; de Vries et al. 2017).
#[derive(Module, Debug)]
pub struct ConditionalBatchNorm {
    /// Its own gain and offset stay 1 and 0.
    norm: BatchNorm,
    /// Of all classes one after another, `[classes·features]`: gains are no weight matrix, and as a
    /// vector none takes them for one.
    gains: Param<Tensor<1>>,
    offsets: Param<Tensor<1>>,
}

impl ConditionalBatchNorm {
    /// Gains of 1 and offsets of 0.
    fn new(features: usize, classes: usize, settings: &Settings, device: &Device) -> Self {
        let count = classes * features;
        Self {
            norm: batch_norm(features, settings.batch_norm(), device).no_grad(),
            gains: Param::from_tensor(Tensor::ones([count], device)),
            offsets: Param::from_tensor(Tensor::zeros([count], device)),
        }
    }

    /// Normalizes over the batch.
    ///
    /// # Shapes
    ///
    /// `x`: `[batch, features, height, width]`; `classes`: `[batch]`.
    fn forward(&self, x: Tensor<4>, classes: &Tensor<1, Int>) -> Tensor<4> {
        let [batch, features, ..] = x.dims();
        let of_each = |all: &Param<Tensor<1>>| {
            let rows = all.val().reshape([-1, features.cast_signed()]);
            rows.select(0, classes.clone()).reshape([batch, features, 1, 1])
        };
        let (gains, offsets) = (of_each(&self.gains), of_each(&self.offsets));
        normalize(&self.norm, x, 1.0) * gains + offsets
    }
}

impl Normalization for ConditionalBatchNorm {
    type Condition = Tensor<1, Int>;

    fn build(features: usize, classes: usize, settings: &Settings, device: &Device) -> Self {
        Self::new(features, classes, settings, device)
    }

    fn rectified(&self, x: Tensor<4>, classes: &Tensor<1, Int>) -> Tensor<4> {
        relu(self.forward(x, classes))
    }
}

/// Latent vectors and classes to images: as the generator of `gan`, where batch normalization knows
/// the class.
#[derive(Module, Debug)]
pub struct Generator {
    project: Linear,
    norm1: ConditionalBatchNorm,
    up1: ConvTranspose2d,
    norm2: ConditionalBatchNorm,
    extra: Vec<Extra>,
    up2: ConvTranspose2d,
    start_size: usize,
}

/// A convolution that keeps the size, and batch normalization that knows the class.
#[derive(Module, Debug)]
struct Extra {
    conv: Conv2d,
    norm: ConditionalBatchNorm,
}

impl Generator {
    /// A generator of images with `channels` channels, of `classes` classes.
    pub fn new(config: &GanConfig, channels: usize, classes: usize, device: &Device) -> Self {
        let (c, start_size) = (config.g_channels, config.image_size / 4);
        let start = 2 * c * start_size * start_size;
        let norm =
            |features| ConditionalBatchNorm::new(features, classes, &config.training, device);
        Self {
            project: LinearConfig::new(config.latent_size, start).init(device),
            norm1: norm(2 * c),
            up1: doubling([2 * c, c], device),
            norm2: norm(c),
            extra: (0..config.g_extra_layers)
                .map(|_| Extra { conv: keeping([c, c], device), norm: norm(c) })
                .collect(),
            up2: doubling([c, channels], device),
            start_size,
        }
    }

    /// Generates images.
    ///
    /// # Shapes
    ///
    /// `[batch, latent_size]`, `[batch]` → `[batch, channels, size, size]` in [−1, 1].
    pub fn forward(&self, latents: Tensor<2>, classes: &Tensor<1, Int>) -> Tensor<4> {
        let [batch, _] = latents.dims();
        let x = self.project.forward(latents);
        let [_, features] = x.dims();
        let channels = features / (self.start_size * self.start_size);
        let x = x.reshape([batch, channels, self.start_size, self.start_size]);
        let x = relu(self.norm1.forward(x, classes));
        let x = relu(self.norm2.forward(convolve_transpose(&self.up1, x), classes));
        let deeper = |x, layer: &Extra| relu(layer.norm.forward(convolve(&layer.conv, x), classes));
        let x = self.extra.iter().fold(x, deeper);
        tanh(convolve_transpose(&self.up2, x))
    }
}

impl GeneratorNetwork for Generator {
    type Condition = Tensor<1, Int>;

    fn build(config: &GanConfig, sizes: Sizes, device: &Device) -> Self {
        Self::new(config, sizes.channels, sizes.classes, device)
    }

    fn generate(&self, latents: Tensor<2>, classes: &Tensor<1, Int>) -> Tensor<4> {
        self.forward(latents, classes)
    }
}

/// Images and classes to logits by projection: with the features `φ(x)` and the embedding `v_y` of the
/// class,
///
/// ```text
/// D(x, y) = v_yᵀφ(x) + ψ(φ(x)),  ψ linear        (Miyato and Koyama 2018, equation 3)
/// ```
///
/// φ is what the convolutions of `gan` see at each place. In the paper it is summed over places, behind
/// ten and more convolutions; a place sees 18 of 28 pixels here, and their sum no longer knows a shape.
#[derive(Module, Debug)]
pub struct Discriminator {
    down1: Conv2d,
    down2: Conv2d,
    keep: Conv2d,
    extra: Vec<Conv2d>,
    logit: Linear,
    class: Embedding,
    leaky_slope: f64,
}

impl Discriminator {
    /// A discriminator of images with `channels` channels, of `classes` classes.
    pub fn new(config: &GanConfig, channels: usize, classes: usize, device: &Device) -> Self {
        let (c, end_size) = (config.d_channels, config.image_size / 4);
        let size = 4 * c * end_size * end_size;
        Self {
            down1: halving([channels, c], device),
            down2: halving([c, 2 * c], device),
            keep: keeping([2 * c, 4 * c], device),
            extra: (0..config.d_extra_layers).map(|_| keeping([4 * c, 4 * c], device)).collect(),
            logit: LinearConfig::new(size, 1).init(device),
            class: EmbeddingConfig::new(classes, size).init(device),
            leaky_slope: config.leaky_slope,
        }
    }

    /// How real each image looks for its class: above 0 is real.
    ///
    /// # Shapes
    ///
    /// `[batch, channels, size, size]`, `[batch]` → `[batch, 1]`.
    pub fn forward(&self, images: Tensor<4>, classes: Tensor<1, Int>) -> Tensor<2> {
        projected(&self.logit, &self.class, self.features(images), classes)
    }

    /// φ, `[batch, 4·d_channels·(size/4)²]`.
    fn features(&self, images: Tensor<4>) -> Tensor<2> {
        let activate = |x| leaky_relu(x, self.leaky_slope);
        let x = activate(convolve(&self.down1, images));
        let x = activate(convolve(&self.down2, x));
        let x = activate(convolve(&self.keep, x));
        let x = self.extra.iter().fold(x, |x, layer| activate(convolve(layer, x)));
        x.flatten(1, 3)
    }
}

impl DiscriminatorNetwork for Discriminator {
    type Condition = Tensor<1, Int>;

    fn build(config: &GanConfig, sizes: Sizes, device: &Device) -> Self {
        Self::new(config, sizes.channels, sizes.classes, device)
    }

    fn judge(&self, images: Tensor<4>, classes: &Tensor<1, Int>) -> Tensor<2> {
        self.forward(images, classes.clone())
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;

    use super::*;

    #[test]
    fn each_class_has_its_own_gain_and_offset() {
        let device = Device::flex().autodiff();
        let mut norm = ConditionalBatchNorm::new(1, 2, &Settings::quick(), &device);
        let set = |values: [f32; 2]| Param::from_tensor(Tensor::from_data(values, &device));
        (norm.gains, norm.offsets) = (set([1.0, 10.0]), set([0.0, 100.0]));
        // Mean 0 and variance 1 already.
        let x = TensorData::new(vec![-1.0f32, 1.0, -1.0, 1.0], [4, 1, 1, 1]);
        let classes = Tensor::from_data([0, 0, 1, 1], &device);
        let y: Vec<f32> =
            norm.forward(Tensor::from_data(x, &device), &classes).into_data().iter().collect();
        let expected = [-1.0, 1.0, 90.0, 110.0];
        assert!(y.iter().zip(expected).all(|(y, it)| (y - it).abs() < 1e-3), "{y:?}");
    }
}
