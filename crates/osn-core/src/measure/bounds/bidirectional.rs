//! Both reshapings of a convolution's kernel: what bidirectional normalisation measures.

use crate::measure::bounds::interval::Interval;
use crate::measure::bounds::rounding::add_up;
use crate::measure::bounds::sigma_interval::{IntervalParams, sigma_interval};
use crate::measure::error::EstimateError;
use crate::measure::operator::Layout;

/// Returns the mean of the σ of both reshapings, with certain bounds.
///
/// The reshapings are [`Layout::reshapings`], whose u vᵀ have ∂σ/∂W as their mean; for a matrix one is
/// the transpose of the other, so the mean is the σ of the matrix itself. Both ends are the mean of
/// those of [`sigma_interval`], rounded outwards.
///
/// # Errors
///
/// As [`sigma_interval`].
///
/// # Panics
///
/// As [`sigma_interval`] and [`Layout::reshapings`].
///
/// # Example
///
/// ```
/// use osn_core::measure::bounds::{IntervalParams, bidirectional_interval};
///
/// // One output, two inputs, two taps: [(3, 0), (4, 0)] is a row of length 5, or two of rank one.
/// let kernel = [3.0_f32, 0.0, 4.0, 0.0];
/// let interval = bidirectional_interval(&kernel, &[1, 2, 2], 0, &IntervalParams::default())?;
/// assert!(interval.contains(5.0));
/// # Ok::<(), osn_core::measure::EstimateError>(())
/// ```
pub fn bidirectional_interval<T: Into<f64> + Copy + Sync>(
    entries: &[T],
    shape: &[usize],
    output_axis: usize,
    params: &IntervalParams,
) -> Result<Interval, EstimateError> {
    let [by_output, by_input] = Layout::reshapings(shape, output_axis);
    let by_output = sigma_interval(entries, by_output, params)?.sigma;
    let by_input = sigma_interval(entries, by_input, params)?.sigma;
    // Halved before they are added, so that the largest numbers do not overflow.
    let value = by_output.value / 2.0 + by_input.value / 2.0;
    let lower = (by_output.lower / 2.0).next_down() + (by_input.lower / 2.0).next_down();
    let upper = add_up((by_output.upper / 2.0).next_up(), (by_input.upper / 2.0).next_up());
    if by_output.upper + by_input.upper == 0.0 {
        return Ok(Interval::exactly(0.0));
    }
    Ok(Interval::around(value, lower.next_down().max(0.0), upper))
}
