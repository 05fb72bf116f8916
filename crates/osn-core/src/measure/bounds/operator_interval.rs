//! Bounds of the largest singular value of a true convolution, whatever lies beyond its edges.

use std::f64::consts::PI;

use faer::c64;

use crate::measure::bounds::circular_interval::{Largest, larger_of, norm_down, norm_up};
use crate::measure::bounds::interval::Interval;
use crate::measure::bounds::rounding::{gamma, multiply_up, sqrt_up, subtract_down};
use crate::measure::bounds::sigma_interval::{IntervalParams, sigma_interval};
use crate::measure::convolution::circular::{Symbol, Torus, root_of_unity};
use crate::measure::convolution::geometry::{Boundary, Geometry, greatest_divisor};
use crate::measure::convolution::map::ConvMap;
use crate::measure::convolution::patches::Patches;
use crate::measure::decompose::leading_triplet;
use crate::measure::error::EstimateError;
use crate::measure::estimate::{Estimate, start_vector};
use crate::measure::golub_kahan::{GolubKahanParams, golub_kahan};
use crate::measure::operator::{Layout, LinearMap};
use crate::measure::vector::{largest_magnitude, norm, power_of_two_scale};

/// A map of one group is written out if it has no more entries: 80 MB.
const MAX_WRITTEN_OUT: usize = 10_000_000;

/// And if the Gram matrices of all groups take no more multiplications: a few seconds.
const MAX_GRAM_WORK: f64 = 5e10;

/// The most numbers in the vectors of one cycle of Golub-Kahan.
const MAX_BASIS: usize = 1 << 27;

/// The most cycles of Golub-Kahan.
const MAX_CYCLES: usize = 16;

/// Returns the largest singular value of a convolution as an operator, with proven bounds.
///
/// A small map is written out and bounded by [`sigma_interval`], to 1e-6: where a group has at most
/// 10 million entries and the work stays within seconds, as 1 → 64 channels on 28×28 positions at
/// stride 2. A larger one is bounded as follows.
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
/// [`circular_interval`](crate::measure::bounds::circular_interval) is exact to about 1e-7.
///
/// So for zero padding **the interval is as wide as the edges matter**: the wave that a kernel
/// amplifies most must fade out towards them, which costs a fraction that falls with the square of the
/// size. No bound here closes that gap; the width says how large it is. Measured for random 3×3
/// kernels: 3·10⁻² on 7×7 positions, 4·10⁻³ on 14×14, 1·10⁻³ on 28×28, 4·10⁻⁴ on 56×56 and 4·10⁻⁵ on
/// 224×224.
///
/// # Errors
///
/// [`EstimateError`] if an entry is not finite, a decomposition fails, or x and A x together have
/// more than 2²⁵ numbers: nothing that large is allocated.
///
/// # Panics
///
/// If `kernel` does not hold out·in/groups·taps numbers.
///
/// # Example
///
/// ```
/// use osn_core::measure::bounds::operator_interval;
/// use osn_core::measure::convolution::Convolution;
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
    let interval = if is_small(geometry) {
        interval_of_written_out(&scaled, geometry)?
    } else {
        interval_around_torus(&scaled, geometry)?
    };
    Ok(interval.divided_by(scale))
}

/// Whether writing the map out is cheap, and exact: around a circle entries can be sums.
fn is_small(geometry: &Geometry) -> bool {
    let (rows, cols) = (geometry.rows() / geometry.groups, geometry.cols() / geometry.groups);
    let side = rows.min(cols) as f64;
    let work = geometry.groups as f64 * rows.max(cols) as f64 * side * side;
    let fits = rows.checked_mul(cols).is_some_and(|entries| entries <= MAX_WRITTEN_OUT);
    geometry.boundary == Boundary::Zero && fits && work <= MAX_GRAM_WORK
}

/// The largest of the groups', each as a matrix.
fn interval_of_written_out(kernel: &[f64], geometry: &Geometry) -> Result<Interval, EstimateError> {
    let patches = Patches::new(*geometry);
    let layout = Layout {
        outer: 1,
        rows: geometry.rows() / geometry.groups,
        inner: geometry.cols() / geometry.groups,
    };
    let mut largest = Interval::exactly(0.0);
    for of_group in kernel.chunks_exact(kernel.len() / geometry.groups) {
        let matrix = patches.written_out(of_group);
        let sigma = sigma_interval(&matrix, layout, &IntervalParams::default())?.sigma;
        largest = larger_of(largest, sigma);
    }
    Ok(largest)
}

fn interval_around_torus(kernel: &[f64], geometry: &Geometry) -> Result<Interval, EstimateError> {
    let symbol = Symbol::new(kernel, geometry, Torus::around(geometry))?;
    let largest = symbol.largest()?;
    let on_torus = largest.interval;
    let (repeats, is_even) = repeats(geometry);
    let upper =
        if repeats == 1.0 { on_torus.upper } else { multiply_up(sqrt_up(repeats), on_torus.upper) };
    if geometry.boundary == Boundary::Circular && is_even {
        let lower = (repeats.sqrt() * on_torus.lower).next_down().next_down().max(0.0);
        return Ok(Interval::around(repeats.sqrt() * on_torus.value, lower, upper));
    }
    let start = start_from(&leading_wave(&symbol, &largest, geometry)?);
    let map = ConvMap::new(kernel, *geometry)?;
    let estimate = converged(&map, &start, upper)?;
    let (value, lower) = (estimate.sigma, from_below(&map, kernel, repeats, &estimate.u));
    Ok(Interval::around(value, lower, upper))
}

/// Returns an estimate that is close to σ compared with how far `upper` is from it, or with 1e-4.
///
/// Values of convolutions lie close together. What is missing in σ was then at most some hundred times
/// the square of the residual, in which 2000 leaves a margin; the bound itself does not rest on it.
fn converged(map: &ConvMap<'_, f64>, start: &[f64], upper: f64) -> Result<Estimate, EstimateError> {
    let n_steps = steps_that_fit(map.rows() + map.cols());
    let one_cycle = GolubKahanParams { n_steps, tolerance: 0.0, n_restarts: 0 };
    let mut estimate = golub_kahan(map, start, &one_cycle)?;
    for _ in 1..MAX_CYCLES {
        let width = (upper - estimate.sigma) / upper;
        if 2000.0 * estimate.residual.powi(2) <= width.max(1e-4) {
            break;
        }
        estimate = golub_kahan(map, &estimate.v, &one_cycle)?;
    }
    Ok(estimate)
}

/// As many steps as are usual, or as many as keep the vectors of a cycle within 1 GB, but four.
fn steps_that_fit(numbers: usize) -> usize {
    (MAX_BASIS / numbers.max(1)).clamp(4, GolubKahanParams::default().n_steps)
}

/// Returns ‖Aᵀu‖/‖u‖ with all rounding taken off.
///
/// An entry of Aᵀu is a sum of at most out/groups·taps·repeats products, so its rounding is at most γ of
/// that many times |A|ᵀ|u|, and ‖|A|‖ ≤ √(taps·repeats)·‖K‖_F, as for the convolution on a torus whose
/// kernel is |K|.
fn from_below(map: &ConvMap<'_, f64>, kernel: &[f64], repeats: f64, u: &[f64]) -> f64 {
    let mut image = vec![0.0; map.cols()];
    map.apply_transpose(u, &mut image);
    let sizes = map.geometry();
    let taps = sizes.taps() as f64 * repeats;
    let terms = sizes.out_per_group() as f64 * taps;
    let magnitude = multiply_up(sqrt_up(taps), norm_up(kernel));
    let length = norm_up(u);
    let rounding = multiply_up(gamma(2.0 * (terms + 8.0)), multiply_up(magnitude, length));
    (subtract_down(norm_down(&image), rounding) / length).next_down().max(0.0)
}

/// The most frequencies that are added up to a wave.
const MAX_ALIASES: usize = 64;

/// Returns the image that the torus amplifies most, faded out towards the edges of the true one: close
/// to what the true convolution amplifies most, so that few iterations are left. Zeros where that
/// would take long to write down.
///
/// Each frequency ω of x contributes `v(ω)[i]·exp(2πi·Σ_a ω_a·(t_a + padding_a)/n_a)`, where the padding
/// is how far image and torus are shifted against each other.
fn leading_wave(
    symbol: &Symbol,
    largest: &Largest,
    geometry: &Geometry,
) -> Result<Vec<f64>, EstimateError> {
    let mut image = vec![0.0; geometry.cols()];
    if symbol.torus.aliases() > MAX_ALIASES {
        return Ok(image);
    }
    let matrix = symbol.matrix(largest.group, largest.frequency);
    let (_, _, leading) = leading_triplet(matrix.as_ref())?;
    let (inputs, length) = (geometry.in_per_group(), image.len() / geometry.groups);
    let of_group = &mut image[largest.group * length..][..length];
    for alias in 0..symbol.torus.aliases() {
        let frequency = symbol.alias(largest.frequency, alias);
        let along = [0, 1, 2]
            .map(|axis| faded_wave(frequency[axis], symbol.torus.size[axis], geometry, axis));
        for (channel, of_channel) in of_group.chunks_exact_mut(length / inputs).enumerate() {
            add_product(leading[alias * inputs + channel], &along, of_channel);
        }
    }
    Ok(image)
}

/// Returns a wave along one dimension of the image, times half a wave that fits into it.
fn faded_wave(frequency: usize, torus: usize, geometry: &Geometry, axis: usize) -> Vec<c64> {
    let (size, before) = (geometry.input[axis], geometry.padding[axis].0);
    let at = |position: usize| {
        let fade = PI * (position + 1) as f64 / (size + 1) as f64;
        root_of_unity(frequency * ((position + before) % torus) % torus, torus) * fade.sin()
    };
    (0..size).map(at).collect()
}

/// Adds the real part of `coefficient` times the product of three waves.
fn add_product(coefficient: c64, along: &[Vec<c64>; 3], image: &mut [f64]) {
    let [first, second, third] = along;
    let lines = first.iter().flat_map(|a| second.iter().map(move |b| a * b));
    for (line, pixels) in lines.zip(image.chunks_exact_mut(third.len())) {
        let amplitude = coefficient * line;
        for (pixel, wave) in pixels.iter_mut().zip(third) {
            *pixel += amplitude.re * wave.re - amplitude.im * wave.im;
        }
    }
}

/// Returns `wave` as a start: with a little of everything, so that it is orthogonal to nothing.
fn start_from(wave: &[f64]) -> Vec<f64> {
    let length = norm(wave);
    let mut start = start_vector(wave.len());
    if length > 0.0 {
        start.iter_mut().zip(wave).for_each(|(x, wave)| *x = 0.1 * *x + wave / length);
    }
    start
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

impl Geometry {
    /// Returns a circular convolution with the same kernel of which this zero-padded one is a part, so that
    /// its σ is at least this one's: on a torus that is just large enough for no tap to reach the image
    /// around the far side. It is what [`circular_interval`](crate::measure::bounds::circular_interval())
    /// takes. A circular convolution is wrapped onto the torus that its outputs go around.
    #[must_use]
    pub fn around_torus(&self) -> Self {
        let Torus { size, stride } = Torus::around(self);
        let output = [0, 1, 2].map(|axis| size[axis] / stride[axis]);
        Self { input: size, stride, output, boundary: Boundary::Circular, ..*self }
    }
}

impl Torus {
    /// Returns a torus of whose circular convolution this one is a part.
    fn around(geometry: &Geometry) -> Self {
        let along = [0, 1, 2].map(|axis| match geometry.boundary {
            Boundary::Zero => room_for(geometry, axis),
            Boundary::Circular => {
                let size = geometry.input[axis];
                (size, greatest_divisor(size, geometry.stride[axis]))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::bounds::circular_interval::circular_interval;
    use crate::measure::convolution::geometry::Convolution;
    use crate::measure::exact::exact;

    /// Every small layer along one dimension that fits together, beside a second one.
    fn small_layers() -> impl Iterator<Item = Geometry> {
        let choices = [5, 4, 3, 3, 5, 2];
        (0..choices.iter().product()).filter_map(move |mut index: usize| {
            let [size, kernel, stride, dilation, padding, groups] = choices.map(|count| {
                let choice = index % count;
                index /= count;
                choice
            });
            let padding = vec![(padding, padding / 2), (1, 0)];
            let layer = Convolution::new([size + 1, 3]).stride([stride + 1, 1]);
            let layer = layer.dilation([dilation + 1, 1]).groups(groups + 1);
            let layer = Convolution { padding: Some(padding), ..layer };
            layer.geometry(&[2 * (groups + 1), 1, kernel + 1, 2]).ok()
        })
    }

    #[test]
    fn a_torus_with_just_enough_room_bounds_every_small_layer() {
        let (mut count, mut tight) = (0, 0);
        for geometry in small_layers() {
            let kernel = start_vector(geometry.kernel_len());
            let sigma = exact(&ConvMap::new(&kernel, geometry).unwrap()).unwrap().sigma;
            let interval = interval_around_torus(&kernel, &geometry).unwrap();
            assert!(interval.lower <= sigma * (1.0 + 1e-14), "{geometry:?} {interval:?} {sigma}");
            assert!(interval.upper >= sigma * (1.0 - 1e-14), "{geometry:?} {interval:?} {sigma}");
            assert!(interval.value >= 0.99 * sigma, "{geometry:?} {interval:?} {sigma}");
            let on_torus = circular_interval(&kernel, &geometry.around_torus()).unwrap();
            assert_eq!(on_torus.upper, interval.upper, "{geometry:?}");
            count += 1;
            tight += usize::from(interval.relative_width() < 0.3);
        }
        assert!(count > 500 && tight > count / 2, "{tight} of {count} are tight");
    }

    #[test]
    fn an_image_that_fills_memory_is_refused_before_it_is_made() {
        let kernel = [1.0; 9];
        for size in [100_000, 1 << 15] {
            for layer in [Convolution::new([size, size]), Convolution::new([size, size]).circular()]
            {
                let geometry = layer.geometry(&[1, 1, 3, 3]).unwrap();
                let refused = operator_interval(&kernel, &geometry).unwrap_err();
                assert!(matches!(refused, EstimateError::TooLarge { .. }), "{refused}");
            }
        }
        let kernel = vec![1.0; 1 << 12];
        let many = Convolution::new([256, 256]).geometry(&[64, 64, 1, 1]).unwrap();
        assert!(operator_interval(&kernel, &many).is_ok());
    }

    #[test]
    fn one_position_less_would_be_no_bound() {
        // A constant kernel on four positions, padded by one: on a torus of five it sees each image
        // position once, on one of four the edges would meet.
        let geometry = Convolution::new([4]).padding([1]).geometry(&[1, 1, 3]).unwrap();
        assert_eq!(Torus::around(&geometry), Torus { size: [1, 1, 5], stride: [1, 1, 1] });
        let full = Convolution::new([4]).padding([2]).geometry(&[1, 1, 3]).unwrap();
        assert_eq!(Torus::around(&full).size, [1, 1, 6]);
        let strided = Convolution::new([8]).stride([3]).padding([1]).geometry(&[1, 1, 4]).unwrap();
        assert_eq!(Torus::around(&strided), Torus { size: [1, 1, 9], stride: [1, 1, 3] });
    }
}
