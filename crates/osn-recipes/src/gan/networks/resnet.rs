//! The residual networks of SN-GAN (Miyato et al. 2018, appendix B.4, table 4 and figure 9), with what the paper leaves
//! open as in the authors' code (`sngan_projection`).

use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::nn::{BatchNorm, Linear, LinearConfig};
use burn::tensor::activation::{relu, tanh};
use burn::tensor::{Device, Tensor};

use crate::convolution::convolve;
use crate::gan::config::GanConfig;
use crate::gan::networks::cnn::started;
use crate::gan::networks::judge::Features;
use crate::gan::networks::network::{GeneratorNetwork, Sizes};
use crate::gan::networks::normalized::Normalization;
use crate::layers::{keeping, mixing};
use crate::normalization::normalize;

/// Of c = `g_channels`, 256 in the paper, and images of m rows: a linear layer to c·(m/8)², three residual blocks that
/// double the size, batch normalization and ReLU, a convolution 3×3 and tanh.
#[derive(Module, Debug)]
pub struct ResNetGenerator<N: Module> {
    project: Linear,
    blocks: Vec<ResidualUp<N>>,
    /// It knows no class.
    norm: BatchNorm,
    image: Conv2d,
    start_size: usize,
}

/// `F(x) + S(x)` at twice the size: F normalization, ReLU, nearest neighbours, a convolution 3×3, normalization, ReLU
/// and a convolution 3×3; S nearest neighbours and a convolution 1×1.
#[derive(Module, Debug)]
struct ResidualUp<N: Module> {
    norm1: N,
    conv1: Conv2d,
    norm2: N,
    conv2: Conv2d,
    shortcut: Conv2d,
}

impl<N: Normalization> ResidualUp<N> {
    fn build(config: &GanConfig, classes: usize, device: &Device) -> Self {
        let c = config.g_channels;
        let norm = || N::build(c, classes, &config.training, device);
        Self {
            norm1: norm(),
            conv1: keeping([c, c], device),
            norm2: norm(),
            conv2: keeping([c, c], device),
            shortcut: mixing([c, c], device),
        }
    }

    fn forward(&self, x: Tensor<4>, condition: &N::Condition) -> Tensor<4> {
        // A convolution 1×1 of repeated pixels repeats those of the convolution, at a quarter of the work.
        let past = doubled(convolve(&self.shortcut, x.clone()));
        let through = doubled(self.norm1.rectified(x, condition));
        let through = self.norm2.rectified(convolve(&self.conv1, through), condition);
        convolve(&self.conv2, through) + past
    }
}

impl<N: Normalization> GeneratorNetwork for ResNetGenerator<N> {
    type Condition = N::Condition;

    fn build(config: &GanConfig, sizes: Sizes, device: &Device) -> Self {
        let (c, start_size) = (config.g_channels, config.image_size / 8);
        let block = || ResidualUp::build(config, sizes.classes, device);
        Self {
            project: LinearConfig::new(config.latent_size, c * start_size * start_size)
                .init(device),
            blocks: vec![block(), block(), block()],
            norm: BatchNorm::build(c, 1, &config.training, device),
            image: keeping([c, sizes.channels], device),
            start_size,
        }
    }

    fn generate(&self, latents: Tensor<2>, condition: &N::Condition) -> Tensor<4> {
        let x = started(&self.project, latents, self.start_size);
        let x = self.blocks.iter().fold(x, |x, block| block.forward(x, condition));
        tanh(convolve(&self.image, normalize(&self.norm, x, 0.0)))
    }
}

/// Of c = `d_channels`, 128 in the paper: two residual blocks that halve the size, two that keep it, ReLU, and φ the sum
/// over all places, c numbers.
#[derive(Module, Debug)]
pub struct ResNetFeatures {
    blocks: Vec<ResidualDown>,
}

/// `F(x) + S(x)`: F two convolutions 3×3 with a ReLU before each and, where the size is halved, the mean of each four
/// pixels; S the same mean and a convolution 1×1, or the input itself. The first block has no ReLU before its input.
#[derive(Module, Debug)]
struct ResidualDown {
    conv1: Conv2d,
    conv2: Conv2d,
    /// Where the size is halved.
    shortcut: Option<Conv2d>,
    is_first: bool,
}

impl ResidualDown {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let input = if self.is_first { x.clone() } else { relu(x.clone()) };
        let through = convolve(&self.conv2, relu(convolve(&self.conv1, input)));
        match &self.shortcut {
            // The mean of a convolution 1×1 is the convolution of the mean, at a quarter of the work.
            Some(shortcut) => halved(through) + convolve(shortcut, halved(x)),
            None => through + x,
        }
    }
}

impl Features for ResNetFeatures {
    fn build(config: &GanConfig, channels: usize, device: &Device) -> Self {
        let c = config.d_channels;
        let block = |place: usize| {
            let from = if place == 0 { channels } else { c };
            ResidualDown {
                conv1: keeping([from, c], device),
                conv2: keeping([c, c], device),
                shortcut: (place < 2).then(|| mixing([from, c], device)),
                is_first: place == 0,
            }
        };
        Self { blocks: (0..4).map(block).collect() }
    }

    fn count(config: &GanConfig) -> usize {
        config.d_channels
    }

    fn features(&self, images: Tensor<4>) -> Tensor<2> {
        let x = self.blocks.iter().fold(images, |x, block| block.forward(x));
        relu(x).flatten::<3>(2, 3).sum_dim(2).flatten(1, 2)
    }
}

/// Each pixel four times: twice the size.
fn doubled(images: Tensor<4>) -> Tensor<4> {
    let [batch, channels, rows, columns] = images.dims();
    let pixels = images.reshape([batch, channels, rows, 1, columns, 1]);
    pixels.expand([batch, channels, rows, 2, columns, 2]).reshape([
        batch,
        channels,
        2 * rows,
        2 * columns,
    ])
}

/// The mean of each four pixels: half the size.
fn halved(images: Tensor<4>) -> Tensor<4> {
    let [batch, channels, rows, columns] = images.dims();
    let blocks = images.reshape([batch, channels, rows / 2, 2, columns / 2, 2]);
    blocks.mean_dim(5).mean_dim(3).reshape([batch, channels, rows / 2, columns / 2])
}

#[cfg(test)]
mod tests {
    use burn::nn::conv::Conv2dConfig;
    use burn::tensor::TensorData;

    use super::*;
    use crate::data::sampler::noise;
    use crate::gan::networks::judge::Judge;
    use crate::gan::networks::network::DiscriminatorNetwork;
    use crate::waves::{must_agree, numbers};

    const COLOUR: Sizes = Sizes { channels: 3, classes: 1 };

    fn paper() -> GanConfig {
        GanConfig { g_channels: 256, d_channels: 128, ..GanConfig::sngan_c() }
    }

    #[test]
    fn the_parameters_are_those_of_the_papers_table() {
        let device = Device::flex();
        let generator = ResNetGenerator::<BatchNorm>::build(&paper(), COLOUR, &device);
        // The generator and the discriminator of `torch_mimicry`'s SNGAN at 32×32 have as many.
        // Burn counts the running means and variances of seven normalizations too.
        assert_eq!(generator.num_params() - 2 * 7 * 256, 4_276_739);
        let discriminator = Judge::<ResNetFeatures>::build(&paper(), COLOUR, &device);
        assert_eq!(discriminator.num_params(), 1_053_825);
    }

    #[test]
    fn images_come_out_and_go_in() {
        let config = GanConfig { g_channels: 2, d_channels: 2, ..paper() };
        let device = Device::flex();
        let generator = ResNetGenerator::<BatchNorm>::build(&config, COLOUR, &device);
        let images = generator.generate(Tensor::ones([5, 128], &device), &());
        assert_eq!(images.dims(), [5, 3, 32, 32]);
        let discriminator = Judge::<ResNetFeatures>::build(&config, COLOUR, &device);
        assert_eq!(discriminator.judge(images, &()).dims(), [5, 1]);
    }

    fn images(shape: [usize; 4]) -> Tensor<4> {
        let values = noise(4, 0, 0, shape.iter().product());
        Tensor::from_data(TensorData::new(values, shape), &Device::flex())
    }

    #[test]
    fn sizes_are_doubled_by_neighbours_and_halved_by_means() {
        let pixels = Tensor::from_data([[[[1.0f32, 2.0], [3.0, 6.0]]]], &Device::flex());
        let twice: Vec<f32> = doubled(pixels.clone()).into_data().iter().collect();
        let rows = [[1.0, 1.0, 2.0, 2.0], [3.0, 3.0, 6.0, 6.0]];
        assert_eq!(twice, [rows[0], rows[0], rows[1], rows[1]].concat());
        assert_eq!(halved(pixels).into_scalar::<f32>(), 3.0);
        assert_eq!(halved(doubled(images([2, 3, 4, 6]))).dims(), [2, 3, 4, 6]);
    }

    #[test]
    fn a_convolution_of_single_pixels_goes_with_means_and_neighbours() {
        let conv = Conv2dConfig::new([3, 5], [1, 1]).init(&Device::flex());
        let x = images([2, 3, 4, 6]);
        for resized in [doubled, halved] {
            let before = numbers(convolve(&conv, resized(x.clone())));
            must_agree("1×1", &numbers(resized(convolve(&conv, x.clone()))), &before, 1e-5);
        }
    }
}
