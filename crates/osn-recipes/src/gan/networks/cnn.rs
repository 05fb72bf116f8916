//! The standard CNN of SN-GAN (Miyato et al. 2018, appendix B.4, table 3).

use burn::module::Module;
use burn::nn::conv::{Conv2d, ConvTranspose2d};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::{leaky_relu, tanh};
use burn::tensor::{Device, Tensor};

use crate::convolution::{convolve, convolve_transpose};
use crate::gan::config::GanConfig;
use crate::gan::networks::judge::Features;
use crate::gan::networks::network::{GeneratorNetwork, Sizes};
use crate::gan::networks::normalized::Normalization;
use crate::layers::{doubling, halving, keeping};

/// Of c = `g_channels`, 64 in the paper, and images of m rows:
///
/// | layer | size | channels |
/// |---|---|---|
/// | linear | m/8 | 8c |
/// | three transposed convolutions 4×4, stride 2 | m/4, m/2, m | 4c, 2c, c |
/// | convolution 3×3, tanh | m | those of an image |
///
/// Batch normalization and ReLU follow each layer but the last. The table has none behind the linear one; the authors'
/// code (`chainer-gan-lib`) has.
#[derive(Module, Debug)]
pub struct CnnGenerator<N: Module> {
    project: Linear,
    norm: N,
    ups: Vec<Up<N>>,
    image: Conv2d,
    start_size: usize,
}

/// Twice the size, and normalization.
#[derive(Module, Debug)]
struct Up<N: Module> {
    conv: ConvTranspose2d,
    norm: N,
}

impl<N: Normalization> GeneratorNetwork for CnnGenerator<N> {
    type Condition = N::Condition;

    fn build(config: &GanConfig, sizes: Sizes, device: &Device) -> Self {
        let (c, start_size) = (config.g_channels, config.image_size / 8);
        let norm = |features| N::build(features, sizes.classes, &config.training, device);
        let up = |[from, to]: [usize; 2]| Up { conv: doubling([from, to], device), norm: norm(to) };
        let start = 8 * c * start_size * start_size;
        Self {
            project: LinearConfig::new(config.latent_size, start).init(device),
            norm: norm(8 * c),
            ups: [[8 * c, 4 * c], [4 * c, 2 * c], [2 * c, c]].map(up).into(),
            image: keeping([c, sizes.channels], device),
            start_size,
        }
    }

    fn generate(&self, latents: Tensor<2>, condition: &N::Condition) -> Tensor<4> {
        let x = started(&self.project, latents, self.start_size);
        let x = self.norm.rectified(x, condition);
        let up = |x, up: &Up<N>| up.norm.rectified(convolve_transpose(&up.conv, x), condition);
        tanh(convolve(&self.image, self.ups.iter().fold(x, up)))
    }
}

/// The first features of a generator, `[batch, channels, size, size]`.
pub(super) fn started(project: &Linear, latents: Tensor<2>, size: usize) -> Tensor<4> {
    let [batch, _] = latents.dims();
    let x = project.forward(latents);
    let channels = x.dims()[1] / (size * size);
    x.reshape([batch, channels, size, size])
}

/// Of c = `d_channels`, 64 in the paper, and images of m rows: three pairs of a convolution 3×3 and one 4×4 of stride
/// 2, with c, 2c and 4c channels, and a convolution 3×3 to 8c; leaky ReLU after each. φ has the places of the last one,
/// 8c·(m/8)² numbers.
#[derive(Module, Debug)]
pub struct CnnFeatures {
    layers: Vec<Conv2d>,
    leaky_slope: f64,
}

impl Features for CnnFeatures {
    fn build(config: &GanConfig, channels: usize, device: &Device) -> Self {
        let c = config.d_channels;
        let pairs = [[channels, c], [c, 2 * c], [2 * c, 4 * c]];
        let pair =
            |[from, to]: [usize; 2]| [keeping([from, to], device), halving([to, to], device)];
        let mut layers: Vec<Conv2d> = pairs.into_iter().flat_map(pair).collect();
        layers.push(keeping([4 * c, 8 * c], device));
        Self { layers, leaky_slope: config.leaky_slope }
    }

    fn count(config: &GanConfig) -> usize {
        let side = config.image_size / 8;
        8 * config.d_channels * side * side
    }

    fn features(&self, images: Tensor<4>) -> Tensor<2> {
        let activated = |x, layer| leaky_relu(convolve(layer, x), self.leaky_slope);
        self.layers.iter().fold(images, activated).flatten(1, 3)
    }
}

#[cfg(test)]
mod tests {
    use burn::nn::BatchNorm;

    use super::*;
    use crate::gan::networks::judge::Judge;
    use crate::gan::networks::network::DiscriminatorNetwork;

    type Discriminator = Judge<CnnFeatures>;

    const COLOUR: Sizes = Sizes { channels: 3, classes: 1 };

    #[test]
    fn the_parameters_are_those_of_the_papers_table() {
        let (config, device) = (GanConfig::sngan_c(), Device::flex());
        let generator = CnnGenerator::<BatchNorm>::build(&config, COLOUR, &device);
        // Table 3 at 32×32, layer by layer: weights, biases, and gains and offsets of batch normalization.
        let weights = 128 * 8_192 + 16 * (512 * 256 + 256 * 128 + 128 * 64) + 9 * 64 * 3;
        let biases = 8_192 + 256 + 128 + 64 + 3;
        let normalized = 512 + 256 + 128 + 64;
        // Burn counts running means and variances too.
        let count = generator.num_params() - 2 * normalized;
        assert_eq!(count, weights + biases + 2 * normalized);
        assert_eq!(count, 3_813_379);
        let discriminator = Discriminator::build(&config, COLOUR, &device);
        let keeping = 9 * (3 * 64 + 64 * 128 + 128 * 256 + 256 * 512);
        let halving = 16 * (64 * 64 + 128 * 128 + 256 * 256);
        let biases = 2 * (64 + 128 + 256) + 512 + 1;
        assert_eq!(discriminator.num_params(), keeping + halving + 16 * 512 + biases);
        assert_eq!(discriminator.num_params(), 2_935_873);
    }

    #[test]
    fn images_of_either_size_come_out_and_go_in() {
        let device = Device::flex();
        for size in [32, 64] {
            let config = GanConfig {
                image_size: size,
                g_channels: 2,
                d_channels: 2,
                ..GanConfig::sngan_c()
            };
            let generator = CnnGenerator::<BatchNorm>::build(&config, COLOUR, &device);
            let images = generator.generate(Tensor::ones([5, 128], &device), &());
            assert_eq!(images.dims(), [5, 3, size, size]);
            let largest: f32 = images.clone().abs().max().into_scalar();
            assert!(largest <= 1.0, "{largest}");
            let discriminator = Discriminator::build(&config, COLOUR, &device);
            assert_eq!(discriminator.judge(images, &()).dims(), [5, 1]);
            assert_eq!(CnnFeatures::count(&config), 16 * (size / 8).pow(2));
        }
    }
}
