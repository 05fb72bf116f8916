//! Inner products between two sets of vectors, a block at a time.

use std::ops::Range;

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};

use crate::metrics::feature_set::Features;

/// Rows of a block: small enough for the cache, large enough for the matrix product to pay.
const BLOCK: usize = 256;

/// The ranges that cut `0..count` into blocks.
pub(super) fn blocks(count: usize) -> Vec<Range<usize>> {
    (0..count).step_by(BLOCK).map(|start| start..(start + BLOCK).min(count)).collect()
}

/// The matrix `[rows, columns]` of inner products of some vectors of `left` with some of `right`,
/// column by column in memory.
pub(super) fn products(
    left: &Features,
    rows: &Range<usize>,
    right: &Features,
    columns: &Range<usize>,
) -> Mat<f64> {
    let mut result = Mat::zeros(rows.len(), columns.len());
    let (left, right) = (vectors(left, rows), vectors(right, columns).transpose());
    matmul(result.as_mut(), Accum::Replace, left, right, 1.0, Par::Seq);
    result
}

/// The vectors of a range as the rows of a matrix.
fn vectors<'a>(features: &'a Features, rows: &Range<usize>) -> MatRef<'a, f64> {
    let values = &features.values[rows.start * features.dim..rows.end * features.dim];
    MatRef::from_row_major_slice(values, rows.len(), features.dim)
}

/// The squared length of each vector.
pub(super) fn squared_lengths(features: &Features) -> Vec<f64> {
    let vectors = features.values.chunks_exact(features.dim);
    vectors.map(|vector| vector.iter().map(|value| value * value).sum()).collect()
}
