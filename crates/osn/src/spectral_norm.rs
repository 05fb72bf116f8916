//! The one file that touches Burn's reparameterization API: state in the module tree, and the
//! walks that read and write it.

use std::collections::HashMap;

use burn::module::{
    Module, ModuleMapper, ModuleVisitor, Param, Reparameterization, Reparameterizer,
};
use burn::tensor::{DType, Device, Gradients, Int, Tensor, TensorData};

use crate::form::{Cut, Form};
use crate::ops::effective_weight;
use crate::probe::{self, Probe};
use crate::refresh::Codes;
use osn_core::state_code::{STATE_LEN, State, decode_unit, encode_unit};

/// The state of one held weight: `u`, `v` and what the last refresh measured, for each block of it
/// one behind the other.
///
/// It lives beside the weight in the module tree, as integers that no optimizer, average or cast
/// touches, so clones own theirs and records carry it under `<weight>.spectral_norm.*`. The stored
/// weight stays what the optimizer made it; [`Param::val`] gives `Ŵ = s·W`.
#[derive(Module, Debug)]
pub struct SpectralNorm {
    u: Param<Tensor<1, Int>>,
    v: Param<Tensor<1, Int>>,
    state: Param<Tensor<1, Int>>,
    probe: Probe,
    #[module(skip)]
    form: Form,
}

impl Reparameterization for SpectralNorm {
    const NAME: &'static str = "spectral_norm";

    fn apply<const D: usize>(&self, base: Tensor<D>) -> Tensor<D> {
        let probe = self.probe.leaf_for(&base);
        effective_weight(base, self.u.val(), self.v.val(), self.state.val(), probe, self.form)
    }
}

impl SpectralNorm {
    pub(crate) fn new(codes: Codes, probe: Probe, form: Form) -> Self {
        let (u, v, state) = codes;
        Self {
            u: Param::initialized(burn::module::ParamId::new(), u),
            v: Param::initialized(burn::module::ParamId::new(), v),
            state: Param::initialized(burn::module::ParamId::new(), state),
            probe,
            form,
        }
    }

    /// The left singular vector's estimate, one number a row of the map; one unit vector behind the
    /// other where a view has several maps or blocks. Copies from the device.
    pub fn u(&self) -> Vec<f64> {
        unit_vector(self.u.val())
    }

    /// The right singular vector's estimate, one number a column, in the order of [`Self::u`].
    /// Copies from the device.
    pub fn v(&self) -> Vec<f64> {
        unit_vector(self.v.val())
    }

    /// σ of each block as of the last refresh: a lower bound of the largest singular value of the
    /// stored weight at that time. Copies from the device.
    pub fn sigma(&self) -> Vec<f64> {
        self.states().iter().map(|state| state.sigma).collect()
    }

    /// The factor `s` between the stored and the effective weight, for each block. Copies from the
    /// device.
    pub fn scale(&self) -> Vec<f64> {
        self.states().iter().map(|state| state.scale).collect()
    }

    /// `γ = −d ln s / d ln σ` of each block. Copies from the device.
    pub fn elasticity(&self) -> Vec<f64> {
        self.states().iter().map(|state| state.elasticity).collect()
    }

    fn states(&self) -> Vec<State> {
        host_codes(self.state.val()).chunks_exact(STATE_LEN).map(State::decode).collect()
    }
}

/// The name of `u`, `v` and `state` in the module tree, below the weight's own path.
fn code_path(weight: &str, name: &str) -> String {
    format!("{weight}.{}.{name}", SpectralNorm::NAME)
}

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

fn unit_vector(codes: Tensor<1, Int>) -> Vec<f64> {
    host_codes(codes).into_iter().map(decode_unit).collect()
}

/// Attaches prepared state to the weights of the given paths.
pub(crate) fn attach<M: Module>(model: M, prepared: HashMap<String, SpectralNorm>) -> M {
    model.apply_reparameterization(Attach(prepared))
}

struct Attach(HashMap<String, SpectralNorm>);

impl Reparameterizer for Attach {
    type Reparam = SpectralNorm;

    fn reparameterize<const D: usize>(
        &mut self,
        path: &str,
        param: Param<Tensor<D>>,
    ) -> (Param<Tensor<D>>, Option<SpectralNorm>) {
        let state = self.0.remove(path);
        (param, state)
    }
}

/// A held weight, `[outer, count, inner]`, and its codes, as they are in the module.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) weight: Tensor<3>,
    pub(crate) codes: Codes,
}

/// Reads the held weights of `model` in the order of `paths`; `None` where one is missing or of another size.
pub(crate) fn read<M: Module>(model: &M, paths: &[(String, Cut)]) -> Vec<Option<Held>> {
    let mut reader =
        Reader { walk: Walk::default(), weights: HashMap::new(), codes: HashMap::new() };
    for (path, cut) in paths {
        reader.weights.insert(path.clone(), (*cut, None));
    }
    model.visit(&mut reader);
    paths.iter().map(|(path, _)| reader.take(path)).collect()
}

struct Reader {
    walk: Walk,
    weights: HashMap<String, (Cut, Option<Tensor<3>>)>,
    codes: HashMap<String, Tensor<1, Int>>,
}

impl Reader {
    fn take(&mut self, path: &str) -> Option<Held> {
        let (_, weight) = self.weights.remove(path)?;
        let mut code = |name| self.codes.remove(&code_path(path, name));
        let codes = (code("u")?, code("v")?, code("state")?);
        Some(Held { weight: weight?, codes })
    }
}

impl ModuleVisitor for Reader {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let count = param.lazy_shape().num_elements();
        if let Some((cut, weight)) = self.weights.get_mut(&self.walk.path())
            && cut.holds(count)
        {
            *weight = Some(param.base().without_autodiff().reshape(cut.shape()));
        }
    }

    fn visit_int<const D: usize>(&mut self, param: &Param<Tensor<D, Int>>) {
        if self.walk.in_spectral_norm() {
            let count = param.lazy_shape().num_elements();
            self.codes.insert(self.walk.path(), param.val().without_autodiff().reshape([count]));
        }
    }

    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.walk.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.walk.exit();
    }
}

/// What one backward says about a held weight.
#[derive(Debug)]
pub(crate) struct Gradient {
    /// The stored weight, `[outer, count, inner]`.
    pub(crate) weight: Tensor<3>,
    /// `∂L/∂W` in the same shape, where the weight is trained and the loss depends on it.
    pub(crate) at_weight: Option<Tensor<3>>,
    /// `⟨G, Ŵ⟩` of each block, where it was asked for and the loss depends on the weight.
    pub(crate) along: Option<Tensor<1>>,
}

/// Looks up the held weights of `model` in `gradients`, in the order of `paths`; `None` where the model
/// has no such weight.
pub(crate) fn gradients<M: Module>(
    model: &M,
    paths: &[(String, Cut)],
    gradients: &Gradients,
) -> Vec<Option<Gradient>> {
    let cuts = paths.iter().cloned().collect();
    let mut lookup = Lookup { walk: Walk::default(), cuts, gradients, found: HashMap::new() };
    probe::show(model, &mut lookup);
    paths.iter().map(|(path, _)| lookup.found.remove(path)).collect()
}

struct Lookup<'a> {
    walk: Walk,
    cuts: HashMap<String, Cut>,
    gradients: &'a Gradients,
    found: HashMap<String, Gradient>,
}

impl ModuleVisitor for Lookup<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let path = self.walk.path();
        let count = param.lazy_shape().num_elements();
        if let Some(cut) = self.cuts.get(&path).filter(|cut| cut.holds(count)) {
            let base = param.base();
            let at_weight = base.grad(self.gradients).map(|grad| grad.reshape(cut.shape()));
            let weight = base.without_autodiff().reshape(cut.shape());
            self.found.insert(path, Gradient { weight, at_weight, along: None });
        } else if let Some(path) = path.strip_suffix(&code_path("", probe::NAME))
            && let Some(found) = self.found.get_mut(path)
        {
            // The probe has one axis; its rank is only not known here.
            let along = param.base().grad(self.gradients);
            found.along = along.map(|along| along.reshape([found.weight.dims()[1]]));
        }
    }

    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.walk.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.walk.exit();
    }
}

/// Replaces the codes of the given weights; all else stays.
pub(crate) fn write<M: Module>(model: M, codes: Vec<(String, Codes)>) -> M {
    let mut writer = Writer { walk: Walk::default(), codes: HashMap::new() };
    for (path, (u, v, state)) in codes {
        for (name, code) in [("u", u), ("v", v), ("state", state)] {
            writer.codes.insert(code_path(&path, name), code);
        }
    }
    model.map(&mut writer)
}

struct Writer {
    walk: Walk,
    codes: HashMap<String, Tensor<1, Int>>,
}

impl ModuleMapper for Writer {
    fn map_int<const D: usize>(&mut self, param: Param<Tensor<D, Int>>) -> Param<Tensor<D, Int>> {
        if !self.walk.in_spectral_norm() {
            return param;
        }
        let Some(codes) = self.codes.remove(&self.walk.path()) else { return param };
        param.map(|old| {
            let codes = codes.reshape(old.shape());
            if old.is_autodiff() { Tensor::from_inner(codes) } else { codes }
        })
    }

    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.walk.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.walk.exit();
    }
}

/// Where a walk over a module tree is.
#[derive(Debug, Default)]
pub(crate) struct Walk(Vec<String>);

impl Walk {
    pub(crate) fn enter(&mut self, name: &str) {
        self.0.push(name.to_owned());
    }

    pub(crate) fn exit(&mut self) {
        self.0.pop();
    }

    pub(crate) fn path(&self) -> String {
        self.0.join(".")
    }

    fn in_spectral_norm(&self) -> bool {
        self.0.len() >= 2 && self.0[self.0.len() - 2] == SpectralNorm::NAME
    }
}
