//! A layer that nothing constrains is refreshed only where its σ is asked for, and who asks changes no bit of training.

use crate::support::{device, exact_sigma, linear, noise, values};
use burn::module::Module;
use burn::nn::Linear;
use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::Tensor;
use osn::report::Layer;
use osn::rules::{Action, Context, Decision, DecisionRule, Needs, Rates, Rule, Signals};
use osn::{Osn, Plan, SpectralNorm};

#[derive(Module, Debug)]
struct Net {
    first: Linear,
    second: Linear,
    last: Linear,
}

impl Net {
    /// Weights whose σ is about 2 at the start.
    fn new() -> Self {
        let layer = |inputs: usize, outputs, key| {
            linear([inputs, outputs], key, 1.0 / (inputs as f32).sqrt())
        };
        Self { first: layer(24, 64, 1), second: layer(64, 64, 2), last: layer(64, 8, 3) }
    }

    fn loss(&self, step: u64) -> Tensor<1> {
        let x = noise::<2>([32, 24], 1000 + step, &device());
        let truth = x.clone().narrow(1, 0, 8).square() * 2.0 - x.clone().narrow(1, 8, 8);
        let hidden = self.second.forward(self.first.forward(x).tanh()).tanh();
        (self.last.forward(hidden) - truth).square().mean()
    }

    fn layers(&self) -> [&Linear; 3] {
        [&self.first, &self.second, &self.last]
    }

    /// What it trains and what it computes with.
    fn weights(&self) -> Vec<Vec<f32>> {
        let layers = self.layers().into_iter();
        layers.flat_map(|it| [it.weight.base(), it.weight.val()].map(values)).collect()
    }

    fn states(&self) -> [&SpectralNorm; 3] {
        self.layers().map(|layer| layer.weight.reparameterization().unwrap())
    }

    fn vectors(&self) -> [Vec<f64>; 3] {
        self.states().map(SpectralNorm::v)
    }

    /// σ as of the last refresh.
    fn estimates(&self) -> [f64; 3] {
        self.states().map(|state| state.sigma()[0])
    }

    fn exact(&self) -> [f64; 3] {
        self.layers().map(|layer| exact_sigma(&layer.weight.base(), 1))
    }

    fn exact_effective(&self) -> [f64; 3] {
        self.layers().map(|layer| exact_sigma(&layer.weight.val(), 1))
    }

    /// `‖ΔW‖_F` of each layer since it was `before`.
    fn moved(&self, before: &Self) -> [f64; 3] {
        let pairs = [0, 1, 2].map(|index| [self.layers()[index], before.layers()[index]]);
        pairs.map(|[after, before]| {
            let [after, before] =
                [after, before].map(|layer| values::<f32, 2>(layer.weight.base()));
            let squares = after.iter().zip(before).map(|(a, b)| f64::from(a - b).powi(2));
            squares.sum::<f64>().sqrt()
        })
    }
}

/// A network in training under a rule.
#[derive(Clone)]
struct Training {
    plan: Plan,
    model: Net,
    osn: Osn,
    adam: ModuleOptimizer,
    rate: f64,
}

impl Training {
    fn new(rule: &str) -> Self {
        Self::under(&plan(Rule::parse(rule).unwrap()))
    }

    fn under(plan: &Plan) -> Self {
        let (model, osn) = plan.clone().attach(Net::new()).unwrap();
        let adam = AdamConfig::new().with_epsilon(1e-8).init();
        Self { plan: plan.clone(), model, osn, adam, rate: 3e-3 }
    }

    fn step(&mut self) {
        let gradients = self.model.loss(self.osn.steps()).backward();
        self.osn.observe(&self.model, &gradients).unwrap();
        let gradients = GradientsParams::from_grads(gradients, &self.model);
        let model = self.model.clone();
        self.model = self.osn.optimize(&mut self.adam, self.rate, model, gradients);
        self.osn.step(&mut self.model, &Signals::new()).unwrap();
    }

    /// Asks for everything that can be asked for.
    fn look(&self) {
        self.osn.report(&self.model).unwrap();
        self.osn.spectra(&self.model, 2).unwrap();
        self.osn.clone().detach(self.model.clone()).unwrap();
        let state = serde_json::to_string(&self.osn.state()).unwrap();
        drop((self.model.valid().materialize(), state, self.osn.wanted()));
    }

    /// The same training, gone on from files.
    fn saved(&self) -> Self {
        let state = serde_json::to_string(&self.osn.state()).unwrap();
        let mut other = Self::under(&self.plan);
        other.osn.resume(serde_json::from_str(&state).unwrap()).unwrap();
        let record = self.model.clone().into_record().into_bytes().unwrap();
        let record = burn::store::ModuleRecord::from_bytes(record).unwrap();
        Self { model: other.model.load_record(record), adam: self.adam.clone(), ..other }
    }

    fn sigmas(&self) -> Vec<f64> {
        self.osn.report(&self.model).unwrap().iter().map(|layer| layer.sigma).collect()
    }

    /// How much too small the largest σ of a report is, relative to the exact ones.
    fn error(&self) -> f64 {
        let pairs = self.sigmas().into_iter().zip(self.model.exact());
        pairs.map(|(sigma, exact)| 1.0 - sigma / exact).fold(0.0, f64::max)
    }
}

fn plan(rule: Rule) -> Plan {
    Plan::new().select("**.weight").decide(rule)
}

/// A hard cap from the start on, with gradients observed.
struct Capped;

const CAP: f64 = 3.0;

impl DecisionRule for Capped {
    type Memory = ();

    fn name(&self) -> &'static str {
        "capped"
    }

    fn interval(&self) -> Option<u64> {
        None
    }

    fn needs(&self) -> Needs {
        Needs { gradients: true, ..Needs::default() }
    }

    fn begin(&self, _: &[Layer]) {}

    fn at_attach(&self, _: &Layer) -> Decision {
        let action = Action::Cap { target: CAP, sharpness: f64::INFINITY };
        Decision { action, reason: "from the start".to_owned() }
    }
}

/// Normalizes to 1, lets go from step 30 on at the scale that each layer has then, and normalizes again from step 60 on.
struct LetsGo;

impl DecisionRule for LetsGo {
    type Memory = Vec<f64>;

    fn name(&self) -> &'static str {
        "lets_go"
    }

    fn interval(&self) -> Option<u64> {
        Some(10)
    }

    fn begin(&self, _: &[Layer]) -> Vec<f64> {
        Vec::new()
    }

    fn at_attach(&self, _: &Layer) -> Decision {
        Decision { action: Action::Normalize { target: 1.0 }, reason: "from the start".to_owned() }
    }

    fn decide(&self, scales: &mut Vec<f64>, context: &Context) -> Vec<Decision> {
        if context.step < 30 || context.step >= 60 {
            return context.layers.iter().map(|layer| self.at_attach(layer)).collect();
        }
        if scales.is_empty() {
            *scales = context.measurements.iter().map(|measured| 1.0 / measured.sigma).collect();
        }
        let keep =
            |&scale: &f64| Decision { action: Action::Keep { scale }, reason: "let go".to_owned() };
        scales.iter().map(keep).collect()
    }
}

/// Layers that are off, that are switched on and off again midway, whose updates are scaled, and that are constrained.
fn rules() -> Vec<Rule> {
    let texts = [
        "never",
        "cap:target=2.6,interval=7,dwell=20",
        "cap:target=2.6,interval=7,dwell=20,sharpness=8",
        "schedule:on=20,off=60,interval=10",
        "lr_over_sigma:interval=10",
        "always",
    ];
    let rules = texts.into_iter().map(|text| Rule::parse(text).unwrap());
    rules.chain([Rule::custom(Capped), Rule::custom(LetsGo)]).collect()
}

#[test]
fn who_looks_changes_no_bit_of_the_training() {
    for rule in rules() {
        let [mut alone, mut watched] = [(); 2].map(|()| Training::under(&plan(rule.clone())));
        let rule = rule.label();
        for step in 1..=100 {
            alone.step();
            watched.step();
            watched.look();
            assert_eq!(alone.model.weights(), watched.model.weights(), "{rule}, step {step}");
        }
        assert_eq!(alone.osn.state(), watched.osn.state(), "{rule}");
        assert_eq!(alone.model.vectors(), watched.model.vectors(), "{rule}");
    }
}

#[test]
fn a_run_that_is_saved_at_any_step_goes_on_to_the_same_bits() {
    for rule in rules() {
        let (mut uncut, rule) = (Training::under(&plan(rule.clone())), rule.label());
        let mut resumed = Vec::new();
        for step in 1..=110 {
            uncut.step();
            resumed.iter_mut().for_each(Training::step);
            if [1, 13, 20, 21, 49, 50, 64].contains(&step) {
                resumed.push(uncut.saved());
            }
        }
        for resumed in resumed {
            assert_eq!(resumed.model.weights(), uncut.model.weights(), "{rule}");
            assert_eq!(resumed.model.vectors(), uncut.model.vectors(), "{rule}");
            assert_eq!(resumed.osn.state(), uncut.osn.state(), "{rule}");
        }
    }
}

#[test]
fn a_layer_that_is_let_go_keeps_its_scale_and_is_held_again_without_a_jump() {
    let mut training = Training::under(&plan(Rule::custom(LetsGo)));
    let scales = |training: &Training| training.model.states().map(|state| state.scale()[0]);
    let elasticities =
        |training: &Training| training.model.states().map(|state| state.elasticity()[0]);
    let mut kept = [0.0; 3];
    for step in 1..=300 {
        let before = scales(&training);
        training.step();
        let now = scales(&training);
        for (before, now) in before.into_iter().zip(now) {
            // At another step σ may move, and the scale with it.
            let moved = (now / before).ln().abs();
            assert!(![31, 61].contains(&step) || moved < 0.02, "step {step}: {before} to {now}");
        }
        let is_free = (31..=60).contains(&step);
        assert_eq!(elasticities(&training), [if is_free { 0.0 } else { 1.0 }; 3], "step {step}");
        if step == 31 {
            kept = now;
        }
        if is_free {
            assert_eq!(now, kept, "step {step}");
        }
    }
    // By the estimates of σ, which are behind weights that move.
    let held = training.model.estimates().into_iter().zip(scales(&training));
    held.for_each(|(sigma, scale)| assert!((sigma * scale - 1.0).abs() < 1e-5, "{sigma} {scale}"));
}

#[test]
fn the_gradient_of_a_layer_that_is_let_go_is_that_of_a_constant_times_its_weight() {
    let mut training = Training::under(&plan(Rule::custom(LetsGo)));
    (0..45).for_each(|_| training.step());
    let gradients = training.model.loss(45).backward();
    let plain = training.model.clone().valid().materialize().train();
    let of_plain = plain.loss(45).backward();
    for (place, scale) in
        training.model.states().map(|state| state.scale()[0]).into_iter().enumerate()
    {
        let ours = training.model.layers()[place].weight.base().grad(&gradients).unwrap();
        let theirs = plain.layers()[place].weight.val().grad(&of_plain).unwrap() * scale;
        let error = (ours - theirs.clone()).abs().max().into_scalar::<f32>();
        assert!(error <= 1e-5 * theirs.abs().max().into_scalar::<f32>(), "{place}: {error}");
    }
}

#[test]
fn a_layer_that_is_off_is_refreshed_where_its_rule_is_due_and_every_fifty_steps() {
    let each: Vec<u64> = (1..=100).collect();
    for (rule, expected) in [
        ("never", &[50, 100][..]),
        ("cap:target=1e9,interval=20", &[20, 40, 50, 60, 80, 100]),
        ("lr_over_sigma:interval=40", &[40, 50, 80, 100]),
        ("always", &each),
    ] {
        let mut training = Training::new(rule);
        let mut refreshed = Vec::new();
        for step in 1..=100 {
            let before = training.model.vectors();
            training.step();
            if training.model.vectors() != before {
                refreshed.push(step);
            }
        }
        assert_eq!(refreshed, expected, "{rule}");
    }
}

#[test]
fn sigma_is_as_good_where_it_is_asked_for_as_with_a_refresh_at_each_step() {
    // Off under all three, so the weights are the same.
    let rules = ["cap:target=1e9,interval=1", "cap:target=1e9,interval=10", "never"];
    let mut trainings = rules.map(Training::new);
    let (mut mean, mut worst) = ([0.0; 3], [0.0_f64; 3]);
    for step in 1..=200 {
        trainings.iter_mut().for_each(Training::step);
        if step % 10 == 0 {
            for (index, training) in trainings.iter().enumerate() {
                let error = training.error();
                mean[index] += error / 20.0;
                worst[index] = worst[index].max(error);
            }
        }
    }
    let [each_step, every_ten, never] = mean;
    assert!(every_ten.max(never) < each_step, "{mean:?}");
    assert!(worst[1].max(worst[2]) < worst[0], "{worst:?}");
}

#[test]
fn a_layer_that_is_switched_on_has_its_vectors_before_it_is_held() {
    let mut training = Training::new("schedule:on=30,interval=30");
    (0..29).for_each(|_| training.step());
    let before = training.model.vectors();
    for step in [30, 31] {
        training.step();
        let [off, on] = [training.model.exact(), training.model.exact_effective()];
        assert_eq!(off == on, step == 30, "what is decided at step 30 is in force from step 31 on");
        let errors = [0, 1, 2].map(|layer| 1.0 - training.model.estimates()[layer] / off[layer]);
        assert!(errors.iter().all(|error| *error < 2e-3), "step {step}: {errors:?}");
    }
    assert_ne!(training.model.vectors(), before);
}

/// How much too small σ was at the last refresh of each layer, and how often there was one.
#[derive(Default)]
struct Refreshes {
    error: [f64; 3],
    count: [usize; 3],
}

impl Refreshes {
    /// Takes one step of a training.
    fn step(&mut self, training: &mut Training) {
        let before = training.model.vectors();
        training.step();
        let (after, exact) = (training.model.vectors(), training.model.exact());
        for layer in (0..3).filter(|&layer| after[layer] != before[layer]) {
            self.error[layer] = exact[layer] - training.model.estimates()[layer];
            self.count[layer] += 1;
        }
    }
}

#[test]
fn a_cap_is_overshot_by_no_more_than_the_weight_moved_since_its_rule_looked() {
    let rates = Rates { blend_per_step: 1.0, ..Rates::default() };
    let rule = Rule::parse("cap:target=2.8,hysteresis=0,interval=10").unwrap();
    let mut training = Training { rate: 2e-2, ..Training::under(&plan(rule).rates(rates)) };
    let (mut refreshes, mut moved) = (Refreshes::default(), [0.0; 3]);
    for step in 1..=120 {
        let before = training.model.clone();
        refreshes.step(&mut training);
        let step_moved = training.model.moved(&before);
        for (layer, sigma) in training.model.exact_effective().into_iter().enumerate() {
            moved[layer] += step_moved[layer];
            let bound = 2.8 * 1.00001 + moved[layer] + refreshes.error[layer];
            assert!(sigma <= bound, "layer {layer}, step {step}: {sigma} above {bound}");
        }
        if step % 10 == 0 {
            moved = [0.0; 3];
        }
    }
    let stored = training.model.exact();
    assert!(stored.iter().any(|sigma| *sigma > 3.5), "no weight outgrew its cap: {stored:?}");
}

#[test]
fn a_hard_cap_in_force_waits_until_sigma_may_have_reached_it() {
    let mut training = Training::under(&plan(Rule::custom(Capped)));
    let mut refreshes = Refreshes::default();
    for step in 1..=200 {
        if step == 101 {
            assert!(refreshes.count.iter().all(|count| *count < 25), "{:?}", refreshes.count);
            training.rate = 5e-2;
        }
        refreshes.step(&mut training);
        for (layer, sigma) in training.model.exact_effective().into_iter().enumerate() {
            let bound = CAP * 1.00001 + refreshes.error[layer];
            assert!(sigma <= bound, "layer {layer}, step {step}: {sigma} above {bound}");
        }
    }
    let stored = training.model.exact();
    assert!(stored.iter().any(|sigma| *sigma > CAP), "no weight outgrew it: {stored:?}");
}
