//! u, v and σ of one weight as integers on its device, and between there and the host.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};

use osn_core::state_code::{State, encode_unit};

/// The tensors of one weight: `u`, `v` and `state`, as [`osn_core::state_code`] codes them.
pub(crate) type Codes = (Tensor<1, Int>, Tensor<1, Int>, Tensor<1, Int>);

/// Brings integer codes to the host.
///
/// # Panics
///
/// If the device fails to hand them over.
pub(crate) fn host_codes(codes: Tensor<1, Int>) -> Vec<i32> {
    codes.into_data().iter::<i32>().collect()
}

/// Puts integer codes on `device`.
pub(crate) fn device_codes(codes: &[i32], device: &Device) -> Tensor<1, Int> {
    let data = TensorData::new(codes.to_vec(), [codes.len()]);
    Tensor::from_data(data, (device, DType::I32))
}

/// The codes of what was measured on the host.
pub(crate) fn encode(u: &[f64], v: &[f64], states: &[State], device: &Device) -> Codes {
    let vector = |x: &[f64]| x.iter().map(|&x| encode_unit(x)).collect::<Vec<_>>();
    let states: Vec<i32> = states.iter().flat_map(State::encode).collect();
    let [u, v, states] = [vector(u), vector(v), states].map(|codes| device_codes(&codes, device));
    (u, v, states)
}
