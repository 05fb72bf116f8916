//! What is said is what is: nothing half-happens, nothing is left stale, nothing is dropped without a word.

use std::num::NonZeroU64;

use crate::support::{
    Bare, device, draw, exact_sigma_of, noise, plain_device, plan, steps, times, values, with_first,
};
use burn::module::{Module, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{Linear, LinearConfig};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{FloatDType, Tensor};
use osn::rules::{Adversarial, Generalization, Needs, Rates, RuleError, Signals};
use osn::views::{Convolution, SigmaGradient, View};
use osn::{AttachError, Osn, Plan, ResumeError, Selection, StepError};
use osn_core::decide::DeciderMismatch;
use serde_json::Value;

#[derive(Module, Debug)]
struct Two {
    first: Param<Tensor<2>>,
    second: Param<Tensor<2>>,
}

fn two() -> Two {
    let [first, second] = [1, 2].map(|key| Param::from_tensor(noise([6, 6], key, &device())));
    Two { first, second }
}

impl Two {
    fn loss(&self) -> Tensor<1> {
        self.second.val().matmul(self.first.val()).square().mean()
    }

    fn effective(&self) -> Vec<f32> {
        [&self.first, &self.second].iter().flat_map(|it| values(it.val())).collect()
    }
}

// ---- half precision

#[test]
fn the_sigma_of_a_half_precision_weight_is_the_one_that_is_said() {
    let views = [View::Reshaped, View::Blocks { axis: 0, count: 4 }];
    for (dtype, rounding) in
        [(FloatDType::BF16, 2_f64.powi(-8)), (FloatDType::F16, 2_f64.powi(-11))]
    {
        if !plain_device().supports_dtype(dtype) {
            continue;
        }
        for view in &views {
            let mut off = Vec::new();
            // Targets whose scales lie everywhere between two numbers of half precision.
            for index in 0..40 {
                let target = 1.0 + 0.031 * f64::from(index);
                let half = noise([48, 40], 1, &plain_device()).cast(dtype);
                let plan = plan(&format!("always:target={target}"))
                    .select(Selection::paths("*").view(view.clone()));
                let (mut model, mut osn) = plan.attach(Bare::of(half)).unwrap();
                steps(&mut osn, &mut model, 30);
                let count = osn.layers().count();
                let effective: Vec<f32> = values(model.weight.val());
                let baked: Vec<f32> = values(model.clone().materialize().weight.val());
                assert_eq!(effective, baked);
                let rows = 48 / count;
                let report = &osn.report(&model).unwrap()[0];
                let sigma = exact_sigma_of(&effective[..rows * 40], &[rows, 40], 0);
                off.push(sigma / report.effective_sigma() - 1.0);
            }
            let mean = off.iter().sum::<f64>() / off.len() as f64;
            let (low, high) =
                off.iter().fold((0.0_f64, 0.0_f64), |(l, h), x| (l.min(*x), h.max(*x)));
            // Each entry is rounded by itself, so σ is off by a small part of one rounding.
            assert!(mean.abs() < rounding / 8.0, "{dtype:?} {view}: {mean:e} of {rounding:e}");
            assert!(low.abs().max(high) < rounding / 3.0, "{dtype:?} {view}: {low:e} to {high:e}");
            assert!(low < 0.0 && high > 0.0, "{dtype:?} {view}: off one way, {low:e} to {high:e}");
        }
    }
}

// ---- nothing half-happens

/// All that can be seen of an `Osn` and its model.
fn seen(osn: &Osn, model: &Two) -> (String, Vec<f32>, Vec<u8>) {
    let record = model.clone().into_record().into_bytes().unwrap();
    (serde_json::to_string(&osn.state()).unwrap(), model.effective(), record.to_vec())
}

const RULES: [&str; 6] = [
    "always",
    "cap:target=0.5,interval=4",
    "auto:interval=4",
    "budget:interval=4",
    "learned:interval=4",
    "pay:interval=4",
];

fn signals() -> Signals {
    let (separation, slope) = (Some(0.99), Some(9.0));
    Signals::new()
        .adversarial(Adversarial { separation, input_gradient_norm: slope })
        .generalization(Generalization { train_loss: 0.1, held_out_loss: 2.0 })
}

#[test]
fn a_step_that_fails_has_not_happened() {
    for rule in RULES {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let keep = NonZeroU64::new(7).unwrap();
            let (mut model, mut osn) = plan(rule).keep_step_size(keep).attach(two()).unwrap();
            let _ = osn.update_factors();
            for _ in 0..3 {
                let gradients = model.loss().backward();
                osn.observe(&model, &gradients).unwrap();
                osn.observe_held_out(&model, &gradients).unwrap();
                osn.step(&mut model, &signals()).unwrap();
            }
            let mut broken = with_first(model.clone(), bad);
            let failed = (0..60).find_map(|_| {
                let before = seen(&osn, &broken);
                let error = osn.step(&mut broken, &signals()).err()?;
                Some((error, before))
            });
            let (error, before) = failed.unwrap();
            assert!(matches!(error, StepError::NotFinite { step: 4, .. }), "{rule}: {error}");
            let after = seen(&osn, &broken);
            assert_eq!(after.0, before.0, "{rule}: the decisions, the applied and the step");
            assert_eq!(after.2, before.2, "{rule}: the state in the model");
            assert!(osn.step(&mut broken, &signals()).is_err(), "{rule}: and it fails again");
            // Repaired and measured again it goes on from the very step.
            let steps = osn.steps();
            let mut repaired = model.clone();
            osn.remeasure(&mut repaired).unwrap();
            osn.step(&mut repaired, &signals()).unwrap();
            assert_eq!(osn.steps(), steps + 1);
        }
    }
}

#[test]
fn every_call_on_a_wrong_model_or_state_fails_and_changes_nothing() {
    for rule in RULES {
        let needs = Needs { gradients: true, held_out: true, growth: true, ..Needs::default() };
        let (mut model, mut osn) = plan(rule).measure(needs).attach(two()).unwrap();
        osn.observe(&model, &model.loss().backward()).unwrap();
        osn.step(&mut model, &signals()).unwrap();
        let before = seen(&osn, &model);
        let mut plain = two();
        let gradients = plain.loss().backward();
        let other = Plan::new().select("first").attach(two()).unwrap().1;
        assert!(matches!(osn.step(&mut plain, &signals()), Err(StepError::NotAttached { .. })));
        let lone = Bare { weight: two().first };
        assert!(osn.observe(&lone, &gradients).is_err());
        assert!(osn.observe_held_out(&lone, &gradients).is_err());
        assert!(osn.remeasure(&mut plain).is_err());
        assert!(osn.remeasure(&mut with_first(model.clone(), f32::NAN)).is_err());
        assert!(matches!(osn.resume(other.state()), Err(ResumeError::OtherLayers { .. })));
        assert!(osn.report(&plain).is_err());
        assert_eq!(seen(&osn, &model), before, "{rule}");
    }
}

// ---- health

#[test]
fn a_bad_weight_is_named_soon_however_seldom_the_rule_decides() {
    for rule in
        ["cap:interval=1000000", "budget:interval=18446744073709551615", "schedule:interval=70"]
    {
        let (model, mut osn) = plan(rule).attach(two()).unwrap();
        let mut model = with_first(model, f32::NAN);
        let errors = (0..50).filter(|_| osn.step(&mut model, &Signals::new()).is_err()).count();
        assert_eq!(errors, 1, "{rule}: at step 50");
    }
}

#[test]
fn gradients_are_kept_for_the_rule_that_is_not_due_at_a_check_of_health() {
    let plan = plan("budget:interval=60,total_relative_to_init=0.5");
    let (mut model, mut osn) = plan.attach(two()).unwrap();
    let mut sum = 0.0;
    for step in 1..=60 {
        // Only the gradients before the check of health are large.
        let loss = model.loss() * if step <= 50 { 10.0 } else { 0.0 };
        let gradients = loss.backward();
        let norm = model.first.base().grad(&gradients).unwrap().square().sum().sqrt();
        sum += values::<f64, 1>(norm)[0];
        osn.observe(&model, &gradients).unwrap();
        osn.step(&mut model, &Signals::new()).unwrap();
    }
    let mean = osn.report(&model).unwrap()[0].gradient.unwrap().mean_norm;
    assert!((mean / (sum / 60.0) - 1.0).abs() < 1e-3, "{mean} of {}", sum / 60.0);
}

#[test]
fn a_report_of_a_weight_gone_bad_since_the_last_step_is_an_error_too() {
    let (mut model, mut osn) = plan("never").attach(two()).unwrap();
    osn.step(&mut model, &Signals::new()).unwrap();
    for bad in [f32::NAN, f32::INFINITY] {
        let model = with_first(model.clone(), bad);
        let error = osn.report(&model).unwrap_err();
        assert!(matches!(error, StepError::NotFinite { step: 1, .. }), "{error}");
    }
}

// ---- nothing stale

#[test]
fn after_measuring_again_nothing_is_of_the_weights_of_before() {
    let needs = Needs { gradients: true, sigma_ratio: true, ..Needs::default() };
    let plan = plan("lr_over_sigma:interval=1000").measure(needs);
    let (mut model, mut osn) = plan.attach(two()).unwrap();
    let factors = |osn: &mut Osn| osn.update_factors().into_iter().map(|it| it.1).collect();
    for _ in 0..3 {
        osn.observe(&model, &model.loss().backward()).unwrap();
        osn.step(&mut model, &Signals::new()).unwrap();
    }
    osn.observe(&model, &model.loss().backward()).unwrap();
    let before: Vec<f64> = factors(&mut osn);
    let mut model = times(model, 8.0);
    osn.remeasure(&mut model).unwrap();
    let reports = osn.report(&model).unwrap();
    let factors: Vec<f64> = factors(&mut osn);
    for index in 0..2 {
        assert!((factors[index] * 8.0 / before[index] - 1.0).abs() < 1e-4, "the learning rates");
        assert!((factors[index] * reports[index].sigma - 1.0).abs() < 1e-6);
        assert_eq!((reports[index].drift, reports[index].sigma_ratio), (None, None));
    }
    // The weight did not move by an update from what it was to what it is.
    steps(&mut osn, &mut model, 47);
    let reports = osn.report(&model).unwrap();
    assert_eq!(reports.len(), 2);
    assert!(reports[0].drift.unwrap().abs() < 1e-6, "nothing has moved since");
    assert!(reports[0].gradient.is_none_or(|it| it.mean_update.is_nan() || it.mean_update < 1e-6));
}

#[test]
fn resuming_under_another_plan_says_what_differs() {
    let capped = || plan("cap:interval=3");
    let saved = capped().attach(two()).unwrap().1.state();
    let refused = |plan: Plan| {
        let mut osn = plan.attach(two()).unwrap().1;
        let before = osn.state();
        let error = osn.resume(saved.clone()).unwrap_err();
        assert_eq!(osn.state(), before);
        error
    };
    assert!(matches!(
        refused(plan("budget:interval=3")),
        ResumeError::Rules(DeciderMismatch::Rules { saved, expected })
            if saved == "cap:interval=3" && expected == "budget:interval=3"
    ));
    let rates = Rates { blend_per_step: 0.5, ..Rates::default() };
    assert!(matches!(
        refused(capped().rates(rates)),
        ResumeError::OtherSetting { setting: "the rates", .. }
    ));
    let kept = NonZeroU64::new(9).unwrap();
    assert!(matches!(
        refused(capped().keep_step_size(kept)),
        ResumeError::OtherSetting { setting: "keep_step_size", saved, expected }
            if saved == "none" && expected == "9"
    ));
    assert!(matches!(
        refused(capped().gradient(SigmaGradient::Detached)),
        ResumeError::OtherView { path } if path == "first"
    ));
    assert!(matches!(
        refused(Plan::new().select("first")),
        ResumeError::OtherLayers { saved, expected } if saved == "first, second" && expected == "first"
    ));
    // What the plan measures besides is its own.
    let needs = Needs { gradients: true, ..Needs::default() };
    let (mut model, mut osn) = capped().measure(needs).attach(two()).unwrap();
    osn.resume(saved.clone()).unwrap();
    assert!(osn.needs().gradients);
    for _ in 0..3 {
        osn.observe(&model, &model.loss().backward()).unwrap();
        osn.step(&mut model, &Signals::new()).unwrap();
    }
    assert!(osn.report(&model).unwrap()[0].gradient.unwrap().sensitivity > 0.0);
}

#[test]
fn a_state_from_a_file_is_checked_against_the_plan_and_within() {
    let (model, mut osn) = plan("cap:interval=2").attach(two()).unwrap();
    let saved = serde_json::to_value(osn.state()).unwrap();
    let mut refused = |path: &str, value: Value| {
        let mut changed = saved.clone();
        *changed.pointer_mut(path).unwrap() = value;
        osn.resume(serde_json::from_value(changed).unwrap()).unwrap_err()
    };
    for (path, value) in [
        ("/watched/0/form/cut/count", 3.into()),
        ("/watched/0/form/cut/inner", u64::MAX.into()),
        ("/watched/0/form/maps/Matrix/rows", 5.into()),
    ] {
        let error = refused(path, value);
        assert!(matches!(error, ResumeError::OtherView { .. }), "{path}: {error}");
    }
    let none = || serde_json::json!([]);
    let error = refused("/watched/0/layers", none());
    assert!(matches!(error, ResumeError::OtherLayers { .. }), "{error}");
    for (part, path) in
        [("reading", "/reading/sigmas"), ("actuators", "/actuators"), ("observed", "/observed")]
    {
        let error = refused(path, none());
        assert!(matches!(error, ResumeError::Damaged { part: found } if found == part), "{error}");
    }
    // What is of one piece but of a model of another size is refused, and never a panic.
    let [first, second] = [[3, 6], [6, 3]].map(|shape| Param::from_tensor(draw(shape, &device())));
    let (mut small, _) = plan("always").attach(Two { first, second }).unwrap();
    osn.resume(serde_json::from_value(saved).unwrap()).unwrap();
    assert!(matches!(osn.step(&mut small, &Signals::new()), Err(StepError::NotAttached { .. })));
    assert!(osn.report(&small).is_err());
    assert!(osn.report(&model).is_ok());
}

// ---- nothing grows

#[test]
fn a_state_does_not_grow_with_the_decisions() {
    let size_after = |steps: usize| {
        let plan = plan("cap:target=1,interval=1,dwell=0,hysteresis=0");
        let (mut model, mut osn) = plan.attach(two()).unwrap();
        let mut decided = 0;
        for step in 0..steps {
            // Each decision is another one than that before.
            model = times(model, if step % 2 == 0 { 0.01 } else { 100.0 });
            decided += osn.step(&mut model, &Signals::new()).unwrap().len();
        }
        assert!(decided > steps, "{decided}");
        serde_json::to_vec(&osn.state()).unwrap().len()
    };
    let (early, late) = (size_after(100), size_after(10_000));
    assert!(late < early + 100, "{early} bytes, then {late}");
}

// ---- plans

#[test]
fn a_plan_that_selects_nothing_is_refused() {
    let error = Plan::new().attach(two()).unwrap_err();
    assert!(
        matches!(error, AttachError::NoSelection { available } if available == "first, second")
    );
}

#[test]
fn a_rule_that_can_do_nothing_is_refused_at_the_attachment() {
    for part in ["path=nothing.*", "network=Discriminator", "position=99999", "kind=conv"] {
        let error = plan(&format!("static:{part}")).attach(two()).unwrap_err();
        assert!(matches!(error, AttachError::Rule(RuleError::Idle { .. })), "{part}: {error}");
    }
}

#[derive(Module, Debug)]
struct Mixed {
    conv: Conv2d,
    head: Linear,
    taken: Linear,
    empty: Param<Tensor<2>>,
    broken: Param<Tensor<2>>,
}

#[test]
fn what_the_plan_says_of_a_parameter_is_what_attaching_does_with_it() {
    let device = plain_device();
    let taken = LinearConfig::new(4, 4).init(&device);
    let (taken, _) = Plan::new().select("weight").attach(taken).unwrap();
    let model = Mixed {
        conv: Conv2dConfig::new([2, 4], [3, 3]).init(&device),
        head: LinearConfig::new(4, 2).init(&device),
        taken,
        empty: Param::from_tensor(Tensor::zeros([0, 3], &device)),
        broken: Param::from_tensor(Tensor::full([2, 2], f32::NAN, &device)),
    };
    let ways: [fn(Selection) -> Selection; 6] = [
        |selection| selection,
        |selection| selection.view(View::Matrix),
        |selection| selection.output_axis(2),
        |selection| selection.view(View::Blocks { axis: 0, count: 3 }),
        |selection| selection.view(View::Bidirectional),
        |selection| selection.view(View::Operator(Convolution::new([5, 5]))),
    ];
    let (mut held, mut refused) = (0, 0);
    for way in ways {
        let plan = |glob: &str| Plan::new().select(way(Selection::paths(glob)));
        for choice in plan("**").explain(&model).unwrap() {
            let attached = plan(&choice.path).attach(model.clone());
            match &choice.left_out {
                None => {
                    held += 1;
                    assert!(attached.is_ok(), "{}: {:?}", choice.path, attached.err());
                }
                Some(why) => {
                    refused += 1;
                    let error = attached.err().unwrap_or_else(|| panic!("{}: {why}", choice.path));
                    let is_unmatched = matches!(error, AttachError::NothingSelected { .. });
                    assert!(is_unmatched || why.starts_with(&error.to_string()), "{why}: {error}");
                }
            }
        }
    }
    assert!(held > 6 && refused > 20, "{held} {refused}");
}

// ---- sizes

#[test]
fn a_head_that_starts_at_zero_is_not_held_at_what_adam_made_of_it() {
    let device = device();
    let train = |rule: &str| {
        let head = times(LinearConfig::new(32, 10).init(&device), 0.0);
        let (mut head, mut osn) = plan(rule).network("discriminator").attach(head).unwrap();
        let mut adam = AdamConfig::new().init();
        let x = noise([64, 32], 1, &device);
        let y = x.clone().narrow(1, 0, 10) * 3.0;
        for _ in 0..1_500 {
            let loss = (head.forward(x.clone()) - y.clone()).square().mean();
            let gradients = GradientsParams::from_grads(loss.backward(), &head);
            // After ten steps of this σ is at most 0.001·10·√320 = 0.18.
            head = adam.step(0.001, head, gradients);
            osn.step(&mut head, &balanced_signals()).unwrap();
        }
        osn.report(&head).unwrap()[0].clone()
    };
    let free = train("never");
    assert!(free.sigma > 0.5, "there is something to reach: {}", free.sigma);
    // Xavier's σ of this shape is √(2/42)·(√32 + √10) = 1.92, so neither is in the way.
    for rule in ["auto", "cap:relative_to_init=1.5"] {
        let held = train(rule);
        let least = free.effective_sigma().min(1.5 * 1.92);
        assert!(
            held.effective_sigma() > 0.95 * least,
            "{rule}: {} of {least}",
            held.effective_sigma()
        );
    }
}

/// A discriminator that is as it should be.
fn balanced_signals() -> Signals {
    let (separation, slope) = (Some(0.6), Some(2.4));
    Signals::new().adversarial(Adversarial { separation, input_gradient_norm: slope })
}

#[test]
fn the_operator_is_within_its_factor_of_the_reshaped_kernel() {
    let device = plain_device();
    for (stride, size) in [(1, 7), (2, 8), (3, 7)] {
        let config = Conv2dConfig::new([3, 4], [4, 4]).with_stride([stride; 2]);
        let conv = config.init(&device);
        let kernel = noise([4, 3, 4, 4], 1, &device);
        let conv = Conv2d { weight: Param::from_tensor(kernel), ..conv };
        let sigma = |view: View| {
            let plan = Plan::new().select(Selection::paths("weight").view(view));
            let (mut conv, mut osn) = plan.attach(conv.clone()).unwrap();
            steps(&mut osn, &mut conv, 60);
            osn.report(&conv).unwrap()[0].clone()
        };
        let convolution = Convolution::new([size; 2]).stride([stride; 2]);
        let geometry = convolution.geometry(&[4, 3, 4, 4]).unwrap();
        let (seen, true_one) = (sigma(View::Reshaped), sigma(View::Operator(convolution)));
        assert_eq!((seen.operator_factor, true_one.operator_factor), (Some(4.0), Some(1.0)));
        let factor = geometry.reshaping_factor();
        assert_eq!(factor, 4_usize.div_ceil(stride) as f64);
        assert!(true_one.sigma <= factor * seen.sigma * 1.001);
        assert!(true_one.sigma >= seen.sigma * 0.999, "every output here sees the whole kernel");
    }
}
