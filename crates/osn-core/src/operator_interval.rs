//! Bounds of the largest singular value of a true convolution, whatever lies beyond its edges.

use crate::{
    circular::{Symbol, Torus, norm_down, norm_up},
    conv_map::ConvMap,
    convolution::{Boundary, Geometry},
    estimate::{EstimateError, start_vector},
    golub_kahan::{GolubKahanParams, golub_kahan},
    interval::Interval,
    operator::LinearMap,
    rounding::{gamma, multiply_up, power_of_two_scale, sqrt_up, subtract_down},
    vector::largest_magnitude,
};

/// Golub-Kahan to here: σ is then off by about the square of it, far less than the edges make.
const TOLERANCE: f64 = 1e-4;

/// Returns the largest singular value of a convolution as an operator, with proven bounds.
///
/// **From below**, ‖Aᵀu‖/‖u‖ for the u that [`golub_kahan`] finds: as close as that converges, and
/// true even where it does not.
///
/// **From above**, the σ of a circular convolution of which this one is a part:
///
/// | boundary | σ(A) | equal |
/// |---|---|---|
/// | circular, once around | = σ(torus) | always |
/// | circular, r times around | ≤ √r·σ(torus) | r whole in every dimension |
/// | zero | ≤ σ(torus) | kernels that do not overlap, kernels of one tap, single outputs |
///
/// A zero-padded convolution is what is left of one on a torus if only inputs within the image and
/// outputs that exist are kept. For that the torus must be just large enough that no tap reaches the
/// image around the far side: input + max(padding) positions, made a multiple of the stride. On it
/// [`circular_interval`](crate::circular_interval) is exact to about 1e-7.
///
/// So for zero padding **the interval is as wide as the edges matter**: the wave that a kernel
/// amplifies most loses what falls outside, a fraction of about (taps/size)² for smooth kernels. No
/// bound here closes that gap; the width is what says how large it is.
///
/// # Errors
///
/// [`EstimateError`] if an entry is not finite, or a decomposition fails.
///
/// # Panics
///
/// If `kernel` does not hold out·in/groups·taps numbers.
///
/// # Example
///
/// ```
/// use osn_core::{Convolution, operator_interval};
///
/// // The mean of three neighbours: 1 on an endless line, cos(π/101)·⅔ + ⅓ on a hundred positions.
/// let geometry = Convolution::new([100]).geometry(&[1, 1, 3])?;
/// let third = 1.0 / 3.0;
/// let interval = operator_interval(&[third; 3], &geometry)?;
/// let exact = third + 2.0 * third * (std::f64::consts::PI / 101.0).cos();
/// assert!(interval.contains(exact) && interval.relative_width() < 1e-3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn operator_interval<T: Into<f64> + Copy>(
    kernel: &[T],
    geometry: &Geometry,
) -> Result<Interval, EstimateError> {
    EstimateError::check_entries(kernel)?;
    let scale = power_of_two_scale(largest_magnitude(kernel));
    let scaled: Vec<f64> = kernel.iter().map(|&entry| entry.into() * scale).collect();
    let interval = interval_of_scaled(&scaled, geometry)?;
    if interval.upper == 0.0 {
        return Ok(interval);
    }
    let lower = (interval.lower / scale).next_down().max(0.0);
    let upper = (interval.upper / scale).next_up();
    Ok(Interval::around(interval.value / scale, lower, upper))
}

fn interval_of_scaled(kernel: &[f64], geometry: &Geometry) -> Result<Interval, EstimateError> {
    let on_torus = Symbol::new(kernel, geometry, Torus::around(geometry))?.interval()?;
    let (repeats, is_even) = repeats(geometry);
    let upper =
        if repeats == 1.0 { on_torus.upper } else { multiply_up(sqrt_up(repeats), on_torus.upper) };
    if geometry.boundary == Boundary::Circular && is_even {
        let lower = (repeats.sqrt() * on_torus.lower).next_down().next_down().max(0.0);
        return Ok(Interval::around(repeats.sqrt() * on_torus.value, lower, upper));
    }
    let (value, lower) = from_below(&ConvMap::new(kernel, *geometry)?, kernel, repeats)?;
    Ok(Interval::around(value, lower, upper))
}

/// Returns the estimate of [`golub_kahan`], and a lower bound of σ with all rounding taken off.
///
/// An entry of Aᵀu is a sum of at most out/groups·taps·repeats products, so its rounding is at most γ of
/// that many times |A|ᵀ|u|, and ‖|A|‖ ≤ √(taps·repeats)·‖K‖_F, as for the convolution on a torus whose
/// kernel is |K|.
fn from_below(
    map: &ConvMap<'_, f64>,
    kernel: &[f64],
    repeats: f64,
) -> Result<(f64, f64), EstimateError> {
    let params = GolubKahanParams { tolerance: TOLERANCE, ..GolubKahanParams::default() };
    let estimate = golub_kahan(map, &start_vector(map.cols()), &params)?;
    let mut image = vec![0.0; map.cols()];
    map.apply_transpose(&estimate.u, &mut image);
    let sizes = map.geometry();
    let terms = sizes.out_per_group() as f64 * sizes.taps() as f64 * repeats;
    let magnitude = multiply_up(sqrt_up(sizes.taps() as f64 * repeats), norm_up(kernel));
    let length = norm_up(&estimate.u);
    let rounding = multiply_up(gamma(2.0 * (terms + 8.0)), multiply_up(magnitude, length));
    let lower = (subtract_down(norm_down(&image), rounding) / length).next_down();
    Ok((estimate.sigma, lower.max(0.0)))
}

/// Returns the most times that outputs go around a circular image, in all dimensions together, and
/// whether every position is met that often; once for zero padding.
fn repeats(geometry: &Geometry) -> (f64, bool) {
    if geometry.boundary == Boundary::Zero {
        return (1.0, true);
    }
    let torus = Torus::around(geometry);
    let around = |axis: usize| torus.size[axis] / torus.stride[axis];
    let times = (0..3).map(|axis| geometry.output[axis].div_ceil(around(axis)) as f64);
    let is_even = (0..3).all(|axis| geometry.output[axis].is_multiple_of(around(axis)));
    (times.product(), is_even)
}

impl Torus {
    /// Returns a torus of whose circular convolution this one is a part.
    fn around(geometry: &Geometry) -> Self {
        let along = [0, 1, 2].map(|axis| match geometry.boundary {
            Boundary::Zero => room_for(geometry, axis),
            Boundary::Circular => {
                let size = geometry.input[axis];
                (size, greatest_common_divisor(size, geometry.stride[axis]))
            }
        });
        Self { size: along.map(|(size, _)| size), stride: along.map(|(_, stride)| stride) }
    }
}

/// Returns the size of a torus on which no tap reaches a zero-padded image around the far side, and
/// no output is met twice, and its stride.
///
/// A single output needs no second place, so its stride is the whole torus: the bound is then exact.
fn room_for(geometry: &Geometry, axis: usize) -> (usize, usize) {
    let (outputs, stride) = (geometry.output[axis], geometry.stride[axis]);
    let (before, _) = geometry.padding[axis];
    let end = stride * (outputs - 1) + geometry.reach()[axis];
    let beyond = end.saturating_sub(before + geometry.input[axis]);
    let needed = geometry.input[axis] + before.max(beyond);
    if outputs == 1 {
        return (needed, needed);
    }
    (needed.max(stride * outputs).next_multiple_of(stride), stride)
}

fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}
