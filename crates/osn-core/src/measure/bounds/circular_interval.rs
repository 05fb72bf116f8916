//! Certain bounds of the largest singular value of a convolution on a torus.

use faer::{
    Accum, Mat, Par, Side, c64,
    linalg::matmul::{triangular, triangular::BlockStructure},
};
use rayon::prelude::*;

use crate::measure::bounds::interval::Interval;
use crate::measure::bounds::rounding::{
    UNDERFLOW, add_up, gamma, multiply_down, multiply_up, sqrt_up, subtract_down,
};
use crate::measure::convolution::circular::{CircularError, Frequency, Symbol, Torus};
use crate::measure::convolution::geometry::Geometry;
use crate::measure::decompose::leading_triplet;
use crate::measure::error::EstimateError;
use crate::measure::vector::norm;

/// Returns the largest singular value of a circular convolution, with proven bounds.
///
/// The lower bound is ‖M(ω) v‖/‖v‖ at the best frequency, with v from its decomposition. The upper
/// bound is, for every other frequency, a Cholesky factorisation of t²I − M Mᴴ that exists: then
/// σ(M) ≤ t but for rounding, which is added on (see the source for the terms). A factorisation takes
/// a tenth of the time of a decomposition, of which only a few are made: frequencies are visited by
/// falling Frobenius norm and end where that is below the bound. The relative width is about 1e-7.
///
/// # Errors
///
/// As [`circular_singular_values`](crate::measure::convolution::circular_singular_values).
///
/// # Panics
///
/// As [`circular_singular_values`](crate::measure::convolution::circular_singular_values).
pub fn circular_interval<T: Into<f64> + Copy>(
    kernel: &[T],
    geometry: &Geometry,
) -> Result<Interval, CircularError> {
    let symbol = Symbol::new(kernel, geometry, Torus::once_around(geometry)?)?;
    Ok(symbol.largest()?.interval)
}

/// How far above the largest value found, relative to it, the bound of the others is tried.
const MARGIN: f64 = 1e-7;

/// Roundings that a tap's phase may carry, generously: an angle of at most π with a relative error of
/// three, a sine and cosine from a good library, two complex products, a division.
const PHASE_ROUNDINGS: f64 = 100.0;

/// Frequencies that are bounded at a time, on all cores.
const AT_ONCE: usize = 32;

/// The largest singular value of all M(ω) so far, and where it is.
pub(crate) struct Largest {
    pub(crate) interval: Interval,
    pub(crate) group: usize,
    pub(crate) frequency: [usize; 3],
}

impl Largest {
    fn raise(&mut self, interval: Interval, group: usize, frequency: [usize; 3]) {
        if interval.value > self.interval.value {
            (self.group, self.frequency) = (group, frequency);
        }
        self.interval = larger_of(self.interval, interval);
    }
}

/// Returns the interval of the larger of two numbers.
pub(crate) fn larger_of(a: Interval, b: Interval) -> Interval {
    Interval {
        value: a.value.max(b.value),
        lower: a.lower.max(b.lower),
        upper: a.upper.max(b.upper),
    }
}

impl Symbol {
    /// Returns the largest singular value on the torus.
    pub(crate) fn largest(&self) -> Result<Largest, EstimateError> {
        let interval = Interval::exactly(0.0);
        let mut largest = Largest { interval, group: 0, frequency: [0; 3] };
        if self.kernel.iter().all(|&entry| entry == 0.0) {
            return Ok(largest);
        }
        for group in 0..self.geometry.groups {
            self.raise(group, &mut largest)?;
        }
        largest.interval = largest.interval.divided_by(self.scale);
        Ok(largest)
    }

    /// Makes `largest` one of `group` too.
    ///
    /// Its frequencies are tried against the largest value so far, many at a time. Where that is no
    /// bound, the matrix is decomposed and gives a larger one.
    fn raise(&self, group: usize, largest: &mut Largest) -> Result<(), EstimateError> {
        let error = self.transform_error(group);
        for frequencies in self.by_frobenius_norm(group).chunks(AT_ONCE) {
            if add_up(frequencies[0].0, error) <= largest.interval.upper {
                break;
            }
            let trial = largest.interval.value;
            let slice_at = |&(frobenius, at): &(f64, [usize; 3])| Slice {
                matrix: self.matrix(group, at),
                frobenius,
                error,
            };
            let bounds: Vec<_> =
                frequencies.par_iter().map(|entry| slice_at(entry).upper_bound(trial)).collect();
            for (bound, entry) in bounds.into_iter().zip(frequencies) {
                let interval = match bound {
                    Some(upper) => Interval { value: 0.0, lower: 0.0, upper },
                    None => slice_at(entry).interval(largest.interval.value)?,
                };
                largest.raise(interval, group, entry.1);
            }
        }
        Ok(())
    }

    /// Returns the frequencies with an upper bound of ‖M(ω)‖_F as it was computed, the largest first.
    fn by_frobenius_norm(&self, group: usize) -> Vec<(f64, [usize; 3])> {
        let half: Vec<_> = self.torus.half_of_frequencies().collect();
        let with_norm =
            |frequency: &Frequency| (frobenius_up(&self.matrix(group, frequency.at)), frequency.at);
        let mut frequencies: Vec<_> = half.par_iter().map(with_norm).collect();
        frequencies.sort_by(|a, b| b.0.total_cmp(&a.0));
        frequencies
    }

    /// Returns an upper bound of ‖computed M(ω) − M(ω)‖_F for every ω.
    ///
    /// Each entry is a sum over the taps, whose terms carry the roundings of their phase and of the
    /// sum, in its real and its imaginary part: at most `ε·Σ_q|K[o, i, q]|/√aliases`, with
    /// ε = 2·γ(taps + phase). By Cauchy and Schwarz `Σ_q|K| ≤ √taps·‖K[o, i]‖`, and all aliases and
    /// entries together give ε·√taps·‖K‖_F.
    fn transform_error(&self, group: usize) -> f64 {
        let length = self.kernel.len() / self.geometry.groups;
        let of_group = &self.kernel[group * length..][..length];
        let taps = self.geometry.taps() as f64;
        let relative = 2.0 * gamma(taps + PHASE_ROUNDINGS);
        multiply_up(multiply_up(relative, sqrt_up(taps)), norm_up(of_group))
    }
}

/// One M(ω), and what is known of its error.
struct Slice {
    matrix: Mat<c64>,
    /// At least ‖matrix‖_F.
    frobenius: f64,
    /// At least ‖matrix − M(ω)‖.
    error: f64,
}

impl Slice {
    /// Returns σ(M(ω)) between its bounds, or zero and an upper bound if that is at most `trial`.
    fn interval(&self, trial: f64) -> Result<Interval, EstimateError> {
        if self.side() == 1 {
            return Ok(self.interval_of_frobenius());
        }
        if let Some(upper) = self.upper_bound(trial) {
            return Ok(Interval { value: 0.0, lower: 0.0, upper });
        }
        let (value, lower) = self.leading_value()?;
        let frobenius = add_up(self.frobenius, self.error);
        Ok(Interval { value, lower, upper: self.upper_bound(value).unwrap_or(frobenius) })
    }

    /// A matrix of a single row or column has σ = ‖M‖_F.
    fn interval_of_frobenius(&self) -> Interval {
        let rounding = multiply_up(gamma(4.0 * (self.inner() + 16.0)), self.frobenius);
        let lower = subtract_down(subtract_down(self.frobenius, rounding), self.error);
        let upper = add_up(self.frobenius, self.error);
        Interval { value: self.frobenius, lower: lower.max(0.0), upper }
    }

    /// The shorter side of the matrix, and so of its Gram matrix.
    fn side(&self) -> usize {
        self.matrix.nrows().min(self.matrix.ncols())
    }

    /// Real products summed in each part of an entry of the Gram matrix.
    fn inner(&self) -> f64 {
        2.0 * self.matrix.nrows().max(self.matrix.ncols()) as f64
    }

    /// Returns the lower triangle of `M Mᴴ` or `MᴴM`, whichever is smaller.
    fn gram(&self) -> Mat<c64> {
        let matrix = self.matrix.as_ref();
        let transposed = matrix.nrows() > matrix.ncols();
        let wide = if transposed { matrix.transpose() } else { matrix };
        let mut gram = Mat::zeros(self.side(), self.side());
        triangular::matmul(
            gram.as_mut(),
            BlockStructure::TriangularLower,
            Accum::Replace,
            wide,
            BlockStructure::Rectangular,
            wide.adjoint(),
            BlockStructure::Rectangular,
            c64::new(1.0, 0.0),
            Par::Seq,
        );
        gram
    }

    /// Returns an upper bound of σ(M(ω)) that is at most a little above `trial`, if that is one.
    ///
    /// With Ĝ the computed Gram matrix of the computed M̂, t² the computed shift, and p its side:
    ///
    /// 1. ‖Ĝ‖_F ≤ t² gives λ(Ĝ) ≤ t². Otherwise, if the Cholesky factorisation of
    ///    H = fl(t²I − Ĝ) runs through, H + E = L Lᴴ is positive semidefinite with
    ///    ‖E‖ ≤ γ·‖L‖_F² (Higham 2002, theorem 10.3, for complex arithmetic), where ‖L‖_F² is the
    ///    trace of H + E, at most 2p·t². The diagonal of H is rounded once: λ(Ĝ) ≤ t² + slack.
    /// 2. σ(M̂)² = λ(M̂M̂ᴴ) ≤ λ(Ĝ) + γ·‖M̂‖_F².
    /// 3. σ(M(ω)) ≤ σ(M̂) + ‖M̂ − M(ω)‖.
    ///
    /// A complex product rounds each part about as four real ones do, so γ is taken of eight times
    /// the length of a sum, which also covers divisions made as products with a reciprocal.
    fn upper_bound(&self, trial: f64) -> Option<f64> {
        let shift = ((1.0 + MARGIN) * trial).powi(2);
        let gram = self.gram();
        let largest_eigenvalue = if lower_triangle_norm_up(&gram) <= shift {
            shift
        } else {
            let side = self.side() as f64;
            is_positive_definite(shift, &gram).then_some(())?;
            let slack = multiply_up(gamma(8.0 * (side + 4.0)), 2.0 * side * shift);
            add_up(shift, slack)
        };
        let product_error = multiply_up(
            gamma(8.0 * (self.inner() + 4.0)),
            multiply_up(self.frobenius, self.frobenius),
        );
        let squared = add_up(add_up(largest_eigenvalue, product_error), UNDERFLOW);
        Some(add_up(sqrt_up(squared), self.error))
    }

    /// Returns σ of the matrix, and a lower bound of that of M(ω): ‖M̂ v‖/‖v‖ − ‖M̂ − M(ω)‖.
    fn leading_value(&self) -> Result<(f64, f64), EstimateError> {
        let (value, _, vector) = leading_triplet(self.matrix.as_ref())?;
        let vector = Mat::from_fn(vector.len(), 1, |row, _| vector[row]);
        let image = &self.matrix * &vector;
        let product_error = multiply_up(
            gamma(8.0 * (self.inner() + 4.0)),
            multiply_up(self.frobenius, frobenius_up(&vector)),
        );
        let shrink = subtract_down(1.0, gamma(4.0 * (self.inner() + 16.0)));
        let image_norm = subtract_down(multiply_down(frobenius_up(&image), shrink), product_error);
        let ratio = (image_norm / frobenius_up(&vector)).next_down();
        Ok((value, subtract_down(ratio, self.error).max(0.0)))
    }
}

/// Whether the Cholesky factorisation of `shift`·I − `gram` runs through.
fn is_positive_definite(shift: f64, gram: &Mat<c64>) -> bool {
    let difference = Mat::from_fn(gram.nrows(), gram.ncols(), |row, column| {
        let diagonal = if row == column { shift } else { 0.0 };
        c64::new(diagonal - gram[(row, column)].re, -gram[(row, column)].im)
    });
    difference.llt(Side::Lower).is_ok_and(|factor| {
        let diagonal = factor.L().diagonal().column_vector();
        diagonal.iter().all(|pivot| pivot.re > 0.0 && pivot.re.is_finite())
    })
}

/// Returns at least the Frobenius norm of a Hermitian matrix, given its lower triangle.
fn lower_triangle_norm_up(gram: &Mat<c64>) -> f64 {
    let below: Vec<f64> = gram
        .col_iter()
        .enumerate()
        .flat_map(|(column, entries)| {
            let entries: Vec<_> = entries.iter().copied().collect();
            (column..entries.len()).map(move |row| {
                let weight = if row == column { 1.0 } else { std::f64::consts::SQRT_2 };
                weight * entries[row].norm()
            })
        })
        .collect();
    norm_up(&below)
}

/// Returns at least ‖matrix‖_F.
fn frobenius_up(matrix: &Mat<c64>) -> f64 {
    let parts: Vec<f64> = matrix
        .col_iter()
        .flat_map(|column| column.iter().flat_map(|x| [x.re, x.im]).collect::<Vec<_>>())
        .collect();
    norm_up(&parts)
}

/// Returns at least ‖x‖, where each number may carry four roundings of its own.
pub(crate) fn norm_up(x: &[f64]) -> f64 {
    let growth = add_up(1.0, gamma(x.len() as f64 + 16.0));
    add_up(multiply_up(norm(x), growth), UNDERFLOW)
}

/// Returns at most ‖x‖, where each number may carry four roundings of its own.
pub(crate) fn norm_down(x: &[f64]) -> f64 {
    multiply_down(norm(x), subtract_down(1.0, gamma(x.len() as f64 + 16.0)))
}
