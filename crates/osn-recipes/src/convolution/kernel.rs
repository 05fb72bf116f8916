//! The three products of a convolution on the host: forward, transposed, and along its kernel.
//!
//! A chunk of images becomes a matrix of patches, `[in · kh · kw, images · positions]`, so that each is one
//! product with the kernel as `[out, in · kh · kw]`. Chunks are cut by the sizes alone and sums are taken
//! in one order, so that the bits do not depend on the number of threads.

use std::ops::Range;

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

use crate::convolution::ops::Map;

/// A product has at least so many columns, where there are enough images: fewer leave faer's kernels idle.
const COLUMNS: usize = 256;
/// The gradient of a kernel is the sum of so many parts at most.
const PARTS: usize = 8;

/// The sizes of one convolution.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    batch: usize,
    in_channels: usize,
    out_channels: usize,
    image: [usize; 2],
    kernel: [usize; 2],
    output: [usize; 2],
    map: Map,
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
    fn patch_len(&self) -> usize {
        self.in_channels * self.kernel[0] * self.kernel[1]
    }

    /// Images in a chunk.
    fn chunk(&self) -> usize {
        COLUMNS.div_ceil(self.positions())
    }

    /// Where a kernel's pixel at `offset` along an axis meets the image: a range of positions.
    fn meets(&self, axis: usize, offset: usize) -> Range<usize> {
        let (stride, padding) = (self.map.stride[axis], self.map.padding[axis]);
        let end = (self.image[axis] + padding).saturating_sub(offset).div_ceil(stride);
        let end = end.min(self.output[axis]);
        padding.saturating_sub(offset).div_ceil(stride).min(end)..end
    }
}

/// `C x + b`, `[batch, out, positions]`.
pub(super) fn convolve(
    images: &[f32],
    kernel: &[f32],
    bias: Option<&[f32]>,
    sizes: Sizes,
) -> Vec<f32> {
    let (positions, patch_len) = (sizes.positions(), sizes.patch_len());
    let mut output = vec![0.0; sizes.batch * sizes.output_len()];
    let kernel = MatRef::from_row_major_slice(kernel, sizes.out_channels, patch_len);
    let chunks = output.par_chunks_mut(sizes.chunk() * sizes.output_len());
    let chunks = chunks.zip(images.par_chunks(sizes.chunk() * sizes.image_len()));
    chunks.for_each_init(Scratch::default, |scratch, (output, images)| {
        let columns = images.len() / sizes.image_len() * positions;
        let (patches, products) = scratch.of(patch_len * columns, sizes.out_channels * columns);
        write_patches(images, patches, sizes);
        let patches = MatRef::from_row_major_slice(&*patches, patch_len, columns);
        let product = MatMut::from_row_major_slice_mut(&mut *products, sizes.out_channels, columns);
        matmul(product, Accum::Replace, kernel, patches, 1.0, Par::Seq);
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
    let (positions, patch_len) = (sizes.positions(), sizes.patch_len());
    let mut images = vec![0.0; sizes.batch * sizes.image_len()];
    let kernel = MatRef::from_row_major_slice(kernel, sizes.out_channels, patch_len);
    let chunks = images.par_chunks_mut(sizes.chunk() * sizes.image_len());
    let chunks = chunks.zip(output.par_chunks(sizes.chunk() * sizes.output_len()));
    chunks.for_each_init(Scratch::default, |scratch, (images, output)| {
        let columns = output.len() / sizes.output_len() * positions;
        let (patches, rows) = scratch.of(patch_len * columns, sizes.out_channels * columns);
        side_by_side(output, rows, sizes);
        let rows = MatRef::from_row_major_slice(&*rows, sizes.out_channels, columns);
        let product = MatMut::from_row_major_slice_mut(&mut *patches, patch_len, columns);
        matmul(product, Accum::Replace, kernel.transpose(), rows, 1.0, Par::Seq);
        if let Some(bias) = bias {
            let planes = images.chunks_mut(sizes.image[0] * sizes.image[1]);
            planes.zip(bias.iter().cycle()).for_each(|(plane, bias)| plane.fill(*bias));
        }
        add_patches(patches, images, sizes);
    });
    images
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
    let (positions, patch_len) = (sizes.positions(), sizes.patch_len());
    let mut gradient = vec![0.0; sizes.out_channels * patch_len];
    let mut scratch = Scratch::default();
    let images = images.chunks(sizes.chunk() * sizes.image_len());
    for (images, grad) in images.zip(grad.chunks(sizes.chunk() * sizes.output_len())) {
        let columns = grad.len() / sizes.output_len() * positions;
        let (patches, rows) = scratch.of(patch_len * columns, sizes.out_channels * columns);
        write_patches(images, patches, sizes);
        side_by_side(grad, rows, sizes);
        let rows = MatRef::from_row_major_slice(&*rows, sizes.out_channels, columns);
        let patches = MatRef::from_row_major_slice(&*patches, patch_len, columns);
        let sum = MatMut::from_row_major_slice_mut(&mut gradient, sizes.out_channels, patch_len);
        matmul(sum, Accum::Add, rows, patches.transpose(), 1.0, Par::Seq);
    }
    gradient
}

/// Two matrices that are written over from chunk to chunk.
#[derive(Default)]
struct Scratch {
    patches: Vec<f32>,
    rows: Vec<f32>,
}

impl Scratch {
    fn of(&mut self, patches: usize, rows: usize) -> (&mut [f32], &mut [f32]) {
        self.patches.resize(patches, 0.0);
        self.rows.resize(rows, 0.0);
        (&mut self.patches, &mut self.rows)
    }
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

/// The patches of some images as columns: a row for each channel and pixel of the kernel.
fn write_patches(images: &[f32], patches: &mut [f32], sizes: Sizes) {
    let (positions, stride) = (sizes.positions(), sizes.map.stride[1]);
    let rows = patches.chunks_mut(images.len() / sizes.image_len() * positions);
    for (overlap, row) in overlaps(sizes).zip(rows) {
        for (pixels, row) in images.chunks(sizes.image_len()).zip(row.chunks_mut(positions)) {
            if !overlap.is_whole(sizes) {
                row.fill(0.0);
            }
            overlap.each_line(sizes, |of_row, of_image| {
                gather(&mut row[of_row], &pixels[of_image], stride);
            });
        }
    }
}

/// The transpose of [`write_patches`]: adds each patch to the images where it lies.
fn add_patches(patches: &[f32], images: &mut [f32], sizes: Sizes) {
    let (positions, stride) = (sizes.positions(), sizes.map.stride[1]);
    let rows = patches.chunks(images.len() / sizes.image_len() * positions);
    for (overlap, row) in overlaps(sizes).zip(rows) {
        for (pixels, row) in images.chunks_mut(sizes.image_len()).zip(row.chunks(positions)) {
            overlap.each_line(sizes, |of_row, of_image| {
                scatter(&row[of_row], &mut pixels[of_image], stride);
            });
        }
    }
}

/// Takes every `stride`-th pixel of a line; the usual strides are constants of their loops.
fn gather(row: &mut [f32], line: &[f32], stride: usize) {
    match stride {
        1 => row.copy_from_slice(line),
        2 => row.iter_mut().zip(line.chunks(2)).for_each(|(to, from)| *to = from[0]),
        _ => row.iter_mut().zip(line.iter().step_by(stride)).for_each(|(to, from)| *to = *from),
    }
}

/// Adds to every `stride`-th pixel of a line.
fn scatter(row: &[f32], line: &mut [f32], stride: usize) {
    match stride {
        1 => line.iter_mut().zip(row).for_each(|(to, from)| *to += from),
        2 => line.chunks_mut(2).zip(row).for_each(|(to, from)| to[0] += from),
        _ => line.iter_mut().step_by(stride).zip(row).for_each(|(to, from)| *to += from),
    }
}

/// Where one pixel of the kernel meets the plane of one channel.
struct Overlap {
    /// Where the plane begins in an image.
    plane: usize,
    /// The kernel's pixel, by rows and by columns.
    offset: [usize; 2],
    /// The positions of the kernel at which that is on the plane.
    positions: [Range<usize>; 2],
}

impl Overlap {
    fn is_whole(&self, sizes: Sizes) -> bool {
        self.positions == sizes.output.map(|size| 0..size)
    }

    /// Calls with the positions of each line, and the pixels of the image from the first to the last of them.
    fn each_line(&self, sizes: Sizes, mut call: impl FnMut(Range<usize>, Range<usize>)) {
        let [stride, step] = sizes.map.stride;
        let [padding, left] = sizes.map.padding;
        let [lines, columns] = &self.positions;
        if columns.is_empty() {
            return;
        }
        let first = columns.start * step + self.offset[1] - left;
        let pixels = first..first + (columns.len() - 1) * step + 1;
        for line in lines.clone() {
            let positions = line * sizes.output[1];
            let above = (line * stride + self.offset[0] - padding) * sizes.image[1] + self.plane;
            call(
                positions + columns.start..positions + columns.end,
                above + pixels.start..above + pixels.end,
            );
        }
    }
}

/// Those of each row of the patches.
fn overlaps(sizes: Sizes) -> impl Iterator<Item = Overlap> {
    let [height, width] = sizes.kernel;
    (0..sizes.patch_len()).map(move |row| {
        let (channel, pixel) = (row / (height * width), row % (height * width));
        let offset = [pixel / width, pixel % width];
        let positions = [sizes.meets(0, offset[0]), sizes.meets(1, offset[1])];
        Overlap { plane: channel * sizes.image[0] * sizes.image[1], offset, positions }
    })
}
