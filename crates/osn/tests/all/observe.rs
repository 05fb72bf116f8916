//! Gradients as signals: what the rules read, against Burn's own gradients on the host and against
//! finite differences.

use crate::support::{Met, device, draw, noisy, plan, saved};
use burn::module::{Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer, SgdConfig};
use burn::tensor::activation::leaky_relu;
use burn::tensor::{Gradients, Tensor};
use osn::report::GradientStatistics;
use osn::rules::{Budget, Needs, Signals};
use osn::views::{SigmaGradient, View};
use osn::{Osn, Plan, Selection};

/// Three layers without biases: the loss is a quadratic function of the scale of each, so a central
/// difference of any width is its derivative. In a plain chain all of these would be the same.
#[derive(Module, Debug)]
struct Net {
    first: Linear,
    second: Linear,
    last: Linear,
}

impl Net {
    fn new() -> Self {
        let layer =
            |inputs, outputs| LinearConfig::new(inputs, outputs).with_bias(false).init(&device());
        noisy(Self { first: layer(6, 6), second: layer(6, 6), last: layer(6, 3) })
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        // No unit is ever dead, whatever the weights.
        let activation = |x| leaky_relu(x, 0.2);
        let first = activation(self.first.forward(x.clone()));
        self.last.forward(activation(self.second.forward(first.clone())) + first + x)
    }

    fn loss(&self, x: &Tensor<2>) -> Tensor<1> {
        (self.forward(x.clone()) - 0.7).square().mean()
    }

    fn weights(&self) -> [&Param<Tensor<2>>; 3] {
        [&self.first.weight, &self.second.weight, &self.last.weight]
    }
}

fn input() -> Tensor<2> {
    draw([16, 6], &device())
}

fn held(rule: &str) -> (Net, Osn) {
    plan(rule).attach(Net::new()).unwrap()
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    crate::support::values(tensor)
}

fn norm(values: &[f64]) -> f64 {
    values.iter().map(|x| x * x).sum::<f64>().sqrt()
}

fn gradients_of(model: &Net, x: &Tensor<2>) -> Gradients {
    model.loss(x).backward()
}

fn step(model: Net, optimizer: &mut ModuleOptimizer, gradients: Gradients, rate: f64) -> Net {
    let gradients = GradientsParams::from_grads(gradients, &model);
    optimizer.step(rate, model, gradients)
}

fn statistics(osn: &Osn, model: &Net) -> Vec<GradientStatistics> {
    osn.report(model).unwrap().into_iter().map(|layer| layer.gradient.unwrap()).collect()
}

/// `∂L/∂ ln s` of each layer, from outside: the effective weights alone, one of them scaled.
fn by_differences(model: &Net, x: &Tensor<2>) -> [f64; 3] {
    let plain = model.valid().materialize();
    let x = x.clone().inner();
    let loss = |layer: usize, factor: f64| {
        let mut scaled = plain.clone();
        let weights = [&mut scaled.first, &mut scaled.second, &mut scaled.last];
        let weight = &mut weights.into_iter().nth(layer).unwrap().weight;
        *weight = Param::from_tensor(weight.val() * factor);
        values(scaled.loss(&x))[0]
    };
    [0, 1, 2].map(|layer| loss(layer, 1.5) - loss(layer, 0.5))
}

fn close(ours: f64, theirs: f64, tolerance: f64) {
    let bound = tolerance * theirs.abs().max(0.1);
    assert!((ours - theirs).abs() <= bound, "{ours} against {theirs}");
}

#[test]
fn norms_updates_and_sensitivities_are_those_of_burns_gradients() {
    let (mut model, mut osn) = held("budget:interval=4");
    let mut sgd = SgdConfig::new().init();
    let mut seen: [Vec<[f64; 3]>; 3] = Default::default();
    for _ in 0..4 {
        let x = input();
        let gradients = gradients_of(&model, &x);
        osn.observe(&model, &gradients).unwrap();
        let sensitivities = by_differences(&model, &x);
        let norms = model.weights().map(|w| norm(&values(w.base().grad(&gradients).unwrap())));
        let before = model.weights().map(|w| values(w.base()));
        model = step(model, &mut sgd, gradients, 0.3);
        for (layer, after) in model.weights().map(|w| values(w.base())).iter().enumerate() {
            let moved: Vec<f64> = after.iter().zip(&before[layer]).map(|(a, b)| a - b).collect();
            seen[layer].push([norms[layer], norm(&moved), sensitivities[layer].abs()]);
        }
        osn.step(&mut model, &Signals::new()).unwrap();
    }
    for (reported, seen) in statistics(&osn, &model).into_iter().zip(seen) {
        let mean = |index: usize| seen.iter().map(|row| row[index]).sum::<f64>() / 4.0;
        let variance = seen.iter().map(|row| (row[0] - mean(0)).powi(2)).sum::<f64>() / 4.0;
        close(reported.mean_norm, mean(0), 1e-5);
        close(reported.norm_variance, variance, 1e-3);
        close(reported.mean_update, mean(1), 1e-4);
        close(reported.sensitivity, mean(2), 1e-3);
        assert_eq!(reported.held_out_sensitivity, None);
    }
}

#[test]
fn the_sensitivity_is_there_whatever_is_in_force() {
    // Off, normalized, capped, and with a gradient of the weight that says something else.
    for (rule, gradient) in [
        ("budget:interval=1,total_relative_to_init=8", SigmaGradient::Full),
        ("budget:interval=1", SigmaGradient::Full),
        ("budget:interval=1,total_relative_to_init=0.1", SigmaGradient::Full),
        ("budget:interval=1", SigmaGradient::Detached),
        ("budget:interval=1", SigmaGradient::InwardOnly),
    ] {
        let (mut model, mut osn) = plan(rule).gradient(gradient).attach(Net::new()).unwrap();
        let x = input();
        osn.observe(&model, &gradients_of(&model, &x)).unwrap();
        let expected = by_differences(&model, &x);
        osn.step(&mut model, &Signals::new()).unwrap();
        for (reported, expected) in statistics(&osn, &model).iter().zip(expected) {
            close(reported.sensitivity, expected.abs(), 1e-3);
        }
    }
}

#[test]
fn a_normalized_weights_own_gradient_is_not_the_sensitivity() {
    // Which is why there is a probe: ⟨∇W, W⟩ is 0.
    let (model, _) = held("always");
    let x = input();
    let gradients = gradients_of(&model, &x);
    for (weight, sensitivity) in model.weights().into_iter().zip(by_differences(&model, &x)) {
        let gradient = values(weight.base().grad(&gradients).unwrap());
        let along: f64 = gradient.iter().zip(values(weight.base())).map(|(g, w)| g * w).sum();
        assert!(along.abs() < 1e-3 * sensitivity.abs(), "{along} {sensitivity}");
    }
}

#[test]
fn a_weight_that_is_read_twice_has_one_sensitivity() {
    let (mut model, mut osn) = held("budget:interval=1");
    let (real, fake) = (input(), input());
    let gradients = (model.loss(&real) + model.loss(&fake)).backward();
    osn.observe(&model, &gradients).unwrap();
    let apart = [&real, &fake].map(|x| by_differences(&model, x));
    osn.step(&mut model, &Signals::new()).unwrap();
    for (layer, reported) in statistics(&osn, &model).iter().enumerate() {
        close(reported.sensitivity, (apart[0][layer] + apart[1][layer]).abs(), 1e-3);
    }
}

#[test]
fn a_held_out_loss_is_reported_with_its_sign_and_apart_from_the_training_loss() {
    let (mut model, mut osn) = held("learned:interval=2");
    let mut expected = [0.0; 3];
    for _ in 0..2 {
        let x = input();
        osn.observe(&model, &gradients_of(&model, &x)).unwrap();
        let held_out = input();
        osn.observe_held_out(&model, &gradients_of(&model, &held_out)).unwrap();
        for (expected, new) in expected.iter_mut().zip(by_differences(&model, &held_out)) {
            *expected += new / 2.0;
        }
        osn.step(&mut model, &Signals::new()).unwrap();
    }
    for (reported, expected) in statistics(&osn, &model).iter().zip(expected) {
        close(reported.held_out_sensitivity.unwrap(), expected, 1e-3);
        assert!(reported.mean_norm.is_nan(), "`learned` asks for no training gradient");
    }
}

#[test]
fn each_block_has_numbers_of_its_own() {
    let blocks = Selection::paths("second.weight").view(View::Blocks { axis: 1, count: 2 });
    let plan = Plan::new().select(blocks).decide(Budget { interval: 1, ..Budget::default() });
    let (mut model, mut osn) = plan.attach(Net::new()).unwrap();
    let x = input();
    let gradients = gradients_of(&model, &x);
    osn.observe(&model, &gradients).unwrap();
    // Once more, three times as large: the mean is twice the first, the deviation the first.
    osn.observe(&model, &(model.loss(&x) * 3.0).backward()).unwrap();
    let gradient = model.second.weight.base().grad(&gradients).unwrap();
    let plain = model.valid().materialize();
    let scaled = |block: usize, factor: f64| {
        let mut model = plain.clone();
        let mut halves = model.second.weight.val().chunk(2, 1);
        halves[block] = halves[block].clone() * factor;
        model.second.weight = Param::from_tensor(Tensor::cat(halves, 1));
        values(model.loss(&x.clone().inner()))[0]
    };
    let expected = [0, 1].map(|block| (scaled(block, 1.5) - scaled(block, 0.5)).abs());
    osn.step(&mut model, &Signals::new()).unwrap();
    let reported = statistics(&osn, &model);
    for (block, half) in gradient.chunk(2, 1).into_iter().enumerate() {
        let norm = norm(&values(half));
        close(reported[block].mean_norm, 2.0 * norm, 1e-5);
        assert!((reported[block].norm_variance / norm.powi(2) - 1.0).abs() < 1e-4, "{reported:?}");
        close(reported[block].sensitivity, 2.0 * expected[block], 1e-3);
    }
}

#[test]
fn what_was_reported_is_not_reported_again() {
    let (mut model, mut osn) = held("budget:interval=2,total_relative_to_init=8");
    let (x, mut reported) = (input(), Vec::new());
    for scale in [1.0, 1.0, 100.0, 100.0, 0.0, 0.0] {
        if scale > 0.0 {
            let gradients = (model.loss(&x) * scale).backward();
            osn.observe(&model, &gradients).unwrap();
        }
        osn.step(&mut model, &Signals::new()).unwrap();
        reported.push(osn.report(&model).unwrap()[0].gradient);
    }
    let [first, second] = [reported[1], reported[3]].map(|reported| reported.unwrap().mean_norm);
    assert!((second / first - 100.0).abs() < 0.1, "{first} {second} {reported:?}");
    assert_eq!(reported[5], None, "nothing was observed");
}

#[test]
fn observing_changes_no_bit_of_the_training() {
    let (start, osn) = held("budget:interval=3,total_relative_to_init=0.5");
    let inputs = [input(), input(), input()];
    let run = |observes: bool| {
        let (mut model, mut osn) = (start.clone(), osn.clone());
        let mut adam = AdamConfig::new().init();
        for (step_index, x) in inputs.iter().cloned().enumerate() {
            let gradients = gradients_of(&model, &x);
            if observes {
                osn.observe(&model, &gradients).unwrap();
            }
            model = step(model, &mut adam, gradients, 0.01);
            // The last one decides, and the decision may differ.
            if step_index < 2 {
                osn.step(&mut model, &Signals::new()).unwrap();
            }
        }
        model.weights().map(|weight| values(weight.val()))
    };
    assert_eq!(run(true), run(false));
}

#[test]
fn without_a_rule_that_asks_nothing_is_observed_and_no_bit_changes() {
    let plain = Net::new();
    let inputs = [(); 4].map(|()| input());
    let trained = |rule: &str| {
        let (mut model, mut osn) = plan(rule).attach(plain.clone()).unwrap();
        let mut adam = AdamConfig::new().init();
        for x in &inputs {
            let gradients = gradients_of(&model, x);
            osn.observe(&model, &gradients).unwrap();
            model = step(model, &mut adam, gradients, 0.01);
            osn.step(&mut model, &Signals::new()).unwrap();
        }
        (model, osn)
    };
    let [(quiet, osn), (asked, _)] = ["never", "budget:interval=50"].map(trained);
    let bits = |model: &Net| model.weights().map(|weight| values(weight.val()));
    assert_eq!(bits(&quiet), bits(&asked), "the probe moves nothing");
    assert!(osn.report(&quiet).unwrap()[0].gradient.is_none());
}

#[test]
fn no_walk_record_or_optimizer_meets_the_probe() {
    let (mut model, mut osn) = held("budget:interval=1");
    osn.observe(&model, &gradients_of(&model, &input())).unwrap();
    let weights: [Vec<f32>; 3] =
        model.weights().map(|weight| crate::support::values(weight.base()));
    assert_eq!(Met::of(&model).floats, weights);
    assert_eq!(model.num_params(), held("never").0.num_params());
    let gradients = GradientsParams::from_grads(gradients_of(&model, &input()), &model);
    assert_eq!(gradients.len(), 3);
    osn.step(&mut model, &Signals::new()).unwrap();
    let bytes = model.clone().into_record().into_bytes().unwrap();
    let record = burn::store::ModuleRecord::from_bytes(bytes).unwrap();
    let other = held("never").0.load_record(record);
    assert_eq!(values(other.last.weight.val()), values(model.last.weight.val()));
}

#[test]
fn the_probe_goes_where_the_weight_goes() {
    let x = input();
    let moves: [fn(Net) -> Net; 4] = [
        |model| model.clone(),
        |model| model.fork(&device()),
        |model| model.valid().train(),
        |model| {
            let bytes = model.clone().into_record().into_bytes().unwrap();
            model.load_record(burn::store::ModuleRecord::from_bytes(bytes).unwrap())
        },
    ];
    for (index, moved) in moves.into_iter().enumerate() {
        let (model, mut osn) = held("budget:interval=1");
        let mut model = moved(model);
        osn.observe(&model, &gradients_of(&model, &x)).unwrap();
        let expected = by_differences(&model, &x);
        osn.step(&mut model, &Signals::new()).unwrap();
        for (reported, expected) in statistics(&osn, &model).iter().zip(expected) {
            assert!((reported.sensitivity - expected.abs()).abs() < 1e-4, "{index}: {reported:?}");
        }
    }
}

#[test]
fn a_clone_has_no_part_in_the_statistics_of_the_original() {
    let (mut model, mut osn) = held("budget:interval=1");
    let clone = model.clone();
    let x = input();
    let _ = gradients_of(&clone, &x);
    // A generator's loss goes through the validating discriminator, and adds nothing.
    let images = x.clone().require_grad();
    let through = model.valid().forward(images.clone()).square().mean().backward();
    assert!(images.grad(&through).is_some());
    osn.observe(&model, &through).unwrap();
    osn.step(&mut model, &Signals::new()).unwrap();
    assert!(osn.report(&model).unwrap()[0].gradient.is_none());
}

#[test]
fn a_saved_osn_goes_on_with_the_sums_it_had() {
    let (mut model, mut osn) = held("budget:interval=4,total_relative_to_init=0.5");
    let mut other = osn.clone();
    for index in 0..4 {
        let gradients = gradients_of(&model, &input());
        if index == 2 {
            other.resume(saved(&osn)).unwrap();
        }
        osn.observe(&model, &gradients).unwrap();
        other.observe(&model, &gradients).unwrap();
        let mut twin = model.clone();
        osn.step(&mut model, &Signals::new()).unwrap();
        other.step(&mut twin, &Signals::new()).unwrap();
    }
    assert_eq!(statistics(&osn, &model), statistics(&other, &model));
}

#[test]
fn the_ratio_of_the_two_largest_singular_values_is_that_of_an_svd() {
    let needs = Needs { sigma_ratio: true, ..Needs::default() };
    let asked = plan("cap:interval=1").measure(needs);
    let blocks = Selection::paths("second.weight").view(View::Blocks { axis: 1, count: 2 });
    for plan in [asked.clone(), asked.select(blocks)] {
        let (mut model, mut osn) = plan.attach(Net::new()).unwrap();
        osn.step(&mut model, &Signals::new()).unwrap();
        for reported in osn.report(&model).unwrap() {
            let weight = model.weights()[reported.layer.index].base().inner();
            let part =
                reported.layer.block.map_or(weight.clone(), |b| weight.chunk(2, 1)[b].clone());
            let shape = part.dims();
            let part = values(part);
            let map = osn_core::measure::DenseMap::from_tensor(&part, &shape, 1).unwrap();
            let exact = osn_core::measure::singular_values(&map).unwrap();
            close(reported.sigma_ratio.unwrap(), exact[1] / exact[0], 1e-6);
        }
    }
}

#[test]
fn what_is_asked_for_beside_the_rule_is_measured_where_none_asks() {
    let needs = Needs { gradients: true, ..Needs::default() };
    let (mut model, mut osn) = plan("never").measure(needs).attach(Net::new()).unwrap();
    for _ in 0..50 {
        osn.observe(&model, &gradients_of(&model, &input())).unwrap();
        let changes = osn.step(&mut model, &Signals::new()).unwrap();
        assert!(changes.is_empty(), "nothing is decided but at the start");
    }
    assert!(statistics(&osn, &model).iter().all(|reported| reported.sensitivity > 0.0));
    assert_eq!(osn.wanted().len(), 3);
}

#[test]
fn the_drift_is_the_slope_of_ln_sigma() {
    let (mut model, mut osn) = held("cap:target=0.3,interval=5");
    let mut sgd = SgdConfig::new().init();
    let sigmas = |osn: &Osn, model: &Net| -> Vec<f64> {
        osn.report(model).unwrap().iter().map(|layer| layer.sigma).collect()
    };
    let mut before = sigmas(&osn, &model);
    for index in 1..=10 {
        let gradients = gradients_of(&model, &input());
        model = step(model, &mut sgd, gradients, 0.1);
        osn.step(&mut model, &Signals::new()).unwrap();
        if index % 5 == 0 {
            let after = sigmas(&osn, &model);
            let report = osn.report(&model).unwrap();
            for (layer, reported) in report.iter().enumerate() {
                let expected = (after[layer] / before[layer]).ln() / 5.0;
                assert!((reported.drift.unwrap() - expected).abs() < 1e-6, "{reported:?}");
            }
            assert!(report.iter().any(|reported| reported.drift.unwrap().abs() > 1e-5));
            before = after;
        }
    }
}

#[test]
fn budget_spares_by_sensitivity_in_training() {
    let start = Net::new();
    let inputs: Vec<_> = (0..40).map(|_| input()).collect();
    let decided = |weights: &str| {
        let rule = format!("budget:total_relative_to_init=0.5,interval=5,weights={weights}");
        let (mut model, mut osn) = plan(&rule).attach(start.clone()).unwrap();
        let mut adam = AdamConfig::new().init();
        for x in &inputs {
            let gradients = gradients_of(&model, x);
            osn.observe(&model, &gradients).unwrap();
            model = step(model, &mut adam, gradients, 0.02);
            osn.step(&mut model, &Signals::new()).unwrap();
        }
        osn.wanted().into_iter().map(|change| change.to).collect::<Vec<_>>()
    };
    assert_ne!(decided("sensitivity"), decided("uniform"));
}
