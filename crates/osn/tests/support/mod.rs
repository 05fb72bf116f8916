//! What several test files share.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test file uses a part of it"
)]

use safetensors::SafeTensors;

/// PyTorch's values for 13 weights.
pub struct Golden {
    tensors: SafeTensors<'static>,
}

const BYTES: &[u8] = include_bytes!("../golden/torch_spectral_norm.safetensors");

impl Golden {
    pub fn open() -> Self {
        Self { tensors: SafeTensors::deserialize(BYTES).unwrap() }
    }

    pub fn values(&self, case: &str, name: &str) -> Vec<f32> {
        let view = self.tensors.tensor(&format!("{case}.{name}")).unwrap();
        view.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
    }

    pub fn shape(&self, case: &str, name: &str) -> Vec<usize> {
        self.tensors.tensor(&format!("{case}.{name}")).unwrap().shape().to_vec()
    }

    pub fn output_axis(case: &str) -> usize {
        usize::from(case.starts_with("conv_transpose"))
    }
}

/// ‖ours − theirs‖/‖theirs‖.
pub fn relative_error<T: Copy + Into<f64>>(ours: &[f64], theirs: &[T]) -> f64 {
    assert_eq!(ours.len(), theirs.len());
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>().sqrt();
    let difference = norm(&mut ours.iter().zip(theirs).map(|(a, b)| a - (*b).into()));
    difference / norm(&mut theirs.iter().map(|&x| x.into()))
}

/// The largest singular value by SVD of a weight whose output axis is `axis`.
pub fn exact_sigma<const D: usize>(weight: &burn::tensor::Tensor<D>, axis: usize) -> f64 {
    let values: Vec<f32> = weight.clone().into_data().iter().collect();
    exact_sigma_of(&values, &weight.dims(), axis)
}

/// The same of values on the host.
pub fn exact_sigma_of(values: &[f32], shape: &[usize], axis: usize) -> f64 {
    let map = osn_core::DenseMap::from_tensor(values, shape, axis).unwrap();
    osn_core::exact(&map).unwrap().sigma
}
