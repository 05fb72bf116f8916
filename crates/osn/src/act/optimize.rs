//! The optimizer's step with a learning rate for each held weight.

use std::collections::HashMap;

use burn::lr_scheduler::module_lr_scheduler::{ModuleLearningRate, ModuleLrScheduler};
use burn::module::{Module, ParamGroup};
use burn::optim::{GradientsParams, ModuleOptimizer};

use crate::attach::discover::{self, Found};
use crate::osn::Osn;

impl Osn {
    /// One step of `optimizer` on the attached `model`, in place of `optimizer.step`: the learning rate of each held
    /// weight is multiplied by its [`update_factors`](Self::update_factors).
    ///
    /// Where every factor is 1, it is `optimizer.step` to the bit. Every parameter is updated once in any case. All
    /// that an optimizer multiplies by its learning rate is scaled: the weight decay of `AdamW` is, that of Adam is
    /// not. Gradients and moments are not.
    ///
    /// # Arguments
    ///
    /// - `optimizer`: any of Burn's.
    /// - `learning_rate`: one number for all parameters, or one for each from a scheduler of Burn.
    /// - `model`: the attached model; it is returned after the step.
    /// - `gradients`: those of the training loss, as for `optimizer.step`.
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
    /// This is for an optimizer of your own; [`optimize`](Self::optimize) applies the factors to those of Burn. After
    /// this call [`step`](Self::step) takes it that they are applied, and does not fail with
    /// [`StepError::NotOptimized`](crate::StepError::NotOptimized).
    ///
    /// σ is that of the last read-back, so nothing is copied from the device. A weight in blocks has one learning
    /// rate: its factor is the geometric mean over its blocks.
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
    let factors: HashMap<String, f64> = factors.into_iter().collect();
    let mut all = ModuleLrScheduler::new(rates.base());
    for Found { path, id, .. } in discover::parameters(model) {
        let rate = rates.lr_from_param(id, Some(&path)) * factors.get(&path).unwrap_or(&1.0);
        if rate != rates.base() {
            all = all.with_group(ParamGroup::from_path(path), rate);
        }
    }
    all.step()
}
