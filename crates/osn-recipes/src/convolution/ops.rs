//! Convolution as an operation of a backend, with its backward.
//!
//! With `C` the convolution of a kernel, `y = C x + b` has the gradients `Cᵀ g` at `x` and `g` along the patches
//! of `x` at the kernel; the transposed one, `x = Cᵀ y + b`, has `C g` at `y`, and `y` along the patches of `g` at
//! the kernel.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Flex, TensorMetadata, backend_extension};
use burn::tensor::Shape;

use crate::convolution::kernel::{self, Sizes};
use crate::host::{contiguous, tensor, values};

/// How a kernel `[out, in, height, width]` maps images: from `in` to `out` channels, or transposed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Map {
    /// Pixels from one position of the kernel to the next, by rows and by columns.
    pub(crate) stride: [usize; 2],
    /// Zeros on either side.
    pub(crate) padding: [usize; 2],
    pub(crate) is_transposed: bool,
}

/// The map, for tensors of f32.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait ConvolutionOps: Backend {
    /// `C x + b`, or `Cᵀ x + b`.
    fn convolve(
        images: FloatTensor<Self>,
        kernel: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        map: Map,
    ) -> FloatTensor<Self>;
}

impl ConvolutionOps for Flex {
    fn convolve(images: FlexTensor, kernel: FlexTensor, bias: FlexTensor, map: Map) -> FlexTensor {
        let sizes = sizes(&images, &kernel, map);
        let bias = contiguous(bias);
        product(images, kernel, Some(values(&bias)), sizes, map.is_transposed)
    }
}

impl<C: CheckpointStrategy> ConvolutionOps for Autodiff<Flex, C> {
    fn convolve(
        images: FloatTensor<Self>,
        kernel: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        map: Map,
    ) -> FloatTensor<Self> {
        let parents = [images.node(), kernel.node(), bias.node()];
        let (images, kernel) = (images.into_primitive(), kernel.into_primitive());
        let output = Flex::convolve(images.clone(), kernel.clone(), bias.into_primitive(), map);
        match Convolve.prepare::<C>(parents).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(Saved { images, kernel, map }, output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }
}

/// The graph node of a map; its parents are images, kernel and bias.
#[derive(Debug)]
struct Convolve;

#[derive(Clone, Debug)]
struct Saved {
    images: FlexTensor,
    kernel: FlexTensor,
    map: Map,
}

impl Backward<Flex, 3> for Convolve {
    type State = Saved;

    fn backward(self, ops: Ops<Saved, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<Flex>(&ops.node);
        let Saved { images, kernel, map } = ops.state;
        let sizes = sizes(&images, &kernel, map);
        let [of_images, of_kernel, of_bias] = ops.parents;
        if let Some(node) = of_bias {
            grads.register::<Flex>(node.id, bias_gradient(grad.clone()));
        }
        if let Some(node) = of_kernel {
            grads.register::<Flex>(node.id, kernel_gradient(images, grad.clone(), sizes));
        }
        if let Some(node) = of_images {
            let gradient = product(grad, kernel, None, sizes, !map.is_transposed);
            grads.register::<Flex>(node.id, gradient);
        }
    }
}

fn sizes(images: &FlexTensor, kernel: &FlexTensor, map: Map) -> Sizes {
    Sizes::of(images.shape().dims(), kernel.shape().dims(), map)
}

/// The convolution of `images`, or the transposed one.
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

/// The gradient at the kernel of `⟨g, C x⟩`, or of `⟨g, Cᵀ x⟩`.
fn kernel_gradient(images: FlexTensor, grad: FlexTensor, sizes: Sizes) -> FlexTensor {
    let (images, grad) = (contiguous(images), contiguous(grad));
    let (images, output) =
        if sizes.map.is_transposed { (&grad, &images) } else { (&images, &grad) };
    let gradient = kernel::kernel_gradient(values(images), values(output), sizes);
    tensor(gradient, sizes.kernel_shape())
}

/// The sum over images and positions of each channel, `[channels]`.
fn bias_gradient(grad: FlexTensor) -> FlexTensor {
    let [batch, channels, height, width] = grad.shape().dims();
    let grad = Flex::float_reshape(grad, Shape::new([batch, channels, height * width]));
    let sum = Flex::float_sum_dim(Flex::float_sum_dim(grad, 2), 0);
    Flex::float_reshape(sum, Shape::new([channels]))
}
