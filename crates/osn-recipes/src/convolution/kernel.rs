//! The three products of a convolution on the host: forward, transposed, and along its kernel.
//!
//! A chunk of images becomes a matrix of patches, `[in · kh · kw, images · positions]`, so that each is one
//! product with the kernel as `[out, in · kh · kw]`; a transposed one is several, one for each phase. Chunks are
//! cut by the sizes alone and sums are taken in one order, so that the bits do not depend on the number of threads.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

use crate::convolution::ops::Map;
use crate::convolution::patches::{Padded, Window};
use crate::convolution::phases::Phase;

/// A product has at least so many columns, where there are enough images: fewer leave faer's kernels idle.
const COLUMNS: usize = 256;
/// The gradient of a kernel is the sum of so many parts at most.
const PARTS: usize = 8;

/// The sizes of one convolution.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    batch: usize,
    pub(super) in_channels: usize,
    pub(super) out_channels: usize,
    pub(super) image: [usize; 2],
    pub(super) kernel: [usize; 2],
    pub(super) output: [usize; 2],
    pub(super) map: Map,
}

impl Sizes {
    /// Those of a map of `images`, `[batch, channels, height, width]`. The images of a transposed one are the
    /// output of the convolution, whose own images are then as small as can be.
    pub(super) fn of(
        [batch, _, h, w]: [usize; 4],
        [out_channels, in_channels, kh, kw]: [usize; 4],
        map: Map,
    ) -> Self {
        let (here, kernel) = ([h, w], [kh, kw]);
        let there = [0, 1].map(|axis| {
            let (size, pixels) = (here[axis], kernel[axis]);
            let (stride, padding) = (map.stride[axis], 2 * map.padding[axis]);
            if map.is_transposed {
                (size - 1) * stride + pixels - padding
            } else {
                (size + padding - pixels) / stride + 1
            }
        });
        let (image, output) = if map.is_transposed { (there, here) } else { (here, there) };
        Self { batch, in_channels, out_channels, image, kernel, output, map }
    }

    pub(super) fn image_shape(&self) -> [usize; 4] {
        [self.batch, self.in_channels, self.image[0], self.image[1]]
    }

    pub(super) fn output_shape(&self) -> [usize; 4] {
        [self.batch, self.out_channels, self.output[0], self.output[1]]
    }

    pub(super) fn kernel_shape(&self) -> [usize; 4] {
        [self.out_channels, self.in_channels, self.kernel[0], self.kernel[1]]
    }

    /// Numbers in one image.
    fn image_len(&self) -> usize {
        self.in_channels * self.image[0] * self.image[1]
    }

    /// Positions of the kernel on one image.
    fn positions(&self) -> usize {
        self.output[0] * self.output[1]
    }

    /// Numbers in one output.
    fn output_len(&self) -> usize {
        self.out_channels * self.positions()
    }

    /// Numbers in one patch.
    pub(super) fn patch_len(&self) -> usize {
        self.in_channels * self.kernel[0] * self.kernel[1]
    }

    /// Images in a chunk: a power of two of chunks, which threads can share equally.
    fn chunk(&self) -> usize {
        let chunks = (self.batch * self.positions() / COLUMNS).max(1);
        self.batch.div_ceil(1 << chunks.ilog2()).max(1)
    }
}

/// `C x + b`, `[batch, out, positions]`.
pub(super) fn convolve(
    images: &[f32],
    kernel: &[f32],
    bias: Option<&[f32]>,
    sizes: Sizes,
) -> Vec<f32> {
    let mut output = vec![0.0; sizes.batch * sizes.output_len()];
    let kernel = MatRef::from_row_major_slice(kernel, sizes.out_channels, sizes.patch_len());
    let padded = Padded::images(sizes);
    let window = Window::of_convolution(sizes, &padded);
    let chunks = output.par_chunks_mut(sizes.chunk() * sizes.output_len());
    let chunks = chunks.zip(images.par_chunks(sizes.chunk() * sizes.image_len()));
    chunks.for_each_init(Scratch::default, |scratch, (output, images)| {
        padded.write(images, &mut scratch.padded);
        let patches = window.patches(&scratch.padded, &padded, &mut scratch.patches);
        let products = sized(&mut scratch.products, output.len());
        multiply(products, kernel, patches);
        one_by_one(products, output, bias, sizes);
    });
    output
}

/// `Cᵀ y + b`, `[batch, in, height, width]`.
pub(super) fn transpose(
    output: &[f32],
    kernel: &[f32],
    bias: Option<&[f32]>,
    sizes: Sizes,
) -> Vec<f32> {
    let mut images = vec![0.0; sizes.batch * sizes.image_len()];
    let padded = Padded::outputs(sizes);
    let phases = Phase::all(kernel, sizes, &padded);
    let chunks = images.par_chunks_mut(sizes.chunk() * sizes.image_len());
    let chunks = chunks.zip(output.par_chunks(sizes.chunk() * sizes.output_len()));
    chunks.for_each_init(Scratch::default, |scratch, (images, output)| {
        // What no pixel of the kernel meets is the bias.
        if let Some(bias) = bias {
            let planes = images.chunks_mut(sizes.image[0] * sizes.image[1]);
            planes.zip(bias.iter().cycle()).for_each(|(plane, bias)| plane.fill(*bias));
        }
        padded.write(output, &mut scratch.padded);
        for phase in &phases {
            let columns = phase.window.columns(output.len() / sizes.output_len());
            let patches = phase.window.patches(&scratch.padded, &padded, &mut scratch.patches);
            let products = sized(&mut scratch.products, sizes.in_channels * columns);
            multiply(products, phase.kernel(), patches);
            phase.write(products, bias, images);
        }
    });
    images
}

/// `kernel · patches`
fn multiply(products: &mut [f32], kernel: MatRef<'_, f32>, patches: MatRef<'_, f32>) {
    let product = MatMut::from_row_major_slice_mut(products, kernel.nrows(), patches.ncols());
    matmul(product, Accum::Replace, kernel, patches, 1.0, Par::Seq);
}

/// `Σ g pᵀ` over all patches `p`, `[out, in, kh, kw]`.
pub(super) fn kernel_gradient(images: &[f32], grad: &[f32], sizes: Sizes) -> Vec<f32> {
    let part = sizes.batch.div_ceil(PARTS).max(1);
    let images = images.par_chunks(part * sizes.image_len());
    let parts = images.zip(grad.par_chunks(part * sizes.output_len()));
    let parts: Vec<_> = parts.map(|(images, grad)| part_of_gradient(images, grad, sizes)).collect();
    let sum = parts.into_iter().reduce(|mut sum, part| {
        sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
        sum
    });
    sum.unwrap_or_else(|| vec![0.0; sizes.out_channels * sizes.patch_len()])
}

/// The sum over some images, chunk after chunk.
fn part_of_gradient(images: &[f32], grad: &[f32], sizes: Sizes) -> Vec<f32> {
    let patch_len = sizes.patch_len();
    let mut gradient = vec![0.0; sizes.out_channels * patch_len];
    let padded = Padded::images(sizes);
    let window = Window::of_convolution(sizes, &padded);
    let mut scratch = Scratch::default();
    let images = images.chunks(sizes.chunk() * sizes.image_len());
    for (images, grad) in images.zip(grad.chunks(sizes.chunk() * sizes.output_len())) {
        padded.write(images, &mut scratch.padded);
        let patches = window.patches(&scratch.padded, &padded, &mut scratch.patches);
        let rows = sized(&mut scratch.products, grad.len());
        side_by_side(grad, rows, sizes);
        let rows = MatRef::from_row_major_slice(&*rows, sizes.out_channels, patches.ncols());
        let sum = MatMut::from_row_major_slice_mut(&mut gradient, sizes.out_channels, patch_len);
        matmul(sum, Accum::Add, rows, patches.transpose(), 1.0, Par::Seq);
    }
    gradient
}

/// What is written over from chunk to chunk.
#[derive(Default)]
struct Scratch {
    padded: Vec<f32>,
    patches: Vec<f32>,
    products: Vec<f32>,
}

fn sized(values: &mut Vec<f32>, len: usize) -> &mut [f32] {
    values.resize(len, 0.0);
    values
}

/// `[channels, images · positions]` to `[images, channels, positions]`, plus the bias of each channel.
fn one_by_one(rows: &[f32], output: &mut [f32], bias: Option<&[f32]>, sizes: Sizes) {
    let (positions, channels) = (sizes.positions(), sizes.out_channels);
    let columns = output.len() / channels;
    for (index, row) in output.chunks_mut(positions).enumerate() {
        let (image, channel) = (index / channels, index % channels);
        let bias = bias.map_or(0.0, |bias| bias[channel]);
        let from = &rows[channel * columns + image * positions..][..positions];
        row.iter_mut().zip(from).for_each(|(to, from)| *to = from + bias);
    }
}

/// `[images, channels, positions]` to `[channels, images · positions]`.
fn side_by_side(output: &[f32], rows: &mut [f32], sizes: Sizes) {
    let (positions, channels) = (sizes.positions(), sizes.out_channels);
    let columns = output.len() / channels;
    for (index, row) in output.chunks(positions).enumerate() {
        let (image, channel) = (index / channels, index % channels);
        rows[channel * columns + image * positions..][..positions].copy_from_slice(row);
    }
}
