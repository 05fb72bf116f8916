//! What operations are tested with: tensors of waves, which need no seed, and their numbers.

use burn::tensor::{Device, Tensor, TensorData};

/// `sin(frequency · index)` on the autodiff device.
pub(crate) fn wave<const D: usize>(shape: [usize; D], frequency: f32) -> Tensor<D> {
    let count = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|at| (at as f32 * frequency).sin()).collect();
    Tensor::from_data(TensorData::new(values, shape), &Device::flex().autodiff())
}

pub(crate) fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter().collect()
}

/// To within `tolerance` of the largest, or of 1 where that is smaller.
pub(crate) fn must_agree(what: &str, ours: &[f32], others: &[f32], tolerance: f32) {
    let size = others.iter().fold(1.0f32, |size, x| size.max(x.abs()));
    assert_eq!(ours.len(), others.len(), "{what}");
    for (a, b) in ours.iter().zip(others) {
        assert!((a - b).abs() <= tolerance * size, "{what}: {a} and {b}");
    }
}
