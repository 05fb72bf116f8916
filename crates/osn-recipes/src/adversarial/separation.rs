//! What a discriminator reaches for its steepness, on images that it does not train on.

use burn::tensor::Tensor;

use crate::adversarial::signals::input_gradient;
use crate::adversarial::watch::between;
use crate::batch::number;

/// How far D is followed along its gradient to either side, in the units of images from −1 to 1: far enough for
/// single precision, and hardly any way for an image of hundreds of pixels.
const STEP: f64 = 0.01;

/// A loss whose gradients are those of −J, `[1]`, with
///
/// ```text
/// J = ln(E D(real) − E D(fake)) − ln E‖∇ₓD(x)‖,    x on lines between real and fake
/// ```
///
/// the logarithm of the separation that D reaches for its slope: the dual of Wasserstein's distance, free of D's
/// scale and of the units of images. A D that only becomes steeper gains nothing.
///
/// Where D does not separate there is no logarithm, and −(E D(real) − E D(fake))/E‖∇ₓD‖ takes its place, whose
/// gradient has the same direction. Nothing is returned where D has no slope at all.
///
/// Gradients are of first order: with `d = ∇ₓD/‖∇ₓD‖` held constant, `(D(x + εd) − D(x − εd))/2ε` has the gradients
/// of `‖∇ₓD‖`, up to ε². The images are without autodiff; `discriminate` is D with gradients in its weights, `frozen`
/// the same without.
pub(crate) fn loss(
    discriminate: impl FnOnce(Tensor<4>) -> Tensor<2>,
    frozen: impl Fn(Tensor<4>) -> Tensor<2>,
    real: Tensor<4>,
    fake: Tensor<4>,
) -> Option<Tensor<1>> {
    let count = real.dims()[0];
    let points = between(real.clone(), fake.clone());
    let step = directions(input_gradient(frozen, Tensor::from_inner(points.clone()))) * STEP;
    let images = Tensor::cat(vec![real, fake, points.clone() + step.clone(), points - step], 0);
    let logits = discriminate(Tensor::from_inner(images)).mean_dim(1);
    let mean = |part: usize| logits.clone().narrow(0, part * count, count).mean();
    let separation = mean(0) - mean(1);
    let slope = (mean(2) - mean(3)) / (2.0 * STEP);
    weighed(separation, slope)
}

/// −∇ln(s/n) as the gradients of a weighed sum, or −∇(s/n) where s is not above 0.
fn weighed(separation: Tensor<1>, slope: Tensor<1>) -> Option<Tensor<1>> {
    let of = |tensor: &Tensor<1>| number(tensor.clone().without_autodiff());
    let (s, n) = (of(&separation), of(&slope));
    if s.is_nan() || n.is_nan() || n <= 0.0 {
        return None;
    }
    let scale = if s > 0.0 { 1.0 / s } else { 1.0 / n };
    Some(separation * -scale + slope * (scale * s / n))
}

/// Gradients brought to length 1, image by image; zero stays zero.
fn directions(gradient: Tensor<4>) -> Tensor<4> {
    let lengths = gradient.clone().flatten::<2>(1, 3).square().sum_dim(1).sqrt();
    gradient / lengths.clamp_min(f32::MIN_POSITIVE).reshape([-1, 1, 1, 1])
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;
    use crate::data::sampler::noise;

    fn images(stream: u64, shift: f32) -> Tensor<4> {
        let values: Vec<f32> = noise(1, stream, 0, 5 * 6).iter().map(|it| it + shift).collect();
        Tensor::from_data(TensorData::new(values, [5, 1, 2, 3]), &Device::flex())
    }

    /// D(x) = a·w₁·x + b·(w₂·x)², of weights `[12]`: w₁, then w₂.
    fn discriminate(weights: &Tensor<1>, bend: f64, images: Tensor<4>) -> Tensor<2> {
        let x = images.flatten::<2>(1, 3);
        let [linear, bent] =
            [0, 6].map(|at| x.clone().matmul(weights.clone().narrow(0, at, 6).reshape([6, 1])));
        linear + bent.square() * bend
    }

    #[expect(clippy::cast_possible_truncation, reason = "weights are f32")]
    fn weights(values: &[f64]) -> Tensor<1> {
        let values: Vec<f32> = values.iter().map(|&it| it as f32).collect();
        Tensor::from_data(values.as_slice(), &Device::flex().autodiff()).require_grad()
    }

    fn gradient(values: &[f64], bend: f64, [real, fake]: [Tensor<4>; 2]) -> Option<Vec<f64>> {
        let weights = weights(values);
        let frozen = Tensor::from_inner(weights.clone().inner());
        let loss = loss(
            |images| discriminate(&weights, bend, images),
            |images| discriminate(&frozen, bend, images),
            real,
            fake,
        )?;
        Some(weights.grad(&loss.backward()).unwrap().into_data().iter().collect())
    }

    /// J itself in double precision, where a logarithm is asked for or else the ratio.
    fn value(w: &[f64], bend: f64, images: &[Tensor<4>; 2], has_logarithm: bool) -> f64 {
        let host = |it: &Tensor<4>| it.clone().into_data().iter().collect::<Vec<f64>>();
        let points = between(images[0].clone(), images[1].clone());
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let mean = |it: &Tensor<4>, of: &dyn Fn(&[f64]) -> f64| {
            host(it).chunks(6).map(of).sum::<f64>() / 5.0
        };
        let d = |x: &[f64]| dot(&w[..6], x) + bend * dot(&w[6..], x).powi(2);
        let slope = |x: &[f64]| {
            let along = 2.0 * bend * dot(&w[6..], x);
            let square = |k: usize| (w[k] + along * w[6 + k]).powi(2);
            (0..6).map(square).sum::<f64>().sqrt()
        };
        let ratio = (mean(&images[0], &d) - mean(&images[1], &d)) / mean(&points, &slope);
        if has_logarithm { ratio.ln() } else { ratio }
    }

    #[test]
    fn the_gradients_are_those_of_the_separation_for_the_slope() {
        let w: Vec<f64> = noise(2, 0, 0, 12).into_iter().map(f64::from).collect();
        let along: f64 = w[..6].iter().sum();
        for (bend, shift) in [(0.0, 1.0), (0.3, 1.0), (0.0, -1.0)] {
            // Real images lie where D is larger, or smaller.
            let shift = if along < 0.0 { -shift } else { shift };
            let images = [images(1, shift), images(2, 0.0)];
            let separates = value(&w, bend, &images, false) > 0.0;
            let found = gradient(&w, bend, images.clone()).unwrap();
            for (place, found) in found.into_iter().enumerate() {
                let at = |step: f64| {
                    let mut moved = w.clone();
                    moved[place] += step;
                    value(&moved, bend, &images, separates)
                };
                let expected = -(at(1e-5) - at(-1e-5)) / 2e-5;
                let error = (found - expected).abs();
                assert!(error < 2e-3 * expected.abs().max(0.1), "{place}: {found} for {expected}");
            }
        }
    }

    #[test]
    fn a_discriminator_that_only_becomes_steeper_gains_nothing() {
        let w: Vec<f64> = noise(3, 0, 0, 12).into_iter().map(f64::from).collect();
        // Without its bend D is homogeneous in w₁: along it J does not change.
        let found = gradient(&w, 0.0, [images(1, 1.0), images(2, 0.0)]).unwrap();
        let along: f64 = found.iter().zip(&w).map(|(g, w)| g * w).sum();
        let size: f64 = found.iter().map(|g| g.abs()).sum();
        assert!(along.abs() < 1e-3 && size > 0.1, "{along} {size}");
    }

    #[test]
    fn there_is_nothing_to_see_of_a_discriminator_without_a_slope() {
        assert_eq!(gradient(&[0.0; 12], 0.0, [images(1, 1.0), images(2, 0.0)]), None);
    }
}
