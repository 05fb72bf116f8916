//! Patches of images as the columns of a matrix.
//!
//! Images are first copied with zeros around them, columns that are a stride apart side by side, so that what a
//! pixel of the kernel meets in one line of positions is a piece of a row. Pieces are copied in blocks of constant
//! length, which the compiler turns into a few moves.

use faer::MatRef;

use crate::convolution::kernel::Sizes;

/// The longest block. Pieces are read and written up to so many numbers too far.
const BLOCK: usize = 16;

/// How images lie with zeros around them: `[images, channels, rows, stride, columns / stride]`.
#[derive(Debug)]
pub(super) struct Padded {
    channels: usize,
    /// Rows and columns of the images.
    image: [usize; 2],
    /// Rows and columns of zeros before them.
    before: [usize; 2],
    /// Columns from one to the next beside it.
    stride: usize,
    rows: usize,
    row_len: usize,
    runs: Vec<Run>,
}

/// Columns of an image that are a stride apart.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// The first of them in a row of the image.
    from: usize,
    /// Where it goes in a row with zeros.
    to: usize,
    len: usize,
}

impl Padded {
    /// Those that a convolution reads.
    pub(super) fn images(sizes: Sizes) -> Self {
        let Sizes { kernel, output, map, .. } = sizes;
        let rows = (output[0] - 1) * map.stride[0] + kernel[0];
        let pitch = output[1] + (kernel[1] - 1) / map.stride[1];
        let stride = [map.stride[1], map.stride[1].min(kernel[1])];
        Self::new([sizes.in_channels, rows, pitch], sizes.image, map.padding, stride)
    }

    /// Those that a transposed convolution reads.
    pub(super) fn outputs(sizes: Sizes) -> Self {
        let Sizes { kernel, image, map, .. } = sizes;
        let before = [0, 1].map(|axis| (kernel[axis] - 1) / map.stride[axis]);
        let last = |axis: usize| (image[axis] + map.padding[axis] - 1) / map.stride[axis];
        let [rows, pitch] = [0, 1].map(|axis| before[axis] + last(axis) + 1);
        Self::new([sizes.out_channels, rows, pitch], sizes.output, before, [1, 1])
    }

    /// Of the stride's remainders, only so many are kept as the kernel has columns.
    fn new(
        [channels, rows, pitch]: [usize; 3],
        image: [usize; 2],
        before: [usize; 2],
        [stride, remainders]: [usize; 2],
    ) -> Self {
        let run = |remainder: usize| {
            let from = (remainder + before[1] * (stride - 1)) % stride;
            let start = (from + before[1]) / stride;
            let columns = image[1].saturating_sub(from).div_ceil(stride);
            let len = columns.min(pitch.saturating_sub(start));
            Run { from, to: remainder * pitch + start, len }
        };
        let runs = (0..remainders).map(run).filter(|run| run.len > 0).collect();
        Self { channels, image, before, stride, rows, row_len: remainders * pitch, runs }
    }

    /// Numbers of one channel.
    fn plane_len(&self) -> usize {
        self.rows * self.row_len
    }

    /// Copies images to `to`, whose zeros stay as they are from call to call.
    pub(super) fn write(&self, images: &[f32], to: &mut Vec<f32>) {
        let planes = images.len() / (self.image[0] * self.image[1]);
        let len = planes * self.plane_len() + BLOCK;
        if to.len() != len {
            to.clear();
            to.resize(len, 0.0);
        }
        match self.runs.first().map_or(0, |run| run.len) {
            0..4 => self.write_by::<1>(images, to),
            4..8 => self.write_by::<4>(images, to),
            8..BLOCK => self.write_by::<8>(images, to),
            _ => self.write_by::<BLOCK>(images, to),
        }
    }

    fn write_by<const B: usize>(&self, images: &[f32], to: &mut [f32]) {
        let [height, width] = self.image;
        let rows = height.min(self.rows.saturating_sub(self.before[0]));
        for (plane, image) in (0..images.len()).step_by(height * width).enumerate() {
            let first = plane * self.plane_len() + self.before[0] * self.row_len;
            for row in 0..rows {
                for run in &self.runs {
                    let to = &mut to[first + row * self.row_len + run.to..][..run.len];
                    gather::<B>(to, &images[image + row * width + run.from..], self.stride);
                }
            }
        }
    }
}

/// Takes every `stride`-th number of a line; the usual strides are constants of their loops.
fn gather<const B: usize>(to: &mut [f32], line: &[f32], stride: usize) {
    match stride {
        1 => copy::<B>(to, &line[..to.len()]),
        2 => {
            let (pairs, last) = line.as_chunks::<2>();
            to.iter_mut().zip(pairs).for_each(|(to, pair)| *to = pair[0]);
            if let (Some(to), Some(from)) = (to.get_mut(pairs.len()), last.first()) {
                *to = *from;
            }
        }
        _ => to.iter_mut().zip(line.iter().step_by(stride)).for_each(|(to, from)| *to = *from),
    }
}

/// Copies a line of at least `B` numbers in blocks; the last one ends with the line.
fn copy<const B: usize>(to: &mut [f32], from: &[f32]) {
    let last = to.len() - B;
    for at in (0..last).step_by(B).chain([last]) {
        to[at..][..B].copy_from_slice(&from[at..][..B]);
    }
}

/// What some pixels of a kernel meet at some of its positions.
#[derive(Debug)]
pub(super) struct Window {
    /// Lines of positions, and positions in a line.
    positions: [usize; 2],
    /// Where each pixel meets the first position in a channel with zeros.
    starts: Vec<usize>,
    /// From one line to the next there.
    step: usize,
}

impl Window {
    /// All pixels of a convolution's kernel, at all positions.
    pub(super) fn of_convolution(sizes: Sizes, padded: &Padded) -> Self {
        let Sizes { kernel: [height, width], output, map, .. } = sizes;
        let [rows, columns] = map.stride;
        let pitch = padded.row_len / columns.min(width);
        let start = |pixel: usize| {
            let (row, column) = (pixel / width, pixel % width);
            row * padded.row_len + column % columns * pitch + column / columns
        };
        let starts = (0..height * width).map(start).collect();
        Self { positions: output, starts, step: rows * padded.row_len }
    }

    /// Pixels of a kernel; each lies `back` rows and columns before the last one, the positions begin at
    /// `first`.
    pub(super) fn of_part(
        positions: [usize; 2],
        first: [usize; 2],
        back: impl Iterator<Item = [usize; 2]>,
        padded: &Padded,
    ) -> Self {
        let start = |back: [usize; 2]| {
            let [row, column] = [0, 1].map(|axis| first[axis] + padded.before[axis] - back[axis]);
            row * padded.row_len + column
        };
        Self { positions, starts: back.map(start).collect(), step: padded.row_len }
    }

    /// Lines of positions, and positions in a line.
    pub(super) fn positions(&self) -> [usize; 2] {
        self.positions
    }

    /// The positions on `images` images.
    pub(super) fn columns(&self, images: usize) -> usize {
        images * self.positions[0] * self.positions[1]
    }

    /// The patches `[channels · pixels, images · positions]` of what [`Padded::write`] has written.
    pub(super) fn patches<'a>(
        &self,
        from: &[f32],
        padded: &Padded,
        to: &'a mut Vec<f32>,
    ) -> MatRef<'a, f32> {
        let images = (from.len() - BLOCK) / (padded.channels * padded.plane_len());
        let (rows, columns) = (padded.channels * self.starts.len(), self.columns(images));
        to.resize(rows * columns + BLOCK, 0.0);
        match self.positions[1] {
            0..=4 => self.write_by::<4>(from, padded, images, to),
            5..=8 => self.write_by::<8>(from, padded, images, to),
            _ => self.write_by::<BLOCK>(from, padded, images, to),
        }
        MatRef::from_row_major_slice(&to[..rows * columns], rows, columns)
    }

    /// What goes too far, the next line overwrites.
    fn write_by<const B: usize>(
        &self,
        from: &[f32],
        padded: &Padded,
        images: usize,
        to: &mut [f32],
    ) {
        let ([lines, width], plane_len) = (self.positions, padded.plane_len());
        let mut at = 0;
        for channel in 0..padded.channels {
            for start in &self.starts {
                for image in 0..images {
                    let mut line = (image * padded.channels + channel) * plane_len + start;
                    for _ in 0..lines {
                        for block in (0..width).step_by(B) {
                            to[at + block..][..B].copy_from_slice(&from[line + block..][..B]);
                        }
                        (at, line) = (at + width, line + self.step);
                    }
                }
            }
        }
    }
}
