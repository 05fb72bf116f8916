//! The refresh of a weight that was left alone for some steps.

use burn::tensor::Tensor;
use osn_core::act::AppliedAction;
use osn_core::held::{Form, Map, begins_at_v};
use osn_core::measure::{DenseMap, exact};
use osn_core::state_code::{STATE_LEN, State, decode_unit, encode_unit};

use crate::measure::refresh::{is_flex, refresh_blocks};
use crate::state::codes::{Codes, device_codes, host_codes};

/// Power iterations at most. Where they end above the residual at which u and v count as lost, the read-back starts
/// the weight again.
const MAX_ITERATIONS: u64 = 8;
/// A residual at which no further iteration runs, where reading it costs nothing: the last one raised σ by at most half
/// its square, 1e-5 of σ.
const SETTLED_RESIDUAL: f64 = 0.005;
/// What is left of a unit vector, at least, beside those before it: below, it is rounding of single precision.
const NEW_DIRECTION: f64 = 1e-4;

/// Refreshes a weight whose last refresh was `behind` steps ago: one power iteration for each step, up to
/// [`MAX_ITERATIONS`], all on the weight as it is now.
///
/// Where the vectors are on the host, no more run than bring the residual down, and each begins at the best vector of
/// all so far (Rayleigh–Ritz): these are the iterates of Golub and Kahan, which come near in about the root of the number
/// of plain iterations. The last one is a plain refresh, and σ is a lower bound as always.
pub(crate) fn catch_up(
    weight: &Tensor<3>,
    mut codes: Codes,
    form: &Form,
    applied: &[AppliedAction],
    step: i32,
    behind: u64,
) -> Codes {
    let mut spaces: Vec<Space> = applied.iter().map(|_| Space::default()).collect();
    for left in (0..behind.min(MAX_ITERATIONS)).rev() {
        codes = refresh_blocks(weight, codes, form, applied, step);
        if left == 0 {
            break;
        }
        let Some(states) = states_on_host(&codes) else { continue };
        if states.iter().all(is_settled) {
            break;
        }
        codes = from_the_best(codes, &states, form, &mut spaces);
    }
    codes
}

/// Whether another iteration is not worth it, or not possible.
fn is_settled(state: &State) -> bool {
    state.residual <= SETTLED_RESIDUAL || state.bad_step != 0
}

/// The same codes with the best vector of each block so far in the place of the one that the next iteration begins at.
fn from_the_best(
    (u, v, state): Codes,
    states: &[State],
    form: &Form,
    spaces: &mut [Space],
) -> Codes {
    let mut maps = form.maps.iter();
    // Of two maps only their mean σ is known.
    let (Some(map), None) = (maps.next(), maps.next()) else { return (u, v, state) };
    let from_v = matches!(map, Map::Matrix(layout) if begins_at_v(*layout));
    let (start, end) = if from_v { (&v, &u) } else { (&u, &v) };
    let host = |codes| host_codes(codes).into_iter().map(decode_unit).collect::<Vec<f64>>();
    let (mut starts, ends) = (host(start.clone()), host(end.clone()));
    let (in_start, in_end) = (starts.len() / states.len(), ends.len() / states.len());
    let blocks = starts.chunks_exact_mut(in_start).zip(ends.chunks_exact(in_end));
    for ((start, end), (state, space)) in blocks.zip(states.iter().zip(spaces)) {
        let image = start.iter().map(|x| state.sigma * x).collect();
        if let Some(best) = space.add(end.to_vec(), image) {
            start.copy_from_slice(&best);
        }
    }
    let best: Vec<i32> = starts.into_iter().map(encode_unit).collect();
    let best = device_codes(&best, &start.device());
    if from_v { (u, best, state) } else { (best, v, state) }
}

/// What the iterations on one map `A` have seen of it, or of `Aᵀ` where they begin at `v`.
#[derive(Default)]
struct Space {
    /// Orthonormal vectors.
    basis: Vec<Vec<f64>>,
    /// The product with each.
    images: Vec<Vec<f64>>,
}

impl Space {
    /// Adds `v` with `A v`; returns the unit vector along the largest `A x` over the unit `x` of the space, if `v` was
    /// new.
    fn add(&mut self, mut v: Vec<f64>, mut image: Vec<f64>) -> Option<Vec<f64>> {
        for (other, its_image) in self.basis.iter().zip(&self.images) {
            let along = dot(&v, other);
            subtract(&mut v, along, other);
            subtract(&mut image, along, its_image);
        }
        let norm = dot(&v, &v).sqrt();
        if norm < NEW_DIRECTION {
            return None;
        }
        [&mut v, &mut image].into_iter().flatten().for_each(|x| *x /= norm);
        let length = image.len();
        self.basis.push(v);
        self.images.push(image);
        let images = self.images.concat();
        Some(exact(&DenseMap::new(&images, self.images.len(), length).ok()?).ok()?.v)
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// `a ← a − factor·b`.
fn subtract(a: &mut [f64], factor: f64, b: &[f64]) {
    a.iter_mut().zip(b).for_each(|(a, b)| *a -= factor * b);
}

/// The state of every block, unless it is on a device with a queue, where to ask for it would be to wait.
pub(crate) fn states_on_host((_, _, state): &Codes) -> Option<Vec<State>> {
    let read = || host_codes(state.clone()).chunks_exact(STATE_LEN).map(State::decode).collect();
    is_flex(&state.device()).then(read)
}
