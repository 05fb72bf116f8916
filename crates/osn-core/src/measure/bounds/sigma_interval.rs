//! σ of a matrix between two bounds that are certain: Lanczos below, a Cholesky factorisation above.

use faer::Mat;
use serde::{Deserialize, Serialize};

use crate::measure::bounds::cholesky::verified_upper_bound;
use crate::measure::bounds::interval::Interval;
use crate::measure::bounds::rounding::{
    multiply_down, multiply_up, sqrt_down, sqrt_up, subtract_down,
};
use crate::measure::decompose::symmetric_eigen;
use crate::measure::error::EstimateError;
use crate::measure::estimate::start_vector;
use crate::measure::gram_matrix::{GramMatrix, largest_finite_magnitude};
use crate::measure::operator::Layout;
use crate::measure::vector::{add_scaled, dot, normalize, unit_combination};

/// How often the small eigenvalue problem is solved to see whether the basis is large enough.
const STEPS_BETWEEN_CHECKS: usize = 8;

/// A new direction this much smaller than the eigenvalue is rounding, and ends the search.
const BREAKDOWN: f64 = 1e-14;

/// How often a factorisation is tried, each with ten times the distance of the one before.
const N_ATTEMPTS: usize = 4;

/// Up to this side, a streamed Gram matrix is copied before it is factorised: 16 MB at most.
const COPIED_SIDE: usize = 2048;

/// How narrow an interval of σ is to be, and how much work may go into it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct IntervalParams {
    /// The relative width (upper − lower)/upper that is aimed at, greater than 0.
    pub tolerance: f64,
    /// How many vectors are built before a restart, at least 2. Memory is `n_steps`·min(rows, cols)
    /// numbers.
    pub n_steps: usize,
    /// The most restarts.
    pub n_restarts: usize,
}

impl Default for IntervalParams {
    /// A relative width of 1e-6, with up to 160 steps, restarted up to 8 times.
    fn default() -> Self {
        Self { tolerance: 1e-6, n_steps: 160, n_restarts: 8 }
    }
}

/// σ of a matrix, between bounds, and what else its Gram matrix tells.
#[derive(Debug, Clone, PartialEq)]
pub struct GramEstimate {
    /// The largest singular value: `lower` ≤ σ ≤ `upper`, whatever was rounded.
    pub sigma: Interval,
    /// The Frobenius norm ‖A‖_F, to the rounding of `f64`.
    pub frobenius: f64,
    /// The unit vector that reaches the lower bound, of min(rows, cols) entries: the left singular
    /// vector u where rows < cols, else the right one v.
    pub vector: Vec<f64>,
    /// How many times the Gram matrix was applied.
    pub n_iters: usize,
}

/// Returns σ of a weight tensor seen through `layout`, between two bounds that are certain.
///
/// It forms the Gram matrix G of the smaller side in `f64`, which takes m·p² additions and
/// multiplications for m = max(rows, cols) and p = min(rows, cols), and finds
///
/// - from below: the Rayleigh quotient θ = vᵀGv/vᵀv ≤ σ², at a v from Lanczos' method;
/// - from above: that s²·I − G, for an s² just above θ, has a Cholesky factorisation, so that no
///   eigenvalue of G is above s².
///
/// What rounding may have done to G, θ and the factorisation is added to both, outwards, so the bounds
/// hold for the matrix that the entries are, not only up to rounding. That alone makes the interval
/// about (m + p²)·1e-16·‖A‖_F²/σ² wide. The bounds of rounding are those of the order in which the pinned version of
/// faer, 0.24.4, works; they count twice the roundings that were found there. Should the factorisation fail, because Lanczos' method missed
/// the leading vector, it is tried again further out from another start. After the last try `upper` is
/// ‖A‖_F: still true, but wide, so look at [`Interval::relative_width`].
///
/// The bits do not depend on the number of threads.
///
/// # Errors
///
/// [`EstimateError::NonFiniteEntry`] names the flat index of the first bad entry;
/// [`EstimateError::Empty`] if there is none at all; [`EstimateError::NoConvergence`] if a small
/// eigenvalue problem fails. A zero matrix is no error: its interval is [0, 0].
///
/// # Panics
///
/// If `entries` do not fill `layout`, or `params` asks for fewer than two steps or a tolerance that is
/// not positive.
///
/// # Example
///
/// ```
/// use osn_core::measure::Layout;
/// use osn_core::measure::bounds::{IntervalParams, sigma_interval};
///
/// let weight = [3.0_f32, 0.0, 0.0, 1.0, 0.0, 0.0];
/// let estimate = sigma_interval(&weight, Layout::new(&[2, 3], 0), &IntervalParams::default())?;
/// assert!(estimate.sigma.contains(10.0_f64.sqrt()));
/// assert!(estimate.sigma.relative_width() < 1e-5);
/// # Ok::<(), osn_core::measure::EstimateError>(())
/// ```
pub fn sigma_interval<T: Into<f64> + Copy + Sync>(
    entries: &[T],
    layout: Layout,
    params: &IntervalParams,
) -> Result<GramEstimate, EstimateError> {
    assert_eq!(entries.len(), layout.rows * layout.cols(), "entries do not fill {layout:?}");
    EstimateError::check_not_empty(layout.rows, layout.cols())?;
    let largest = largest_finite_magnitude(entries)?;
    // The factorisation overwrites the matrix. It hardly ever fails, so it is formed again, not kept.
    let form = || GramMatrix::of(entries, layout, largest);
    estimate(form(), || Some(form()), params)
}

impl GramMatrix {
    /// Returns σ of the matrix whose rows were added, between two bounds that are certain.
    ///
    /// The bounds are those of [`sigma_interval`]. A matrix of up to 2048 columns is kept for a second
    /// factorisation, should the first fail; a larger one is not, and then `upper` is ‖A‖_F.
    ///
    /// # Errors
    ///
    /// [`EstimateError::NonFiniteProduct`] if a row held an infinity or a NaN, or the largest magnitude
    /// is far above what was announced; [`EstimateError::NoConvergence`] if a small eigenvalue problem
    /// fails.
    ///
    /// # Panics
    ///
    /// As [`sigma_interval`].
    ///
    /// # Example
    ///
    /// ```
    /// use osn_core::measure::GramMatrix;
    /// use osn_core::measure::bounds::IntervalParams;
    ///
    /// let mut gram = GramMatrix::new(2, 12.0);
    /// gram.add_rows(&[3.0_f32, 0.0, 4.0, 0.0]);
    /// gram.add_rows(&[0.0_f32, 0.0, 12.0, 0.0]);
    /// let sigma = gram.into_estimate(&IntervalParams::default())?.sigma;
    /// assert!(sigma.lower <= 13.0 && 13.0 <= sigma.upper);
    /// # Ok::<(), osn_core::measure::EstimateError>(())
    /// ```
    pub fn into_estimate(self, params: &IntervalParams) -> Result<GramEstimate, EstimateError> {
        let copy = (self.side() <= COPIED_SIDE).then(|| self.clone());
        estimate(self, || copy.clone(), params)
    }
}

fn estimate(
    gram: GramMatrix,
    form_again: impl Fn() -> Option<GramMatrix>,
    params: &IntervalParams,
) -> Result<GramEstimate, EstimateError> {
    assert!(params.n_steps >= 2, "Lanczos needs at least two steps, not {}", params.n_steps);
    assert!(params.tolerance > 0.0, "the tolerance {} must be positive", params.tolerance);
    let unscale = 1.0 / gram.scale();
    let (squared_norm, error) = (gram.squared_norm_up(), gram.error_up());
    EstimateError::check_product(squared_norm, 1)?;
    let trace: f64 = gram.diagonal().sum();
    if gram.is_zero() {
        return Ok(GramEstimate::of_zero(gram.side()));
    }
    let (pair, squared_upper) = enclose(gram, form_again, params)?;
    let lower = multiply_down(unscale, sqrt_down(subtract_down(pair.value, error))).max(0.0);
    let upper = multiply_up(unscale, sqrt_up(squared_upper.min(squared_norm)));
    Ok(GramEstimate {
        sigma: Interval::around(unscale * pair.value.sqrt(), lower, upper),
        frobenius: unscale * trace.sqrt(),
        vector: pair.vector,
        n_iters: pair.n_iters,
    })
}

impl GramEstimate {
    fn of_zero(side: usize) -> Self {
        Self {
            sigma: Interval::exactly(0.0),
            frobenius: 0.0,
            vector: start_vector(side),
            n_iters: 0,
        }
    }
}

/// Returns the best pair and an upper bound of `λ_max(AᵀA)`, infinite where none could be proved.
fn enclose(
    mut gram: GramMatrix,
    form_again: impl Fn() -> Option<GramMatrix>,
    params: &IntervalParams,
) -> Result<(EigenPair, f64), EstimateError> {
    let mut pair = lanczos(&gram, start_vector(gram.side()), params)?;
    let mut distance = params.tolerance;
    for attempt in 1..=N_ATTEMPTS {
        let shift = pair.value * (1.0 + distance) + 4.0 * pair.error;
        if let Some(upper) = verified_upper_bound(gram, shift) {
            return Ok((pair, upper));
        }
        let Some(formed) = form_again().filter(|_| attempt < N_ATTEMPTS) else { break };
        gram = formed;
        let start = other_start(&pair.vector, attempt);
        pair = pair.or_larger(lanczos(&gram, start, params)?);
        distance *= 10.0;
    }
    Ok((pair, f64::INFINITY))
}

/// Returns a start that has parts in directions which the others missed.
fn other_start(found: &[f64], attempt: usize) -> Vec<f64> {
    let length = found.len();
    let mut start = start_vector(length * (attempt + 1)).split_off(length * attempt);
    normalize(&mut start);
    // Half of it, lest the two cancel: with one entry both are ±1.
    add_scaled(0.5, found, &mut start);
    start
}

/// An approximate eigenpair of a Gram matrix, of the largest eigenvalue.
struct EigenPair {
    /// The Rayleigh quotient, as computed.
    value: f64,
    /// An estimate, not a bound, of how far the largest eigenvalue is above.
    error: f64,
    vector: Vec<f64>,
    n_iters: usize,
}

impl EigenPair {
    fn or_larger(self, other: Self) -> Self {
        let n_iters = self.n_iters + other.n_iters;
        let larger = if other.value > self.value { other } else { self };
        Self { n_iters, ..larger }
    }
}

/// Lanczos' method with full orthogonalisation, restarted with its best vector (Golub and Van Loan,
/// Matrix Computations, 4th ed., chapter 10).
fn lanczos(
    gram: &GramMatrix,
    start: Vec<f64>,
    params: &IntervalParams,
) -> Result<EigenPair, EstimateError> {
    let (mut vector, mut n_iters, mut error) = (start, 0, f64::INFINITY);
    for _ in 0..=params.n_restarts {
        let mut basis = Krylov::new(vector);
        let ritz = basis.grow(gram, params)?;
        vector = unit_combination(&ritz.weights, &basis.vectors);
        n_iters += basis.diagonal.len();
        error = ritz.error;
        if ritz.is_accurate(params) {
            break;
        }
    }
    Ok(measured(gram, vector, error, n_iters + 1))
}

/// Takes the Rayleigh quotient from the matrix itself, since the basis only implies it.
fn measured(gram: &GramMatrix, vector: Vec<f64>, error: f64, n_iters: usize) -> EigenPair {
    let value = dot(&gram.apply(&vector), &vector) / dot(&vector, &vector);
    EigenPair { value, error, vector, n_iters }
}

/// An orthonormal basis of the span of x, Gx, G²x, …, in which G is tridiagonal.
struct Krylov {
    vectors: Vec<Vec<f64>>,
    diagonal: Vec<f64>,
    /// The last one couples to what is outside.
    off_diagonal: Vec<f64>,
}

/// The largest eigenvalue in a basis.
struct Ritz {
    value: f64,
    error: f64,
    weights: Vec<f64>,
}

impl Krylov {
    fn new(mut start: Vec<f64>) -> Self {
        normalize(&mut start);
        Self { vectors: vec![start], diagonal: vec![], off_diagonal: vec![] }
    }

    fn grow(&mut self, gram: &GramMatrix, params: &IntervalParams) -> Result<Ritz, EstimateError> {
        let n_steps = params.n_steps.min(gram.side());
        loop {
            let is_closed = self.extend(gram);
            let count = self.diagonal.len();
            let is_last = is_closed || count >= n_steps;
            if is_last || count.is_multiple_of(STEPS_BETWEEN_CHECKS) {
                let ritz = self.leading()?;
                if is_last || ritz.is_accurate(params) {
                    return Ok(ritz);
                }
            }
        }
    }

    /// Adds one vector, and returns whether G maps the span into itself.
    fn extend(&mut self, gram: &GramMatrix) -> bool {
        let last = &self.vectors[self.diagonal.len()];
        let mut image = gram.apply(last);
        let alpha = dot(&image, last);
        for vector in self.vectors.iter().rev() {
            add_scaled(-dot(vector, &image), vector, &mut image);
        }
        let beta = normalize(&mut image);
        self.diagonal.push(alpha);
        let is_closed = beta <= BREAKDOWN * self.diagonal.iter().copied().fold(0.0, f64::max);
        self.off_diagonal.push(if is_closed { 0.0 } else { beta });
        self.vectors.push(image);
        is_closed
    }

    /// Returns the leading pair of the tridiagonal matrix T.
    ///
    /// With r = βₖ|last weight| the norm of the residual, some eigenvalue lies within r of the value,
    /// and if the second of T is near the second of G, the largest is at most r²/(θ₁ − θ₂) above.
    fn leading(&self) -> Result<Ritz, EstimateError> {
        let size = self.diagonal.len();
        let (values, vectors) = symmetric_eigen(self.tridiagonal().as_ref())?;
        let value = values[size - 1];
        let residual = self.off_diagonal[size - 1] * vectors[(size - 1, size - 1)].abs();
        let gap = if size > 1 { value - values[size - 2] } else { 0.0 };
        Ok(Ritz {
            value,
            error: if gap > residual { residual * (residual / gap) } else { residual },
            weights: vectors.col(size - 1).iter().copied().collect(),
        })
    }

    fn tridiagonal(&self) -> Mat<f64> {
        let size = self.diagonal.len();
        Mat::from_fn(size, size, |row, col| match row.abs_diff(col) {
            0 => self.diagonal[row],
            1 => self.off_diagonal[row.min(col)],
            _ => 0.0,
        })
    }
}

impl Ritz {
    /// Whether what is missing is small beside the distance at which a factorisation is tried.
    fn is_accurate(&self, params: &IntervalParams) -> bool {
        self.error <= 0.1 * params.tolerance * self.value
    }
}
