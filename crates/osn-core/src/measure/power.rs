//! Power iteration: the cheap estimate that is kept warm while a model trains.

use serde::{Deserialize, Serialize};

use crate::measure::error::EstimateError;
use crate::measure::estimate::{Bound, Estimate, estimate_from};
use crate::measure::operator::LinearMap;
use crate::measure::vector::normalize;

/// How long [`power_iteration`] runs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PowerParams {
    /// The most iterations, at least 1.
    pub n_iters: usize,
    /// Stops as soon as the relative residual is at most this.
    pub tolerance: f64,
}

impl Default for PowerParams {
    /// One iteration, as in Miyato et al. 2018: enough where the start is warm.
    fn default() -> Self {
        Self { n_iters: 1, tolerance: 0.0 }
    }
}

/// Estimates σ from below by power iteration from `start`, the v of the last time.
///
/// One iteration is, in `PyTorch`'s order (Miyato et al. 2018, algorithm 1, with its v first),
///
/// ```text
/// u ← A v/‖A v‖,    v ← Aᵀu/‖Aᵀu‖,    σ = ‖Aᵀu‖ = uᵀA v
/// ```
///
/// σ is a lower bound, since ‖Aᵀu‖ ≤ σ₁ for every unit u, and never falls from one iteration to the
/// next. Its relative error shrinks by (σ₂/σ₁)⁴ an iteration once small.
///
/// The residual is free. With v the vector before the iteration, ρ = ‖A v‖ and A v = ρu,
///
/// ```text
/// ‖Aᵀu − ρv‖² = ‖Aᵀu‖² − 2ρuᵀA v + ρ² = σ² − 2ρ² + ρ² = σ² − ρ²
/// ```
///
/// so the residual of (ρ, u, v), relative to σ, needs no product beyond the two that were made.
///
/// A zero `start`, or one that A maps to zero, is replaced by
/// [`start_vector`](crate::measure::start_vector).
///
/// # Errors
///
/// [`EstimateError`] if the start or a product is not finite, or the map is empty. A zero map is no
/// error: its σ is 0.
///
/// # Panics
///
/// If `start` is not `[cols]`, or `n_iters` is 0.
///
/// # Example
///
/// ```
/// use osn_core::measure::{DenseMap, PowerParams, power_iteration, start_vector};
///
/// let weight = [3.0_f32, 0.0, 0.0, 1.0];
/// let map = DenseMap::new(&weight, 2, 2)?;
/// let params = PowerParams { n_iters: 100, tolerance: 1e-6 };
/// let estimate = power_iteration(&map, &start_vector(2), &params)?;
/// assert!((estimate.sigma - 3.0).abs() < 1e-9);
/// # Ok::<(), osn_core::measure::EstimateError>(())
/// ```
pub fn power_iteration<M: LinearMap + ?Sized>(
    map: &M,
    start: &[f64],
    params: &PowerParams,
) -> Result<Estimate, EstimateError> {
    assert!(params.n_iters >= 1, "power iteration needs at least one iteration");
    estimate_from(map, start, |start| iterate(map, start, params))
}

fn iterate<M: LinearMap + ?Sized>(
    map: &M,
    start: &[f64],
    params: &PowerParams,
) -> Result<Option<Estimate>, EstimateError> {
    let (mut u, mut v) = (vec![0.0; map.rows()], start.to_vec());
    normalize(&mut v);
    let mut n_iters = 0;
    loop {
        n_iters += 1;
        map.apply(&v, &mut u);
        let sigma_before = EstimateError::check_product(normalize(&mut u), 2 * n_iters - 1)?;
        map.apply_transpose(&u, &mut v);
        let sigma = EstimateError::check_product(normalize(&mut v), 2 * n_iters)?;
        if sigma == 0.0 {
            return Ok(None);
        }
        let residual = relative_residual(sigma_before, sigma);
        if n_iters == params.n_iters || residual <= params.tolerance {
            return Ok(Some(Estimate { sigma, bound: Bound::Lower, residual, n_iters, u, v }));
        }
    }
}

/// Returns √(σ² − ρ²)/σ, where rounding may have put ρ, `sigma_before`, just above σ.
fn relative_residual(sigma_before: f64, sigma: f64) -> f64 {
    let ratio = sigma_before / sigma;
    ((1.0 - ratio) * (1.0 + ratio)).max(0.0).sqrt()
}
