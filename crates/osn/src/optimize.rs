//! The optimizer's step with a learning rate for each held weight.

use burn::lr_scheduler::module_lr_scheduler::{ModuleLearningRate, ModuleLrScheduler};
use burn::module::{Module, ParamGroup};
use burn::optim::{GradientsParams, LearningRate, ModuleOptimizer};
use osn_core::AppliedAction;
use serde::{Deserialize, Serialize};

use crate::osn::Osn;

/// A factor this close to 1, as a logarithm, is 1.
const NOTHING_LEFT: f64 = 1e-6;

/// Keeps the size of a step of the effective weight where a decision changes its scale.
///
/// With `s` the scale and `T` the time constant in steps, the factor `f` on the update follows
///
/// ```text
/// ln f ← e^(−1/T)·ln f − Δ ln s
/// ```
///
/// where `Δ ln s` is what the applied's move alone did, at the σ that was last read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct StepSize {
    steps: u64,
    /// `ln f` of each layer.
    logs: Vec<f64>,
}

impl StepSize {
    pub(crate) fn new(steps: u64, count: usize) -> Self {
        Self { steps, logs: vec![0.0; count] }
    }

    /// Follows the applied from `before` to `after`, one step; all in the order of the layers.
    pub(crate) fn follow(
        &mut self,
        before: &[AppliedAction],
        after: &[AppliedAction],
        sigmas: &[f64],
    ) {
        let decay = (-1.0 / self.steps as f64).exp();
        let moves = before.iter().zip(after).zip(sigmas);
        for (log, ((before, after), &sigma)) in self.logs.iter_mut().zip(moves) {
            *log = decay * *log - (after.scale(sigma) / before.scale(sigma)).ln();
            if log.abs() < NOTHING_LEFT {
                *log = 0.0;
            }
        }
    }

    /// Whether it is of so many layers.
    pub(crate) fn fits(&self, n_layers: usize) -> bool {
        self.steps > 0 && self.logs.len() == n_layers
    }

    /// The time constant, in steps.
    pub(crate) fn steps(&self) -> u64 {
        self.steps
    }

    pub(crate) fn log(&self, layer: usize) -> f64 {
        self.logs[layer]
    }
}

impl Osn {
    /// One step of `optimizer` on the attached `model`, in place of `optimizer.step`: with the
    /// learning rate of each held weight times its [`update_factors`](Self::update_factors).
    ///
    /// Where every factor is 1 it is `optimizer.step`, to the bit. Otherwise every parameter is still
    /// updated once. What an optimizer scales by its learning rate is scaled too: `AdamW`'s decay is,
    /// Adam's is not. Gradients and moments stay what they are.
    #[must_use = "the model is moved in and handed back"]
    pub fn optimize<M: Module>(
        &self,
        optimizer: &mut ModuleOptimizer,
        learning_rate: LearningRate,
        model: M,
        gradients: GradientsParams,
    ) -> M {
        let factors = self.update_factors();
        if factors.iter().all(|(_, factor)| *factor == 1.0) {
            return optimizer.step(learning_rate, model, gradients);
        }
        optimizer.step(rates(learning_rate, &factors), model, gradients)
    }

    /// The factor on the update of each held weight, by its path: `(target/σ)^a` where its action is
    /// [`ScaleUpdate`](crate::Action::ScaleUpdate), `min(1, target/σ)^a` where it is
    /// [`CapUpdate`](crate::Action::CapUpdate), and what
    /// [`keep_step_size`](crate::Plan::keep_step_size) asks for.
    ///
    /// σ is that of the last read-back, so nothing is copied. A weight in blocks has one learning rate:
    /// its factor is the geometric mean over its blocks.
    pub fn update_factors(&self) -> Vec<(String, f64)> {
        let logs: Vec<f64> =
            (0..self.layers().count()).map(|layer| self.log_factor(layer)).collect();
        let mut logs = logs.as_slice();
        let factor = |(path, count): (&str, usize)| {
            let (these, others) = logs.split_at(count);
            logs = others;
            (path.to_owned(), (these.iter().sum::<f64>() / count as f64).exp())
        };
        self.weights().map(factor).collect()
    }
}

/// The learning rate for all, and for each path its own.
fn rates(learning_rate: LearningRate, factors: &[(String, f64)]) -> ModuleLearningRate {
    let all = ModuleLrScheduler::new(learning_rate);
    let own = |all: ModuleLrScheduler, (path, factor): &(String, f64)| {
        all.with_group(ParamGroup::from_path(path.as_str()), learning_rate * factor)
    };
    factors.iter().fold(all, own).step()
}
