//! One warm-started power iteration and the scale that follows from it, without leaving the device.

use burn::backend::Dispatch;
#[cfg(feature = "flex")]
use burn::backend::tensor::{FloatTensor, IntTensor};
#[cfg(feature = "flex")]
use burn::backend::{Backend, DispatchDevice, backend_extension};
use burn::tensor::{DType, Device, FloatDType, Int, IntDType, Tensor};
use osn_core::act::{Action, AppliedAction, SIGMA_FLOOR};
#[cfg(feature = "flex")]
use osn_core::held::kernel::PARALLEL_ELEMENTS;
use osn_core::held::{Form, Map, Maps, begins_at_v};
use osn_core::measure::Layout;
use osn_core::measure::convolution::Geometry;
#[cfg(feature = "flex")]
use rayon::prelude::*;

use crate::act::ops::convolution;
use crate::state::codes::Codes;
use osn_core::state_code::{BAD_STEP, LOG, LOG_OF_ZERO, RESIDUAL, STATE_LEN, UNIT, encode_unit};

/// What one refresh of one block is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refresh {
    pub(crate) maps: Maps,
    /// The action in force, from which scale and elasticity follow.
    pub(crate) applied: AppliedAction,
    /// The optimizer step, from 1: what a weight that is not finite is reported with.
    pub(crate) step: i32,
}

/// What is measured in one call, where a backend has a faster way than composing tensor operations.
#[cfg(feature = "flex")]
#[backend_extension(Flex)]
pub(crate) trait HostOps: Backend {
    /// `‖·‖_F` of each block of `[outer, count, inner]`, in f32.
    fn block_norms(tensor: FloatTensor<Self>) -> FloatTensor<Self>;

    /// `ln ‖·‖_F` of each block of `[outer, count, inner]` as a code.
    fn ln_norm_codes(tensor: FloatTensor<Self>) -> IntTensor<Self>;

    /// New codes of `u`, `v` and the state.
    fn refresh(
        weight: FloatTensor<Self>,
        u: IntTensor<Self>,
        v: IntTensor<Self>,
        state: IntTensor<Self>,
        request: Refresh,
    ) -> (IntTensor<Self>, IntTensor<Self>, IntTensor<Self>);
}

/// What `refresh` makes of each weight, of all at the same time where they lie on the host and are worth it: one
/// parallel region for all costs less than one for each, and no thread waits at the end of each weight.
///
/// Nothing that one weight gives depends on another, nor on the number of threads.
pub(crate) fn refresh_each<T: Send, R: Send>(
    weights: Vec<(&Tensor<3>, T)>,
    refresh: impl Fn(&Tensor<3>, T) -> R + Send + Sync,
) -> Vec<R> {
    #[cfg(feature = "flex")]
    if are_worth_threads(weights.iter().map(|(weight, _)| *weight)) {
        return weights.into_par_iter().map(|(weight, with)| refresh(weight, with)).collect();
    }
    weights.into_iter().map(|(weight, with)| refresh(weight, with)).collect()
}

#[cfg(feature = "flex")]
fn are_worth_threads<'a>(weights: impl Iterator<Item = &'a Tensor<3>> + Clone) -> bool {
    let is_on_host = |weight: &Tensor<3>| is_flex(&weight.device());
    weights.clone().all(is_on_host)
        && weights.map(|weight| weight.shape().num_elements()).sum::<usize>() >= PARALLEL_ELEMENTS
}

/// Whether a device is the host, so that to read a tensor is to read memory.
#[cfg(feature = "flex")]
pub(crate) fn is_flex(device: &Device) -> bool {
    matches!(device.as_dispatch(), DispatchDevice::Flex(_))
}

/// Whether a device is the host: none of these is.
#[cfg(not(feature = "flex"))]
pub(crate) fn is_flex(_: &Device) -> bool {
    false
}

/// Refreshes every block of a weight `[outer, count, inner]`, each with its own applied.
pub(crate) fn refresh_blocks(
    weight: &Tensor<3>,
    (u, v, state): Codes,
    form: &Form,
    applied: &[AppliedAction],
    step: i32,
) -> Codes {
    let maps = form.maps;
    if let [applied] = applied {
        return refresh(weight.clone(), (u, v, state), Refresh { maps, applied: *applied, step });
    }
    let part = |codes: &Tensor<1, Int>, block: usize, length: usize| {
        codes.clone().narrow(0, block * length, length)
    };
    let blocks = applied.iter().enumerate().map(|(block, &applied)| {
        let codes = (
            part(&u, block, maps.rows()),
            part(&v, block, maps.cols()),
            part(&state, block, STATE_LEN),
        );
        refresh(weight.clone().narrow(1, block, 1), codes, Refresh { maps, applied, step })
    });
    let (mut all_u, mut all_v, mut all_states) = (Vec::new(), Vec::new(), Vec::new());
    for (u, v, state) in blocks {
        all_u.push(u);
        all_v.push(v);
        all_states.push(state);
    }
    (Tensor::cat(all_u, 0), Tensor::cat(all_v, 0), Tensor::cat(all_states, 0))
}

/// One power iteration from the stored `u` or `v` ([`begins_at_v`]), and the new state; nothing is read back to the
/// host.
///
/// A zero weight keeps its `u`, `v` and gets scale 1. A weight that is not zero and whose product with that vector
/// vanishes keeps all of the state, with a residual of 1, so that the next read-back starts it again. One that is not
/// finite keeps all of the state and leaves the step in it.
pub(crate) fn refresh<const D: usize>(
    weight: Tensor<D>,
    (u, v, state): Codes,
    request: Refresh,
) -> Codes {
    let (weight, u, v) = (weight.without_autodiff(), u.without_autodiff(), v.without_autodiff());
    let state = state.without_autodiff();
    #[cfg(feature = "flex")]
    if is_flex(&weight.device()) && request.maps.matrices().is_some() {
        let (u, v, state) = Dispatch::refresh(
            weight.into_dispatch(),
            u.into_dispatch(),
            v.into_dispatch(),
            state.into_dispatch(),
            request,
        );
        return (Tensor::from_dispatch(u), Tensor::from_dispatch(v), Tensor::from_dispatch(state));
    }
    composed(weight, (u, v, state), request)
}

/// The refresh in tensor operations, for every backend and map without one of its own.
pub(crate) fn composed<const D: usize>(
    weight: Tensor<D>,
    (u, v, state): Codes,
    request: Refresh,
) -> Codes {
    let weight = weight.cast(FloatDType::F32);
    let (mut row, mut column) = (0, 0);
    let part = |codes: &Tensor<1, Int>, start: usize, length: usize| {
        codes.clone().narrow(0, start, length).cast(FloatDType::F32).div_scalar(UNIT)
    };
    let iterations = request.maps.iter().map(|map| {
        let before = (part(&u, row, map.rows()), part(&v, column, map.cols()));
        (row, column) = (row + map.rows(), column + map.cols());
        iterate(&weight, before, map)
    });
    let all = iterations.reduce(Iteration::and).expect("a block has a map");
    let Iteration { u: u_new, v: v_new, sigma, ratio, moved, finite } = all;
    let new_state =
        next_state(sigma * request.maps.share(), ratio, &moved, &state, request.applied);
    let is_zero = weight.abs().max().lower_equal_elem(SIGMA_FLOOR);
    let is_lost = moved.clone().bool_or(is_zero).bool_not();
    let new_state = new_state.mask_where(is_lost.expand([STATE_LEN]), lost(&state));
    (
        keep_unless(&moved, &finite, unit_codes(u_new), u),
        keep_unless(&moved, &finite, unit_codes(v_new), v),
        with_bad_step(&finite, new_state, state, request.step),
    )
}

/// What one power iteration of one map made, or of two with their vectors one behind the other.
struct Iteration {
    u: Tensor<1>,
    v: Tensor<1>,
    /// Summed over the maps.
    sigma: Tensor<1>,
    /// The norm of the first product to that of the second; the smallest of the maps'.
    ratio: Tensor<1>,
    /// No product vanished.
    moved: Tensor<1, burn::tensor::Bool>,
    /// Every product is finite.
    finite: Tensor<1, burn::tensor::Bool>,
}

impl Iteration {
    fn and(self, other: Self) -> Self {
        Self {
            u: Tensor::cat(vec![self.u, other.u], 0),
            v: Tensor::cat(vec![self.v, other.v], 0),
            sigma: self.sigma + other.sigma,
            ratio: self.ratio.min_pair(other.ratio),
            moved: self.moved.bool_and(other.moved),
            finite: self.finite.bool_and(other.finite),
        }
    }
}

/// One power iteration of one map.
fn iterate<const D: usize>(
    weight: &Tensor<D>,
    (u, v): (Tensor<1>, Tensor<1>),
    map: Map,
) -> Iteration {
    match map {
        Map::Matrix(layout) => {
            let matrix = as_matrix(weight.clone(), *layout);
            let product = |matrix: Tensor<2>, x: Tensor<1>| {
                matrix.matmul(x.unsqueeze_dim::<2>(1)).squeeze_dim(1)
            };
            let transpose = |y| product(matrix.clone().transpose(), y);
            let apply = |x| product(matrix.clone(), x);
            if begins_at_v(*layout) {
                let iteration = iterate_by(v, apply, transpose);
                return Iteration { u: iteration.v, v: iteration.u, ..iteration };
            }
            iterate_by(u, transpose, apply)
        }
        Map::Convolution(geometry) => {
            let kernel = weight.clone().into_dispatch();
            let product = |product: fn(_, _, &Geometry) -> _, x: Tensor<1>| {
                Tensor::from_dispatch(product(kernel.clone(), x.into_dispatch(), geometry))
            };
            let transpose = |y| product(convolution::apply_transpose::<Dispatch>, y);
            iterate_by(u, transpose, |x| product(convolution::apply::<Dispatch>, x))
        }
    }
}

/// `v = Aᵀu/‖Aᵀu‖`, then `u = A v/‖A v‖` and `σ = ‖A v‖`; of `Aᵀ`, with the products exchanged.
fn iterate_by(
    before: Tensor<1>,
    first: impl Fn(Tensor<1>) -> Tensor<1>,
    second: impl Fn(Tensor<1>) -> Tensor<1>,
) -> Iteration {
    let (v, sigma_before) = normalized(first(before));
    let (u, sigma) = normalized(second(v.clone()));
    let moved = sigma
        .clone()
        .greater_elem(SIGMA_FLOOR)
        .bool_and(sigma_before.clone().greater_elem(SIGMA_FLOOR));
    let finite = sigma.clone().is_finite().bool_and(sigma_before.clone().is_finite());
    let ratio = (sigma_before / sigma.clone().clamp_min(SIGMA_FLOOR)).clamp(0.0, 1.0);
    Iteration { u, v, sigma, ratio, moved, finite }
}

/// `A` as `[rows, columns]`.
fn as_matrix<const D: usize>(weight: Tensor<D>, layout: Layout) -> Tensor<2> {
    let Layout { outer, rows, inner } = layout;
    weight.reshape([outer, rows, inner]).swap_dims(0, 1).reshape([rows, outer * inner])
}

/// A vector divided by its norm, and the norm; by the largest entry first, so that no square
/// overflows.
fn normalized(vector: Tensor<1>) -> (Tensor<1>, Tensor<1>) {
    let largest = vector.clone().abs().max().clamp_min(SIGMA_FLOOR);
    let scaled = vector / largest.clone();
    let norm = scaled.clone().square().sum().sqrt();
    let unit = scaled / norm.clone().clamp_min(SIGMA_FLOOR);
    (unit, norm * largest)
}

fn next_state(
    sigma: Tensor<1>,
    ratio: Tensor<1>,
    moved: &Tensor<1, burn::tensor::Bool>,
    state: &Tensor<1, Int>,
    applied: AppliedAction,
) -> Tensor<1, Int> {
    let ln_sigma = sigma.clamp_min(SIGMA_FLOOR).log();
    let (ln_scale, elasticity) = scale_and_elasticity(&ln_sigma, applied);
    let residual = (ratio.square().neg() + 1.0).sqrt();
    let zero = ln_sigma.zeros_like();
    let or_zero = |value: Tensor<1>| zero.clone().mask_where(moved.clone(), value);
    let ln_sigma_code = log_codes(ln_sigma);
    let sigma_code = ln_sigma_code.full_like(LOG_OF_ZERO).mask_where(moved.clone(), ln_sigma_code);
    let bad_step = bad_step_of(state);
    Tensor::cat(
        vec![
            sigma_code,
            log_codes(or_zero(ln_scale)),
            unit_codes(or_zero(elasticity)),
            unit_codes(or_zero(residual)),
            bad_step,
        ],
        0,
    )
}

/// What is known of a weight that its vectors have lost: what was known before, and that it is no longer so.
fn lost(before: &Tensor<1, Int>) -> Tensor<1, Int> {
    let residual = before.clone().narrow(0, RESIDUAL, 1);
    let state = before.clone().narrow(0, 0, RESIDUAL);
    Tensor::cat(vec![state, residual.full_like(encode_unit(1.0)), bad_step_of(before)], 0)
}

/// `(ln s, γ)` of the action in force at `ln σ`: the table of [`osn_core::act::Action`].
fn scale_and_elasticity(ln_sigma: &Tensor<1>, applied: AppliedAction) -> (Tensor<1>, Tensor<1>) {
    let blend = applied.blend;
    let excess = |target: f64| ln_sigma.clone() - target.ln();
    match applied.action {
        Action::Off | Action::ScaleUpdate { .. } | Action::CapUpdate { .. } => {
            (ln_sigma.zeros_like(), ln_sigma.zeros_like())
        }
        Action::Keep { scale } => {
            (ln_sigma.zeros_like() + scale.ln() * blend, ln_sigma.zeros_like())
        }
        Action::Normalize { target } => (excess(target) * -blend, ln_sigma.ones_like() * blend),
        Action::Cap { target, sharpness } if sharpness.is_infinite() => {
            let above = excess(target).greater_elem(0.0).float() * blend;
            (excess(target).clamp_min(0.0) * -blend, above)
        }
        Action::Cap { target, sharpness } => {
            let x = excess(target) * sharpness;
            let softplus = burn::tensor::activation::softplus(x.clone(), 1.0);
            (softplus * (-blend / sharpness), burn::tensor::activation::sigmoid(x) * blend)
        }
    }
}

/// The old codes where the weight is zero or not finite.
fn keep_unless(
    moved: &Tensor<1, burn::tensor::Bool>,
    finite: &Tensor<1, burn::tensor::Bool>,
    new: Tensor<1, Int>,
    old: Tensor<1, Int>,
) -> Tensor<1, Int> {
    let keep = moved.clone().bool_and(finite.clone()).bool_not().expand(new.dims());
    new.mask_where(keep, old)
}

/// The new state where the weight is finite; else the old one with the step of the first trouble.
fn with_bad_step(
    finite: &Tensor<1, burn::tensor::Bool>,
    new: Tensor<1, Int>,
    old: Tensor<1, Int>,
    step: i32,
) -> Tensor<1, Int> {
    let bad_step = bad_step_of(&old);
    let first =
        bad_step.clone().mask_where(bad_step.clone().equal_elem(0), bad_step.full_like(step));
    // The step is the last number of the state.
    let marked = Tensor::cat(vec![old.narrow(0, 0, BAD_STEP), first], 0);
    let bad = finite.clone().bool_not().expand(new.dims());
    new.mask_where(bad, marked)
}

fn bad_step_of(state: &Tensor<1, Int>) -> Tensor<1, Int> {
    state.clone().narrow(0, BAD_STEP, 1)
}

fn unit_codes(values: Tensor<1>) -> Tensor<1, Int> {
    codes(values * UNIT)
}

fn log_codes(values: Tensor<1>) -> Tensor<1, Int> {
    codes(values * LOG)
}

fn codes(values: Tensor<1>) -> Tensor<1, Int> {
    debug_assert_eq!(values.dtype(), DType::F32);
    values.round().int().cast(IntDType::I32)
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;
    use crate::state::codes::{device_codes, host_codes};
    use osn_core::state_code::{State, decode_unit};

    const SHAPES: [([usize; 3], usize); 4] =
        [([7, 5, 1], 1), ([1, 6, 9], 1), ([3, 4, 5], 1), ([300, 260, 1], 1)];

    fn start(rows: usize, columns: usize, device: &Device) -> Codes {
        let unit = |length: usize| {
            let value = encode_unit(1.0 / (length as f64).sqrt());
            device_codes(&vec![value; length], device)
        };
        let state = State { sigma: 1.0, scale: 1.0, elasticity: 0.0, residual: 0.0, bad_step: 0 };
        (unit(rows), unit(columns), device_codes(&state.encode(), device))
    }

    fn both(weight: &Tensor<3>, action: Action) -> [(Vec<f64>, Vec<f64>, State); 2] {
        let [outer, rows, inner] = weight.dims();
        let layout = Layout { outer, rows, inner };
        let applied = AppliedAction { action, blend: 0.75 };
        let request = Refresh { maps: Maps::Matrix(layout), applied, step: 9 };
        let codes = start(rows, layout.cols(), &weight.device());
        let fast = refresh(weight.clone(), codes.clone(), request);
        [fast, composed(weight.clone(), codes, request)].map(|(u, v, state)| {
            let unit = |codes| host_codes(codes).into_iter().map(decode_unit).collect();
            (unit(u), unit(v), State::decode(&host_codes(state)))
        })
    }

    #[test]
    fn the_kernel_and_the_composed_refresh_agree() {
        let actions = [
            Action::Off,
            Action::Normalize { target: 2.0 },
            Action::Cap { target: 1.0, sharpness: f64::INFINITY },
            Action::Cap { target: 30.0, sharpness: 4.0 },
            Action::Keep { scale: 0.3 },
        ];
        for (shape, _) in SHAPES {
            let count = i64::try_from(shape.iter().product::<usize>()).unwrap();
            let index = Tensor::<1, Int>::arange(1..count + 1, &Device::flex()).float();
            // A sine of squares repeats nothing, and so looks like noise.
            let weight = ((index.clone() * index * 0.37).sin() * 1.4 + 0.1).reshape(shape);
            for action in actions {
                let [fast, slow] = both(&weight, action);
                let close = |a: f64, b: f64| (a - b).abs() <= 2e-5 * a.abs().max(1.0);
                assert!(fast.0.iter().zip(&slow.0).all(|(a, b)| close(*a, *b)), "{shape:?} u");
                assert!(fast.1.iter().zip(&slow.1).all(|(a, b)| close(*a, *b)), "{shape:?} v");
                let (fast, slow) = (fast.2, slow.2);
                assert!(close(fast.sigma, slow.sigma), "{shape:?} {action}: {fast:?} {slow:?}");
                assert!(close(fast.scale, slow.scale), "{shape:?} {action}: {fast:?} {slow:?}");
                assert!(close(fast.elasticity, slow.elasticity), "{fast:?} {slow:?}");
                assert!((fast.residual - slow.residual).abs() < 2e-3, "{fast:?} {slow:?}");
            }
        }
    }

    #[test]
    fn both_meet_zero_and_bad_weights_alike() {
        let action = Action::Normalize { target: 1.0 };
        let device = Device::flex();
        let zero = Tensor::<3>::zeros([2, 3, 4], &device);
        let [fast, slow] = both(&zero, action);
        assert_eq!(fast, slow);
        assert_eq!((fast.2.sigma, fast.2.scale), (0.0, 1.0));
        let [fast, slow] = both(&zero.full_like(f32::NAN), action);
        assert_eq!(fast, slow);
        assert_eq!((fast.2.sigma, fast.2.bad_step), (1.0, 9));
    }

    /// A weight whose first product with a vector of equal entries is zero: in the memory every row sums to zero.
    fn vanishing(shape: [usize; 3]) -> Tensor<3> {
        Tensor::<2>::from_data([[3.0f32, -3.0], [1.0, -1.0]], &Device::flex()).reshape(shape)
    }

    #[test]
    fn a_product_that_vanishes_leaves_what_was_known_until_the_weight_is_measured_again() {
        let weight = vanishing([1, 2, 2]);
        let layout = Layout { outer: 1, rows: 2, inner: 2 };
        let applied = AppliedAction { action: Action::Normalize { target: 1.0 }, blend: 1.0 };
        let request = Refresh { maps: Maps::Matrix(layout), applied, step: 9 };
        let (u, v, _) = start(2, 2, &weight.device());
        let before = State { sigma: 5.0, scale: 0.2, elasticity: 1.0, residual: 0.1, bad_step: 0 };
        let state = device_codes(&before.encode(), &weight.device());
        let (_, _, after) = composed(weight, (u, v, state), request);
        let after = State::decode(&host_codes(after));
        let expected = State::decode(&State { residual: 1.0, ..before }.encode());
        assert_eq!(after, expected, "the scale stays, and the next read-back starts again");
    }

    #[test]
    fn a_start_that_the_weight_sends_to_zero_is_replaced() {
        // From v, and from u.
        for shape in [[1, 2, 2], [2, 2, 1]] {
            let [(_, _, state), _] = both(&vanishing(shape), Action::Off);
            assert!((state.sigma - 20f64.sqrt()).abs() < 1e-5, "{shape:?} {state:?}");
        }
    }
}
