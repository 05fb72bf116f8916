//! One power iteration of a weight in memory, and the state that follows from it.

use crate::act::action::SIGMA_FLOOR;
use crate::act::actuator::AppliedAction;
use crate::held::form::{Map, Maps};
use crate::held::kernel::{self, Threads};
use crate::measure::convolution::ConvMap;
use crate::measure::convolution::geometry::Geometry;
use crate::measure::operator::{Layout, LinearMap};
use crate::measure::vector::normalize;
use crate::state_code::State;

/// What one power iteration of all maps of a block found.
#[derive(Clone, Debug, PartialEq)]
pub enum Iteration {
    /// New vectors of each map, one behind the other.
    Moved {
        /// The left vectors, each of length 1.
        u: Vec<f32>,
        /// The right vectors, likewise.
        v: Vec<f32>,
        /// The mean of the maps' `uᵀA v`: a lower bound of the largest singular value of each.
        sigma: f64,
        /// The worst of the maps' residuals, in [0, 1]; see [`State::residual`].
        residual: f64,
    },
    /// The weight is zero: its vectors stay as they are.
    Zero,
    /// The weight is not zero, and its product with the vector vanishes: the state stays, and what is known of it has a
    /// residual of 1, so that the next read-back starts it again.
    Lost,
    /// The weight, or a product with it, is not finite.
    NotFinite,
}

/// Whether a power iteration of this matrix begins at `v`: `u = A v/‖A v‖`, then `v = Aᵀu/‖Aᵀu‖` and `σ = ‖Aᵀu‖`.
/// Any other begins at `u`: `v = Aᵀu/‖Aᵀu‖`, then `u = A v/‖A v‖` and `σ = ‖A v‖`.
///
/// It begins where both products come from one reading of the memory: at `v` where the rows of `A` lie one behind the
/// other (`y_i = ⟨row i, v⟩`, and `y_i·row i` is added to `Aᵀy` while the row is in the cache), at `u` where columns
/// do. Either way `σ = uᵀA v`, which is at most the largest singular value, the singular vectors converge by
/// `(σ₂/σ₁)²` an iteration, and `∂σ/∂A = u vᵀ`. The first order is that of
/// `torch.nn.utils.parametrizations.spectral_norm`, the second that of `torch.nn.utils.spectral_norm`.
///
/// A single row begins at `u`, which is ±1 whatever the weight is: σ is then exact after one iteration, with residual 0.
///
/// `v` is the longer vector of most kernels. A weight that moves by noise `ΔW` leaves it off by up to `√(columns/rows)`
/// times as much as `u`, so σ of a kernel follows a fast move a little later from there.
pub fn begins_at_v(layout: Layout) -> bool {
    layout.outer == 1 && layout.inner > 1 && layout.rows > 1
}

/// One power iteration of each map of a block from the vectors `u`, `v` of the last one: their new vectors one behind
/// the other, the mean of their σ, the worst of their residuals. Matrices are read once each, in f32.
///
/// # Panics
///
/// If `weight`, `u` or `v` are not of the size of the maps.
pub fn iterate(weight: &[f32], vectors: (&[f32], &[f32]), maps: &Maps) -> Iteration {
    iterate_on(Threads::Rayon, weight, vectors, maps)
}

/// [`iterate`] on other threads, to the same bits.
///
/// # Panics
///
/// As that.
pub fn iterate_on(
    threads: Threads,
    weight: &[f32],
    (mut u, mut v): (&[f32], &[f32]),
    maps: &Maps,
) -> Iteration {
    let (mut all_u, mut all_v, mut mean, mut worst) = (Vec::new(), Vec::new(), 0.0, 0.0_f64);
    for map in maps.iter() {
        let (this_u, this_v);
        ((this_u, u), (this_v, v)) = (u.split_at(map.rows()), v.split_at(map.cols()));
        match iterate_map(threads, weight, (this_u, this_v), map) {
            Iteration::Moved { u, v, sigma, residual } => {
                all_u.extend(u);
                all_v.extend(v);
                mean += maps.share() * sigma;
                worst = worst.max(residual);
            }
            other => return other,
        }
    }
    Iteration::Moved { u: all_u, v: all_v, sigma: mean, residual: worst }
}

fn iterate_map(threads: Threads, weight: &[f32], vectors: (&[f32], &[f32]), map: Map) -> Iteration {
    match map {
        Map::Matrix(layout) => iterate_matrix(threads, weight, vectors, *layout),
        Map::Convolution(geometry) => iterate_convolution(weight, vectors.0, *geometry),
    }
}

/// From the vector that [`begins_at_v`] says, with one reading of the weight.
fn iterate_matrix(
    threads: Threads,
    weight: &[f32],
    (u, v): (&[f32], &[f32]),
    layout: Layout,
) -> Iteration {
    let start = if begins_at_v(layout) { v } else { u };
    let mut half_steps = HalfSteps::from(threads, weight, start, 1.0, layout);
    let sigma_before = half_steps.sigma_before;
    if sigma_before <= SIGMA_FLOOR {
        return from_the_largest_entry(threads, weight, layout);
    }
    if sigma_before.is_finite() && !half_steps.is_in_range() {
        let mut start = start.to_vec();
        kernel::divide(&mut start, sigma_before);
        half_steps = HalfSteps::from(threads, weight, &start, sigma_before, layout);
    }
    half_steps.normalized(layout)
}

/// From `u`, in f64: `v = Aᵀu/‖Aᵀu‖`, then `u = A v/‖A v‖` and `σ = ‖A v‖`.
fn iterate_convolution(weight: &[f32], u: &[f32], geometry: Geometry) -> Iteration {
    let Ok(map) = ConvMap::new(weight, geometry) else { return Iteration::NotFinite };
    if weight.iter().all(|entry| f64::from(entry.abs()) <= SIGMA_FLOOR) {
        return Iteration::Zero;
    }
    let (mut left, mut right) = (wide(u), vec![0.0; map.cols()]);
    map.apply_transpose(&left, &mut right);
    let sigma_before = normalize(&mut right);
    map.apply(&right, &mut left);
    let sigma = normalize(&mut left);
    if !(sigma_before.is_finite() && sigma.is_finite()) {
        return Iteration::NotFinite;
    }
    if sigma <= SIGMA_FLOOR || sigma_before <= SIGMA_FLOOR {
        return Iteration::Lost;
    }
    let residual = residual(sigma_before, sigma);
    Iteration::Moved { u: narrow(&left), v: narrow(&right), sigma, residual }
}

fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| f64::from(x)).collect()
}

#[expect(clippy::cast_possible_truncation, reason = "entries of unit vectors")]
fn narrow(x: &[f64]) -> Vec<f32> {
    x.iter().map(|&x| x as f32).collect()
}

/// The two products of a power iteration before they are divided by their norms.
struct HalfSteps {
    first: Vec<f32>,
    second: Vec<f32>,
    /// Of both as they are.
    norms: [f64; 2],
    /// The norm of the first product, of a start of norm 1.
    sigma_before: f64,
}

impl HalfSteps {
    /// From a `start` that was divided by `divisor`.
    fn from(threads: Threads, weight: &[f32], start: &[f32], divisor: f64, layout: Layout) -> Self {
        let (first, second) = if begins_at_v(layout) {
            kernel::apply_then_transpose(threads, weight, start)
        } else {
            kernel::transpose_then_apply(threads, weight, layout, start)
        };
        let norms = [&first, &second].map(|product| kernel::norm(product));
        Self { first, second, norms, sigma_before: norms[0] * divisor }
    }

    /// The norm of the second product, of a first one that is divided by its norm.
    fn sigma(&self) -> f64 {
        self.norms[1] / self.norms[0]
    }

    /// Whether no entry of the second product, which is of the size of σ², is too large or small for an f32.
    fn is_in_range(&self) -> bool {
        (1e-12..1e12).contains(&self.sigma_before) && self.sigma().is_finite()
    }

    fn normalized(self, layout: Layout) -> Iteration {
        let sigma = self.sigma();
        let Self { mut first, mut second, norms, sigma_before } = self;
        if !(sigma_before.is_finite() && sigma.is_finite()) {
            return Iteration::NotFinite;
        }
        for (product, norm) in [&mut first, &mut second].into_iter().zip(norms) {
            kernel::divide(product, norm);
        }
        let (u, v) = if begins_at_v(layout) { (first, second) } else { (second, first) };
        Iteration::Moved { u, v, sigma, residual: residual(sigma_before, sigma) }
    }
}

/// Another start where the first product vanishes: the row or column of the largest entry, whose product does not
/// unless the weight is zero.
fn from_the_largest_entry(threads: Threads, weight: &[f32], layout: Layout) -> Iteration {
    let Layout { outer: _, rows, inner } = layout;
    let largest = weight.iter().enumerate().max_by(|(_, a), (_, b)| a.abs().total_cmp(&b.abs()));
    match largest {
        Some((_, w)) if !w.is_finite() => Iteration::NotFinite,
        Some((index, w)) if f64::from(w.abs()) > SIGMA_FLOOR => {
            let (mut u, mut v) = (vec![0.0; rows], vec![0.0; layout.cols()]);
            u[index / inner % rows] = 1.0;
            v[index / inner / rows * inner + index % inner] = 1.0;
            iterate_matrix(threads, weight, (&u, &v), layout)
        }
        _ => Iteration::Zero,
    }
}

/// `‖W v − σ_b u‖/σ` for the `u` of before and `σ_b = ‖Wᵀu‖`: since `⟨W v, u⟩ = σ_b`, its square is
/// `1 − (σ_b/σ)²`, which costs nothing. From `v` it is the same of `Wᵀ`.
fn residual(sigma_before: f64, sigma: f64) -> f64 {
    let ratio = (sigma_before / sigma).min(1.0);
    (1.0 - ratio * ratio).sqrt()
}

/// The state that an iteration leaves behind: scale and elasticity are those of the action in force at `sigma`.
pub fn state_at(sigma: f64, residual: f64, bad_step: i32, applied: &AppliedAction) -> State {
    let (scale, elasticity) = (applied.scale(sigma), applied.elasticity(sigma));
    State { sigma, scale, elasticity, residual, bad_step }
}
