//! Which convolution one of Burn's layers is.

use burn::nn::conv::{Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d};
use burn::nn::{PaddingConfig1d, PaddingConfig2d, PaddingConfig3d};
use osn_core::measure::convolution::Convolution;

/// A layer whose linear map is a convolution of `N` dimensions.
///
/// A plan sees the parameters of a model, and not the stride and padding of its layers. Ask the layer for them:
///
/// ```
/// use burn::nn::conv::Conv2dConfig;
/// use burn::tensor::Device;
/// use osn::{prelude::*, views::{AsConvolution, View}};
///
/// let conv = Conv2dConfig::new([3, 8], [4, 4]).with_stride([2, 2]).init(&Device::flex());
/// let view = View::Operator(conv.convolution([28, 28]));
/// let (conv, osn) = Plan::new().select(Selection::paths("weight").view(view)).attach(conv)?;
/// # Ok::<(), osn::AttachError>(())
/// ```
pub trait AsConvolution<const N: usize> {
    /// The convolution that this layer computes on inputs of `input_size` (positions along each axis), with the
    /// layer's own stride, dilation, zero padding and groups.
    fn convolution(&self, input_size: [usize; N]) -> Convolution;
}

/// Positions before and after an input of length `n`, as Burn's `Same` takes them: ⌈n/stride⌉
/// outputs, the larger half behind, and dilation not counted.
fn same(n: usize, kernel: usize, stride: usize) -> (usize, usize) {
    let needed = (n.div_ceil(stride).max(1) - 1) * stride + kernel;
    let total = needed.saturating_sub(n);
    (total / 2, total.div_ceil(2))
}

/// The convolution of a layer, with its `padding` on both sides of each axis.
fn convolution<const N: usize>(
    [input_size, stride, dilation]: [[usize; N]; 3],
    padding: [(usize, usize); N],
    groups: usize,
) -> Convolution {
    let plain = Convolution::new(input_size).stride(stride).dilation(dilation).groups(groups);
    Convolution { padding: Some(padding.to_vec()), ..plain }
}

impl AsConvolution<1> for Conv1d {
    fn convolution(&self, input_size: [usize; 1]) -> Convolution {
        let padding = match self.padding {
            PaddingConfig1d::Same => same(input_size[0], self.kernel_size, self.stride),
            PaddingConfig1d::Valid => (0, 0),
            PaddingConfig1d::Explicit(before, after) => (before, after),
        };
        convolution([input_size, [self.stride], [self.dilation]], [padding], self.groups)
    }
}

impl AsConvolution<2> for Conv2d {
    fn convolution(&self, input_size: [usize; 2]) -> Convolution {
        let padding = match self.padding {
            PaddingConfig2d::Same => {
                [0, 1].map(|i| same(input_size[i], self.kernel_size[i], self.stride[i]))
            }
            PaddingConfig2d::Valid => [(0, 0); 2],
            PaddingConfig2d::Explicit(top, left, bottom, right) => [(top, bottom), (left, right)],
        };
        convolution([input_size, self.stride, self.dilation], padding, self.groups)
    }
}

impl AsConvolution<3> for Conv3d {
    fn convolution(&self, input_size: [usize; 3]) -> Convolution {
        let padding = match self.padding {
            PaddingConfig3d::Same => {
                [0, 1, 2].map(|i| same(input_size[i], self.kernel_size[i], self.stride[i]))
            }
            PaddingConfig3d::Valid => [(0, 0); 3],
            PaddingConfig3d::Explicit(depth, height, width) => {
                [depth, height, width].map(|p| (p, p))
            }
        };
        convolution([input_size, self.stride, self.dilation], padding, self.groups)
    }
}

impl AsConvolution<1> for ConvTranspose1d {
    fn convolution(&self, input_size: [usize; 1]) -> Convolution {
        Convolution::new(input_size)
            .stride([self.stride])
            .dilation([self.dilation])
            .padding([self.padding])
            .groups(self.groups)
            .transposed([self.padding_out])
    }
}

macro_rules! transposed {
    ($layer:ty, $n:literal) => {
        impl AsConvolution<$n> for $layer {
            fn convolution(&self, input_size: [usize; $n]) -> Convolution {
                Convolution::new(input_size)
                    .stride(self.stride)
                    .dilation(self.dilation)
                    .padding(self.padding)
                    .groups(self.groups)
                    .transposed(self.padding_out)
            }
        }
    };
}

transposed!(ConvTranspose2d, 2);
transposed!(ConvTranspose3d, 3);
