//! What rules are told of a generator and a discriminator: summed where it happens, read back when
//! the rule decides.

use burn::tensor::{Gradients, Tensor};
use osn::{Adversarial, Needs};

/// Sums, over the updates since a rule last decided, of what it looks at.
#[derive(Debug, Default)]
pub struct Watch {
    needs: Needs,
    /// The separation and the mean sign of D(real), `[2]`.
    race: Sum,
    /// The mean slope at generated samples, `[1]`.
    slope: Sum,
    /// The mean sign of D at real samples that it does not train on, `[1]`.
    held_out_sign: Sum,
}

#[derive(Debug, Default)]
struct Sum {
    total: Option<Tensor<1>>,
    count: u64,
}

impl Watch {
    /// Sums what is needed and nothing else.
    pub fn new(needs: Needs) -> Self {
        Self { needs, ..Self::default() }
    }

    /// Logits of real samples, then of as many generated ones, `[2·batch, 1]`.
    pub fn see_logits(&mut self, logits: &Tensor<2>) {
        if self.needs.race {
            self.race.add(race(logits.clone().without_autodiff()));
        }
    }

    /// Logits as [`see_logits`](Self::see_logits) gets them, with real samples that D does not train on.
    pub fn see_held_out(&mut self, logits: &Tensor<2>) {
        let [real, _] = halves(logits.clone().without_autodiff());
        self.held_out_sign.add(real.sign().mean());
    }

    /// The generator's loss `−E[D(G(z))]`, `[1]`, and its gradients; on the way the slope at the
    /// generated `samples`, where it is needed.
    pub fn generator_loss<const D: usize>(
        &mut self,
        samples: Tensor<D>,
        discriminate: impl Fn(Tensor<D>) -> Tensor<2>,
    ) -> (Tensor<1>, Gradients) {
        let loss = |samples| discriminate(samples).mean().neg();
        if self.needs.slope {
            let (loss, gradients, at_samples) = backward_in_two(loss, samples);
            self.slope.add(slope(at_samples));
            (loss, gradients)
        } else {
            let loss = loss(samples);
            let gradients = loss.backward();
            (loss, gradients)
        }
    }

    /// The means since this was last called, in one copy from the device each.
    pub fn take(&mut self) -> Adversarial {
        let race = self.race.take_mean();
        let at = |index: usize| race.as_ref().map(|race| race[index]);
        let first = |sum: &mut Sum| sum.take_mean().map(|mean| mean[0]);
        Adversarial {
            separation: at(0),
            real_sign: at(1),
            held_out_sign: first(&mut self.held_out_sign),
            slope: first(&mut self.slope),
        }
    }
}

impl Sum {
    fn add(&mut self, value: Tensor<1>) {
        self.count += 1;
        self.total = Some(match self.total.take() {
            Some(total) => total + value,
            None => value,
        });
    }

    fn take_mean(&mut self) -> Option<Vec<f64>> {
        let count = std::mem::take(&mut self.count) as f64;
        let total = self.total.take()?;
        Some(total.into_data().iter::<f64>().map(|total| total / count).collect())
    }
}

/// The logits of the real samples and of the generated ones, which came in one batch, `[batch, 1]`
/// each.
pub fn halves(logits: Tensor<2>) -> [Tensor<2>; 2] {
    let half = logits.dims()[0] / 2;
    [logits.clone().narrow(0, 0, half), logits.narrow(0, half, half)]
}

/// A loss and its gradients, by way of the gradient at the samples, which it returns too.
fn backward_in_two<const D: usize>(
    loss: impl Fn(Tensor<D>) -> Tensor<1>,
    samples: Tensor<D>,
) -> (Tensor<1>, Gradients, Tensor<D>) {
    let leaf = samples.clone().detach().require_grad();
    let loss = loss(leaf.clone());
    let at_samples = leaf.grad(&loss.backward()).expect("the loss depends on the samples");
    // The derivative of Σ x·g for a constant g is g: the chain goes on as if it had not been cut.
    let gradients = (samples * Tensor::from_inner(at_samples.clone())).sum().backward();
    (loss, gradients, at_samples)
}

/// `P(D(real) > D(fake)) − P(D(real) < D(fake))` over all pairs, and `E[sign D(real)]`.
fn race(logits: Tensor<2>) -> Tensor<1> {
    let [real, fake] = halves(logits);
    let separation = (real.clone() - fake.transpose()).sign().mean();
    Tensor::cat(vec![separation, real.sign().mean()], 0)
}

/// `E‖∇ₓD‖`: the loss is a mean, so each sample's gradient is that of D divided by the batch.
fn slope<const D: usize>(gradient: Tensor<D>) -> Tensor<1> {
    let batch = gradient.dims()[0] as f64;
    let norms = gradient.flatten::<2>(1, D - 1).square().sum_dim(1).sqrt();
    norms.mean() * batch
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn the_race_is_counted_in_pairs_and_averaged_over_updates() {
        let mut watch = Watch::new(Needs { race: true, ..Needs::default() });
        let logits =
            |values: [f32; 4]| Tensor::<1>::from_data(values, &Device::flex()).reshape([4, 1]);
        // Of the pairs (3,2), (3,0), (1,2), (1,0) three are in order; of the second all, and a sign
        // is negative.
        watch.see_logits(&logits([3.0, 1.0, 2.0, 0.0]));
        watch.see_logits(&logits([3.0, -1.0, -2.0, -5.0]));
        let seen = watch.take();
        assert_eq!((seen.separation, seen.real_sign), (Some(0.75), Some(0.5)));
        assert_eq!(watch.take(), Adversarial::default(), "what was told is not told again");
    }

    #[test]
    fn the_slope_is_that_of_the_discriminator() {
        let device = Device::flex().autodiff();
        let images = Tensor::<4>::ones([3, 1, 2, 2], &device).require_grad();
        // D(x) = 2·Σx has slope 2·√4 everywhere.
        let discriminate = |images: Tensor<4>| images.flatten::<2>(1, 3).sum_dim(1) * 2.0;
        let mut watch = Watch::new(Needs { slope: true, ..Needs::default() });
        watch.generator_loss(images, discriminate);
        assert!((watch.take().slope.unwrap() - 4.0).abs() < 1e-6);
    }
}
