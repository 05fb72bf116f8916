//! Flex runs on the host: state is read in place, and gradients are written over.

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::tensor::{DType, FloatDType, TensorData};
use osn_core::held::kernel::{self, square_sum};
use osn_core::held::{Form, Iteration, SigmaGradient, iterate, state_at};

use super::spare::Spare;
use super::{SpectralOps, composed_backward, composed_forward, composed_sensitivity};
use crate::measure::norms::norm_code;
use crate::measure::refresh::{HostOps, Refresh};
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

impl HostOps for Flex {
    #[expect(clippy::cast_possible_truncation, reason = "signals are f32")]
    fn block_norms(tensor: FloatTensor<Self>) -> FloatTensor<Self> {
        let norms: Vec<f32> = norms_of_blocks(tensor).into_iter().map(|norm| norm as f32).collect();
        let count = norms.len();
        FlexTensor::from_data(TensorData::new(norms, [count]))
    }

    fn ln_norm_codes(tensor: FloatTensor<Self>) -> IntTensor<Self> {
        codes(&norms_of_blocks(tensor).into_iter().map(norm_code).collect::<Vec<_>>())
    }

    fn refresh(
        weight: FloatTensor<Self>,
        u: IntTensor<Self>,
        v: IntTensor<Self>,
        state: IntTensor<Self>,
        request: Refresh,
    ) -> (IntTensor<Self>, IntTensor<Self>, IntTensor<Self>) {
        let weight = Self::float_cast(weight, FloatDType::F32).to_contiguous();
        let before = read_state(&state);
        match iterate(values(&weight), (&unit_vector(&u), &unit_vector(&v)), &request.maps) {
            Iteration::Moved { u, v, sigma, residual } => {
                let state = state_at(sigma, residual, before.bad_step, &request.applied);
                (vector_codes(&u), vector_codes(&v), codes(&state.encode()))
            }
            Iteration::Zero => {
                let state = state_at(0.0, 0.0, before.bad_step, &request.applied);
                (u, v, codes(&state.encode()))
            }
            Iteration::Lost => (u, v, codes(&State { residual: 1.0, ..before }.encode())),
            Iteration::NotFinite if before.bad_step != 0 => (u, v, state),
            Iteration::NotFinite => {
                (u, v, codes(&State { bad_step: request.step, ..before }.encode()))
            }
        }
    }
}

/// `‖·‖_F` of each block of `[outer, count, inner]`, in f64.
fn norms_of_blocks(tensor: FlexTensor) -> Vec<f64> {
    let tensor = contiguous(Flex::float_cast(tensor, FloatDType::F32));
    let shape = tensor.layout().shape();
    let (count, inner) = (shape[1], shape[2]);
    let mut squares = vec![0.0; count];
    for (row, part) in values(&tensor).chunks_exact(inner.max(1)).enumerate() {
        squares[row % count] += square_sum(part);
    }
    squares.into_iter().map(f64::sqrt).collect()
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
