//! Adam in one pass over the memory.
//!
//! Burn's reads and writes a parameter's numbers a dozen times for an update; on the CPU that, and not the
//! arithmetic, is what it costs. This is the same formula with the same state, so either goes on from the
//! other's checkpoint.

use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, backend_extension};
use burn::optim::{AdamState, AdaptiveMomentumState, LearningRate, ModuleOptimizer, Optimizer};
use burn::tensor::{Device, Tensor};
use rayon::prelude::*;

use crate::host::{contiguous, is_plain, values, values_mut};

/// Numbers that one task updates.
const CHUNK: usize = 1 << 14;

/// The optimizer of every recipe (Kingma and Ba 2015, algorithm 1; ε̂ = ε·√(1 − β₂ᵗ) as in the note before
/// section 2.1):
///
/// ```text
/// m ← β₁m + (1 − β₁)g    v ← β₂v + (1 − β₂)g²    θ ← θ − η·√(1 − β₂ᵗ)/(1 − β₁ᵗ) · m/(√v + ε̂)
/// ```
pub fn adam(beta_1: f32, beta_2: f32, epsilon: f32) -> ModuleOptimizer {
    ModuleOptimizer::from(Adam { beta_1, beta_2, epsilon })
}

#[derive(Clone, Debug)]
struct Adam {
    beta_1: f32,
    beta_2: f32,
    epsilon: f32,
}

impl Adam {
    /// The factors of update `time`, counted from 1.
    fn update(&self, time: usize, rate: LearningRate) -> Update {
        let power = |beta: f32| 1.0 - f64::from(beta).powf(time as f64);
        let root = power(self.beta_2).sqrt();
        #[expect(clippy::cast_possible_truncation, reason = "weights are f32")]
        let [rate, epsilon] =
            [rate * root / power(self.beta_1), f64::from(self.epsilon) * root].map(|x| x as f32);
        Update { beta_1: self.beta_1, beta_2: self.beta_2, rate, epsilon }
    }
}

impl Optimizer for Adam {
    type State<const D: usize> = AdamState<D>;

    fn step<const D: usize>(
        &self,
        rate: LearningRate,
        weight: Tensor<D>,
        grad: Tensor<D>,
        state: Option<AdamState<D>>,
    ) -> (Tensor<D>, Option<AdamState<D>>) {
        let (time, first, second) = match state {
            Some(AdamState { momentum }) => (momentum.time, momentum.moment_1, momentum.moment_2),
            None => (0, grad.zeros_like(), grad.zeros_like()),
        };
        let tensors = [weight, grad, first, second];
        let update = self.update(time + 1, rate);
        let [weight, first, second] = if tensors.iter().all(is_plain) {
            fused(tensors, update)
        } else {
            composed(tensors, update)
        };
        (weight, Some(AdamState::new(AdaptiveMomentumState::new(time + 1, first, second))))
    }

    fn to_device<const D: usize>(state: AdamState<D>, device: &Device) -> AdamState<D> {
        AdamState::new(state.momentum.to_device(device))
    }
}

/// The factors of one update.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Update {
    beta_1: f32,
    beta_2: f32,
    /// `η·√(1 − β₂ᵗ)/(1 − β₁ᵗ)`
    rate: f32,
    /// `ε·√(1 − β₂ᵗ)`
    epsilon: f32,
}

impl Update {
    /// Updates weight and moments by a gradient.
    fn apply(self, [weight, first, second]: [&mut [f32]; 3], grad: &[f32]) {
        let moments = first.iter_mut().zip(second);
        for ((w, (m, v)), g) in weight.iter_mut().zip(moments).zip(grad) {
            *m = self.beta_1 * *m + (1.0 - self.beta_1) * g;
            *v = self.beta_2 * *v + (1.0 - self.beta_2) * g * g;
            *w -= self.rate * *m / (v.sqrt() + self.epsilon);
        }
    }
}

/// Weight and moments after one update of weight, gradient and moments.
fn fused<const D: usize>(tensors: [Tensor<D>; 4], update: Update) -> [Tensor<D>; 3] {
    let [weight, grad, first, second] = tensors.map(Tensor::into_dispatch);
    let (weight, first, second) = Dispatch::adam_update(weight, grad, first, second, update);
    [weight, first, second].map(Tensor::from_dispatch)
}

/// The same from Burn's own operations, for other devices and other numbers than f32.
fn composed<const D: usize>(
    [weight, grad, first, second]: [Tensor<D>; 4],
    update: Update,
) -> [Tensor<D>; 3] {
    let square = grad.clone() * grad.clone();
    let first = first * update.beta_1 + grad * (1.0 - update.beta_1);
    let second = second * update.beta_2 + square * (1.0 - update.beta_2);
    let step = first.clone() * update.rate / (second.clone().sqrt() + update.epsilon);
    [weight - step, first, second]
}

/// The update as an operation of a backend, for tensors of f32.
#[backend_extension(Flex)]
pub(crate) trait AdamOps: Backend {
    /// Weight and moments after one update.
    fn adam_update(
        weight: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        update: Update,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

impl AdamOps for Flex {
    fn adam_update(
        weight: FlexTensor,
        grad: FlexTensor,
        first: FlexTensor,
        second: FlexTensor,
        update: Update,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let grad = contiguous(grad);
        let [mut weight, mut first, mut second] = [weight, first, second].map(contiguous);
        let numbers = [&mut weight, &mut first, &mut second].map(values_mut);
        let grad = values(&grad);
        if grad.len() <= CHUNK {
            // Another thread would cost more than it saves.
            update.apply(numbers, grad);
        } else {
            let [weight, first, second] = numbers.map(|numbers| numbers.par_chunks_mut(CHUNK));
            let chunks = weight.zip(first).zip(second).zip(grad.par_chunks(CHUNK));
            chunks.for_each(|(((w, m), v), g)| update.apply([w, m, v], g));
        }
        (weight, first, second)
    }
}

#[cfg(test)]
mod tests {
    use burn::module::Module;
    use burn::nn::{Linear, LinearConfig};
    use burn::optim::{AdamConfig, GradientsParams};

    use super::*;
    use crate::waves::{self, wave};

    /// The weights after so many updates, each with a gradient of its own.
    fn trained(mut network: Linear, optimizer: &mut ModuleOptimizer, updates: usize) -> Linear {
        let device = network.devices()[0].clone();
        for update in 0..updates {
            let x = Tensor::<1>::from_data([(update as f32).sin(), 0.5, -2.0], &device);
            let loss = network.forward(x.reshape([1, 3])).square().sum();
            let gradients = GradientsParams::from_grads(loss.backward(), &network);
            network = optimizer.step(0.01, network, gradients);
        }
        network
    }

    fn numbers(network: &Linear) -> Vec<f32> {
        network.weight.val().into_data().iter().collect()
    }

    fn must_agree(ours: &Linear, burns: &Linear) {
        for (a, b) in numbers(ours).into_iter().zip(numbers(burns)) {
            assert!((a - b).abs() < 1e-6, "{a} and {b}");
        }
    }

    #[test]
    fn it_updates_as_burns_does_and_goes_on_from_its_state() {
        let network = LinearConfig::new(3, 200).init(&Device::flex().autodiff());
        let network = crate::init::xavier(network, 1, 0);
        let config = AdamConfig::new().with_beta_1(0.5).with_beta_2(0.999).with_epsilon(1e-8);
        let (mut ours, mut burns) = (adam(0.5, 0.999, 1e-8), config.init());
        let after = trained(network.clone(), &mut burns, 20);
        must_agree(&trained(network, &mut ours, 20), &after);
        // From the other's state and weights.
        let mut ours = adam(0.5, 0.999, 1e-8).from_bytes(burns.into_bytes().unwrap()).unwrap();
        must_agree(&trained(after.clone(), &mut ours, 20), &trained(after, &mut burns, 20));
    }

    #[test]
    fn the_composed_update_is_the_fused_one() {
        let tensors = [0.3, 0.7, 1.1, 1.9].map(|frequency| wave([2, 5], frequency).inner());
        let [weight, grad, first, second] = tensors;
        let tensors = [weight, grad, first, second.abs()];
        let update = Adam { beta_1: 0.5, beta_2: 0.999, epsilon: 1e-8 }.update(3, 0.01);
        let (ours, burns) = (fused(tensors.clone(), update), composed(tensors, update));
        for (what, (a, b)) in ["weight", "first", "second"].iter().zip(ours.into_iter().zip(burns))
        {
            waves::must_agree(what, &waves::numbers(a), &waves::numbers(b), 1e-6);
        }
    }
}
