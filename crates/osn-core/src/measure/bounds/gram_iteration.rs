//! Gram iteration: an upper bound of σ that needs no start and no convergence.

use crate::measure::bounds::rounding::{add_up, multiply_up, sqrt_up};
use crate::measure::error::EstimateError;
use crate::measure::gram_matrix::{GramMatrix, largest_finite_magnitude};
use crate::measure::operator::Layout;
use crate::measure::vector::largest_magnitude;

/// Returns an upper bound of σ of a weight tensor seen through `layout`, by Gram iteration.
///
/// From M₀ = A it squares the singular values over and over (Delattre et al. 2023, Efficient bound of
/// Lipschitz constant for convolutional layers by Gram iteration):
///
/// ```text
/// Mₖ₊₁ = MₖᵀMₖ,    σ = σ(M_N)^(2^−N) ≤ ‖M_N‖_F^(2^−N) ≤ r^(2^−(N+1))·σ
/// ```
///
/// so after N = `n_iters` iterations it is the Schatten norm of order 2^(N+1), and too large by a
/// factor of at most r^(2^−(N+1)), r the rank: 1.6 % at N = 8 for r = 4096, 0.4 % at N = 10.
///
/// In floating point the plain recurrence falls below σ. Here each iteration bounds the matrix that was
/// in fact computed. Let Sₖ = 2^t·M̂ₖ, with a power of two that keeps its entries near 1, and
/// M̂ₖ₊₁ = fl(`SₖᵀSₖ`), with ‖M̂ₖ₊₁ − SₖᵀSₖ‖₂ ≤ δₖ. Then the bound goes back from the last matrix to the
/// first as
///
/// ```text
/// b_N = ‖M̂_N‖_F,    bₖ = 2^(−t)·√(bₖ₊₁ + δₖ) ≥ σ(M̂ₖ)
/// ```
///
/// with every operation rounded up. So the result is an upper bound of σ with rounding included. It
/// is ‖A‖_F for `n_iters` = 0, infinite only where σ may be beyond the largest `f64`, and 0 for a zero
/// matrix.
///
/// Time is O(m·p² + `n_iters`·p³), m = max(rows, cols) and p = min(rows, cols), and memory about 20·p² bytes.
/// The bits do not depend on the number of threads.
///
/// # Errors
///
/// [`EstimateError::NonFiniteEntry`] names the flat index of the first bad entry;
/// [`EstimateError::Empty`] if there is none at all.
///
/// # Panics
///
/// If `entries` do not fill `layout`.
///
/// # Example
///
/// ```
/// use osn_core::measure::Layout;
/// use osn_core::measure::bounds::gram_iteration;
///
/// let weight = [3.0_f32, 0.0, 0.0, 1.0, 0.0, 0.0];
/// let upper = gram_iteration(&weight, Layout::new(&[2, 3], 0), 10)?;
/// assert!(10.0_f64.sqrt() <= upper && upper < 10.0_f64.sqrt() + 1e-12);
/// # Ok::<(), osn_core::measure::EstimateError>(())
/// ```
pub fn gram_iteration<T: Into<f64> + Copy + Sync>(
    entries: &[T],
    layout: Layout,
    n_iters: usize,
) -> Result<f64, EstimateError> {
    assert_eq!(entries.len(), layout.rows * layout.cols(), "entries do not fill {layout:?}");
    EstimateError::check_not_empty(layout.rows, layout.cols())?;
    let largest = largest_finite_magnitude(entries)?;
    if largest == 0.0 {
        return Ok(0.0);
    }
    let mut gram = GramMatrix::of(entries, layout, largest);
    let mut steps = vec![Step::of(&gram)];
    for _ in 0..n_iters {
        gram = square_of(gram);
        steps.push(Step::of(&gram));
    }
    Ok(unwound(&steps))
}

/// Returns the Gram matrix `GᵀG` of a Gram matrix G.
fn square_of(gram: GramMatrix) -> GramMatrix {
    let (side, dense) = (gram.side(), gram.to_dense());
    drop(gram);
    let layout = Layout { outer: 1, rows: side, inner: side };
    GramMatrix::of(&dense, layout, largest_magnitude(&dense))
}

/// What is left of one iteration: enough to take the bound of the next one back through it.
///
/// Both are of the scaled matrix 2^t·M̂ₖ of which the Gram matrix was formed.
struct Step {
    /// At least ‖2^t·M̂ₖ‖_F².
    squared_norm: f64,
    /// At least δₖ, of the scaled matrix.
    error: f64,
    /// The power of two 2^t.
    scale: f64,
}

impl Step {
    fn of(gram: &GramMatrix) -> Self {
        Self { squared_norm: gram.squared_norm_up(), error: gram.error_up(), scale: gram.scale() }
    }

    /// Returns at least σ(M̂ₖ), from at least its scaled square.
    fn root(&self, squared: f64) -> f64 {
        multiply_up(sqrt_up(squared), 1.0 / self.scale)
    }
}

/// Takes the norm of the last matrix back to a bound of σ(A).
fn unwound(steps: &[Step]) -> f64 {
    let mut backwards = steps.iter().rev();
    let last = backwards.next().map_or(0.0, |step| step.root(step.squared_norm));
    backwards.fold(last, |bound, step| step.root(add_up(bound, step.error).min(step.squared_norm)))
}

/// Returns an upper bound of σ of a complex matrix, given as its real and imaginary parts.
///
/// Both are `[rows, cols]`, row-major. It is [`gram_iteration`] of the real matrix
/// `[[Re, −Im], [Im, Re]]`, whose singular values are those of the complex one, each twice. So it is
/// too large by a factor of at most (2r)^(2^−(N+1)).
///
/// # Errors
///
/// As [`gram_iteration`]; the index is that in the real parts, or, counted on behind them, in the
/// imaginary ones.
///
/// # Panics
///
/// If either part does not hold rows·cols numbers.
pub fn gram_iteration_complex(
    real: &[f64],
    imaginary: &[f64],
    rows: usize,
    cols: usize,
    n_iters: usize,
) -> Result<f64, EstimateError> {
    assert_eq!(real.len(), rows * cols, "the real part is not {rows}x{cols}");
    assert_eq!(imaginary.len(), rows * cols, "the imaginary part is not {rows}x{cols}");
    EstimateError::check_not_empty(rows, cols)?;
    EstimateError::check_entries(&[real, imaginary].concat())?;
    let embedded = real_embedding(real, imaginary, cols);
    gram_iteration(&embedded, Layout { outer: 1, rows: 2 * rows, inner: 2 * cols }, n_iters)
}

/// Returns `[[Re, −Im], [Im, Re]]`, row-major.
fn real_embedding(real: &[f64], imaginary: &[f64], cols: usize) -> Vec<f64> {
    let rows = || real.chunks_exact(cols).zip(imaginary.chunks_exact(cols));
    let upper = rows().flat_map(|(re, im)| re.iter().copied().chain(im.iter().map(|x| -x)));
    let lower = rows().flat_map(|(re, im)| im.iter().chain(re).copied());
    upper.chain(lower).collect()
}
