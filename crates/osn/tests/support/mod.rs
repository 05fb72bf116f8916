//! What several test files share.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test file uses a part of it"
)]

use std::cell::Cell;

use burn::module::{ModuleMapper, Param};
use burn::tensor::{Device, Tensor, TensorData};
use safetensors::SafeTensors;

/// PyTorch's values for 13 weights.
pub struct Golden {
    tensors: SafeTensors<'static>,
}

impl Golden {
    /// What `torch.nn.utils.spectral_norm` computed: it begins each iteration at `u`.
    pub fn from_u() -> Self {
        Self::read(include_bytes!("../golden/torch_spectral_norm.safetensors"))
    }

    /// What `torch.nn.utils.parametrizations.spectral_norm` computed: it begins at `v`.
    pub fn from_v() -> Self {
        Self::read(include_bytes!("../golden/torch_parametrizations.safetensors"))
    }

    fn read(bytes: &'static [u8]) -> Self {
        Self { tensors: SafeTensors::deserialize(bytes).unwrap() }
    }

    pub fn values(&self, case: &str, name: &str) -> Vec<f32> {
        let view = self.tensors.tensor(&format!("{case}.{name}")).unwrap();
        view.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
    }

    pub fn shape(&self, case: &str, name: &str) -> Vec<usize> {
        self.tensors.tensor(&format!("{case}.{name}")).unwrap().shape().to_vec()
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
pub fn exact_sigma<const D: usize>(weight: &Tensor<D>, axis: usize) -> f64 {
    let values: Vec<f32> = weight.clone().into_data().iter().collect();
    exact_sigma_of(&values, &weight.dims(), axis)
}

/// The same of values on the host.
pub fn exact_sigma_of(values: &[f32], shape: &[usize], axis: usize) -> f64 {
    let map = osn_core::measure::DenseMap::from_tensor(values, shape, axis).unwrap();
    osn_core::measure::exact(&map).unwrap().sigma
}

/// Values of variance 1 about zero, the same in every run: uniform in (−√3, √3), by `SplitMix64` from a `key`.
pub fn noise<const D: usize>(shape: [usize; D], key: u64, device: &Device) -> Tensor<D> {
    let uniform = |index: u64| {
        let mut bits = (key << 32 | index).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    let count = shape.iter().product::<usize>() as u64;
    let values: Vec<f32> = (1..=count).map(|index| 3_f32.sqrt() * uniform(index)).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

thread_local! {
    static DRAWN: Cell<u64> = const { Cell::new(1 << 16) };
}

/// The next [`noise`] of this test: each test has a thread of its own, so it draws the same in every run.
pub fn draw<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    DRAWN.set(DRAWN.get() + 1);
    noise(shape, DRAWN.get(), device)
}

/// Gives every float parameter values of variance 0.1, each other ones.
pub struct Noise(pub u64);

impl ModuleMapper for Noise {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        self.0 += 1;
        param.map(|old| {
            let noise =
                noise(old.dims(), self.0, &old.device().without_autodiff()) * 0.1_f32.sqrt();
            if old.is_autodiff() { Tensor::from_inner(noise).require_grad() } else { noise }
        })
    }
}
