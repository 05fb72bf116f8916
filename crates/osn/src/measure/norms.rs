//! Frobenius norms where the weights are: on the host in one pass in double precision, elsewhere in tensor operations with
//! each squared sum taken relative to the largest entry.

#[cfg(feature = "flex")]
use burn::backend::Dispatch;
use burn::tensor::{FloatDType, Int, IntDType, Tensor};
use osn_core::act::SIGMA_FLOOR;

#[cfg(feature = "flex")]
use crate::measure::refresh::{HostOps, is_flex};
#[cfg(feature = "flex")]
use osn_core::state_code::encode_log;
use osn_core::state_code::{LOG, LOG_OF_ZERO, decode_log};

/// The code of a norm that is not finite: no f32 has this logarithm.
const NOT_FINITE: i32 = i32::MAX;

/// `‖·‖_F` of each block of `[outer, count, inner]`, in f32.
pub(crate) fn block_norms(tensor: Tensor<3>) -> Tensor<1> {
    let tensor = tensor.without_autodiff();
    #[cfg(feature = "flex")]
    if is_flex(&tensor.device()) {
        return Tensor::from_dispatch(Dispatch::block_norms(tensor.into_dispatch()));
    }
    composed_block_norms(tensor)
}

fn composed_block_norms(tensor: Tensor<3>) -> Tensor<1> {
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
    let weight = weight.without_autodiff();
    #[cfg(feature = "flex")]
    if is_flex(&weight.device()) {
        return Tensor::from_dispatch(Dispatch::ln_norm_codes(weight.into_dispatch()));
    }
    composed_ln_norm_codes(weight)
}

fn composed_ln_norm_codes(weight: Tensor<3>) -> Tensor<1, Int> {
    let (largest, relative) = scaled_block_norms(weight);
    let is_zero = relative.clone().lower_equal_elem(0.0);
    let is_bad = (relative.clone() + largest.clone()).is_finite().bool_not();
    let ln = relative.clamp_min(SIGMA_FLOOR).log() + largest.log();
    let code = (ln * LOG).round().int().cast(IntDType::I32);
    let code = code.clone().mask_where(is_zero, code.full_like(LOG_OF_ZERO));
    code.clone().mask_where(is_bad, code.full_like(NOT_FINITE))
}

/// The code of a norm in f64.
#[cfg(feature = "flex")]
pub(crate) fn norm_code(norm: f64) -> i32 {
    if norm.is_finite() { encode_log(norm) } else { NOT_FINITE }
}

/// The norm of a code; NaN for a weight that is not finite.
pub(crate) fn decode_norm(code: i32) -> f64 {
    if code == NOT_FINITE { f64::NAN } else { decode_log(code) }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};

    /// Three blocks in two rows: numbers whose squares are out of range, zeros, and others.
    fn blocks(first: f32) -> Tensor<3> {
        let values = vec![first, -3e25, 0.0, 0.0, 1.0, -2.0, 1e-25, 4e25, 0.0, 0.0, 3.0, 0.5];
        Tensor::from_data(TensorData::new(values, [2, 3, 2]), &Device::flex())
    }

    fn numbers(tensor: Tensor<1>) -> Vec<f32> {
        tensor.into_data().try_to_vec().expect("f32")
    }

    #[test]
    fn both_ways_find_the_same_norms() {
        let (host, composed) = (block_norms(blocks(1e-25)), composed_block_norms(blocks(1e-25)));
        for (host, composed) in numbers(host).into_iter().zip(numbers(composed)) {
            assert!((host - composed).abs() <= 1e-6 * composed, "{host} {composed}");
        }
        assert!(numbers(block_norms(blocks(f32::NAN)))[0].is_nan());
    }

    #[test]
    fn both_ways_find_the_same_logarithms() {
        for first in [1e-25, f32::NAN, f32::INFINITY] {
            let [host, composed] = [ln_norm_codes, composed_ln_norm_codes]
                .map(|codes| codes(blocks(first)).into_data().try_to_vec::<i32>().expect("codes"));
            for (host, composed) in host.into_iter().zip(composed) {
                let (host, composed) = (decode_norm(host), decode_norm(composed));
                assert!(
                    (host - composed).abs() <= 1e-5 * composed
                        || host.is_nan() && composed.is_nan(),
                    "{host} {composed}"
                );
            }
        }
    }
}
