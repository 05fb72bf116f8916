//! The Gram matrix of a weight, formed panel by panel.

use std::ops::Range;

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

use crate::measure::convolution::patches::pieces;
use crate::measure::error::EstimateError;
use crate::measure::operator::Layout;
use crate::measure::vector::{add_scaled, dot, power_of_two_scale};

/// How many rows of a weight are multiplied at a time.
///
/// A panel of this many rows and 384 columns fits the second-level cache of a core.
const PANEL_ROWS: usize = 256;

/// The block columns whose products with a vector are summed together.
///
/// It is fixed, so that sums come out the same whatever the number of threads.
const N_GROUPS: usize = 8;

/// Below this side, a product with a vector is not worth a second thread.
const PARALLEL_SIDE: usize = 1024;

/// G = `AᵀA` of a matrix A of which only some rows are in memory at a time.
///
/// Everything is in `f64`. A is first multiplied by the power of two that brings its largest entry
/// near 1, so that no square overflows or vanishes. Only the lower triangle is kept, in block columns:
/// about 4·side² bytes.
///
/// The results are the same bits for any number of threads.
#[derive(Debug, Clone)]
pub struct GramMatrix {
    side: usize,
    n_rows: usize,
    scale: f64,
    is_zero: bool,
    pub(crate) columns: Vec<BlockColumn>,
    panel: Vec<f64>,
}

/// The columns `start..start + width` of a symmetric matrix, from the row `start` down.
#[derive(Debug, Clone)]
pub(crate) struct BlockColumn {
    pub(crate) start: usize,
    pub(crate) width: usize,
    pub(crate) height: usize,
    /// Column-major, `[height, width]`; what is above the diagonal has no meaning.
    pub(crate) entries: Vec<f64>,
}

impl GramMatrix {
    /// Starts with no rows of a matrix of `side` columns, whose largest magnitude is `largest`.
    ///
    /// # Panics
    ///
    /// If `side` is 0.
    pub fn new(side: usize, largest: f64) -> Self {
        assert!(side > 0, "a Gram matrix needs at least one column");
        let width = block_width(side);
        let starts = (0..side).step_by(width);
        let columns = starts.map(|start| BlockColumn::zero(start, width.min(side - start), side));
        Self {
            side,
            n_rows: 0,
            scale: power_of_two_scale(largest),
            is_zero: true,
            columns: columns.collect(),
            panel: vec![],
        }
    }

    /// Forms the Gram matrix of the smaller side of a weight: A Aᵀ if rows < cols, else `AᵀA`.
    pub(crate) fn of<T: Into<f64> + Copy + Sync>(
        entries: &[T],
        layout: Layout,
        largest: f64,
    ) -> Self {
        let of_rows = layout.rows < layout.cols();
        let (layout, of_rows) = match layout.transposed() {
            Some(transpose) => (transpose, !of_rows),
            None => (layout, of_rows),
        };
        let (rows, cols) = (layout.rows, layout.cols());
        let (side, length) = if of_rows { (rows, cols) } else { (cols, rows) };
        let mut gram = Self::new(side, largest);
        for part in pieces(length, PANEL_ROWS) {
            let n_rows = part.len();
            if of_rows {
                gram.fill_panel(entries, layout, 0..rows, part);
                gram.add_panel(n_rows, Orientation::Columns);
            } else {
                gram.fill_panel(entries, layout, part, 0..cols);
                gram.add_panel(n_rows, Orientation::Rows);
            }
        }
        gram
    }

    /// Adds rows of A, any number of them, `[any, side]`, row-major: G += `PᵀP`.
    ///
    /// # Panics
    ///
    /// If `rows` is not a whole number of rows.
    pub fn add_rows<T: Into<f64> + Copy + Sync>(&mut self, rows: &[T]) {
        let side = self.side;
        assert!(rows.len().is_multiple_of(side), "{} is no number of rows of {side}", rows.len());
        for part in rows.chunks(PANEL_ROWS * side) {
            let n_rows = part.len() / side;
            let layout = Layout { outer: 1, rows: n_rows, inner: side };
            self.fill_panel(part, layout, 0..n_rows, 0..side);
            self.add_panel(n_rows, Orientation::Rows);
        }
    }

    /// Copies part of a matrix into the panel, row after row, scaled.
    fn fill_panel<T: Into<f64> + Copy + Sync>(
        &mut self,
        entries: &[T],
        layout: Layout,
        rows: Range<usize>,
        cols: Range<usize>,
    ) {
        let scale = self.scale;
        self.panel.resize(rows.len() * cols.len(), 0.0);
        let lines = self.panel.par_chunks_mut(cols.len()).with_min_len(16);
        lines.zip(rows).for_each(|(line, row)| {
            layout.copy_row(entries, row, cols.start, scale, line);
        });
    }

    fn add_panel(&mut self, n_rows: usize, orientation: Orientation) {
        let panel = orientation.see(&self.panel, n_rows, self.side);
        self.n_rows += n_rows;
        self.is_zero &= self.panel.iter().all(|&entry| entry == 0.0);
        self.columns.par_iter_mut().for_each(|column| {
            let below = panel.subcols(column.start, column.height);
            let across = panel.subcols(column.start, column.width);
            matmul(column.all_mut(), Accum::Add, below.transpose(), across, 1.0, Par::Seq);
        });
    }

    /// The side p of G: the columns of A.
    pub fn side(&self) -> usize {
        self.side
    }

    /// The rows of A so far.
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// Whether A has no entry but zeros so far.
    pub fn is_zero(&self) -> bool {
        self.is_zero
    }

    /// The power of two that A is multiplied by.
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// The diagonal of G, of the scaled A: the squared lengths of its columns.
    pub fn diagonal(&self) -> impl Iterator<Item = f64> {
        self.columns.iter().flat_map(BlockColumn::diagonal)
    }

    /// Returns Ĝ x.
    pub(crate) fn apply(&self, x: &[f64]) -> Vec<f64> {
        let n_groups = if self.side < PARALLEL_SIDE { 1 } else { N_GROUPS };
        let parts: Vec<Vec<f64>> = (0..n_groups)
            .into_par_iter()
            .map(|group| {
                let mut y = vec![0.0; self.side];
                let columns = self.columns.iter().skip(group).step_by(n_groups);
                columns.for_each(|column| column.add_product(x, &mut y));
                y
            })
            .collect();
        sum_of_vectors(parts)
    }

    /// Writes the matrix out, `[side, side]`, both triangles.
    pub(crate) fn to_dense(&self) -> Vec<f64> {
        let side = self.side;
        let mut dense = vec![0.0; side * side];
        for block in &self.columns {
            for (offset, column) in block.entries.chunks_exact(block.height).enumerate() {
                let col = block.start + offset;
                dense[col * side + col..(col + 1) * side].copy_from_slice(&column[offset..]);
                for row in col + 1..side {
                    dense[row * side + col] = column[row - block.start];
                }
            }
        }
        dense
    }
}

impl BlockColumn {
    fn zero(start: usize, width: usize, side: usize) -> Self {
        let height = side - start;
        Self { start, width, height, entries: vec![0.0; height * width] }
    }

    pub(crate) fn all_mut(&mut self) -> MatMut<'_, f64> {
        MatMut::from_column_major_slice_mut(&mut self.entries, self.height, self.width)
    }

    fn diagonal(&self) -> impl Iterator<Item = f64> {
        (0..self.width).map(|index| self.entries[index * (self.height + 1)])
    }

    /// Adds to y what these columns, and the rows that mirror them, contribute to G x.
    fn add_product(&self, x: &[f64], y: &mut [f64]) {
        for (offset, column) in self.entries.chunks_exact(self.height).enumerate() {
            let col = self.start + offset;
            let below = &column[offset + 1..];
            y[col] += column[offset] * x[col] + dot(below, &x[col + 1..]);
            add_scaled(x[col], below, &mut y[col + 1..]);
        }
    }
}

/// How a panel of A lies in memory.
#[derive(Clone, Copy)]
enum Orientation {
    Rows,
    Columns,
}

impl Orientation {
    fn see(self, panel: &[f64], n_rows: usize, side: usize) -> MatRef<'_, f64> {
        match self {
            Self::Rows => MatRef::from_row_major_slice(panel, n_rows, side),
            Self::Columns => MatRef::from_column_major_slice(panel, n_rows, side),
        }
    }
}

/// Returns max |xᵢ| of the entries of a weight.
///
/// # Errors
///
/// [`EstimateError::NonFiniteEntry`], naming the first bad entry.
pub(crate) fn largest_finite_magnitude<T: Into<f64> + Copy + Sync>(
    entries: &[T],
) -> Result<f64, EstimateError> {
    const CHUNK: usize = 1 << 16;
    let parts = entries.par_chunks(CHUNK).map(largest_or_nan);
    // A maximum is the same in any order, and NaN is kept by hand.
    let largest = parts.reduce(|| 0.0, |a, b| if a > b || a.is_nan() { a } else { b });
    if largest.is_nan() {
        EstimateError::check_entries(entries)?;
    }
    Ok(largest)
}

/// Returns max |xᵢ|, or NaN if any is not finite, without a branch on any entry.
fn largest_or_nan<T: Into<f64> + Copy>(entries: &[T]) -> f64 {
    const LANES: usize = 16;
    let (mut largest, mut spoilt) = ([0.0_f64; LANES], [0.0_f64; LANES]);
    for block in entries.chunks(LANES) {
        for (lane, &entry) in block.iter().enumerate() {
            let entry: f64 = entry.into();
            largest[lane] = largest[lane].max(entry.abs());
            // Zero, but NaN for infinities and NaN.
            spoilt[lane] += entry * 0.0;
        }
    }
    largest.into_iter().fold(0.0, f64::max) + spoilt.into_iter().sum::<f64>()
}

impl Layout {
    /// Copies A[row, start..] to `line`, as much as that holds, times `scale`.
    fn copy_row<T: Into<f64> + Copy>(
        self,
        entries: &[T],
        row: usize,
        start: usize,
        scale: f64,
        line: &mut [f64],
    ) {
        let (mut outer, mut inner, mut rest) = (start / self.inner, start % self.inner, line);
        while !rest.is_empty() {
            let length = (self.inner - inner).min(rest.len());
            let (run, behind) = rest.split_at_mut(length);
            let first = (outer * self.rows + row) * self.inner + inner;
            for (entry, &source) in run.iter_mut().zip(&entries[first..]) {
                *entry = source.into() * scale;
            }
            (outer, inner, rest) = (outer + 1, 0, behind);
        }
    }
}

fn sum_of_vectors(parts: Vec<Vec<f64>>) -> Vec<f64> {
    let mut parts = parts.into_iter();
    let mut sum = parts.next().unwrap_or_default();
    for part in parts {
        add_scaled(1.0, &part, &mut sum);
    }
    sum
}

/// Narrow enough that a small matrix has work for several threads, and wide enough that a large one
/// is multiplied at full speed.
fn block_width(side: usize) -> usize {
    if side <= 1024 { 64 } else { 128 }
}
