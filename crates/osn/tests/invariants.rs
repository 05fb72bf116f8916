//! The invariants of DESIGN.md, each broken if the test that names it fails.

#![expect(clippy::unwrap_used, reason = "a test may end at the first surprise")]

mod support;

use burn::module::{Module, ModuleMapper, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig, ConvTranspose2d, ConvTranspose2dConfig};
use burn::nn::{Embedding, EmbeddingConfig, Linear, LinearConfig};
use burn::optim::{AdamConfig, GradientsParams, SgdConfig};
use burn::tensor::{Device, Tensor};
use osn::rules::{Action, Cap, Rates, Rule, Signals};
use osn::{Plan, SpectralNorm, StepError};
use support::{Noise, exact_sigma, exact_sigma_of, noise};

/// One layer of each common kind.
#[derive(Module, Debug)]
struct Mixed {
    table: Embedding,
    conv: Conv2d,
    up: ConvTranspose2d,
    head: Linear,
}

impl Mixed {
    fn new(device: &Device) -> Self {
        let model = Self {
            table: EmbeddingConfig::new(11, 6).init(device),
            conv: Conv2dConfig::new([3, 8], [3, 3]).init(device),
            up: ConvTranspose2dConfig::new([8, 5], [4, 4]).init(device),
            head: LinearConfig::new(20, 7).init(device),
        };
        model.map(&mut Noise(0))
    }

    fn sigmas(&self) -> [f64; 4] {
        [
            exact_sigma(&self.table.weight.val(), 0),
            exact_sigma(&self.conv.weight.val(), 0),
            exact_sigma(&self.up.weight.val(), 1),
            exact_sigma(&self.head.weight.val(), 1),
        ]
    }
}

fn device() -> Device {
    Device::flex().autodiff()
}

fn linear() -> Linear {
    LinearConfig::new(12, 5).init(&device()).map(&mut Noise(0))
}

fn held() -> (Linear, osn::Osn) {
    Plan::new().select("weight").attach(linear()).unwrap()
}

fn state(model: &Linear) -> &SpectralNorm {
    model.weight.reparameterization::<SpectralNorm>().unwrap()
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter().collect()
}

/// A new value of a parameter.
fn leaf<const D: usize>(value: Tensor<D>) -> Tensor<D> {
    Tensor::from_inner(value).require_grad()
}

fn input(rows: usize, columns: usize) -> Tensor<2> {
    noise([rows, columns], 100, &device())
}

/// One optimizer step on a loss that moves the weights.
fn train(model: Linear, rate: f64) -> Linear {
    let loss = model.forward(input(8, 12)).square().mean();
    let gradients = GradientsParams::from_grads(loss.backward(), &model);
    SgdConfig::new().init().step(rate, model, gradients)
}

#[test]
fn reading_twice_gives_the_same_bits_and_moves_no_state() {
    let (model, _) = held();
    let before = (state(&model).u(), state(&model).v(), state(&model).sigma());
    let (real, fake) = (input(4, 12), input(4, 12) * -0.5);
    let first = (values(model.weight.val()), values(model.forward(real.clone())));
    let _ = model.forward(fake);
    assert_eq!(first, (values(model.weight.val()), values(model.forward(real))));
    assert_eq!(before, (state(&model).u(), state(&model).v(), state(&model).sigma()));
}

#[test]
fn every_kind_is_normalized_from_the_first_forward() {
    let (model, osn) = Plan::new().select("**.weight").attach(Mixed::new(&device())).unwrap();
    for (sigma, layer) in model.sigmas().into_iter().zip(osn.layers()) {
        assert!((sigma - 1.0).abs() < 1e-4, "{} has σ {sigma}", layer.path);
    }
}

#[test]
fn also_when_validation_comes_first() {
    let (model, _) = Plan::new().select("**.weight").attach(Mixed::new(&device())).unwrap();
    for sigma in model.valid().sigmas() {
        assert!((sigma - 1.0).abs() < 1e-4);
    }
}

#[test]
fn validation_computes_what_training_does_and_updates_nothing() {
    let (model, mut osn) = held();
    let mut model = train(model, 0.1);
    osn.step(&mut model, &Signals::new()).unwrap();
    let before = (state(&model).u(), state(&model).v());
    let x = input(3, 12);
    let trained = values(model.forward(x.clone()));
    for _ in 0..3 {
        assert_eq!(values(model.valid().forward(x.clone().inner())), trained);
    }
    assert_eq!((state(&model).u(), state(&model).v()), before);
}

#[test]
fn the_gain_stays_one_while_training() {
    let (mut model, mut osn) = held();
    for _ in 0..30 {
        model = train(model, 0.05);
        osn.step(&mut model, &Signals::new()).unwrap();
    }
    let sigma = exact_sigma(&model.weight.val(), 1);
    assert!((sigma - 1.0).abs() < 1e-2, "σ is {sigma}");
}

#[test]
fn the_gain_recovers_after_the_weight_was_replaced() {
    let (model, mut osn) = held();
    let mut model = model.map(&mut AddOne);
    for _ in 0..40 {
        osn.step(&mut model, &Signals::new()).unwrap();
    }
    assert!((exact_sigma(&model.weight.val(), 1) - 1.0).abs() < 1e-4);
}

struct AddOne;

impl ModuleMapper for AddOne {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|value| leaf(value.inner() + 1.0))
    }
}

#[test]
fn the_stored_weight_is_never_overwritten_and_both_can_be_had_back() {
    let model = linear();
    let raw = values(model.weight.val());
    let (mut model, mut osn) = Plan::new().select("weight").attach(model).unwrap();
    osn.step(&mut model, &Signals::new()).unwrap();
    assert_eq!(values(model.weight.base()), raw);
    let effective = values(model.weight.val());
    assert_ne!(effective, raw);
    let baked = model.valid().materialize();
    assert!(baked.weight.reparameterization::<SpectralNorm>().is_none());
    assert_eq!(values(baked.weight.val()), effective);
    assert_eq!(values(baked.weight.base()), effective);
}

#[test]
fn detaching_gives_the_plain_model_with_the_stored_weights() {
    let (model, mut osn) = held();
    let mut model = train(model, 0.1);
    osn.step(&mut model, &Signals::new()).unwrap();
    let stored = values(model.weight.base());
    assert_ne!(values(model.weight.val()), stored);
    let plain = osn.clone().detach(model.clone()).unwrap();
    assert!(plain.weight.reparameterization::<SpectralNorm>().is_none());
    assert_eq!(values(plain.weight.val()), stored);
    assert!(matches!(osn.detach(plain.clone()), Err(StepError::NotAttached { .. })));
    // It can be trained, and held again.
    let again = Plan::new().select("weight").attach(train(plain.clone(), 0.1)).unwrap().0;
    assert_ne!(values(again.weight.base()), stored);
}

#[test]
fn a_zero_weight_stays_zero_without_a_nan() {
    let zero = linear().map(&mut Fill(0.0));
    let (mut model, mut osn) = Plan::new().select("weight").attach(zero).unwrap();
    for _ in 0..3 {
        osn.step(&mut model, &Signals::new()).unwrap();
        let loss = model.forward(input(4, 12)).sum();
        let gradients = loss.backward();
        let gradient = model.weight.base().grad(&gradients).unwrap();
        assert!(values(gradient).iter().all(|g| g.is_finite()));
        assert!(values(model.weight.val()).iter().all(|&w| w == 0.0));
    }
    assert!(state(&model).u().iter().chain(&state(&model).v()).all(|x| x.is_finite()));
    assert_eq!(osn.report(&model).unwrap()[0].sigma, 0.0);
}

#[test]
fn a_weight_that_leaves_zero_is_normalized_again() {
    let zero = linear().map(&mut Fill(0.0));
    let (model, mut osn) = Plan::new().select("weight").attach(zero).unwrap();
    let mut model = model.map(&mut AddOne);
    for _ in 0..3 {
        osn.step(&mut model, &Signals::new()).unwrap();
    }
    assert!((exact_sigma(&model.weight.val(), 1) - 1.0).abs() < 1e-4);
}

struct Fill(f32);

impl ModuleMapper for Fill {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|value| leaf(value.inner().full_like(self.0)))
    }
}

#[test]
fn tiny_and_huge_weights_are_brought_to_one() {
    for size in [1e-30, 1e-5, 1e30] {
        let (mut model, mut osn) =
            Plan::new().select("weight").attach(linear().map(&mut Times(size))).unwrap();
        for _ in 0..20 {
            osn.step(&mut model, &Signals::new()).unwrap();
        }
        let sigma = exact_sigma(&model.weight.val(), 1);
        assert!((sigma - 1.0).abs() < 1e-4, "at {size:e} σ is {sigma}");
    }
}

struct Times(f32);

impl ModuleMapper for Times {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|value| leaf(value.inner() * self.0))
    }
}

#[test]
fn a_weight_that_is_not_finite_is_refused_by_name() {
    let error = Plan::new().select("weight").attach(linear().map(&mut Fill(f32::NAN))).unwrap_err();
    assert_eq!(error.to_string(), "cannot measure weight");
}

#[test]
fn a_weight_gone_bad_is_named_with_its_step_and_its_state_survives() {
    let rule = Rule::Cap(Cap { interval: 4, ..Cap::default() });
    let (mut model, mut osn) = Plan::new().select("weight").decide(rule).attach(linear()).unwrap();
    for _ in 0..5 {
        osn.step(&mut model, &Signals::new()).unwrap();
    }
    let before = (state(&model).u(), state(&model).v(), state(&model).sigma());
    let mut model = model.map(&mut Fill(f32::INFINITY));
    osn.step(&mut model, &Signals::new()).unwrap();
    osn.step(&mut model, &Signals::new()).unwrap();
    let error = osn.step(&mut model, &Signals::new()).unwrap_err();
    assert!(
        matches!(&error, StepError::NotFinite { path, step: 6 } if path == "weight"),
        "{error}"
    );
    assert_eq!(before, (state(&model).u(), state(&model).v(), state(&model).sigma()));
}

#[test]
fn a_clone_owns_its_state() {
    let (model, osn) = held();
    let before = (state(&model).u(), state(&model).v(), values(model.weight.val()));
    let mut clone = model.clone().map(&mut AddOne);
    osn.clone().step(&mut clone, &Signals::new()).unwrap();
    assert_ne!(state(&clone).v(), before.1);
    assert_eq!(before, (state(&model).u(), state(&model).v(), values(model.weight.val())));
}

/// `average ← 0.9·average + 0.1·model` over whatever float parameters a walk meets.
struct Average(Vec<Vec<f32>>);

impl ModuleMapper for Average {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let value = self.0.remove(0);
        param.map(|average| {
            let shape = average.shape();
            let data = burn::tensor::TensorData::new(value, shape);
            let value = Tensor::from_data(data, &Device::flex());
            leaf(average.inner() * 0.9 + value * 0.1)
        })
    }
}

struct Floats(Vec<Vec<f32>>);

impl burn::module::ModuleVisitor for Floats {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.push(values(param.base()));
    }
}

#[test]
fn averaging_every_float_damages_no_singular_vector() {
    let (mut model, mut osn) = held();
    let mut average = model.clone();
    for _ in 0..20 {
        model = train(model, 0.5);
        osn.step(&mut model, &Signals::new()).unwrap();
        let mut floats = Floats(Vec::new());
        model.visit(&mut floats);
        average = average.map(&mut Average(floats.0));
    }
    let norm = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>().sqrt();
    assert!((norm(&state(&average).u()) - 1.0).abs() < 1e-6);
    assert!((norm(&state(&average).v()) - 1.0).abs() < 1e-6);
    osn.remeasure(&mut average).unwrap();
    assert!((exact_sigma(&average.weight.val(), 1) - 1.0).abs() < 1e-4);
}

#[test]
fn freezing_and_unfreezing_trains_no_state() {
    let (model, _) = held();
    let before = (state(&model).u(), state(&model).v(), state(&model).sigma());
    let raw = values(model.weight.base());
    let model = train(model.freeze().unfreeze(), 0.5);
    assert_ne!(values(model.weight.base()), raw);
    assert_eq!(before, (state(&model).u(), state(&model).v(), state(&model).sigma()));
}

#[test]
fn weight_decay_and_adam_leave_the_state_alone() {
    let (mut model, _) = held();
    let before = (state(&model).u(), state(&model).v());
    let decay = burn::optim::decay::WeightDecayConfig::new(0.5);
    let mut adam = AdamConfig::new().with_weight_decay(Some(decay)).init();
    for _ in 0..3 {
        let loss = model.forward(input(8, 12)).square().mean();
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        assert_eq!(gradients.len(), 2, "the weight and the bias, nothing else");
        model = adam.step(0.1, model, gradients);
    }
    assert_eq!((state(&model).u(), state(&model).v()), before);
}

#[test]
fn a_record_brings_the_state_along() {
    let (mut model, mut osn) = held();
    for _ in 0..5 {
        model = train(model, 0.1);
        osn.step(&mut model, &Signals::new()).unwrap();
    }
    let bytes = model.clone().into_record().into_bytes().unwrap();
    let record = burn::store::ModuleRecord::from_bytes(bytes).unwrap();
    let (fresh, mut other) = held();
    let mut loaded = fresh.load_record(record);
    assert_eq!(values(loaded.weight.val()), values(model.weight.val()));
    assert_eq!(state(&loaded).u(), state(&model).u());

    // And the next step is the same step.
    osn.step(&mut model, &Signals::new()).unwrap();
    other.step(&mut loaded, &Signals::new()).unwrap();
    assert_eq!(values(loaded.weight.val()), values(model.weight.val()));
}

#[test]
fn a_record_without_the_state_loads_and_the_state_is_rebuilt() {
    let plain = linear();
    let bytes = plain.clone().into_record().into_bytes().unwrap();
    let record = burn::store::ModuleRecord::from_bytes(bytes).unwrap().allow_partial(true);
    let (fresh, mut osn) = held();
    let mut model = fresh.load_record(record);
    assert_eq!(values(model.weight.base()), values(plain.weight.val()));
    osn.remeasure(&mut model).unwrap();
    assert!((exact_sigma(&model.weight.val(), 1) - 1.0).abs() < 1e-4);
}

#[test]
fn the_state_has_fixed_names() {
    struct Names(Vec<String>, Vec<String>);
    impl burn::module::ModuleVisitor for Names {
        fn visit_float<const D: usize>(&mut self, _: &Param<Tensor<D>>) {
            self.1.push(self.0.join("."));
        }
        fn visit_int<const D: usize>(&mut self, _: &Param<Tensor<D, burn::tensor::Int>>) {
            self.1.push(self.0.join("."));
        }
        fn enter_module(&mut self, name: &str, _: &str) {
            self.0.push(name.to_owned());
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.0.pop();
        }
    }
    let mut names = Names(Vec::new(), Vec::new());
    held().0.visit(&mut names);
    let state = ["u", "v", "state"].map(|name| format!("weight.spectral_norm.{name}"));
    assert_eq!(names.1, [&["weight".to_owned()], &state[..], &["bias".to_owned()]].concat());
}

#[test]
fn decisions_resume_where_they_were_saved() {
    let rule = Rule::Cap(Cap { target: 0.4, interval: 3, dwell: 5, ..Cap::default() });
    let plan = || Plan::new().select("weight").decide(rule.clone());
    let (mut model, mut osn) = plan().attach(linear()).unwrap();
    for _ in 0..4 {
        osn.step(&mut model, &Signals::new()).unwrap();
    }
    let saved = serde_json::to_string(&osn.state()).unwrap();
    let saved = serde_json::from_str(&saved).unwrap();
    let mut other_model = model.clone();
    let (_, mut other) = plan().attach(linear()).unwrap();
    other.resume(saved).unwrap();
    for _ in 0..7 {
        let decided = osn.step(&mut model, &Signals::new()).unwrap();
        assert_eq!(other.step(&mut other_model, &Signals::new()).unwrap(), decided);
    }
    assert_eq!(values(model.weight.val()), values(other_model.weight.val()));
    assert_eq!(osn.wanted(), other.wanted());
}

#[test]
fn a_switch_does_not_move_the_output() {
    let rule = Rule::Cap(Cap { target: 1.0, interval: 5, dwell: 0, ..Cap::default() });
    let rates = Rates::default();
    let start = linear().map(&mut Times(0.1));
    let (model, mut osn) = Plan::new().select("weight").decide(rule).attach(start).unwrap();
    let mut model = model.map(&mut Times(40.0));
    let x = input(6, 12);
    // Settle σ; the layer is off, so its output is that of the stored weight.
    for _ in 0..4 {
        osn.step(&mut model, &Signals::new()).unwrap();
    }
    assert_eq!(osn.wanted().last().unwrap().to, Action::Off);
    let before = values(model.forward(x.clone()));
    let decided = osn.step(&mut model, &Signals::new()).unwrap();
    assert!(matches!(decided[0].to, Action::Cap { .. }), "the cap engages at step 5");
    assert_eq!(values(model.forward(x.clone())), before, "and the output is where it was");

    let excess = exact_sigma(&model.weight.base(), 1).ln();
    let bound = (rates.blend_per_step * excess).exp() - 1.0;
    let mut effective = exact_sigma(&model.weight.val(), 1);
    for _ in 0..120 {
        osn.step(&mut model, &Signals::new()).unwrap();
        let next = exact_sigma(&model.weight.val(), 1);
        assert!((next / effective - 1.0).abs() <= bound * 1.01, "{effective} → {next}");
        effective = next;
    }
    assert!((effective - 1.0).abs() < 1e-4, "and it arrives: {effective}");
}

#[test]
fn off_changes_no_bit_of_the_training() {
    let (mut held, mut osn) = Plan::new()
        .select("weight")
        .decide(Rule::parse("never").unwrap())
        .attach(linear())
        .unwrap();
    let mut plain = held.clone().materialize();
    let mut adams = [AdamConfig::new().init(), AdamConfig::new().init()];
    for _ in 0..5 {
        let x = input(8, 12);
        let step = |model: Linear, adam: &mut burn::optim::ModuleOptimizer| {
            let loss = model.forward(x.clone()).square().mean();
            let gradients = GradientsParams::from_grads(loss.backward(), &model);
            adam.step(0.05, model, gradients)
        };
        held = step(held, &mut adams[0]);
        plain = step(plain, &mut adams[1]);
        osn.step(&mut held, &Signals::new()).unwrap();
        assert_eq!(values(held.weight.val()), values(plain.weight.val()));
    }
    assert!(osn.report(&held).unwrap()[0].sigma > 0.0, "while it measures");
}

#[test]
fn every_decision_has_a_reason_from_the_start() {
    let (mut model, mut osn) =
        Plan::new().select("**.weight").attach(Mixed::new(&device())).unwrap();
    let changes = osn.wanted();
    assert_eq!(changes.len(), 4);
    assert!(changes.iter().all(|change| change.step == 0 && !change.reason.is_empty()));
    assert!(osn.step(&mut model, &Signals::new()).unwrap().is_empty(), "and none is decided twice");
}

#[test]
fn half_precision_weights_are_measured_in_f32() {
    let half = noise([9, 6], 1, &Device::flex()).cast(burn::tensor::FloatDType::BF16);
    let expected = exact_sigma_of(&values(half.clone()), &[9, 6], 0);
    let model = Param::from_tensor(half);
    let (mut model, mut osn) = Plan::new().select("*").attach(Root { kernel: model }).unwrap();
    for _ in 0..40 {
        osn.step(&mut model, &Signals::new()).unwrap();
    }
    let sigma = osn.report(&model).unwrap()[0].sigma;
    assert!((sigma / expected - 1.0).abs() < 1e-5, "{sigma} against {expected}");
    assert_eq!(model.kernel.val().dtype(), burn::tensor::DType::BF16);
}

#[derive(Module, Debug)]
struct Root {
    kernel: Param<Tensor<2>>,
}
