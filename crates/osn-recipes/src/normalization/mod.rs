//! Batch normalization with the activation behind it, near the speed of the memory.
//!
//! Burn's own on the CPU reads and writes the images many times. These read them twice and write them once. Only the
//! CPU has them, for f32; for other tensors Burn's own run.

mod kernel;
mod ops;

use burn::backend::Dispatch;
use burn::nn::BatchNorm;
use burn::tensor::Tensor;
use burn::tensor::activation::leaky_relu;

use crate::host::is_plain;
use crate::normalization::ops::{Formula, NormalizationOps};

/// The layer's output, and behind it `f(z)`, which is `z` above zero and `slope·z` elsewhere: ReLU with a slope of
/// 0, and none with 1. Batch statistics, running values and validation mode are as in Burn's own forward.
pub(crate) fn normalize(layer: &BatchNorm, images: Tensor<4>, slope: f64) -> Tensor<4> {
    if !is_plain(&images) {
        return leaky_relu(layer.forward(images), slope);
    }
    let formula = Formula { epsilon: layer.epsilon, slope };
    let device = images.device();
    let is_training = device.is_autodiff() && layer.training.is_enabled();
    let (gamma, beta) = (layer.gamma.val().into_dispatch(), layer.beta.val().into_dispatch());
    let images = images.into_dispatch();
    if !is_training {
        let running = [&layer.running_mean, &layer.running_var];
        let [mean, variance] = running.map(|it| it.value().to_device(&device).into_dispatch());
        return Tensor::from_dispatch(Dispatch::normalize_by(
            images, gamma, beta, mean, variance, formula,
        ));
    }
    let (output, mean, variance) = Dispatch::normalize_batch(images, gamma, beta, formula);
    let [mean, variance] = [mean, variance].map(Tensor::from_dispatch);
    for (running, of_batch) in [(&layer.running_mean, mean), (&layer.running_var, variance)] {
        let kept = running.value_sync().mul_scalar(1.0 - layer.momentum);
        running.update(kept.add(of_batch.mul_scalar(layer.momentum)).detach());
    }
    Tensor::from_dispatch(output)
}

#[cfg(test)]
mod tests {
    use burn::module::{Module, Param};
    use burn::nn::BatchNormConfig;
    use burn::tensor::Device;

    use super::*;
    use crate::waves::{must_agree, numbers, wave};

    fn layer(features: usize) -> BatchNorm {
        let config = BatchNormConfig::new(features).with_epsilon(1e-3).with_momentum(0.1);
        let mut layer = config.init(&Device::flex().autodiff());
        layer.gamma = Param::from_tensor(wave([features], 1.3) + 1.5);
        layer.beta = Param::from_tensor(wave([features], 2.1));
        layer
    }

    fn burns(layer: &BatchNorm, images: Tensor<4>, slope: f64) -> Tensor<4> {
        leaky_relu(layer.forward(images), slope)
    }

    const PARTS: [&str; 6] = ["output", "dx", "dγ", "dβ", "running mean", "running variance"];

    type Forward = fn(&BatchNorm, Tensor<4>, f64) -> Tensor<4>;

    /// The output, the gradients of its product with a wave, and the running values after two forwards.
    fn parts(forward: Forward, layer: &BatchNorm, images: &Tensor<4>, slope: f64) -> [Vec<f32>; 6] {
        let images = images.clone().require_grad();
        let _ = forward(layer, images.clone() * 2.0, slope);
        let output = forward(layer, images.clone(), slope);
        let gradients = (output.clone() * wave(output.dims(), 0.37)).sum().backward();
        [
            numbers(output),
            numbers(images.grad(&gradients).unwrap()),
            numbers(layer.gamma.val().grad(&gradients).unwrap()),
            numbers(layer.beta.val().grad(&gradients).unwrap()),
            numbers(layer.running_mean.value_sync()),
            numbers(layer.running_var.value_sync()),
        ]
    }

    #[test]
    fn the_output_the_gradients_and_the_running_values_are_burns_own() {
        for shape in [[3, 2, 5, 4], [64, 16, 14, 14], [9, 5, 7, 7], [70, 3, 4, 4], [2, 3, 1, 1]] {
            for slope in [1.0, 0.0, 0.2] {
                let images = wave(shape, 0.71) * 3.0 + 0.5;
                let ours = parts(normalize, &layer(shape[1]), &images, slope);
                let burns = parts(burns, &layer(shape[1]), &images, slope);
                for (what, (ours, burns)) in PARTS.iter().zip(ours.iter().zip(&burns)) {
                    must_agree(&format!("{shape:?}, {slope}, {what}"), ours, burns, 1e-4);
                }
            }
        }
    }

    /// PyTorch 2.15: `leaky_relu(batch_norm(x, None, None, gamma, beta, True, 0.1, 1e-3), 0.2)`, and the
    /// gradients of its product with a wave.
    #[test]
    fn the_output_and_the_gradients_are_pytorchs() {
        let [output, of_x, of_gamma, of_beta, ..] =
            parts(normalize, &layer(2), &wave([3, 2, 2, 2], 0.71), 0.2);
        let first = [-0.132_075, 0.879_37, 1.674_991, 1.341_987, 2.305_564, -0.043_128];
        must_agree("output", &output[..6], &first, 1e-5);
        let last = [1.833_586, 2.385_492, 2.688_99, 0.248_132];
        must_agree("dx", &of_x[20..], &last, 1e-5);
        must_agree("dγ", &of_gamma, &[1.126_941, 1.563_797], 1e-5);
        must_agree("dβ", &of_beta, &[1.282_968, 2.194_553], 1e-5);
    }

    #[test]
    fn the_gradient_is_the_slope_of_a_small_step() {
        const STEP: f32 = 1e-2;
        let (layer, images) = (layer(2), wave([3, 2, 2, 2], 0.71));
        let [_, gradient, ..] = parts(normalize, &layer, &images, 1.0);
        let along = |step: f32| {
            let images = images.clone() + wave([3, 2, 2, 2], 0.53) * step;
            let output = normalize(&layer, images, 1.0);
            numbers((output.clone() * wave(output.dims(), 0.37)).sum())[0]
        };
        let slope = (along(STEP) - along(-STEP)) / (2.0 * STEP);
        let direction = numbers(wave([3, 2, 2, 2], 0.53));
        let expected: f32 = gradient.iter().zip(direction).map(|(a, b)| a * b).sum();
        assert!((slope - expected).abs() < 1e-3 * expected.abs(), "{slope} and {expected}");
    }

    #[test]
    fn a_large_mean_costs_no_digits_of_the_variance() {
        let images = wave([8, 1, 5, 5], 0.71);
        let (near, far) = (layer(1), layer(1));
        let _ = normalize(&near, images.clone(), 1.0);
        let _ = normalize(&far, images + 1000.0, 1.0);
        let variance = |layer: &BatchNorm| numbers(layer.running_var.value_sync());
        must_agree("variance", &variance(&far), &variance(&near), 1e-4);
    }

    #[test]
    fn validation_mode_is_burns_own_with_and_without_gradients() {
        let (layer, images) = (layer(3), wave([4, 3, 5, 5], 0.71));
        let _ = normalize(&layer, images.clone(), 0.0);
        let valid = layer.valid();
        let ours = numbers(normalize(&valid, images.clone().inner(), 0.2));
        must_agree("output", &ours, &numbers(burns(&valid, images.clone().inner(), 0.2)), 1e-5);
        let mut frozen = layer;
        frozen.training = Param::from_bool(false);
        let gradient = |forward: Forward| {
            let images = images.clone().require_grad();
            let gradients = forward(&frozen, images.clone(), 0.2).square().sum().backward();
            numbers(images.grad(&gradients).unwrap())
        };
        must_agree("gradient", &gradient(normalize), &gradient(burns), 1e-5);
    }

    #[test]
    fn the_bits_do_not_depend_on_the_number_of_threads() {
        let images = wave([67, 8, 9, 9], 0.71);
        let bits = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| parts(normalize, &layer(8), &images, 0.0))
        };
        assert!(bits(1) == bits(3));
    }

    #[test]
    fn an_empty_batch_gives_an_empty_one_and_a_nan_stays_in_sight() {
        let empty = Tensor::<4>::zeros([0, 2, 3, 3], &Device::flex().autodiff());
        assert_eq!(normalize(&layer(2), empty, 0.0).dims(), [0, 2, 3, 3]);
        let nan = wave([2, 2, 3, 3], 0.71).slice_fill([0..1, 0..1, 0..1, 0..1], f32::NAN);
        let output = numbers(normalize(&layer(2), nan, 0.0));
        let is_nan: Vec<bool> =
            output.chunks(9).map(|plane| plane.iter().all(|x| x.is_nan())).collect();
        assert_eq!(is_nan, [true, false, true, false]);
    }
}
