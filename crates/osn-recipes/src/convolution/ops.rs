//! Convolution and transposed convolution as operations of a backend, with their backward.
//!
//! With `C` the map of a kernel without bias, `y = C x + b` has the gradients `Cᵀ g` at `x` and `g` along
//! the patches of `x` at the kernel; the transposed one `x = Cᵀ y + b` has `C g` at `y`, and `y` along the
//! patches of `g` at the kernel.

#[cfg(any(feature = "wgpu", feature = "cuda"))]
use burn::backend::Cube;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::ops::{ConvOptions, ConvTransposeOptions, ModuleOps};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Flex, TensorMetadata, backend_extension};
use burn::tensor::{DType, Shape, TensorData};

use crate::convolution::kernel::{self, Sizes};

/// How a kernel moves over an image, by rows and by columns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    /// Pixels from one position to the next.
    pub(crate) stride: [usize; 2],
    /// Zeros on either side.
    pub(crate) padding: [usize; 2],
}

impl Window {
    fn of_convolution(self) -> ConvOptions<2> {
        ConvOptions::new(self.stride, self.padding, [1, 1], 1)
    }

    fn of_transpose(self) -> ConvTransposeOptions<2> {
        ConvTransposeOptions::new(self.stride, self.padding, [0, 0], [1, 1], 1)
    }
}

/// A kernel is `[out, in, height, width]` for [`convolve`](Self::convolve), and the same kernel maps from
/// `out` back to `in` channels for [`convolve_transpose`](Self::convolve_transpose).
#[backend_extension(
    Flex,
    Cube: cfg(any(feature = "wgpu", feature = "cuda")),
    Autodiff
)]
pub(crate) trait ConvolutionOps: Backend {
    /// `C x + b`.
    fn convolve(
        images: FloatTensor<Self>,
        kernel: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        window: Window,
    ) -> FloatTensor<Self> {
        Self::conv2d(images, kernel, Some(bias), window.of_convolution())
    }

    /// `Cᵀ y + b`.
    fn convolve_transpose(
        images: FloatTensor<Self>,
        kernel: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        window: Window,
    ) -> FloatTensor<Self> {
        Self::conv_transpose2d(images, kernel, Some(bias), window.of_transpose())
    }

    /// `Cᵀ g`, of the size of `images`.
    fn images_gradient(
        images: FloatTensor<Self>,
        kernel: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        window: Window,
    ) -> FloatTensor<Self> {
        Self::conv2d_x_backward(images, kernel, grad, window.of_convolution())
    }

    /// `∂⟨g, C x⟩/∂C`, of the size of `kernel`.
    fn kernel_gradient(
        images: FloatTensor<Self>,
        kernel: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        window: Window,
    ) -> FloatTensor<Self> {
        Self::conv2d_weight_backward(images, kernel, grad, window.of_convolution())
    }
}

#[cfg(any(feature = "wgpu", feature = "cuda"))]
impl ConvolutionOps for Cube {}

impl ConvolutionOps for Flex {
    fn convolve(
        images: FloatTensor<Self>,
        kernel: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        window: Window,
    ) -> FloatTensor<Self> {
        let Some([images, kernel, bias]) = in_single_precision([&images, &kernel, &bias]) else {
            return Self::conv2d(images, kernel, Some(bias), window.of_convolution());
        };
        let sizes = Sizes::of_images(dims(&images), dims(&kernel), window);
        let output = kernel::convolve(values(&images), values(&kernel), Some(values(&bias)), sizes);
        tensor(output, sizes.output_shape())
    }

    fn convolve_transpose(
        images: FloatTensor<Self>,
        kernel: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        window: Window,
    ) -> FloatTensor<Self> {
        let Some([images, kernel, bias]) = in_single_precision([&images, &kernel, &bias]) else {
            return Self::conv_transpose2d(images, kernel, Some(bias), window.of_transpose());
        };
        let sizes = Sizes::of_output(dims(&images), dims(&kernel), window);
        let (output, kernel) = (values(&images), values(&kernel));
        tensor(kernel::transpose(output, kernel, Some(values(&bias)), sizes), sizes.image_shape())
    }

    fn images_gradient(
        images: FloatTensor<Self>,
        kernel: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        window: Window,
    ) -> FloatTensor<Self> {
        let Some([kernel, grad]) = in_single_precision([&kernel, &grad]) else {
            return Self::conv2d_x_backward(images, kernel, grad, window.of_convolution());
        };
        let sizes = Sizes::of_images(dims(&images), dims(&kernel), window);
        let gradient = kernel::transpose(values(&grad), values(&kernel), None, sizes);
        tensor(gradient, sizes.image_shape())
    }

    fn kernel_gradient(
        images: FloatTensor<Self>,
        kernel: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        window: Window,
    ) -> FloatTensor<Self> {
        let Some([images, grad]) = in_single_precision([&images, &grad]) else {
            return Self::conv2d_weight_backward(images, kernel, grad, window.of_convolution());
        };
        let shape = dims(&kernel);
        let sizes = Sizes::of_images(dims(&images), shape, window);
        tensor(kernel::kernel_gradient(values(&images), values(&grad), sizes), shape)
    }
}

/// The tensors in the order of their memory, where all are f32.
fn in_single_precision<const N: usize>(tensors: [&FlexTensor; N]) -> Option<[FlexTensor; N]> {
    let is_single = tensors.iter().all(|tensor| tensor.dtype() == DType::F32);
    is_single.then(|| tensors.map(FlexTensor::to_contiguous))
}

fn values(tensor: &FlexTensor) -> &[f32] {
    let (start, len) = (tensor.layout().start_offset(), tensor.layout().num_elements());
    &tensor.storage::<f32>()[start..start + len]
}

fn dims(tensor: &FlexTensor) -> [usize; 4] {
    tensor.shape().dims()
}

fn tensor(values: Vec<f32>, shape: [usize; 4]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}

impl<B: ConvolutionOps, C: CheckpointStrategy> ConvolutionOps for Autodiff<B, C> {
    fn convolve(
        images: FloatTensor<Self>,
        kernel: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        window: Window,
    ) -> FloatTensor<Self> {
        let parents = [images.node(), kernel.node(), bias.node()];
        let (images, kernel) = (images.into_primitive(), kernel.into_primitive());
        let bias = bias.into_primitive();
        let output = B::convolve(images.clone(), kernel.clone(), bias, window);
        match Convolve.prepare::<C>(parents).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(Saved::<B> { images, kernel, window }, output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

    fn convolve_transpose(
        images: FloatTensor<Self>,
        kernel: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        window: Window,
    ) -> FloatTensor<Self> {
        let parents = [images.node(), kernel.node(), bias.node()];
        let (images, kernel) = (images.into_primitive(), kernel.into_primitive());
        let bias = bias.into_primitive();
        let output = B::convolve_transpose(images.clone(), kernel.clone(), bias, window);
        match ConvolveTranspose.prepare::<C>(parents).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(Saved::<B> { images, kernel, window }, output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }
}

#[derive(Clone, Debug)]
struct Saved<B: Backend> {
    images: FloatTensor<B>,
    kernel: FloatTensor<B>,
    window: Window,
}

/// The graph node of `C x + b`.
#[derive(Debug)]
struct Convolve;

impl<B: ConvolutionOps> Backward<B, 3> for Convolve {
    type State = Saved<B>;

    fn backward(self, ops: Ops<Saved<B>, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let Saved { images, kernel, window } = ops.state;
        let [of_images, of_kernel, of_bias] = ops.parents;
        if let Some(node) = of_bias {
            grads.register::<B>(node.id, bias_gradient::<B>(grad.clone()));
        }
        if let Some(node) = of_kernel {
            let (images, kernel) = (images.clone(), kernel.clone());
            let gradient = B::kernel_gradient(images, kernel, grad.clone(), window);
            grads.register::<B>(node.id, gradient);
        }
        if let Some(node) = of_images {
            grads.register::<B>(node.id, B::images_gradient(images, kernel, grad, window));
        }
    }
}

/// The graph node of `Cᵀ y + b`.
#[derive(Debug)]
struct ConvolveTranspose;

impl<B: ConvolutionOps> Backward<B, 3> for ConvolveTranspose {
    type State = Saved<B>;

    fn backward(self, ops: Ops<Saved<B>, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let Saved { images, kernel, window } = ops.state;
        let [of_images, of_kernel, of_bias] = ops.parents;
        if let Some(node) = of_bias {
            grads.register::<B>(node.id, bias_gradient::<B>(grad.clone()));
        }
        if let Some(node) = of_images {
            let [channels, ..] = kernel.shape().dims::<4>();
            let zeros =
                B::float_zeros(Shape::new([channels]), &kernel.device(), kernel.dtype().into());
            let gradient = B::convolve(grad.clone(), kernel.clone(), zeros, window);
            grads.register::<B>(node.id, gradient);
        }
        if let Some(node) = of_kernel {
            grads.register::<B>(node.id, B::kernel_gradient(grad, kernel, images, window));
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
