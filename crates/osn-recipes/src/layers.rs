//! The layers that the networks of several recipes are made of.

use burn::nn::conv::{Conv2d, Conv2dConfig, ConvTranspose2d, ConvTranspose2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, PaddingConfig2d};
use burn::tensor::Device;

/// A 4×4 convolution of stride 2: half the size.
pub(crate) fn halving([from, to]: [usize; 2], device: &Device) -> Conv2d {
    let padding = PaddingConfig2d::Explicit(1, 1, 1, 1);
    Conv2dConfig::new([from, to], [4, 4]).with_stride([2, 2]).with_padding(padding).init(device)
}

/// A 3×3 convolution of stride 1: the same size.
pub(crate) fn keeping([from, to]: [usize; 2], device: &Device) -> Conv2d {
    let padding = PaddingConfig2d::Explicit(1, 1, 1, 1);
    Conv2dConfig::new([from, to], [3, 3]).with_padding(padding).init(device)
}

/// A 1×1 convolution: each place by itself.
pub(crate) fn mixing([from, to]: [usize; 2], device: &Device) -> Conv2d {
    Conv2dConfig::new([from, to], [1, 1]).init(device)
}

/// A 4×4 transposed convolution of stride 2: twice the size.
pub(crate) fn doubling([from, to]: [usize; 2], device: &Device) -> ConvTranspose2d {
    ConvTranspose2dConfig::new([from, to], [4, 4])
        .with_stride([2, 2])
        .with_padding([1, 1])
        .init(device)
}

/// Batch normalization with a momentum in Burn's convention and an ε.
pub(crate) fn batch_norm(
    features: usize,
    [momentum, epsilon]: [f64; 2],
    device: &Device,
) -> BatchNorm {
    BatchNormConfig::new(features).with_momentum(momentum).with_epsilon(epsilon).init(device)
}
