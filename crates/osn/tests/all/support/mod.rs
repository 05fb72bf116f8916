//! What several test files share.

use std::cell::Cell;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Element, Int, Tensor, TensorData};
use osn::rules::{Rule, Signals};
use osn::{Osn, OsnState, Plan};
use safetensors::SafeTensors;

/// The device of all tests: Flex, or what `OSN_TEST_DEVICE` names.
pub(crate) fn plain_device() -> Device {
    match std::env::var("OSN_TEST_DEVICE").as_deref() {
        Err(_) | Ok("flex") => Device::flex(),
        #[cfg(feature = "wgpu")]
        Ok("wgpu") => Device::wgpu(burn::tensor::DeviceKind::DefaultDevice),
        Ok(name) => panic!("OSN_TEST_DEVICE={name} is not a device of this build"),
    }
}

pub(crate) fn device() -> Device {
    plain_device().autodiff()
}

/// A weight by itself.
#[derive(Module, Debug)]
pub(crate) struct Bare<const D: usize> {
    pub(crate) weight: Param<Tensor<D>>,
}

impl<const D: usize> Bare<D> {
    pub(crate) fn of(weight: Tensor<D>) -> Self {
        Self { weight: Param::from_tensor(weight) }
    }
}

/// A plan of one rule for every weight.
pub(crate) fn plan(rule: &str) -> Plan {
    Plan::new().select("**").decide(Rule::parse(rule).unwrap())
}

/// Several steps without an optimizer and without signals.
pub(crate) fn steps<M: Module>(osn: &mut Osn, model: &mut M, count: usize) {
    (0..count).for_each(|_| drop(osn.step(model, &Signals::new()).unwrap()));
}

/// The state as a file brings it back.
pub(crate) fn saved(osn: &Osn) -> OsnState {
    serde_json::from_str(&serde_json::to_string(&osn.state()).unwrap()).unwrap()
}

pub(crate) fn values<E: Element, const D: usize>(tensor: Tensor<D>) -> Vec<E> {
    tensor.into_data().iter().collect()
}

/// PyTorch's values for the weights of one golden file.
pub(crate) struct Golden {
    tensors: SafeTensors<'static>,
}

impl Golden {
    /// What `torch.nn.utils.spectral_norm` computed: it begins each iteration at `u`.
    pub(crate) fn from_u() -> Self {
        Self::read(include_bytes!("../../golden/torch_spectral_norm.safetensors"))
    }

    /// What `torch.nn.utils.parametrizations.spectral_norm` computed: it begins at `v`.
    pub(crate) fn from_v() -> Self {
        Self::read(include_bytes!("../../golden/torch_parametrizations.safetensors"))
    }

    fn read(bytes: &'static [u8]) -> Self {
        Self { tensors: SafeTensors::deserialize(bytes).unwrap() }
    }

    pub(crate) fn values(&self, case: &str, name: &str) -> Vec<f32> {
        let view = self.tensors.tensor(&format!("{case}.{name}")).unwrap();
        view.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
    }

    pub(crate) fn shape(&self, case: &str, name: &str) -> Vec<usize> {
        self.tensors.tensor(&format!("{case}.{name}")).unwrap().shape().to_vec()
    }
}

/// ‖ours − theirs‖/‖theirs‖.
pub(crate) fn relative_error<T: Copy + Into<f64>>(ours: &[f64], theirs: &[T]) -> f64 {
    assert_eq!(ours.len(), theirs.len());
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>().sqrt();
    let difference = norm(&mut ours.iter().zip(theirs).map(|(a, b)| a - (*b).into()));
    difference / norm(&mut theirs.iter().map(|&x| x.into()))
}

/// The largest singular value by SVD of a weight whose output axis is `axis`.
pub(crate) fn exact_sigma<const D: usize>(weight: &Tensor<D>, axis: usize) -> f64 {
    exact_sigma_of(&values(weight.clone()), &weight.dims(), axis)
}

/// The same of values on the host.
pub(crate) fn exact_sigma_of(values: &[f32], shape: &[usize], axis: usize) -> f64 {
    let map = osn_core::measure::DenseMap::from_tensor(values, shape, axis).unwrap();
    osn_core::measure::exact(&map).unwrap().sigma
}

/// Values of variance 1 about zero, the same in every run: uniform in (−√3, √3), by `SplitMix64` from a `key`.
pub(crate) fn noise<const D: usize>(shape: [usize; D], key: u64, device: &Device) -> Tensor<D> {
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
pub(crate) fn draw<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    DRAWN.set(DRAWN.get() + 1);
    noise(shape, DRAWN.get(), device)
}

/// Changes the values of every float parameter on the host.
pub(crate) struct Edit<F>(pub F);

impl<F: FnMut(&mut [f32])> ModuleMapper for Edit<F> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|old| {
            let (shape, device) = (old.shape(), old.device());
            let is_trained = old.is_autodiff();
            let mut numbers = values(old);
            (self.0)(&mut numbers);
            let new = Tensor::from_data(TensorData::new(numbers, shape), &device);
            if is_trained { new.require_grad() } else { new }
        })
    }
}

/// A linear layer whose weight is [`noise`] times `scale`, and whose bias is zero.
pub(crate) fn linear([inputs, outputs]: [usize; 2], key: u64, scale: f32) -> Linear {
    let mut layer: Linear = LinearConfig::new(inputs, outputs).init(&device());
    layer.weight = Param::from_tensor(noise([inputs, outputs], key, &device()) * scale);
    layer.bias = Some(Param::from_tensor(Tensor::zeros([outputs], &device())));
    layer
}

pub(crate) fn filled<M: Module>(model: M, value: f32) -> M {
    model.map(&mut Edit(|weight: &mut [f32]| weight.fill(value)))
}

pub(crate) fn times<M: Module>(model: M, factor: f32) -> M {
    model.map(&mut Edit(|weight: &mut [f32]| weight.iter_mut().for_each(|it| *it *= factor)))
}

/// Puts a number in the place of the first of every float parameter.
pub(crate) fn with_first<M: Module>(model: M, value: f32) -> M {
    model.map(&mut Edit(|weight: &mut [f32]| weight[0] = value))
}

/// Gives every float parameter values of variance 0.1, each other ones.
pub(crate) fn noisy<M: Module>(model: M) -> M {
    let mut key = 0;
    model.map(&mut Edit(|weight: &mut [f32]| {
        key += 1;
        let noise = noise([weight.len()], key, &plain_device()) * 0.1_f32.sqrt();
        weight.copy_from_slice(&values::<f32, 1>(noise));
    }))
}

/// The parameters that a walk meets.
#[derive(Default)]
pub(crate) struct Met {
    within: Vec<String>,
    pub(crate) paths: Vec<String>,
    /// The stored values of the float parameters.
    pub(crate) floats: Vec<Vec<f32>>,
}

impl Met {
    pub(crate) fn of<M: Module>(model: &M) -> Self {
        let mut met = Self::default();
        model.visit(&mut met);
        met
    }
}

impl ModuleVisitor for Met {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.paths.push(self.within.join("."));
        self.floats.push(values(param.base()));
    }

    fn visit_int<const D: usize>(&mut self, _: &Param<Tensor<D, Int>>) {
        self.paths.push(self.within.join("."));
    }

    fn enter_module(&mut self, name: &str, _: &str) {
        self.within.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.within.pop();
    }
}
