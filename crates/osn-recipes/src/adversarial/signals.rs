//! The adversarial signals: summed on the device at every update, read back when a rule decides.

use burn::tensor::{Gradients, Tensor};
use osn::report::RunningSum;
use osn::rules::{Adversarial, Needs};

use crate::adversarial::objective::Objective;
use crate::held::restored;
use crate::run::checkpoint::contents::{CheckpointContents, ContentsError};

/// Sums of the adversarial signals over the updates since a rule last decided.
#[derive(Debug, Default)]
pub struct AdversarialSums {
    needs: Needs,
    /// The separation, `[1]`.
    separation: RunningSum,
    /// The mean input gradient norm at generated samples, `[1]`.
    input_gradient_norm: RunningSum,
}

/// The generator's loss, `[1]`, and its gradients.
#[expect(missing_debug_implementations, reason = "Burn's gradients have none")]
pub struct GeneratorLoss {
    /// Without what is beside it.
    pub loss: Tensor<1>,
    /// With what is beside it.
    pub gradients: Gradients,
    /// `E‖∇ₓD‖` at the samples, `[1]`, where a rule needs it.
    pub slope: Option<Tensor<1>>,
}

impl AdversarialSums {
    /// Sums what the rules need and nothing else.
    pub fn new(needs: Needs) -> Self {
        Self { needs, ..Self::default() }
    }

    /// Logits of real samples, then of as many generated ones, `[2·batch, places]`; a sample with several
    /// counts with their mean.
    pub fn add_logits(&mut self, logits: &Tensor<2>) {
        if self.needs.separation {
            self.separation.add(separation(logits.clone().without_autodiff().mean_dim(1)));
        }
    }

    /// The mean input gradient norm at the generated samples of an update, `[1]`, where a rule needs it.
    pub fn add_slope(&mut self, slope: Option<Tensor<1>>) {
        if let Some(slope) = slope {
            self.input_gradient_norm.add(slope);
        }
    }

    /// The generator's loss under an objective and the gradients of its sum with a loss `beside` it, at the generated
    /// `samples`.
    pub fn generator_loss<const D: usize>(
        &self,
        objective: Objective,
        samples: Tensor<D>,
        discriminate: impl Fn(Tensor<D>) -> Tensor<2>,
        beside: Option<Tensor<1>>,
    ) -> GeneratorLoss {
        match objective {
            // The loss is −E[D], so its gradient at the samples is that of D.
            Objective::Hinge | Objective::Wasserstein if self.needs.input_gradient_norm => {
                let (loss, surrogate, at_samples) =
                    with_input_gradient(|samples| discriminate(samples).mean().neg(), samples);
                let gradients = sum(surrogate, beside).backward();
                GeneratorLoss { loss, gradients, slope: Some(gradient_norm(at_samples)) }
            }
            objective => {
                let is_needed = self.needs.input_gradient_norm;
                let slope = is_needed.then(|| slope(&discriminate, samples.clone()));
                let loss = objective.of_generator(discriminate(samples));
                let gradients = sum(loss.clone(), beside).backward();
                GeneratorLoss { loss, gradients, slope }
            }
        }
    }

    /// Puts the sums into a checkpoint, under `name`.
    ///
    /// # Errors
    ///
    /// [`ContentsError`] for what cannot be written.
    pub fn save(&self, parts: &mut CheckpointContents, name: &str) -> Result<(), ContentsError> {
        parts.put_value(name, &[&self.separation, &self.input_gradient_norm].map(RunningSum::saved))
    }

    /// Goes on with the sums that were saved under `name`.
    ///
    /// # Errors
    ///
    /// [`ContentsError`] for what is missing or of another length.
    pub fn load(&mut self, parts: &CheckpointContents, name: &str) -> Result<(), ContentsError> {
        [self.separation, self.input_gradient_norm] = restored(parts.value(name)?, name)?;
        Ok(())
    }

    /// The means since this was last called, in one copy from the device each.
    pub fn take(&mut self) -> Adversarial {
        let mean = |sum: &mut RunningSum| sum.take_mean().map(|mean| mean[0]);
        Adversarial {
            separation: mean(&mut self.separation),
            input_gradient_norm: mean(&mut self.input_gradient_norm),
        }
    }
}

/// `E‖∇ₓD‖` at samples: how steep a discriminator is there, `[1]`.
pub(crate) fn slope<const D: usize>(
    discriminate: impl Fn(Tensor<D>) -> Tensor<2>,
    samples: Tensor<D>,
) -> Tensor<1> {
    gradient_norm(input_gradient(discriminate, samples))
}

/// The gradients of a discriminator's mean logit at samples: that of each sample's mean logit, divided by their number.
pub(crate) fn input_gradient<const D: usize>(
    discriminate: impl Fn(Tensor<D>) -> Tensor<2>,
    samples: Tensor<D>,
) -> Tensor<D> {
    with_input_gradient(|samples| discriminate(samples).mean(), samples).2
}

/// The logits of the real samples and of the generated ones, which came in one batch, `[batch, 1]`
/// each.
pub fn halves(logits: Tensor<2>) -> [Tensor<2>; 2] {
    let half = logits.dims()[0] / 2;
    [logits.clone().narrow(0, 0, half), logits.narrow(0, half, half)]
}

/// A loss, a surrogate with the same gradients in the parameters, and the gradient at the samples.
fn with_input_gradient<const D: usize>(
    loss: impl Fn(Tensor<D>) -> Tensor<1>,
    samples: Tensor<D>,
) -> (Tensor<1>, Tensor<1>, Tensor<D>) {
    let leaf = samples.clone().detach().require_grad();
    let loss = loss(leaf.clone());
    let at_samples = leaf.grad(&loss.backward()).expect("the loss depends on the samples");
    // The derivative of Σ x·g for a constant g is g: the chain goes on as if it had not been cut.
    let surrogate = (samples * Tensor::from_inner(at_samples.clone())).sum();
    (loss, surrogate, at_samples)
}

fn sum(loss: Tensor<1>, beside: Option<Tensor<1>>) -> Tensor<1> {
    match beside {
        None => loss,
        Some(beside) => loss + beside,
    }
}

/// `P(D(real) > D(fake)) − P(D(real) < D(fake))` over all pairs.
fn separation(logits: Tensor<2>) -> Tensor<1> {
    let [real, fake] = halves(logits);
    (real - fake.transpose()).sign().mean()
}

/// `E‖∇ₓD‖`: the loss is a mean, so each sample's gradient is that of D divided by the batch.
fn gradient_norm<const D: usize>(gradient: Tensor<D>) -> Tensor<1> {
    let batch = gradient.dims()[0] as f64;
    let norms = gradient.flatten::<2>(1, D - 1).square().sum_dim(1).sqrt();
    norms.mean() * batch
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    const ALL: [Objective; 3] = [Objective::Hinge, Objective::LeastSquares, Objective::Wasserstein];

    #[test]
    fn separation_is_counted_in_pairs_and_averaged_over_updates() {
        let mut sums = AdversarialSums::new(Needs { separation: true, ..Needs::default() });
        let logits =
            |values: [f32; 4]| Tensor::<1>::from_data(values, &Device::flex()).reshape([4, 1]);
        // Of the pairs (3,2), (3,0), (1,2), (1,0) three are in order; of the second all.
        sums.add_logits(&logits([3.0, 1.0, 2.0, 0.0]));
        sums.add_logits(&logits([3.0, -1.0, -2.0, -5.0]));
        let seen = sums.take();
        assert_eq!(seen.separation, Some(0.75));
        assert_eq!(sums.take(), Adversarial::default(), "what was pending is not pending again");
    }

    #[test]
    fn the_input_gradient_norm_is_that_of_the_discriminator() {
        let device = Device::flex().autodiff();
        let images = Tensor::<4>::ones([3, 1, 2, 2], &device).require_grad();
        // D(x) = 2·Σx has the gradient norm 2·√4 everywhere.
        let discriminate = |images: Tensor<4>| images.flatten::<2>(1, 3).sum_dim(1) * 2.0;
        let mut sums =
            AdversarialSums::new(Needs { input_gradient_norm: true, ..Needs::default() });
        for objective in ALL {
            let found = sums.generator_loss(objective, images.clone(), discriminate, None);
            sums.add_slope(found.slope);
            assert!((sums.take().input_gradient_norm.unwrap() - 4.0).abs() < 1e-6, "{objective:?}");
        }
    }

    #[test]
    fn measuring_the_input_gradient_changes_no_gradient() {
        let device = Device::flex().autodiff();
        let weight = Tensor::<2>::from_data([[0.5f32, -1.0, 2.0, 0.25]], &device).require_grad();
        let gradient = |objective, needs| {
            let samples = (weight.clone() * 3.0).reshape([2, 2]);
            let discriminate = |samples: Tensor<2>| samples.square().sum_dim(1);
            let beside = Some(samples.clone().abs().mean());
            let sums = AdversarialSums::new(needs);
            let found = sums.generator_loss(objective, samples, discriminate, beside);
            weight.grad(&found.gradients).unwrap().into_data().iter().collect::<Vec<f32>>()
        };
        for objective in ALL {
            let plain = gradient(objective, Needs::default());
            let measured =
                gradient(objective, Needs { input_gradient_norm: true, ..Needs::default() });
            assert_eq!(plain, measured, "{objective:?}");
            assert!(plain.iter().all(|value| value.abs() > 0.1));
        }
    }
}
