//! An exponential average of what a network computes with.

use std::collections::HashMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::Tensor;

use crate::network_parts::{load_network, save_network};
use crate::run::checkpoint::contents::{CheckpointContents, ContentsError};

/// The average of a network over its updates.
///
/// With θₜ the network's numbers after its update t, and d the decay,
///
/// ```text
/// mₜ = d·mₜ₋₁ + (1 − d)·θₜ    m₀ = 0    average = mₜ/(1 − dᵗ)
/// ```
///
/// where the division corrects for the start, as in Adam (Kingma and Ba 2015, algorithm 1): the weights
/// of θ₁ to θₜ have the sum 1, and nothing of the initial network is left. It is kept as what comes to
/// the same,
///
/// ```text
/// average ← (1 − wₜ)·average + wₜ·θₜ    wₜ = (1 − d)/(1 − dᵗ)
/// ```
///
/// so with d = 0 it is the network itself, bit by bit.
///
/// The weights in θ are the effective ones, those that the network computes with. The
/// running values of batch normalization are averaged as weights are.
#[derive(Debug)]
pub struct Average<M> {
    network: M,
    decay: f64,
    updates: u64,
}

impl<M: Module> Average<M> {
    /// An average before its first update, which is the network itself.
    pub(crate) fn new(network: &M, decay: f64) -> Self {
        // A plain clone would share the running values with the network.
        Self { network: network.valid().materialize(), decay, updates: 0 }
    }

    /// Takes in the network after an update.
    #[must_use]
    pub(crate) fn updated(self, network: &M) -> Self {
        let updates = self.updates.saturating_add(1);
        let share = (1.0 - self.decay) / (1.0 - self.decay.powf(updates as f64));
        // Validation mode settles running values whose last update is still pending.
        let mut values = Values::default();
        network.valid().materialize().visit(&mut values);
        let network = self.network.map(&mut Towards { values, share });
        Self { network, updates, ..self }
    }

    /// The average, in validation mode and with ordinary weights.
    pub(crate) fn network(&self) -> &M {
        &self.network
    }

    /// Puts it into a checkpoint, under `name`.
    pub(crate) fn save(
        &self,
        parts: &mut CheckpointContents,
        name: &str,
    ) -> Result<(), ContentsError> {
        save_network(parts, name, &self.network)?;
        parts.put_value(&updates_of(name), &self.updates)
    }

    /// Becomes what was saved under `name`.
    pub(crate) fn load(
        &mut self,
        parts: &CheckpointContents,
        name: &str,
    ) -> Result<(), ContentsError> {
        self.network = load_network(parts, name, self.network.clone())?;
        self.updates = parts.value(&updates_of(name))?;
        Ok(())
    }
}

fn updates_of(name: &str) -> String {
    format!("{name}.updates")
}

#[derive(Default)]
struct Values(HashMap<ParamId, Box<dyn std::any::Any>>);

impl ModuleVisitor for Values {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.insert(param.id, Box::new(param.base()));
    }
}

struct Towards {
    values: Values,
    share: f64,
}

impl ModuleMapper for Towards {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(value) = self.values.0.remove(&param.id) else { return param };
        let Ok(value) = value.downcast::<Tensor<D>>() else { return param };
        let share = self.share;
        param.map(|average| average.mul_scalar(1.0 - share) + value.mul_scalar(share))
    }
}

#[cfg(test)]
mod tests {
    use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
    use burn::tensor::{Device, Tensor};
    use osn::Plan;
    use osn::rules::Rule;

    use super::*;

    fn with_weight(value: f32, like: &Linear) -> Linear {
        let weight = like.weight.clone().map(|weight| weight.full_like(value));
        Linear { weight, ..like.clone() }
    }

    fn weight(network: &Linear) -> f32 {
        network.weight.val().into_data().iter().next().unwrap()
    }

    #[test]
    fn the_weights_of_all_updates_have_the_sum_one() {
        let device = Device::flex().autodiff();
        let start = with_weight(1e6, &LinearConfig::new(1, 1).init(&device));
        let mut average = Average::new(&start, 0.75);
        let expected = [
            8.0,
            (0.75 * 8.0 + 4.0) / 1.75,
            (0.5625 * 8.0 + 0.75 * 4.0 + 2.0) / (0.5625 + 0.75 + 1.0),
        ];
        for (value, expected) in [8.0, 4.0, 2.0].into_iter().zip(expected) {
            average = average.updated(&with_weight(value, &start));
            let found = weight(average.network());
            assert!((found - expected).abs() < 1e-5, "{found} for {expected}");
        }
    }

    #[test]
    fn of_a_held_network_it_is_the_effective_weight_that_is_averaged() {
        let device = Device::flex().autodiff();
        let network = with_weight(5.0, &LinearConfig::new(1, 1).init(&device));
        let plan = Plan::new().select("**.weight").decide(Rule::parse("always").unwrap());
        let (held, _) = plan.attach(network).unwrap();
        let average = Average::new(&held, 0.5).updated(&held).updated(&held);
        assert!((weight(average.network()) - 1.0).abs() < 1e-5, "5 is held at 1");
    }

    #[test]
    fn running_values_are_averaged_and_those_of_the_model_stay() {
        let device = Device::flex().autodiff();
        let norm = BatchNormConfig::new(1).init(&device);
        let mean = |norm: &BatchNorm| -> f32 {
            norm.running_mean.value_sync().into_data().iter().next().unwrap()
        };
        let mut average = Average::new(&norm, 0.5);
        for _ in 0..2 {
            let _ = norm.forward(Tensor::<2>::from_data([[4.0f32], [6.0]], &device));
            average = average.updated(&norm);
        }
        // The running mean goes from 0 to 0.1·5 and to 0.5 + 0.1·4.5; the weights are ⅓ and ⅔.
        assert!((mean(&norm) - 0.95).abs() < 1e-6);
        assert!((mean(average.network()) - (0.5 + 2.0 * 0.95) / 3.0).abs() < 1e-6);
    }
}
