//! The linear map of a convolution, its transpose, and the gradient of its σ, on any backend.
//!
//! Padding is written out, so that zeros and wrapped edges are two ways of making the same image,
//! and what follows is a convolution without padding.

use burn::backend::ops::ConvOptions;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::{Shape, Slice};
use osn_core::measure::convolution::{Boundary, Geometry};

/// `A x`, `[rows]`, of the kernel `[out, in/groups, k…]` (in any shape of as many elements).
pub(crate) fn apply<B: Backend>(
    kernel: FloatTensor<B>,
    x: FloatTensor<B>,
    geometry: &Geometry,
) -> FloatTensor<B> {
    let image = padded::<B>(x, geometry);
    let image = B::conv3d(image, in_three::<B>(kernel, geometry), None, options(geometry));
    B::float_reshape(image, Shape::new([geometry.rows()]))
}

/// `Aᵀ y`, `[cols]`.
pub(crate) fn apply_transpose<B: Backend>(
    kernel: FloatTensor<B>,
    y: FloatTensor<B>,
    geometry: &Geometry,
) -> FloatTensor<B> {
    let shape = image_shape(geometry.in_channels, geometry.padded());
    let like = B::float_zeros(shape, &y.device(), y.dtype().into());
    let kernel = in_three::<B>(kernel, geometry);
    let image = B::conv3d_x_backward(like, kernel, output::<B>(y, geometry), options(geometry));
    unpadded::<B>(image, geometry)
}

/// `∂⟨u, A v⟩/∂K`, `[out, in/groups, k₁, k₂, k₃]`: Σ over positions p of `u[o, p]·v̄[i, s·p + d·q]`.
pub(crate) fn kernel_gradient<B: Backend>(
    u: FloatTensor<B>,
    v: FloatTensor<B>,
    geometry: &Geometry,
) -> FloatTensor<B> {
    let like = B::float_zeros(kernel_shape(geometry), &u.device(), u.dtype().into());
    let (image, u) = (padded::<B>(v, geometry), output::<B>(u, geometry));
    B::conv3d_weight_backward(image, like, u, options(geometry))
}

fn options(geometry: &Geometry) -> ConvOptions<3> {
    ConvOptions::new(geometry.stride, [0; 3], geometry.dilation, geometry.groups)
}

fn in_three<B: Backend>(kernel: FloatTensor<B>, geometry: &Geometry) -> FloatTensor<B> {
    B::float_reshape(kernel, kernel_shape(geometry))
}

fn output<B: Backend>(y: FloatTensor<B>, geometry: &Geometry) -> FloatTensor<B> {
    B::float_reshape(y, image_shape(geometry.out_channels, geometry.output))
}

fn kernel_shape(geometry: &Geometry) -> Shape {
    let [k1, k2, k3] = geometry.kernel;
    Shape::new([geometry.out_channels, geometry.in_channels / geometry.groups, k1, k2, k3])
}

/// One image, `[1, channels, …positions]`.
fn image_shape(channels: usize, [d1, d2, d3]: [usize; 3]) -> Shape {
    Shape::new([1, channels, d1, d2, d3])
}

/// `x̄`: the image with its padding, zero or wrapped.
fn padded<B: Backend>(x: FloatTensor<B>, geometry: &Geometry) -> FloatTensor<B> {
    let mut image = B::float_reshape(x, image_shape(geometry.in_channels, geometry.input));
    for (axis, &(before, after)) in geometry.padding.iter().enumerate() {
        if before + after > 0 {
            image = match geometry.boundary {
                Boundary::Zero => with_zeros::<B>(image, axis + 2, before, after),
                Boundary::Circular => wrapped::<B>(image, axis + 2, before, after),
            };
        }
    }
    image
}

/// The transpose of [`padded`]: what lies in the padding is dropped, or added where it came from.
fn unpadded<B: Backend>(image: FloatTensor<B>, geometry: &Geometry) -> FloatTensor<B> {
    let mut image = image;
    for (axis, &(before, after)) in geometry.padding.iter().enumerate() {
        if before + after > 0 {
            let length = geometry.input[axis];
            image = match geometry.boundary {
                Boundary::Zero => narrow::<B>(image, axis + 2, before, length),
                Boundary::Circular => folded::<B>(image, axis + 2, before, length),
            };
        }
    }
    B::float_reshape(image, Shape::new([geometry.cols()]))
}

fn with_zeros<B: Backend>(
    image: FloatTensor<B>,
    axis: usize,
    before: usize,
    after: usize,
) -> FloatTensor<B> {
    let zeros = |length: usize| {
        let mut shape = image.shape();
        shape[axis] = length;
        (length > 0).then(|| B::float_zeros(shape, &image.device(), image.dtype().into()))
    };
    let (front, back) = (zeros(before), zeros(after));
    B::float_cat(front.into_iter().chain([image]).chain(back).collect(), axis)
}

/// Copies of the image side by side, cut to the padded size.
fn wrapped<B: Backend>(
    image: FloatTensor<B>,
    axis: usize,
    before: usize,
    after: usize,
) -> FloatTensor<B> {
    let length = image.shape()[axis];
    let in_front = before.div_ceil(length);
    let copies = in_front + 1 + after.div_ceil(length);
    let padded = before + length + after;
    let tiled = B::float_repeat_dim(image, axis, copies);
    narrow::<B>(tiled, axis, in_front * length - before, padded)
}

/// The transpose of [`wrapped`]: copies laid on each other and added.
fn folded<B: Backend>(
    image: FloatTensor<B>,
    axis: usize,
    before: usize,
    length: usize,
) -> FloatTensor<B> {
    let front = before.div_ceil(length) * length - before;
    let back = (length - (front + image.shape()[axis]) % length) % length;
    let whole = with_zeros::<B>(image, axis, front, back);
    let copies = whole.shape()[axis] / length;
    let mut sum = narrow::<B>(whole.clone(), axis, 0, length);
    for copy in 1..copies {
        sum = B::float_add(sum, narrow::<B>(whole.clone(), axis, copy * length, length));
    }
    sum
}

fn narrow<B: Backend>(
    tensor: FloatTensor<B>,
    axis: usize,
    start: usize,
    length: usize,
) -> FloatTensor<B> {
    let mut slices = vec![Slice::full(); tensor.rank()];
    slices[axis] = Slice::from(start..start + length);
    B::float_slice(tensor, &slices)
}
