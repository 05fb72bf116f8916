//! Plain spectral normalization as a reparameterizer; `torch.rs` holds its numbers against PyTorch's.

use crate::support::{device, exact_sigma, filled, noise, noisy, values};
use burn::module::{Module, ParamGroup};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{Linear, LinearConfig};
use burn::optim::{GradientsParams, SgdConfig};
use osn::{SpectralNorm, SpectralNormalizer};

#[derive(Module, Debug)]
struct Net {
    conv: Conv2d,
    head: Linear,
}

fn net() -> Net {
    let conv = Conv2dConfig::new([1, 3], [2, 2]).init(&device());
    noisy(Net { conv, head: LinearConfig::new(12, 5).init(&device()) })
}

fn assert_sigmas(net: &Net, target: f64, tolerance: f64) {
    for sigma in [exact_sigma(&net.conv.weight.val(), 0), exact_sigma(&net.head.weight.val(), 1)] {
        assert!((sigma / target - 1.0).abs() < tolerance, "{sigma}");
    }
}

fn train(net: Net) -> Net {
    let images = noise([8, 1, 3, 3], 1, &device());
    let scores = net.head.forward(net.conv.forward(images).flatten::<2>(1, 3));
    let gradients = GradientsParams::from_grads(scores.square().mean().backward(), &net);
    SgdConfig::new().init().step(0.05, net, gradients)
}

#[test]
fn every_weight_has_the_target_from_the_first_forward_and_while_training() {
    let normalizer = SpectralNormalizer::new().target(2.0);
    let mut model = net().apply_reparameterization(normalizer.clone());
    assert_sigmas(&model, 2.0, 1e-4);
    let bias = |net: &Net| values::<f32, 1>(net.head.bias.as_ref().unwrap().val());
    let before = bias(&model);
    for _ in 0..30 {
        model = train(model);
        normalizer.refresh(&mut model);
    }
    assert_sigmas(&model, 2.0, 1e-2);
    assert_ne!(bias(&model), before, "and biases are trained");
}

#[test]
fn a_group_is_all_that_it_holds() {
    let normalizer = SpectralNormalizer::new().params(ParamGroup::from_path("head.weight"));
    let mut model = net().apply_reparameterization(normalizer.clone());
    normalizer.refresh(&mut model);
    assert!(model.conv.weight.reparameterization::<SpectralNorm>().is_none());
    assert!(model.head.weight.reparameterization::<SpectralNorm>().is_some());
}

#[test]
fn a_weight_that_is_not_finite_recovers_when_it_is_finite_again() {
    let normalizer = SpectralNormalizer::new();
    let bad = filled(net(), f32::NAN).apply_reparameterization(normalizer.clone());
    let mut model = noisy(bad);
    for _ in 0..60 {
        normalizer.refresh(&mut model);
    }
    assert_sigmas(&model, 1.0, 1e-4);
}

#[test]
#[should_panic(expected = "axis 4 cannot be its output axis")]
fn an_axis_that_a_weight_does_not_have_is_a_mistake_of_the_caller() {
    let normalizer = SpectralNormalizer::new().output_axis(4);
    let _ = net().apply_reparameterization(normalizer);
}
