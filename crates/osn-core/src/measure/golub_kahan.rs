//! Golub–Kahan–Lanczos bidiagonalization: the estimate for a cold start.
//!
//! It is our own, although faer has `partial_svd` (Krylov–Schur), for what it promises: the same bits
//! for any number of threads, since every sum has a fixed order; a σ that is a lower bound after each
//! restart, with its residual; any [`LinearMap`]; and an error where a product is not finite, on which
//! the orthogonalization of faer 0.24.4 does not end.

use faer::Mat;
use serde::{Deserialize, Serialize};

use crate::measure::error::EstimateError;
use crate::measure::estimate::{Bound, Estimate, estimate_from};
use crate::measure::exact::leading_triplet;
use crate::measure::operator::LinearMap;
use crate::measure::vector::{normalize, orthogonalize_twice, unit_combination};

/// A new direction this much smaller than the largest seen is rounding, and ends the search.
const BREAKDOWN: f64 = 1e-14;

/// How long [`golub_kahan`] runs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GolubKahanParams {
    /// How many vectors a side are built before a restart, at least 2. Memory is
    /// `n_steps`·(rows + cols) numbers.
    pub n_steps: usize,
    /// Stops as soon as the relative residual is at most this.
    pub tolerance: f64,
    /// The most restarts.
    pub n_restarts: usize,
}

impl Default for GolubKahanParams {
    /// 16 steps, restarted up to 16 times until the residual is 1e-6.
    fn default() -> Self {
        Self { n_steps: 16, tolerance: 1e-6, n_restarts: 16 }
    }
}

/// Estimates σ from below by Golub–Kahan bidiagonalization from `start`, restarted until it is
/// accurate.
///
/// From a unit v₁ it builds orthonormal uⱼ and vⱼ (Golub and Kahan 1965; Golub and Van Loan,
/// Matrix Computations, 4th ed., section 10.4.1) with
///
/// ```text
/// αⱼ uⱼ = A vⱼ − βⱼ₋₁ uⱼ₋₁,    βⱼ vⱼ₊₁ = Aᵀuⱼ − αⱼ vⱼ,    so    A V = U B,    B = bidiagonal(α, β)
/// ```
///
/// keeping them orthogonal by orthogonalising each against all earlier ones, twice. If (σ, p, q) is
/// the leading triplet of the small B, then u = U p and v = V q satisfy A v = σu, and
/// ‖Aᵀu − σv‖ = βₖ|pₖ| is the residual, for free. σ is a lower bound: it is the largest ‖A v‖ of all
/// unit v in the span of v₁, (AᵀA)v₁, …, (AᵀA)ᵏ⁻¹v₁, which is where power iteration moves too. Each
/// restart begins with the last v, so σ does not fall.
///
/// A residual that is still above the tolerance after the last restart is not an error: σ is a lower
/// bound all the same, and the residual says how close.
///
/// A zero `start`, or one that A maps to zero, is replaced by
/// [`start_vector`](crate::measure::start_vector), which is also what to pass for a cold start.
///
/// # Errors
///
/// [`EstimateError`] if the start or a product is not finite, or the map is empty. A zero map is no
/// error: its σ is 0.
///
/// # Panics
///
/// If `start` is not `[cols]`, or `n_steps` is below 2: one vector a side cannot improve on itself.
///
/// # Example
///
/// ```
/// use osn_core::measure::{DenseMap, GolubKahanParams, golub_kahan, start_vector};
///
/// let weight = [3.0_f32, 0.0, 0.0, 1.0, 0.0, 0.0];
/// let map = DenseMap::new(&weight, 2, 3)?;
/// let estimate = golub_kahan(&map, &start_vector(3), &GolubKahanParams::default())?;
/// assert!((estimate.sigma - 10.0_f64.sqrt()).abs() < 1e-12);
/// # Ok::<(), osn_core::measure::EstimateError>(())
/// ```
pub fn golub_kahan<M: LinearMap + ?Sized>(
    map: &M,
    start: &[f64],
    params: &GolubKahanParams,
) -> Result<Estimate, EstimateError> {
    assert!(params.n_steps >= 2, "Golub-Kahan needs at least two steps, not {}", params.n_steps);
    estimate_from(map, start, |start| restarted(map, start, params))
}

fn restarted<M: LinearMap + ?Sized>(
    map: &M,
    start: &[f64],
    params: &GolubKahanParams,
) -> Result<Option<Estimate>, EstimateError> {
    let Some(mut estimate) = one_cycle(map, start, params.n_steps, 0)? else {
        return Ok(None);
    };
    for _ in 0..params.n_restarts {
        if estimate.residual <= params.tolerance {
            break;
        }
        match one_cycle(map, &estimate.v, params.n_steps, estimate.n_iters)? {
            Some(next) => estimate = next,
            None => break,
        }
    }
    Ok(Some(estimate))
}

/// Builds one basis from `start` and returns its best triplet, or `None` if A·start is zero.
fn one_cycle<M: LinearMap + ?Sized>(
    map: &M,
    start: &[f64],
    n_steps: usize,
    n_iters_before: usize,
) -> Result<Option<Estimate>, EstimateError> {
    let mut basis = Bidiagonalization::new(start, n_iters_before);
    for _ in 0..n_steps {
        basis.extend_left(map)?;
        basis.extend_right(map)?;
        if basis.is_invariant() {
            break;
        }
    }
    basis.leading_triplet()
}

/// A V = U B as far as it has been built, with k vectors on the left and k or k + 1 on the right.
struct Bidiagonalization {
    left: Vec<Vec<f64>>,
    right: Vec<Vec<f64>>,
    /// α₁ … αₖ.
    diagonal: Vec<f64>,
    /// β₁ … βₖ, of which the last couples to what is outside.
    superdiagonal: Vec<f64>,
    largest: f64,
    n_iters_before: usize,
}

impl Bidiagonalization {
    fn new(start: &[f64], n_iters_before: usize) -> Self {
        let mut first = start.to_vec();
        normalize(&mut first);
        Self {
            left: vec![],
            right: vec![first],
            diagonal: vec![],
            superdiagonal: vec![],
            largest: 0.0,
            n_iters_before,
        }
    }

    /// Adds αₖ and uₖ from A vₖ.
    ///
    /// Where nothing is left of A vₖ, uₖ is zero: it then has no weight in any triplet of B with
    /// σ > 0, since row k of B is zero.
    fn extend_left<M: LinearMap + ?Sized>(&mut self, map: &M) -> Result<(), EstimateError> {
        let mut image = vec![0.0; map.rows()];
        map.apply(&self.right[self.left.len()], &mut image);
        let alpha = self.new_direction(&mut image, &self.left, 1)?;
        self.largest = self.largest.max(alpha);
        self.diagonal.push(alpha);
        self.left.push(image);
        Ok(())
    }

    /// Adds βₖ and vₖ₊₁ from Aᵀuₖ.
    fn extend_right<M: LinearMap + ?Sized>(&mut self, map: &M) -> Result<(), EstimateError> {
        let mut image = vec![0.0; map.cols()];
        map.apply_transpose(&self.left[self.left.len() - 1], &mut image);
        let beta = self.new_direction(&mut image, &self.right, 0)?;
        self.largest = self.largest.max(beta);
        self.superdiagonal.push(beta);
        self.right.push(image);
        Ok(())
    }

    /// Makes `image` a unit vector orthogonal to `basis` and returns its length before; both are
    /// zero if nothing but rounding is left of it.
    fn new_direction(
        &self,
        image: &mut [f64],
        basis: &[Vec<f64>],
        product_offset: usize,
    ) -> Result<f64, EstimateError> {
        orthogonalize_twice(image, basis);
        let length = normalize(image);
        let product = 2 * (self.n_iters_before + self.left.len()) + product_offset;
        EstimateError::check_product(length, product)?;
        if length > BREAKDOWN * self.largest {
            return Ok(length);
        }
        image.fill(0.0);
        Ok(0.0)
    }

    /// Whether the last β is zero: A maps the right space into the left one and Aᵀ maps it back.
    fn is_invariant(&self) -> bool {
        self.superdiagonal.last() == Some(&0.0)
    }

    fn leading_triplet(&self) -> Result<Option<Estimate>, EstimateError> {
        let (sigma, p, q) = leading_triplet(self.small_matrix())?;
        if sigma == 0.0 {
            return Ok(None);
        }
        let last = self.diagonal.len() - 1;
        Ok(Some(Estimate {
            sigma,
            bound: Bound::Lower,
            residual: self.superdiagonal[last] / sigma * p[last].abs(),
            n_iters: self.n_iters_before + self.diagonal.len(),
            u: unit_combination(&p, &self.left),
            v: unit_combination(&q, &self.right),
        }))
    }

    fn small_matrix(&self) -> Mat<f64> {
        let size = self.diagonal.len();
        let mut matrix = Mat::zeros(size, size);
        for step in 0..size {
            matrix[(step, step)] = self.diagonal[step];
            if step + 1 < size {
                matrix[(step, step + 1)] = self.superdiagonal[step];
            }
        }
        matrix
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::estimate::start_vector;
    use crate::measure::operator::DenseMap;
    use crate::measure::vector::dot;

    #[test]
    fn both_bases_stay_orthonormal_where_new_directions_are_tiny() {
        // Rows of length 1, 1/10, … 1e-9: each new direction is what cancellation leaves over.
        let directions = start_vector(140);
        let entries: Vec<f64> = (0_u8..)
            .zip(directions.chunks_exact(14))
            .flat_map(|(row, chunk)| chunk.iter().map(move |x| x * 0.1_f64.powi(row.into())))
            .collect();
        let map = DenseMap::new(&entries, 10, 14).unwrap();
        let mut basis = Bidiagonalization::new(&start_vector(14), 0);
        for _ in 0..8 {
            basis.extend_left(&map).unwrap();
            basis.extend_right(&map).unwrap();
        }
        for vectors in [&basis.left, &basis.right] {
            for (i, a) in vectors.iter().enumerate() {
                for (j, b) in vectors.iter().enumerate() {
                    let expected = if i == j { 1.0 } else { 0.0 };
                    assert!((dot(a, b) - expected).abs() < 1e-14, "{i} {j}: {}", dot(a, b));
                }
            }
        }
    }
}
