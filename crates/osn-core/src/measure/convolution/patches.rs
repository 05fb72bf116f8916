//! What each tap of a kernel sees of an image: where the entries of a convolution's matrix come from.

use std::ops::Range;

use crate::measure::convolution::geometry::{Boundary, Geometry};

/// The most rows of patches that are held at a time.
const BAND_ROWS: usize = 256;

/// About how many numbers a row of patches holds, and the most that a band of them does.
const BAND_COLUMNS: usize = 1024;
const BAND_NUMBERS: usize = BAND_ROWS * BAND_COLUMNS;

/// The images of one group as its taps see them: a matrix `[in/groups·taps, positions of A x]` with
///
/// ```text
/// patches[(i, q), p] = x̄[i, stride·p + dilation·q]
/// ```
///
/// so that A x = K·patches, with the kernel K as `[out/groups, in/groups·taps]`. The matrix is never
/// there as a whole: [`Patches::bands`] cuts it into pieces of a few megabytes.
#[derive(Debug)]
pub(crate) struct Patches {
    geometry: Geometry,
    /// For each tap of the last dimension, what it copies within one line.
    runs: Vec<Vec<Run>>,
}

/// A piece of the matrix of patches of one group.
#[derive(Debug, Clone)]
pub(crate) struct Band {
    pub(crate) group: usize,
    /// Rows of the matrix, (i, q) flattened.
    pub(crate) rows: Range<usize>,
    /// Lines of A x along its last dimension.
    lines: Range<usize>,
    /// Positions of A x: the columns of the matrix.
    pub(crate) positions: Range<usize>,
}

/// Positions that lie on a straight line both in A x and in x: `output`, `output` + 1, … and
/// `input`, `input` + stride, ….
#[derive(Debug, Clone, Copy)]
struct Run {
    output: usize,
    input: usize,
    length: usize,
}

impl Patches {
    pub(crate) fn new(geometry: Geometry) -> Self {
        Self { geometry, runs: (0..geometry.kernel[2]).map(|tap| runs(&geometry, tap)).collect() }
    }

    /// Cuts the patches of all groups into pieces of at most about [`BAND_NUMBERS`].
    pub(crate) fn bands(&self) -> impl Iterator<Item = Band> {
        let line = self.geometry.output[2];
        let n_lines = self.geometry.output[0] * self.geometry.output[1];
        let n_rows = self.geometry.in_per_group() * self.geometry.taps();
        let lines_at_once = (BAND_COLUMNS / line).clamp(1, n_lines);
        let rows_at_once = (BAND_NUMBERS / (lines_at_once * line)).clamp(1, BAND_ROWS.min(n_rows));
        let rows = move || pieces(n_rows, rows_at_once);
        let lines = move || pieces(n_lines, lines_at_once);
        let of_group = move |group| {
            rows().flat_map(move |rows| lines().map(move |lines| (group, rows.clone(), lines)))
        };
        (0..self.geometry.groups).flat_map(of_group).map(move |(group, rows, lines)| {
            let positions = lines.start * line..lines.end * line;
            Band { group, rows, lines, positions }
        })
    }

    /// Overwrites `patches` with a band of what the taps see of `x`, the channels of one group.
    pub(crate) fn gather(&self, band: &Band, x: &[f64], patches: &mut Vec<f64>) {
        let stride = self.geometry.stride[2];
        patches.clear();
        patches.resize(band.rows.len() * band.positions.len(), 0.0);
        self.for_each_run(band, |Run { output, input, length }| {
            let seen = &mut patches[output..output + length];
            if stride == 1 {
                seen.copy_from_slice(&x[input..input + length]);
            } else {
                seen.iter_mut()
                    .zip(x[input..].iter().step_by(stride))
                    .for_each(|(to, from)| *to = *from);
            }
        });
    }

    /// Adds a band of `patches` to where the taps saw it in `x`: the transpose of
    /// [`Patches::gather`].
    pub(crate) fn scatter(&self, band: &Band, patches: &[f64], x: &mut [f64]) {
        let stride = self.geometry.stride[2];
        self.for_each_run(band, |Run { output, input, length }| {
            let seen = &patches[output..output + length];
            if stride == 1 {
                x[input..input + length].iter_mut().zip(seen).for_each(|(to, from)| *to += from);
            } else {
                x[input..].iter_mut().step_by(stride).zip(seen).for_each(|(to, from)| *to += from);
            }
        });
    }

    /// Writes the matrix of one group out, `[out/groups·positions, in/groups·positions]`, given that
    /// group's kernel.
    ///
    /// Entries that several taps meet in, as they may around a circle, are summed.
    #[cfg(feature = "bounds")]
    pub(crate) fn written_out(&self, kernel: &[f64]) -> Vec<f64> {
        let positions: usize = self.geometry.output.iter().product();
        let columns = self.geometry.cols() / self.geometry.groups;
        let (depth, stride) = (self.geometry.depth(), self.geometry.stride[2]);
        let mut matrix = vec![0.0; self.geometry.out_per_group() * positions * columns];
        let lines = 0..positions / self.geometry.output[2];
        let whole = Band { group: 0, rows: 0..depth, lines, positions: 0..positions };
        let of_outputs = matrix.chunks_exact_mut(positions * columns);
        for (kernel, matrix) in kernel.chunks_exact(depth).zip(of_outputs) {
            self.for_each_run(&whole, |Run { output, input, length }| {
                let (tap, position) = (output / positions, output % positions);
                for step in 0..length {
                    matrix[(position + step) * columns + input + step * stride] += kernel[tap];
                }
            });
        }
        matrix
    }

    /// Visits what a band copies, as runs from the group's x to the band's numbers.
    fn for_each_run(&self, band: &Band, mut visit: impl FnMut(Run)) {
        let (geometry, line_length) = (&self.geometry, self.geometry.output[2]);
        let image: usize = geometry.input.iter().product();
        let mut line_start = 0;
        for row in band.rows.clone() {
            let (channel, tap) = (row / geometry.taps(), row % geometry.taps());
            let runs = &self.runs[tap % geometry.kernel[2]];
            for line in band.lines.clone() {
                if let Some(input_line) = self.line_seen(tap, line) {
                    let input_start = channel * image + input_line * geometry.input[2];
                    for run in runs {
                        visit(run.shifted_by(line_start, input_start));
                    }
                }
                line_start += line_length;
            }
        }
    }

    /// Returns the line of an image that `tap` sees from `line` of A x; `None` in the padding.
    fn line_seen(&self, tap: usize, line: usize) -> Option<usize> {
        let geometry = &self.geometry;
        let tap = tap / geometry.kernel[2];
        let first = source(geometry, 0, tap / geometry.kernel[1], line / geometry.output[1])?;
        let second = source(geometry, 1, tap % geometry.kernel[1], line % geometry.output[1])?;
        Some(first * geometry.input[1] + second)
    }
}

impl Run {
    fn shifted_by(self, output: usize, input: usize) -> Self {
        Self { output: self.output + output, input: self.input + input, ..self }
    }
}

/// Returns where along `axis` a tap sees x from `position` of A x; `None` in zero padding.
fn source(geometry: &Geometry, axis: usize, tap: usize, position: usize) -> Option<usize> {
    let (size, before) = (geometry.input[axis], geometry.padding[axis].0);
    let padded = geometry.stride[axis] * position + geometry.dilation[axis] * tap;
    match geometry.boundary {
        Boundary::Zero => padded.checked_sub(before).filter(|&input| input < size),
        Boundary::Circular => Some((padded + (size - before % size) % size) % size),
    }
}

/// Returns what a tap of the last dimension copies within a line: one run between zeros, and one more
/// each time that it wraps around.
fn runs(geometry: &Geometry, tap: usize) -> Vec<Run> {
    let (size, stride, positions) = (geometry.input[2], geometry.stride[2], geometry.output[2]);
    let mut runs = Vec::new();
    let mut output = first_position_seen(geometry, tap);
    while output < positions {
        let Some(input) = source(geometry, 2, tap, output) else { break };
        let length = (size - input).div_ceil(stride).min(positions - output);
        runs.push(Run { output, input, length });
        output += length;
    }
    runs
}

/// Returns the first position of A x from which a tap of the last dimension does not see the padding
/// before x; beyond the last one if there is none.
fn first_position_seen(geometry: &Geometry, tap: usize) -> usize {
    match geometry.boundary {
        Boundary::Zero => {
            let reached = geometry.dilation[2] * tap;
            geometry.padding[2].0.saturating_sub(reached).div_ceil(geometry.stride[2])
        }
        Boundary::Circular => 0,
    }
}

/// Cuts 0..`count` into ranges of `length`, of which the last may be shorter.
pub(crate) fn pieces(count: usize, length: usize) -> impl Iterator<Item = Range<usize>> {
    (0..count).step_by(length).map(move |start| start..(start + length).min(count))
}
