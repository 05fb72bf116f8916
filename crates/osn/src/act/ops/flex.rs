//! Flex runs on the host: state is read in place, and gradients are written over.

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::tensor::{DType, FloatDType, TensorData};
use osn_core::act::{AppliedAction, SIGMA_FLOOR};
use osn_core::measure::Layout;

use super::spare::Spare;
use super::{
    SigmaGradient, SpectralOps, composed_backward, composed_forward, composed_sensitivity, kernel,
};
use crate::measure::refresh::{Refresh, RefreshOps, begins_at_v};
use crate::state::form::{Form, Maps};
use osn_core::state_code::{State, decode_unit, encode_unit};

impl SpectralOps for Flex {
    fn effective_weight(
        weight: FloatTensor<Self>,
        _u: IntTensor<Self>,
        _v: IntTensor<Self>,
        state: IntTensor<Self>,
        spare: Spare,
        form: Form,
    ) -> FloatTensor<Self> {
        if form.cut.count > 1 {
            return composed_forward::<Self>(weight, state, form.cut);
        }
        let scale = read_state(&state).scale;
        let last = spare.take(weight.layout().num_elements());
        if scale == 1.0 {
            // Off costs nothing and changes no bit.
            return weight;
        }
        if weight.dtype() != DType::F32 {
            return composed_forward::<Self>(weight, state, form.cut);
        }
        let effective = scaled(&weight.to_contiguous(), scale, last);
        spare.keep(&effective);
        effective
    }

    fn sensitivity(
        grad: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        state: IntTensor<Self>,
        form: Form,
    ) -> FloatTensor<Self> {
        let is_f32 = grad.dtype() == DType::F32 && weight.dtype() == DType::F32;
        if !is_f32 || form.cut.count > 1 {
            return composed_sensitivity::<Self>(grad, weight, state, form.cut);
        }
        let (grad, weight) = (grad.to_contiguous(), weight.to_contiguous());
        let along =
            read_state(&state).scale * kernel::inner_product(values(&grad), values(&weight));
        #[expect(clippy::cast_possible_truncation, reason = "gradients are f32")]
        FlexTensor::from_data(TensorData::new(vec![along as f32], [1]))
    }

    fn effective_weight_backward(
        grad: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        u: IntTensor<Self>,
        v: IntTensor<Self>,
        state: IntTensor<Self>,
        form: Form,
    ) -> FloatTensor<Self> {
        let read = read_state(&state);
        if read.scale == 1.0 && read.elasticity == 0.0 {
            return grad;
        }
        let is_f32 = grad.dtype() == DType::F32 && weight.dtype() == DType::F32;
        if !is_f32 || form.maps.matrices().is_none() {
            return composed_backward::<Self>(grad, weight, u, v, state, form);
        }
        if read.elasticity == 0.0 || form.gradient == SigmaGradient::Detached {
            return Self::float_mul_scalar(grad, read.scale.into());
        }
        backward_in_place(
            contiguous(grad),
            &weight.to_contiguous(),
            &unit_vector(&u),
            &unit_vector(&v),
            read,
            form,
        )
    }
}

/// `s·W`, written over `last` where there is one of its size.
#[expect(clippy::cast_possible_truncation, reason = "weights are f32")]
fn scaled(weight: &FlexTensor, scale: f64, last: Option<FlexTensor>) -> FlexTensor {
    let (shape, scale) = (weight.layout().shape().clone(), scale as f32);
    let Some(mut effective) = last else {
        let values = kernel::scaled(values(weight), scale);
        return FlexTensor::from_data(TensorData::new(values, shape));
    };
    kernel::scale_into(effective.storage_mut(), values(weight), scale);
    effective.reshape(shape)
}

/// Two passes: `⟨G, Ŵ⟩` reads both, then `G` becomes `s·G − (γ/σ)·⟨G, Ŵ⟩·u vᵀ` where it lies; one
/// more for a second map.
#[expect(clippy::cast_possible_truncation, reason = "gradients are f32")]
fn backward_in_place(
    mut grad: FlexTensor,
    weight: &FlexTensor,
    u: &[f32],
    v: &[f32],
    state: State,
    form: Form,
) -> FlexTensor {
    let along = state.scale * kernel::inner_product(values(&grad), values(weight));
    let along = if form.gradient == SigmaGradient::InwardOnly { along.min(0.0) } else { along };
    let factor = form.maps.share() * state.elasticity / state.sigma * along;
    let (start, len) = (grad.layout().start_offset(), grad.layout().num_elements());
    let storage = &mut grad.storage_mut::<f32>()[start..start + len];
    let (mut u, mut v, mut scale) = (u, v, state.scale as f32);
    for &layout in form.maps.matrices().unwrap_or_default() {
        let (this_u, this_v);
        ((this_u, u), (this_v, v)) = (u.split_at(layout.rows), v.split_at(layout.cols()));
        kernel::scale_minus_outer(storage, layout, scale, factor as f32, this_u, this_v);
        scale = 1.0;
    }
    grad
}

impl RefreshOps for Flex {
    fn refresh(
        weight: FloatTensor<Self>,
        u: IntTensor<Self>,
        v: IntTensor<Self>,
        state: IntTensor<Self>,
        request: Refresh,
    ) -> (IntTensor<Self>, IntTensor<Self>, IntTensor<Self>) {
        let weight = Self::float_cast(weight, FloatDType::F32).to_contiguous();
        let before = read_state(&state);
        match iterate_all(values(&weight), (&unit_vector(&u), &unit_vector(&v)), &request.maps) {
            Step::Moved { u, v, sigma, residual } => {
                let state = state_at(sigma, residual, before.bad_step, &request.applied);
                (vector_codes(&u), vector_codes(&v), codes(&state.encode()))
            }
            Step::Zero => {
                let state = state_at(0.0, 0.0, before.bad_step, &request.applied);
                (u, v, codes(&state.encode()))
            }
            Step::NotFinite if before.bad_step != 0 => (u, v, state),
            Step::NotFinite => (u, v, codes(&State { bad_step: request.step, ..before }.encode())),
        }
    }
}

/// One power iteration of each map: their vectors one behind the other, the mean of their σ, the
/// worst of their residuals.
fn iterate_all(weight: &[f32], (mut u, mut v): (&[f32], &[f32]), maps: &Maps) -> Step {
    let (mut all_u, mut all_v, mut mean, mut worst) = (Vec::new(), Vec::new(), 0.0, 0.0_f64);
    for &layout in maps.matrices().unwrap_or_default() {
        let (this_u, this_v);
        ((this_u, u), (this_v, v)) = (u.split_at(layout.rows), v.split_at(layout.cols()));
        match power_iteration(weight, (this_u, this_v), layout) {
            Step::Moved { u, v, sigma, residual } => {
                all_u.extend(u);
                all_v.extend(v);
                mean += maps.share() * sigma;
                worst = worst.max(residual);
            }
            other => return other,
        }
    }
    Step::Moved { u: all_u, v: all_v, sigma: mean, residual: worst }
}

/// What one power iteration found.
enum Step {
    Moved { u: Vec<f32>, v: Vec<f32>, sigma: f64, residual: f64 },
    Zero,
    NotFinite,
}

/// From the vector that [`begins_at_v`] says, with one reading of the weight.
fn power_iteration(weight: &[f32], (u, v): (&[f32], &[f32]), layout: Layout) -> Step {
    let start = if begins_at_v(layout) { v } else { u };
    let mut half_steps = HalfSteps::from(weight, start, 1.0, layout);
    let sigma_before = half_steps.sigma_before;
    if sigma_before <= SIGMA_FLOOR {
        return from_the_largest_entry(weight, layout);
    }
    if sigma_before.is_finite() && !half_steps.is_in_range() {
        let mut start = start.to_vec();
        kernel::divide(&mut start, sigma_before);
        half_steps = HalfSteps::from(weight, &start, sigma_before, layout);
    }
    half_steps.normalized(layout)
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
    fn from(weight: &[f32], start: &[f32], divisor: f64, layout: Layout) -> Self {
        let (first, second) = if begins_at_v(layout) {
            kernel::apply_then_transpose(weight, start)
        } else {
            kernel::transpose_then_apply(weight, layout, start)
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

    fn normalized(self, layout: Layout) -> Step {
        let sigma = self.sigma();
        let Self { mut first, mut second, norms, sigma_before } = self;
        if !(sigma_before.is_finite() && sigma.is_finite()) {
            return Step::NotFinite;
        }
        for (product, norm) in [&mut first, &mut second].into_iter().zip(norms) {
            kernel::divide(product, norm);
        }
        let (u, v) = if begins_at_v(layout) { (first, second) } else { (second, first) };
        Step::Moved { u, v, sigma, residual: residual(sigma_before, sigma) }
    }
}

/// Another start where the first product vanishes: the row or column of the largest entry, whose product does not
/// unless the weight is zero.
fn from_the_largest_entry(weight: &[f32], layout: Layout) -> Step {
    let Layout { outer: _, rows, inner } = layout;
    let largest = weight.iter().enumerate().max_by(|(_, a), (_, b)| a.abs().total_cmp(&b.abs()));
    match largest {
        Some((_, w)) if !w.is_finite() => Step::NotFinite,
        Some((index, w)) if f64::from(w.abs()) > SIGMA_FLOOR => {
            let (mut u, mut v) = (vec![0.0; rows], vec![0.0; layout.cols()]);
            u[index / inner % rows] = 1.0;
            v[index / inner / rows * inner + index % inner] = 1.0;
            power_iteration(weight, (&u, &v), layout)
        }
        _ => Step::Zero,
    }
}

/// `‖W v − σ_b u‖/σ` for the `u` of before and `σ_b = ‖Wᵀu‖`: since `⟨W v, u⟩ = σ_b`, its square is
/// `1 − (σ_b/σ)²`, which costs nothing. From `v` it is the same of `Wᵀ`.
fn residual(sigma_before: f64, sigma: f64) -> f64 {
    let ratio = (sigma_before / sigma).min(1.0);
    (1.0 - ratio * ratio).sqrt()
}

fn state_at(sigma: f64, residual: f64, bad_step: i32, applied: &AppliedAction) -> State {
    let scale = applied.action.scale(applied.blend, sigma);
    let elasticity = applied.action.elasticity(applied.blend, sigma);
    State { sigma, scale, elasticity, residual, bad_step }
}

/// Without a second handle on the same storage, which would make writing to it copy it first.
fn contiguous(tensor: FlexTensor) -> FlexTensor {
    if tensor.is_contiguous() { tensor } else { tensor.to_contiguous() }
}

fn values(tensor: &FlexTensor) -> &[f32] {
    let (start, len) = (tensor.layout().start_offset(), tensor.layout().num_elements());
    &tensor.storage::<f32>()[start..start + len]
}

fn read_codes(tensor: &FlexTensor) -> Vec<i32> {
    let tensor = tensor.to_contiguous();
    let (start, len) = (tensor.layout().start_offset(), tensor.layout().num_elements());
    tensor.storage::<i32>()[start..start + len].to_vec()
}

fn read_state(tensor: &FlexTensor) -> State {
    State::decode(&read_codes(tensor))
}

#[expect(clippy::cast_possible_truncation, reason = "the iteration runs in f32")]
fn unit_vector(tensor: &FlexTensor) -> Vec<f32> {
    read_codes(tensor).into_iter().map(|code| decode_unit(code) as f32).collect()
}

fn vector_codes(vector: &[f32]) -> FlexTensor {
    codes(&vector.iter().map(|&x| encode_unit(f64::from(x))).collect::<Vec<_>>())
}

fn codes(codes: &[i32]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(codes.to_vec(), [codes.len()]))
}
