//! Convolution as an operation of a backend, with its backward.
//!
//! With `C` the convolution of a kernel, `y = C x + b` has the gradients `Cᵀ g` at `x` and `g` along the patches
//! of `x` at the kernel; the transposed one, `x = Cᵀ y + b`, has `C g` at `y`, and `y` along the patches of `g` at
//! the kernel.

#[cfg(any(feature = "wgpu", feature = "cuda"))]
use burn::backend::Cube;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::ops::{ConvOptions, ConvTransposeOptions};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Flex, TensorMetadata, backend_extension};
use burn::tensor::{DType, Shape, TensorData};

use crate::convolution::kernel::{self, Sizes};
use crate::host::{contiguous, values};

/// How a kernel `[out, in, height, width]` maps images: from `in` to `out` channels, or transposed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Map {
    /// Pixels from one position of the kernel to the next, by rows and by columns.
    pub(crate) stride: [usize; 2],
    /// Zeros on either side.
    pub(crate) padding: [usize; 2],
    pub(crate) is_transposed: bool,
}

impl Map {
    fn options(self) -> ConvOptions<2> {
        ConvOptions::new(self.stride, self.padding, [1, 1], 1)
    }

    fn transposed_options(self) -> ConvTransposeOptions<2> {
        ConvTransposeOptions::new(self.stride, self.padding, [0, 0], [1, 1], 1)
    }
}

/// A map and its two gradients.
#[backend_extension(
    Flex,
    Cube: cfg(any(feature = "wgpu", feature = "cuda")),
    Autodiff
)]
pub(crate) trait ConvolutionOps: Backend {
    /// `C x + b`, or `Cᵀ x + b`.
    fn convolve(
        images: FloatTensor<Self>,
        kernel: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        map: Map,
    ) -> FloatTensor<Self> {
        burns::convolve::<Self>(images, kernel, bias, map)
    }

    /// The gradient at `images` of `⟨g, C x⟩`, or of `⟨g, Cᵀ x⟩`.
    fn images_gradient(
        images: FloatTensor<Self>,
        kernel: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        map: Map,
    ) -> FloatTensor<Self> {
        burns::images_gradient::<Self>(images, kernel, grad, map)
    }

    /// The same at `kernel`.
    fn kernel_gradient(
        images: FloatTensor<Self>,
        kernel: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        map: Map,
    ) -> FloatTensor<Self> {
        burns::kernel_gradient::<Self>(images, kernel, grad, map)
    }
}

/// Burn's own operations, for other devices and other numbers than f32.
mod burns {
    use super::{Backend, FloatTensor, Map};

    pub(super) fn convolve<B: Backend>(
        images: FloatTensor<B>,
        kernel: FloatTensor<B>,
        bias: FloatTensor<B>,
        map: Map,
    ) -> FloatTensor<B> {
        if map.is_transposed {
            B::conv_transpose2d(images, kernel, Some(bias), map.transposed_options())
        } else {
            B::conv2d(images, kernel, Some(bias), map.options())
        }
    }

    pub(super) fn images_gradient<B: Backend>(
        images: FloatTensor<B>,
        kernel: FloatTensor<B>,
        grad: FloatTensor<B>,
        map: Map,
    ) -> FloatTensor<B> {
        if map.is_transposed {
            B::conv_transpose2d_x_backward(kernel, grad, map.transposed_options())
        } else {
            B::conv2d_x_backward(images, kernel, grad, map.options())
        }
    }

    pub(super) fn kernel_gradient<B: Backend>(
        images: FloatTensor<B>,
        kernel: FloatTensor<B>,
        grad: FloatTensor<B>,
        map: Map,
    ) -> FloatTensor<B> {
        if map.is_transposed {
            B::conv_transpose2d_weight_backward(images, kernel, grad, map.transposed_options())
        } else {
            B::conv2d_weight_backward(images, kernel, grad, map.options())
        }
    }
}

#[cfg(any(feature = "wgpu", feature = "cuda"))]
impl ConvolutionOps for Cube {}

impl ConvolutionOps for Flex {
    fn convolve(
        images: FloatTensor<Self>,
        kernel: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        map: Map,
    ) -> FloatTensor<Self> {
        if !are_single([&images, &kernel, &bias]) {
            return burns::convolve::<Self>(images, kernel, bias, map);
        }
        let sizes = Sizes::of(images.shape().dims(), kernel.shape().dims(), map);
        let bias = contiguous(bias);
        product(images, kernel, Some(values(&bias)), sizes, map.is_transposed)
    }

    fn images_gradient(
        images: FloatTensor<Self>,
        kernel: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        map: Map,
    ) -> FloatTensor<Self> {
        if !are_single([&images, &kernel, &grad]) {
            return burns::images_gradient::<Self>(images, kernel, grad, map);
        }
        let sizes = Sizes::of(images.shape().dims(), kernel.shape().dims(), map);
        product(grad, kernel, None, sizes, !map.is_transposed)
    }

    fn kernel_gradient(
        images: FloatTensor<Self>,
        kernel: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        map: Map,
    ) -> FloatTensor<Self> {
        if !are_single([&images, &kernel, &grad]) {
            return burns::kernel_gradient::<Self>(images, kernel, grad, map);
        }
        let shape = kernel.shape().dims();
        let sizes = Sizes::of(images.shape().dims(), shape, map);
        let (images, grad) = (contiguous(images), contiguous(grad));
        let (images, output) = if map.is_transposed { (&grad, &images) } else { (&images, &grad) };
        tensor(kernel::kernel_gradient(values(images), values(output), sizes), shape)
    }
}

/// The convolution of `images`, or the transposed one, on the host.
fn product(
    images: FlexTensor,
    kernel: FlexTensor,
    bias: Option<&[f32]>,
    sizes: Sizes,
    is_transposed: bool,
) -> FlexTensor {
    let (images, kernel) = (contiguous(images), contiguous(kernel));
    let (images, kernel) = (values(&images), values(&kernel));
    if is_transposed {
        tensor(kernel::transpose(images, kernel, bias, sizes), sizes.image_shape())
    } else {
        tensor(kernel::convolve(images, kernel, bias, sizes), sizes.output_shape())
    }
}

fn are_single(tensors: [&FlexTensor; 3]) -> bool {
    tensors.iter().all(|tensor| tensor.dtype() == DType::F32)
}

fn tensor(values: Vec<f32>, shape: [usize; 4]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}

impl<B: ConvolutionOps, C: CheckpointStrategy> ConvolutionOps for Autodiff<B, C> {
    fn convolve(
        images: FloatTensor<Self>,
        kernel: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        map: Map,
    ) -> FloatTensor<Self> {
        let parents = [images.node(), kernel.node(), bias.node()];
        let (images, kernel) = (images.into_primitive(), kernel.into_primitive());
        let output = B::convolve(images.clone(), kernel.clone(), bias.into_primitive(), map);
        match Convolve.prepare::<C>(parents).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(Saved::<B> { images, kernel, map }, output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }
}

/// The graph node of a map; its parents are images, kernel and bias.
#[derive(Debug)]
struct Convolve;

#[derive(Clone, Debug)]
struct Saved<B: Backend> {
    images: FloatTensor<B>,
    kernel: FloatTensor<B>,
    map: Map,
}

impl<B: ConvolutionOps> Backward<B, 3> for Convolve {
    type State = Saved<B>;

    fn backward(self, ops: Ops<Saved<B>, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let Saved { images, kernel, map } = ops.state;
        let [of_images, of_kernel, of_bias] = ops.parents;
        if let Some(node) = of_bias {
            grads.register::<B>(node.id, bias_gradient::<B>(grad.clone()));
        }
        if let Some(node) = of_kernel {
            let (images, kernel) = (images.clone(), kernel.clone());
            let gradient = B::kernel_gradient(images, kernel, grad.clone(), map);
            grads.register::<B>(node.id, gradient);
        }
        if let Some(node) = of_images {
            grads.register::<B>(node.id, B::images_gradient(images, kernel, grad, map));
        }
    }
}

/// The sum over images and positions of each channel, `[channels]`.
fn bias_gradient<B: Backend>(grad: FloatTensor<B>) -> FloatTensor<B> {
    let [batch, channels, height, width] = grad.shape().dims();
    let grad = B::float_reshape(grad, Shape::new([batch, channels, height * width]));
    let sum = B::float_sum_dim(B::float_sum_dim(grad, 2), 0);
    B::float_reshape(sum, Shape::new([channels]))
}
