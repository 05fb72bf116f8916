//! The spectrum of a convolution on a torus: one small matrix for each frequency.

use faer::{Mat, c64};

use crate::measure::convolution::geometry::{Boundary, Geometry};
use crate::measure::decompose::singular_values;
use crate::measure::error::EstimateError;
use crate::measure::vector::{dot, largest_magnitude, power_of_two_scale};

/// Returns all min(rows, cols) singular values of a circular convolution, largest first.
///
/// At stride 1 the discrete Fourier transform turns A into one matrix for each frequency ω of the
/// torus of n₁×n₂×… positions (Sedghi, Gupta, Long 2019),
///
/// ```text
/// K̂(ω)[o, i] = Σ_q K[o, i, q]·exp(2πi·Σ_a ω_a·dilation_a·q_a/n_a)
/// ```
///
/// and the singular values of A are those of all K̂(ω). With a stride s that divides n, A maps the
/// frequencies ω, ω + n/s, ω + 2n/s, … of x to the same frequency of A x, so they stand side by side:
///
/// ```text
/// M(ω) = [K̂(ω) K̂(ω + n/s) …]/√(s₁⋯s_d),    0 ≤ ω_a < n_a/s_a
/// ```
///
/// where 1/√s is the ratio of the lengths of a wave on n/s and on n positions. A padding only moves
/// A x around the torus. Groups do not mix: their values are put together. M(−ω) is the complex
/// conjugate of M(ω), so half of the frequencies is enough.
///
/// The transform is a plain sum over the taps. A kernel has few of them and the decompositions cost
/// min(out, in) times more than their matrices, so a fast transform would save nothing, and the sum
/// is as exact for every size: its angles are reduced as whole numbers.
///
/// These are the values to rounding, neither a lower nor an upper bound; for a proven one of the
/// largest see `circular_interval` in `measure::bounds`. Time is O(positions·out·in·min(out, in)).
///
/// # Errors
///
/// [`CircularError::NotOnceAround`] if the outputs do not go around the torus exactly once: the
/// boundary must be circular and rows·stride cover each dimension;
/// [`CircularError::Estimate`] if an entry is not finite or a decomposition fails.
///
/// # Panics
///
/// If `kernel` does not hold out·in/groups·taps numbers.
///
/// # Example
///
/// ```
/// use osn_core::measure::convolution::{Convolution, circular_singular_values};
///
/// // Differences of neighbours on a circle of four: |exp(iωπ/2) − 1| = 2, √2, √2, 0.
/// let geometry = Convolution::new([4]).circular().geometry(&[1, 1, 2])?;
/// let values = circular_singular_values(&[-1.0_f32, 1.0], &geometry)?;
/// let expected = [2.0, 2.0_f64.sqrt(), 2.0_f64.sqrt(), 0.0];
/// assert!(values.iter().zip(expected).all(|(value, exact)| (value - exact).abs() < 1e-15));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn circular_singular_values<T: Into<f64> + Copy>(
    kernel: &[T],
    geometry: &Geometry,
) -> Result<Vec<f64>, CircularError> {
    let symbol = Symbol::new(kernel, geometry, Torus::once_around(geometry)?)?;
    let mut values = Vec::with_capacity(geometry.rows().min(geometry.cols()));
    for group in 0..geometry.groups {
        for frequency in symbol.torus.half_of_frequencies() {
            let matrix = symbol.matrix(group, frequency.at);
            let of_matrix = singular_values(matrix.as_ref())?;
            let scaled = of_matrix.iter().map(|value| value / symbol.scale);
            (0..frequency.multiplicity).for_each(|_| values.extend(scaled.clone()));
        }
    }
    values.sort_unstable_by(|a, b| b.total_cmp(a));
    Ok(values)
}

/// Why a convolution has no exact circular spectrum.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CircularError {
    /// The outputs do not go around the torus exactly once.
    #[error(
        "the outputs do not go once around dimension {axis} of 3: a circular spectrum needs a \
         circular boundary, a stride that divides the size, and size/stride outputs"
    )]
    NotOnceAround {
        /// The dimension, counted from the first of three.
        axis: usize,
    },
    /// The weight is not finite, or a decomposition failed.
    #[error(transparent)]
    Estimate(#[from] EstimateError),
}

/// The positions on which a convolution is circular.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Torus {
    /// Positions along each dimension, a multiple of `stride`.
    pub(crate) size: [usize; 3],
    /// Positions from one output to the next.
    pub(crate) stride: [usize; 3],
}

impl Torus {
    pub(crate) fn once_around(geometry: &Geometry) -> Result<Self, CircularError> {
        let torus = Self { size: geometry.input, stride: geometry.stride };
        let fits = |axis: &usize| {
            geometry.boundary == Boundary::Circular
                && torus.stride[*axis] * geometry.output[*axis] == torus.size[*axis]
        };
        match (0..3).find(|axis| !fits(axis)) {
            Some(axis) => Err(CircularError::NotOnceAround { axis }),
            None => Ok(torus),
        }
    }

    /// How many frequencies of x become one of A x.
    pub(crate) fn aliases(&self) -> usize {
        self.stride.iter().product()
    }

    /// The frequencies of A x, one of each pair ω and −ω.
    pub(crate) fn half_of_frequencies(self) -> impl Iterator<Item = Frequency> {
        let counts = [0, 1, 2].map(|axis| self.size[axis] / self.stride[axis]);
        (0..counts.iter().product()).filter_map(move |index: usize| {
            let at = place_in(counts, index);
            let mirrored = [0, 1, 2].map(|axis| (counts[axis] - at[axis]) % counts[axis]);
            let multiplicity = if mirrored == at { 1 } else { 2 };
            (at <= mirrored).then_some(Frequency { at, multiplicity })
        })
    }
}

/// A frequency, and how many there are with the same singular values.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frequency {
    pub(crate) at: [usize; 3],
    multiplicity: usize,
}

/// Returns the place of flat `index` in row-major `sizes`.
fn place_in(sizes: [usize; 3], index: usize) -> [usize; 3] {
    let line = index / sizes[2];
    [line / sizes[1], line % sizes[1], index % sizes[2]]
}

/// The most numbers in x and A x together, and the most positions of the torus. All frequencies are
/// in memory with their norms, as are the vectors of the iteration: this many take 3 GB.
const MAX_NUMBERS: usize = 1 << 25;

/// Refuses what would not fit into memory, before any is taken.
fn check_size(geometry: &Geometry, torus: Torus) -> Result<(), EstimateError> {
    let product = |channels: usize, sizes: [usize; 3]| {
        sizes.iter().map(|&size| size as f64).product::<f64>() * channels as f64
    };
    let of_map = product(geometry.in_channels, geometry.input)
        + product(geometry.out_channels, geometry.output);
    let numbers = of_map.max(product(1, torus.size));
    if numbers <= MAX_NUMBERS as f64 {
        return Ok(());
    }
    Err(EstimateError::TooLarge { numbers, most: MAX_NUMBERS })
}

/// The matrices M(ω) of a kernel on a torus.
#[derive(Debug)]
pub(crate) struct Symbol {
    /// The kernel times `scale`.
    pub(crate) kernel: Vec<f64>,
    /// The power of two that brings the largest entry into [1, 2), so that nothing overflows.
    pub(crate) scale: f64,
    pub(crate) geometry: Geometry,
    pub(crate) torus: Torus,
}

impl Symbol {
    pub(crate) fn new<T: Into<f64> + Copy>(
        kernel: &[T],
        geometry: &Geometry,
        torus: Torus,
    ) -> Result<Self, EstimateError> {
        assert_eq!(kernel.len(), geometry.kernel_len(), "the kernel does not fit {geometry:?}");
        EstimateError::check_entries(kernel)?;
        check_size(geometry, torus)?;
        let scale = power_of_two_scale(largest_magnitude(kernel));
        let kernel = kernel.iter().map(|&entry| entry.into() * scale).collect();
        Ok(Self { kernel, scale, geometry: *geometry, torus })
    }

    /// Returns M(ω) of one group, `[out/groups, in/groups·aliases]`.
    pub(crate) fn matrix(&self, group: usize, frequency: [usize; 3]) -> Mat<c64> {
        let (height, inputs) = (self.geometry.out_per_group(), self.geometry.in_per_group());
        let (taps, depth) = (self.geometry.taps(), self.geometry.depth());
        let waves: Vec<Wave> = (0..self.torus.aliases())
            .map(|alias| self.wave(self.alias(frequency, alias)))
            .collect();
        let of_group = &self.kernel[group * height * depth..][..height * depth];
        Mat::from_fn(height, inputs * waves.len(), |row, column| {
            let (wave, input) = (&waves[column / inputs], column % inputs);
            let entries = &of_group[row * depth + input * taps..][..taps];
            c64::new(dot(entries, &wave.real), dot(entries, &wave.imaginary))
        })
    }

    /// Returns the frequency of x that is the `alias`-th to become `frequency` of A x.
    pub(crate) fn alias(&self, frequency: [usize; 3], alias: usize) -> [usize; 3] {
        let place = place_in(self.torus.stride, alias);
        let step = |axis: usize| self.torus.size[axis] / self.torus.stride[axis];
        [0, 1, 2].map(|axis| frequency[axis] + place[axis] * step(axis))
    }

    /// Returns `exp(2πi·Σ_a ω_a·dilation_a·q_a/n_a)/√aliases` for each tap q.
    fn wave(&self, frequency: [usize; 3]) -> Wave {
        let geometry = &self.geometry;
        let along = [0, 1, 2].map(|axis| -> Vec<c64> {
            let size = self.torus.size[axis];
            let step = frequency[axis] * (geometry.dilation[axis] % size) % size;
            (0..geometry.kernel[axis])
                .map(|tap| root_of_unity(step * (tap % size) % size, size))
                .collect()
        });
        let length = (self.torus.aliases() as f64).sqrt();
        let taps = (0..geometry.taps()).map(|tap| {
            let place = place_in(geometry.kernel, tap);
            along[0][place[0]] * along[1][place[1]] * along[2][place[2]] / length
        });
        let (real, imaginary) = taps.map(|phase| (phase.re, phase.im)).unzip();
        Wave { real, imaginary }
    }
}

/// What a wave is at each tap of the kernel.
struct Wave {
    real: Vec<f64>,
    imaginary: Vec<f64>,
}

/// Returns exp(2πi·index/size) for `index` < `size`, from an angle of at most π.
pub(crate) fn root_of_unity(index: usize, size: usize) -> c64 {
    let turns = if 2 * index > size { -((size - index) as f64) } else { index as f64 };
    let (sine, cosine) = (std::f64::consts::TAU * (turns / size as f64)).sin_cos();
    c64::new(cosine, sine)
}
