//! What happens to the function and to the optimizer's steps at a switch, in a whole network that
//! trains with Adam.

use std::num::NonZeroU64;

use crate::support::{device, linear, noise, noisy, plan, relative_error, steps};
use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Linear};
use burn::optim::decay::WeightDecayConfig;
use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::Tensor;
use osn::report::AppliedAction;
use osn::rules::{LrOverSigma, Rates, Signals};
use osn::views::View;
use osn::{Change, Osn, Plan, Selection};

#[derive(Module, Debug)]
struct Net {
    first: Linear,
    second: Linear,
    last: Linear,
}

impl Net {
    /// Fixed weights, with σ from about 2 to 5.
    fn new() -> Self {
        let layer = |inputs, outputs, key| linear([inputs, outputs], key, 0.46);
        Self { first: layer(6, 16, 1), second: layer(16, 16, 2), last: layer(16, 2, 3) }
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let x = self.first.forward(x).tanh();
        self.last.forward(self.second.forward(x).tanh())
    }

    fn loss(&self, step: u64) -> Tensor<1> {
        let x = batch(step);
        let truth = x.clone().narrow(1, 0, 2).tanh() + x.clone().narrow(1, 2, 2).square() * 0.3;
        (self.forward(x) - truth).square().mean()
    }

    fn stored(&self) -> Vec<Vec<f64>> {
        [&self.first, &self.second, &self.last].map(|layer| values(layer.weight.base())).to_vec()
    }
}

fn batch(step: u64) -> Tensor<2> {
    noise([32, 6], 1000 + step, &device()) * 0.87
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    crate::support::values(tensor)
}

fn adam() -> ModuleOptimizer {
    AdamConfig::new().with_epsilon(1e-8).init()
}

fn gradients(model: &Net, step: u64) -> GradientsParams {
    GradientsParams::from_grads(model.loss(step).backward(), model)
}

fn attach(rule: &str) -> (Net, Osn) {
    plan(rule).attach(Net::new()).unwrap()
}

/// The step of Adam on one weight (Kingma and Ba 2015, algorithm 1), by hand, in f64.
#[derive(Default)]
struct ByHand {
    time: i32,
    moments: Vec<[f64; 2]>,
}

impl ByHand {
    fn step(&mut self, weight: &mut [f64], gradient: &[f64], rate: f64) {
        self.time += 1;
        self.moments.resize(weight.len(), [0.0; 2]);
        let corrected = [1.0 - 0.9_f64.powi(self.time), 1.0 - 0.999_f64.powi(self.time)];
        for ((weight, moments), gradient) in weight.iter_mut().zip(&mut self.moments).zip(gradient)
        {
            moments[0] = 0.9 * moments[0] + 0.1 * gradient;
            moments[1] = 0.999 * moments[1] + 0.001 * gradient * gradient;
            let [mean, square] = [moments[0] / corrected[0], moments[1] / corrected[1]];
            *weight -= rate * mean / (square.sqrt() + 1e-8);
        }
    }
}

fn sigmas(osn: &Osn, model: &Net) -> Vec<f64> {
    osn.report(model).unwrap().iter().map(|layer| layer.sigma).collect()
}

#[test]
fn lr_over_sigma_is_adam_with_a_learning_rate_for_each_layer() {
    let (mut model, mut osn) = attach("lr_over_sigma:interval=3");
    let mut optimizer = adam();
    let mut hands: [ByHand; 3] = Default::default();
    let mut read = sigmas(&osn, &model);
    for step in 0..7 {
        let gradients = gradients(&model, step);
        let mut expected = model.stored();
        let layers = [&model.first, &model.second, &model.last];
        for (index, layer) in layers.iter().enumerate() {
            let gradient = values(gradients.get::<2>(layer.weight.id).unwrap());
            hands[index].step(&mut expected[index], &gradient, 0.01 / read[index]);
        }
        model = osn.optimize(&mut optimizer, 0.01, model, gradients);
        for (ours, theirs) in model.stored().iter().zip(&expected) {
            assert!(relative_error(ours, theirs) < 1e-6);
        }
        osn.step(&mut model, &Signals::new()).unwrap();
        if (step + 1) % 3 == 0 {
            read = sigmas(&osn, &model);
        }
    }
    assert!(osn.report(&model).unwrap().iter().all(|layer| layer.scale == 1.0));
}

#[test]
fn without_a_factor_optimize_is_the_optimizers_step_to_the_bit() {
    let decayed = || {
        let decay = WeightDecayConfig::new(0.1);
        AdamConfig::new().with_weight_decay(Some(decay)).init()
    };
    let (mut ours, mut osn) = attach("always");
    let (mut theirs, mut other) = (ours.clone(), osn.clone());
    let (mut our_adam, mut their_adam) = (decayed(), decayed());
    for step in 0..5 {
        let grads = gradients(&ours, step);
        ours = osn.optimize(&mut our_adam, 0.01, ours, grads);
        osn.step(&mut ours, &Signals::new()).unwrap();
        let grads = gradients(&theirs, step);
        theirs = their_adam.step(0.01, theirs, grads);
        other.step(&mut theirs, &Signals::new()).unwrap();
        assert_eq!(ours.stored(), theirs.stored());
    }
}

#[test]
fn only_the_held_weights_get_a_factor() {
    let rule = LrOverSigma { target: 1e-9, ..LrOverSigma::default() };
    let plan = Plan::new().select("second.weight").decide(rule);
    let (model, mut osn) = plan.attach(Net::new()).unwrap();
    let (before, bias) = (model.stored(), values(model.second.bias.clone().unwrap().val()));
    let grads = gradients(&model, 0);
    let model = osn.optimize(&mut adam(), 0.01, model, grads);
    let moved = |index: usize| relative_error(&model.stored()[index], &before[index]);
    assert!(moved(1) < 1e-6 && moved(0) > 1e-3 && moved(2) > 1e-3);
    assert_ne!(values(model.second.bias.unwrap().val()), bias);
}

#[test]
fn a_weight_in_blocks_has_the_geometric_mean_of_their_factors() {
    let plan = Plan::new()
        .select(Selection::paths("second.weight").view(View::Blocks { axis: 1, count: 4 }));
    let rule = LrOverSigma { target: 2.0, ..LrOverSigma::default() };
    let (model, mut osn) = plan.decide(rule).attach(Net::new()).unwrap();
    let sigmas: f64 = sigmas(&osn, &model).iter().product();
    let [(path, factor)] = osn.update_factors().try_into().unwrap();
    assert_eq!(path, "second.weight");
    assert!((factor - 2.0 / sigmas.powf(0.25)).abs() < 1e-6);
}

/// A model in training, and what holds it.
struct Run {
    model: Net,
    osn: Osn,
    adam: ModuleOptimizer,
}

impl Run {
    fn new(rule: &str) -> Self {
        let (model, osn) = attach(rule);
        Self { model, osn, adam: adam() }
    }

    fn train(&mut self, step: u64) -> Vec<Change> {
        let grads = gradients(&self.model, step);
        self.model = self.osn.optimize(&mut self.adam, 0.002, self.model.clone(), grads);
        self.osn.step(&mut self.model, &Signals::new()).unwrap()
    }

    fn output(&self) -> Vec<f64> {
        values(self.model.forward(batch(1000)))
    }
}

/// What turns each layer on, off and to another target after 40 steps, and the same without the turn.
const SWITCHES: [[&str; 2]; 3] = [
    ["schedule:on=40", "schedule:on=1000"],
    ["schedule:off=40", "schedule"],
    ["schedule:end_target=3,from=30,until=31", "schedule"],
];

#[test]
fn a_decision_in_training_leaves_every_bit_of_the_output() {
    for rules in SWITCHES {
        let [mut switched, mut unswitched] = rules.map(Run::new);
        let mut changes = Vec::new();
        for step in 0..40 {
            changes = switched.train(step);
            unswitched.train(step);
        }
        assert_eq!(changes.len(), 3, "{rules:?}: every layer switches here");
        assert_eq!(switched.output(), unswitched.output(), "{rules:?}");
        switched.train(40);
        unswitched.train(40);
        assert_ne!(switched.output(), unswitched.output(), "{rules:?}: from here on it acts");
    }
}

#[test]
fn after_a_decision_each_step_in_training_keeps_to_the_rates() {
    let rates = Rates::default();
    for [rule, _] in SWITCHES {
        let mut run = Run::new(rule);
        for step in 0..160 {
            let before = run.osn.report(&run.model).unwrap();
            run.train(step);
            for (before, after) in before.iter().zip(run.osn.report(&run.model).unwrap()) {
                let (sigma, scale) = (after.sigma, after.applied.scale(after.sigma));
                assert!((after.scale / scale - 1.0).abs() < 1e-6, "{after:?}");
                let moved = (scale / before.applied.scale(sigma)).ln().abs();
                let full = |applied: AppliedAction| applied.action.scale(1.0, sigma).ln().abs();
                let largest = full(before.applied).max(full(after.applied));
                let bound = rates.blend_per_step * largest + rates.log_target_per_step;
                assert!(moved <= bound * 1.001, "{rule} step {step}: {moved} beyond {bound}");
            }
        }
        let targets = run.osn.report(&run.model).unwrap();
        let wanted = targets.iter().map(|layer| layer.applied.blend).collect::<Vec<_>>();
        assert!(wanted == [0.0; 3] || wanted == [1.0; 3], "{rule}: it has arrived: {wanted:?}");
    }
}

#[test]
fn the_kept_step_size_undoes_the_change_of_scale_and_lets_go() {
    let plan = plan("schedule:off=40").keep_step_size(NonZeroU64::new(200).unwrap());
    let rates = Rates { blend_per_step: 1.0, ..Rates::default() };
    let (mut model, mut osn) = plan.rates(rates).attach(Net::new()).unwrap();
    let scales = |osn: &Osn, model: &Net| -> Vec<f64> {
        osn.report(model).unwrap().iter().map(|layer| layer.scale).collect()
    };
    let factors =
        |osn: &mut Osn| osn.update_factors().into_iter().map(|(_, f)| f).collect::<Vec<_>>();
    for _ in 0..40 {
        osn.step(&mut model, &Signals::new()).unwrap();
        assert_eq!(factors(&mut osn), [1.0; 3], "nothing has changed yet");
    }
    let before = scales(&osn, &model);
    osn.step(&mut model, &Signals::new()).unwrap();
    let kept = factors(&mut osn);
    assert!(before.iter().all(|scale| *scale < 0.6), "the layers were held down: {before:?}");
    for ((after, before), factor) in scales(&osn, &model).iter().zip(before).zip(&kept) {
        assert!((factor * after / before - 1.0).abs() < 1e-5, "{factor} for {before} to {after}");
    }
    steps(&mut osn, &mut model, 200);
    for (later, kept) in factors(&mut osn).iter().zip(kept) {
        assert!((later.ln() / kept.ln() - (-1.0_f64).exp()).abs() < 1e-6, "{later} after {kept}");
    }
    steps(&mut osn, &mut model, 4000);
    assert_eq!(factors(&mut osn), [1.0; 3]);
}

#[test]
fn without_being_asked_a_switch_leaves_the_learning_rates() {
    let mut run = Run::new("schedule:off=10");
    for step in 0..60 {
        run.train(step);
        assert!(run.osn.update_factors().iter().all(|(_, factor)| *factor == 1.0));
    }
}

/// A convolution with a bias in front of batch normalization, twice.
#[derive(Module, Debug)]
struct Normalized {
    first: Conv2d,
    first_norm: BatchNorm,
    second: Conv2d,
    second_norm: BatchNorm,
}

impl Normalized {
    /// With running values as after many batches.
    fn settled() -> Self {
        let conv = |from| noisy(Conv2dConfig::new([from, 8], [3, 3]).init(&device()));
        let norm = || BatchNormConfig::new(8).init(&device());
        let (first, second) = (conv(1), conv(8));
        let settled = Self { first, first_norm: norm(), second, second_norm: norm() };
        for _ in 0..200 {
            let _ = settled.forward();
        }
        settled
    }

    fn forward(&self) -> Tensor<4> {
        let x = noise([16, 36], 7, &self.first.weight.device()).reshape([16, 1, 6, 6]);
        let x = self.first_norm.forward(self.first.forward(x)).tanh();
        self.second_norm.forward(self.second.forward(x))
    }

    /// What it gives in validation mode before a switch, and how far it is from that behind it.
    fn moved_by_a_switch(plan: Plan) -> f64 {
        let (mut network, mut osn) = plan.attach(Self::settled()).unwrap();
        let judge = |network: &Self| values(network.valid().forward());
        let before = judge(&network);
        steps(&mut osn, &mut network, 150);
        let is_held = |layer: &osn::report::LayerReport| layer.elasticity == 1.0;
        assert!(osn.report(&network).unwrap().iter().all(is_held));
        relative_error(&judge(&network), &before)
    }
}

#[test]
fn running_values_that_move_along_keep_validation_as_it_was() {
    // Capped far below σ, after step 1; no batch is seen.
    let plan = || plan("schedule:on=1,interval=1,target=0.3");
    let lagging = Normalized::moved_by_a_switch(plan());
    let moved = Normalized::moved_by_a_switch(plan().move_running_values());
    assert!(lagging > 0.1 && moved < 1e-3, "{lagging} {moved}");
}

#[test]
fn running_values_that_move_along_change_no_bit_of_the_training() {
    let trained = |plan: Plan| {
        let (mut network, mut osn) = plan.attach(Normalized::settled()).unwrap();
        let mut adam = adam();
        for _ in 0..20 {
            let gradients = network.forward().exp().sum().backward();
            let gradients = GradientsParams::from_grads(gradients, &network);
            network = adam.step(1e-3, network, gradients);
            osn.step(&mut network, &Signals::new()).unwrap();
        }
        values(network.second.weight.base())
    };
    let plan = || plan("schedule:on=3,interval=1,target=0.3");
    assert_eq!(trained(plan()), trained(plan().move_running_values()));
}
