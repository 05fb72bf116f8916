//! The invariants of DESIGN.md, each broken if the test that names it fails.

use crate::support::{
    Bare, Edit, Met, device, exact_sigma, exact_sigma_of, filled, noise, noisy, plain_device, plan,
    saved, steps, times, values,
};
use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig, ConvTranspose2d, ConvTranspose2dConfig};
use burn::nn::{Embedding, EmbeddingConfig, Linear, LinearConfig};
use burn::optim::{AdamConfig, GradientsParams, SgdConfig};
use burn::tensor::{DType, Device, FloatDType, Tensor};
use osn::rules::{Action, Rates, Signals};
use osn::{AttachError, Osn, Plan, SpectralNorm, StepError};

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
        noisy(Self {
            table: EmbeddingConfig::new(11, 6).init(device),
            conv: Conv2dConfig::new([3, 8], [3, 3]).init(device),
            up: ConvTranspose2dConfig::new([8, 5], [4, 4]).init(device),
            head: LinearConfig::new(20, 7).init(device),
        })
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

fn linear() -> Linear {
    noisy(LinearConfig::new(12, 5).init(&device()))
}

fn held() -> (Linear, Osn) {
    Plan::new().select("weight").attach(linear()).unwrap()
}

/// u, v and σ of the model.
fn state(model: &Linear) -> [Vec<f64>; 3] {
    let state = model.weight.reparameterization::<SpectralNorm>().unwrap();
    [state.u(), state.v(), state.sigma()]
}

fn stored(model: &Linear) -> Vec<f32> {
    values(model.weight.base())
}

fn effective(model: &Linear) -> Vec<f32> {
    values(model.weight.val())
}

/// The σ of the effective weight is 1.
fn assert_normalized(model: &Linear, tolerance: f64) {
    let sigma = exact_sigma(&model.weight.val(), 1);
    assert!((sigma - 1.0).abs() < tolerance, "σ is {sigma}");
}

fn add_one(model: Linear) -> Linear {
    model.map(&mut Edit(|weight: &mut [f32]| weight.iter_mut().for_each(|it| *it += 1.0)))
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
    let before = state(&model);
    let (real, fake) = (input(4, 12), input(4, 12) * -0.5);
    let first: [Vec<f32>; 2] = [effective(&model), values(model.forward(real.clone()))];
    let _ = model.forward(fake);
    assert_eq!(first, [effective(&model), values(model.forward(real))]);
    assert_eq!(before, state(&model));
}

#[test]
fn every_kind_is_normalized_from_the_first_forward() {
    let sigmas: [fn(&Mixed) -> [f64; 4]; 2] = [Mixed::sigmas, |model| model.valid().sigmas()];
    for first in sigmas {
        let (model, osn) = Plan::new().select("**.weight").attach(Mixed::new(&device())).unwrap();
        for (sigma, layer) in first(&model).into_iter().zip(osn.layers()) {
            assert!((sigma - 1.0).abs() < 1e-4, "{} has σ {sigma}", layer.path);
        }
    }
}

#[test]
fn validation_computes_what_training_does_and_updates_nothing() {
    let (model, mut osn) = held();
    let mut model = train(model, 0.1);
    osn.step(&mut model, &Signals::new()).unwrap();
    let before = state(&model);
    let x = input(3, 12);
    let trained: Vec<f32> = values(model.forward(x.clone()));
    for _ in 0..3 {
        assert_eq!(values::<f32, 2>(model.valid().forward(x.clone().inner())), trained);
    }
    assert_eq!(state(&model), before);
}

#[test]
fn the_gain_stays_one_while_training() {
    let (mut model, mut osn) = held();
    for _ in 0..30 {
        model = train(model, 0.05);
        osn.step(&mut model, &Signals::new()).unwrap();
    }
    assert_normalized(&model, 1e-2);
}

#[test]
fn the_gain_recovers_after_the_weight_was_replaced() {
    let (model, mut osn) = held();
    let mut model = add_one(model);
    steps(&mut osn, &mut model, 40);
    assert_normalized(&model, 1e-4);
}

#[test]
fn the_stored_weight_is_never_overwritten_and_both_can_be_had_back() {
    let model = linear();
    let raw = effective(&model);
    let (mut model, mut osn) = Plan::new().select("weight").attach(model).unwrap();
    osn.step(&mut model, &Signals::new()).unwrap();
    assert_eq!(stored(&model), raw);
    let held = effective(&model);
    assert_ne!(held, raw);
    let baked = model.valid().materialize();
    assert!(baked.weight.reparameterization::<SpectralNorm>().is_none());
    assert_eq!(effective(&baked), held);
    assert_eq!(stored(&baked), held);
}

#[test]
fn detaching_gives_the_plain_model_with_the_stored_weights() {
    let (model, mut osn) = held();
    let mut model = train(model, 0.1);
    osn.step(&mut model, &Signals::new()).unwrap();
    let raw = stored(&model);
    assert_ne!(effective(&model), raw);
    let plain = osn.clone().detach(model.clone()).unwrap();
    assert!(plain.weight.reparameterization::<SpectralNorm>().is_none());
    assert_eq!(effective(&plain), raw);
    assert!(matches!(osn.detach(plain.clone()), Err(StepError::NotAttached { .. })));
    // It can be trained, and held again.
    let again = Plan::new().select("weight").attach(train(plain.clone(), 0.1)).unwrap().0;
    assert_ne!(stored(&again), raw);
}

#[test]
fn a_zero_weight_stays_zero_without_a_nan() {
    let (mut model, mut osn) = plan("always").attach(filled(linear(), 0.0)).unwrap();
    for _ in 0..3 {
        osn.step(&mut model, &Signals::new()).unwrap();
        let loss = model.forward(input(4, 12)).sum();
        let gradient = model.weight.base().grad(&loss.backward()).unwrap();
        assert!(values(gradient).iter().all(|g: &f32| g.is_finite()));
        assert!(effective(&model).iter().all(|&w| w == 0.0));
    }
    assert!(state(&model).iter().flatten().all(|x| x.is_finite()));
    assert_eq!(osn.report(&model).unwrap()[0].sigma, 0.0);
}

#[test]
fn a_weight_that_leaves_zero_is_normalized_again() {
    let (model, mut osn) = plan("always").attach(filled(linear(), 0.0)).unwrap();
    let mut model = add_one(model);
    steps(&mut osn, &mut model, 3);
    assert_normalized(&model, 1e-4);
}

#[test]
fn tiny_and_huge_weights_are_brought_to_one() {
    for size in [1e-30, 1e-5, 1e30] {
        let (mut model, mut osn) = plan("always").attach(times(linear(), size)).unwrap();
        steps(&mut osn, &mut model, 20);
        assert_normalized(&model, 1e-4);
    }
}

#[test]
fn a_weight_that_is_not_finite_is_refused_by_name() {
    let error = plan("always").attach(filled(linear(), f32::NAN)).unwrap_err();
    assert!(matches!(error, AttachError::Estimate { path, .. } if path == "weight"));
}

#[test]
fn a_weight_gone_bad_is_named_with_its_step_and_its_state_survives() {
    let (mut model, mut osn) = plan("cap:interval=4").attach(linear()).unwrap();
    steps(&mut osn, &mut model, 5);
    let before = state(&model);
    let mut model = filled(model, f32::INFINITY);
    steps(&mut osn, &mut model, 2);
    let error = osn.step(&mut model, &Signals::new()).unwrap_err();
    assert!(matches!(error, StepError::NotFinite { path, step: 6 } if path == "weight"));
    assert_eq!(before, state(&model));
}

#[test]
fn a_clone_owns_its_state() {
    let (model, osn) = held();
    let before = (state(&model), effective(&model));
    let mut clone = add_one(model.clone());
    osn.clone().step(&mut clone, &Signals::new()).unwrap();
    assert_ne!(state(&clone)[1], before.0[1]);
    assert_eq!(before, (state(&model), effective(&model)));
}

#[test]
fn averaging_every_float_damages_no_singular_vector() {
    let (mut model, mut osn) = held();
    let mut average = model.clone();
    for _ in 0..20 {
        model = train(model, 0.5);
        osn.step(&mut model, &Signals::new()).unwrap();
        let mut floats = Met::of(&model).floats.into_iter();
        average = average.map(&mut Edit(|average: &mut [f32]| {
            let pairs = average.iter_mut().zip(floats.next().unwrap());
            pairs.for_each(|(average, new)| *average = 0.9 * *average + 0.1 * new);
        }));
    }
    for vector in &state(&average)[..2] {
        assert!((vector.iter().map(|x| x * x).sum::<f64>().sqrt() - 1.0).abs() < 1e-6);
    }
    osn.remeasure(&mut average).unwrap();
    assert_normalized(&average, 1e-4);
}

#[test]
fn freezing_and_unfreezing_trains_no_state() {
    let (model, _) = held();
    let before = state(&model);
    let raw = stored(&model);
    let model = train(model.freeze().unfreeze(), 0.5);
    assert_ne!(stored(&model), raw);
    assert_eq!(before, state(&model));
}

#[test]
fn weight_decay_and_adam_leave_the_state_alone() {
    let (mut model, _) = held();
    let before = state(&model);
    let decay = burn::optim::decay::WeightDecayConfig::new(0.5);
    let mut adam = AdamConfig::new().with_weight_decay(Some(decay)).init();
    for _ in 0..3 {
        let loss = model.forward(input(8, 12)).square().mean();
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        assert_eq!(gradients.len(), 2, "the weight and the bias, nothing else");
        model = adam.step(0.1, model, gradients);
    }
    assert_eq!(state(&model), before);
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
    assert_eq!(effective(&loaded), effective(&model));
    assert_eq!(state(&loaded), state(&model));

    // And the next step is the same step.
    osn.step(&mut model, &Signals::new()).unwrap();
    other.step(&mut loaded, &Signals::new()).unwrap();
    assert_eq!(effective(&loaded), effective(&model));
}

#[test]
fn a_record_without_the_state_loads_and_the_state_is_rebuilt() {
    let plain = linear();
    let bytes = plain.clone().into_record().into_bytes().unwrap();
    let record = burn::store::ModuleRecord::from_bytes(bytes).unwrap().allow_partial(true);
    let (fresh, mut osn) = held();
    let mut model = fresh.load_record(record);
    assert_eq!(stored(&model), effective(&plain));
    osn.remeasure(&mut model).unwrap();
    assert_normalized(&model, 1e-4);
}

#[test]
fn the_state_has_fixed_names() {
    let state = ["u", "v", "state"].map(|name| format!("weight.spectral_norm.{name}"));
    let names = [&["weight".to_owned()], &state[..], &["bias".to_owned()]].concat();
    assert_eq!(Met::of(&held().0).paths, names);
}

#[test]
fn decisions_resume_where_they_were_saved() {
    let plan = plan("cap:target=0.4,interval=3,dwell=5");
    let (mut model, mut osn) = plan.clone().attach(linear()).unwrap();
    steps(&mut osn, &mut model, 4);
    let mut other_model = model.clone();
    let (_, mut other) = plan.attach(linear()).unwrap();
    other.resume(saved(&osn)).unwrap();
    for _ in 0..7 {
        let decided = osn.step(&mut model, &Signals::new()).unwrap();
        assert_eq!(other.step(&mut other_model, &Signals::new()).unwrap(), decided);
    }
    assert_eq!(effective(&model), effective(&other_model));
    assert_eq!(osn.wanted(), other.wanted());
}

#[test]
fn a_switch_does_not_move_the_output() {
    let rates = Rates::default();
    let plan = plan("cap:target=1,interval=5,dwell=0");
    let (model, mut osn) = plan.attach(times(linear(), 0.1)).unwrap();
    let mut model = times(model, 40.0);
    let x = input(6, 12);
    // Settle σ; the layer is off, so its output is that of the stored weight.
    steps(&mut osn, &mut model, 4);
    assert_eq!(osn.wanted().last().unwrap().to, Action::Off);
    let before: Vec<f32> = values(model.forward(x.clone()));
    let decided = osn.step(&mut model, &Signals::new()).unwrap();
    assert!(matches!(decided[0].to, Action::Cap { .. }), "the cap engages at step 5");
    let after: Vec<f32> = values(model.forward(x.clone()));
    assert_eq!(after, before, "and the output is where it was");

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
    let (mut held, mut osn) = plan("never").attach(linear()).unwrap();
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
        assert_eq!(effective(&held), effective(&plain));
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
    if !plain_device().supports_dtype(DType::BF16) {
        return;
    }
    let half = noise([9, 6], 1, &plain_device()).cast(FloatDType::BF16);
    let expected = exact_sigma_of(&values(half.clone()), &[9, 6], 0);
    let (mut model, mut osn) = plan("always").attach(Bare::of(half)).unwrap();
    steps(&mut osn, &mut model, 40);
    let sigma = osn.report(&model).unwrap()[0].sigma;
    assert!((sigma / expected - 1.0).abs() < 1e-5, "{sigma} against {expected}");
    assert_eq!(model.weight.val().dtype(), DType::BF16);
}
