//! A transposed convolution of stride `s` as `s²` convolutions of stride 1.
//!
//! Pixels of the image that are a stride apart meet the same pixels of the kernel, so that each phase is gathered and
//! nothing is added up in place.

use faer::MatRef;

use crate::convolution::kernel::Sizes;
use crate::convolution::patches::{Padded, Window};

/// The pixels of images that are a stride apart by rows and by columns.
#[derive(Debug)]
pub(super) struct Phase {
    pub(super) window: Window,
    /// The pixels of the kernel that meet them, `[in, out · pixels]`.
    kernel: Vec<f32>,
    /// The first of them in an image.
    corner: [usize; 2],
    sizes: Sizes,
}

impl Phase {
    /// All that hold pixels and meet a pixel of the kernel.
    pub(super) fn all(kernel: &[f32], sizes: Sizes, padded: &Padded) -> Vec<Self> {
        let [rows, columns] = sizes.map.stride;
        let remainders = (0..rows * columns).map(|phase| [phase / columns, phase % columns]);
        remainders.filter_map(|remainder| Self::new(kernel, remainder, sizes, padded)).collect()
    }

    /// Those whose place behind the padding leaves a remainder.
    fn new(kernel: &[f32], remainder: [usize; 2], sizes: Sizes, padded: &Padded) -> Option<Self> {
        let (stride, padding) = (sizes.map.stride, sizes.map.padding);
        let before = |pixels: usize, axis: usize| {
            pixels.saturating_sub(remainder[axis]).div_ceil(stride[axis])
        };
        let first = [0, 1].map(|axis| before(padding[axis], axis));
        let end = [0, 1].map(|axis| before(padding[axis] + sizes.image[axis], axis));
        let positions = [0, 1].map(|axis| end[axis] - first[axis]);
        let [pixel_rows, pixel_columns] = [0, 1].map(|axis| before(sizes.kernel[axis], axis));
        let back = (0..pixel_rows * pixel_columns)
            .map(|pixel| [pixel / pixel_columns, pixel % pixel_columns]);
        let pixels: Vec<_> = back
            .clone()
            .map(|back| {
                let [row, column] = [0, 1].map(|axis| remainder[axis] + back[axis] * stride[axis]);
                row * sizes.kernel[1] + column
            })
            .collect();
        let corner =
            [0, 1].map(|axis| first[axis] * stride[axis] + remainder[axis] - padding[axis]);
        let window = Window::of_part(positions, first, back, padded);
        let kernel = part(kernel, &pixels, sizes);
        (window.columns(1) > 0 && !pixels.is_empty()).then_some(Self {
            window,
            kernel,
            corner,
            sizes,
        })
    }

    /// `[in, out · pixels]`
    pub(super) fn kernel(&self) -> MatRef<'_, f32> {
        let rows = self.sizes.in_channels;
        MatRef::from_row_major_slice(&self.kernel, rows, self.kernel.len() / rows)
    }

    /// Writes products `[in, images · positions]` plus the bias of each channel to the pixels of the images.
    pub(super) fn write(&self, products: &[f32], bias: Option<&[f32]>, images: &mut [f32]) {
        let Sizes { in_channels, image: [height, width], map, .. } = self.sizes;
        let [lines, line_len] = self.window.positions();
        let columns = products.len() / in_channels;
        for (index, plane) in images.chunks_mut(height * width).enumerate() {
            let (image, channel) = (index / in_channels, index % in_channels);
            let bias = bias.map_or(0.0, |bias| bias[channel]);
            let at = channel * columns + image * lines * line_len;
            let rows = plane.chunks_mut(width).skip(self.corner[0]).step_by(map.stride[0]);
            for (row, line) in rows.zip(products[at..][..lines * line_len].chunks(line_len)) {
                scatter(&mut row[self.corner[1]..], line, bias, map.stride[1]);
            }
        }
    }
}

/// The pixels of a kernel `[out, in, height · width]` as `[in, out · pixels]`.
fn part(kernel: &[f32], pixels: &[usize], sizes: Sizes) -> Vec<f32> {
    let all = sizes.kernel[0] * sizes.kernel[1];
    let of_channel = |channel| {
        let outs = kernel.chunks(sizes.patch_len()).map(move |out| &out[channel * all..][..all]);
        outs.flat_map(|plane| pixels.iter().map(|pixel| plane[*pixel]))
    };
    (0..sizes.in_channels).flat_map(of_channel).collect()
}

/// Writes to every `stride`-th number of a row; the usual strides are constants of their loops.
fn scatter(row: &mut [f32], line: &[f32], bias: f32, stride: usize) {
    match stride {
        1 => row.iter_mut().zip(line).for_each(|(to, from)| *to = from + bias),
        2 => row.chunks_mut(2).zip(line).for_each(|(to, from)| to[0] = from + bias),
        _ => row.iter_mut().step_by(stride).zip(line).for_each(|(to, from)| *to = from + bias),
    }
}
