//! A proof by Cholesky factorisation that a symmetric matrix has no eigenvalue above a number.

use faer::linalg::matmul::matmul;
use faer::linalg::triangular_solve::solve_lower_triangular_in_place;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

use crate::measure::bounds::rounding::{add_up, gamma, multiply_up};
use crate::measure::gram_matrix::{BlockColumn, GramMatrix};

/// How many rows one triangular solve takes on.
const SOLVE_ROWS: usize = 96;

/// Returns an upper bound of `λ_max(AᵀA)` near `shift`, or `None` if this does not prove one.
///
/// It factorises B = fl(`shift`·I − Ĝ). Where Cholesky's method runs to its end in floating point, with
/// every pivot positive, it gives a real R with
///
/// ```text
/// B + ΔB = RᵀR,    |ΔB| ≤ γ₍ₚ₊₁₎|Rᵀ||R|
/// ```
///
/// (Higham 2002, Accuracy and Stability of Numerical Algorithms, section 10.1). The diagonal says
/// that column i of R has a squared length of at most bᵢᵢ/(1 − γ₍ₚ₊₁₎), so |ΔB| is at most
/// γ₍ₚ₊₁₎/(1 − γ₍ₚ₊₁₎)·ddᵀ with dᵢ = √bᵢᵢ, and its norm at most that times tr B ≤ p·`shift`·(1 + u).
/// Since `RᵀR` has no negative eigenvalue, B has none below −‖ΔB‖₂ (Rump 2006, Verification of positive
/// definiteness). With u·`shift` for rounding the diagonal,
///
/// ```text
/// λ_max(AᵀA) ≤ shift + γ·p·shift + ‖Ĝ − AᵀA‖₂
/// ```
///
/// where γ counts 2(p + 16) roundings: twice as many as there are in the longest sum. That covers products of the
/// γs, and what faer 0.24.4 does beside the textbook: its triangular solve takes up to three roundings for a term,
/// since at the smallest blocks it computes `x·(1/l) + (−l′·(1/l))·y` with the reciprocal of a pivot rounded first,
/// and it inverts no block. Sums may be taken in any order, so the bound holds for a blocked factorisation. Another
/// version of faer has to be read again.
///
/// Nothing is added for underflow, as Rump does: the matrix is scaled so that σ² is at least 1 and `shift` with it,
/// so what a few p² roundings to the spacing of 2⁻¹⁰⁷⁴ can do lies far below the half of γ that is to spare. All of
/// it supposes rounding to nearest, and that no number is flushed to zero, which Rust has.
pub(crate) fn verified_upper_bound(mut gram: GramMatrix, shift: f64) -> Option<f64> {
    let (error, side) = (gram.error_up(), gram.side() as f64);
    let columns = &mut gram.columns;
    columns.par_iter_mut().for_each(|column| column.negate_and_shift(shift));
    if !is_positive_definite(columns) {
        return None;
    }
    let factorisation = multiply_up(multiply_up(gamma(2.0 * (side + 16.0)), side), shift);
    Some(add_up(add_up(shift, factorisation), error))
}

/// Factorises the matrix in place, from left to right; `false` at the first pivot that is not
/// positive.
fn is_positive_definite(columns: &mut [BlockColumn]) -> bool {
    for index in 0..columns.len() {
        let (done, rest) = columns.split_at_mut(index + 1);
        let column = &mut done[index];
        if !column.factorise() {
            return false;
        }
        let column = &*column;
        rest.par_iter_mut().for_each(|other| other.subtract_square_of(column));
    }
    true
}

impl BlockColumn {
    fn all(&self) -> MatRef<'_, f64> {
        MatRef::from_column_major_slice(&self.entries, self.height, self.width)
    }

    fn negate_and_shift(&mut self, shift: f64) {
        self.entries.iter_mut().for_each(|entry| *entry = -*entry);
        for index in 0..self.width {
            self.entries[index * (self.height + 1)] += shift;
        }
    }

    /// Makes L of the diagonal block, and L·(…) of what is below it.
    fn factorise(&mut self) -> bool {
        let width = self.width;
        let mut lower: Vec<f64> = self
            .entries
            .chunks_exact(self.height)
            .flat_map(|column| &column[..width])
            .copied()
            .collect();
        if !factorise_block(&mut lower, width) {
            return false;
        }
        let lower = MatRef::from_column_major_slice(&lower, width, width);
        solve(lower, self.all_mut().split_at_row_mut(width).1);
        true
    }

    /// Subtracts the part of L Lᵀ that a finished block column further left contributes.
    fn subtract_square_of(&mut self, finished: &BlockColumn) {
        let below = finished.all().subrows(self.start - finished.start, self.height);
        let across = below.subrows(0, self.width);
        matmul(self.all_mut(), Accum::Add, below, across.transpose(), -1.0, Par::Seq);
    }
}

/// Overwrites the lower triangle of a small column-major block with its factor L.
fn factorise_block(block: &mut [f64], width: usize) -> bool {
    for col in 0..width {
        let (finished, rest) = block.split_at_mut(col * width);
        let column = &mut rest[col..width];
        for earlier in finished.chunks_exact(width) {
            let factor = earlier[col];
            column.iter_mut().zip(&earlier[col..]).for_each(|(x, l)| *x -= factor * l);
        }
        let pivot = column[0];
        if !(pivot > 0.0 && pivot.is_finite()) {
            return false;
        }
        let root = pivot.sqrt();
        column[0] = root;
        column[1..].iter_mut().for_each(|x| *x /= root);
    }
    true
}

/// Overwrites `below` with X of X Lᵀ = `below`, in parallel over fixed pieces.
fn solve(lower: MatRef<'_, f64>, below: MatMut<'_, f64>) {
    if below.nrows() <= SOLVE_ROWS {
        solve_lower_triangular_in_place(lower, below.transpose_mut(), Par::Seq);
        return;
    }
    let half = below.nrows().div_ceil(2 * SOLVE_ROWS) * SOLVE_ROWS;
    let (upper_part, lower_part) = below.split_at_row_mut(half);
    rayon::join(|| solve(lower, upper_part), || solve(lower, lower_part));
}
