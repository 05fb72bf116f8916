//! What is looked at beside losses and σ at logged steps: gradients, and what D makes of images that it does
//! not train on.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Gradients, Tensor};

use osn_runs::metrics::Metrics;

/// How large the gradients of one update are.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GradientSizes {
    /// The length of the gradient of all parameters together.
    pub norm: f64,
    /// The length of that of the first weight, divided by that of the last one, in the order of the module: far
    /// below 1 hardly a gradient reaches the input. Weights are parameters of two axes and more; NaN where there is
    /// none or the last gradient is zero.
    pub ratio: f64,
    /// Entries that are not finite.
    pub non_finite: u64,
}

impl GradientSizes {
    /// Those of a network.
    pub(crate) fn of<M: Module>(network: &M, gradients: &Gradients) -> Self {
        let mut sums = Sums { gradients, total: 0.0, weights: Vec::new(), non_finite: 0 };
        network.visit(&mut sums);
        let [first, last] = [sums.weights.first(), sums.weights.last()]
            .map(|squares| squares.copied().unwrap_or(f64::NAN));
        let ratio = if last == 0.0 { f64::NAN } else { (first / last).sqrt() };
        Self { norm: sums.total.sqrt(), ratio, non_finite: sums.non_finite }
    }

    /// As signals of a network for the record.
    pub(crate) fn signals(&self, network: &str) -> Metrics {
        [("norm", self.norm), ("ratio", self.ratio)]
            .map(|(what, value)| (format!("{network}_gradient_{what}"), value))
            .into()
    }
}

/// The gradients of a loss on some of the images of a batch, from which follows how much those of batches vary.
pub(crate) struct OfPart {
    gradients: Gradients,
    /// How many images are in the part, for each one that is not.
    share: f64,
}

impl OfPart {
    /// Of `[part, all]` images, the part less than all.
    pub(crate) fn new(gradients: Gradients, [part, all]: [usize; 2]) -> Self {
        Self { gradients, share: part as f64 / (all - part) as f64 }
    }

    /// An estimate of the variance `E‖g − E g‖²` of the gradient `g` of a batch of images that are drawn independently,
    /// the trace of its covariance. With `h` the gradient of `k` of its `n` images,
    ///
    /// ```text
    /// ‖h − g‖²·k/(n − k)
    /// ```
    ///
    /// has that mean: `h − g` is `(n − k)/n` times the difference of two independent means, of `k` and of `n − k`
    /// images.
    pub(crate) fn variance<M: Module>(&self, network: &M, of_all: &Gradients) -> f64 {
        let mut apart = Apart { gradients: [&self.gradients, of_all], squares: 0.0 };
        network.visit(&mut apart);
        apart.squares * self.share
    }
}

/// The square of the distance of two gradients.
struct Apart<'a> {
    gradients: [&'a Gradients; 2],
    squares: f64,
}

impl ModuleVisitor for Apart<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let [Some(part), Some(all)] = self.gradients.map(|of| param.base().grad(of)) else {
            return;
        };
        let apart = (part - all).into_data();
        self.squares += apart.iter::<f64>().map(|value| value * value).sum::<f64>();
    }
}

/// Sums of squares over the parameters of a network.
struct Sums<'a> {
    gradients: &'a Gradients,
    total: f64,
    /// Of each weight.
    weights: Vec<f64>,
    non_finite: u64,
}

impl ModuleVisitor for Sums<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(gradient) = param.base().grad(self.gradients) else { return };
        let data = gradient.into_data();
        let squares = data.iter::<f64>().map(|value| value * value).sum::<f64>();
        if !squares.is_finite() {
            let bad = data.iter::<f64>().filter(|value| !value.is_finite()).count();
            self.non_finite += bad as u64;
        }
        self.total += squares;
        if D >= 2 {
            self.weights.push(squares);
        }
    }
}

/// What a discriminator makes of the images of one update, by their logits above 0 for real.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Judged {
    /// Of real images that it trains on.
    pub real: Vec<f64>,
    /// Of generated images.
    pub fake: Vec<f64>,
    /// Of real images that nothing trains on; empty where there are none.
    pub held_out: Vec<f64>,
}

/// One number for each image: the mean of its logits `[images, places]`.
pub(crate) fn by_image(logits: Tensor<2>) -> Vec<f64> {
    logits.mean_dim(1).into_data().iter().collect()
}

impl Judged {
    /// As signals for the record.
    pub(crate) fn signals(&self) -> Metrics {
        let Self { real, fake, held_out } = self;
        let mut signals = vec![
            ("separation", separation(real, fake)),
            ("logit_real", mean(real)),
            ("logit_fake", mean(fake)),
            ("accuracy_real", share(real, |logit| logit > 0.0)),
            ("accuracy_fake", share(fake, |logit| logit < 0.0)),
        ];
        if !held_out.is_empty() {
            signals.extend([
                ("separation_held_out", separation(held_out, fake)),
                ("logit_held_out", mean(held_out)),
                ("accuracy_held_out", share(held_out, |logit| logit > 0.0)),
            ]);
        }
        signals.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

/// P(D(real) > D(fake)) − P(D(real) < D(fake)) over all pairs, which does not depend on the discriminator's scale
/// and offset: it is 2·AUC − 1.
fn separation(real: &[f64], fake: &[f64]) -> f64 {
    let order = |real: f64, fake: f64| f64::from(real > fake) - f64::from(real < fake);
    let sum: f64 = real.iter().map(|&r| fake.iter().map(|&f| order(r, f)).sum::<f64>()).sum();
    sum / (real.len() * fake.len()) as f64
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn share(values: &[f64], holds: impl Fn(f64) -> bool) -> f64 {
    values.iter().filter(|&&value| holds(value)).count() as f64 / values.len() as f64
}

/// Points on the lines from generated images to real ones, evenly far along them: `x = f + t·(r − f)` with t from
/// 0 to 1, another one for each image. Gulrajani et al. 2017 draw t at random.
pub(crate) fn between(real: Tensor<4>, fake: Tensor<4>) -> Tensor<4> {
    let count = real.dims()[0];
    let along: Vec<f32> = (0..count).map(|place| (place as f32 + 0.5) / count as f32).collect();
    let along = Tensor::<1>::from_data(along.as_slice(), &real.device());
    fake.clone() + (real - fake) * along.reshape([-1, 1, 1, 1])
}

#[cfg(test)]
mod tests {
    use burn::nn::{Linear, LinearConfig};
    use burn::tensor::{Device, TensorData};

    use super::*;

    #[derive(Module, Debug)]
    struct Two {
        first: Linear,
        last: Linear,
    }

    /// Two linear layers, and the gradients of Σ (first weight · a + last weight · b + last bias).
    fn gradients(a: f32, b: f32) -> (Two, Gradients) {
        let device = Device::flex().autodiff();
        let two = Two {
            first: LinearConfig::new(2, 2).with_bias(false).init(&device),
            last: LinearConfig::new(2, 1).init(&device),
        };
        let bias = two.last.bias.as_ref().unwrap().val();
        let sum = two.first.weight.val().sum() * a + two.last.weight.val().sum() * b + bias;
        (two, sum.backward())
    }

    #[test]
    fn the_length_is_of_all_parameters_and_the_ratio_of_the_outer_weights() {
        let (two, gradients) = gradients(3.0, 6.0);
        let sizes = GradientSizes::of(&two, &gradients);
        assert_eq!(sizes.norm, (4.0 * 9.0 + 2.0 * 36.0 + 1.0_f64).sqrt());
        assert_eq!(sizes.ratio, (36.0 / 72.0_f64).sqrt());
        assert_eq!(sizes.non_finite, 0);
        assert_eq!(sizes.signals("generator")["generator_gradient_ratio"], sizes.ratio);
    }

    #[test]
    fn entries_that_are_not_finite_are_counted() {
        let (two, gradients) = gradients(f32::NAN, f32::INFINITY);
        assert_eq!(GradientSizes::of(&two, &gradients).non_finite, 4 + 2);
    }

    #[test]
    fn the_variance_is_that_of_the_means_of_batches() {
        // The first weight's four entries have a gradient of 2 in the batch, and of 3 in a half of it.
        let (two, of_batch) = gradients(2.0, 5.0);
        let sum = two.first.weight.val().sum() * 3.0 + two.last.weight.val().sum() * 5.0;
        let bias = two.last.bias.as_ref().unwrap().val();
        let of_half = (sum + bias).backward();
        // ‖h − g‖² = 4·(3 − 2)², and two halves are as many images.
        let variance = OfPart::new(of_half, [4, 8]).variance(&two, &of_batch);
        assert!((variance - 4.0).abs() < 1e-6, "{variance}");
    }

    #[test]
    fn the_variance_of_drawn_batches_is_found_on_average_from_parts_of_any_size() {
        // Each image has a gradient of its own, drawn with variance 1: that of a batch of six has 1/6.
        let (two, _) = gradients(1.0, 1.0);
        let of = |numbers: &[f32]| {
            let mean = numbers.iter().sum::<f32>() / numbers.len() as f32;
            (two.first.weight.val().slice([0..1, 0..1]).sum() * mean).backward()
        };
        for part in [1, 3, 4] {
            let drawn = crate::data::sampler::noise(5, part as u64, 0, 6 * 600);
            let estimates = drawn.chunks(6).map(|numbers| {
                OfPart::new(of(&numbers[..part]), [part, 6]).variance(&two, &of(numbers))
            });
            let mean = estimates.sum::<f64>() / 600.0;
            // The estimate has a deviation of √2/6 in a batch: 0.01 over 600.
            assert!((mean - 1.0 / 6.0).abs() < 0.035, "{part}: {mean}");
        }
    }

    fn logits(values: &[f32], places: usize) -> Vec<f64> {
        let shape = [values.len() / places, places];
        by_image(Tensor::from_data(TensorData::new(values.to_vec(), shape), &Device::flex()))
    }

    #[test]
    fn separation_counts_pairs_and_accuracy_signs() {
        let judged = Judged {
            real: logits(&[3.0, 1.0], 1),
            fake: logits(&[2.0, 0.0], 1),
            held_out: logits(&[-1.0, 1.0, 1.0, 1.0], 1),
        };
        let signals = judged.signals();
        // Of the pairs (3,2), (3,0), (1,2), (1,0) three are in order: (3 − 1)/4.
        assert_eq!([signals["separation"], signals["logit_real"]], [0.5, 2.0]);
        // Of (−1 or 1) against (2 or 0), only (1,0) is in order.
        assert_eq!(signals["separation_held_out"], (3.0 - 5.0) / 8.0);
        let accuracy = |of: &str| signals[&format!("accuracy_{of}")];
        assert_eq!(["real", "fake", "held_out"].map(accuracy), [1.0, 0.0, 0.75]);
        let alone = Judged { held_out: Vec::new(), ..judged };
        assert!(!alone.signals().contains_key("accuracy_held_out"), "there are no such images");
    }

    #[test]
    fn an_image_with_several_logits_counts_with_their_mean() {
        let all = logits(&[3.0, -1.0, 1.0, 2.0], 2);
        assert_eq!(all, [1.0, 1.5]);
        assert_eq!(separation(&all[..1], &all[1..]), -1.0);
    }

    #[test]
    fn points_between_are_spread_over_their_lines() {
        let device = Device::flex();
        let [zeros, ones] =
            [Tensor::zeros([4, 1, 1, 2], &device), Tensor::ones([4, 1, 1, 2], &device)];
        let points: Vec<f32> = between(ones, zeros).into_data().iter().collect();
        assert_eq!(points, [0.125, 0.125, 0.375, 0.375, 0.625, 0.625, 0.875, 0.875]);
    }
}
