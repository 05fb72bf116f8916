//! The optimizer's step with a learning rate for each held weight.

use std::collections::HashMap;

use burn::lr_scheduler::module_lr_scheduler::{ModuleLearningRate, ModuleLrScheduler};
use burn::module::{Module, ModuleVisitor, Param, ParamGroup};
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::Tensor;

use crate::osn::Osn;
use crate::state::walks::Walk;

impl Osn {
    /// One step of `optimizer` on the attached `model`, in place of `optimizer.step`: with the
    /// learning rate of each held weight times its [`update_factors`](Self::update_factors).
    ///
    /// Where every factor is 1 it is `optimizer.step`, to the bit. Otherwise every parameter is still
    /// updated once. What an optimizer scales by its learning rate is scaled too: `AdamW`'s decay is,
    /// Adam's is not. Gradients and moments stay what they are.
    ///
    /// # Arguments
    ///
    /// - `learning_rate`: one number for all parameters, or what a scheduler of Burn gives for each.
    #[must_use = "the model is moved in and handed back"]
    pub fn optimize<M: Module>(
        &mut self,
        optimizer: &mut ModuleOptimizer,
        learning_rate: impl Into<ModuleLearningRate>,
        model: M,
        gradients: GradientsParams,
    ) -> M {
        let (rates, factors) = (learning_rate.into(), self.update_factors());
        if factors.iter().all(|(_, factor)| *factor == 1.0) {
            return optimizer.step(rates, model, gradients);
        }
        let scaled = scaled(&rates, factors, &model);
        optimizer.step(scaled, model, gradients)
    }

    /// The factor on the update of each held weight, by its path: `(target/σ)^a` where its action is
    /// [`ScaleUpdate`](osn_core::act::Action::ScaleUpdate), `min(1, target/σ)^a` where it is
    /// [`CapUpdate`](osn_core::act::Action::CapUpdate), and what
    /// [`keep_step_size`](crate::Plan::keep_step_size) asks for.
    ///
    /// For an optimizer of your own; [`optimize`](Self::optimize) applies them to Burn's. It is noted that they were
    /// asked for, so that [`step`](Self::step) does not complain that nothing applies them.
    ///
    /// σ is that of the last read-back, so nothing is copied. A weight in blocks has one learning rate:
    /// its factor is the geometric mean over its blocks.
    pub fn update_factors(&mut self) -> Vec<(String, f64)> {
        self.calls.optimize = true;
        let logs: Vec<f64> =
            (0..self.layers().count()).map(|layer| self.log_factor(layer)).collect();
        let mut logs = logs.as_slice();
        let weights = self.watched.iter().map(|watched| {
            let count = watched.layers.len();
            let (these, others) = logs.split_at(count);
            logs = others;
            (watched.path().to_owned(), (these.iter().sum::<f64>() / count as f64).exp())
        });
        weights.collect()
    }

    /// `ln` of the factor on a layer's update.
    fn log_factor(&self, layer: usize) -> f64 {
        let applied = self.actuators[layer].applied();
        let kept = self.step_size.as_ref().map_or(0.0, |step_size| step_size.log(layer));
        applied.update_factor(self.reading.sigmas[layer]).ln() + kept
    }
}

/// The same rates, those of the weights in `factors` scaled.
fn scaled<M: Module>(
    rates: &ModuleLearningRate,
    factors: Vec<(String, f64)>,
    model: &M,
) -> ModuleLearningRate {
    let groups = Vec::new();
    let mut own =
        OwnRates { walk: Walk::default(), rates, factors: factors.into_iter().collect(), groups };
    model.visit(&mut own);
    let all = ModuleLrScheduler::new(rates.base());
    let groups = own.groups.into_iter();
    groups.fold(all, |all, (path, rate)| all.with_group(ParamGroup::from_path(path), rate)).step()
}

/// Collects the learning rates that differ from the base.
struct OwnRates<'a> {
    walk: Walk,
    rates: &'a ModuleLearningRate,
    factors: HashMap<String, f64>,
    groups: Vec<(String, f64)>,
}

impl ModuleVisitor for OwnRates<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let path = self.walk.path();
        let factor = self.factors.get(&path).unwrap_or(&1.0);
        let rate = self.rates.lr_from_param(param.id, Some(&path)) * factor;
        if rate != self.rates.base() {
            self.groups.push((path, rate));
        }
    }

    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.walk.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.walk.exit();
    }
}
