//! Frobenius norms where the weights are, each squared sum taken relative to the largest entry.

use burn::tensor::{FloatDType, Int, IntDType, Tensor};
use osn_core::act::SIGMA_FLOOR;

use osn_core::state_code::{LOG, LOG_OF_ZERO, decode_log};

/// The code of a norm that is not finite: no f32 has this logarithm.
const NOT_FINITE: i32 = i32::MAX;

/// `‖·‖_F` of each block of `[outer, count, inner]`, in f32.
pub(crate) fn block_norms(tensor: Tensor<3>) -> Tensor<1> {
    let (largest, relative) = scaled_block_norms(tensor);
    largest * relative
}

/// The largest entry of each block of `[outer, count, inner]`, and `‖·‖_F` relative to it: so no square
/// overflows. In f32.
fn scaled_block_norms(tensor: Tensor<3>) -> (Tensor<1>, Tensor<1>) {
    let count = tensor.dims()[1];
    let tensor = tensor.cast(FloatDType::F32);
    let largest = tensor.clone().abs().max_dim(0).max_dim(2).clamp_min(SIGMA_FLOOR);
    let relative = (tensor / largest.clone()).square().sum_dim(0).sum_dim(2).sqrt();
    (largest.reshape([count]), relative.reshape([count]))
}

/// `ln ‖W‖_F` of each block of `[outer, count, inner]` as a code, computed where the weight is.
pub(crate) fn ln_norm_codes(weight: Tensor<3>) -> Tensor<1, Int> {
    let (largest, relative) = scaled_block_norms(weight);
    let is_zero = relative.clone().lower_equal_elem(0.0);
    let is_bad = (relative.clone() + largest.clone()).is_finite().bool_not();
    let ln = relative.clamp_min(SIGMA_FLOOR).log() + largest.log();
    let code = (ln * LOG).round().int().cast(IntDType::I32);
    let code = code.clone().mask_where(is_zero, code.full_like(LOG_OF_ZERO));
    code.clone().mask_where(is_bad, code.full_like(NOT_FINITE))
}

/// The norm of a code; NaN for a weight that is not finite.
pub(crate) fn decode_norm(code: i32) -> f64 {
    if code == NOT_FINITE { f64::NAN } else { decode_log(code) }
}
