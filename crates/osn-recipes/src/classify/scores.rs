//! How good a classifier is, in plain numbers.

use burn::tensor::{Int, Tensor};

use crate::classify::learner::cross_entropy;
use crate::classify::model::Classifier;

/// Bins of equal width for the calibration error (Guo et al. 2017).
const N_BINS: usize = 15;

/// The logits of some images, and their labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Predictions {
    /// The logits, `[images, n_classes]`.
    pub logits: Vec<f64>,
    /// The labels, `[images]`.
    pub labels: Vec<u8>,
}

impl Predictions {
    /// The part of the images, 0 to 1, of which the largest logit is the right one; NaN of none.
    pub fn accuracy(&self) -> f64 {
        mean(self.rows().map(|(logits, label)| f64::from(largest(logits) == label)))
    }

    /// The mean of `−ln softmax(logits)[label]`.
    pub fn cross_entropy(&self) -> f64 {
        mean(self.rows().map(|(logits, label)| ln_sum_exp(logits) - logits[label]))
    }

    /// The expected calibration error, 0 to 1: with images binned by their confidence, the largest
    /// probability, into 15 bins `((m − 1)/15, m/15]`,
    ///
    /// ```text
    /// ECE = Σ_m |B_m|/n·|accuracy(B_m) − confidence(B_m)|
    /// ```
    ///
    /// (Guo et al. 2017, equation 3).
    pub(crate) fn calibration_error(&self) -> f64 {
        // Of each bin how many more were right than the confidences say.
        let mut surplus = [0.0; N_BINS];
        for (logits, label) in self.rows() {
            let confidence = confidence(logits);
            surplus[bin(confidence)] += f64::from(largest(logits) == label) - confidence;
        }
        surplus.iter().map(|surplus| surplus.abs()).sum::<f64>() / self.labels.len() as f64
    }

    /// The logit of the right class minus the largest other one, of each image; negative where the
    /// network is wrong.
    pub(crate) fn margins(&self) -> Vec<f64> {
        let margin = |(logits, label): (&[f64], usize)| {
            let others = logits.iter().enumerate().filter(|(class, _)| *class != label);
            logits[label] - others.map(|(_, &logit)| logit).fold(f64::NEG_INFINITY, f64::max)
        };
        self.rows().map(margin).collect()
    }

    /// The places of up to `count` images that it is wrong about, the most confident first.
    pub(crate) fn surest_mistakes(&self, count: usize) -> Vec<usize> {
        let wrong =
            self.rows().enumerate().filter(|(_, (logits, label))| largest(logits) != *label);
        let mut wrong: Vec<(f64, usize)> =
            wrong.map(|(place, (logits, _))| (confidence(logits), place)).collect();
        wrong.sort_by(|a, b| b.0.total_cmp(&a.0));
        wrong.into_iter().take(count).map(|(_, place)| place).collect()
    }

    fn rows(&self) -> impl Iterator<Item = (&[f64], usize)> {
        let n_classes = self.logits.len() / self.labels.len().max(1);
        let labels = self.labels.iter().copied().map(usize::from);
        self.logits.chunks_exact(n_classes.max(1)).zip(labels)
    }
}

/// The images moved by `epsilon` in every pixel towards a larger loss, `x + ε·sign ∇ₓL`, and clamped to
/// [−1, 1]: the fast gradient sign method of Goodfellow et al. 2015.
///
/// The network is one in validation mode, so that its weights are constants; images and classes are on
/// the plain device, as what is returned.
///
/// # Shapes
///
/// `images`: `[batch, channels, height, width]`; `classes`: `[batch]`.
///
/// # Panics
///
/// If the network's logits do not depend on the images.
pub fn fgsm<N: Classifier>(
    network: &N,
    images: Tensor<4>,
    classes: Tensor<1, Int>,
    epsilon: f64,
) -> Tensor<4> {
    let leaf = Tensor::from_inner(images.clone()).require_grad();
    let loss = cross_entropy(network.logits(leaf.clone()), Tensor::from_inner(classes));
    let gradient = leaf.grad(&loss.backward()).expect("the loss depends on the images");
    (images + gradient.sign() * epsilon).clamp(-1.0, 1.0)
}

/// The first of the largest.
fn largest(logits: &[f64]) -> usize {
    let better =
        |best: usize, class: usize| if logits[class] > logits[best] { class } else { best };
    (1..logits.len()).fold(0, better)
}

/// The probability of the likeliest class.
fn confidence(logits: &[f64]) -> f64 {
    (logits[largest(logits)] - ln_sum_exp(logits)).exp()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a confidence is in (0, 1]; what is not a number falls into the first bin"
)]
fn bin(confidence: f64) -> usize {
    ((confidence * N_BINS as f64).ceil() as usize).clamp(1, N_BINS) - 1
}

fn ln_sum_exp(logits: &[f64]) -> f64 {
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    largest + logits.iter().map(|logit| (logit - largest).exp()).sum::<f64>().ln()
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    sum / count
}

#[cfg(test)]
mod tests {
    use super::*;
    use osn_core::number::median;

    fn six() -> Predictions {
        let logits = [
            [2.0, 0.5, -1.0],
            [0.1, 0.2, 0.3],
            [-1.5, 3.0, 0.0],
            [4.0, 1.0, 3.5],
            [0.0, 0.0, 5.0],
            [1.0, 0.9, -2.0],
        ];
        Predictions { logits: logits.concat(), labels: vec![0, 1, 1, 2, 2, 1] }
    }

    /// Two hundred images in nine of the bins, every second one right by construction.
    fn two_hundred() -> Predictions {
        let logit = |image: usize, class: usize| {
            let (image, class) = (image as f64, class as f64);
            4.0 * (1.3 * image + 2.1 * class + 0.01 * image * class).sin()
        };
        let rows: Vec<Vec<f64>> =
            (0..200).map(|image| (0..10).map(|class| logit(image, class)).collect()).collect();
        let label = |(image, row): (usize, &Vec<f64>)| {
            u8::try_from(if image % 2 == 0 { largest(row) } else { image * 7 % 10 }).unwrap()
        };
        Predictions { labels: rows.iter().enumerate().map(label).collect(), logits: rows.concat() }
    }

    fn assert_close(ours: f64, expected: f64) {
        assert!((ours - expected).abs() < 1e-12, "{ours} is not {expected}");
    }

    #[test]
    fn accuracy_and_cross_entropy_are_those_of_pytorch() {
        assert_eq!(six().accuracy(), 0.5);
        assert_close(six().cross_entropy(), 0.531_758_156_774_166_2);
        assert_eq!(two_hundred().accuracy(), 0.535);
        assert_close(two_hundred().cross_entropy(), 2.753_027_627_087_088_4);
    }

    #[test]
    fn the_calibration_error_is_that_of_its_definition_in_pytorch() {
        assert_close(six().calibration_error(), 0.294_603_631_064_849);
        assert_close(two_hundred().calibration_error(), 0.177_174_997_805_190_5);
    }

    #[test]
    fn who_is_always_certain_and_half_the_time_wrong_is_off_by_a_half() {
        let predictions = Predictions { logits: vec![50.0, 0.0, 50.0, 0.0], labels: vec![0, 1] };
        assert_close(predictions.calibration_error(), 0.5);
    }

    #[test]
    fn bins_include_their_upper_ends() {
        assert_eq!([0.2, 0.201, 1.0 / 15.0, 1.0, 1e-9].map(bin), [2, 3, 0, 14, 0]);
    }

    #[test]
    fn margins_are_negative_where_another_class_is_stronger() {
        let margins = six().margins();
        let expected = [1.5, -0.1, 3.0, -0.5, 5.0, -0.1];
        margins.iter().zip(expected).for_each(|(ours, expected)| assert_close(*ours, expected));
        assert_close(median(&margins).unwrap(), 0.7);
    }

    #[test]
    fn the_surest_mistakes_come_first() {
        assert_eq!(six().surest_mistakes(9), [3, 5, 1]);
        assert_eq!(six().surest_mistakes(2), [3, 5]);
    }

    #[test]
    fn logits_of_any_size_have_a_cross_entropy() {
        let predictions = Predictions { logits: vec![1e4, -1e4, 0.0, -1e4], labels: vec![1, 0] };
        assert_close(predictions.cross_entropy(), 1e4);
    }
}
