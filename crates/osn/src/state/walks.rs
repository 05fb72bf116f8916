//! The walks over a module tree that read the held weights, look up their gradients and write their state.

use std::collections::HashMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, Reparameterization};
use burn::tensor::{Gradients, Int, Tensor};

use osn_core::held::Cut;

use crate::state::codes::Codes;
use crate::state::probe;
use crate::state::spectral_norm::SpectralNorm;

/// The name of `u`, `v` and `state` in the module tree, below the weight's own path.
fn code_path(weight: &str, name: &str) -> String {
    format!("{weight}.{}.{name}", SpectralNorm::NAME)
}

/// A held weight, `[outer, count, inner]`, and its codes, as they are in the module.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) weight: Tensor<3>,
    pub(crate) codes: Codes,
}

/// Reads the held weights of `model` in the order of `paths`; `None` where one is missing or of another size.
pub(crate) fn read<M: Module>(model: &M, paths: &[(String, Cut)]) -> Vec<Option<Held>> {
    let mut reader = Reader::of(model, paths);
    paths.iter().map(|(path, _)| reader.take(path)).collect()
}

/// Reads weights alone, held or not, `[outer, count, inner]`; `None` where one is missing or of another size.
pub(crate) fn weights<M: Module>(model: &M, paths: &[(String, Cut)]) -> Vec<Option<Tensor<3>>> {
    let mut reader = Reader::of(model, paths);
    paths.iter().map(|(path, _)| reader.weights.remove(path)?.1).collect()
}

struct Reader {
    walk: Walk,
    weights: HashMap<String, (Cut, Option<Tensor<3>>)>,
    codes: HashMap<String, Tensor<1, Int>>,
}

impl Reader {
    fn of<M: Module>(model: &M, paths: &[(String, Cut)]) -> Self {
        let weights = paths.iter().map(|(path, cut)| (path.clone(), (*cut, None))).collect();
        let mut reader = Self { walk: Walk::default(), weights, codes: HashMap::new() };
        model.visit(&mut reader);
        reader
    }

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
pub(crate) struct WeightGradient {
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
) -> Vec<Option<WeightGradient>> {
    let cuts = paths.iter().cloned().collect();
    let mut lookup = Lookup { walk: Walk::default(), cuts, gradients, found: HashMap::new() };
    probe::show(model, &mut lookup);
    paths.iter().map(|(path, _)| lookup.found.remove(path)).collect()
}

struct Lookup<'a> {
    walk: Walk,
    cuts: HashMap<String, Cut>,
    gradients: &'a Gradients,
    found: HashMap<String, WeightGradient>,
}

impl ModuleVisitor for Lookup<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let path = self.walk.path();
        let count = param.lazy_shape().num_elements();
        if let Some(cut) = self.cuts.get(&path).filter(|cut| cut.holds(count)) {
            let base = param.base();
            let at_weight = base.grad(self.gradients).map(|grad| grad.reshape(cut.shape()));
            let weight = base.without_autodiff().reshape(cut.shape());
            self.found.insert(path, WeightGradient { weight, at_weight, along: None });
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
