//! What a rule is told of the race: summed where it happens, read back when the rule decides.

use burn::tensor::Tensor;
use osn::{Adversarial, Needs};

use super::players::halves;

/// Sums, over the updates since a rule last decided, of what it looks at.
#[derive(Debug)]
pub(super) struct Watch {
    needs: Needs,
    /// The separation and the mean sign of D(real), `[2]`.
    race: Sum,
    /// The mean slope at generated images, `[1]`.
    slope: Sum,
}

#[derive(Debug, Default)]
struct Sum {
    total: Option<Tensor<1>>,
    count: u64,
}

impl Watch {
    pub(super) fn new(needs: Needs) -> Self {
        Self { needs, race: Sum::default(), slope: Sum::default() }
    }

    /// Whether [`see_slope`](Self::see_slope) is worth a gradient at the images.
    pub(super) fn wants_slope(&self) -> bool {
        self.needs.slope
    }

    /// Logits of real images, then of as many generated ones, `[2·batch, 1]`.
    pub(super) fn see_logits(&mut self, logits: &Tensor<2>) {
        if self.needs.race {
            self.race.add(race(logits.clone().without_autodiff()));
        }
    }

    /// The gradient at generated images of a loss that is the mean of ±D over them,
    /// `[batch, channels, size, size]`.
    pub(super) fn see_slope(&mut self, gradient: Tensor<4>) {
        self.slope.add(slope(gradient));
    }

    /// The means since this was last called, in one copy from the device each.
    pub(super) fn take(&mut self) -> Adversarial {
        let race = self.race.take_mean();
        let at = |index: usize| race.as_ref().map(|race| race[index]);
        let slope = self.slope.take_mean().map(|slope| slope[0]);
        Adversarial { separation: at(0), real_sign: at(1), slope, ..Adversarial::default() }
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

/// `P(D(real) > D(fake)) − P(D(real) < D(fake))` over all pairs, and `E[sign D(real)]`.
fn race(logits: Tensor<2>) -> Tensor<1> {
    let [real, fake] = halves(logits);
    let separation = (real.clone() - fake.transpose()).sign().mean();
    Tensor::cat(vec![separation, real.sign().mean()], 0)
}

/// `E‖∇ₓD‖`: the loss is a mean, so each image's gradient is that of D divided by the batch.
fn slope(gradient: Tensor<4>) -> Tensor<1> {
    let batch = gradient.dims()[0] as f64;
    let norms = gradient.flatten::<2>(1, 3).square().sum_dim(1).sqrt();
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
        let logits = images.clone().flatten::<2>(1, 3).sum_dim(1) * 2.0;
        let gradients = logits.mean().neg().backward();
        let mut watch = Watch::new(Needs { slope: true, ..Needs::default() });
        watch.see_slope(images.grad(&gradients).unwrap());
        assert!((watch.take().slope.unwrap() - 4.0).abs() < 1e-6);
    }
}
