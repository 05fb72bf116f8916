//! What a larger σ does to a held-out loss, against finite differences from outside.

use crate::support::{Edit, Met, device, draw, noisy, plan, saved};
use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::Tensor;
use osn::report::Growth;
use osn::rules::{Needs, Signals};
use osn::views::{AsConvolution, Convolution, SigmaGradient, View};
use osn::{Osn, Plan, Selection};
use osn_core::measure::convolution::ConvMap;
use osn_core::measure::{DenseMap, exact};

/// σ of one block of a weight, from all of its numbers.
type Sigma<'a> = &'a dyn Fn(&[f64]) -> f64;

fn needing_growth(plan: Plan) -> Plan {
    plan.measure(Needs { growth: true, ..Needs::default() })
}

/// A model without biases, and a loss that is quadratic in its weight: a central difference of any width is its
/// derivative.
fn linear() -> Linear {
    noisy(LinearConfig::new(6, 8).with_bias(false).init(&device()))
}

fn loss_of_linear(model: &Linear, x: Tensor<2>) -> Tensor<1> {
    (model.forward(x) - 0.7).square().mean()
}

fn conv() -> Conv2d {
    let config =
        Conv2dConfig::new([2, 3], [3, 2]).with_padding(PaddingConfig2d::Explicit(1, 0, 1, 1));
    noisy(config.with_stride([2, 1]).with_bias(false).init(&device()))
}

fn loss_of_conv(model: &Conv2d, x: Tensor<4>) -> Tensor<1> {
    (model.forward(x) - 0.7).square().mean()
}

fn replaced<M: Module>(model: &M, weight: &[f64]) -> M {
    #[expect(clippy::cast_possible_truncation, reason = "weights are f32")]
    let fill = |numbers: &mut [f32]| {
        numbers.iter_mut().zip(weight).for_each(|(old, new)| *old = *new as f32);
    };
    model.clone().map(&mut Edit(fill))
}

/// `∂σ/∂W` by central differences, in f64.
fn direction(weight: &[f64], sigma: Sigma) -> Vec<f64> {
    let at = |place: usize, by: f64| {
        let mut moved = weight.to_vec();
        moved[place] += by;
        sigma(&moved)
    };
    (0..weight.len()).map(|place| (at(place, 1e-5) - at(place, -1e-5)) / 2e-5).collect()
}

/// `∂J/∂σ` of each block with `J = −L`, from the effective weights alone.
fn by_differences<M: Module>(
    model: &M,
    loss: impl Fn(&M) -> Tensor<1>,
    sigmas: &[Sigma],
) -> Vec<f64> {
    let plain = model.valid().materialize();
    let weight: Vec<f64> = Met::of(&plain).floats[0].iter().map(|&w| f64::from(w)).collect();
    let slope = |sigma: &Sigma| {
        let direction = direction(&weight, sigma);
        let length: f64 = direction.iter().map(|x| x * x).sum();
        let at = |by: f64| {
            let pairs = weight.iter().zip(&direction);
            let moved: Vec<f64> = pairs.map(|(w, d)| w + by * d / length).collect();
            f64::from(loss(&replaced(&plain, &moved)).into_scalar::<f32>())
        };
        -(at(0.5) - at(-0.5))
    };
    sigmas.iter().map(slope).collect()
}

fn growths<M: Module>(osn: &Osn, model: &M) -> Vec<Growth> {
    let layers = osn.report(model).unwrap().into_iter();
    layers.map(|layer| layer.gradient.unwrap().growth.unwrap()).collect()
}

/// One look through the plan, under each action and each gradient of the weight.
fn check<M: Module, const D: usize>(
    selection: &Selection,
    model: &M,
    loss: fn(&M, Tensor<D>) -> Tensor<1>,
    shape: [usize; D],
    sigmas: &[Sigma],
) {
    for rule in
        ["pay:interval=1", "cap:target=0.6,interval=1", "cap:target=1,sharpness=2,interval=1"]
    {
        for gradient in [SigmaGradient::Full, SigmaGradient::Detached, SigmaGradient::InwardOnly] {
            let plan = needing_growth(plan(rule).select(selection.clone()).gradient(gradient));
            let (mut model, mut osn) = plan.attach(model.clone()).unwrap();
            let x = draw(shape, &device());
            osn.observe_held_out(&model, &loss(&model, x.clone()).backward()).unwrap();
            let expected = by_differences(&model, |model| loss(model, x.clone().inner()), sigmas);
            osn.step(&mut model, &Signals::new()).unwrap();
            let found = growths(&osn, &model);
            assert_eq!(found.len(), expected.len());
            for (growth, expected) in found.iter().zip(expected) {
                let Growth { looks, mean, mean_square } = *growth;
                assert_eq!(looks, 1);
                let bound = 2e-3 * expected.abs().max(0.02);
                assert!((mean - expected).abs() < bound, "{rule} {gradient:?}: {mean} {expected}");
                assert!((mean_square / mean.powi(2) - 1.0).abs() < 1e-5);
            }
        }
    }
}

fn dense(weight: &[f64], shape: &[usize], axis: usize) -> f64 {
    exact(&DenseMap::from_tensor(weight, shape, axis).unwrap()).unwrap().sigma
}

#[test]
fn of_a_linear_layer_it_is_the_derivative_along_its_leading_direction() {
    let sigma = |weight: &[f64]| dense(weight, &[6, 8], 1);
    check(&Selection::paths("weight"), &linear(), loss_of_linear, [16, 6], &[&sigma]);
}

#[test]
fn of_blocks_each_has_its_own() {
    let block = |weight: &[f64], first: usize| {
        let rows = weight.chunks_exact(8).flat_map(|row| row[first..first + 4].to_vec());
        dense(&rows.collect::<Vec<_>>(), &[6, 4], 1)
    };
    let halves: [Sigma; 2] = [&|weight| block(weight, 0), &|weight| block(weight, 4)];
    let selection = Selection::paths("weight").view(View::Blocks { axis: 1, count: 2 });
    check(&selection, &linear(), loss_of_linear, [16, 6], &halves);
}

#[test]
fn of_a_convolution_it_is_that_of_the_view() {
    let shape = [3, 2, 3, 2];
    let convolution: Convolution = conv().convolution([5, 4]);
    let geometry = convolution.geometry(&shape).unwrap();
    let reshaped = |weight: &[f64]| dense(weight, &shape, 0);
    let both = |weight: &[f64]| f64::midpoint(dense(weight, &shape, 0), dense(weight, &shape, 1));
    let operator = |weight: &[f64]| exact(&ConvMap::new(weight, geometry).unwrap()).unwrap().sigma;
    let views: [(View, Sigma); 3] = [
        (View::Reshaped, &reshaped),
        (View::Bidirectional, &both),
        (View::Operator(convolution), &operator),
    ];
    for (view, sigma) in views {
        let selection = Selection::paths("weight").view(view);
        check(&selection, &conv(), loss_of_conv, [4, 2, 5, 4], &[sigma]);
    }
}

#[test]
fn looks_are_counted_and_averaged_until_a_rule_decides() {
    let (mut model, mut osn) = needing_growth(plan("pay:interval=2")).attach(linear()).unwrap();
    let sigma = |weight: &[f64]| dense(weight, &[6, 8], 1);
    let mut expected = Vec::new();
    for _ in 0..2 {
        let x = draw([16, 6], &device());
        osn.observe_held_out(&model, &loss_of_linear(&model, x.clone()).backward()).unwrap();
        expected.extend(by_differences(
            &model,
            |it| loss_of_linear(it, x.clone().inner()),
            &[&sigma],
        ));
        osn.step(&mut model, &Signals::new()).unwrap();
    }
    let mean = |of: &dyn Fn(f64) -> f64| expected.iter().map(|&h| of(h)).sum::<f64>() / 2.0;
    let Growth { looks, mean: first, mean_square } = growths(&osn, &model)[0];
    assert_eq!(looks, 2);
    assert!((first / mean(&|h| h) - 1.0).abs() < 1e-2, "{first}");
    assert!((mean_square / mean(&|h| h * h) - 1.0).abs() < 1e-2, "{mean_square}");
}

#[test]
fn what_was_seen_before_a_stop_counts_after_it() {
    let start = || plan("pay:interval=4").attach(linear()).unwrap();
    let look = |model: &mut Linear, osn: &mut Osn, step: u16| {
        let x = draw([16, 6], &device()) * f32::from(step);
        osn.observe_held_out(model, &loss_of_linear(model, x).backward()).unwrap();
        osn.step(model, &Signals::new()).unwrap();
    };
    let (mut model, mut osn) = start();
    (1..7).for_each(|step| look(&mut model, &mut osn, step));
    let (_, mut resumed) = start();
    resumed.resume(saved(&osn)).unwrap();
    let mut other = model.clone();
    let x = draw([16, 6], &device());
    for (model, osn) in [(&mut model, &mut osn), (&mut other, &mut resumed)] {
        for _ in 0..2 {
            osn.observe_held_out(model, &loss_of_linear(model, x.clone()).backward()).unwrap();
            osn.step(model, &Signals::new()).unwrap();
        }
    }
    assert_eq!(growths(&osn, &model), growths(&resumed, &other));
    assert_eq!(growths(&osn, &model)[0].looks, 4);
    assert_eq!(osn.state(), resumed.state());
}

#[test]
fn who_does_not_ask_pays_nothing() {
    let (mut model, mut osn) = plan("learned:interval=1").attach(linear()).unwrap();
    let x = draw([16, 6], &device());
    osn.observe_held_out(&model, &loss_of_linear(&model, x).backward()).unwrap();
    osn.step(&mut model, &Signals::new()).unwrap();
    assert_eq!(osn.report(&model).unwrap()[0].gradient.unwrap().growth, None);
}
