//! The parameter that nobody trains: its gradient is how much a loss depends on a weight's size.

use std::cell::Cell;

use burn::module::{
    Content, Devices, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper, ModuleVisitor,
    Param,
};
use burn::tensor::{Device, Tensor};

/// A leaf of ones, `κ`, one for each block of a weight: the layer computes with `κ·Ŵ`, so its gradient
/// is `⟨G, Ŵ⟩ = ∂L/∂ ln s` with `G = ∂L/∂Ŵ`. Absent where no rule asks for that.
///
/// The gradient of the stored weight does not give it: `⟨∇W, W⟩ = (1 − γ)·⟨G, Ŵ⟩`, which is 0 for a
/// weight that is normalized.
///
/// It lies in the module tree, so clones, devices, validation and training do with it what they do with
/// the weight. But a walk does not meet it, unless it is [`show`]n: no optimizer, record, average or
/// freezing knows of it.
#[derive(Clone, Debug)]
pub(crate) struct Probe(Option<Param<Tensor<1>>>);

/// The name of the probe in a walk that is shown it.
pub(crate) const NAME: &str = "probe";

thread_local! {
    static SHOWN: Cell<bool> = const { Cell::new(false) };
}

/// Visits a module with every probe in it.
pub(crate) fn show<M: Module>(model: &M, visitor: &mut impl ModuleVisitor) {
    /// Hides the probes again, also when the visit panics.
    struct Hide;
    impl Drop for Hide {
        fn drop(&mut self) {
            SHOWN.set(false);
        }
    }
    SHOWN.set(true);
    let _hide = Hide;
    model.visit(visitor);
}

impl Probe {
    pub(crate) fn none() -> Self {
        Self(None)
    }

    pub(crate) fn new(count: usize, device: &Device) -> Self {
        Self(Some(Param::from_tensor(Tensor::ones([count], device))))
    }

    /// The leaf, for a weight that takes part in a graph.
    pub(crate) fn leaf_for<const D: usize>(&self, weight: &Tensor<D>) -> Option<Tensor<1>> {
        let leaf = self.0.as_ref()?.val();
        (weight.is_autodiff() && leaf.is_require_grad()).then_some(leaf)
    }

    fn map_param(self, map: impl FnOnce(Param<Tensor<1>>) -> Param<Tensor<1>>) -> Self {
        Self(self.0.map(map))
    }
}

impl Module for Probe {
    fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
        if let Some(param) = self.0.as_ref().filter(|_| SHOWN.get()) {
            visitor.visit_float(param);
        }
    }

    fn map<M: ModuleMapper>(self, _: &mut M) -> Self {
        self
    }

    fn collect_devices(&self, devices: Devices) -> Devices {
        devices
    }

    fn to_device(self, device: &Device) -> Self {
        self.map_param(|param| param.to_device(device))
    }

    fn fork(self, device: &Device) -> Self {
        self.map_param(|param| param.fork(device))
    }

    fn valid(&self) -> Self {
        self.clone().map_param(|param| param.valid())
    }

    fn train(self) -> Self {
        self.map_param(Module::train)
    }

    fn materialize(self) -> Self {
        self
    }
}

impl ModuleDisplay for Probe {}

impl ModuleDisplayDefault for Probe {
    fn content(&self, content: Content) -> Option<Content> {
        content.optional()
    }
}
