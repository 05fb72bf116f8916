//! Both reshapings of a convolution's kernel: what bidirectional normalisation measures.

use crate::{
    estimate::EstimateError,
    interval::Interval,
    operator::{DenseMap, Layout},
    rounding::add_up,
    sigma_interval::{IntervalParams, sigma_interval},
};

/// Sees a weight as `[out, in·k…]` and as `[in, out·k…]`, the same memory twice.
///
/// [`View::Bidirectional`](crate::View::Bidirectional) takes the mean of both σ (Lin, Sekar, Fanti
/// 2021), and ∂σ/∂W is the mean of their u vᵀ, each in its own layout. For a matrix `[out, in]` one
/// map is the transpose of the other, so the mean is the σ of the matrix itself.
///
/// # Errors
///
/// As [`DenseMap::from_tensor`].
///
/// # Panics
///
/// If `entries` does not fill `shape`, or an axis is not one of it.
///
/// # Example
///
/// ```
/// use osn_core::{both_reshapings, exact};
///
/// // One output, two inputs, two taps: [(3, 0), (4, 0)] is a row of length 5, or two of rank one.
/// let [by_output, by_input] = both_reshapings(&[3.0_f32, 0.0, 4.0, 0.0], &[1, 2, 2], 0, 1)?;
/// let mean = (exact(&by_output)?.sigma + exact(&by_input)?.sigma) / 2.0;
/// assert!((mean - 5.0).abs() < 1e-14);
/// # Ok::<(), osn_core::EstimateError>(())
/// ```
pub fn both_reshapings<'a, T: Into<f64> + Copy>(
    entries: &'a [T],
    shape: &[usize],
    output_axis: usize,
    input_axis: usize,
) -> Result<[DenseMap<'a, T>; 2], EstimateError> {
    Ok([
        DenseMap::from_tensor(entries, shape, output_axis)?,
        DenseMap::from_tensor(entries, shape, input_axis)?,
    ])
}

/// Returns the mean of the σ of both reshapings, with certain bounds.
///
/// Both ends are the mean of those of [`sigma_interval`], rounded outwards.
///
/// # Errors
///
/// As [`sigma_interval`].
///
/// # Panics
///
/// As [`sigma_interval`], or if an axis is not one of `shape`.
pub fn bidirectional_interval<T: Into<f64> + Copy + Sync>(
    entries: &[T],
    shape: &[usize],
    output_axis: usize,
    input_axis: usize,
    params: &IntervalParams,
) -> Result<Interval, EstimateError> {
    let along = |axis| sigma_interval(entries, Layout::new(shape, axis), params);
    let (by_output, by_input) = (along(output_axis)?.sigma, along(input_axis)?.sigma);
    // Halved before they are added, so that the largest numbers do not overflow.
    let value = by_output.value / 2.0 + by_input.value / 2.0;
    let lower = (by_output.lower / 2.0).next_down() + (by_input.lower / 2.0).next_down();
    let upper = add_up((by_output.upper / 2.0).next_up(), (by_input.upper / 2.0).next_up());
    if by_output.upper + by_input.upper == 0.0 {
        return Ok(Interval::exactly(0.0));
    }
    Ok(Interval::around(value, lower.next_down().max(0.0), upper))
}
