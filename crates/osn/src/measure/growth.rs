//! The derivative of a held-out goal by the σ of each block's effective weight.

use burn::backend::Dispatch;
use burn::tensor::{FloatDType, Int, Tensor};
use osn_core::act::SIGMA_FLOOR;
use osn_core::held::{Form, Maps, SigmaGradient};
use osn_core::state_code::{ELASTICITY, LN_SCALE, LN_SIGMA, LOG, STATE_LEN, UNIT};

use crate::act::ops::sigma_gradient;
use crate::state::codes::Codes;
use crate::state::walks::WeightGradient;

/// `h = −⟨G, D⟩/‖D‖²` of each block, `[count]`, with `G = ∂L/∂Ŵ` and `D = ∂σ/∂W` ([`Growth`](osn_core::layer::Growth));
/// nothing where the loss does not reach the stored weight.
///
/// What the backward left is the gradient of the stored weight, `∂L/∂W = s·G − (γ/σ)·⟨G, Ŵ⟩·D`, from which `G` along `D`
/// follows: `⟨G, D⟩ = (⟨∂L/∂W, D⟩ + (γ/σ)·⟨G, Ŵ⟩·‖D‖²)/s`.
pub(crate) fn growth_of(found: &WeightGradient, codes: Codes, form: &Form) -> Option<Tensor<1>> {
    let (gradient, along) = (found.at_weight.clone()?, found.along.clone()?);
    let [outer, count, inner] = form.cut.shape();
    let (u, v, state) = codes;
    let of_blocks = |tensor: Tensor<3>| tensor.swap_dims(0, 1).reshape([count, outer * inner]);
    let gradient = of_blocks(gradient.cast(FloatDType::F32));
    let direction = directions(u, v, form);
    let length = direction.clone().square().sum_dim(1).clamp_min(SIGMA_FLOOR);
    let at_weight = (gradient * direction).sum_dim(1) / length;
    let radial = removed(along.cast(FloatDType::F32), form.gradient);
    let [ln_sigma, elasticity, ln_scale] = parameters(&state, count);
    // As in the backward: a zero weight has elasticity 0, and ln 0 is coded as a finite number.
    let removed = radial * elasticity * ln_sigma.clamp_min(-87.0).neg().exp();
    Some((at_weight.reshape([count]) + removed).neg() / ln_scale.exp())
}

/// `D` of each block, `[count, elements]`, in the memory order of the block.
fn directions(u: Tensor<1, Int>, v: Tensor<1, Int>, form: &Form) -> Tensor<2> {
    let [outer, count, inner] = form.cut.shape();
    let flat = [count, outer * inner];
    match form.maps {
        Maps::Matrix(layout) => {
            let decode = |codes: Tensor<1, Int>| codes.cast(FloatDType::F32).div_scalar(UNIT);
            let u = decode(u).reshape([count, 1, layout.rows, 1]);
            let v = decode(v).reshape([count, layout.outer, 1, layout.inner]);
            (u * v).reshape(flat)
        }
        // Only a matrix has more than one block.
        maps => {
            let (u, v) = (u.into_dispatch(), v.into_dispatch());
            let direction = sigma_gradient::<Dispatch>(u, v, maps, FloatDType::F32);
            Tensor::<1>::from_dispatch(direction).reshape(flat)
        }
    }
}

/// What of `⟨G, Ŵ⟩` the backward removed from the gradient of the stored weight.
fn removed(along: Tensor<1>, gradient: SigmaGradient) -> Tensor<1> {
    match gradient {
        SigmaGradient::Full => along,
        SigmaGradient::Detached => along.zeros_like(),
        SigmaGradient::InwardOnly => along.clamp_max(0.0),
    }
}

/// `ln σ`, `γ` and `ln s` of each block.
fn parameters(state: &Tensor<1, Int>, count: usize) -> [Tensor<1>; 3] {
    let states = state.clone().cast(FloatDType::F32).reshape([count, STATE_LEN]);
    [(LN_SIGMA, LOG), (ELASTICITY, UNIT), (LN_SCALE, LOG)]
        .map(|(index, unit)| states.clone().narrow(1, index, 1).reshape([count]).div_scalar(unit))
}
