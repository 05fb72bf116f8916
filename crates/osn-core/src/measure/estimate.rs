//! What an estimator returns, and the vector that a cold start begins with.

use serde::{Deserialize, Serialize};

use crate::measure::error::EstimateError;
use crate::measure::operator::LinearMap;
use crate::measure::vector::normalize;
use crate::split_mix::{GOLDEN_GAMMA, split_mix};

/// The largest singular value of a map A and its vectors, and how far they can be trusted.
///
/// σ = max ‖A x‖ / ‖x‖, reached at x = v, where A v = σ u.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimate {
    /// The estimate of σ.
    pub sigma: f64,
    /// On which side of the true value `sigma` lies.
    pub bound: Bound,
    /// The relative size of what is left in the equations Aᵀu = σv and A v = σu.
    ///
    /// An iterative estimator makes one of them true by construction; this is
    /// ‖Aᵀu − σv‖/σ, of the triplet for which A v = σu. A factorisation makes neither true, and this
    /// is the larger of both. It is dimensionless, and 0 for a zero map.
    ///
    /// *Some* singular value lies within `residual`·σ of that triplet's σ. It is the largest one unless
    /// the start was orthogonal to the leading vectors.
    ///
    /// [`power_iteration`](crate::measure::power_iteration) measures the triplet half a step behind the one
    /// that it returns, since that costs no further product. Rounding leaves about 1e-8 there and
    /// 1e-15 elsewhere.
    pub residual: f64,
    /// How many times A and Aᵀ were applied, each; 0 for a factorisation.
    pub n_iters: usize,
    /// The left singular vector, `[rows]`, of unit length.
    pub u: Vec<f64>,
    /// The right singular vector, `[cols]`, of unit length.
    pub v: Vec<f64>,
}

/// On which side of the true σ an estimate lies, up to the rounding of `f64`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Bound {
    /// The true σ is at least this.
    Lower,
    /// The true σ is at most this.
    Upper,
    /// This is the true σ.
    Exact,
}

/// Returns the stable rank ‖A‖_F²/σ², which lies between 1 and the rank of A.
///
/// With a lower bound of σ it is an upper bound of the stable rank. A zero map has stable rank 0.
pub fn stable_rank(frobenius: f64, sigma: f64) -> f64 {
    if frobenius == 0.0 { 0.0 } else { (frobenius / sigma).powi(2) }
}

/// Returns the unit vector that a cold start begins with, the same on every machine.
///
/// An estimator never finds a singular vector that its start is orthogonal to, and weights are
/// often structured: the all-ones vector misses every zero-sum one, a coordinate vector misses most.
/// So the entries are pseudo-random, of random sign, and between 1/2 and 1 in size before scaling,
/// which leaves no coordinate out and follows no pattern. Only a map constructed against this very
/// vector is missed.
pub fn start_vector(length: usize) -> Vec<f64> {
    let mut vector: Vec<f64> = (0..length as u64).map(signed_half_to_one).collect();
    normalize(&mut vector);
    vector
}

/// Returns ±[1/2, 1) from the bits of the `index`-th number of [`SplitMix64`](split_mix).
fn signed_half_to_one(index: u64) -> f64 {
    let bits = split_mix(index.wrapping_mul(GOLDEN_GAMMA));
    let size = 0.5 + (bits >> 12) as f64 / (1_u64 << 53) as f64;
    if bits & 1 == 0 { size } else { -size }
}

/// Runs `attempt` from `start`, and from [`start_vector`] if A·start is zero.
///
/// `attempt` returns `None` if the vector that it was given is mapped to zero. If that also happens
/// to the second start, the map is zero.
pub(crate) fn estimate_from<M: LinearMap + ?Sized>(
    map: &M,
    start: &[f64],
    attempt: impl Fn(&[f64]) -> Result<Option<Estimate>, EstimateError>,
) -> Result<Estimate, EstimateError> {
    EstimateError::check_not_empty(map.rows(), map.cols())?;
    EstimateError::check_start(start, map.cols())?;
    if let Some(estimate) = attempt(start)? {
        return Ok(estimate);
    }
    let second = attempt(&start_vector(map.cols()))?;
    Ok(second.unwrap_or_else(|| Estimate::of_zero_map(map, Bound::Lower)))
}

impl Estimate {
    /// σ = 0, with vectors from which a warm start works as soon as the map is no longer zero.
    pub(crate) fn of_zero_map<M: LinearMap + ?Sized>(map: &M, bound: Bound) -> Self {
        let (u, v) = (start_vector(map.rows()), start_vector(map.cols()));
        Self { sigma: 0.0, bound, residual: 0.0, n_iters: 0, u, v }
    }
}
