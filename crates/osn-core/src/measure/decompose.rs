//! Decompositions of small matrices, which faer makes. Its iteration may go in a circle on an ordinary matrix (seen on one of
//! 30×40, with one rounding and not with another); then one of the same singular values is decomposed in its place.
//! Where all attempts fail the error is [`EstimateError::NoConvergence`].

use std::iter::{Sum, once};
use std::ops::{Mul, Sub};

use faer::traits::ComplexField;
use faer::traits::math_utils::real;
use faer::{Mat, MatRef, Side, c64};

use crate::measure::error::EstimateError;
use crate::measure::estimate::start_vector;

/// How often a decomposition is tried.
const ATTEMPTS: usize = 4;

/// What is decomposed: real and complex numbers of 64 bits.
pub(crate) trait Entry:
    ComplexField<Real = f64> + Copy + Mul<f64, Output = Self> + Sub<Output = Self> + Sum
{
}

impl Entry for f64 {}
impl Entry for c64 {}

/// Returns (σ, u, v) of the largest singular value; u and v as they come where σ is 0.
pub(crate) fn leading_triplet<T: Entry>(
    matrix: MatRef<'_, T>,
) -> Result<(f64, Vec<T>, Vec<T>), EstimateError> {
    until_it_converges(matrix, |reflection| triplet(matrix, reflection))
}

/// Returns all singular values, largest first.
pub(crate) fn singular_values<T: Entry>(matrix: MatRef<'_, T>) -> Result<Vec<f64>, EstimateError> {
    until_it_converges(matrix, |reflection| match reflection {
        None => matrix.singular_values().ok(),
        Some(reflection) => reflection.of(matrix).singular_values().ok(),
    })
}

/// Returns the eigenvalues of a symmetric matrix, smallest first, and its eigenvectors as columns.
pub(crate) fn symmetric_eigen(
    matrix: MatRef<'_, f64>,
) -> Result<(Vec<f64>, Mat<f64>), EstimateError> {
    until_it_converges(matrix, |reflection| eigen(matrix, reflection))
}

/// The first that comes of attempts on the matrix itself and then with reflections.
fn until_it_converges<T, R>(
    matrix: MatRef<'_, T>,
    attempt: impl Fn(Option<&Reflection>) -> Option<R>,
) -> Result<R, EstimateError> {
    let (rows, cols) = (matrix.nrows(), matrix.ncols());
    let reflections = (1..ATTEMPTS).map(|number| Some(Reflection::new(rows, number)));
    let found = once(None).chain(reflections).find_map(|it| attempt(it.as_ref()));
    found.ok_or(EstimateError::NoConvergence { rows, cols })
}

/// From `H·A = (H·u) σ vᵀ + …`.
fn triplet<T: Entry>(
    matrix: MatRef<'_, T>,
    reflection: Option<&Reflection>,
) -> Option<(f64, Vec<T>, Vec<T>)> {
    let svd = match reflection {
        None => matrix.thin_svd(),
        Some(reflection) => reflection.of(matrix).thin_svd(),
    };
    let svd = svd.ok()?;
    let u = svd.U().subcols(0, 1);
    let u = reflection.map_or_else(|| u.to_owned(), |it| it.of(u));
    let column = |of: MatRef<'_, T>| of.col(0).iter().copied().collect::<Vec<T>>();
    Some((real(&svd.S()[0]), column(u.as_ref()), column(svd.V())))
}

/// From `H·A·H = (H·U) Λ (H·U)ᵀ`.
fn eigen(matrix: MatRef<'_, f64>, reflection: Option<&Reflection>) -> Option<(Vec<f64>, Mat<f64>)> {
    let eigen = match reflection {
        None => matrix.self_adjoint_eigen(Side::Lower),
        Some(it) => it.of(it.of(matrix).transpose()).self_adjoint_eigen(Side::Lower),
    };
    let eigen = eigen.ok()?;
    let vectors = reflection.map_or_else(|| eigen.U().to_owned(), |it| it.of(eigen.U()));
    Some((eigen.S().column_vector().iter().copied().collect(), vectors))
}

/// `H = I − 2wwᵀ` for a unit vector w: its own inverse.
struct Reflection {
    w: Vec<f64>,
}

impl Reflection {
    /// The `number`-th of this size.
    fn new(size: usize, number: usize) -> Self {
        let longer = start_vector(size + number);
        let length = longer[number..].iter().map(|w| w * w).sum::<f64>().sqrt();
        Self { w: longer[number..].iter().map(|w| w / length).collect() }
    }

    /// `H·M`.
    fn of<T: Entry>(&self, m: MatRef<'_, T>) -> Mat<T> {
        let along = |col| (0..m.nrows()).map(|row| m[(row, col)] * self.w[row]).sum();
        let along: Vec<T> = (0..m.ncols()).map(along).collect();
        let entry = |row, col| m[(row, col)] - along[col] * (2.0 * self.w[row]);
        Mat::from_fn(m.nrows(), m.ncols(), entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(rows: usize, cols: usize) -> Mat<f64> {
        let entries = start_vector(rows * cols);
        Mat::from_fn(rows, cols, |row, col| entries[row * cols + col])
    }

    fn assert_close(ours: &[f64], theirs: &[f64]) {
        assert_eq!(ours.len(), theirs.len());
        let largest = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(largest < 1e-12, "{ours:?} {theirs:?}");
    }

    /// With its sign: the first entry is positive.
    fn signed(vector: &[f64]) -> Vec<f64> {
        vector.iter().map(|entry| entry * vector[0].signum()).collect()
    }

    #[test]
    fn a_reflected_matrix_has_the_same_triplet_values_and_eigenvectors() {
        for (rows, cols) in [(1, 1), (5, 7), (7, 5), (30, 40)] {
            let (m, reflection) = (matrix(rows, cols), Reflection::new(rows, 2));
            let plain = triplet(m.as_ref(), None).unwrap();
            let reflected = triplet(m.as_ref(), Some(&reflection)).unwrap();
            assert_close(&[plain.0], &[reflected.0]);
            assert_close(&signed(&plain.1), &signed(&reflected.1));
            assert_close(&signed(&plain.2), &signed(&reflected.2));
            let values = |m: &Mat<f64>| m.singular_values().unwrap();
            assert_close(&values(&m), &values(&reflection.of(m.as_ref())));
            let gram = &m * m.transpose();
            let (plain, vectors) = eigen(gram.as_ref(), None).unwrap();
            let (reflected, others) = eigen(gram.as_ref(), Some(&reflection)).unwrap();
            assert_close(&plain, &reflected);
            let last =
                |of: &Mat<f64>| signed(&of.col(rows - 1).iter().copied().collect::<Vec<_>>());
            assert_close(&last(&vectors), &last(&others));
        }
    }

    #[test]
    fn what_does_not_converge_is_tried_with_other_reflections_and_then_given_up() {
        let m = matrix(3, 4);
        let first_w = |it: Option<&Reflection>| it.map(|it| it.w[0]);
        let tried = std::cell::RefCell::new(Vec::new());
        let third = until_it_converges(m.as_ref(), |it| {
            tried.borrow_mut().push(first_w(it));
            (tried.borrow().len() == 3).then_some("found")
        });
        assert_eq!(third, Ok("found"));
        let tried = tried.into_inner();
        assert!(tried[0].is_none() && tried[1] != tried[2], "{tried:?}");
        let never = until_it_converges::<f64, ()>(m.as_ref(), |_| None);
        assert_eq!(never, Err(EstimateError::NoConvergence { rows: 3, cols: 4 }));
    }
}
