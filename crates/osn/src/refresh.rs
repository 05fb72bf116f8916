//! One warm-started power iteration and the scale that follows from it, without leaving the device.

#[cfg(feature = "flex")]
use burn::backend::tensor::{FloatTensor, IntTensor};
#[cfg(feature = "flex")]
use burn::backend::{Backend, Dispatch, DispatchDevice, backend_extension};
use burn::tensor::{DType, FloatDType, Int, IntDType, Tensor};
use osn_core::{Action, Dial, Layout, SIGMA_FLOOR};

use crate::code::{BAD_STEP, LOG, LOG_OF_ZERO, UNIT};

/// What one refresh is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refresh {
    pub(crate) layout: Layout,
    /// The action in force, from which scale and strength follow.
    pub(crate) dial: Dial,
    /// The optimizer step, from 1: what a weight that is not finite is reported with.
    pub(crate) step: i32,
}

/// The tensors of one layer: `u`, `v` and `state`, as [`crate::code`] codes them.
pub(crate) type Codes = (Tensor<1, Int>, Tensor<1, Int>, Tensor<1, Int>);

/// A refresh in one call, where a backend has a faster way than composing tensor operations.
#[cfg(feature = "flex")]
#[backend_extension(Flex)]
pub(crate) trait RefreshOps: Backend {
    /// New codes of `u`, `v` and the state.
    fn refresh(
        weight: FloatTensor<Self>,
        u: IntTensor<Self>,
        v: IntTensor<Self>,
        state: IntTensor<Self>,
        request: Refresh,
    ) -> (IntTensor<Self>, IntTensor<Self>, IntTensor<Self>);
}

/// One power iteration from the stored `u`, and the new state; nothing is read back to the host.
///
/// A zero weight keeps its `u`, `v` and gets scale 1; a weight that is not finite keeps all of the
/// state and leaves the step in it.
pub(crate) fn refresh<const D: usize>(
    weight: Tensor<D>,
    (u, v, state): Codes,
    request: Refresh,
) -> Codes {
    let (weight, u, v) = (weight.without_autodiff(), u.without_autodiff(), v.without_autodiff());
    let state = state.without_autodiff();
    #[cfg(feature = "flex")]
    if matches!(weight.device().as_dispatch(), DispatchDevice::Flex(_)) {
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

/// The refresh in tensor operations, for every backend without one of its own.
pub(crate) fn composed<const D: usize>(
    weight: Tensor<D>,
    (u, v, state): Codes,
    request: Refresh,
) -> Codes {
    let matrix = as_matrix(weight, request.layout);
    let before = u.clone().cast(FloatDType::F32).div_scalar(UNIT).unsqueeze_dim::<2>(1);
    let (v_new, sigma_before) = normalized(matrix.clone().transpose().matmul(before));
    let (u_new, sigma) = normalized(matrix.matmul(v_new.clone()));
    let moved = sigma
        .clone()
        .greater_elem(SIGMA_FLOOR)
        .bool_and(sigma_before.clone().greater_elem(SIGMA_FLOOR));
    let finite = sigma.clone().is_finite().bool_and(sigma_before.clone().is_finite());
    let new_state = next_state(sigma_before, sigma, &moved, &state, request);
    (
        keep_unless(&moved, &finite, unit_codes(u_new.squeeze_dim(1)), u),
        keep_unless(&moved, &finite, unit_codes(v_new.squeeze_dim(1)), v),
        with_bad_step(&finite, new_state, state, request.step),
    )
}

/// `A` as `[rows, columns]` in f32.
fn as_matrix<const D: usize>(weight: Tensor<D>, layout: Layout) -> Tensor<2> {
    let Layout { outer, rows, inner } = layout;
    weight
        .cast(FloatDType::F32)
        .reshape([outer, rows, inner])
        .swap_dims(0, 1)
        .reshape([rows, outer * inner])
}

/// A column divided by its norm, and the norm; by the largest entry first, so that no square
/// overflows.
fn normalized(column: Tensor<2>) -> (Tensor<2>, Tensor<1>) {
    let largest = column.clone().abs().max().clamp_min(SIGMA_FLOOR);
    let scaled = column / largest.clone().unsqueeze_dim::<2>(1);
    let norm = scaled.clone().square().sum().sqrt();
    let unit = scaled / norm.clone().clamp_min(SIGMA_FLOOR).unsqueeze_dim::<2>(1);
    (unit, norm * largest)
}

fn next_state(
    sigma_before: Tensor<1>,
    sigma: Tensor<1>,
    moved: &Tensor<1, burn::tensor::Bool>,
    state: &Tensor<1, Int>,
    request: Refresh,
) -> Tensor<1, Int> {
    let ln_sigma = sigma.clone().clamp_min(SIGMA_FLOOR).log();
    let (ln_scale, strength) = scale_and_strength(&ln_sigma, request.dial);
    let ratio = (sigma_before / sigma.clamp_min(SIGMA_FLOOR)).clamp(0.0, 1.0);
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
            unit_codes(or_zero(strength)),
            unit_codes(or_zero(residual)),
            bad_step,
        ],
        0,
    )
}

/// `(ln s, γ)` of the action in force at `ln σ`: the table of [`osn_core::Action`].
fn scale_and_strength(ln_sigma: &Tensor<1>, dial: Dial) -> (Tensor<1>, Tensor<1>) {
    let amount = dial.amount;
    let excess = |target: f64| ln_sigma.clone() - target.ln();
    match dial.action {
        Action::Off => (ln_sigma.zeros_like(), ln_sigma.zeros_like()),
        Action::Normalize { target } => (excess(target) * -amount, ln_sigma.ones_like() * amount),
        Action::Cap { target, sharpness } if sharpness.is_infinite() => {
            let above = excess(target).greater_elem(0.0).float() * amount;
            (excess(target).clamp_min(0.0) * -amount, above)
        }
        Action::Cap { target, sharpness } => {
            let x = excess(target) * sharpness;
            let softplus = burn::tensor::activation::softplus(x.clone(), 1.0);
            (softplus * (-amount / sharpness), burn::tensor::activation::sigmoid(x) * amount)
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
    use burn::tensor::{Device, Distribution};

    use super::*;
    use crate::code::{State, decode_unit, encode_unit};
    use crate::spectral_norm::{device_codes, host_codes};

    const SHAPES: [([usize; 3], usize); 4] =
        [([7, 5, 1], 1), ([1, 6, 9], 1), ([3, 4, 5], 1), ([300, 260, 1], 1)];

    fn start(rows: usize, columns: usize, device: &Device) -> Codes {
        let unit = |length: usize| {
            let value = encode_unit(1.0 / (length as f64).sqrt());
            device_codes(&vec![value; length], device)
        };
        let state = State { sigma: 1.0, scale: 1.0, strength: 0.0, residual: 0.0, bad_step: 0 };
        (unit(rows), unit(columns), device_codes(&state.encode(), device))
    }

    fn both(weight: &Tensor<3>, action: Action) -> [(Vec<f64>, Vec<f64>, State); 2] {
        let [outer, rows, inner] = weight.dims();
        let layout = Layout { outer, rows, inner };
        let dial = Dial { action, amount: 0.75 };
        let request = Refresh { layout, dial, step: 9 };
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
        ];
        for (shape, _) in SHAPES {
            let weight =
                Tensor::<3>::random(shape, Distribution::Normal(0.1, 1.0), &Device::flex());
            for action in actions {
                let [fast, slow] = both(&weight, action);
                let close = |a: f64, b: f64| (a - b).abs() <= 2e-5 * a.abs().max(1.0);
                assert!(fast.0.iter().zip(&slow.0).all(|(a, b)| close(*a, *b)), "{shape:?} u");
                assert!(fast.1.iter().zip(&slow.1).all(|(a, b)| close(*a, *b)), "{shape:?} v");
                let (fast, slow) = (fast.2, slow.2);
                assert!(close(fast.sigma, slow.sigma), "{shape:?} {action}: {fast:?} {slow:?}");
                assert!(close(fast.scale, slow.scale), "{shape:?} {action}: {fast:?} {slow:?}");
                assert!(close(fast.strength, slow.strength), "{fast:?} {slow:?}");
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

    #[test]
    fn a_start_that_the_weight_sends_to_zero_is_replaced() {
        // Every column sums to zero, so the uniform u is in the kernel of the transpose.
        let weight = Tensor::<3>::from_data([[[3.0f32, 1.0], [-3.0, -1.0]]], &Device::flex());
        let [(_, _, state), _] = both(&weight, Action::Off);
        assert!((state.sigma - 20f64.sqrt()).abs() < 1e-5, "{state:?}");
    }
}
